import { isRetryable } from '../domain/failures.js';
import type { StepFailure } from '../domain/mining/run.js';
import type { SweepInput } from './contract.js';
import { sweeper } from './proxies.js';
import { stepFailure } from './stepFailure.js';

/** Workers look for them several times a second: what is found here is what these have missed. */
const endpointsAtOnce = 200;

/** What passes by itself: the next run does what this one could not, and a failed run tells operators of a fault. */
const passes = ({ type }: StepFailure): boolean =>
  type === 'TIMED_OUT' || (type !== 'UNEXPECTED' && isRetryable(type));

/**
 * Finds what no signal has reached the workflows for, and signals them; does what time alone brings about. Run by a Schedule. One that
 * fails holds up none of the others, nor the next run, which begins with all of it. Rejects with what no waiting mends.
 */
export async function sweep(input: SweepInput): Promise<void> {
  const ends = await Promise.allSettled([
    sweeper().sweep({ graceMs: input.graceMs }),
    sweeper().endConnections(),
    sweeper().wakeEndpoints({ limit: endpointsAtOnce }),
    sweeper().sweepErasures({ graceMs: input.graceMs }),
  ]);
  // Only now: with the end of its workflow whatever still runs would be cancelled.
  for (const end of ends) {
    if (end.status === 'rejected' && !passes(stepFailure('sweep', end.reason, Date.now()))) throw end.reason;
  }
}
