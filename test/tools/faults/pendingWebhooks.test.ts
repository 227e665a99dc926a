import { pendingWebhooks } from '../../../tools/faults/pendingWebhooks.js';
import type { World } from '../../drizzle/world.js';
import { openWorld, webhook } from '../../drizzle/world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());
beforeEach(() => world.sql`WITH gone AS (DELETE FROM webhooks) DELETE FROM alerts`);

const webhookOf = (itemId: string) => world.stores.webhooks.store(webhook(itemId, 'SYNC_UPDATES_AVAILABLE'));
const linkLost = (key: string) =>
  world.stores.alerts.raise({ kind: 'link_outcome_unknown', key, item_id: null, detail: {} });
const owed = async (): Promise<(string | null)[]> =>
  (await pendingWebhooks(world)).map(({ item_id }) => item_id);

describe('webhooks whose outcome is owed', () => {
  it('are those of Items that nobody knows, where no link has lost one', async () => {
    await webhookOf('item-lost');
    await webhookOf('item-done');
    await world.sql`UPDATE webhooks SET outcome = 'done', settled_at = now() WHERE item_id = 'item-done'`;
    expect(await owed()).toEqual(['item-lost']);
  });

  it('are not those of the one Item that a link has lost, however many', async () => {
    await linkLost('link-1');
    await webhookOf('item-lost');
    await webhookOf('item-lost');
    expect(await owed()).toEqual([]);
    await webhookOf('item-lost-too');
    expect(await owed()).toEqual(['item-lost', 'item-lost', 'item-lost-too']);
    await linkLost('link-2');
    expect(await owed()).toEqual([]);
  });
});
