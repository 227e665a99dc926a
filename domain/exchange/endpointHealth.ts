import { askedFor, spread } from './deliverySchedule.js';
import type { EndpointState } from './endpoint.js';

/** What is known of how an endpoint answers. Times in milliseconds since the epoch. */
export interface EndpointHealth {
  state: EndpointState;
  /** Attempts in a row that failed. */
  failures: number;
  /** The first of them. */
  failingSince: number | null;
  /** It is left alone until then. */
  quietUntil: number | null;
}

/** How an attempt ended; status null = no answer. */
export interface Answered {
  status: number | null;
  retryAfterMs: number | null;
}

/** Why an endpoint's state changed: what `reason` shows. */
export type HealthReason = 'no_success' | 'gone' | 'failed_for_days';

export type HealthChange =
  | { to: 'failing' | 'disabled'; reason: HealthReason }
  | { to: 'recovered'; reason: null };

/** So many failures in a row open the breaker: from then on one attempt is made, and then it is left alone. */
export const breakerFailures = 5;
const firstQuietMs = 60_000;
const longestQuietMs = 3_600_000;
/** After one that asks to be slowed down and does not say for how long. */
const slowedMs = 5_000;
const disabledAfterMs = 5 * 24 * 3_600_000;

export const isSuccess = ({ status }: Answered): boolean => status !== null && status >= 200 && status < 300;

/** Of HTTP: it has too much to do, or what stands before it has. */
const slows: ReadonlySet<number> = new Set([429, 502, 504]);

function quietAfter(failures: number, answered: Answered, chance: number): number {
  const asked = askedFor(answered.retryAfterMs);
  const { status } = answered;
  if (failures >= breakerFailures) {
    const breaker = Math.min(firstQuietMs * 2 ** (failures - breakerFailures), longestQuietMs);
    return Math.max(asked, spread(breaker, chance));
  }
  return status !== null && slows.has(status) ? Math.max(asked, spread(slowedMs * failures, chance)) : asked;
}

/**
 * Whether an endpoint that has taken something is left alone all the same. What it has asked for by another answer holds: both were on
 * their way. Our own pause, for one that failed again and again, is over.
 */
const quietLeft = ({ state, quietUntil }: EndpointHealth, now: number): number | null =>
  state !== 'failing' && quietUntil !== null && quietUntil > now ? quietUntil : null;

/** What an attempt makes of an endpoint. One that is off stays off, whatever an attempt says that was on its way. */
export function afterAttempt(
  before: EndpointHealth,
  answered: Answered,
  now: number,
  chance: number,
): { health: EndpointHealth; change: HealthChange | null } {
  const isOn = before.state === 'enabled' || before.state === 'failing';
  if (isSuccess(answered)) {
    const state = isOn ? 'enabled' : before.state;
    return {
      health: { state, failures: 0, failingSince: null, quietUntil: quietLeft(before, now) },
      change: before.state === 'failing' ? { to: 'recovered', reason: null } : null,
    };
  }
  // What was on its way when the breaker opened lengthens no pause: whoever is asked behind it does.
  const isKnown = before.failures >= breakerFailures && before.quietUntil !== null && before.quietUntil > now;
  const failures = before.failures + (isKnown ? 0 : 1);
  const failingSince = before.failingSince ?? now;
  const quietMs = isKnown ? askedFor(answered.retryAfterMs) : quietAfter(failures, answered, chance);
  const quietUntil = quietMs > 0 ? Math.max(before.quietUntil ?? 0, now + quietMs) : before.quietUntil;
  const health: EndpointHealth = { state: before.state, failures, failingSince, quietUntil };
  if (!isOn) return { health, change: null };
  const change = (to: 'failing' | 'disabled', reason: HealthReason) => ({
    health: { ...health, state: to },
    change: { to, reason },
  });
  if (answered.status === 410) return change('disabled', 'gone');
  if (now - failingSince >= disabledAfterMs) return change('disabled', 'failed_for_days');
  if (failures >= breakerFailures && before.state === 'enabled') return change('failing', 'no_success');
  return { health, change: null };
}
