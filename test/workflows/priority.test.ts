import { randomUUID } from 'node:crypto';
import type { Activities } from '../../activities/index.js';
import { taskQueues } from '../../domain/ids.js';
import type { PageResult } from '../../domain/mining/run.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';
import { startTemporal, until } from './harness.js';

describe('priorities on the queue of Plaid calls', () => {
  it('let news of known Items pass the backfills that wait', async () => {
    const order: string[] = [];
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const backfills = Array.from({ length: 8 }, () => `backfill${randomUUID().slice(0, 8)}`);
    const news = Array.from({ length: 4 }, () => `news${randomUUID().slice(0, 8)}`);
    const blocker = 'blocker';

    const activities: Partial<Activities> = {
      async loadItem({ itemId }) {
        const known = itemId.startsWith('news');
        return {
          policy: { ...defaultPolicy, quiet: 1, quietDeadline: 1, pollFirst: 3_600_000 },
          snapshot: itemSnapshot({
            itemId,
            userId: `user of ${itemId}`,
            history: known ? 'complete' : 'initial',
            hasCursor: true,
            nextDueAt: Date.now() + 3_600_000,
          }),
        };
      },
      async minePage({ itemId }): Promise<PageResult> {
        order.push(itemId);
        if (itemId === blocker) await gate;
        return {
          kind: 'applied',
          outcome: {
            added: 0,
            modified: 0,
            removed: 0,
            accounts: 0,
            changes: 0,
            pages: 1,
            history: 'initial',
          },
          broken: false,
          nextDueAt: Date.now() + 3_600_000,
          webhooksWaiting: 0,
          removalsWaiting: 0,
          calls: 1,
        };
      },
    };
    const temporal = await startTemporal(activities, { activitiesAtOnce: 1 });
    try {
      const signal = (itemId: string) =>
        temporal.gateway.signalItem(itemId, `user of ${itemId}`, {
          kind: 'webhookReceived',
          webhook: 'update',
        });
      /** Pages that wait on the server. */
      const backlog = async (): Promise<number> => {
        const answer = await temporal.client.workflowService.describeTaskQueue({
          namespace: temporal.namespace,
          taskQueue: { name: taskQueues.plaid },
          taskQueueType: 2,
          reportStats: true,
        });
        return Number(answer.stats?.approximateBacklogCount ?? 0);
      };
      await signal(blocker);
      await until(() => order.length === 1);
      for (const itemId of backfills) await signal(itemId);
      await until(async () => (await backlog()) >= backfills.length - 1);
      for (const itemId of news) await signal(itemId);
      await until(async () => (await backlog()) >= backfills.length + news.length - 1);
      release();
      await until(() => order.length === 1 + backfills.length + news.length);
      // One backfill may have been handed to the worker's poller before the news came.
      const last = Math.max(...news.map((itemId) => order.indexOf(itemId)));
      expect(
        order.slice(1, last).filter((itemId) => itemId.startsWith('backfill')).length,
      ).toBeLessThanOrEqual(1);
    } finally {
      release();
      await temporal.stop();
    }
  });
});
