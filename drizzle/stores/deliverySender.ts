import { isSuccess } from '../../domain/exchange/endpointHealth.js';
import type { Attempted, DeliverySender, TakenDelivery } from '../../domain/ports/deliveries.js';
import { firstOf, iso, sealedOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { deliveries, endpoints, events } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { mayHear, maySeeCounts } from './audience.js';
import { hearerOf } from './endpointHearer.js';
import { recordFailures } from './deliveryFailures.js';
import { putAside } from './heldDeliveries.js';
import { storedEvent } from './storedEvent.js';
import { sweptEndpoint } from './sweep.js';

const targeted = selection(
  endpoints,
  [
    'url',
    'state',
    'rate_per_second',
    'failures',
    'secret_key_id',
    'secret_data_key',
    'secret_ciphertext',
    'previous_key_id',
    'previous_data_key',
    'previous_ciphertext',
  ],
  { judged_since: asText('judged_since') },
);
const taken = selection(deliveries, ['delivery_id', 'lane']);
const sentEvent = selection(events, [
  'event_id',
  'type',
  'time',
  'item_id',
  'user_id',
  'connection_id',
  'endpoint_id',
  'data',
]);
type TakenRow = Selected<typeof taken> & {
  [Key in keyof Selected<typeof sentEvent>]: Selected<typeof sentEvent>[Key] | null;
} & {
  may_hear: boolean | null;
  counted: boolean;
  covered: boolean;
};

/** Of the lane's next ones so many are asked whether they cover an `item.updated`. */
const coveringAmong = 20;
/** Of those that wait behind another so many are put off at once. */
const putOffAtOnce = 5_000;

/** An endpoint `p` that is sent to. */
const isOn = (sql: Sql): Fragment => sql`(p.deleted_at IS NULL AND p.state IN ('enabled', 'failing'))`;

/** A delivery `d` that nobody else has taken. */
const isFree = (sql: Sql): Fragment => sql`(d.claimed_until IS NULL OR d.claimed_until <= clock_timestamp())`;

function deliveryOf(row: TakenRow): TakenDelivery | null {
  const { event_id, type, time, data } = row;
  if (event_id === null || type === null || time === null || data === null) return null;
  return {
    deliveryId: row.delivery_id,
    counted: row.counted,
    event: storedEvent({ ...row, event_id, type, time, data }),
  };
}

/** What `jsonb_to_recordset` reads as attempts. */
const attemptsJson = (attempts: readonly Attempted[]): string =>
  JSON.stringify(
    attempts.map(({ deliveryId, result }) => ({
      delivery_id: deliveryId,
      at: result.at,
      status: result.status,
      duration_ms: result.durationMs,
      answer: result.answer,
    })),
  );

/**
 * What senders need. A lane's head is its first pending delivery, and the only one that is ever taken: so order holds per lane,
 * and a lane whose head waits for its next attempt holds up no other. Those behind such a head are put off with it, so that the
 * index of what is due names nothing that cannot be sent.
 */
export function deliverySender(sql: Sql): DeliverySender {
  /** Deliveries that the holder has taken, locked. */
  const heldBy = (holder: string, ids: readonly string[]): Fragment => sql`
    SELECT d.delivery_id FROM deliveries d
    WHERE d.delivery_id = ANY(${[...ids]}::text[]) AND d.claim = ${holder} AND d.state = 'pending'
    ORDER BY d.delivery_id FOR UPDATE`;

  const supersede = async (holder: string, ids: readonly string[]): Promise<void> => {
    if (ids.length === 0) return;
    await sql`
      WITH locked AS (${heldBy(holder, ids)})
      UPDATE deliveries d SET state = 'superseded', ended_at = clock_timestamp(), claim = NULL, claimed_until = NULL
      FROM locked WHERE d.delivery_id = locked.delivery_id AND d.claim = ${holder} AND d.state = 'pending'`;
  };

  return {
    async target(endpointId) {
      const row = firstOf(
        await sql<(Selected<typeof targeted> & { quiet_until: Date | null; overlaps: boolean })[]>`
        SELECT ${targeted.list(sql, 'p')}, CASE WHEN p.rests_until > clock_timestamp() THEN p.rests_until END AS quiet_until,
          coalesce(p.previous_until > clock_timestamp(), false) AS overlaps
        FROM endpoints p WHERE p.endpoint_id = ${endpointId} AND ${isOn(sql)}`,
      );
      if (row === undefined) return null;
      const secrets = [
        sealedOf(row.secret_key_id, row.secret_data_key, row.secret_ciphertext),
        row.overlaps ? sealedOf(row.previous_key_id, row.previous_data_key, row.previous_ciphertext) : null,
      ];
      return {
        url: row.url,
        state: row.state,
        judgedSince: row.judged_since,
        ratePerSecond: row.rate_per_second,
        failures: row.failures,
        quietUntil: iso(row.quiet_until),
        secrets: secrets.filter((secret) => secret !== null),
      };
    },

    async lease(endpointId, ms) {
      await sql`
        UPDATE endpoints SET leased_until = clock_timestamp() + ${`${ms} milliseconds`}::interval
        WHERE endpoint_id = ${endpointId}`;
    },

    async take(endpointId, holder, { limit, after, ms }) {
      const rows = await sql<TakenRow[]>`
        WITH RECURSIVE lanes AS (
          (SELECT d.lane FROM deliveries d
            WHERE d.endpoint_id = ${endpointId} AND d.state = 'pending' AND d.lane > ${after} ORDER BY d.lane LIMIT 1)
          UNION ALL
          SELECT (SELECT d.lane FROM deliveries d
              WHERE d.endpoint_id = ${endpointId} AND d.state = 'pending' AND d.lane > l.lane ORDER BY d.lane LIMIT 1)
          FROM lanes l WHERE l.lane IS NOT NULL
        ), free AS (
          -- Locked before they are counted: those that somebody holds take no place of other lanes.
          SELECT f.delivery_id FROM lanes l CROSS JOIN LATERAL (
            SELECT d.delivery_id, d.next_attempt_at <= clock_timestamp() OR d.attempts = d.attempts_before AS due,
              ${isFree(sql)} AS free
            FROM deliveries d
            WHERE d.endpoint_id = ${endpointId} AND d.state = 'pending' AND d.lane = l.lane
            ORDER BY d.position LIMIT 1) h
          CROSS JOIN LATERAL (
            SELECT d.delivery_id FROM deliveries d
            WHERE d.delivery_id = h.delivery_id AND d.state = 'pending' AND ${isFree(sql)}
            FOR UPDATE SKIP LOCKED) f
          WHERE h.due AND h.free
          LIMIT ${limit}
        ), d AS (
          UPDATE deliveries d SET claim = ${holder}, claimed_until = clock_timestamp() + ${`${ms} milliseconds`}::interval
          FROM free WHERE d.delivery_id = free.delivery_id
          RETURNING d.*
        )
        SELECT ${taken.list(sql, 'd')}, ${sentEvent.list(sql, 'e')}, ${mayHear(sql, hearerOf(sql))} AS may_hear, ${maySeeCounts(sql, hearerOf(sql))} AS counted,
          d.type = 'item.updated' AND EXISTS (
            SELECT FROM (
              SELECT n.event_id, n.type FROM deliveries n
              WHERE n.endpoint_id = d.endpoint_id AND n.lane = d.lane AND n.state = 'pending' AND n.position > d.position
              ORDER BY n.position LIMIT ${coveringAmong}) n
            JOIN events ne USING (event_id)
            WHERE n.type = 'item.updated'
              AND (ne.data->>'from_sequence')::bigint <= (e.data->>'from_sequence')::bigint
              AND (ne.data->>'to_sequence')::bigint >= (e.data->>'to_sequence')::bigint) AS covered
        FROM d JOIN endpoints p USING (endpoint_id) JOIN applications a USING (application_id)
          LEFT JOIN events e ON e.event_id = d.event_id
        ORDER BY d.lane`;
      const aside: string[] = [];
      const superseded: string[] = [];
      const found: TakenDelivery[] = [];
      for (const row of rows) {
        const delivery = deliveryOf(row);
        if (delivery === null || row.may_hear !== true) aside.push(row.delivery_id);
        else if (row.covered) superseded.push(row.delivery_id);
        else found.push(delivery);
      }
      await putAside(sql, holder, aside);
      await supersede(holder, superseded);
      const ended = aside.length + superseded.length;
      return { deliveries: found, ended, next: rows.length < limit ? null : (rows.at(-1)?.lane ?? null) };
    },

    async record(endpointId, holder, attempts) {
      if (attempts.length === 0) return;
      if (!attempts.every(({ result }) => isSuccess(result))) {
        await recordFailures(sql, endpointId, holder, attempts);
        return;
      }
      const { ailing, recorded } = firstOf(
        await sql<[{ ailing: boolean; recorded: string[] }]>`
        WITH given AS (
          SELECT * FROM jsonb_to_recordset(${attemptsJson(attempts)}::text::jsonb)
            AS g(delivery_id text, at timestamptz, status int, duration_ms int, answer text)
        ), locked AS (
          SELECT d.delivery_id FROM deliveries d
          WHERE d.delivery_id IN (SELECT delivery_id FROM given) AND d.claim = ${holder} ORDER BY d.delivery_id FOR UPDATE
        ), done AS (
          -- One that was cancelled while it was on its way stays so; that it arrived is written down all the same.
          UPDATE deliveries d SET state = CASE WHEN d.state = 'pending' THEN 'delivered' ELSE d.state END,
            attempts = d.attempts + 1, last_status = g.status, ended_at = clock_timestamp(), claim = NULL, claimed_until = NULL
          FROM given g JOIN locked USING (delivery_id) WHERE d.delivery_id = g.delivery_id AND d.claim = ${holder}
          RETURNING d.delivery_id, d.lane, d.attempts, g.at, g.status, g.duration_ms, g.answer
        ), tried AS (
          INSERT INTO delivery_attempts (delivery_id, number, at, status, duration_ms, answer)
          SELECT delivery_id, attempts, at, status, duration_ms, answer FROM done
        )
        SELECT coalesce(bool_or(p.failures > 0 OR p.failing_since IS NOT NULL OR p.state = 'failing'), false) AS ailing,
          ARRAY(SELECT delivery_id FROM done) AS recorded
        FROM endpoints p WHERE p.endpoint_id = ${endpointId}`,
      );
      // What it makes of the endpoint: only where there is something to be made of it, since its row is one for all lanes.
      if (!ailing) return;
      const own = attempts.filter(({ deliveryId }) => recorded.includes(deliveryId));
      if (own.length > 0) await recordFailures(sql, endpointId, holder, [], own);
    },

    async release(holder, deliveryIds) {
      if (deliveryIds.length === 0) return;
      await sql`
        WITH locked AS (${heldBy(holder, deliveryIds)})
        UPDATE deliveries d SET claim = NULL, claimed_until = NULL
        FROM locked WHERE d.delivery_id = locked.delivery_id AND d.claim = ${holder} AND d.state = 'pending'`;
    },

    async nextDue(endpointId) {
      await sql`
        WITH due AS (
          SELECT d.delivery_id, d.lane, d.position FROM deliveries d
          WHERE d.endpoint_id = ${endpointId} AND d.state = 'pending' AND d.next_attempt_at <= clock_timestamp()
          LIMIT ${putOffAtOnce}
        ), behind AS (
          SELECT due.delivery_id, greatest(h.next_attempt_at, h.claimed_until) AS until
          FROM due CROSS JOIN LATERAL (
            SELECT x.position, x.next_attempt_at, x.claimed_until FROM deliveries x
            WHERE x.endpoint_id = ${endpointId} AND x.state = 'pending' AND x.lane = due.lane
            ORDER BY x.position LIMIT 1) h
          WHERE h.position < due.position AND greatest(h.next_attempt_at, h.claimed_until) > clock_timestamp()
        ), locked AS (
          -- What another holds is looked at the next time.
          SELECT d.delivery_id FROM deliveries d WHERE d.delivery_id IN (SELECT delivery_id FROM behind) FOR UPDATE SKIP LOCKED
        )
        UPDATE deliveries d SET next_attempt_at = behind.until
        FROM behind JOIN locked USING (delivery_id) WHERE d.delivery_id = behind.delivery_id AND d.state = 'pending'`;
      const row = firstOf(
        await sql<{ at: Date }[]>`
        SELECT greatest(d.next_attempt_at, d.claimed_until) AS at FROM deliveries d
        WHERE d.endpoint_id = ${endpointId} AND d.state = 'pending' ORDER BY d.next_attempt_at LIMIT 1`,
      );
      return row === undefined ? null : row.at.toISOString();
    },

    async dueEndpoints(limit, except = []) {
      const passed = sql`unnest(${except.map(({ endpointId }) => endpointId)}::text[],
        ${except.map(({ servedAt }) => servedAt)}::text[]) AS x(endpoint_id, served_at)`;
      const rows = await sql<{ endpoint_id: string; served_at: string | null }[]>`
        SELECT p.endpoint_id, p.leased_until::text AS served_at
        FROM endpoints p LEFT JOIN sweep_told t ON t.kind = ${sweptEndpoint} AND t.subject = p.endpoint_id
        WHERE ${isOn(sql)} AND (p.rests_until IS NULL OR p.rests_until <= clock_timestamp())
          AND (p.leased_until IS NULL OR p.leased_until <= clock_timestamp())
          AND EXISTS (SELECT FROM deliveries d
            WHERE d.endpoint_id = p.endpoint_id AND d.state = 'pending' AND d.next_attempt_at <= clock_timestamp()
              AND ${isFree(sql)})
          AND NOT EXISTS (SELECT FROM ${passed}
            WHERE x.endpoint_id = p.endpoint_id AND x.served_at IS NOT DISTINCT FROM p.leased_until::text)
        ORDER BY greatest(p.leased_until, t.told_at) NULLS FIRST, p.endpoint_id LIMIT ${limit}`;
      return rows.map((row) => ({ endpointId: row.endpoint_id, servedAt: row.served_at }));
    },
  };
}
