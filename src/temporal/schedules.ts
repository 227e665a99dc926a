import { ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { SWEEP_SCHEDULE_ID, taskQueues } from '../domain/ids.js';

/** Creates or updates our schedules. Idempotent. */
export async function ensureSchedules(
  client: Client,
  options: { sweepEveryMs: number; sweepGraceMs: number },
): Promise<void> {
  const spec = { intervals: [{ every: options.sweepEveryMs }] };
  // What an outage skipped is not caught up with: the next sweep finds everything that is due anyway.
  const policies = {
    overlap: ScheduleOverlapPolicy.SKIP,
    catchupWindow: Math.max(options.sweepEveryMs, 10_000),
  };
  const action = {
    type: 'startWorkflow' as const,
    workflowType: 'sweep',
    workflowId: 'sweep',
    taskQueue: taskQueues.core,
    args: [{ graceMs: options.sweepGraceMs }],
  };
  try {
    await client.schedule.create({ scheduleId: SWEEP_SCHEDULE_ID, spec, policies, action });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule
      .getHandle(SWEEP_SCHEDULE_ID)
      .update((previous) => ({ ...previous, spec, policies, action }));
  }
}
