import { Failure } from './failures.js';

/** So many outages in a row are those of what all of them need (a database, say), and the others would meet them as well. */
const outagesInARow = 5;

/**
 * Does it for one after the other. One that fails holds up none behind it, nor do many that are refused for what they are, each time and for
 * good: the first failure is thrown at the end.
 */
export async function eachByItself<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const faults: unknown[] = [];
  let inARow = 0;
  for (const one of all) {
    try {
      await work(one);
      inARow = 0;
    } catch (error) {
      faults.push(error);
      inARow += error instanceof Failure && !error.retryable ? 0 : 1;
      if (inARow === outagesInARow) break;
    }
  }
  if (faults.length > 0) throw faults[0];
}
