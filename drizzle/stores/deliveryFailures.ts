import { afterFailedAttempt, betweenEarlyMs } from '../../domain/exchange/deliverySchedule.js';
import { afterAttempt, isSuccess } from '../../domain/exchange/endpointHealth.js';
import type { EndpointHealth, HealthChange } from '../../domain/exchange/endpointHealth.js';
import type { EventType } from '../../domain/exchange/event.js';
import type { Attempted } from '../../domain/ports/deliveries.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { deliveries, endpoints } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { writeEvents } from './writeEvents.js';

const judged = selection(
  endpoints,
  ['application_id', 'url', 'state', 'state_reason', 'failures', 'failing_since'],
  { quiet_until: 'rests_until', judged_since: asText('judged_since') },
);
const tried = selection(deliveries, [
  'delivery_id',
  'state',
  'attempts',
  'attempts_before',
  'scheduled_at',
  'lane',
  'position',
]);

const types: Record<HealthChange['to'], EventType> = {
  failing: 'endpoint.failing',
  disabled: 'endpoint.disabled',
  recovered: 'endpoint.recovered',
};

const ms = (time: Date | null): number | null => (time === null ? null : time.getTime());
const text = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString());

/** Deliveries that wait for an endpoint. */
const waiting = (tx: Tx, endpointId: string): Fragment => tx`
  SELECT w.delivery_id FROM deliveries w
  WHERE w.endpoint_id = ${endpointId} AND w.state = 'pending' AND w.next_attempt_at > clock_timestamp()`;

/**
 * Columns of a delivery `d` that is tried now, whatever its schedule says: that goes on behind it. One that was not taken so before is tried
 * some minutes later: by the news that it has failed and recovered an endpoint would recover anew, and bring all forward, without end.
 */
export const atOnce = (sql: Sql | Tx): Fragment => sql`
  next_attempt_at = CASE WHEN d.scheduled_at IS NULL THEN clock_timestamp()
    ELSE least(d.next_attempt_at, clock_timestamp() + ${`${betweenEarlyMs} milliseconds`}::interval) END,
  scheduled_at = CASE WHEN d.attempts > d.attempts_before THEN coalesce(d.scheduled_at, d.next_attempt_at) END`;

/** What waits for an endpoint may be tried at once: it answers once more. Called under the endpoint's lock. */
export async function bringForward(tx: Tx, endpointId: string): Promise<void> {
  await tx`
    WITH locked AS (
      SELECT d.delivery_id FROM deliveries d WHERE d.delivery_id IN (${waiting(tx, endpointId)}) ORDER BY d.delivery_id FOR UPDATE
    )
    UPDATE deliveries d SET ${atOnce(tx)}
    FROM locked WHERE d.delivery_id = locked.delivery_id AND d.state = 'pending'`;
}

/**
 * What waits for an endpoint with a new address is sent there at once, and with all attempts of its schedule: nobody there has been asked
 * for it. Called under the endpoint's lock.
 */
export async function beginAnew(tx: Tx, endpointId: string): Promise<void> {
  const triedElsewhere = (state: Fragment): Fragment => tx`
    SELECT w.delivery_id FROM deliveries w
    WHERE w.endpoint_id = ${endpointId} AND w.state = ${state} AND w.attempts > w.attempts_before`;
  await tx`
    WITH locked AS (
      SELECT d.delivery_id FROM deliveries d WHERE d.delivery_id IN (${waiting(tx, endpointId)}
        UNION ALL ${triedElsewhere(tx`'pending'`)} UNION ALL ${triedElsewhere(tx`'held'`)})
      ORDER BY d.delivery_id FOR UPDATE
    )
    UPDATE deliveries d SET attempts_before = d.attempts, next_attempt_at = least(d.next_attempt_at, clock_timestamp()),
      scheduled_at = NULL
    FROM locked WHERE d.delivery_id = locked.delivery_id AND d.state IN ('pending', 'held')`;
}

/**
 * Records attempts of which some have failed, or after which the endpoint is to be judged anew, in one transaction under the
 * endpoint's lock: the attempts, the time of the next ones, the endpoint's health, and an event when its state changes. `recorded`
 * are such as stand already, and only say how it is.
 */
export async function recordFailures(
  sql: Sql,
  endpointId: string,
  holder: string,
  attempts: readonly Attempted[],
  recorded: readonly Attempted[] = [],
): Promise<void> {
  await sql.begin(async (tx) => {
    const endpoint = firstOf(
      await tx<(Selected<typeof judged> & { now: Date })[]>`
      SELECT ${judged.list(tx, 'p')}, clock_timestamp() AS now FROM endpoints p
      WHERE p.endpoint_id = ${endpointId} FOR NO KEY UPDATE`,
    );
    if (endpoint === undefined) return;
    const now = endpoint.now.getTime();
    const recovers =
      endpoint.state === 'failing' && [...attempts, ...recorded].some(({ result }) => isSuccess(result));
    const given = attempts.map(({ deliveryId }) => deliveryId);
    // With what may be brought forward: whoever locks several at one time and others later waits for one who does the same.
    const rows = await tx<(Selected<typeof tried> & { mine: boolean | null })[]>`
      SELECT ${tried.list(tx, 'd')}, d.claim = ${holder} AND d.delivery_id = ANY(${given}::text[]) AS mine FROM deliveries d
      WHERE d.delivery_id IN (
        SELECT unnest(${given}::text[]) ${recovers ? tx`UNION ALL ${waiting(tx, endpointId)}` : tx``})
      ORDER BY d.delivery_id FOR UPDATE`;
    const mine = new Map(rows.filter((row) => row.mine).map((row) => [row.delivery_id, row]));

    let health: EndpointHealth = {
      state: endpoint.state,
      failures: endpoint.failures,
      failingSince: ms(endpoint.failing_since),
      quietUntil: ms(endpoint.quiet_until),
    };
    const changes: HealthChange[] = [];
    /** Whether its application has given no other address since. */
    const isHere = ({ url }: Attempted): boolean => url === endpoint.url;
    /** Whether it was asked, and failed, before the endpoint was enabled anew, moved or its pause ended, or before it has recovered. */
    const isOver = ({ judgedSince, result }: Attempted): boolean =>
      judgedSince !== endpoint.judged_since && !isSuccess(result);
    const judge = (attempted: Attempted): void => {
      if (!isHere(attempted) || isOver(attempted)) return;
      const judgement = afterAttempt(health, attempted.result, now, Math.random());
      health = judgement.health;
      if (judgement.change !== null) changes.push(judgement.change);
    };
    recorded.forEach(judge);

    const written: object[] = [];
    for (const attempted of attempts) {
      const row = mine.get(attempted.deliveryId);
      if (row === undefined) continue;
      const { result } = attempted;
      judge(attempted);
      const number = row.attempts + 1;
      const delivered = isSuccess(result);
      // At the new address nobody has been asked for it yet.
      const here = isHere(attempted);
      const askedMs = isOver(attempted) ? null : result.retryAfterMs;
      // One that begins anew has no time of its own yet: whoever knows nothing of that time leaves it as it was.
      const scheduledAt = row.attempts > row.attempts_before ? ms(row.scheduled_at) : null;
      const earlyByMs = (scheduledAt ?? now) - now;
      const next = afterFailedAttempt(number - row.attempts_before, earlyByMs, askedMs, Math.random());
      const before = here ? row.attempts_before + (next.counted ? 0 : 1) : number;
      const afterwards = here ? next.pauseMs : 0;
      const pause = delivered ? null : afterwards;
      // One that was cancelled while it was on its way stays so.
      const state =
        row.state !== 'pending' ? row.state : delivered ? 'delivered' : pause === null ? 'failed' : 'pending';
      const goesOn = state === 'pending' && pause !== null;
      written.push({
        delivery_id: row.delivery_id,
        number,
        before,
        state,
        next: goesOn ? text(now + pause) : null,
        // What the receiver asks for puts off the attempt, not the schedule: it would never end.
        scheduled: goesOn && here && !next.counted ? text(scheduledAt) : null,
        at: result.at,
        status: result.status,
        duration_ms: result.durationMs,
        answer: result.answer,
        failure: result.failure,
      });
    }
    await writeAttempts(tx, endpointId, written);

    const last = changes.at(-1);
    const reason = last === undefined ? endpoint.state_reason : last.reason;
    await tx`
      UPDATE endpoints SET state = ${health.state}, state_reason = ${reason}, failures = ${health.failures},
        state_since = CASE WHEN state = ${health.state} THEN state_since ELSE clock_timestamp() END,
        judged_since = CASE WHEN ${last?.to === 'recovered'} THEN clock_timestamp() ELSE judged_since END,
        failing_since = ${text(health.failingSince)}::text::timestamptz,
        rests_until = ${text(health.quietUntil)}::text::timestamptz
      WHERE endpoint_id = ${endpointId}`;
    if (last?.to === 'recovered') await bringForward(tx, endpointId);
    await writeEvents(
      tx,
      changes.map((change) => ({
        type: types[change.to],
        endpointId,
        applicationId: endpoint.application_id,
        data: { endpoint_id: endpointId, ...(change.to === 'recovered' ? {} : { reason: change.reason }) },
      })),
    );
  });
}

async function writeAttempts(tx: Tx, endpointId: string, written: readonly object[]): Promise<void> {
  if (written.length === 0) return;
  await tx`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${JSON.stringify(written)}::text::jsonb)
        AS g(delivery_id text, number int, before int, state text, next timestamptz, scheduled timestamptz, at timestamptz, status int, duration_ms int,
          answer text, failure text)
    ), done AS (
      UPDATE deliveries d SET state = g.state, attempts = g.number, attempts_before = g.before, last_status = g.status, claim = NULL, claimed_until = NULL,
        scheduled_at = g.scheduled,
        next_attempt_at = coalesce(g.next, d.next_attempt_at),
        ended_at = CASE WHEN g.state = 'pending' THEN NULL ELSE coalesce(d.ended_at, clock_timestamp()) END
      FROM given g WHERE d.delivery_id = g.delivery_id
      RETURNING d.delivery_id, d.lane, d.position, d.state, d.next_attempt_at
    ), behind AS (
      -- What another holds is put off when the next due time is asked for.
      SELECT f.delivery_id, done.next_attempt_at FROM done JOIN deliveries f
        ON f.endpoint_id = ${endpointId} AND f.state = 'pending' AND f.lane = done.lane
          AND f.position > done.position AND f.next_attempt_at < done.next_attempt_at
      WHERE done.state = 'pending'
      FOR UPDATE OF f SKIP LOCKED
    ), put_off AS (
      UPDATE deliveries f SET next_attempt_at = behind.next_attempt_at
      FROM behind WHERE f.delivery_id = behind.delivery_id AND f.state = 'pending'
    )
    INSERT INTO delivery_attempts (delivery_id, number, at, status, duration_ms, answer, failure)
    SELECT g.delivery_id, g.number, g.at, g.status, g.duration_ms, g.answer, g.failure FROM given g`;
}
