import { pino } from 'pino';
import type { DestinationStream, LogFn, Logger, LoggerOptions } from 'pino';
import { describeForeignError, ownFrames } from '../domain/foreignError.js';
import { Failure } from '../domain/failures.js';
import { ConfigError, olderNamesIn } from './config.js';

export type { Logger };

/**
 * JSON lines on standard output. Errors are written by allow-list. Of *our* Failures: class, type, message, upstream code and
 * frames. Of a foreign error: what `describeForeignError` lets through, since its message or its fields may hold a secret (an
 * axios error holds the Plaid secret and the access token). Tests give a destination.
 */
export function createLogger(process: string, level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: { process },
    messageKey: 'msg',
    serializers: { err: describeError, error: describeError },
    hooks: {
      /** Pino, and Fastify in its own lines, take the message of an error for the line's. */
      logMethod(given: unknown[], method) {
        const [first, text] = given;
        const error = first instanceof Error ? first : errorOf(first);
        if (error === null || isOurs(error)) return method.apply(this, given as Parameters<LogFn>);
        const quoted = typeof text !== 'string' || (error.message !== '' && text.includes(error.message));
        const fields = first instanceof Error ? { err: error } : first;
        const rest = quoted ? [describeForeignError(error).class] : given.slice(1);
        return method.apply(this, [fields, ...rest] as unknown as Parameters<LogFn>);
      },
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

function errorOf(fields: unknown): Error | null {
  if (typeof fields !== 'object' || fields === null) return null;
  const { err, error } = fields as { err?: unknown; error?: unknown };
  if (err instanceof Error) return err;
  return error instanceof Error ? error : null;
}

const isOurs = (error: Error): boolean => error instanceof Failure || error instanceof ConfigError;
/** Types of our failures, also as Temporal carries them. */
const failureType = /^[A-Z][A-Z_]*$/;

function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error) || !isOurs(error)) {
    const type = error instanceof Error && 'type' in error ? error.type : undefined;
    const known = typeof type === 'string' && failureType.test(type) ? { type } : {};
    return { ...describeForeignError(error), ...known };
  }
  return {
    class: error.name,
    message: error.message,
    ...(error instanceof Failure ? { type: error.type, upstream: error.upstream } : {}),
    frames: ownFrames(error),
  };
}

/** Warns of variables of the environment that are set by a name of before. */
export function warnOfOlderNames(logger: Logger): void {
  for (const [variable, instead] of olderNamesIn()) {
    logger.warn(
      { variable, instead },
      'this variable has an older name, which a later release will not read',
    );
  }
}
