import { codeThatWithholds } from '../../domain/webhooks/itemFacts.js';
import type { Fragment, Tx } from '../rows.js';

/**
 * Whether a revocation of the Item's permission waits to be acted on, besides the webhooks `except`: until it is, nothing is given out
 * that one before it had withheld. One that an operator replays speaks of the past.
 */
export const revocationWaits = (tx: Tx, itemId: string, except: readonly string[]): Fragment => tx`EXISTS (
  SELECT FROM webhooks w
  WHERE w.item_id = ${itemId} AND w.kind = 'item' AND w.webhook_code = ${codeThatWithholds}
    AND w.outcome = 'pending' AND w.source <> 'replay' AND w.webhook_id <> ALL(${[...except]}::uuid[]))`;
