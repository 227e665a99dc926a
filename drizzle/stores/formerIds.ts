import type { Fragment, Sql, Tx } from '../rows.js';

/**
 * A part of a recursive WITH, `line`: the ids (`account_id`) that accounts of an Item had before, each with the account that has taken its
 * place at last (`heir`). By what the old ones name: one that has come back from under another id names that one alone.
 * @param of which accounts `a` of the Item
 */
export const formerIds = (db: Sql | Tx, itemId: Fragment, of: Fragment): Fragment => db`
  line AS (
    SELECT p.account_id, a.account_id AS heir FROM accounts a
      JOIN accounts p ON p.item_id = ${itemId} AND p.replaced_by = a.account_id
    WHERE a.item_id = ${itemId} AND ${of}
    UNION
    SELECT p.account_id, l.heir FROM line l
      JOIN accounts p ON p.item_id = ${itemId} AND p.replaced_by = l.account_id
  )`;
