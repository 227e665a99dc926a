import type { RetentionStore } from '../../domain/ports/retention.js';
import { firstOf } from '../rows.js';
import type { Sql } from '../rows.js';

/** A transaction may commit its events so much later than it wrote them, and no cursor stands behind them until then. */
const afterEvents = 3 * 3_600_000;
/** Items whose outbox one batch reads. */
const itemsAtOnce = 100;

/** What another holds is left to the next time: nobody who cleans up waits for somebody who works. */
export function retentionStore(sql: Sql): RetentionStore {
  const before = (keepMs: number) => sql`(clock_timestamp() - ${`${keepMs} milliseconds`}::interval)`;

  /** A batch of a table that needs no place: what is left is found again, what was deleted is not. */
  const batch = async (deleted: PromiseLike<{ count: number }>, limit: number) => {
    const { count } = await deleted;
    return { deleted: count, next: count === limit ? '' : null };
  };

  return {
    async outbox(keepMs, after, limit) {
      // An Item's rows are numbered as they are written: once one is young, so are those behind it, and the scan ends.
      const row = firstOf(
        await sql<[{ deleted: number; last: string | null; items: number }]>`
        WITH batch AS (
          SELECT i.item_id, i.last_sequence,
            (SELECT CASE WHEN count(*) = 2 THEN min(m.sent) ELSE 0 END FROM outbox_marks m
              WHERE m.item_id = i.item_id AND m.record = 'transaction') AS transactions_sent,
            (SELECT CASE WHEN count(*) = 2 THEN min(m.sent) ELSE 0 END FROM outbox_marks m
              WHERE m.item_id = i.item_id AND m.record = 'account') AS accounts_sent
          FROM items i WHERE i.item_id > ${after ?? ''} ORDER BY i.item_id LIMIT ${itemsAtOnce}
        ),
        doomed AS (
          SELECT o.item_id, o.sequence FROM batch b
          CROSS JOIN LATERAL (
            SELECT coalesce((SELECT y.sequence FROM outbox y
              WHERE y.item_id = b.item_id AND y.created_at >= ${before(keepMs)}
              ORDER BY y.sequence LIMIT 1), b.last_sequence + 1) AS sequence
          ) AS young
          JOIN outbox o ON o.item_id = b.item_id AND o.sequence < young.sequence
          WHERE o.sequence <= CASE o.record WHEN 'account' THEN b.accounts_sent ELSE b.transactions_sent END
            -- Passed over, not sent: no stream ever had it, and here alone it can be read.
            AND NOT EXISTS (SELECT FROM alerts a
              WHERE a.kind = 'record_parked' AND a.item_id = o.item_id AND a.detail->>'record' = o.record
                AND o.sequence > (a.detail->>'after')::bigint AND o.sequence <= (a.detail->>'last')::bigint)
          ORDER BY o.item_id, o.sequence LIMIT ${limit} FOR UPDATE OF o SKIP LOCKED
        ),
        gone AS (
          DELETE FROM outbox o USING doomed d WHERE o.item_id = d.item_id AND o.sequence = d.sequence RETURNING 1
        )
        SELECT (SELECT count(*)::int FROM gone) AS deleted, (SELECT max(item_id) FROM batch) AS last,
          (SELECT count(*)::int FROM batch) AS items`,
      );
      // A full batch may have left something of these Items: the next one takes them again.
      if (row.deleted === limit) return { deleted: row.deleted, next: after ?? '' };
      return { deleted: row.deleted, next: row.items === itemsAtOnce ? row.last : null };
    },

    async webhooks(keepMs, after, limit) {
      const [time, id] = after === null || after === '' ? [] : after.split('/');
      const row = firstOf(
        await sql<[{ deleted: number; seen: number; last: string | null }]>`
        WITH batch AS (
          SELECT webhook_id, received_at, item_id FROM webhooks
          WHERE received_at < ${before(keepMs)}
            ${id === undefined ? sql`` : sql`AND (received_at, webhook_id) > (${time ?? ''}::text::timestamptz, ${id}::uuid)`}
          ORDER BY webhooks.received_at, webhooks.webhook_id LIMIT ${limit}
        ),
        gone AS (
          DELETE FROM webhooks WHERE webhook_id IN (
            SELECT w.webhook_id FROM webhooks w JOIN batch b USING (webhook_id)
            WHERE w.outcome <> 'pending'
              -- An Item's newest one says when it was last heard of.
              AND (w.verdict = 'rejected' OR NOT EXISTS (SELECT FROM items i WHERE i.item_id = w.item_id)
                OR EXISTS (SELECT FROM webhooks newer WHERE newer.item_id = w.item_id AND newer.verdict = 'accepted'
                  AND (newer.received_at, newer.webhook_id) > (w.received_at, w.webhook_id)))
            FOR UPDATE OF w SKIP LOCKED)
          RETURNING 1
        )
        SELECT (SELECT count(*)::int FROM gone) AS deleted, (SELECT count(*)::int FROM batch) AS seen,
          (SELECT received_at::text || '/' || webhook_id FROM batch
            ORDER BY batch.received_at DESC, batch.webhook_id DESC LIMIT 1) AS last`,
      );
      return { deleted: row.deleted, next: row.seen === limit ? row.last : null };
    },

    async links(keepMs, after, limit) {
      // A token that linked answers every repeat with its Item for as long as the Item lives. Any other is refused by Plaid
      // after half an hour, whatever we remember; an unknown outcome is evidence for as long as its alert stands.
      const row = firstOf(
        await sql<[{ deleted: number; seen: number; last: string | null }]>`
        WITH batch AS (
          SELECT token_hash FROM links WHERE token_hash > ${after ?? ''} ORDER BY token_hash LIMIT ${limit}
        ),
        gone AS (
          DELETE FROM links WHERE token_hash IN (
            SELECT l.token_hash FROM links l JOIN batch b USING (token_hash)
            WHERE l.state = 'finished' AND l.updated_at < ${before(keepMs)}
              AND NOT EXISTS (SELECT FROM items i WHERE l.outcome->>'kind' = 'linked'
                AND i.item_id = l.outcome->>'item_id' AND (i.removed_at IS NULL OR i.removed_at >= ${before(keepMs)}))
              AND NOT EXISTS (SELECT FROM items i
                WHERE i.item_id = l.item_id AND i.removal_requested_at IS NOT NULL AND i.admitted_at IS NULL AND i.removed_at IS NULL)
              AND NOT EXISTS (SELECT FROM alerts a WHERE a.kind = 'link_outcome_unknown' AND a.key = l.token_hash)
            FOR UPDATE OF l SKIP LOCKED)
          RETURNING 1
        )
        SELECT (SELECT count(*)::int FROM gone) AS deleted, (SELECT count(*)::int FROM batch) AS seen,
          (SELECT max(token_hash) FROM batch) AS last`,
      );
      return { deleted: row.deleted, next: row.seen === limit ? row.last : null };
    },

    parkedRows: (keepMs, _after, limit) =>
      batch(
        sql`DELETE FROM parked_rows WHERE (item_id, transaction_id) IN (
          SELECT item_id, transaction_id FROM parked_rows WHERE parked_at < ${before(keepMs)} LIMIT ${limit}
          FOR UPDATE SKIP LOCKED)`,
        limit,
      ),

    parkedEvents: (keepMs, _after, limit) =>
      batch(
        sql`DELETE FROM parked_events WHERE (stream, shard_id, sequence_number) IN (
          SELECT stream, shard_id, sequence_number FROM parked_events
          WHERE parked_at < ${before(keepMs)} LIMIT ${limit} FOR UPDATE SKIP LOCKED)`,
        limit,
      ),

    segmentEvents: (keepMs, _after, limit) =>
      batch(
        // Those that nobody shall send, since there was no write key, never count as sent.
        sql`DELETE FROM segment_events WHERE message_id IN (
          SELECT e.message_id FROM segment_events e JOIN items i USING (item_id)
          WHERE e.created_at < ${before(keepMs)}
            AND (e.sent_at < ${before(keepMs)} OR (e.sent_at IS NULL AND i.segment_due_at IS NULL))
          LIMIT ${limit} FOR UPDATE OF e SKIP LOCKED)`,
        limit,
      ),

    balances: (keepMs, _after, limit) =>
      batch(
        sql`DELETE FROM balance_snapshots WHERE (item_id, account_id, day) IN (
          SELECT item_id, account_id, day FROM balance_snapshots
          WHERE day < (${before(keepMs)} AT TIME ZONE 'UTC')::date ORDER BY day LIMIT ${limit} FOR UPDATE SKIP LOCKED)`,
        limit,
      ),

    // Deliveries and attempts that somebody writes beside it go with their events as well: by their foreign keys.
    async events(keepMs, _after, limit) {
      const row = firstOf(
        await sql<[{ deleted: number }]>`
        WITH gone AS (
          DELETE FROM events WHERE event_id IN (
            SELECT event_id FROM events WHERE time < ${before(keepMs + afterEvents)} ORDER BY time LIMIT ${limit}
            FOR UPDATE SKIP LOCKED)
          RETURNING event_id
        ),
        theirs AS (
          SELECT d.delivery_id FROM deliveries d WHERE d.event_id IN (SELECT event_id FROM gone)
          ORDER BY d.delivery_id FOR UPDATE
        ),
        undelivered AS (
          DELETE FROM deliveries d USING theirs t WHERE d.delivery_id = t.delivery_id RETURNING d.delivery_id
        ),
        attempts AS (DELETE FROM delivery_attempts t USING undelivered d WHERE t.delivery_id = d.delivery_id)
        SELECT count(*)::int AS deleted FROM gone`,
      );
      return { deleted: row.deleted, next: row.deleted === limit ? '' : null };
    },
  };
}
