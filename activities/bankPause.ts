import { Failure } from '../domain/failures.js';
import { saysNothing } from '../domain/item/health.js';
import type { BankPauseStore } from '../domain/ports/bankPauses.js';

/**
 * Calls Plaid for what it must ask a bank for. While a bank is down one of its Items asks at a time, with pauses that grow: the
 * others are told INSTITUTION_DOWN without a call, so that thousands of them take nothing from the Items of other banks, nor of the
 * bank's own rate limit.
 */
export async function askBank<T>(
  banks: BankPauseStore,
  { institutionId, itemId }: { institutionId: string | null; itemId: string },
  call: () => Promise<T>,
): Promise<T> {
  if (institutionId === null) return call();
  const entry = await banks.enter(institutionId, itemId);
  if (entry === 'paused')
    throw new Failure(
      'INSTITUTION_DOWN',
      'the bank was down a moment ago: its Items wait one after the other',
    );
  /**
   * Notes what the bank's answer says of it. That our own database does not (an operator holds the row, say) weighs less than the answer; a
   * right that it lacks is not passed over.
   */
  const noted = (work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      if (!(error instanceof Failure && error.type === 'UPSTREAM_DOWN')) throw error;
    });
  const answers = async (): Promise<void> => {
    if (entry !== 'free') await noted(banks.noteUp(institutionId));
  };
  try {
    const answer = await call();
    await answers();
    return answer;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const ofAll = ofTheBank(error);
    if (ofAll || error.type === 'INSTITUTION_DOWN')
      await noted(banks.noteDown(institutionId, itemId, ofAll, error.retryAfterMs));
    // A login that has ended, say: the bank has answered, and the healthy Items of it are not to wait.
    else if (!saysNothing.has(error.type)) await answers();
    throw error;
  }
}

/** A rate limit that all Items of the bank have together. */
export const ofTheBank = ({ upstream }: Failure): boolean =>
  upstream?.error_code === 'INSTITUTION_RATE_LIMIT';
