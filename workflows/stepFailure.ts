import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/common';
import type { StepFailure } from '../domain/mining/run.js';

/** Plaid's code, which activities give as their failure's first detail. */
function codeOf(cause: unknown): string | null {
  const said: unknown = cause instanceof ApplicationFailure ? cause.details?.[0] : null;
  const code = typeof said === 'object' && said !== null && 'error_code' in said ? said.error_code : null;
  return typeof code === 'string' ? code : null;
}

/** The pause that the other side asked for and that the activity did not keep, as its second detail. */
function pauseOf(cause: unknown): number | null {
  const said: unknown = cause instanceof ApplicationFailure ? cause.details?.[1] : null;
  const ms = typeof said === 'object' && said !== null && 'retryAfterMs' in said ? said.retryAfterMs : null;
  return typeof ms === 'number' ? ms : null;
}

/** What is remembered of a failed activity; rethrows everything that is not one (a cancellation, say). */
export function stepFailure(step: string, error: unknown, now: number): StepFailure {
  if (!(error instanceof ActivityFailure)) throw error;
  const cause = error.cause;
  const type =
    cause instanceof ApplicationFailure
      ? (cause.type ?? 'UNEXPECTED')
      : cause instanceof TimeoutFailure
        ? 'TIMED_OUT'
        : null;
  if (type === null) throw error;
  const code = codeOf(cause);
  const pause = pauseOf(cause);
  return {
    step,
    type: type as StepFailure['type'],
    ...(code === null ? {} : { error_code: code }),
    at: new Date(now).toISOString(),
    ...(pause === null ? {} : { retryAfter: new Date(now + pause).toISOString() }),
  };
}
