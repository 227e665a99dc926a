import type { DeliveryAttempt, DeliveryView, SendFailure } from '../../domain/exchange/endpoint.js';
import type { DeliveryStore } from '../../domain/ports/deliveries.js';
import { pageOf } from '../pageOf.js';
import { firstOf, iso } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { deliveries, deliveryAttempts } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { mayHear } from './audience.js';
import { atOnce } from './deliveryFailures.js';
import { hearerOf, laneOf } from './endpointHearer.js';
import { onceFor } from './onceFor.js';

const viewed = selection(deliveries, [
  'delivery_id',
  'endpoint_id',
  'event_id',
  'type',
  'attempts',
  'last_status',
  'next_attempt_at',
  'created_at',
  'ended_at',
  'position',
]);
type Row = Selected<typeof viewed> & { shown_state: DeliveryView['state'] };

const attempt = selection(deliveryAttempts, ['number', 'at', 'status', 'duration_ms', 'answer', 'failure']);

/** Events that one request for a replay takes. */
const replayedAtOnce = 10_000;

/**
 * The state of a delivery `d` of endpoint `p`: those that wait for one that is off are held, as those whose connection may come back,
 * and those of one that is gone are cancelled.
 */
const shownState = (sql: Sql | Tx): Fragment => sql`(CASE
  WHEN d.state NOT IN ('pending', 'held') THEN d.state
  WHEN p.deleted_at IS NOT NULL THEN 'cancelled'
  WHEN p.state IN ('enabled', 'failing') THEN d.state ELSE 'held' END)`;

/** Asks for a delivery `d` once more: with all attempts of its schedule, and at once. */
const onceMore = (sql: Sql | Tx): Fragment => sql`state = 'pending', attempts_before = d.attempts,
  next_attempt_at = clock_timestamp(), scheduled_at = NULL, ended_at = NULL, claim = NULL, claimed_until = NULL`;

function view(row: Row): DeliveryView {
  return {
    delivery_id: row.delivery_id,
    endpoint_id: row.endpoint_id,
    event_id: row.event_id,
    type: row.type,
    state: row.shown_state,
    attempts: row.attempts,
    next_attempt_at: row.shown_state === 'pending' ? iso(row.next_attempt_at) : null,
    last_status: row.last_status,
    created_at: row.created_at.toISOString(),
    ended_at: iso(row.ended_at),
  };
}

function attemptOf(row: Selected<typeof attempt>): DeliveryAttempt {
  return { ...row, at: row.at.toISOString(), failure: row.failure as SendFailure | null };
}

/** Deliveries to an application's own endpoints. */
export function deliveryStore(sql: Sql): DeliveryStore {
  const isOwn = async (tx: Sql | Tx, applicationId: string, endpointId: string): Promise<boolean> => {
    const rows = await tx`
      SELECT 1 FROM endpoints
      WHERE endpoint_id = ${endpointId} AND application_id = ${applicationId} AND deleted_at IS NULL`;
    return rows.length > 0;
  };

  return {
    async page(applicationId, endpointId, { state }, limit, after) {
      if (!(await isOwn(sql, applicationId, endpointId))) return null;
      const rows = await sql<Row[]>`
        SELECT ${viewed.list(sql, 'd')}, ${shownState(sql)} AS shown_state
        FROM deliveries d JOIN endpoints p USING (endpoint_id)
        WHERE d.endpoint_id = ${endpointId} AND p.application_id = ${applicationId}
          ${state === undefined ? sql`` : sql`AND ${shownState(sql)} = ${state}`}
          ${after === null ? sql`` : sql`AND d.position < ${after[0] ?? '0'}::text::bigint`}
        ORDER BY d.position DESC LIMIT ${limit + 1}`;
      return pageOf(rows, limit, view, (last) => [String(last.position)]);
    },

    async get(applicationId, deliveryId) {
      const row = firstOf(
        await sql<Row[]>`
        SELECT ${viewed.list(sql, 'd')}, ${shownState(sql)} AS shown_state
        FROM deliveries d JOIN endpoints p USING (endpoint_id)
        WHERE d.delivery_id = ${deliveryId} AND p.application_id = ${applicationId}`,
      );
      if (row === undefined) return null;
      const tries = await sql<Selected<typeof attempt>[]>`
        SELECT ${attempt.list(sql)} FROM delivery_attempts WHERE delivery_id = ${deliveryId} ORDER BY number`;
      return { delivery: view(row), tries: tries.map(attemptOf) };
    },

    async resend(applicationId, deliveryId, keyed) {
      return sql.begin(async (tx) => {
        const row = firstOf(
          await tx<Row[]>`
          SELECT ${viewed.list(tx, 'd')}, ${shownState(tx)} AS shown_state
          FROM deliveries d JOIN endpoints p USING (endpoint_id)
          WHERE d.delivery_id = ${deliveryId} AND p.application_id = ${applicationId} AND p.deleted_at IS NULL
          FOR UPDATE OF d`,
        );
        if (row === undefined) return false;
        await onceFor(tx, keyed, async () => {
          // With those behind it, that were put off with it.
          await tx`
            WITH behind AS (
              SELECT f.delivery_id FROM deliveries d JOIN deliveries f ON f.endpoint_id = d.endpoint_id AND f.lane = d.lane
              WHERE d.delivery_id = ${deliveryId}
                AND f.state = 'pending' AND f.position > d.position AND f.next_attempt_at > clock_timestamp()
              FOR UPDATE OF f SKIP LOCKED
            )
            UPDATE deliveries d SET ${atOnce(tx)}
            FROM behind WHERE d.delivery_id = behind.delivery_id AND d.state = 'pending'`;
          // One that is on its way now is not sent a second time: its schedule begins anew with this attempt.
          const onItsWay = tx`d.state = 'pending' AND coalesce(d.claimed_until > clock_timestamp(), false)`;
          await tx`
            UPDATE deliveries d SET attempts_before = d.attempts, scheduled_at = NULL
            WHERE d.delivery_id = ${deliveryId} AND ${onItsWay}`;
          await tx`
            UPDATE deliveries d SET ${onceMore(tx)} WHERE d.delivery_id = ${deliveryId} AND NOT (${onItsWay})`;
          return 'resent';
        });
        return true;
      });
    },

    async recover(applicationId, endpointId, { since, until }, keyed) {
      return sql.begin(async (tx) => {
        if (!(await isOwn(tx, applicationId, endpointId))) return null;
        const effect = await onceFor(tx, keyed, async () => {
          const rows = await tx`
            WITH locked AS (
              SELECT d.delivery_id FROM deliveries d JOIN events e USING (event_id)
              WHERE d.endpoint_id = ${endpointId} AND d.state = 'failed' AND e.time >= ${since}::text::timestamptz
                ${until === null ? tx`` : tx`AND e.time < ${until}::text::timestamptz`}
              ORDER BY d.delivery_id FOR UPDATE OF d
            )
            UPDATE deliveries d SET ${onceMore(tx)}
            FROM locked WHERE d.delivery_id = locked.delivery_id AND d.state = 'failed'
            RETURNING 1`;
          return String(rows.length);
        });
        return Number(effect);
      });
    },

    async replay(applicationId, endpointId, { since, until, types, missingOnly }, keyed) {
      return sql.begin(async (tx) => {
        if (!(await isOwn(tx, applicationId, endpointId))) return null;
        const effect = await onceFor(tx, keyed, async () => {
          const { queued, next } = firstOf(
            await tx<[{ queued: number; next: string | null }]>`
            WITH e AS (
              SELECT e.event_id, e.type, e.time, e.position,
                ${laneOf(tx)} AS lane
              FROM events e, endpoints p JOIN applications a USING (application_id)
              WHERE p.endpoint_id = ${endpointId} AND e.time >= ${since}::text::timestamptz
                ${until === null ? tx`` : tx`AND e.time < ${until}::text::timestamptz`}
                AND (p.types = '{}' OR e.type = ANY(p.types))
                ${types.length === 0 ? tx`` : tx`AND e.type = ANY(${[...types]}::text[])`}
                AND (e.type <> 'endpoint.ping' OR e.endpoint_id = p.endpoint_id)
                AND ${mayHear(tx, hearerOf(tx))}
                ${
                  missingOnly
                    ? tx`AND NOT EXISTS (SELECT FROM deliveries x WHERE x.event_id = e.event_id AND x.endpoint_id = p.endpoint_id)`
                    : tx``
                }
              ORDER BY e.time, e.position LIMIT ${replayedAtOnce + 1}
              -- Who deletes events locks them before their deliveries, too: what goes at this moment is not made anew.
              FOR KEY SHARE OF e
            ), now AS (
              SELECT * FROM e ORDER BY time, position LIMIT ${replayedAtOnce}
            ), locked AS (
              SELECT d.delivery_id FROM deliveries d
              WHERE d.endpoint_id = ${endpointId} AND d.event_id IN (SELECT event_id FROM now)
              ORDER BY d.delivery_id FOR UPDATE
            ), queued AS (
              INSERT INTO deliveries AS d (delivery_id, endpoint_id, event_id, lane, position, type)
              SELECT 'dlv_' || gen_random_uuid(), ${endpointId}, event_id, lane, position, type
              -- Those that are there are locked, in their order, before the first is made.
              FROM now, (SELECT count(*) FROM locked) AS those ORDER BY time, position
              ON CONFLICT (event_id, endpoint_id) DO UPDATE SET ${onceMore(tx)} WHERE d.state <> 'pending'
              RETURNING 1
            )
            SELECT (SELECT count(*)::int FROM queued) AS queued,
              (SELECT CASE WHEN count(*) > ${replayedAtOnce}
                THEN to_char(max(e.time) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END FROM e) AS next`,
          );
          return JSON.stringify({ queued, nextSince: next });
        });
        return effect === null ? null : (JSON.parse(effect) as { queued: number; nextSince: string | null });
      });
    },
  };
}
