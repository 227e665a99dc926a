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
