import type { UserEventStore } from '../../domain/ports/userEvents.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';
import { userEventShards } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';

const leased = selection(userEventShards, ['parents', 'owner'], {
  shardId: 'shard_id',
  finished: isSet('finished_at'),
});
const shard = selection(userEventShards, ['shard_id']);
const place = selection(userEventShards, ['checkpoint']);

/** Of a record that cannot be read, what is kept for an operator. */
const parkedBytes = 4_096;

export function userEventStore(sql: Sql): UserEventStore {
  const until = (leaseMs: number) => sql`clock_timestamp() + ${`${leaseMs} milliseconds`}::interval`;
  const now = sql`clock_timestamp()`;

  return {
    async note(stream, shards, createdAt) {
      const madeAt = sql`${createdAt}::text::timestamptz`;
      const known = await sql<(Selected<typeof shard> & { older: boolean | null })[]>`
        SELECT ${shard.list(sql)}, stream_created_at < ${madeAt} AS older
        FROM user_event_shards
        WHERE stream = ${stream} AND shard_id = ANY(${shards.map(({ shardId }) => shardId)}::text[])`;
      // They are not touched: somebody may hold one of them.
      const asTheyAre = new Set(known.filter((row) => row.older === false).map((row) => row.shard_id));
      for (const { shardId, parents } of shards.filter((one) => !asTheyAre.has(one.shardId))) {
        // A row from before the column was there is of this stream, as far as anybody knows.
        await sql`
          INSERT INTO user_event_shards AS known (stream, shard_id, parents, stream_created_at)
          VALUES (${stream}, ${shardId}, ${parents}, ${madeAt})
          ON CONFLICT (stream, shard_id) DO UPDATE SET
            stream_created_at = excluded.stream_created_at, parents = excluded.parents,
            checkpoint = CASE WHEN known.stream_created_at IS NULL THEN known.checkpoint END,
            finished_at = CASE WHEN known.stream_created_at IS NULL THEN known.finished_at END,
            owner = CASE WHEN known.stream_created_at IS NULL THEN known.owner END,
            leased_until = CASE WHEN known.stream_created_at IS NULL THEN known.leased_until END
          WHERE known.stream_created_at IS NULL OR known.stream_created_at < excluded.stream_created_at`;
      }
      return known.filter((row) => row.older === true).map((row) => row.shard_id);
    },

    async leases(stream) {
      return sql<(Selected<typeof leased> & { live: boolean })[]>`
        SELECT ${leased.list(sql)}, coalesce(leased_until > ${now}, false) AS live
        FROM user_event_shards WHERE stream = ${stream} ORDER BY shard_id`;
    },

    async acquire(stream, { shardId, from }, owner, leaseMs) {
      const acquired = firstOf(
        await sql<Selected<typeof place>[]>`
        UPDATE user_event_shards SET owner = ${owner}, leased_until = ${until(leaseMs)}
        WHERE stream = ${stream} AND shard_id = ${shardId} AND finished_at IS NULL
          AND (owner IS NULL OR leased_until <= ${now} OR owner = ${from} OR owner = ${owner})
        RETURNING ${place.list(sql)}`,
      );
      return acquired ?? null;
    },

    async renew(stream, shardIds, owner, leaseMs) {
      const renewed = await sql<Selected<typeof shard>[]>`
        UPDATE user_event_shards SET leased_until = ${until(leaseMs)}
        WHERE stream = ${stream} AND shard_id = ANY(${shardIds}::text[]) AND owner = ${owner}
          AND finished_at IS NULL
        RETURNING ${shard.list(sql)}`;
      return renewed.map((row) => row.shard_id);
    },

    async checkpoint(stream, shardId, owner, from, to) {
      const moved = await sql`
        UPDATE user_event_shards SET checkpoint = ${to}
        WHERE stream = ${stream} AND shard_id = ${shardId} AND owner = ${owner} AND leased_until > ${now}
          AND checkpoint IS NOT DISTINCT FROM ${from}
        RETURNING 1`;
      return moved.length > 0;
    },

    async finish(stream, shardId, owner) {
      const finished = await sql`
        UPDATE user_event_shards SET finished_at = ${now}, owner = NULL, leased_until = NULL
        WHERE stream = ${stream} AND shard_id = ${shardId} AND owner = ${owner} AND leased_until > ${now}
        RETURNING 1`;
      return finished.length > 0;
    },

    async release(stream, owner) {
      // That of a row which somebody holds ends by itself.
      await sql`
        UPDATE user_event_shards SET owner = NULL, leased_until = NULL
        WHERE (stream, shard_id) IN (
          SELECT stream, shard_id FROM user_event_shards WHERE stream = ${stream} AND owner = ${owner}
          FOR NO KEY UPDATE SKIP LOCKED)`;
    },

    async park(stream, shardId, { sequenceNumber, data }, reason, { whole } = { whole: false }) {
      const detail = { stream, shard_id: shardId, sequence_number: sequenceNumber, reason };
      await sql.begin(async (tx) => {
        await tx`
          INSERT INTO parked_events (stream, shard_id, sequence_number, data, reason)
          VALUES (${stream}, ${shardId}, ${sequenceNumber}, ${whole ? data : data.subarray(0, parkedBytes)},
            ${reason})
          ON CONFLICT DO NOTHING`;
        await tx`
          INSERT INTO alerts (kind, key, item_id, detail)
          VALUES ('event_parked', ${`${stream}/${shardId}/${sequenceNumber}`}, NULL,
            ${JSON.stringify(detail)}::text::jsonb)
          ON CONFLICT DO NOTHING`;
      });
    },
  };
}
