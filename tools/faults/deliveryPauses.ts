import type { System } from './system.js';

/** A delivery that waits longer than this is due now, and so is an endpoint that rests longer. */
const longestMs = 8_000;

/**
 * Pauses of deliveries and of endpoints that failed again and again last for minutes and hours: nobody waits for them. Of deliveries those
 * that were tried less than `attempts` times are meant.
 */
export async function passOverPauses({ sql }: System, attempts = Infinity): Promise<void> {
  await sql`
    UPDATE deliveries SET next_attempt_at = now(), scheduled_at = least(scheduled_at, now())
    WHERE state = 'pending' AND attempts < ${attempts}::float8 AND next_attempt_at > now() + ${longestMs} * interval '1 ms'`;
  await sql`UPDATE endpoints SET rests_until = NULL WHERE rests_until > now() + ${longestMs} * interval '1 ms'`;
}
