import { Failure } from '../domain/failures.js';
import { consentOf } from '../domain/item/health.js';
import { instantOf } from '../domain/instants.js';
import type { AskingCredentials } from '../domain/ports/items.js';
import type { ItemCheck } from '../domain/ports/logins.js';
import { askItem } from '../domain/webhookAddress.js';
import type { ActivityDeps } from './deps.js';
import { withToken } from './itemToken.js';

/** Longer than a healthy Temporal needs; a signal that is not sent is `sweep`'s. */
const signalWithinMs = 5_000;

export function loginActivities(deps: ActivityDeps) {
  const { items, logins, webhooks, gateway, staleAfterMs, plaidEnvironment } = deps;

  /** When Plaid has read the bank last, or why it does not say. */
  async function ask(
    credentials: AskingCredentials,
  ): Promise<{ updatedAt: string | null; failure: Failure | null }> {
    try {
      const view = await withToken(deps, credentials, (token) => askItem(deps, credentials.itemId, token));
      await items.noteConsent(credentials.itemId, credentials.seen, consentOf(view));
      return { updatedAt: instantOf(view.last_successful_update), failure: null };
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      return { updatedAt: null, failure };
    }
  }

  /** Losing the signal is harmless: the webhook is stored. */
  async function signal(webhookId: string): Promise<void> {
    const acquired = await webhooks.acquireSignal(webhookId);
    if (acquired === null) return;
    const { itemId, userId, kind } = acquired;
    try {
      await gateway.signalItem(itemId, userId, { kind: 'webhookReceived', webhook: kind }, signalWithinMs);
    } catch {
      await webhooks.releaseSignal(acquired.webhookId);
    }
  }

  return {
    /** The user's Items that may be stale: healthy, and not being removed. */
    async listItemsToCheck(input: { userId: string }): Promise<{ itemIds: string[] }> {
      return { itemIds: await logins.itemsToCheck(input.userId) };
    },

    /**
     * Whether an Item is stale now that its user logs in; one that is gets a synthetic webhook, which makes it update, or has
     * the one that waits signalled once more. Safe to repeat: while that webhook waits it is the answer. By age an Item is stale although Plaid is down; else the call fails.
     */
    async checkStaleness(input: { itemId: string }): Promise<ItemCheck> {
      const { itemId } = input;
      const fresh = { item_id: itemId, stale: false, webhook_id: null };
      const credentials = await items.credentials(itemId, { forRemoval: false });
      if (credentials === null) return { ...fresh, reason: 'ITEM_GONE' };
      const { updatedAt, failure } = await ask(credentials);
      const recorded = await logins.recordCheck({
        itemId,
        staleAfterMs,
        plaidUpdatedAt: updatedAt,
        environment: plaidEnvironment,
      });
      if (recorded === null) return { ...fresh, reason: 'ITEM_GONE' };
      if (recorded.webhookId !== null) {
        // Also for one that waits: what its signal has begun may have failed, and wait for hours.
        await signal(recorded.webhookId);
        return { item_id: itemId, stale: true, webhook_id: recorded.webhookId, reason: recorded.reason };
      }
      if (failure?.retryable) throw failure;
      return { ...fresh, reason: failure?.type ?? null };
    },
  };
}
