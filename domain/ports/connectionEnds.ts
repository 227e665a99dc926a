/** An Item about which its workflow has to be told. */
export interface EndedItem {
  itemId: string;
  userId: string;
}

/**
 * What comes of connections by time alone. Each method takes the longest waiting, at most `limit` Items, one transaction each. One that
 * fails holds up none of the others. Where what was written is still to be told of, the method resolves to its `fault`, else it rejects with it.
 */
export interface ConnectionEndStore {
  /**
   * Writes down which connections have ended by time, and tells their applications. Resolves to the Items with which nobody is
   * connected any more: nothing may be mined of them. `fault`: of the first that failed.
   */
  noteExpired(limit: number): Promise<{ ended: EndedItem[]; fault: unknown }>;
  /** Tells applications of connections that end in 30, 7 or 1 days, each once. Resolves to the count of Items. */
  reportExpiring(limit: number): Promise<number>;
  /**
   * Asks for the removal of Items with which nobody has been connected for `graceMs`, unless their user has an active float. Those
   * wait (`kept`), and stand behind the others next time. `fault`: as above.
   */
  requestRemovals(
    limit: number,
    graceMs: number,
  ): Promise<{ requested: EndedItem[]; kept: EndedItem[]; fault: unknown }>;
}
