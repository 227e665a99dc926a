import { continueAsNew } from '@temporalio/workflow';
import type { RunEnd } from '../domain/mining/run.js';
import { afterRemineStep } from '../domain/mining/run.js';
import type { RemineItemInput } from './contract.js';
import { pageToTheEnd } from './pageToTheEnd.js';
import { db } from './proxies.js';

/**
 * Goes from the durable cursor to its end, then reads everything of the Item again from the empty cursor and sets to removed what Plaid
 * does not list any more.
 */
export async function remineItem(input: RemineItemInput): Promise<RunEnd> {
  return pageToTheEnd(input, {
    remine: true,
    async next(given, before, step, rules) {
      const { itemId, cursorLost } = given;
      const after = afterRemineStep(before, step, { ...rules, cursorLost }, Date.now());
      if (!('lost' in after)) return { input: given, after };
      await db({ summary: 'the cursor leads nowhere' }).reportDeadEnd({ itemId, deadEnd: after.lost });
      return { input: { ...given, cursorLost: true }, after };
    },
    continueAsNew: (next) => continueAsNew<typeof remineItem>(next),
  });
}
