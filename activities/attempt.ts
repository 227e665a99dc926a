import { activityInfo, asyncLocalStorage, cancellationSignal } from '@temporalio/activity';
import { Failure } from '../domain/failures.js';

/** Before Temporal gives the attempt up: to say what was reached, not that nothing was. */
const marginMs = 5_000;

/** Does work under a signal that is aborted, with a Failure as its reason, when nobody will take its result any more. */
export type Attempt = <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>;

/**
 * The attempt of the activity that runs: its signal is aborted shortly before `startToCloseTimeout`, and when Temporal says with
 * a heartbeat that it was cancelled or has timed out. Called by itself, outside Temporal, work has no end.
 */
export const temporalAttempt: Attempt = async (work) => {
  const over = new AbortController();
  const end = (): void =>
    over.abort(new Failure('UPSTREAM_DOWN', 'the attempt has no time left', { outcomeUnknown: true }));
  if (asyncLocalStorage.getStore() === undefined) return work(over.signal);
  const { startToCloseTimeoutMs } = activityInfo();
  const cancelled = cancellationSignal();
  const timer = setTimeout(end, Math.max(startToCloseTimeoutMs - marginMs, startToCloseTimeoutMs / 2));
  cancelled.addEventListener('abort', end, { once: true });
  if (cancelled.aborted) end();
  try {
    return await work(over.signal);
  } finally {
    clearTimeout(timer);
    cancelled.removeEventListener('abort', end);
  }
};
