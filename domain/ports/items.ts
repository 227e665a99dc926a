import type { EpisodeBy, Consent } from '../item/health.js';
import type { ItemSnapshot } from '../item/state.js';
import type { UserActionError } from '../mining/run.js';
import type { Sealed } from './secrets.js';
import type { WebhookSource } from './webhooks.js';
import type { VerificationEnd } from '../webhooks/itemFacts.js';

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
  episodeBy: EpisodeBy;
  /** Plaid's cursor after the last applied update; '' = none yet. */
  cursor: string;
}

export interface ItemStore {
  /** Null for an Item that we do not have or that was never admitted. Which workflows run is not known here. */
  snapshot(itemId: string): Promise<Omit<ItemSnapshot, 'historyRunning' | 'remineRunning'> | null>;
  /** Null when the Item is absent or its token was erased; with `forRemoval` false also when removal was asked for. */
  credentials(itemId: string, options: { forRemoval: boolean }): Promise<AskingCredentials | null>;
  /**
   * Item ERROR. The first user-action error of an episode sets `since`, writes the Segment event `item errored`, and makes a
   * check due at once: whoever found it may be one whom nobody hears any more. A newer code updates the Item and sends nothing.
   * An error that leaves the Item without accounts closes those that we have, with their events. `dueAt` = next check within an
   * episode (ISO 8601). `byCall`: it is the word of a product call, not of `/item/get`. `consent`: what else `/item/get` said.
   * False, and nothing was done: since `seen` an update was applied, or
   * somebody learned of the Item's health. Then ask Plaid again. True for an Item that is removed.
   */
  setBroken(
    itemId: string,
    seen: Seen,
    error: UserActionError,
    dueAt: string,
    found?: { byCall?: boolean; consent?: Consent | null },
  ): Promise<boolean>;
  /**
   * Ends an episode: item ACTIVE, Segment event `item repaired`, an update and the numbers due. A healthy Item only learns that
   * it was asked for. False as for `setBroken`.
   */
  setHealthy(itemId: string, seen: Seen, consent?: Consent | null): Promise<boolean>;
  /** What a check said besides the Item's health. Nothing is done where somebody has learned of its health since `seen`. */
  noteConsent(itemId: string, seen: Seen, consent: Consent): Promise<void>;
  /**
   * Pending webhooks of kind `item` with their bodies, in the order in which they came: the oldest `limit`, those that wait for no
   * answer of `/item/get` before the others. Whether more wait, whether the Item is broken, and whether its numbers are withheld for a
   * revocation.
   */
  itemWebhooks(
    itemId: string,
    limit: number,
  ): Promise<{
    broken: boolean;
    withheld: boolean;
    webhooks: { webhookId: string; source: WebhookSource; receivedAt: string; body: string }[];
    more: boolean;
  }>;
  /**
   * What the webhooks said of the Item, and their outcomes, in one transaction. Nothing is done to a removed Item. False, and
   * nothing was done: one of the webhooks has an outcome already, or `health.seen` is no longer so. Then read them again.
   */
  applyItemWebhooks(itemId: string, effect: ItemWebhooksEffect): Promise<boolean>;
  /**
   * REMOVED: erases token and numbers, drops staged pages, closes the accounts with `removed` outbox rows, ends pending
   * webhooks as ignored (`item_removed`). Idempotent.
   */
  finishRemoval(itemId: string): Promise<void>;
  /** Ends pending webhooks of a removed Item as ignored. Returns how many. */
  ignoreWebhooks(itemId: string, reason: string): Promise<number>;
  /**
   * Replaces the Item's account numbers, all or none, as of `seen.at`, and clears the numbers intent. An account that has some was
   * not revoked then. `lackingFor` (ms): an answer that names none of the open accounts that should have some is believed when the
   * answers have been such for so long; until then the numbers stay, and are due again at `doubtedUntil` (ms since the epoch). One that lacks
   * some of those that have numbers is written down but for these, whose numbers are withheld till then. `part`: the numbers are not those of all accounts, but those of the accounts `of`, so that those of the others stay, and all are due again at
   * `dueAt` (ISO 8601; null = not by themselves). False, and nothing was done: since `seen` numbers were read, made due again or forbidden. True for an Item
   * whose removal was asked for.
   */
  saveNumbers(
    itemId: string,
    seen: Seen,
    numbers: { accountId: string; sealed: Sealed }[],
    part?: { of: readonly string[]; dueAt: string | null },
    lackingFor?: number,
  ): Promise<boolean | { doubtedUntil: number }>;
  /**
   * Open accounts whose numbers need no verification while those of another one wait for it, or have got none: they can be asked for by
   * themselves. None where there is no such other. `pending`: one is waited for.
   */
  accountsBesideUnverified(itemId: string): Promise<{ accountIds: string[]; pending: boolean }>;
  /**
   * Plaid has no numbers to give now: those that are stored stay. They are due again at `retryAt` (ISO 8601; null = not by
   * themselves; `refusedCode`: Plaid's code then; those that it refuses for want of consent are withheld, and due again after pauses
   * that grow from `lackingFor`, in ms), unless all that was waited for was the verification of accounts, and that has ended without numbers. Resolves to
   * when they are due (ms since the epoch); `moved` as `saveNumbers` is false.
   */
  keepNumbers(
    itemId: string,
    seen: Seen,
    retryAt: string | null,
    refusedCode?: string | null,
    lackingFor?: number,
  ): Promise<{ dueAt: number | null } | 'moved'>;
}

/** What a webhook that came at `receivedAt` (ISO 8601) says of an account. */
export interface AccountFact {
  accountId: string;
  receivedAt: string;
}

/** What an Item's waiting webhooks change, all together. */
export interface ItemWebhooksEffect {
  /** Those that were read. One that `waits` is settled by another effect. */
  webhooks: { webhookId: string; ignored: string | null; waits?: boolean }[];
  /** What `/item/get` says (`seen` before it was asked); null = nobody asked. */
  health:
    | { kind: 'healthy'; seen: Seen; consent: Consent | null }
    | {
        kind: 'broken';
        seen: Seen;
        error: UserActionError;
        byCall: boolean;
        dueAt: string;
        consent: Consent | null;
      }
    | null;
  /**
   * A webhook says that the user took the permission back: the Item's numbers are withheld. `doubted`: Plaid has not been asked yet;
   * `disowned`: Plaid says otherwise, and they are given out again.
   */
  revocation: 'doubted' | 'confirmed' | 'disowned' | null;
  /** By a webhook, ISO 8601; `/item/get` knows better. */
  consentExpiresAt: string | null;
  /**
   * When the bank ends the connection (ISO 8601; `at` null = a repair has come since); null = no webhook speaks of it. `guessed`: no
   * webhook says when, and what was said before stays.
   */
  disconnects: { at: string | null; guessed?: boolean } | null;
  newAccounts: boolean;
  /** Their numbers are withheld; whether they are shared no more the next answer of Plaid's decides. */
  revokedAccounts: AccountFact[];
  /** All numbers that were read before this time (ISO 8601) are withheld until they are read anew: which account is meant nobody knows. */
  doubtedNumbers: string | null;
  /** Those of their numbers that were read before are not to be used any more, and are erased. */
  staleNumbers: AccountFact[];
  verifications: (AccountFact & { verification: VerificationEnd })[];
  /** Numbers are to be read again. */
  numbersDue: boolean;
  /** The Item is to be updated. */
  updateDue: boolean;
}
