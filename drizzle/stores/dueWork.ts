import type { Fragment, Sql } from '../rows.js';

/** One kind of work of Items that may be due although no signal told of it. */
export interface DueWork {
  kind: string;
  /** `item_id` of the Items whose work of this kind is due since before `before`, and since when (`since`). */
  query: (sql: Sql, before: Fragment) => Fragment;
}

/**
 * What the sweep looks for, the weightiest first. Each entry leaves out what its Item cannot act on anyway: what it lists is
 * told again and again until it is gone from the list. A removal ends all other wishes, so until it is done it alone is told.
 */
export const dueWork: readonly DueWork[] = [
  {
    kind: 'removal',
    query: (sql, before) => sql`
      SELECT item_id, removal_requested_at AS since FROM items
      WHERE removed_at IS NULL AND removal_requested_at < ${before}`,
  },
  {
    kind: 'itemWebhooks',
    query: (sql, before) => sql`
      SELECT w.item_id, min(w.received_at) AS since FROM webhooks w JOIN items k USING (item_id)
      WHERE w.outcome = 'pending' AND w.received_at < ${before} AND w.kind = 'item'
        AND (k.removal_requested_at IS NULL OR k.removed_at IS NOT NULL)
      GROUP BY w.item_id`,
  },
  {
    // A broken Item is asked after at its own pace, not for every webhook that comes meanwhile; one that is removed only
    // has to end them.
    kind: 'webhooks',
    query: (sql, before) => sql`
      SELECT w.item_id, min(w.received_at) AS since FROM webhooks w JOIN items k USING (item_id)
      WHERE w.outcome = 'pending' AND w.received_at < ${before} AND w.kind IS DISTINCT FROM 'item'
        AND (k.removed_at IS NOT NULL OR k.error_code IS NULL AND k.removal_requested_at IS NULL)
      GROUP BY w.item_id`,
  },
  {
    kind: 'update',
    query: (sql, before) => sql`
      SELECT item_id, next_due_at AS since FROM items
      WHERE removed_at IS NULL AND removal_requested_at IS NULL AND next_due_at < ${before}`,
  },
  {
    kind: 'publish',
    query: (sql, before) => sql`
      SELECT item_id, unsent_since AS since FROM items WHERE unsent_since < ${before}`,
  },
  {
    kind: 'numbers',
    query: (sql, before) => sql`
      SELECT item_id, numbers_due_at AS since FROM items
      WHERE numbers_due_at < ${before} AND error_code IS NULL AND removed_at IS NULL
        AND removal_requested_at IS NULL`,
  },
  {
    kind: 'segment',
    query: (sql, before) => sql`
      SELECT item_id, segment_due_at AS since FROM items WHERE segment_due_at < ${before}`,
  },
  {
    // One that runs has begun to stage pages; it is not told again. None begins before the history is complete.
    kind: 'remine',
    query: (sql, before) => sql`
      SELECT item_id, remine_requested_at AS since FROM items
      WHERE remine_requested_at < ${before} AND error_code IS NULL AND update_started_at IS NULL
        AND history = 'complete' AND removed_at IS NULL AND removal_requested_at IS NULL`,
  },
];
