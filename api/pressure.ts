import underPressure from '@fastify/under-pressure';
import type { Api } from './deps.js';
import { Problem } from './errors.js';

const soonMs = 5_000;

/**
 * Refuses the requests of a scope at their head while the process is so busy that each turn of its event loop takes longer than
 * `delayMs`: what it has taken it answers in time, instead of answering all of it too late. 0 = refuses none.
 */
export async function shedLoad(scope: Api, delayMs: number): Promise<void> {
  await scope.register(underPressure, {
    maxEventLoopDelay: delayMs,
    pressureHandler: async () => {
      throw new Problem('unavailable', { retryAfterMs: soonMs });
    },
  });
}
