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

/**
 * Runs one of our processes: starts it, stops it once on SIGTERM or SIGINT, exits 0 after a clean stop and 1 after a
 * failure. A configuration error is printed as its message alone.
 */
export async function runProcess(
  name: string,
  start: () => Promise<Running>,
  ConfigurationError: new (message: string) => Error,
): Promise<void> {
  let running: Running;
  try {
    running = await start();
  } catch (error) {
    if (error instanceof ConfigurationError) process.stderr.write(`${error.message}\n`);
    else process.stderr.write(`${name}: could not start: ${describe(error)}\n`);
    process.exit(1);
  }
  const { logger, ended } = running;
  let stopping = false;
  const end = (reason: string, code: number): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ reason }, `${name} stopping`);
    setTimeout(() => {
      logger.error(`${name} did not stop in time`);
      process.exit(1);
    }, stopWithinMs).unref();
    running.stop().then(
      () => {
        logger.info(`${name} stopped`);
        process.exit(code);
      },
      (err: unknown) => {
        logger.error({ err }, `${name} failed to stop cleanly`);
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', () => end('SIGTERM', 0));
  process.once('SIGINT', () => end('SIGINT', 0));
  ended?.catch((err: unknown) => {
    logger.fatal({ err }, `${name} failed`);
    end('failure', 1);
  });
}

/** Class and message of our own errors, class alone of foreign ones: their messages may quote a secret. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : '';
  return error.name === 'Failure' ? error.message : `${error.name}${code}`;
}
