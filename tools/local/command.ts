import closeWithGrace from 'close-with-grace';
import { ownBusiness } from '../../src/process.js';
import { failureText } from './failureText.js';
import { say } from './progress.mjs';

/** The applications get 35 s to end their work, the stores some more. */
const STOP_WITHIN_MS = 120_000;
/** Repeats of a signal within this time are one wish: npm and the terminal both send one for a single Ctrl-C. */
const ONE_WISH_MS = 5_000;

/**
 * Runs a command of the local stack and ends the process: with 0 when it resolves with true, else with 1. SIGINT, SIGTERM, an
 * uncaught error and an unhandled rejection abort the command's signal, and the command stops what it has started. A signal
 * that is repeated later than five seconds after the first means that the clean stop takes too long for the user: the process
 * ends at once (what it started is then ended by its guard).
 */
export async function runCommand(command: (signal: AbortSignal) => Promise<boolean>): Promise<never> {
  const stop = new AbortController();
  let failed = false;
  const fail = (error: unknown): void => {
    failed = true;
    say(failureText(error));
  };
  // After the handlers below are there.
  const running = Promise.resolve()
    .then(() => command(stop.signal))
    .catch((error: unknown) => {
      fail(error);
      return false;
    });
  const grace = closeWithGrace(
    {
      delay: STOP_WITHIN_MS,
      logger: false,
      skip: ownBusiness,
      onSecondError: fail,
      onTimeout: () => say('did not stop in time'),
    },
    async (why) => {
      if ('err' in why) fail(why.err);
      stop.abort();
      if (!(await running) || failed) throw new Stopped();
    },
  );

  let askedAt: number | null = null;
  function askedToStop(): void {
    const now = performance.now();
    if (askedAt === null) {
      askedAt = now;
      grace.close();
    } else if (now - askedAt > ONE_WISH_MS) process.exit(1);
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, askedToStop);

  const well = await running;
  process.exit(well && !failed ? 0 : 1);
}

/** Tells close-with-grace to exit with 1; what went wrong has been told. */
class Stopped extends Error {}
