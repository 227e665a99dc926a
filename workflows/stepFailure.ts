import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/common';
import type { StepFailure } from '../domain/mining/run.js';

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
  return { step, type: type as StepFailure['type'], at: new Date(now).toISOString() };
}
