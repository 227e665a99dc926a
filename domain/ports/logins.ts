import type { StaleReason } from '../item/staleness.js';
import type { StepFailure } from '../mining/run.js';

/** What the check of one Item at its user's login found. */
export interface ItemCheck {
  item_id: string;
  stale: boolean;
  /** The webhook that makes the Item update; null when it is not stale. */
  webhook_id: string | null;
  /** Why it is stale; of one that is not, the type of the failure that kept us from knowing better, or null. */
  reason: StaleReason | StepFailure['type'] | null;
}

export interface LoginStore {
  /** The user's admitted Items that are healthy and not being removed, in order of linking. */
  itemsToCheck(userId: string): Promise<string[]>;
  /**
   * Decides under the item's lock whether it is stale (`staleReason`). Of a stale one it stores a synthetic update webhook
   * together with Plaid's time that it will cover; while another update webhook waits, that one is the answer.
   * `plaidUpdatedAt`: Plaid's `last_successful_update`, null = not known. Null for an Item that is not to be checked.
   */
  recordCheck(check: {
    itemId: string;
    staleAfterMs: number;
    plaidUpdatedAt: string | null;
    environment: 'sandbox' | 'production';
  }): Promise<{ reason: StaleReason | null; webhookId: string | null } | null>;
}
