import { setCurrentDetails, sleep } from '@temporalio/workflow';
import { stepFailure } from './stepFailure.js';

/** Between two tries, each of which is a series of its own. */
const pauseMs = 60_000;

/**
 * What a run cannot begin without is asked for until it is there: an outage that is longer than a series of tries must not end
 * the run, with all that it carries. A cancellation does.
 */
export async function untilRead<Read>(what: string, read: () => Promise<Read>): Promise<Read> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      setCurrentDetails(`- ${what} cannot be read: ${stepFailure(what, error, Date.now()).type}`);
      await sleep(pauseMs);
    }
  }
}
