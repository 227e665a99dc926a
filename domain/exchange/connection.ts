/** What an application may read of an Item. Of FDX's data clusters those that there are here. */
export const connectionScopes = ['accounts', 'balances', 'transactions', 'numbers'] as const;
export type ConnectionScope = (typeof connectionScopes)[number];

/** Those of these that there are, in the order in which they are always shown, each once. */
export const inOrder = (scopes: readonly string[]): ConnectionScope[] =>
  connectionScopes.filter((scope) => scopes.includes(scope));

/** `expired` is so by time alone, whether or not anybody has noticed. `revoked` is the end. */
export type ConnectionStatus = 'active' | 'suspended' | 'expired' | 'revoked';

export type ConnectionAction =
  | 'created'
  | 'updated'
  | 'renewed'
  | 'suspended'
  | 'resumed'
  | 'expired'
  | 'revoked';

/** Who was the cause. `bank`: the Item was revoked there. `clock`: its time was over. `item`: the Item was removed. */
export const initiators = ['application', 'user', 'operator', 'bank', 'clock', 'item'] as const;
export type Initiator = (typeof initiators)[number];

/** What the user was shown and agreed to. */
export interface ConsentEvidence {
  disclosure_id: string;
  /** Of the text that was shown, hex. */
  sha256: string;
  at: string;
}

/** What a connection grants. What is not granted is denied; an empty list grants nothing. */
export interface Grant {
  scopes: ConnectionScope[];
  /** Null = all that are there at the grant. */
  account_ids: string[] | null;
  /** Accounts that come later are granted too. */
  new_accounts: boolean;
  /** Days back from the day of the request; null = no end. */
  lookback_days: number | null;
  expires_at: string | null;
  purpose: string | null;
  evidence: ConsentEvidence | null;
}

/** What a connection may be read for at the most. */
export type GrantLimit = Omit<Grant, 'purpose' | 'evidence'>;

/** A connection whose grant somebody has changed, as it stood since. */
export interface NarrowedConnection extends GrantLimit {
  connectionId: string;
  /** Accounts of its Item that it may not read though later ones are granted: by these a database that does not know them would grant them. */
  withheld_accounts: string[];
  /** The bank had taken the Item back. */
  suspended: boolean;
  /** Of the last change, ISO 8601. */
  at: string;
}

/** Everything of an Item, what comes later too, without an end. */
export const wholeGrant: Grant = {
  scopes: [...connectionScopes],
  account_ids: null,
  new_accounts: true,
  lookback_days: null,
  expires_at: null,
  purpose: null,
  evidence: null,
};

/** What who links an Item is granted without a word: what the deployment's products give, of all accounts, without an end. */
export function grantByDefault(products: readonly string[]): Grant {
  return {
    ...wholeGrant,
    scopes: [
      'accounts',
      'balances',
      ...(products.includes('transactions') ? ['transactions' as const] : []),
      ...(products.includes('auth') ? ['numbers' as const] : []),
    ],
  };
}

/** A connection as clients see it. */
export interface ConnectionView extends Grant {
  connection_id: string;
  application: { application_id: string; name: string; display_name: string | null };
  item_id: string;
  user_id: string;
  status: ConnectionStatus;
  created_at: string;
  last_read_at: Record<ConnectionScope, string | null>;
  revoked: { at: string; reason: string | null; initiator: Initiator } | null;
}
