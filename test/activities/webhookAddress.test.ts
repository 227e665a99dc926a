import { Failure } from '../../domain/failures.js';
import { updateWebhookAddresses } from '../../src/webhookAddresses.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';

/** Items whose webhooks go to where the service has moved away from. */
const ours = 'https://sluice.example/webhooks/plaid';
const former = 'https://former.example/webhooks/plaid';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());

const alertsOf = ({ itemId }: FakeItem) =>
  world.sql`SELECT kind, key, detail FROM alerts WHERE item_id = ${itemId} ORDER BY kind`;
const movedItem = async (user: string, webhook: string | null = former): Promise<FakeItem> => {
  const item = await world.linkedItem(user);
  item.webhook = webhook;
  return item;
};

describe('an Item whose webhooks go to another address', () => {
  it.each<[string, (item: FakeItem) => Promise<unknown>]>([
    ['a look at its health', ({ itemId }) => world.run.checkItem({ itemId })],
    ['a login of its user', ({ itemId }) => world.run.checkStaleness({ itemId })],
  ])('has ours after %s', async (how, look) => {
    for (const webhook of [former, null]) {
      const item = await movedItem(`${how} ${webhook}`, webhook);
      await look(item);
      expect(item.webhook).toBe(ours);
      const calls = world.plaid.count('updateWebhook');
      await look(item);
      expect(world.plaid.count('updateWebhook')).toBe(calls);
      expect(await alertsOf(item)).toHaveLength(0);
    }
  });

  it('has ours after it was linked', async () => {
    const { tokenHash, item } = await world.receive('links');
    item.webhook = former;
    await world.run.exchangePublicToken({ tokenHash });
    await expect(world.run.admitItem({ tokenHash })).resolves.toMatchObject({ kind: 'admitted' });
    expect(item.webhook).toBe(ours);
  });

  it('is left as it is where our address is not known', async () => {
    const item = await movedItem('nowhere');
    await world.runWith({ webhookUrl: null }).checkItem({ itemId: item.itemId });
    expect(item.webhook).toBe(former);
  });

  it('keeps nobody from its health when Plaid does not take ours: an alert tells, once', async () => {
    const item = await movedItem('refused');
    const refusal = new Failure('BAD_REQUEST', 'no', {
      upstream: { error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD', request_id: 'r1' },
    });
    for (let time = 0; time < 2; time += 1) {
      world.plaid.failNext('updateWebhook', refusal);
      await expect(world.run.checkItem({ itemId: item.itemId })).resolves.toMatchObject({
        result: 'healthy',
      });
    }
    expect([...(await alertsOf(item))]).toEqual([
      {
        kind: 'webhook_address',
        key: item.itemId,
        detail: { failure: 'BAD_REQUEST', error_code: 'INVALID_FIELD' },
      },
    ]);
    await world.run.checkItem({ itemId: item.itemId });
    expect(item.webhook).toBe(ours);
  });
});

it('the command asks of every Item, waits where Plaid asks for it, and names what it left as it was', async () => {
  const items = [await movedItem('all-1'), await movedItem('all-2'), await movedItem('all-3', ours)];
  const waited: number[] = [];
  const given = {
    plaid: world.plaid,
    secrets: world.secrets,
    rows: world.stores.sealedRows,
    alerts: world.stores.alerts,
    webhookUrl: 'https://new.example/webhooks/plaid',
    pause: async (ms: number) => void waited.push(ms),
  };
  world.plaid.failNext('updateWebhook', new Failure('RATE_LIMITED', 'slower', { retryAfterMs: 7_000 }));
  world.plaid.failNext('updateWebhook', 'UPSTREAM_DOWN');
  const first = await updateWebhookAddresses(given);
  expect(waited).toContain(7_000);
  expect(first).toMatchObject({ kept: 0, failed: [{ failure: { type: 'UPSTREAM_DOWN' } }] });
  expect(first.changed).toBeGreaterThanOrEqual(items.length - 1);
  const second = await updateWebhookAddresses(given);
  expect(second).toEqual({ kept: first.changed, changed: 1, failed: [], stopped: false });
  expect(items.map(({ webhook }) => webhook)).toEqual(items.map(() => given.webhookUrl));
});

it('the command stops where Plaid goes on asking to wait, and does not wait as long for each Item', async () => {
  for (const user of ['down-1', 'down-2', 'down-3', 'down-4']) await movedItem(user);
  const waited: number[] = [];
  world.plaid.refuse('getItem', 'PLANNED_MAINTENANCE', 'API_ERROR');
  const end = await updateWebhookAddresses({
    plaid: world.plaid,
    secrets: world.secrets,
    rows: world.stores.sealedRows,
    alerts: world.stores.alerts,
    webhookUrl: ours,
    pause: async (ms) => void waited.push(ms),
  });
  world.plaid.refuse('getItem', null);
  expect(end).toMatchObject({ changed: 0, stopped: true });
  expect(end.failed.map(({ failure }) => failure.type)).toEqual([
    'MAINTENANCE',
    'MAINTENANCE',
    'MAINTENANCE',
  ]);
  expect(waited.filter((ms) => ms === 30_000)).toHaveLength(30);
});
