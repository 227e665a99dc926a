import type { TemporalOptions } from './connect.js';
import { openClient } from './connect.js';
import type { SchedulesOptions } from './schedules.js';
import { ensureSchedules } from './schedules.js';
import { ensureSearchAttributes } from './searchAttributes.js';

/**
 * Makes search attributes and schedules, all within `timeoutMs`. Idempotent. A connection of its own each time: one that was
 * refused waits longer and longer before it tries again. Rejects with gRPC's own errors.
 */
export async function provisionTemporal(
  options: TemporalOptions,
  schedules: SchedulesOptions,
  timeoutMs = 30_000,
): Promise<void> {
  const { client, connection } = openClient(options);
  try {
    await connection.withDeadline(Date.now() + timeoutMs, async () => {
      await ensureSearchAttributes(connection, options.namespace);
      await ensureSchedules(client, schedules);
    });
  } finally {
    await connection.close();
  }
}
