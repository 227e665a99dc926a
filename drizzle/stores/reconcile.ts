import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { pagesOf } from './applyTransactions.js';
import type { Pages } from './applyTransactions.js';
import { setRemoved, enqueueRemoved } from './recordTexts.js';

/**
 * After a remine was applied: sets to removed what Plaid no longer lists, and returns how many rows that were. Only rows of
 * open accounts, dated at or after the oldest row that the answer lists of the account: closed accounts' and older rows
 * vanish from Plaid's answers without having been removed. The caller holds the item row's lock.
 */
export async function reconcile(tx: Tx, update: Pages & { sequence: number }): Promise<number> {
  const { itemId, updateId, sequence } = update;
  const removed = firstOf(
    await tx<[{ n: number }]>`
    WITH ${pagesOf(tx, update)},
    listed AS MATERIALIZED (SELECT id FROM newest WHERE kind <> 'removed'),
    oldest AS (
      SELECT t.account_id, min(t.date) AS date
      FROM listed JOIN transactions t ON t.item_id = ${itemId} AND t.transaction_id = listed.id
        JOIN accounts a ON a.item_id = ${itemId} AND a.account_id = t.account_id AND a.status = 'open'
      GROUP BY t.account_id
    ),
    ${setRemoved(
      tx,
      itemId,
      tx`FROM oldest o WHERE t.account_id = o.account_id AND t.date >= o.date
        AND NOT EXISTS (SELECT FROM listed WHERE listed.id = t.transaction_id)
        -- Listed as well, in a shape that could not be kept.
        AND NOT EXISTS (SELECT FROM parked_rows p WHERE p.item_id = ${itemId} AND p.update_id = ${updateId}
          AND p.transaction_id = t.transaction_id)`,
    )},
    ${enqueueRemoved(tx, itemId, sequence)}
    SELECT count(*)::int AS n FROM marked`,
  );
  return removed.n;
}
