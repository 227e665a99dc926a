import { fairnessKey } from '../domain/fairness.js';
import type { ItemEvent, ItemState } from '../domain/item/state.js';
import type { TaskName } from '../domain/item/tasks.js';
import { priorities } from './contract.js';
import { plaidRead, publisher } from './proxies.js';

/** How each kind of due work is done: its activity, and what comes of it. */
export const doTask: Record<TaskName, (state: ItemState) => Promise<ItemEvent>> = {
  async publish({ itemId }) {
    const { done } = await publisher({ summary: 'outbox to streams' }).publish({ itemId });
    return { kind: 'taskEnded', task: 'publish', more: !done };
  },
  async segment({ itemId }) {
    const { done } = await publisher({ summary: 'events to Segment' }).sendSegmentEvents({ itemId });
    return { kind: 'taskEnded', task: 'segment', more: !done };
  },
  async itemWebhooks({ itemId, userId }) {
    const ended = await plaidRead({
      summary: 'webhooks about the Item',
      priority: { priorityKey: priorities.webhook, fairnessKey: fairnessKey(userId) },
    }).settleItemWebhooks({ itemId });
    return { kind: 'itemWebhooksEnded', ...ended };
  },
  async numbers({ itemId }) {
    const { nextDueAt } = await plaidRead({ summary: 'account numbers' }).saveNumbers({ itemId });
    return nextDueAt === undefined
      ? { kind: 'taskEnded', task: 'numbers', more: false }
      : { kind: 'taskEnded', task: 'numbers', more: true, nextAt: nextDueAt };
  },
  async removals({ itemId, due }) {
    const failures = due.removals?.failures ?? 0;
    const { changes, more, nextDueAt, remineAsked } = await plaidRead({
      summary: 'named removals',
    }).settleRemovals({ itemId, ...(failures > 0 ? { failures } : {}) });
    return {
      kind: 'taskEnded',
      task: 'removals',
      more,
      ...(nextDueAt === undefined ? {} : { nextAt: nextDueAt }),
      makesDue: changes > 0 ? ['publish'] : [],
      ...(remineAsked === undefined ? {} : { remineAsked }),
    };
  },
};
