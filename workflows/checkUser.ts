import { fairnessKey } from '../domain/fairness.js';
import type { ItemCheck } from '../domain/ports/logins.js';
import { priorities } from './contract.js';
import type { CheckUserInput } from './contract.js';
import { db, plaidWhileUserWaits } from './proxies.js';
import { stepFailure } from './stepFailure.js';

/**
 * A user has logged in: finds out which of the user's Items are stale, each by an activity of its own, and makes those update.
 * Plaid's silence about one says nothing of the others.
 */
export async function checkUser({ userId, answerWithinMs }: CheckUserInput): Promise<ItemCheck[]> {
  const priority = { priorityKey: priorities.waitingUser, fairnessKey: fairnessKey(userId) };
  const { itemIds } = await db({ priority }).listItemsToCheck({ userId });
  const plaid = plaidWhileUserWaits({
    priority,
    summary: 'is it stale?',
    ...(answerWithinMs === null ? {} : { scheduleToCloseTimeout: answerWithinMs }),
  });
  return Promise.all(
    itemIds.map(async (itemId): Promise<ItemCheck> => {
      try {
        return await plaid.checkStaleness({ itemId });
      } catch (error) {
        const { type } = stepFailure('staleness', error, Date.now());
        return { item_id: itemId, stale: false, webhook_id: null, reason: type };
      }
    }),
  );
}
