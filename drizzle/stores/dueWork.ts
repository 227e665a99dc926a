import type { TaskName } from '../../domain/item/tasks.js';
import { taskNames, tasks } from '../../domain/item/tasks.js';
import type { Fragment, Sql } from '../rows.js';
import type { items } from '../schema.js';
import type { NameOf } from '../selection.js';

/** One kind of work of Items that may be due although no signal has reached its workflow. */
export interface DueWork {
  kind: string;
  /** `item_id` of the Items whose work of this kind is due since before `before`, and since when (`since`). */
  query: (sql: Sql, before: Fragment) => Fragment;
}

/** A column that a task names: one that is not there fails to compile. */
const columnOf = (sql: Sql, name: NameOf<typeof items>) => sql(name);

/** The kinds of due work that `items` `i` and the kinds `w.kinds` of its pending webhooks name, as an array of names. */
export function dueTasks(sql: Sql): Fragment {
  const named = taskNames.map((name) => {
    const { due } = tasks[name];
    const isDue =
      'column' in due
        ? // What is due later the sweep finds in its time.
          sql`i.${columnOf(sql, due.column)} <= clock_timestamp()`
        : sql`${due.webhooks}::text = ANY(w.kinds)`;
    return sql`CASE WHEN ${isDue} THEN ${name}::text END`;
  });
  return sql`array_remove(ARRAY[${named.reduce((all, one) => sql`${all}, ${one}`)}], NULL)`;
}

/** An Item `k` that is to be mined: it is there, stays, and somebody is connected with it. */
const isMined = (sql: Sql): Fragment =>
  sql`(k.removed_at IS NULL AND k.removal_requested_at IS NULL AND k.unconnected_since IS NULL)`;

/**
 * An Item `k` of which an update stages pages: what it does is not signalled again. One that has staged none for an hour may have nobody
 * any more who goes on with it: its workflows were terminated, or Temporal's data are lost.
 */
const isStaging = (sql: Sql): Fragment => sql`coalesce(greatest(k.update_started_at,
    (SELECT max(s.staged_at) FROM staged_pages s WHERE s.item_id = k.item_id AND k.update_started_at IS NOT NULL))
  > clock_timestamp() - interval '1 hour', false)`;

/** A task of the table. One that waits for webhooks has to end those of a removed Item, too. */
function ofTask(name: TaskName): DueWork {
  const { due, whileRemoved, whileBroken } = tasks[name];
  return {
    kind: name,
    query(sql, before) {
      const acts = whileBroken ? sql`TRUE` : sql`k.error_code IS NULL`;
      if ('column' in due) {
        const column = columnOf(sql, due.column);
        const there = whileRemoved ? sql`TRUE` : isMined(sql);
        return sql`
          SELECT k.item_id, k.${column} AS since FROM items k
          WHERE k.${column} < ${before} AND ${acts} AND ${there}`;
      }
      return sql`
        SELECT w.item_id, min(w.received_at) AS since FROM webhooks w JOIN items k USING (item_id)
        WHERE w.outcome = 'pending' AND w.received_at < ${before} AND w.kind = ${due.webhooks}
          AND (k.removed_at IS NOT NULL OR ${isMined(sql)} AND ${acts})
        GROUP BY w.item_id`;
    },
  };
}

/**
 * What the sweep finds, the weightiest first. Each entry leaves out what its Item cannot act on anyway: what it lists is
 * signalled by each sweep until it is gone from the list. A removal ends all other wishes, so until it is done it alone is signalled.
 */
export const dueWork: readonly DueWork[] = [
  {
    kind: 'removal',
    query: (sql, before) => sql`
      SELECT item_id, removal_requested_at AS since FROM items
      WHERE removed_at IS NULL AND removal_requested_at < ${before} AND admitted_at IS NOT NULL`,
  },
  {
    // A broken Item is asked after at its own pace, not for every webhook that comes meanwhile; one that is removed only
    // has to end them.
    kind: 'webhooks',
    query: (sql, before) => sql`
      SELECT w.item_id, min(w.received_at) AS since FROM webhooks w JOIN items k USING (item_id)
      WHERE w.outcome = 'pending' AND w.received_at < ${before} AND w.kind IN ('update', 'history')
        AND (k.removed_at IS NOT NULL OR k.error_code IS NULL AND ${isMined(sql)})
      GROUP BY w.item_id`,
  },
  {
    kind: 'update',
    query: (sql, before) => sql`
      SELECT k.item_id, k.next_due_at AS since FROM items k
      WHERE ${isMined(sql)} AND k.next_due_at < ${before}`,
  },
  ...taskNames.map(ofTask),
  {
    // None begins before there is a cursor, or Plaid has said that there are no transactions.
    kind: 'remine',
    query: (sql, before) => sql`
      SELECT k.item_id, k.remine_requested_at AS since FROM items k
      WHERE k.remine_requested_at < ${before} AND k.error_code IS NULL AND ${isMined(sql)} AND NOT ${isStaging(sql)}
        AND (k.cursor <> '' OR k.transactions_unavailable_since IS NOT NULL)`,
  },
];
