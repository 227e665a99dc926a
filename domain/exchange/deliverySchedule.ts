const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** Before the second attempt, the third and so on: those of Standard Webhooks 1.0.0. */
export const deliveryPauses: readonly number[] = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];

/** From one attempt that comes before its time to the next such one, at the least. */
export const betweenEarlyMs = 5 * minute;

/** What a receiver may ask for at most by Retry-After. */
const longestRetryAfterMs = 24 * hour;

/** For how long a receiver has asked to be left, in milliseconds; `retryAfterMs`: null = it did not. */
export const askedFor = (retryAfterMs: number | null): number =>
  Math.min(retryAfterMs ?? 0, longestRetryAfterMs);

/** Receivers that were down together are not asked together: ± 20 %. `chance` is from 0 to 1. */
export const spread = (pauseMs: number, chance: number): number => Math.round(pauseMs * (0.8 + 0.4 * chance));

/** What follows an attempt that failed. */
export interface NextAttempt {
  /** Whether it was one of the schedule. */
  counted: boolean;
  /** Milliseconds to the next; null = it was the last. */
  pauseMs: number | null;
}

/**
 * An attempt that comes before its time is none of the schedule's, which goes on as if it had not been: an endpoint that answers now and
 * then, each time for a moment, would use up in minutes what is to last for days. `earlyByMs`: by how much it came before.
 */
export function afterFailedAttempt(
  attempts: number,
  earlyByMs: number,
  retryAfterMs: number | null,
  chance: number,
): NextAttempt {
  if (earlyByMs <= 0) return { counted: true, pauseMs: pauseAfter(attempts, retryAfterMs, chance) };
  return { counted: false, pauseMs: Math.max(earlyByMs, askedFor(retryAfterMs)) };
}

/**
 * Milliseconds from an attempt that failed to the next; null = it was the last. `attempts` counts those that the schedule has
 * had, from 1; `retryAfterMs` is what the receiver asked for.
 */
export function pauseAfter(attempts: number, retryAfterMs: number | null, chance: number): number | null {
  const pause = deliveryPauses[attempts - 1];
  if (pause === undefined) return null;
  return Math.max(spread(pause, chance), askedFor(retryAfterMs));
}
