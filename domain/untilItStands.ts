import { Failure } from './failures.js';

const tries = 3;

/**
 * Asks and writes again while the answer is refused because the Item has moved on since the question (`Seen`): what is asked
 * now is true now, also for an attempt that comes late. Rejects with UPSTREAM_DOWN when it moves at every try.
 */
export async function untilItStands<T>(askAndWrite: () => Promise<T | 'moved'>): Promise<T> {
  for (let attempt = 1; attempt <= tries; attempt += 1) {
    const ended = await askAndWrite();
    if (ended !== 'moved') return ended;
  }
  throw new Failure('UPSTREAM_DOWN', 'the Item changed whenever it was asked after');
}
