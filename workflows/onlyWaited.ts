import { ActivityFailure, TimeoutFailure, TimeoutType } from '@temporalio/common';

/** Whether an activity came back because it had no turn in its queue: nothing was tried, and nothing has failed. */
export function onlyWaited(error: unknown): boolean {
  return (
    error instanceof ActivityFailure &&
    error.cause instanceof TimeoutFailure &&
    error.cause.timeoutType === TimeoutType.SCHEDULE_TO_START
  );
}
