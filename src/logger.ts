import { DefaultLogger } from '@temporalio/worker';
import type { LogEntry, Logger as TemporalLogger } from '@temporalio/worker';
import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger };

/**
 * JSON lines on standard output. Errors are written by allow-list: class, our own type and message, upstream codes and
 * stack of *our* Failures; of a foreign error the class and the stack's frames only, since its message or its fields may
 * hold a secret (an axios error holds the Plaid secret and the access token).
 */
export function createLogger(process: string, level: string): Logger {
  return pino({
    level,
    base: { process },
    messageKey: 'msg',
    serializers: { err: describeError, error: describeError },
  });
}

function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { class: typeof error };
  const ours = error.name === 'Failure' || error.name === 'ConfigError';
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  return {
    class: error.name,
    ...(ours ? { message: error.message } : {}),
    ...('type' in error && typeof error.type === 'string' ? { type: error.type } : {}),
    ...('upstream' in error && ours ? { upstream: error.upstream } : {}),
    frames: frames.slice(0, 12).map((line) => line.trim()),
  };
}

/** Ids and counts that Temporal's own log lines may carry; everything else of their metadata is dropped. */
const allowed = new Set([
  'workflowId',
  'runId',
  'workflowType',
  'activityType',
  'activityId',
  'attempt',
  'taskQueue',
  'namespace',
  'durationMs',
  'sdkComponent',
]);

/** Temporal's log lines through ours, without their free-form metadata. */
export function temporalLogger(logger: Logger): TemporalLogger {
  return new DefaultLogger('WARN', ({ level, message, meta }: LogEntry) => {
    const fields = Object.fromEntries(Object.entries(meta ?? {}).filter(([key]) => allowed.has(key)));
    const error = meta?.['error'] as unknown;
    const line = { ...fields, ...(error === undefined ? {} : { err: describeError(error) }) };
    if (level === 'ERROR') logger.error(line, message);
    else if (level === 'WARN') logger.warn(line, message);
    else logger.debug(line, message);
  });
}
