import type { SegmentEvent, SegmentStore } from '../../domain/ports/segment.js';
import type { Sql } from '../rows.js';

export function segmentStore(sql: Sql): SegmentStore {
  /** Nothing waits to be sent any more, unless something was told meanwhile. */
  const noteSent = (itemId: string) =>
    sql.begin(async (tx) => {
      // A statement that waits for the lock would look for events as of before it waited, and miss the one just told.
      await tx`SELECT FROM items WHERE item_id = ${itemId} FOR NO KEY UPDATE`;
      await tx`
        UPDATE items SET segment_due_at = NULL
        WHERE item_id = ${itemId} AND segment_due_at IS NOT NULL AND NOT EXISTS (
          SELECT FROM segment_events e WHERE e.item_id = ${itemId} AND e.sent_at IS NULL)`;
    });

  return {
    async unsent(itemId, limit) {
      const rows = await sql<
        {
          message_id: string;
          user_id: string;
          event: SegmentEvent['event'];
          properties: SegmentEvent['properties'];
          created_at: Date;
        }[]
      >`
        SELECT message_id, user_id, event, properties, created_at FROM segment_events
        WHERE item_id = ${itemId} AND sent_at IS NULL ORDER BY created_at, message_id LIMIT ${limit}`;
      if (rows.length === 0) await noteSent(itemId);
      return rows.map((row) => ({
        messageId: row.message_id,
        userId: row.user_id,
        event: row.event,
        properties: row.properties,
        timestamp: row.created_at.toISOString(),
      }));
    },

    async markSent(itemId, messageIds) {
      await sql`
        UPDATE segment_events SET sent_at = clock_timestamp()
        WHERE item_id = ${itemId} AND message_id = ANY(${messageIds}::text[]) AND sent_at IS NULL`;
      await noteSent(itemId);
    },

    async discard(itemId) {
      await sql`UPDATE items SET segment_due_at = NULL WHERE item_id = ${itemId}`;
    },
  };
}
