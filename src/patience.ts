import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError } from '@temporalio/client';
import { Failure, isRetryable } from '../domain/failures.js';

/** gRPC's DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED and UNAVAILABLE. */
const transientStatus = new Set([4, 8, 10, 14]);

/** Whether time alone may mend it: what another process answers, or does not, while it is only just starting. */
function isTransient(error: unknown): boolean {
  if (error instanceof Failure) return isRetryable(error.type);
  if (isGrpcServiceError(error)) return transientStatus.has(error.code);
  return error instanceof Error && error.cause !== undefined && isTransient(error.cause);
}

export interface Patience {
  /** The whole time in which a step is begun again. */
  forMs: number;
  pauseMs: number;
  /** Called once a step that has to wait. */
  onWait(what: string): void;
}

/**
 * Does a step of a one-shot job that starts beside what it needs (containers that come up together): repeats it while what it
 * needs does not answer. What waiting cannot mend, a wrong password say, rejects at once. The step must be idempotent.
 */
export async function patiently<T>(what: string, step: () => Promise<T>, patience: Patience): Promise<T> {
  const deadline = performance.now() + patience.forMs;
  let reported = false;
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!isTransient(error) || performance.now() > deadline) throw error;
      if (!reported) patience.onWait(what);
      reported = true;
      await sleep(patience.pauseMs);
    }
  }
}
