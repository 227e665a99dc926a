import type { Fragment, Sql, Tx } from '../rows.js';

/** The refined transaction as it is sent, JSON text: the stored one, and the version that it does not know itself. */
export const versioned = (sql: Sql | Tx, refined: Fragment, version: Fragment): Fragment =>
  // Spliced: to take the object apart and to write it again cost more than to write the row.
  sql`(left(${refined}::text, -1) || ',"version":' || ${version} || '}')`;

/** What the raw streams carry of a removed transaction, JSON. */
export const removedRaw = (sql: Sql | Tx, id: Fragment, accountId: Fragment): Fragment =>
  sql`json_build_object('transaction_id', ${id}, 'account_id', ${accountId})`;

/**
 * A CTE `marked` (id, account_id, version, refined) that sets transactions `t` to removed: those that are not yet, of the ones
 * that `which` picks, the UPDATE's FROM and WHERE.
 */
export const setRemoved = (sql: Sql | Tx, itemId: string, which: Fragment): Fragment => sql`
    marked AS (
      UPDATE transactions t SET status = 'removed', refined = (t.refined::jsonb || '{"status": "removed"}')::json,
        version = t.version + 1, updated_at = clock_timestamp(), missed_by = NULL
      ${which} AND t.item_id = ${itemId} AND t.status <> 'removed'
      RETURNING t.transaction_id AS id, t.account_id, t.version, t.refined
    )`;

/**
 * Whether a date is one of a history that Plaid can give: it began in 2013, with two years of the past. An older one (0001-01-01, 1970-01-01)
 * stands for a date that nobody knows, and is no proof that the answer reaches so far back.
 */
export const isOfHistory = (sql: Sql | Tx, date: Fragment): Fragment => sql`${date} >= '2011-01-01'`;

/**
 * How far back a list of rows of these dates (an aggregate over them) certainly reaches: to its oldest row. One that is older than the
 * two years which Plaid gives with a link may bear an odd date; where it is the only such one the list reaches to `otherwise`.
 */
export const reachOf = (
  sql: Sql | Tx,
  itemId: string,
  date: Fragment,
  otherwise: (twoYearsAgo: Fragment, second: Fragment) => Fragment,
): Fragment => {
  // By the Item's own newest row: of an account that sleeps the past is nearer.
  const twoYearsAgo = sql`(SELECT least(max(of_item.date), current_date) - 732 FROM transactions of_item
    WHERE of_item.item_id = ${itemId} AND of_item.status <> 'removed')`;
  const second = sql`(array_agg(${date} ORDER BY ${date}))[2]`;
  return sql`CASE WHEN min(${date}) >= ${twoYearsAgo} THEN min(${date})
    WHEN ${second} < ${twoYearsAgo} THEN ${second} ELSE ${otherwise(twoYearsAgo, second)} END`;
};

/** A CTE that writes the outbox rows of what `setRemoved` changed, numbered after `sequence`. */
export const enqueueRemoved = (sql: Sql | Tx, itemId: string, sequence: number): Fragment => sql`
    told AS (
      INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, created_at)
      SELECT ${itemId}, ${sequence}::bigint + row_number() OVER (ORDER BY id), 'transaction', true, id, version,
        ${removedRaw(sql, sql`id`, sql`account_id`)}, ${versioned(sql, sql`refined`, sql`version`)}::json,
        clock_timestamp()
      FROM marked
    )`;
