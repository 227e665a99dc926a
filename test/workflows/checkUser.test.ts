import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { loginWorkflowId } from '../../domain/ids.js';
import { startTemporal } from './harness.js';
import type { TemporalHarness } from './harness.js';

describe('the check of a user', () => {
  let temporal: TemporalHarness;
  /** By item id: how often it was checked. */
  const checks = new Map<string, number>();
  let release = (): void => undefined;
  const hang = new Promise<void>((resolve) => (release = resolve));
  let lists = 0;
  let items: string[] = [];

  beforeAll(async () => {
    temporal = await startTemporal({
      async listItemsToCheck() {
        lists += 1;
        return { itemIds: items };
      },
      async checkStaleness({ itemId }) {
        const tries = (checks.get(itemId) ?? 0) + 1;
        checks.set(itemId, tries);
        if (itemId === 'hanging') await hang;
        if (itemId.startsWith('down') || (itemId.startsWith('shaky') && tries === 1)) {
          throw ApplicationFailure.create({ type: 'UPSTREAM_DOWN', message: 'down' });
        }
        return { item_id: itemId, stale: true, webhook_id: `w-${itemId}`, reason: 'last_update_old' };
      },
    });
  });
  afterAll(() => temporal.stop());

  it('answers for every Item; one that Plaid is silent about is not stale, with the reason, within the bound', async () => {
    items = ['down-1', 'shaky-1', 'good-1'];
    const good = (itemId: string) => ({
      item_id: itemId,
      stale: true,
      webhook_id: `w-${itemId}`,
      reason: 'last_update_old',
    });
    expect(await temporal.gateway.checkUser('user-1', 12_000, randomUUID())).toEqual([
      { item_id: 'down-1', stale: false, webhook_id: null, reason: 'UPSTREAM_DOWN' },
      good('shaky-1'),
      good('good-1'),
    ]);
    expect(checks.get('shaky-1')).toBe(2);
    expect(checks.get('down-1')).toBeGreaterThan(1);
  });

  it('is null when it takes longer than the caller waits', async () => {
    items = ['hanging'];
    expect(await temporal.gateway.checkUser('user-1', 500, randomUUID())).toBeNull();
    release();
  });

  it('of a request runs once, however often the request is made, and answers each alike', async () => {
    items = ['repeated-1'];
    const requestId = randomUUID();
    const before = lists;
    const ask = () => temporal.gateway.checkUser('user-1', 12_000, requestId);
    const [first, beside] = await Promise.all([ask(), ask()]);
    items = [];
    expect([beside, await ask()]).toEqual([first, first]);
    expect(first).toHaveLength(1);
    expect(lists - before).toBe(1);
  });

  it('of an event runs once, however often the event comes, also when it has ended', async () => {
    items = [];
    const eventId = `an/event ${randomUUID()}`;
    const before = lists;
    const start = () => temporal.gateway.startCheck(eventId, 'user-1');
    await Promise.all([start(), start(), start()]);
    await temporal.client.workflow.getHandle(loginWorkflowId(eventId)).result();
    await start();
    await temporal.gateway.startCheck(`${eventId}-other`, 'user-1');
    await temporal.client.workflow.getHandle(loginWorkflowId(`${eventId}-other`)).result();
    expect(lists - before).toBe(2);
  });
});
