import type { SweepStore } from '../../src/domain/ports.js';
import type { Sql } from '../rows.js';

/** How long a webhook of an unknown Item waits for its Item. */
const adoptionWindow = '24 hours';
/** An update of many pages takes minutes, hours where Plaid's limits are shared by many; one that is cut here starts again. */
const stagedAtMost = '2 days';

export function sweepStore(sql: Sql): SweepStore {
  return {
    async findDue(limit, graceMs) {
      const before = sql`clock_timestamp() - ${`${graceMs} milliseconds`}::interval`;
      return sql<{ itemId: string; userId: string }[]>`
        SELECT i.item_id AS "itemId", i.user_id AS "userId" FROM items i JOIN (
          -- A broken Item is asked after at its own pace, not for every webhook that comes meanwhile.
          SELECT w.item_id, min(w.received_at) AS since FROM webhooks w JOIN items k USING (item_id)
            WHERE w.outcome = 'pending' AND w.received_at < ${before} AND (k.error_code IS NULL OR w.kind = 'item')
            GROUP BY w.item_id
          UNION ALL
          SELECT item_id, next_due_at FROM items WHERE removed_at IS NULL AND next_due_at < ${before}
          UNION ALL
          SELECT item_id, removal_requested_at FROM items
            WHERE removed_at IS NULL AND removal_requested_at < ${before}
          UNION ALL
          SELECT item_id, numbers_due_at FROM items
            WHERE numbers_due_at < ${before} AND error_code IS NULL
          UNION ALL
          SELECT item_id, unsent_since FROM items WHERE unsent_since < ${before}
          UNION ALL
          SELECT item_id, segment_due_at FROM items WHERE segment_due_at < ${before}
          UNION ALL
          -- One that runs has begun to stage pages; it is not told again.
          SELECT item_id, remine_requested_at FROM items
            WHERE remine_requested_at < ${before} AND error_code IS NULL AND update_started_at IS NULL
        ) AS due USING (item_id)
        WHERE i.admitted_at IS NOT NULL
        GROUP BY i.item_id, i.user_id ORDER BY min(due.since) LIMIT ${limit}`;
    },

    async settleUnknown() {
      // Late attempts of updates that have ended leave pages that nobody asks for.
      await sql`DELETE FROM staged_pages WHERE staged_at < clock_timestamp() - ${stagedAtMost}::interval`;
      const ended = await sql`
        UPDATE webhooks w SET outcome = 'ignored', reason = 'unknown_item', settled_at = clock_timestamp()
        WHERE w.outcome = 'pending' AND w.received_at < clock_timestamp() - ${adoptionWindow}::interval
          -- An Item that was discarded at linking never was ours; one that is being linked may become so.
          AND NOT EXISTS (SELECT FROM items i
            WHERE i.item_id = w.item_id AND (i.admitted_at IS NOT NULL OR i.removed_at IS NULL))
        RETURNING 1`;
      return ended.length;
    },

    async findStaleLinks(limit, graceMs) {
      return sql<{ tokenHash: string; userId: string }[]>`
        SELECT token_hash AS "tokenHash", user_id AS "userId" FROM links
        WHERE state <> 'finished' AND updated_at < clock_timestamp() - ${`${graceMs} milliseconds`}::interval
        ORDER BY updated_at LIMIT ${limit}`;
    },
  };
}
