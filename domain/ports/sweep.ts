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

/** Whom a sweep has signalled; endpoints and erasures by their ids. */
export interface Signalled {
  items?: readonly DueItem[];
  links?: readonly StaleLink[];
  endpoints?: readonly string[];
  erasures?: readonly string[];
}

export interface SweepStore {
  /**
   * Items that have something due for which a signal may be lost: at most `limit` of each kind, the longest waiting first,
   * where one that the sweep signalled waits since then. The first of every kind come before the second, removals before all.
   */
  findDue(limit: number, graceMs: number): Promise<DueItem[]>;
  /**
   * Links that have been unfinished for longer than `graceMs`, or whose Item, which never became the user's, has waited so long for its
   * removal at Plaid, in the same order: their workflow is to be started once more.
   */
  findStaleLinks(limit: number, graceMs: number): Promise<StaleLink[]>;
  /** Records that these were signalled now, whether or not they took it: the next sweep begins with the others. */
  recordSignalled(signalled: Signalled): Promise<void>;
  /**
   * Ends pending webhooks of unknown Items after 24 h as ignored (`unknown_item`). Drops what nobody asks for any more: staged
   * pages of two days ago, records of whom the sweep signalled a day ago. In a database that was set back to a backup it alerts of unknown
   * Items. Resolves to the count of webhooks.
   */
  ignoreUnknown(): Promise<number>;
}
