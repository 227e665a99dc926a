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

/** Plaid's code, which activities give as their failure's first detail; null where none was said, or it cannot be read. */
function codeOf(payload: { data?: Uint8Array | null } | null | undefined): string | null {
  try {
    const said: unknown = JSON.parse(Buffer.from(payload?.data ?? []).toString('utf8'));
    const code = typeof said === 'object' && said !== null && 'error_code' in said ? said.error_code : null;
    return typeof code === 'string' ? code : null;
  } catch {
    return null;
  }
}

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
    const code = codeOf(activity.lastFailure.applicationFailureInfo?.details?.payloads?.[0]);
    return {
      step: steps[name] ?? name,
      // A try without an answer carries no type of ours.
      type: (type as FailureType | null | undefined) ?? 'TIMED_OUT',
      ...(code === null ? {} : { error_code: code }),
      at,
    };
  }
  return null;
}
