import { Failure } from '../domain/failures.js';
import { saysNothing } from '../domain/item/health.js';
import type { BankPauseStore } from '../domain/ports/bankPauses.js';

/**
 * Calls Plaid for what it must ask a bank for. While a bank is down one of its Items asks at a time, with pauses that grow: the
 * others are told INSTITUTION_DOWN without a call, so that thousands of them take nothing from the Items of other banks.
 */
export async function askBank<T>(
  banks: BankPauseStore,
  institutionId: string | null,
  call: () => Promise<T>,
): Promise<T> {
  if (institutionId === null) return call();
  const entry = await banks.enter(institutionId);
  if (entry === 'paused')
    throw new Failure(
      'INSTITUTION_DOWN',
      'the bank was down a moment ago: its Items wait one after the other',
    );
  try {
    const answer = await call();
    if (entry === 'probe') await banks.noteUp(institutionId);
    return answer;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.type === 'INSTITUTION_DOWN') await banks.noteDown(institutionId);
    // A login that has ended, say: the bank has answered, and the healthy Items of it are not to wait.
    else if (entry === 'probe' && !saysNothing.has(error.type)) await banks.noteUp(institutionId);
    throw error;
  }
}
