import { randomUUID } from 'node:crypto';
import type { NewEvent } from '../../domain/exchange/event.js';
import { jsonbText } from '../jsonText.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { hearing } from './audience.js';
import { hearerOf, laneOf } from './endpointHearer.js';

/**
 * The place of what is written now among all events. By the writer's own transaction alone the events of an Item would stand in the order
 * in which transactions began to write: who waits for an Item's lock may have begun long before who holds it. So it is the newest
 * transaction that has ended, where that is younger: whoever gets the lock sees that those before it have ended. Never older than the
 * writer, since a cursor passes what is older than all that still run.
 */
const placeNow = (sql: Sql | Tx): Fragment => sql`greatest(pg_current_xact_id(),
  (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text::xid8)`;

/**
 * Writes events, and one delivery for each endpoint that wants them (held where it may hear of them later), in the transaction of the change that they tell of: an event
 * exists exactly if its change does. To be called under the lock of what it tells of, so that events of an Item stand in the
 * order of their changes.
 */
export async function writeEvents(tx: Sql | Tx, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map((event) => ({
    event_id: `evt_${randomUUID()}`,
    type: event.type,
    item_id: event.itemId ?? null,
    user_id: event.userId ?? null,
    connection_id: event.connectionId ?? null,
    endpoint_id: event.endpointId ?? null,
    application_id: event.applicationId ?? null,
    data: event.data,
  }));
  await tx`
    WITH written AS (
      INSERT INTO events (event_id, xid, type, item_id, user_id, connection_id, endpoint_id, application_id, data)
      SELECT r.event_id, ${placeNow(tx)}, r.type, r.item_id, r.user_id, r.connection_id, r.endpoint_id, r.application_id, r.data
      FROM jsonb_array_elements(${jsonbText(rows)}::text::jsonb) WITH ORDINALITY AS n(value, ord),
        jsonb_to_record(n.value) AS r(event_id text, type text, item_id text, user_id text, connection_id text,
          endpoint_id text, application_id text, data jsonb)
      ORDER BY n.ord
      RETURNING *
    )
    INSERT INTO deliveries (delivery_id, endpoint_id, event_id, lane, position, type, state)
    SELECT 'dlv_' || gen_random_uuid(), p.endpoint_id, e.event_id,
      ${laneOf(tx)}, e.position, e.type,
      -- Those whose endpoint is off are pending too: it may be on when they are sent.
      CASE h.hearing WHEN 'now' THEN 'pending' ELSE 'held' END
    FROM written e
    JOIN endpoints p ON p.deleted_at IS NULL AND (p.types = '{}' OR e.type = ANY(p.types) OR e.type = 'endpoint.ping')
    JOIN applications a ON a.application_id = p.application_id
    CROSS JOIN LATERAL (SELECT ${hearing(tx, hearerOf(tx))} AS hearing OFFSET 0) h
    WHERE (e.type <> 'endpoint.ping' OR e.endpoint_id = p.endpoint_id) AND h.hearing IS NOT NULL`;
}
