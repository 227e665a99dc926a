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
  const answers = async (): Promise<void> => {
    if (entry !== 'free') await banks.noteUp(institutionId);
  };
  try {
    const answer = await call();
    await answers();
    return answer;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const ofAll = ofTheBank(error);
    if (ofAll || error.type === 'INSTITUTION_DOWN')
      await banks.noteDown(institutionId, itemId, ofAll, error.retryAfterMs).catch((other: unknown) => {
        // Our own database's (an operator holds the row, say): what the bank was refused for is the weightier word.
        if (!(other instanceof Failure)) throw other;
      });
    // A login that has ended, say: the bank has answered, and the healthy Items of it are not to wait.
    else if (!saysNothing.has(error.type)) await answers();
    throw error;
  }
}

/** A rate limit that all Items of the bank have together. */
export const ofTheBank = ({ upstream }: Failure): boolean =>
  upstream?.error_code === 'INSTITUTION_RATE_LIMIT';
