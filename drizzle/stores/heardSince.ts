import type { Fragment, Tx } from '../rows.js';

/**
 * Whether webhooks about the Item of this code have come since `at` (ISO 8601), and were acted on: who was asked before knows nothing of
 * them. One that an operator replays speaks of the past.
 */
export const heardSince = (tx: Tx, itemId: string, code: string, at: string): Fragment => tx`EXISTS (
  SELECT FROM webhooks w
  WHERE w.item_id = ${itemId} AND w.received_at > ${at}::text::timestamptz AND w.kind = 'item'
    AND w.webhook_code = ${code} AND w.outcome = 'done' AND w.source <> 'replay')`;
