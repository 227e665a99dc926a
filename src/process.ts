import closeWithGrace from 'close-with-grace';
import { foreignErrorText } from '../domain/foreignError.js';
import { Failure } from '../domain/failures.js';
import type { Logger } from './logger.js';

export interface Running {
  logger: Logger;
  /** Settles when the process's work ends by itself; a rejection is fatal. */
  ended?: Promise<unknown>;
  /** Ends the work: no request failed, no activity lost. */
  stop(): Promise<void>;
}

/** Longer than every grace time within; after it the process is ended hard. */
const stopWithinMs = 30_000;
/** Repeats of a signal within this time are one wish: npm and the terminal both send one for a single Ctrl-C. */
const oneWishMs = 1_000;
const stopSignals = ['SIGTERM', 'SIGINT'] as const;
/**
 * What close-with-grace shall leave alone: signals, since a repeat of the first one is no second wish (`askedToStop`), and an
 * event loop that has run dry.
 */
export const ownBusiness: closeWithGrace.AllEvents[] = [
  ...stopSignals,
  'SIGHUP',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'beforeExit',
];

/**
 * Runs one of our processes: starts it, and stops it once, by one way for SIGTERM, SIGINT, an uncaught error, an unhandled
 * rejection and work that ends by itself. Exits 0 after a clean stop on a signal and 1 after a failure; a second signal ends
 * it at once. A configuration error is printed as its message alone, a foreign error as its class, code and our frames.
 */
export async function runProcess(
  name: string,
  start: () => Promise<Running>,
  ConfigurationError: new (message: string) => Error,
): Promise<void> {
  let running: Running | null = null;
  // After the handlers below are there: whoever reads that a process is ready may stop it.
  const starting = Promise.resolve().then(start);
  let stopping = false;
  let askedAt: number | null = null;
  let reason = 'failure';
  let failed = false;

  const report = (error: unknown, what: string): void => {
    if (running) running.logger.fatal({ err: error }, `${name} ${what}`);
    else process.stderr.write(`${name}: ${what}: ${describe(error)}\n`);
  };

  const grace = closeWithGrace(
    {
      delay: stopWithinMs,
      logger: false,
      skip: ownBusiness,
      onSecondError: (error) => report(error, 'failed while it stopped'),
      onTimeout: () => running?.logger.error(`${name} did not stop in time`),
    },
    async (why) => {
      stopping = true;
      // By the key: what is thrown or rejected with may be nothing at all, and is a failure all the same.
      if ('err' in why) {
        failed = true;
        report(why.err, 'failed');
        if (!running) throw new Stopped();
      }
      // Asked to stop while it starts: what is half there may have work already.
      const current = running ?? (await starting);
      const { logger } = current;
      logger.info({ reason }, `${name} stopping`);
      try {
        await current.stop();
      } catch (error) {
        logger.error({ err: error }, `${name} failed to stop cleanly`);
        throw new Stopped();
      }
      logger.info(`${name} stopped`);
      if (failed) throw new Stopped();
    },
  );

  function askedToStop(signal: NodeJS.Signals): void {
    const now = performance.now();
    if (askedAt === null) {
      askedAt = now;
      if (stopping) return;
      reason = signal;
      grace.close();
    } else if (now - askedAt > oneWishMs) {
      running?.logger.warn(`${name} was asked to stop again: it ends at once`);
      process.exit(1);
    }
  }

  for (const signal of stopSignals) process.on(signal, askedToStop);
  try {
    running = await starting;
  } catch (error) {
    if (error instanceof ConfigurationError) process.stderr.write(`${error.message}\n`);
    else report(error, 'could not start');
    process.exit(1);
  }
  running.ended?.catch((error: unknown) => {
    if (stopping) return;
    failed = true;
    report(error, 'failed');
    grace.close();
  });
}

/**
 * Runs a one-shot job of ours and exits 0 when it resolves with true, 1 when with false or after a failure, which is reported as
 * `runProcess` does. `consolation` is said after a failure. A signal ends it at once: it is made to be begun again.
 */
export async function runJob(
  name: string,
  job: () => Promise<boolean>,
  ConfigurationError: new (message: string) => Error,
  consolation?: string,
): Promise<never> {
  const fail = (error: unknown): void => {
    const message =
      error instanceof ConfigurationError ? error.message : `${name} failed: ${describe(error)}`;
    process.stderr.write([message, consolation, ''].filter((line) => line !== undefined).join('\n'));
  };
  closeWithGrace({ logger: false, skip: ownBusiness, onSecondError: fail }, async ({ err }) => {
    fail(err);
    throw new Stopped();
  });
  let done = false;
  try {
    done = await job();
  } catch (error) {
    fail(error);
  }
  process.exit(done ? 0 : 1);
}

/** Has close-with-grace exit with 1; what went wrong has been reported. */
class Stopped extends Error {}

/** The message of our own errors; what may be shown of foreign ones. */
const describe = (error: unknown): string =>
  error instanceof Failure ? error.message : foreignErrorText(error);
