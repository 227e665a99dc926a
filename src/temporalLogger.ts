import { DefaultLogger } from '@temporalio/worker';
import type { LogEntry, Logger as TemporalLogger } from '@temporalio/worker';
import type { Logger } from './logger.js';

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
    const line = { ...fields, ...(error === undefined ? {} : { err: error }) };
    if (level === 'ERROR') logger.error(line, message);
    else if (level === 'WARN') logger.warn(line, message);
    else logger.debug(line, message);
  });
}
