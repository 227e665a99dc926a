/**
 * What the program needs from outside, as interfaces. Adapters in `src/clients`, `src/temporal` and `drizzle` implement
 * them; activities and the API receive them. Every method rejects with a `Failure` and with nothing else.
 */
import type { AccountIdentity } from './mining/accounts.js';
import type { OutboxRow, RecordKind, Form, StreamName } from './mining/events.js';
import type { UpstreamError } from './failures.js';
import type { SealedKind } from './ids.js';
import type { ItemSnapshot, Phase } from './item/reduce.js';
import type { MinedPage } from './mining/page.js';
import type { History, StepFailure, UpdateOutcome, UserActionError } from './mining/run.js';
import type {
  LinkAccount,
  PlaidAccount,
  PlaidInstitution,
  PlaidItemView,
  PlaidNumbers,
  PlaidSyncPage,
  PlaidTransaction,
} from './plaid.js';
import type { Perishable } from './retention.js';
import type { LeaseClaim, ShardLease } from './userEvents/shardLeases.js';
import type { StaleReason } from './item/staleness.js';
import type { WebhookKind } from './webhooks/webhook.js';

// ─── Secrets ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A secret as it is stored: AES-256-GCM under a data key of its own, which the key provider wrapped. */
export interface Sealed {
  /** Id of the key that wraps `dataKey`. */
  keyId: string;
  dataKey: Uint8Array;
  ciphertext: Uint8Array;
}

/** Where keys are a service, both methods also reject with UPSTREAM_DOWN. */
export interface SecretBox {
  /** `context` (see `secretContext`) binds the ciphertext to the row where it is stored. */
  seal(plaintext: string, context: string): Promise<Sealed>;
  /** Rejects with SECRET_UNREADABLE when a byte, the row or the key is another. */
  open(sealed: Sealed, context: string): Promise<string>;
}

/** Wraps data keys. AWS KMS or a local keyring. */
export interface KeyProvider {
  /** `keyId` names the key that wrapped: today's. */
  wrap(dataKey: Uint8Array, context: string): Promise<{ keyId: string; wrapped: Uint8Array }>;
  unwrap(keyId: string, wrapped: Uint8Array, context: string): Promise<Uint8Array>;
}

/** A secret where it stands. */
export interface SealedRow {
  kind: SealedKind;
  /** The values of its primary key. */
  id: string[];
  context: string;
  sealed: Sealed;
}

export interface SealedRowStore {
  /** Secrets of a kind, but those that this key wraps, in the order of their ids, after an id. */
  page(
    kind: SealedKind,
    exceptKeyId: string | null,
    limit: number,
    after: string[] | null,
  ): Promise<SealedRow[]>;
  /** Puts the data key in the place of the row's; false when the row holds another one by now, or is gone. */
  replace(row: SealedRow, sealed: Sealed): Promise<boolean>;
  /** How many secrets each key wraps. */
  keysInUse(): Promise<Map<string, number>>;
}

// ─── Plaid ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface PlaidPort {
  /** `/link/token/create`. With an access token: update mode (no products, no webhook). */
  createLinkToken(request: {
    userId: string;
    accessToken?: string;
    /** Update mode lets the user choose the accounts anew. */
    accountSelection?: boolean;
  }): Promise<{ link_token: string; expiration: string }>;
  /** `/item/public_token/exchange`. A Failure with `outcomeUnknown` means that the Item may exist. Never repeat it then. */
  exchangePublicToken(publicToken: string): Promise<{ accessToken: string; itemId: string }>;
  /** `/item/get`. */
  getItem(accessToken: string): Promise<PlaidItemView>;
  /** `/sandbox/item/reset_login`: sandbox and simulator only. */
  resetLogin(accessToken: string): Promise<void>;
  /** `/item/remove`. Resolves too when Plaid says that the Item is gone. */
  removeItem(accessToken: string): Promise<void>;
  /** `/accounts/get`: cached at Plaid, open accounts only. */
  getAccounts(accessToken: string): Promise<PlaidAccount[]>;
  /** `/auth/get`. Rejects with PRODUCT_UNAVAILABLE or NOT_READY where the Item has no numbers. */
  getNumbers(accessToken: string): Promise<PlaidNumbers[]>;
  /** `/transactions/sync`, count 500, with original descriptions. `cursor` "" = from the beginning. */
  syncTransactions(accessToken: string, cursor: string): Promise<PlaidSyncPage>;
  /** `/transactions/get`: by `date`, both ends inclusive. */
  getTransactions(
    accessToken: string,
    query: { from: string; to: string; accountIds?: string[]; count: number; offset: number },
  ): Promise<{ transactions: PlaidTransaction[]; total: number }>;
}

/**
 * Reads that go straight through to a client. What comes back are Plaid's own objects under Plaid's own names, with the id
 * of Plaid's request; nothing of them is kept.
 */
export interface PlaidLive {
  /** `/accounts/get`. */
  accounts(accessToken: string): Promise<{ accounts: PlaidAccount[]; request_id: string }>;
  /**
   * `/accounts/balance/get`: asks the bank, which may take half a minute and more. Where the bank has no balance of the last
   * day to give (Capital One), what `/accounts/get` says; `last_updated_datetime` in the balances tells their age.
   */
  balances(accessToken: string): Promise<{ accounts: PlaidAccount[]; request_id: string }>;
  /** `/transactions/get` with original descriptions, newest first; `from` and `to` (YYYY-MM-DD) inclusive. */
  transactions(
    accessToken: string,
    query: { from: string; to: string; accountId?: string | undefined; count: number; offset: number },
  ): Promise<{ transactions: PlaidTransaction[]; total_transactions: number; request_id: string }>;
  /** `/institutions/get_by_id` with connection status. Rejects with UNKNOWN_INSTITUTION when Plaid has none of that id. */
  institution(institutionId: string): Promise<{ institution: PlaidInstitution; request_id: string }>;
}

/** Plaid's directory of institutions in the configured countries, with logos and colours. */
export interface PlaidDirectory {
  /**
   * `/institutions/get`, 500 from `offset` on. `listed` counts what stood on the page, `institutions` holds what of it has
   * an id and a name; `total` is Plaid's count of the whole list at that moment.
   */
  list(offset: number): Promise<{ institutions: PlaidInstitution[]; listed: number; total: number }>;
  /** `/institutions/get_by_id` with connection status. Rejects with UNKNOWN_INSTITUTION when Plaid has none of that id. */
  get(institutionId: string): Promise<PlaidInstitution>;
}

// ─── Webhooks ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A public key of Plaid's, as `/webhook_verification_key/get` tells it. `expired_at` in seconds since the epoch. */
export interface WebhookKey {
  kid: string;
  kty: string;
  crv: string;
  alg: string;
  x: string;
  y: string;
  expired_at: number | null;
}

/** Who asks for an unknown key: an address that has delivered webhooks about our Items before, or any other. */
export type LookupLane = 'senders' | 'strangers';

export type WebhookVerdict =
  | { kind: 'accepted' }
  /** `reason` is a code such as `body_changed`, `unknown_key`, `too_old`. */
  | { kind: 'rejected'; reason: string }
  /** The key could not be looked up: Plaid shall deliver again. */
  | { kind: 'undecided'; retryAfterMs: number | null }
  /** Nor was it tried: too many unknown keys were asked for. */
  | { kind: 'no_budget'; lane: LookupLane; retryAfterMs: number };

export interface WebhookVerifier {
  /** `header` is the `Plaid-Verification` header; `body` the bytes as received; `address` that of the client. */
  verify(header: string | undefined, body: Uint8Array, address: string): Promise<WebhookVerdict>;
  /**
   * An accepted webhook that names this Item came from the address. If the Item is ours, the address counts as a sender from
   * then on. Works in the background, never throws.
   */
  delivered(address: string, itemId: string): void;
}

/**
 * The keys that Plaid was heard to have, for all processes and over restarts, and the addresses that webhooks about our Items
 * came from. Nothing of it is secret. Of one Plaid (production, sandbox, a simulator): none of them vouches for another's keys.
 */
export interface WebhookKeyStore {
  /** Living keys before expired ones, and the latest senders. Ages in milliseconds, by the database's clock. */
  load(): Promise<{ keys: { key: WebhookKey; ageMs: number }[]; senders: string[] }>;
  /** What Plaid said `ageMs` ago. An older word never replaces a newer; a key that has ended is not kept anew. */
  save(key: WebhookKey, ageMs: number): Promise<void>;
  /** Plaid said `ageMs` ago that it knows no such key. */
  drop(kid: string, ageMs: number): Promise<void>;
  /** Remembers the address if the Item is ours; else false. */
  noteSender(address: string, itemId: string): Promise<boolean>;
}

export type WebhookSource = 'plaid' | 'synthetic' | 'replay';
export type WebhookOutcomeState = 'pending' | 'done' | 'ignored' | 'rejected';

export interface NewWebhook {
  source: WebhookSource;
  verdict: 'accepted' | 'rejected';
  body: Uint8Array;
  headers: Record<string, string>;
  webhook_type: string | null;
  webhook_code: string | null;
  item_id: string | null;
  kind: WebhookKind | null;
  removed_ids: string[];
  /** Set when the outcome is already decided (ignored, rejected); null = pending. */
  reason: string | null;
}

export interface StoredWebhook {
  webhook_id: string;
  received_at: string;
  source: WebhookSource;
  verdict: 'accepted' | 'rejected';
  webhook_type: string | null;
  webhook_code: string | null;
  item_id: string | null;
  outcome: { state: WebhookOutcomeState; reason: string | null };
  /** The body as received, as text. */
  body: string;
}

export interface SignalClaim {
  webhookId: string;
  itemId: string;
  userId: string;
  kind: WebhookKind;
}

export interface WebhookStore {
  /** Inserts one webhook and commits. An accepted one of an Item that is not ours stays pending for adoption. */
  store(webhook: NewWebhook): Promise<{ webhookId: string }>;
  /** Keeps a rejected request in bounded form (newest 10,000, body cut to 4 KiB). */
  storeRejected(webhook: NewWebhook): Promise<void>;
  /**
   * Whether the item workflow has to be signalled for the kind of this webhook: the Item is ours, and of its pending webhooks
   * of that kind (this one, or when it is settled any) none was signalled already. Read after the insert was committed; marks
   * the webhook that it names as signalled.
   */
  claimSignal(webhookId: string): Promise<SignalClaim | null>;
  /** The signal of the claimed webhook could not be delivered after all: `sweep` shall find it. */
  releaseSignal(webhookId: string): Promise<void>;
  page(filter: WebhookFilter, limit: number, after: PageKey | null): Promise<Page<StoredWebhook>>;
  get(webhookId: string): Promise<StoredWebhook | null>;
  /**
   * Stores an accepted webhook once more, with source `replay`, as it is read today. `rejected`: it never was verified.
   * `acted_on`: a TRANSACTIONS_REMOVED that was acted on carries no time, and might name what has come back since.
   * `copyId` (a UUID) names the copy: one that is there already is not made again.
   */
  replay(
    webhookId: string,
    copyId: string,
  ): Promise<
    | { webhookId: string; itemId: string | null; kind: WebhookKind | null }
    | 'not_found'
    | 'rejected'
    | 'acted_on'
  >;
}

export interface WebhookFilter {
  item_id?: string | undefined;
  verdict?: 'accepted' | 'rejected' | undefined;
  outcome?: WebhookOutcomeState | undefined;
}

// ─── Pages of lists ─────────────────────────────────────────────────────────────────────────────────────────────────

/** The sort values of the last row of a page, as text. */
export type PageKey = string[];

export interface Page<Row> {
  rows: Row[];
  /** null at the end. */
  next: PageKey | null;
}

// ─── Linking ────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * received: waiting for the exchange. exchanging: Plaid was or will be asked at any moment. exchanged: the Item is
 * stored. finished: `outcome` answers every repeat.
 */
export type LinkState = 'received' | 'exchanging' | 'exchanged' | 'finished';

export type LinkWarning = 'main_account_unknown';

/** How a link ended; stored, and the answer to every repeat of the same public token. */
export type LinkOutcome =
  | { kind: 'linked'; item_id: string; replaces: string | null; warnings: LinkWarning[] }
  | { kind: 'duplicate'; item_id: string }
  | { kind: 'invalid_public_token'; plaid: UpstreamError | null }
  | { kind: 'outcome_unknown' }
  /** Plaid refused for a reason that a repeat cannot mend (our configuration, say). */
  | { kind: 'refused'; plaid: UpstreamError | null };

export interface LinkRow {
  token_hash: string;
  user_id: string;
  state: LinkState;
  item_id: string | null;
  outcome: LinkOutcome | null;
  /** What the client sent of Link's metadata. */
  institution_id: string | null;
  accounts: LinkAccount[];
  main_account_id: string | null;
}

export interface NewLink {
  token_hash: string;
  user_id: string;
  application_id: string;
  publicToken: Sealed;
  institution_id: string | null;
  accounts: LinkAccount[];
  main_account_id: string | null;
}

/** An Item of the user that shares an account with the one being linked. */
export interface DuplicateCandidate {
  itemId: string;
  accessToken: Sealed;
  /** What its row said before anybody asked Plaid how it is. */
  seen: Seen;
}

export interface LinkStore {
  /** Inserts the link (and the user, inactive) unless the token is known; returns the row as it stands. */
  receive(link: NewLink): Promise<LinkRow>;
  get(tokenHash: string): Promise<LinkRow | null>;
  /** received → exchanging, committed. Null when the state is another: the caller must not call Plaid. */
  beginExchange(tokenHash: string): Promise<{ publicToken: Sealed } | null>;
  /** exchanging → received: Plaid certainly did nothing. */
  abandonExchange(tokenHash: string): Promise<void>;
  /**
   * exchanging → exchanged: inserts the Item (not admitted yet), erases the public token, adopts the Item's waiting
   * webhooks of the last 24 h. One transaction.
   */
  storeExchanged(tokenHash: string, item: { itemId: string; accessToken: Sealed }): Promise<void>;
  /** Admitted, not removed Items of the user at the institution that share one of the accounts, oldest first. */
  findDuplicates(
    userId: string,
    institutionId: string,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<DuplicateCandidate[]>;
  /**
   * Under the user row's lock: repeats the duplicate look-up; an overlap with an Item outside `replaceable` → duplicate,
   * nothing is admitted. Else the Item gets its institution, main account and accounts' identities, the user becomes
   * active, Items in `replaceable` that overlap get `removal_requested_at`. Idempotent. `moved`: of an Item in `replaceable`
   * something newer is known than that it was broken; nothing was done. Rejects with ITEM_GONE when it is (to be) discarded.
   */
  admit(
    admission: Admission,
  ): Promise<
    { kind: 'admitted'; replaced: string[] } | { kind: 'duplicate'; itemId: string } | { kind: 'moved' }
  >;
  /** What `admit` has answered before; null for an Item that is not admitted. */
  admitted(itemId: string): Promise<{ kind: 'admitted'; replaced: string[] } | null>;
  /**
   * Ends a link that is found `exchanging` as `outcome_unknown`, with the alert `link_outcome_unknown`. Returns the outcome of
   * a finished link; null when it is in another state: the exchange has ended after all, and nothing was done.
   */
  reportLost(tokenHash: string): Promise<LinkOutcome | null>;
  /**
   * Stores the outcome, state finished, public token erased. The first outcome stays. Returns the stored one. Rejects with
   * BAD_REQUEST when the link is not where this outcome can end it (`linked`: the Item is admitted; else nothing was exchanged,
   * or the Item is discarded).
   */
  finish(tokenHash: string, outcome: LinkOutcome): Promise<LinkOutcome>;
  /**
   * Commits that the Item is to be discarded: it can not be admitted any more. False, and nothing was done, when it is admitted
   * or discarded already: then Plaid must not be asked to remove it.
   */
  beginDiscard(itemId: string): Promise<boolean>;
  /** Marks an Item that never was admitted as removed at Plaid and erases its token. */
  discardItem(itemId: string): Promise<void>;
}

export interface Admission {
  tokenHash: string;
  itemId: string;
  institutionId: string | null;
  institutionName: string | null;
  consentExpiresAt: string | null;
  mainAccountId: string | null;
  accounts: AccountIdentity[];
  /** Items that Plaid calls broken, and what their rows said before it was asked. */
  replaceable: Pick<DuplicateCandidate, 'itemId' | 'seen'>[];
}

// ─── Items ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ItemCredentials {
  itemId: string;
  userId: string;
  institutionId: string | null;
  accessToken: Sealed;
}

/**
 * What an Item's row said before somebody outside was asked. Who writes the answer down gives it back, and is refused when
 * the world has moved on since: an attempt that Temporal has given up may come to its end minutes later. For stores only.
 */
export interface Seen {
  /** The database's clock, ISO 8601. */
  readonly at: string;
  /** The update that was applied last. */
  readonly update: string | null;
  /** Sequence of the newest change of a transaction. */
  readonly rows: number;
  /** Counts what was learned of the Item's health. */
  readonly health: number;
  /** Counts what happened to the account numbers: each reading, and each event that makes one due or forbids one. */
  readonly numbers: number;
  /** Number of the remine that is asked for; null = none is. */
  readonly remine: number | null;
}

/** What is needed to ask Plaid of an Item, and to write the answer down. */
export interface AskingCredentials extends ItemCredentials {
  seen: Seen;
}

export interface ItemStore {
  /** Null for an Item that we do not have or that was never admitted. Which workflows run is not known here. */
  snapshot(itemId: string): Promise<Omit<ItemSnapshot, 'historyRunning' | 'remineRunning'> | null>;
  /** Null when the Item is absent or its token was erased; with `forRemoval` false also when removal was asked for. */
  credentials(itemId: string, options: { forRemoval: boolean }): Promise<AskingCredentials | null>;
  /**
   * Item ERROR: the first user-action error of an episode sets `since`, writes the Segment event `item errored`, and makes a
   * check due at once (whoever found it may be one whom nobody hears any more); a newer code updates the Item and tells nobody.
   * `dueAt` = next check within an episode (ISO 8601). False, and nothing was done: since `seen` an update was applied, or
   * somebody learned of the Item's health. Then ask Plaid again. True for an Item that is removed.
   */
  markBroken(itemId: string, seen: Seen, error: UserActionError, dueAt: string): Promise<boolean>;
  /**
   * Ends an episode: item ACTIVE, Segment event `item repaired`, an update and the numbers due. A healthy Item only learns that
   * it was asked for. False as for `markBroken`.
   */
  markHealthy(itemId: string, seen: Seen): Promise<boolean>;
  /** Pending webhooks of kind `item`, the oldest `limit` with their bodies; whether more wait; whether the Item is broken. */
  itemWebhooks(
    itemId: string,
    limit: number,
  ): Promise<{
    broken: boolean;
    webhooks: { webhookId: string; source: WebhookSource; body: string }[];
    more: boolean;
  }>;
  /**
   * What the webhooks said of the Item, and their outcomes, in one transaction. Nothing is done to a removed Item. False, and
   * nothing was done: one of the webhooks was settled by somebody else, or `health.seen` is no longer so. Then read them again.
   */
  settleItemWebhooks(itemId: string, settlement: ItemWebhooksSettlement): Promise<boolean>;
  /**
   * REMOVED: erases token and numbers, drops staged pages, closes the accounts with `removed` outbox rows, ends pending
   * webhooks as ignored (`item_removed`). Idempotent.
   */
  finishRemoval(itemId: string): Promise<void>;
  /** Ends pending webhooks of a removed Item as ignored. Returns how many. */
  ignoreWebhooks(itemId: string, reason: string): Promise<number>;
  /**
   * Replaces the Item's account numbers, all or none, as of `seen.at`, and clears the numbers intent. False, and nothing was
   * done: since `seen` numbers were read, made due again or forbidden. True for an Item whose removal was asked for.
   */
  saveNumbers(itemId: string, seen: Seen, numbers: { accountId: string; sealed: Sealed }[]): Promise<boolean>;
}

/** The sum of an Item's waiting webhooks. */
export interface ItemWebhooksSettlement {
  webhooks: { webhookId: string; ignored: string | null }[];
  /** What `/item/get` (`seen` before it was asked) or a revocation (`seen` null) says; null = nobody asked. */
  health:
    | { kind: 'healthy'; seen: Seen }
    | { kind: 'broken'; seen: Seen | null; error: UserActionError; revoked: boolean; dueAt: string }
    | null;
  /** ISO 8601. */
  consentExpiresAt: string | null;
  newAccounts: boolean;
  revokedAccounts: string[];
  /** Numbers are erased and read again: those of these accounts are not to be used any more. */
  staleNumbers: string[];
  numbersDue: boolean;
}

/** A Segment `track` call. */
export interface SegmentEvent {
  /** `<item_id>:<errored|repaired>:<episode>`: Segment drops repeats of it. */
  messageId: string;
  userId: string;
  event: 'item errored' | 'item repaired';
  properties: {
    item_id: string;
    institution_id: string | null;
    error_type: string | null;
    error_code: string | null;
  };
  /** When it came to pass, ISO 8601. */
  timestamp: string;
}

export interface SegmentStore {
  /** Events of the Item that were not sent, oldest first, at most `limit`. */
  unsent(itemId: string, limit: number): Promise<SegmentEvent[]>;
  /** Notes that these were sent. */
  markSent(itemId: string, messageIds: string[]): Promise<void>;
  /** Nobody wants them: Segment is not configured. */
  discard(itemId: string): Promise<void>;
}

export interface SegmentPort {
  /** Resolves when Segment has taken the event. Rejects with UPSTREAM_DOWN. */
  track(event: SegmentEvent): Promise<void>;
}

// ─── What clients ask of an Item ────────────────────────────────────────────────────────────────────────────────────

export type ItemChangeReason = 'ACTIVE_FLOAT' | 'COOLDOWN';

/** Where a method takes a keyed request, whoever runs the same one again gets what was done the first time, and nothing is done. */
export interface ItemCommandStore {
  /**
   * Commits the wish to remove, under the user's and the Item's lock, so that no float is opened between the check and it.
   * `active_float`: nothing was done; with `force` floats are not asked. `already` when it was wished before.
   */
  requestRemoval(
    itemId: string,
    options: { force: boolean },
  ): Promise<'requested' | 'already' | 'active_float' | 'not_found'>;
  /** The account must be one of the Item's open ones; both accounts' records go to the streams. */
  setMainAccount(
    itemId: string,
    accountId: string,
    keyed?: KeyedRequest | null,
  ): Promise<'done' | 'unknown_account' | 'item_removed' | 'not_found'>;
  /** Why the user's Items may not be exchanged now. `cooldownMs` counts from a link or a change of the main account. */
  itemChangeReasons(userId: string, cooldownMs: number): Promise<ItemChangeReason[]>;
  /** Update mode was completed: new accounts were offered, numbers are to be read again, a look at Plaid is due. */
  noteRelinked(itemId: string, keyed?: KeyedRequest | null): Promise<void>;
  /** Commits the wish to read everything again; one that waits or runs already is joined. Returns its number. */
  requestRemine(
    itemId: string,
    keyed?: KeyedRequest | null,
  ): Promise<{ number: number } | 'item_removed' | 'not_found'>;
}

export type WithheldReason = 'account_closed' | 'account_revoked' | 'permission_revoked';

export interface NumbersStore {
  /**
   * Writes the audit row, commits it, and only then gives the sealed numbers. Those of closed and revoked accounts are
   * withheld. Null for an Item that we do not have.
   */
  read(
    itemId: string,
    reader: { application_id: string; key_id: string; request_id: string },
  ): Promise<{
    numbers: { accountId: string; asOf: string; sealed: Sealed }[];
    withheld: { accountId: string; reason: WithheldReason }[];
  } | null>;
}

// ─── Floats ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type FloatStatus = 'active' | 'closed';

/** A short-term advance to a user, owned by another service. */
export interface FloatView {
  user_id: string;
  float_id: string;
  status: FloatStatus;
  /** When it became so, by its owner's clock, ISO 8601. */
  occurred_at: string;
}

export interface FloatStore {
  /**
   * Takes down what a float is; the latest `occurredAt` wins (null = now, by the database's clock), and of two words of the
   * same moment `closed`. Returns the float as it stands. The user need not exist; one who does is locked meanwhile.
   */
  tell(word: {
    userId: string;
    floatId: string;
    status: FloatStatus;
    occurredAt: string | null;
  }): Promise<FloatView>;
  get(userId: string, floatId: string): Promise<FloatView | null>;
}

// ─── Logins ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the check of one Item at its user's login found. */
export interface ItemCheck {
  item_id: string;
  stale: boolean;
  /** The webhook that makes the Item update; null when it is not stale. */
  webhook_id: string | null;
  /** Why it is stale; of one that is not, the type of the failure that kept us from knowing better, or null. */
  reason: StaleReason | StepFailure['type'] | null;
}

export interface LoginStore {
  /** The user's admitted Items that are healthy and not being removed, in order of linking. */
  itemsToCheck(userId: string): Promise<string[]>;
  /**
   * Decides under the item's lock whether it is stale (`staleReason`), and then stores a synthetic update webhook together
   * with Plaid's time that it will cover; while another update webhook waits, that one is the answer. `plaidUpdatedAt`:
   * Plaid's `last_successful_update`, null = not known. Null for an Item that is not to be checked.
   */
  settle(check: {
    itemId: string;
    staleAfterMs: number;
    plaidUpdatedAt: string | null;
    environment: 'sandbox' | 'production';
  }): Promise<{ reason: StaleReason | null; webhookId: string | null; stored: boolean } | null>;
}

// ─── The stream of user events ──────────────────────────────────────────────────────────────────────────────────────

export interface StreamShard {
  shardId: string;
  /** The shards that it came from by a split or a merge; they may be gone from the stream. */
  parents: string[];
}

export interface StreamRecord {
  sequenceNumber: string;
  data: Uint8Array;
}

export interface ShardReader {
  /** The next records, oldest first; none when there is nothing new. `ended`: the shard is closed and this was its end. */
  next(): Promise<{ records: StreamRecord[]; ended: boolean; behindMs: number }>;
}

export interface UserEventStream {
  /** Every shard that the stream still has, closed ones too. */
  shards(): Promise<StreamShard[]>;
  /** Reads a shard from behind the record `after`, or from the oldest record; nothing is asked before the first `next`. */
  open(shardId: string, after: string | null): ShardReader;
}

/** How far each shard of a stream was read, and who reads it. A lease is a promise by the database's clock. */
export interface UserEventStore {
  /** Takes down shards that are not known yet. */
  note(stream: string, shards: StreamShard[]): Promise<void>;
  leases(stream: string): Promise<ShardLease[]>;
  /** Null when somebody else was faster, or the shard was finished meanwhile. One's own lease may be claimed again. */
  claim(
    stream: string,
    claim: LeaseClaim,
    owner: string,
    leaseMs: number,
  ): Promise<{ checkpoint: string | null } | null>;
  /** Which of the shards are still the owner's; those have their lease anew. */
  renew(stream: string, shardIds: string[], owner: string, leaseMs: number): Promise<string[]>;
  /** Moves the checkpoint `from` → `to`; false when the lease is lost or the checkpoint is another. */
  checkpoint(
    stream: string,
    shardId: string,
    owner: string,
    from: string | null,
    to: string,
  ): Promise<boolean>;
  /** The shard was read to its end; false when the lease is lost. */
  finish(stream: string, shardId: string, owner: string): Promise<boolean>;
  /** Gives up every lease of the owner. */
  release(stream: string, owner: string): Promise<void>;
  /** Keeps a record that is no event (the first 4 KiB), with an alert. Once per record. */
  park(stream: string, shardId: string, record: StreamRecord, reason: string): Promise<void>;
}

export type AlertKind =
  | 'link_outcome_unknown'
  | 'row_parked'
  | 'record_parked'
  | 'event_parked'
  /** Plaid does not take an Item's access token. */
  | 'token_refused'
  /** Plaid does not take the cursor that an Item's last update had ended at: everything was read from the start. */
  | 'cursor_lost'
  /** An Item's update was given up, and is tried again with long pauses. */
  | 'update_stuck'
  /** Temporal refuses a signal, or the start of a link, for what it is. */
  | 'signal_refused'
  /** A webhook was refused for want of a look-up of its key. */
  | 'webhook_keys_busy';

export interface AlertStore {
  /** `key` makes the same alert one row. `detail` holds ids and codes only. */
  raise(alert: {
    kind: AlertKind;
    key: string;
    item_id: string | null;
    detail: Record<string, unknown>;
  }): Promise<void>;
}

// ─── Mining ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type PageStart =
  /** The update has ended already: this is what it did. */
  | { kind: 'ended'; outcome: UpdateOutcome }
  /** Absent, removed, removal was asked for, or it is a remine that nobody asks for (any more). */
  | { kind: 'gone' }
  /** The page is staged already. (The last page of an update never is: it goes into `apply`.) */
  | { kind: 'staged'; rows: number }
  /** The page before this one is not there (a crash of the database empties unlogged tables). */
  | { kind: 'missing' }
  /** What the update began with is no longer so: another was applied meanwhile. */
  | { kind: 'moved' }
  | {
      kind: 'fetch';
      cursor: string;
      /** What the row said when the update began, before its first page was asked for. */
      began: Seen;
      credentials: AskingCredentials;
    };

export interface Update {
  itemId: string;
  updateId: string;
  /** The last page (`hasMore` false) and its number; the pages before it, 0 to `pageNumber` - 1, are staged. */
  page: MinedPage;
  pageNumber: number;
  accounts: PlaidAccount[];
  /** When `accounts` were asked for, ISO 8601. */
  accountsAsOf: string;
  /** What `beginPage` gave for the first page. Webhooks received before its time are answered by the update. */
  began: Seen;
  /** What Plaid said of the history with the last page; null = unchanged. */
  history: History | null;
  /** When the Item is due again: with a complete history, and while it is not complete (ISO). */
  dueAt: { complete: string; incomplete: string };
  /** It began at the empty cursor although the Item has one: what Plaid does not list any more is to be marked. */
  remine?: boolean;
}

export interface MiningStore {
  /** What page `page` of update `updateId` needs. One round trip. A remine begins at the empty cursor. */
  beginPage(
    itemId: string,
    updateId: string,
    page: number,
    options?: { remine: boolean },
  ): Promise<PageStart>;
  /**
   * Stages a page that is not the last one, unless it is staged, and returns what the stored row says: a late attempt may
   * have been first. `moved` and `gone` as for `apply`; nothing was staged.
   */
  stagePage(
    itemId: string,
    updateId: string,
    page: number,
    options: { began: Seen; remine: boolean },
    mined: MinedPage,
  ): Promise<{ kind: 'staged'; rows: number } | { kind: 'moved' } | { kind: 'gone' }>;
  /**
   * Applies a whole update (staged pages, then `page`) in one transaction under the item row's lock. `moved`: the chain of
   * cursors from page 0 to `page` has a gap, a page of this or a higher number is staged, the durable cursor is not the
   * one the update began with, or since `began` another update was applied or a transaction was changed. `gone`: also a
   * remine whose request was answered or replaced by another. Nothing was changed.
   */
  apply(
    update: Update,
  ): Promise<{ kind: 'applied'; outcome: UpdateOutcome } | { kind: 'moved' } | { kind: 'gone' }>;
  /** Drops the staged pages of an abandoned update. */
  discard(itemId: string, updateId: string): Promise<void>;
  /** What still waits for the Item's workflow, and whether the row calls it broken; read after an apply was committed. */
  waiting(itemId: string): Promise<{ webhooks: number; removals: number; broken: boolean }>;
  /** Live rows that pending TRANSACTIONS_REMOVED webhooks name, at most `limit`. */
  namedRemovals(
    itemId: string,
    limit: number,
  ): Promise<{ transactionId: string; accountId: string; date: string }[]>;
  /**
   * Marks rows removed (outbox rows with it) and ends every pending TRANSACTIONS_REMOVED webhook received before `seen` all of
   * whose ids are in `checked` or no longer live. Returns the number of rows changed; `moved`, and nothing was done, when since
   * `seen` an update was applied or a transaction was changed. One transaction.
   */
  settleRemovals(itemId: string, seen: Seen, checked: string[], remove: string[]): Promise<number | 'moved'>;
}

// ─── Outbox ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What of one Item and kind of record has not been sent yet, oldest first. */
export interface Unsent {
  /** Sequence up to which each form was accepted by its stream. */
  sent: Record<Form, number>;
  rows: OutboxRow[];
  /** True when more rows wait behind these. */
  more: boolean;
}

export interface OutboxStore {
  /** At most `limit` rows after the lower of the two marks, and after the sequence `after`. */
  unsent(itemId: string, record: RecordKind, limit: number, after?: number): Promise<Unsent>;
  /** Moves a mark forward from `from` to `to`; false when another publisher was faster. */
  markSent(itemId: string, record: RecordKind, form: Form, from: number, to: number): Promise<boolean>;
}

export interface StreamPort {
  /**
   * Puts one record and resolves when the stream has accepted it. Concurrent calls share PutRecords requests; only
   * refused records are tried again, for a short time. Rejects with UPSTREAM_DOWN, RATE_LIMITED or RECORD_REFUSED.
   *
   * Once `signal` is aborted the record is not sent (again), and `put` rejects at once with the signal's reason if that is a
   * Failure; what is on its way may arrive nevertheless.
   */
  put(stream: StreamName, partitionKey: string, data: Uint8Array, signal?: AbortSignal): Promise<void>;
}

// ─── Institutions ───────────────────────────────────────────────────────────────────────────────────────────────────

/** An institution as clients see it, from the cache. */
export interface InstitutionView {
  institution_id: string;
  name: string;
  country_codes: string[];
  products: string[];
  oauth: boolean;
  url: string | null;
  /** `#rrggbb`. */
  primary_color: string | null;
  /** Base64 PNG. */
  logo: string | null;
  /** Plaid's connection status by product; asked for institutions in use only. */
  status: Record<string, unknown> | null;
  status_at: string | null;
  /** When Plaid was last heard of it. */
  synced_at: string;
  /** Set once a complete sync no longer listed it. */
  vanished_at: string | null;
}

export interface InstitutionStore {
  /** The database's clock, ISO 8601; read before Plaid is asked (`askedAt`): the answer to the latest question stays. */
  now(): Promise<string>;
  /**
   * Upserts one page of the list under the sync's id. What vanished before `askedAt` is back with it; a logo, colour or
   * address that this answer lacks is kept. Safe to repeat.
   */
  savePage(syncId: string, askedAt: string, institutions: readonly PlaidInstitution[]): Promise<void>;
  /**
   * Ends a sync: when it has saved exactly `expected` institutions, all others are marked as vanished. Else something moved
   * under it, and nothing is marked.
   */
  finishSync(syncId: string, expected: number): Promise<{ complete: boolean; vanished: number }>;
  /** Upserts one institution and its connection status as of `askedAt`; null = Plaid no longer knows it, and has no status. */
  save(institutionId: string, askedAt: string, institution: PlaidInstitution | null): Promise<void>;
  /** Institutions of living Items whose status is older than `since` (ISO), by id, after `after`. */
  dueForStatus(since: string, after: string | null, limit: number): Promise<string[]>;
  /** Null when the cache does not hold it. */
  get(institutionId: string): Promise<InstitutionView | null>;
  /** Rows are JSON texts of `InstitutionView`, without those that vanished. Order: name, then id. */
  page(
    filter: { query?: string | undefined; country?: string | undefined },
    limit: number,
    after: PageKey | null,
  ): Promise<Page<string>>;
  /** When the cache was last written, ISO 8601; null before the first sync. */
  asOf(): Promise<string | null>;
  /** Logos by institution, of those that have one. */
  logos(institutionIds: readonly string[]): Promise<Map<string, string>>;
}

// ─── Sweep ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An Item that has something due, and of which kinds. */
export interface DueItem {
  itemId: string;
  userId: string;
  kinds: string[];
}

export interface StaleLink {
  tokenHash: string;
  userId: string;
}

export interface SweepStore {
  /**
   * Items that have something due of which no signal may have told: at most `limit` of each kind, the longest waiting first,
   * where one that the sweep told waits since then. The first of every kind come before the second, removals before all.
   */
  findDue(limit: number, graceMs: number): Promise<DueItem[]>;
  /** Links that have been unfinished for longer than `graceMs`, in the same order: their workflow is to be started again. */
  findStaleLinks(limit: number, graceMs: number): Promise<StaleLink[]>;
  /** Remembers that these were told now, whether or not they heard: the next sweep looks to the others first. */
  noteTold(told: { items: readonly DueItem[]; links: readonly StaleLink[] }): Promise<void>;
  /**
   * Ends pending webhooks of unknown Items after 24 h as ignored (`unknown_item`), and drops what nobody asks for any more:
   * staged pages of two days ago, notes of whom the sweep told a day ago. Resolves to the count of webhooks.
   */
  settleUnknown(): Promise<number>;
}

/**
 * Deletes what is older than `keepMs` and no longer needed, one batch of at most `limit` rows. `after` is where the batch
 * before ended (null = from the beginning); `next` is where the next one goes on, null at the end.
 */
type Clean = (
  keepMs: number,
  after: string | null,
  limit: number,
) => Promise<{ deleted: number; next: string | null }>;

/**
 * `outbox`: what both streams have accepted; the watermarks stay. `webhooks`: settled ones but the newest of each Item.
 * `links`: finished ones that no living Item came of. `segmentEvents`: sent ones, and those that nobody shall send.
 */
export type RetentionStore = Record<Exclude<Perishable, 'idempotencyKeys'>, Clean>;

// ─── Temporal ───────────────────────────────────────────────────────────────────────────────────────────────────────

export type ItemSignal =
  | { kind: 'linked' }
  | { kind: 'webhookReceived'; webhook: WebhookKind }
  | { kind: 'foundDue' }
  | { kind: 'removalRequested' }
  | { kind: 'relinked' }
  | { kind: 'remineRequested'; number: number };

/** What the item workflow answers about itself. */
export interface ItemStatus {
  phase: Phase;
  history: History;
  /** Pages and rows of the update on its way; null when none is. */
  progress: { pages: number; rows: number; restarts: number } | null;
  /** A remine is asked for or on its way. */
  remine: { workflow_id: string; running: boolean } | null;
  /** ISO 8601. */
  next_due_at: string | null;
  last_update_at: string | null;
  last_failure: StepFailure | null;
  waiting_for_publish: boolean;
}

export interface Gateway {
  /** Starts or joins the link's workflow and waits for its outcome; null when it takes longer than `timeoutMs`. */
  link(tokenHash: string, userId: string, timeoutMs: number): Promise<LinkOutcome | null>;
  /** Starts the link's workflow, or leaves the running one alone. */
  startLink(tokenHash: string, userId: string): Promise<void>;
  /** `signalWithStart` on the item workflow, within `deadlineMs`. */
  signalItem(itemId: string, userId: string, signal: ItemSignal, deadlineMs?: number): Promise<void>;
  /**
   * Starts the check of a user's Items that a login event asks for. A repeat of the event, while it runs or later, does
   * nothing.
   */
  startCheck(eventId: string, userId: string): Promise<void>;
  /**
   * Checks a user's Items now and waits for the answer; null when it takes longer than `timeoutMs`. A repeat of the request
   * waits for the same check, or gets its answer.
   */
  checkUser(userId: string, timeoutMs: number, requestId: string): Promise<ItemCheck[] | null>;
  /** Null when no workflow runs for the Item. */
  itemStatus(itemId: string): Promise<ItemStatus | null>;
  isHistoryRunning(itemId: string): Promise<boolean>;
  /** Whether the remine of this number runs. */
  isRemineRunning(itemId: string, number: number): Promise<boolean>;
  /** Rejects when Temporal cannot be reached within 2 s. */
  ping(): Promise<void>;
}

// ─── Reads and access, for the API ──────────────────────────────────────────────────────────────────────────────────

export type ItemStatusName = 'ACTIVE' | 'ERROR' | 'REMOVED';

/** The item as clients see it. */
export interface ItemView {
  item_id: string;
  user_id: string;
  status: ItemStatusName;
  phase: Phase;
  institution_id: string | null;
  institution_name: string | null;
  main_account_id: string | null;
  error: { error_type: string; error_code: string; since: string } | null;
  history: History;
  last_update_at: string | null;
  last_webhook_at: string | null;
  consent_expires_at: string | null;
  new_accounts_available: boolean;
  created_at: string;
  removed_at: string | null;
}

/** How complete the cached answer about an Item is. */
export interface ItemCompleteness {
  item_id: string;
  phase: Phase;
  history: History;
  as_of: string | null;
}

/** The Items that a cached list draws from; what is not admitted (yet) is left out. */
export type ListedItems =
  { itemId: string } | { itemIds: string[] } | { userId: string; includeRemoved: boolean };

/** A page of JSON texts, and of the same moment the Items that the list draws from, in the order of their linking. */
export interface CachedPage extends Page<string> {
  items: ItemCompleteness[];
}

/** `from` and `to` (YYYY-MM-DD) inclusive. */
export type TransactionFilter = ListedItems & {
  from?: string | undefined;
  to?: string | undefined;
  account_id?: string | undefined;
  statuses: ('pending' | 'posted' | 'removed')[];
  format: Form;
};

/** `from` and `to` (YYYY-MM-DD) inclusive. */
export interface BalanceFilter {
  itemId: string;
  account_id?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export interface ReadStore {
  user(userId: string): Promise<{
    user_id: string;
    status: 'inactive' | 'active';
    activated_at: string | null;
    items: number;
  } | null>;
  /** Creates the user, inactive, unless it exists. */
  ensureUser(userId: string): Promise<void>;
  item(itemId: string): Promise<ItemView | null>;
  items(
    filter: { userId: string; statuses: ItemStatusName[] },
    limit: number,
    after: PageKey | null,
  ): Promise<Page<ItemView>>;
  /** Rows in the asked form. Order: item, then account id. */
  accounts(filter: ListedItems & { format: Form }, limit: number, after: PageKey | null): Promise<CachedPage>;
  /** Rows in the asked form. Order: date descending, then id. */
  transactions(filter: TransactionFilter, limit: number, after: PageKey | null): Promise<CachedPage>;
  /** An account's last balances of a day. Order: day descending, then account id. */
  balances(filter: BalanceFilter, limit: number, after: PageKey | null): Promise<CachedPage>;
  /** The Item whose access token makes a link token in update mode, by the contract's pick; null = create. */
  pickForUpdateMode(
    userId: string,
    itemId: string | null,
  ): Promise<(ItemCredentials & { newAccounts: boolean }) | null>;
}

export type Scope = 'read' | 'write' | 'numbers' | 'admin';

export interface ApiKey {
  key_id: string;
  application_id: string;
  scopes: Scope[];
}

export interface ApplicationStore {
  /** `effectId` (a UUID) names what is made: the same one again gives what it made before. Likewise with `addKey`. */
  create(
    name: string,
    effectId: string,
  ): Promise<{ application_id: string; name: string; created_at: string }>;
  /** Null when the application does not exist. */
  addKey(
    applicationId: string,
    effectId: string,
    keyHash: string,
    scopes: Scope[],
  ): Promise<{ key_id: string } | null>;
  /** False when there is no such key. A revoked key stays, revoked. */
  revokeKey(keyId: string): Promise<boolean>;
  /** The living key with this hash. */
  findKey(keyHash: string): Promise<ApiKey | null>;
  /** The application `default` with a key of every scope; older bootstrap keys of it with another hash are revoked. */
  ensureAdmin(keyHash: string): Promise<void>;
}

/** A request that carries an Idempotency-Key: what the client called it, and what it asked for. */
export interface KeyedRequest {
  application_id: string;
  method: string;
  path: string;
  /** As the client sent it. */
  key: string;
  /** SHA-256, hex, of everything that makes two requests the same. */
  requestHash: string;
}

export interface StoredAnswer {
  status: number;
  contentType: string | null;
  /** Headers and body, sealed. */
  answer: Sealed;
}

/** What a keyed request may do. Times in milliseconds. */
export type KeyedTurn =
  /**
   * `effectId` (a UUID) is the same for every run of the request, and so is `prepared`: what a run before has set down of its
   * answer, null when none has.
   */
  | { kind: 'run'; effectId: string; prepared: Sealed | null }
  | { kind: 'replay'; answer: StoredAnswer }
  | { kind: 'running'; retryAfterMs: number }
  /** The key stands for another request. */
  | { kind: 'reused' };

/** Answers by Idempotency-Key. A turn to run is a lease: who outlives it loses the turn to the next that asks. */
export interface IdempotencyStore {
  /** However many ask at once, in however many processes: one of them runs. `runner` is new for every request. */
  begin(request: KeyedRequest, runner: string, leaseMs: number): Promise<KeyedTurn>;
  /** Sets down what a repeat will need to give the same answer, before the work is done. False when the turn was lost. */
  prepare(request: KeyedRequest, runner: string, prepared: Sealed): Promise<boolean>;
  /** Keeps the answer for 24 h, or until `replayUntil` (ISO) when that is sooner. False when the turn was lost. */
  finish(
    request: KeyedRequest,
    runner: string,
    answer: StoredAnswer,
    replayUntil: string | null,
  ): Promise<boolean>;
  /** Gives the turn back: the next request with this key runs. */
  release(request: KeyedRequest, runner: string): Promise<void>;
  /** Deletes at most `limit` entries whose time is over. Resolves to how many. */
  deleteExpired(limit: number): Promise<number>;
}

/** What operators watch. Ages in seconds, 0 when there is nothing. */
export interface Figures {
  items: { status: string; history: string; count: number }[];
  unsentItems: number;
  oldestUnsentSeconds: number;
  pendingWebhooks: number;
  oldestPendingWebhookSeconds: number;
  overdueItems: number;
  alerts: { kind: string; count: number }[];
}

export interface FiguresStore {
  read(): Promise<Figures>;
}

/** Something that `/readyz` asks. Resolves when the dependency answers. */
export interface Probe {
  name: string;
  check(): Promise<void>;
}
