import { and, asc, eq, isNotNull, isNull, notExists, sql as part } from 'drizzle-orm';
import type { SegmentStore } from '../../domain/ports/segment.js';
import { builder, clock } from '../builder.js';
import type { Sql } from '../rows.js';
import { items, segmentEvents } from '../schema.js';

export function segmentStore(sql: Sql): SegmentStore {
  const db = builder(sql);
  const unsentOf = (itemId: string) => and(eq(segmentEvents.itemId, itemId), isNull(segmentEvents.sentAt));

  /** Nothing waits to be sent any more, unless an event was recorded meanwhile. */
  const noteSent = (itemId: string) =>
    sql.begin(async (tx) => {
      const locked = builder(tx);
      // A statement that waits for the lock would read events as of before it waited, and miss the one just recorded.
      await locked
        .select({ item_id: items.itemId })
        .from(items)
        .where(eq(items.itemId, itemId))
        .for('no key update');
      const waiting = locked
        .select({ message_id: segmentEvents.messageId })
        .from(segmentEvents)
        .where(unsentOf(itemId));
      await locked
        .update(items)
        .set({ segmentDueAt: null })
        .where(and(eq(items.itemId, itemId), isNotNull(items.segmentDueAt), notExists(waiting)));
    });

  return {
    async unsent(itemId, limit) {
      const rows = await db
        .select({
          messageId: segmentEvents.messageId,
          userId: segmentEvents.userId,
          event: segmentEvents.event,
          properties: segmentEvents.properties,
          createdAt: segmentEvents.createdAt,
        })
        .from(segmentEvents)
        .where(unsentOf(itemId))
        .orderBy(asc(segmentEvents.createdAt), asc(segmentEvents.messageId))
        .limit(limit);
      if (rows.length === 0) await noteSent(itemId);
      return rows.map(({ createdAt, ...event }) => ({ ...event, timestamp: createdAt.toISOString() }));
    },

    async recordSent(itemId, messageIds) {
      // One parameter, not one for each id: a statement for every number of them would be prepared.
      const sent = part`${segmentEvents.messageId} = ANY(${part.param(messageIds)}::text[])`;
      await db
        .update(segmentEvents)
        .set({ sentAt: clock })
        .where(and(unsentOf(itemId), sent));
      await noteSent(itemId);
    },

    async discard(itemId) {
      await db.update(items).set({ segmentDueAt: null }).where(eq(items.itemId, itemId));
    },
  };
}
