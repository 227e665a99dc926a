import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { pagesOf } from './applyTransactions.js';
import type { Pages } from './applyTransactions.js';
import { setRemoved, enqueueRemoved, isOfHistory, reachOf } from './recordTexts.js';

/**
 * After a reading of a remine was applied: sets to removed what neither it nor the one before lists, and notes what it is the first
 * not to list: one answer may be short. Only rows of open accounts, dated at or after the oldest row that the answer lists of the
 * account (`reachOf`): closed accounts' and older rows vanish from Plaid's answers without having been removed. An answer with an entry of no id
 * proves nothing of any: each may be that one. `remine` is its number. What it lists needs no look-up for a webhook that named it as
 * removed before `askedAt`. The caller holds the item row's lock.
 */
export async function reconcile(
  tx: Tx,
  update: Pages & { sequence: number; remine: number; askedAt: string },
): Promise<{ removed: number; missed: number }> {
  const { itemId, updateId, sequence, remine, askedAt } = update;
  return firstOf(
    await tx<[{ removed: number; missed: number }]>`
    WITH ${pagesOf(tx, update)},
    listed AS MATERIALIZED (SELECT id FROM newest WHERE kind <> 'removed'),
    oldest AS (
      SELECT t.account_id, ${reachOf(tx, itemId, tx`t.date`, (twoYearsAgo) => twoYearsAgo)} AS date
      FROM listed JOIN transactions t ON t.item_id = ${itemId} AND t.transaction_id = listed.id
        JOIN accounts a ON a.item_id = ${itemId} AND a.account_id = t.account_id AND a.status = 'open'
      WHERE ${isOfHistory(tx, tx`t.date`)}
      GROUP BY t.account_id
    ),
    missing AS MATERIALIZED (
      SELECT t.transaction_id AS id, t.missed_by IS NOT DISTINCT FROM ${remine}::int AS again
      FROM transactions t JOIN oldest o ON t.account_id = o.account_id AND t.date >= o.date
      WHERE t.item_id = ${itemId} AND t.status <> 'removed'
        AND NOT EXISTS (SELECT FROM listed WHERE listed.id = t.transaction_id)
        -- Listed as well, in a shape that could not be kept.
        AND NOT EXISTS (SELECT FROM parked_rows p WHERE p.item_id = ${itemId} AND p.update_id = ${updateId}
          AND p.transaction_id = t.transaction_id)
        AND NOT EXISTS (SELECT FROM parked_rows p WHERE p.item_id = ${itemId} AND p.update_id = ${updateId}
          AND p.reason IN ('not_an_object', 'no_id') AND NOT starts_with(p.transaction_id, 'accounts#'))
    ),
    ${setRemoved(tx, itemId, tx`WHERE t.transaction_id = ANY(ARRAY(SELECT id FROM missing WHERE again))`)},
    ${enqueueRemoved(tx, itemId, sequence)},
    missed AS (
      UPDATE transactions t SET missed_by = ${remine}
      WHERE t.item_id = ${itemId} AND t.transaction_id = ANY(ARRAY(SELECT id FROM missing WHERE NOT again))
      RETURNING 1
    ),
    found AS (
      UPDATE transactions t SET missed_by = NULL
      WHERE t.item_id = ${itemId} AND t.missed_by IS NOT NULL
        AND t.transaction_id <> ALL(ARRAY(SELECT id FROM missing))
    ),
    looked_up AS (
      UPDATE webhooks w SET removed_ids = ARRAY(SELECT unnest(w.removed_ids) EXCEPT SELECT id FROM listed)
      WHERE w.item_id = ${itemId} AND w.outcome = 'pending' AND w.kind = 'removals'
        AND w.received_at <= ${askedAt}::text::timestamptz
    )
    SELECT (SELECT count(*) FROM marked)::int AS removed, (SELECT count(*) FROM missed)::int AS missed`,
  );
}
