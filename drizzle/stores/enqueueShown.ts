import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { versioned } from './recordTexts.js';

/**
 * Writes an outbox row for each live transaction of accounts that an application may read since now: of what was enqueued before, its
 * change feed has left them out. What this update has enqueued itself (after sequence `after`) has its row already; the others are
 * numbered after `last`. Resolves to their number. The caller holds the item row's lock.
 */
export async function enqueueShown(
  tx: Tx,
  itemId: string,
  accountIds: readonly string[],
  { after, last }: { after: number; last: number },
): Promise<number> {
  const { n } = firstOf(
    await tx<[{ n: number }]>`
    WITH numbered AS MATERIALIZED (
      SELECT t.transaction_id, ${last}::bigint + row_number() OVER (ORDER BY t.transaction_id) AS sequence
      FROM transactions t
      WHERE t.item_id = ${itemId} AND t.account_id = ANY(${[...accountIds]}::text[]) AND t.status <> 'removed'
        AND NOT EXISTS (SELECT FROM outbox o WHERE o.item_id = ${itemId} AND o.sequence > ${after}
          AND o.record = 'transaction' AND o.subject = t.transaction_id)
    ),
    written AS (
      INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined, created_at)
      SELECT ${itemId}, n.sequence, 'transaction', false, t.transaction_id, t.version, t.raw,
        ${versioned(tx, tx`t.refined`, tx`t.version`)}::json, clock_timestamp()
      FROM numbered n JOIN transactions t ON t.item_id = ${itemId} AND t.transaction_id = n.transaction_id
    )
    SELECT count(*)::int AS n FROM numbered`,
  );
  return n;
}
