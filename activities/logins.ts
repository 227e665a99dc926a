import { Failure } from '../domain/failures.js';
import type { ItemCheck } from '../domain/ports/logins.js';
import { failureTypeOf } from '../domain/plaidErrors.js';
import type { ActivityDeps } from './deps.js';
import type { ItemHealth } from './itemHealth.js';
import { askHealth, beginEpisode } from './itemHealth.js';

/** Longer than a healthy Temporal needs; a signal that is not sent is `sweep`'s. */
const signalWithinMs = 5_000;

export function loginActivities(deps: ActivityDeps) {
  const { logins, webhooks, gateway, staleAfterMs, plaidEnvironment } = deps;

  /** How Plaid says that the Item is, or why it does not; null for one that is not to be asked after. */
  const ask = (itemId: string): Promise<ItemHealth | Failure | null> =>
    askHealth(deps, itemId).catch((failure: unknown) => {
      if (failure instanceof Failure) return failure;
      throw failure;
    });

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
     * the one that waits signalled once more. Safe to repeat: while that webhook waits it is the answer. By age an Item is stale
     * although Plaid is down; else the call fails. One that `/item/get` calls broken is so from then on.
     */
    async checkStaleness(input: { itemId: string }): Promise<ItemCheck> {
      const { itemId } = input;
      const fresh = { item_id: itemId, stale: false, webhook_id: null };
      const answer = await ask(itemId);
      if (answer === null) return { ...fresh, reason: 'ITEM_GONE' };
      const [health, failure] = answer instanceof Failure ? [null, answer] : [answer, null];
      // What it says of the consent is written down, too.
      if (health !== null && (await beginEpisode(deps, itemId, health)) && 'error' in health) {
        return { ...fresh, reason: failureTypeOf(health.error) };
      }
      const updatedAt = health?.updatedAt ?? null;
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
