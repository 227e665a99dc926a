import type { History } from '../mining/run.js';

/** Why an Item is taken for stale when its user logs in. */
export type StaleReason =
  /** Its last update is older than the bound. */
  | 'last_update_old'
  /** Plaid has read the bank since: its `last_successful_update` is later than the one that we know to cover. */
  | 'plaid_newer'
  /** An update is asked for already, and has not run. */
  | 'update_waiting';

export interface Freshness {
  /** Id of an accepted update webhook that nobody has acted on yet. */
  waiting: string | null;
  /** Whether our last update is older than the bound; an Item that had none counts from its admission. */
  old: boolean;
  /**
   * Plaid's `last_successful_update` against the one that our last update is known to cover: `silent` = Plaid said nothing,
   * `first` = nothing is known to compare it with. Plaid's times are compared with Plaid's only.
   */
  plaid: 'silent' | 'first' | 'newer' | 'covered';
}

/** Whether an Item is stale, and why; null = fresh. */
export function staleReason(freshness: Freshness): StaleReason | null {
  if (freshness.waiting !== null) return 'update_waiting';
  if (freshness.old) return 'last_update_old';
  return freshness.plaid === 'newer' ? 'plaid_newer' : null;
}

/**
 * The body of the webhook that stands for "this Item is stale", in Plaid's byte form: keys in order, two spaces, no newline
 * at the end.
 */
export function syntheticUpdate(item: {
  itemId: string;
  history: History;
  environment: 'sandbox' | 'production';
}): string {
  const body = {
    environment: item.environment,
    historical_update_complete: item.history === 'complete',
    initial_update_complete: item.history !== 'none',
    item_id: item.itemId,
    webhook_code: 'SYNC_UPDATES_AVAILABLE',
    webhook_type: 'TRANSACTIONS',
  };
  return JSON.stringify(body, null, 2);
}
