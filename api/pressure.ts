import underPressure from '@fastify/under-pressure';
import type { Api } from './deps.js';
import { Problem } from './errors.js';

const soonMs = 5_000;

/**
 * Refuses the requests of a scope at their head while each iteration of the process's event loop takes longer than `delayMs`.
 * So what was taken is answered in time, instead of everything too late. 0 = refuses none.
 */
export async function shedLoad(scope: Api, delayMs: number): Promise<void> {
  await scope.register(underPressure, {
    maxEventLoopDelay: delayMs,
    pressureHandler: async () => {
      throw new Problem('unavailable', { retryAfterMs: soonMs });
    },
  });
}
