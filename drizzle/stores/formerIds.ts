import type { Fragment, Sql, Tx } from '../rows.js';

/**
 * A part of a recursive WITH, `line`: the ids (`account_id`) that accounts of an Item had before, each with the account that has taken its
 * place at last (`heir`).
 * @param of which accounts `a` of the Item
 */
export const formerIds = (db: Sql | Tx, itemId: Fragment, of: Fragment): Fragment => db`
  line AS (
    SELECT a.replaces AS account_id, a.account_id AS heir FROM accounts a
    WHERE a.item_id = ${itemId} AND ${of} AND a.replaces IS NOT NULL
    UNION
    SELECT a.replaces, l.heir FROM line l
      JOIN accounts a ON a.item_id = ${itemId} AND a.account_id = l.account_id AND a.replaces IS NOT NULL
  )`;
