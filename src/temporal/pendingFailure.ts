import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { FailureType } from '../../domain/failures.js';
import type { StepFailure } from '../../domain/mining/run.js';

/** The workflow's own names for what these activities do. */
const steps: Readonly<Record<string, string>> = {
  minePage: 'page',
  saveNumbers: 'numbers',
  settleRemovals: 'removals',
  settleItemWebhooks: 'itemWebhooks',
  checkItem: 'check',
  removeItem: 'remove',
  loadItem: 'reload',
};

type Stamp = { seconds?: { toNumber(): number } | null; nanos?: number | null } | null | undefined;

const isoOf = (stamp: Stamp): string | null =>
  stamp?.seconds == null
    ? null
    : new Date(stamp.seconds.toNumber() * 1000 + (stamp.nanos ?? 0) / 1e6).toISOString();

/**
 * The last failed try of an activity that Temporal itself is repeating, of which the workflow does not know yet; null when none
 * is. An activity may be repeated for ten minutes before its workflow hears of it.
 */
export function pendingFailure({ raw }: WorkflowExecutionDescription): StepFailure | null {
  for (const activity of raw.pendingActivities ?? []) {
    const type = activity.lastFailure?.applicationFailureInfo?.type;
    const at = isoOf(activity.lastAttemptCompleteTime) ?? isoOf(activity.lastStartedTime);
    const name = activity.activityType?.name;
    if (activity.lastFailure == null || at === null || name == null) continue;
    // A try without an answer carries no type of ours.
    return { step: steps[name] ?? name, type: (type as FailureType | null | undefined) ?? 'TIMED_OUT', at };
  }
  return null;
}
