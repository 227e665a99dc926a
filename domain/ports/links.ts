import type { Grant } from '../exchange/connection.js';
import type { UpstreamError } from '../failures.js';
import type { AccountIdentity } from '../mining/accounts.js';
import type { LinkAccount } from '../plaid.js';
import type { Seen } from './items.js';
import type { Sealed } from './secrets.js';

/**
 * received: waiting for the exchange. exchanging: Plaid was or will be asked at any moment. exchanged: the Item is
 * stored. finished: `outcome` answers every repeat.
 */
export type LinkState = 'received' | 'exchanging' | 'exchanged' | 'finished';

export type LinkWarning = 'main_account_unknown' | 'accounts_dropped';

/** How a link ended; stored, and the answer to every repeat of the same public token. */
export type LinkOutcome =
  | {
      kind: 'linked';
      item_id: string;
      replaces: string | null;
      warnings: LinkWarning[];
      /** Accounts of replaced Items that the new one does not have, or of the user's Link that the joined one has not; absent = none. */
      dropped_accounts?: string[];
      /** What it was granted; absent = a link of an older release. */
      connection_id?: string;
      /** The Item was there already: the application was connected with it, and no other Item was made. */
      joined?: true;
    }
  | { kind: 'duplicate'; item_id: string }
  | { kind: 'invalid_public_token'; plaid: UpstreamError | null }
  | { kind: 'outcome_unknown' }
  /** Everything of the user was to be deleted meanwhile. */
  | { kind: 'user_being_erased' }
  /** Plaid refused for a reason that a repeat cannot mend (our configuration, say). */
  | { kind: 'refused'; plaid: UpstreamError | null };

export interface LinkRow {
  token_hash: string;
  user_id: string;
  application_id: string;
  state: LinkState;
  item_id: string | null;
  outcome: LinkOutcome | null;
  /** What the client sent of Link's metadata. */
  institution_id: string | null;
  accounts: LinkAccount[];
  main_account_id: string | null;
  /** Nothing is a duplicate, and nothing is replaced. */
  allow_duplicate: boolean;
  /** What the application is to be granted; null = a link of an older release. */
  connection: Grant | null;
}

export interface NewLink {
  token_hash: string;
  user_id: string;
  application_id: string;
  publicToken: Sealed;
  institution_id: string | null;
  accounts: LinkAccount[];
  main_account_id: string | null;
  allow_duplicate?: boolean;
  connection?: Grant | null;
}

/** An Item that is (to be) the user's, what it replaces, and which accounts are lost by that. */
export interface Admitted {
  kind: 'admitted';
  replaced: string[];
  dropped: string[];
  connection_id?: string;
  /** The Item was the user's already, and the application has joined it. */
  joined?: true;
  /** Another link had made the Item: its user has been through update mode. */
  updated?: true;
}

/** The application is connected with another Item of the user; the one that was exchanged is to be discarded. */
export interface Joined {
  kind: 'joined';
  itemId: string;
  connection_id: string;
  /** Accounts of the one that was exchanged that this one does not have; absent = none. */
  dropped?: string[];
}

/** An account that the user has chosen in Link. */
export interface OfferedAccount extends AccountIdentity {
  /** In the Item that Link has made; absent = not known. */
  account_id?: string | null;
}

/** An Item of the user that shares an account with the one being linked. */
export interface DuplicateCandidate {
  itemId: string;
  accessToken: Sealed;
  /** What its row said before anybody asked Plaid how it is. */
  seen: Seen;
  /** Its row says that it is broken. */
  isBroken: boolean;
  /** One account is known to be the same; else more than one is only called the same, and the Item is never replaced for that. */
  proven: boolean;
}

export interface LinkStore {
  /**
   * Inserts the link (and the user, inactive) unless the token is known; returns the row as it stands. One that was refused as a
   * duplicate before it was exchanged is received anew when a duplicate is allowed now, or the Item that it is one of is (to be) removed. Null: another user has used the token, or
   * another application where one of the two sees only what it is connected with.
   */
  receive(link: NewLink): Promise<LinkRow | null>;
  get(tokenHash: string): Promise<LinkRow | null>;
  /** For how long the link has been in its state, in ms by the database's clock. */
  inState(tokenHash: string): Promise<number>;
  /** For how long it has been known, in ms by the database's clock. */
  age(tokenHash: string): Promise<number>;
  /**
   * Raises `link_stuck` for a link that was received `afterMs` ago, unless it has ended: its end has deleted the alert. One whose Item is
   * still to be removed has not.
   */
  raiseStuck(tokenHash: string, afterMs: number, detail: Record<string, string | null>): Promise<void>;
  /** Whether everything of the Item's user is being deleted, and the Item has not become the user's. */
  isUnwanted(itemId: string): Promise<boolean>;
  /**
   * Connects the link's application with an Item of the user that shares one of the link's accounts, and finishes the link, in one
   * transaction under the user's and the Item's lock. What the user has not chosen in this Link is not granted. `finished`: it was done
   * before, or ended otherwise: read the row again. `duplicate`: the application sees the Item already. `moved`: it is no such Item any more, or
   * has been called something else than when it was asked after (`seen`; absent = nobody was asked). `unproven`: some of
   * the accounts are not known to be the Item's, or the application knows them from a connection that it has no more, or has sent too many public
   * tokens for this user that Plaid refuses, so that only Plaid's own word, after the exchange, tells.
   */
  join(
    tokenHash: string,
    itemId: string,
    seen?: Seen,
  ): Promise<'joined' | 'finished' | 'duplicate' | 'moved' | 'unproven'>;
  /** received → exchanging, committed. Null when the state is another: the caller must not call Plaid. */
  beginExchange(tokenHash: string): Promise<{ publicToken: Sealed } | null>;
  /** exchanging → received: Plaid certainly did nothing. */
  abandonExchange(tokenHash: string): Promise<void>;
  /**
   * exchanging → exchanged: inserts the Item (not admitted yet), erases the public token, adopts the Item's waiting
   * webhooks of the last 24 h. One transaction. Rejects with INVALID_PUBLIC_TOKEN, and nothing is stored, when the Item is one
   * of another user, or was removed.
   */
  storeExchanged(tokenHash: string, item: { itemId: string; accessToken: Sealed }): Promise<void>;
  /**
   * Admitted, not removed Items of the user at the institution, by whatever id it is known, that share one of the accounts, or seem to:
   * those of which it is proven first, then the oldest first.
   */
  findDuplicates(
    userId: string,
    institutionId: string,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<DuplicateCandidate[]>;
  /** Such Items whose institution nobody knows so far. */
  findUnplaced(
    userId: string,
    institutionId: string,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<DuplicateCandidate[]>;
  /** Ids of institutions that are not known to be this one, where such Items would share one of the accounts. */
  findLookalikes(
    userId: string,
    institutionId: string,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<string[]>;
  /**
   * Under the user row's lock: repeats the duplicate look-up; an overlap with an Item outside `replaceable` → duplicate,
   * nothing is admitted. (With `allow_duplicate` of the link nothing overlaps.) Else the Item gets its institution, main account and accounts' identities, the user becomes
   * active, Items in `replaceable` that overlap get `removal_requested_at`, and the link's application is connected. Connections of
   * others with what is replaced go on with the new Item, for the accounts that are the same. An application that does not see the Item
   * which overlaps joins that one (`joined`); an Item that was admitted before is joined itself. An Item whose accounts are only called
   * the same is a duplicate for who sees it, and nothing else: it is neither replaced nor joined. Idempotent. `moved`: of an Item in
   * `replaceable` or `healthy` something newer is known than that; nothing was done. `unproven`: the accounts are known by the word of the
   * link's client alone, and overlap with those of an Item that its application does not see; nothing was done. `user_being_erased`: nothing is admitted any more. Rejects with ITEM_GONE when it is (to be) discarded.
   */
  admit(
    admission: Admission,
  ): Promise<
    | Admitted
    | Joined
    | { kind: 'duplicate'; itemId: string }
    | { kind: 'moved' }
    | { kind: 'unproven' }
    | { kind: 'user_being_erased' }
  >;
  /** What `admit` has answered to this link before; null for an Item that is not admitted. */
  admitted(tokenHash: string, itemId: string): Promise<Admitted | null>;
  /**
   * Ends a link that is found `exchanging` as `outcome_unknown`, with the alert `link_outcome_unknown`. Returns the outcome of
   * a finished link; null when it is in another state: the exchange has ended after all, and nothing was done.
   */
  reportLost(tokenHash: string): Promise<LinkOutcome | null>;
  /**
   * Stores the outcome, state finished, public token erased. The first outcome stays. Returns the stored one. An Item that was exchanged
   * and is not the outcome's is to be discarded from here on. Rejects with BAD_REQUEST when the link is not where this outcome can end
   * it (`linked`: the Item is admitted; else, and for another Item that was joined: it is not, or it was removed since).
   */
  finish(tokenHash: string, outcome: LinkOutcome): Promise<LinkOutcome>;
  /**
   * Commits that the Item is to be discarded: it can not be admitted any more. False, and nothing was done, when it is admitted
   * or discarded already: then Plaid must not be asked to remove it.
   */
  beginDiscard(itemId: string): Promise<boolean>;
  /** Records that an Item which never was admitted is removed at Plaid, and erases its token. */
  discardItem(itemId: string): Promise<void>;
}

export interface Admission {
  tokenHash: string;
  itemId: string;
  institutionId: string | null;
  institutionName: string | null;
  consentExpiresAt: string | null;
  mainAccountId: string | null;
  accounts: OfferedAccount[];
  /** They stand in Link's metadata only: Plaid does not list them. */
  byWordAlone?: true;
  /** Items that Plaid calls broken, and what their rows said before it was asked. */
  replaceable: Pick<DuplicateCandidate, 'itemId' | 'seen'>[];
  /** Those that Plaid calls healthy, likewise. */
  healthy?: Pick<DuplicateCandidate, 'itemId' | 'seen'>[];
  /** Items that are gone at Plaid: where accounts are only called the same, they are nobody's duplicate. */
  gone?: string[];
  /** Those of them whose users have taken the permission back: the connections with them are suspended, whether or not their rows say so. */
  revoked?: string[];
  /** Of the Item itself, that Plaid says so. */
  isRevoked?: boolean;
  /** What its row said before Plaid was asked. */
  seen?: Seen;
}
