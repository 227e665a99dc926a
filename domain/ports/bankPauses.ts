/** Banks that Plaid has called down, and when one of their Items may ask again. By the database's clock. */
export interface BankPauseStore {
  /**
   * `free`: nothing is known against it. `probe`: the bank was down, its pause is over, and the caller alone may ask; the next one
   * may when another pause has gone by without a word. `paused`: it is not to be asked.
   */
  enter(institutionId: string): Promise<'free' | 'probe' | 'paused'>;
  /** Begins a pause, or the next, twice as long; those that were on their way already lengthen none. */
  noteDown(institutionId: string): Promise<void>;
  /** It answers: there is no pause any more. */
  noteUp(institutionId: string): Promise<void>;
}
