import type { EndpointView } from '../../domain/exchange/endpoint.js';
import type { EndpointStore } from '../../domain/ports/endpoints.js';
import { pageOf } from '../pageOf.js';
import { firstOf, iso } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { deliveries, endpoints } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { beginAnew, bringForward } from './deliveryFailures.js';
import { onceFor } from './onceFor.js';
import { writeEvents } from './writeEvents.js';

const viewed = selection(
  endpoints,
  [
    'endpoint_id',
    'application_id',
    'url',
    'types',
    'signature',
    'public_key',
    'rate_per_second',
    'consent',
    'state',
    'state_since',
    'failing_since',
    'previous_until',
    'created_at',
  ],
  { reason: 'state_reason', quiet_until: 'rests_until', created_key: asText('created_at') },
);
type Row = Selected<typeof viewed> & { now: Date };

const pinged = selection(deliveries, ['delivery_id']);
const placed = selection(endpoints, ['url']);

/** An application may have so many. */
const mostEndpoints = 100;

/** With the database's clock, by which what is over is not shown. */
const columns = (sql: Sql | Tx, alias = 'p'): Fragment =>
  sql`${viewed.list(sql, alias)}, clock_timestamp() AS now`;

function view(row: Row): EndpointView {
  const ahead = (time: Date | null): string | null => (time !== null && time > row.now ? iso(time) : null);
  return {
    endpoint_id: row.endpoint_id,
    application_id: row.application_id,
    url: row.url,
    types: row.types,
    signature: row.signature,
    public_key: row.public_key,
    rate_per_second: row.rate_per_second,
    consent: row.consent,
    state: row.state,
    reason: row.reason,
    state_since: row.state_since.toISOString(),
    failing_since: iso(row.failing_since),
    quiet_until: ahead(row.quiet_until),
    previous_secret_until: ahead(row.previous_until),
    created_at: row.created_at.toISOString(),
  };
}

/** Endpoints of applications, as these manage them. */
export function endpointStore(sql: Sql): EndpointStore {
  const own = (tx: Sql | Tx, applicationId: string, endpointId: string): Fragment =>
    tx`endpoint_id = ${endpointId} AND application_id = ${applicationId} AND deleted_at IS NULL`;

  const read = async (
    tx: Sql | Tx,
    applicationId: string,
    endpointId: string,
  ): Promise<EndpointView | null> => {
    const row = firstOf(
      await tx<Row[]>`SELECT ${columns(tx)} FROM endpoints p WHERE ${own(tx, applicationId, endpointId)}`,
    );
    return row === undefined ? null : view(row);
  };

  const locked = async (tx: Tx, applicationId: string, endpointId: string) =>
    firstOf(
      await tx<Selected<typeof placed>[]>`
      SELECT ${placed.list(tx)} FROM endpoints WHERE ${own(tx, applicationId, endpointId)} FOR NO KEY UPDATE`,
    );

  return {
    async create({ endpointId, applicationId, url, types, signature, ratePerSecond, consent, secret }) {
      return sql.begin(async (tx) => {
        // Two that come at once are counted one after the other.
        await tx`SELECT pg_advisory_xact_lock(hashtextextended(${`endpoints/${applicationId}`}, 0))`;
        const before = await read(tx, applicationId, endpointId);
        if (before !== null) return before;
        const { n } = firstOf(
          await tx<[{ n: number }]>`
          SELECT count(*)::int AS n FROM endpoints WHERE application_id = ${applicationId} AND deleted_at IS NULL`,
        );
        if (n >= mostEndpoints) return 'full';
        const { keyId, dataKey, ciphertext } = secret.sealed;
        const row = firstOf(
          await tx<[Row]>`
          INSERT INTO endpoints AS p (endpoint_id, application_id, url, types, signature, rate_per_second, consent,
            secret_key_id, secret_data_key, secret_ciphertext, public_key)
          VALUES (${endpointId}, ${applicationId}, ${url}, ${types}::text[], ${signature}, ${ratePerSecond}, ${consent},
            ${keyId}, ${dataKey}, ${ciphertext}, ${secret.publicKey})
          RETURNING ${columns(tx)}`,
        );
        return view(row);
      });
    },

    async page(applicationId, limit, after) {
      const rows = await sql<Row[]>`
        SELECT ${columns(sql)} FROM endpoints p
        WHERE p.application_id = ${applicationId} AND p.deleted_at IS NULL
          ${after === null ? sql`` : sql`AND (p.created_at, p.endpoint_id) > (${after[0] ?? ''}::text::timestamptz, ${after[1] ?? ''})`}
        ORDER BY p.created_at, p.endpoint_id LIMIT ${limit + 1}`;
      return pageOf(rows, limit, view, (last) => [last.created_key, last.endpoint_id]);
    },

    get: (applicationId, endpointId) => read(sql, applicationId, endpointId),

    async change(applicationId, endpointId, { url, types, ratePerSecond, state }, keyed = null) {
      return sql.begin(async (tx) => {
        const before = await locked(tx, applicationId, endpointId);
        if (before === undefined) return null;
        // What another address has answered is nothing that this one has to wait for.
        const moves = url !== undefined && url !== before.url;
        const anew = moves || state === 'enabled';
        await onceFor(tx, keyed, async () => {
          await tx`
          UPDATE endpoints p SET
            url = coalesce(${url ?? null}, url), types = coalesce(${types ?? null}::text[], types),
            rate_per_second = ${ratePerSecond === undefined ? tx`rate_per_second` : tx`${ratePerSecond}::int`}
            ${
              state === undefined
                ? tx``
                : tx`, state = ${state}, state_reason = NULL,
                    -- Also where its application ends a pause.
                    state_since = CASE WHEN state = ${state} AND NOT (${state} = 'enabled' AND (failures > 0 OR rests_until > clock_timestamp()))
                      THEN state_since ELSE clock_timestamp() END`
            }
            ${anew ? tx`, failures = 0, failing_since = NULL, rests_until = NULL, judged_since = clock_timestamp()` : tx``}
          WHERE endpoint_id = ${endpointId}`;
          if (moves) await beginAnew(tx, endpointId);
          else if (anew) await bringForward(tx, endpointId);
          return 'changed';
        });
        return read(tx, applicationId, endpointId);
      });
    },

    async remove(applicationId, endpointId, keyed = null) {
      return sql.begin(async (tx) => {
        const removed = await onceFor(tx, keyed, async () => {
          const rows = await tx`
            UPDATE endpoints SET deleted_at = clock_timestamp() WHERE ${own(tx, applicationId, endpointId)} RETURNING 1`;
          return rows.length > 0 ? 'removed' : null;
        });
        return removed !== null;
      });
    },

    async rotate(applicationId, endpointId, { sealed, publicKey }, overlapMs, keyed) {
      return sql.begin(async (tx) => {
        if ((await locked(tx, applicationId, endpointId)) === undefined) return null;
        await onceFor(tx, keyed, async () => {
          await tx`
            UPDATE endpoints SET previous_key_id = secret_key_id, previous_data_key = secret_data_key,
              previous_ciphertext = secret_ciphertext,
              previous_until = clock_timestamp() + ${`${overlapMs} milliseconds`}::interval,
              secret_key_id = ${sealed.keyId}, secret_data_key = ${sealed.dataKey}, secret_ciphertext = ${sealed.ciphertext},
              public_key = ${publicKey}
            WHERE endpoint_id = ${endpointId}`;
          return 'rotated';
        });
        return read(tx, applicationId, endpointId);
      });
    },

    async ping(applicationId, endpointId, keyed) {
      return sql.begin(async (tx) => {
        if ((await locked(tx, applicationId, endpointId)) === undefined) return null;
        return onceFor(tx, keyed, async () => {
          await writeEvents(tx, [
            { type: 'endpoint.ping', endpointId, applicationId, data: { endpoint_id: endpointId } },
          ]);
          const row = firstOf(
            await tx<Selected<typeof pinged>[]>`
            SELECT ${pinged.list(tx)} FROM deliveries
            WHERE endpoint_id = ${endpointId} AND type = 'endpoint.ping'
            ORDER BY position DESC LIMIT 1`,
          );
          return row?.delivery_id ?? null;
        });
      });
    },
  };
}
