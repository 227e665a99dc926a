import type { MinedPage } from '../mining/page.js';
import type { History, UpdateOutcome } from '../mining/run.js';
import type { ParkedRecord } from '../mining/parked.js';
import type { PlaidAccount } from '../plaid.js';
import type { ItemCredentials, Seen } from './items.js';

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
      /** Ids of the accounts that were open then. */
      openAccounts: string[];
      /** By Plaid's last word it has no transactions. */
      withoutTransactions: boolean;
      /** Since when the Item waits for its first update, for its remine, or for the update that is due (then it may lie ahead), ISO 8601. */
      waitsSince: string | null;
      /** When the update before was applied, ISO 8601; null = there was none. */
      updatedAt: string | null;
      /** When the Item was admitted, ISO 8601. */
      admittedAt: string | null;
      /** When the access ends by what Plaid said last, ISO 8601; null = it does not. */
      endsAt: string | null;
      credentials: ItemCredentials & { seen: Seen };
    };

export interface Update {
  itemId: string;
  updateId: string;
  /** The last page (`hasMore` false) and its number; the pages before it, 0 to `pageNumber` - 1, are staged. */
  page: MinedPage;
  pageNumber: number;
  accounts: PlaidAccount[];
  /** What stood among them and cannot be kept. */
  parkedAccounts?: readonly ParkedRecord[];
  /** How many open accounts these may stand for (`ListedAccounts`); absent = each for one. */
  unreadableAccounts?: number;
  /** `/accounts/get` was refused: `accounts` are those that `/transactions/sync` has named, and it is asked again soon. */
  accountsRefused?: boolean;
  /** When `accounts` were asked for, ISO 8601. */
  accountsAsOf: string;
  /** What `beginPage` gave for the first page. Webhooks received before its time are answered by the update, unless it keeps the cursor. */
  began: Seen;
  /** What Plaid said of the history with the last page; null = nothing that is known: where there are rows some of it was read. */
  history: History | null;
  /** When the Item is due again: with a complete history, and while it is not complete (ISO). */
  dueAt: { complete: string; incomplete: string };
  /** Account numbers that were asked for longer ago (ms) are to be read anew. */
  numbersAge: number;
  /** Plaid says that the Item has no transactions: the accounts are applied, and cursor, history and rows stay as they are. */
  transactionsUnavailable?: boolean;
  /** It began at the empty cursor although the Item has one: what Plaid does not list any more is to be set to removed. */
  remine?: boolean;
  /** Of a remine: a cursor that the Item has stays, and rows that this reading is the first to list are to be seen by another one. */
  keepsCursor?: boolean;
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
   * have been first. `moved` and `gone` as for `apply`; `circling`: an earlier page was asked for with the cursor to
   * which this one leads. Nothing was staged then.
   */
  stagePage(
    itemId: string,
    updateId: string,
    page: number,
    options: { began: Seen; remine: boolean },
    mined: MinedPage,
  ): Promise<{ kind: 'staged'; rows: number } | { kind: 'moved' } | { kind: 'gone' } | { kind: 'circling' }>;
  /**
   * Applies a whole update (staged pages, then `page`) in one transaction under the item row's lock. When it answers anything
   * but `applied`, nothing was changed.
   * `moved`: the chain of cursors from page 0 to `page` has a gap; or a page of this or a higher number is staged; or the
   * durable cursor is not the one that the update began with; or since `began` another update was applied or a transaction was
   * changed.
   * `gone`: also a remine whose request was answered or replaced by another.
   */
  apply(
    update: Update,
  ): Promise<{ kind: 'applied'; outcome: UpdateOutcome } | { kind: 'moved' } | { kind: 'gone' }>;
  /** Drops the staged pages of an abandoned update. */
  discard(itemId: string, updateId: string): Promise<void>;
  /**
   * What still waits for the Item's workflow, whether the row calls it broken, when it is due, and whether its numbers are to be
   * read; read after an apply was committed.
   */
  waiting(itemId: string): Promise<{
    webhooks: number;
    removals: number;
    broken: boolean;
    /** Ms since the epoch. */
    nextDueAt: number | null;
    numbersDue: boolean;
    /** The streams lack changes of it. */
    unsent: boolean;
    /** The last update was one of the accounts alone. */
    transactionsUnavailable: boolean;
    /** Number of the remine that is asked for; null = none is. */
    remine: number | null;
  }>;
  /**
   * Live rows that pending TRANSACTIONS_REMOVED webhooks name, at most `limit`: the oldest, or those behind the part `from` (0 to 1) of
   * them all, and then the oldest.
   */
  namedRemovals(
    itemId: string,
    limit: number,
    from?: number,
  ): Promise<{ transactionId: string; accountId: string; date: string }[]>;
  /**
   * Live rows of open accounts within these dates (YYYY-MM-DD, both inclusive) that no pending TRANSACTIONS_REMOVED names, which Plaid
   * should list: some of them, where there are many.
   */
  livingBeside(itemId: string, window: { from: string; to: string }): Promise<string[]>;
  /**
   * Sets rows to removed (outbox rows with it) and ends every pending TRANSACTIONS_REMOVED webhook received before `seen` all of
   * whose ids are in `checked` or no longer live. Returns the number of rows changed; `moved`, and nothing was done, when since
   * `seen` an update was applied or a transaction was changed. One transaction.
   */
  applyRemovals(itemId: string, seen: Seen, checked: string[], remove: string[]): Promise<number | 'moved'>;
}
