import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { pagesOf } from './applyTransactions.js';
import type { Pages } from './applyTransactions.js';
import { formerIds } from './formerIds.js';
import { setRemoved, enqueueRemoved, isOfHistory, reachOf } from './recordTexts.js';

/**
 * After an update was applied: marks as removed the rows of closed accounts that their successors list under other ids, those dated
 * at or after the oldest row of the successor (`reachOf`), and returns how many rows that were. Older ones are known nowhere else, and stay.
 * What a successor that has come back had before, and Plaid has not said since, is no proof of how far its list reaches now: the rows
 * in between may be known nowhere else, either. What a remine lists Plaid says, though it is what is stored. The caller holds the item
 * row's lock.
 */
export async function removeSucceeded(
  tx: Tx,
  update: Pages & { sequence: number; isRemine: boolean },
): Promise<number> {
  const { itemId, sequence, isRemine } = update;
  const succeeded = firstOf(
    await tx<[{ n: number }]>`
    WITH RECURSIVE ${isRemine ? tx`${pagesOf(tx, update)},` : tx``}
    ${formerIds(tx, tx`${itemId}`, tx`a.status = 'open'`)},
    oldest AS (
      SELECT t.account_id, ${reachOf(tx, itemId, tx`t.date`, (_, second) => second)} AS date FROM transactions t
        JOIN accounts a USING (item_id, account_id)
      WHERE t.item_id = ${itemId} AND t.status <> 'removed' AND t.account_id = ANY(ARRAY(SELECT heir FROM line))
        AND ${isOfHistory(tx, tx`t.date`)}
        AND (NOT coalesce(a.listed_since > a.created_at AND t.updated_at < a.listed_since, false)
          ${isRemine ? tx`OR t.transaction_id IN (SELECT id FROM newest WHERE kind <> 'removed')` : tx``})
      GROUP BY t.account_id
    ),
    ${setRemoved(
      tx,
      itemId,
      tx`FROM line l JOIN oldest o ON o.account_id = l.heir WHERE t.account_id = l.account_id AND t.date >= o.date`,
    )},
    ${enqueueRemoved(tx, itemId, sequence)}
    SELECT count(*)::int AS n FROM marked`,
  );
  return succeeded.n;
}
