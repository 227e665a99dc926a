/**
 * Banks that Plaid has called down, and when one of their Items may ask again. By the database's clock. One Item's word is a
 * suspicion: something of its own may have the name of its bank. The word of another Item, within ten minutes and with no answer
 * between, is the bank.
 */
export interface BankPauseStore {
  /**
   * `free`: nothing is known against it. `suspected`: one Item was refused for it; everybody asks. `probe`: the bank was down, its
   * pause is over, and the caller alone may ask; the next one may when another pause has gone by without a word. Who was refused
   * last waits for two pauses, so that it is not the only one whom the bank is judged by. `paused`: it is not to be asked.
   */
  enter(institutionId: string, itemId: string): Promise<'free' | 'suspected' | 'probe' | 'paused'>;
  /**
   * Notes a refusal: suspects, or begins a pause, or the next, twice as long; those that were on their way already lengthen none.
   * `certain`: Plaid spoke of the bank as a whole, which needs no second Item. `atLeastMs`: no pause is shorter, since it asked for that.
   */
  noteDown(institutionId: string, itemId: string, certain: boolean, atLeastMs?: number): Promise<void>;
  /** It answers: there is no pause and no suspicion any more. */
  noteUp(institutionId: string): Promise<void>;
}
