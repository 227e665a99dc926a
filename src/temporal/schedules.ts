import { ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import {
  CLEAN_UP_SCHEDULE_ID,
  INSTITUTION_STATUS_SCHEDULE_ID,
  INSTITUTIONS_SCHEDULE_ID,
  SWEEP_SCHEDULE_ID,
  taskQueues,
} from '../../domain/ids.js';
import type { Retention } from '../../domain/retention.js';

export interface SchedulesOptions {
  sweepEveryMs: number;
  sweepGraceMs: number;
  institutionsEveryMs: number;
  institutionPagesPerMinute: number;
  institutionStatusEveryMs: number;
  cleanUpEveryMs: number;
  keep: Retention;
}

interface Job {
  scheduleId: string;
  everyMs: number;
  /** How late a run may start that an outage held up; what is later is left to the next one. */
  catchupMs: number;
  workflowType: string;
  input: object;
  /** A run that has not ended by then is ended by Temporal: else, since runs never overlap, one that hangs would be the last. */
  longestMs: number;
  /** Run once at once when the schedule is made, not only at the next full interval. */
  atOnce?: boolean;
}

/** Half of Plaid's 400 a minute: the other half is for clients that ask by themselves. */
const statusCallsPerMinute = 200;

const hour = 3_600_000;

/** Creates or updates our schedules. Idempotent. */
export async function ensureSchedules(client: Client, options: SchedulesOptions): Promise<void> {
  // What an outage skipped is not caught up with: the next sweep finds everything that is due anyway.
  await ensure(client, {
    scheduleId: SWEEP_SCHEDULE_ID,
    everyMs: options.sweepEveryMs,
    catchupMs: options.sweepEveryMs,
    workflowType: 'sweep',
    input: { graceMs: options.sweepGraceMs },
    longestMs: hour,
  });
  await ensure(client, {
    scheduleId: INSTITUTIONS_SCHEDULE_ID,
    everyMs: options.institutionsEveryMs,
    catchupMs: Math.min(options.institutionsEveryMs, hour),
    workflowType: 'syncInstitutions',
    input: { pagesPerMinute: options.institutionPagesPerMinute },
    longestMs: 12 * hour,
    atOnce: true,
  });
  await ensure(client, {
    scheduleId: INSTITUTION_STATUS_SCHEDULE_ID,
    everyMs: options.institutionStatusEveryMs,
    catchupMs: Math.min(options.institutionStatusEveryMs, 60_000),
    workflowType: 'refreshInstitutionStatus',
    input: { callsPerMinute: statusCallsPerMinute },
    longestMs: 6 * hour,
  });
  await ensure(client, {
    scheduleId: CLEAN_UP_SCHEDULE_ID,
    everyMs: options.cleanUpEveryMs,
    catchupMs: Math.min(options.cleanUpEveryMs, hour),
    workflowType: 'cleanUp',
    input: { keep: options.keep },
    longestMs: 12 * hour,
  });
}

async function ensure(client: Client, job: Job): Promise<void> {
  const { scheduleId } = job;
  const spec = { intervals: [{ every: job.everyMs }] };
  // Temporal takes no window below ten seconds.
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: Math.max(job.catchupMs, 10_000) };
  const action = {
    type: 'startWorkflow' as const,
    workflowType: job.workflowType,
    workflowId: scheduleId,
    taskQueue: taskQueues.core,
    args: [job.input],
    workflowExecutionTimeout: job.longestMs,
  };
  try {
    await client.schedule.create({
      scheduleId,
      spec,
      policies,
      action,
      ...(job.atOnce === true ? { state: { triggerImmediately: true } } : {}),
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule
      .getHandle(scheduleId)
      .update((previous) => ({ ...previous, spec, policies, action }));
  }
}
