import type { World } from './world.js';
import { linkedItem, openWorld, runUpdate, transaction, webhook, prompt } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

it('figures count what waits, and how long', async () => {
  const { figures, webhooks } = world.stores;
  expect(await figures.read()).toEqual({
    items: [],
    unsentItems: 0,
    oldestUnsentSeconds: 0,
    pendingWebhooks: 0,
    oldestPendingWebhookSeconds: 0,
    overdueItems: 0,
    endpoints: [],
    pendingDeliveries: 0,
    oldestDueDeliverySeconds: 0,
    alerts: [],
  });
  const mined = await linkedItem(world);
  await runUpdate(world, mined, [{ added: [transaction('a')] }]);
  const broken = await linkedItem(world);
  await prompt(world).setBroken(
    broken.itemId,
    { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
    '2030-01-01T00:00:00Z',
  );
  await webhooks.store(webhook(mined.itemId, 'DEFAULT_UPDATE'));
  await world.sql`UPDATE items SET unsent_since = now() - interval '1 hour' WHERE item_id = ${mined.itemId}`;
  await world.sql`UPDATE items SET next_due_at = now() - interval '1 hour' WHERE item_id = ${mined.itemId}`;
  await world.sql`INSERT INTO alerts (kind, key, detail) VALUES ('row_parked', 'k', '{}')`;
  // Late are none of those that nobody asks for: on their way out, or with nobody connected.
  for (const column of ['removal_requested_at', 'unconnected_since']) {
    const { itemId } = await linkedItem(world);
    await world.sql`
      UPDATE items SET next_due_at = now() - interval '1 hour', ${world.sql(column)} = now() WHERE item_id = ${itemId}`;
  }
  const seen = await figures.read();
  expect(seen).toMatchObject({
    unsentItems: 1,
    pendingWebhooks: 1,
    overdueItems: 1,
    endpoints: [],
    pendingDeliveries: 0,
    oldestDueDeliverySeconds: 0,
    alerts: [{ kind: 'row_parked', count: 1 }],
  });
  expect(seen.oldestUnsentSeconds).toBeGreaterThanOrEqual(3_600);
  const byStatus = Object.fromEntries(
    seen.items.map(({ status, history, count }) => [`${status} ${history}`, count]),
  );
  expect(byStatus).toEqual({ 'ACTIVE complete': 1, 'ACTIVE none': 2, 'ERROR none': 1 });
});
