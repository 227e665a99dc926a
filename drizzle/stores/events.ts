import { eventBody } from '../../domain/exchange/eventBody.js';
import type { EventPlace, EventStore } from '../../domain/ports/events.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql } from '../rows.js';
import { events } from '../schema.js';
import { asText, selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { mayHear, maySeeCounts } from './audience.js';
import { storedEvent } from './storedEvent.js';

/** Events that one page looks at, whether or not they are for its reader: nobody's question reads the whole table. */
const scannedAtOnce = 2_000;

const shown = selection(
  events,
  ['event_id', 'type', 'time', 'item_id', 'user_id', 'connection_id', 'endpoint_id', 'data'],
  { xid: asText('xid'), position: asText('position') },
);

interface Boundary {
  lost: boolean;
  newest: string | null;
  /** Of the oldest transaction that still ran; what is older has all been seen. */
  oldest: string;
  scanned: number;
  last_xid: string | null;
  last_position: string | null;
}

/** Columns of a page's event, all null where it has none. */
type EventRow = { [Key in keyof Selected<typeof shown>]: Selected<typeof shown>[Key] | null } & {
  counted: boolean | null;
};

export function eventStore(sql: Sql): EventStore {
  /** The newest event that may be read. */
  const newest = (): Fragment => sql`(
    SELECT n.xid || '/' || n.position FROM events n WHERE n.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY n.xid DESC, n.position DESC LIMIT 1)`;

  return {
    async page({ applicationId, access, consent }, after, types, limit) {
      const { xid, position } = after ?? { xid: '0', position: '0' };
      // Numbers of transactions come again in a database that was set back: the place says when it was given.
      const isSetBack =
        after !== null && 'at' in after
          ? sql`EXISTS (SELECT FROM restores WHERE restored_at > to_timestamp(${after.at}::float8 / 1000))`
          : sql`false`;
      const hearer = {
        applicationId: sql`${applicationId}::text`,
        access: sql`${access}::text`,
        consent: sql`${consent}::boolean`,
      };
      const rows = await sql<(Boundary & EventRow)[]>`
        WITH scanned AS MATERIALIZED (
          SELECT e.* FROM events e
          WHERE e.xid < pg_snapshot_xmin(pg_current_snapshot())
            AND (e.xid, e.position) > (${xid}::text::xid8, ${position}::text::bigint)
          ORDER BY e.xid, e.position LIMIT ${scannedAtOnce}
        ),
        found AS (
          SELECT ${shown.list(sql, 'e')}, ${maySeeCounts(sql, hearer)} AS counted
          FROM scanned e
          WHERE ${mayHear(sql, hearer)} ${types === null ? sql`` : sql`AND e.type = ANY(${[...types]}::text[])`}
          ORDER BY e.xid, e.position LIMIT ${limit + 1}
        ),
        boundary AS (
          SELECT ${xid}::text::xid8 > pg_snapshot_xmax(pg_current_snapshot()) OR ${isSetBack} AS lost, ${newest()} AS newest,
            pg_snapshot_xmin(pg_current_snapshot())::text AS oldest, (SELECT count(*)::int FROM scanned) AS scanned,
            (SELECT l.xid::text FROM scanned l ORDER BY l.xid DESC, l.position DESC LIMIT 1) AS last_xid,
            (SELECT l.position::text FROM scanned l ORDER BY l.xid DESC, l.position DESC LIMIT 1) AS last_position
        )
        SELECT boundary.*, found.* FROM boundary LEFT JOIN found ON true
        ORDER BY found.xid::xid8, found.position::bigint`;
      const boundary = firstOf(rows);
      if (boundary === undefined || boundary.lost) return 'lost';
      const all = rows.flatMap((row) =>
        row.event_id === null ? [] : [row as Selected<typeof shown> & Boundary & { counted: boolean }],
      );
      const page = all.slice(0, limit);
      return {
        events: page.map((row) => eventBody(storedEvent(row), { counted: row.counted })),
        ...placeAfter(boundary, all.length > limit ? page.at(-1) : undefined),
        newest: boundary.newest ?? '',
      };
    },

    async newest() {
      const row = firstOf(await sql<[{ newest: string | null }]>`SELECT ${newest()} AS newest`);
      return row.newest ?? '';
    },
  };
}

/** Where to go on: behind the last event of a full page, else behind what was looked at, else where nothing was left out. */
function placeAfter(
  { oldest, scanned, last_xid, last_position }: Boundary,
  lastShown: EventPlace | undefined,
): { next: EventPlace; hasMore: boolean } {
  if (lastShown !== undefined) {
    return { next: { xid: lastShown.xid, position: lastShown.position }, hasMore: true };
  }
  if (scanned === scannedAtOnce && last_xid !== null && last_position !== null) {
    return { next: { xid: last_xid, position: last_position }, hasMore: true };
  }
  return { next: { xid: oldest, position: '0' }, hasMore: false };
}
