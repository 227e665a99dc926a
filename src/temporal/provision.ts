import { setTimeout as sleep } from 'node:timers/promises';
import type { TemporalOptions } from './connect.js';
import { openClient } from './connect.js';
import type { SchedulesOptions } from './schedules.js';
import { ensureSchedules } from './schedules.js';
import { ensureNamespace, ensureSearchAttributes, isUnknownNamespace } from './setUp.js';
import { temporalFailure } from './temporalFailures.js';

const pauseMs = 500;

/** Repeats a step while the server does not know the namespace yet that was just made, until `deadline`. */
async function onceKnown(deadline: number, step: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!isUnknownNamespace(error) || Date.now() + pauseMs > deadline) throw error;
      await sleep(pauseMs);
    }
  }
}

/**
 * Makes the namespace, the search attributes and the schedules, all within `timeoutMs`. Idempotent. A connection of its own each
 * time: one that was refused waits longer and longer before it tries again. Rejects with a Failure that names the step.
 */
export async function provisionTemporal(
  options: TemporalOptions,
  schedules: SchedulesOptions,
  timeoutMs = 30_000,
): Promise<void> {
  const { namespace } = options;
  const { client, connection } = openClient(options);
  const deadline = Date.now() + timeoutMs;
  const steps = {
    [`the namespace "${namespace}"`]: () => ensureNamespace(connection, namespace),
    'our search attributes': () => ensureSearchAttributes(connection, namespace),
    'our schedules': () => ensureSchedules(client, schedules),
  };
  try {
    await connection.withDeadline(deadline, async () => {
      for (const [what, step] of Object.entries(steps)) {
        await onceKnown(deadline, step).catch((error: unknown) => {
          throw temporalFailure(what, error);
        });
      }
    });
  } finally {
    await connection.close();
  }
}
