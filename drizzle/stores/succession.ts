import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { setRemoved, enqueueRemoved, isOfHistory, reachOf } from './recordTexts.js';

/**
 * After an update was applied: marks as removed the rows of closed accounts that their successors list under other ids, those dated
 * at or after the oldest row of the successor (`reachOf`), and returns how many rows that were. Older ones are known nowhere else, and stay.
 * The caller holds the item row's lock.
 */
export async function removeSucceeded(tx: Tx, itemId: string, sequence: number): Promise<number> {
  const succeeded = firstOf(
    await tx<[{ n: number }]>`
    WITH RECURSIVE line AS (
      SELECT a.replaces AS account_id, a.account_id AS heir FROM accounts a
      WHERE a.item_id = ${itemId} AND a.status = 'open' AND a.replaces IS NOT NULL
      UNION
      SELECT a.replaces, l.heir FROM line l
        JOIN accounts a ON a.item_id = ${itemId} AND a.account_id = l.account_id AND a.replaces IS NOT NULL
    ),
    oldest AS (
      SELECT t.account_id, ${reachOf(tx, itemId, tx`t.date`, (_, second) => second)} AS date FROM transactions t
      WHERE t.item_id = ${itemId} AND t.status <> 'removed' AND t.account_id = ANY(ARRAY(SELECT heir FROM line))
        AND ${isOfHistory(tx, tx`t.date`)}
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
