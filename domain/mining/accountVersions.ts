import type { PlaidAccount } from '../plaid.js';
import type { AccountStatus } from './refine.js';

/** An account as it is kept: Plaid's object, and what Plaid's object does not say itself. */
export interface AccountVersion {
  account_id: string;
  status: AccountStatus;
  is_main: boolean;
  /** Plaid's object as it was listed last. */
  raw: PlaidAccount;
  sanitized: boolean;
  /** When Plaid listed it last, ISO 8601. */
  as_of: string;
  /** The closed account whose place it took, and the one that took its place. */
  replaces: string | null;
  replaced_by: string | null;
  /** From 1; each version is told on the streams. */
  version: number;
}

/** An account that Plaid lists for the first time. */
export function firstVersion(
  listed: Pick<AccountVersion, 'raw' | 'sanitized' | 'as_of'>,
  is_main: boolean,
): AccountVersion {
  return {
    account_id: listed.raw.account_id,
    status: 'open',
    is_main,
    ...listed,
    replaces: null,
    replaced_by: null,
    version: 1,
  };
}

/** A new version: the account with what is different now, under the next number. */
export function nextVersion(
  before: AccountVersion,
  change: Partial<Omit<AccountVersion, 'account_id' | 'version'>>,
): AccountVersion {
  return { ...before, ...change, version: before.version + 1 };
}

/**
 * What closing an account is: a version that is closed, and nothing else. It was not fetched, so its balances stay those of the last
 * time, and it stays the main one unless another takes its place. On the streams it is a removal.
 */
export const closed: Partial<AccountVersion> = { status: 'closed' };
