import { activityInfo, ApplicationFailure, CancelledFailure, heartbeat } from '@temporalio/activity';
import { Failure } from '../domain/failures.js';
import { backoff } from '../domain/item/policy.js';
import { taskQueues } from '../domain/ids.js';
import { ofTheBank } from './bankPause.js';

/**
 * Before a rate-limited call is repeated, doubling. Plaid's windows are minutes, but a burst that met the edge of one is
 * through after seconds: to wait a whole window each time would hold a backfill up for nothing.
 */
const rateLimitFirstPauseMs = 2_000;
const rateLimitLongestPauseMs = 60_000;
const maintenancePauseMs = 120_000;
/**
 * The longest pause that an activity keeps: for a longer one it comes back, since its workflow has other things to do meanwhile (a
 * removal, say) and shows what it waits for.
 */
const longestPauseHereMs = 15_000;

/** Between half of the pause and all of it: who was refused together shall not come back together. */
const spread = (pauseMs: number): number => Math.round(pauseMs * (0.5 + Math.random() / 2));

/**
 * A Failure in the form that Temporal keeps: type, retryability, the pause that the other side asked for. Messages of
 * foreign errors never get here (adapters made them Failures); an unexpected error is shown by its class name only,
 * since its message may quote what must not enter a history.
 */
function toApplicationFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (!(error instanceof Failure)) {
    return ApplicationFailure.create({
      type: 'UNEXPECTED',
      message: `unexpected ${error instanceof Error ? error.name : typeof error}`,
      nonRetryable: false,
    });
  }
  const pause =
    error.retryAfterMs ??
    (error.type === 'RATE_LIMITED'
      ? spread(backoff(activityInfo().attempt, rateLimitFirstPauseMs, rateLimitLongestPauseMs))
      : error.type === 'MAINTENANCE'
        ? maintenancePauseMs
        : undefined);
  // A user who waits has no workflow behind that could do better than to wait.
  const isLong = (pause ?? 0) > longestPauseHereMs && activityInfo().taskQueue !== taskQueues.plaidLink;
  return ApplicationFailure.create({
    type: error.type,
    message: error.message,
    // A bank that is down needs the workflow's pauses: those between attempts would have it asked six times in half a minute.
    nonRetryable: !error.retryable || error.type === 'INSTITUTION_DOWN' || ofTheBank(error) || isLong,
    details: [error.upstream ?? null, ...(isLong ? [{ retryAfterMs: pause }] : [])],
    ...(pause === undefined ? {} : { nextRetryDelay: pause }),
  });
}

/** What no adapter foresaw, what Temporal refuses for what we have sent, and what our database lacks although it is asked again. */
function isOurFault(error: unknown): boolean {
  if (!(error instanceof Failure)) return !(error instanceof ApplicationFailure);
  return error.type === 'ORCHESTRATOR_REFUSED' || (error.type === 'MISCONFIGURED' && error.retryable);
}

/** Well below the proxies' heartbeat time-out, so that a killed worker is noticed within seconds and a busy one is not. */
const heartbeatEveryMs = 1_000;

type Activities = Record<string, (...args: never[]) => Promise<unknown>>;

/** Every activity as Temporal runs it: with heartbeats, and with its errors turned into ApplicationFailures. */
export function atTheEdge<T extends Activities>(
  group: T,
  report: (activity: string, error: unknown) => void,
): T {
  const wrapped = Object.entries(group).map(([name, run]) => [
    name,
    async (...args: never[]) => {
      const beat = setInterval(() => heartbeat(), heartbeatEveryMs);
      try {
        return await run(...args);
      } catch (error) {
        // Temporal's own word that nobody waits any more.
        if (error instanceof CancelledFailure) throw error;
        if (isOurFault(error)) report(name, error);
        throw toApplicationFailure(error);
      } finally {
        clearInterval(beat);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}
