import type { World } from './world.js';
import { openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const alert = {
  kind: 'plaid_code_unknown' as const,
  key: 'NEW_CODE',
  item_id: null,
  detail: { error_code: 'NEW_CODE', text: 'a\u0000b' },
};
const stored = () => world.sql`SELECT kind, key, item_id, detail FROM alerts ORDER BY key`;

it('the same matter is one row', async () => {
  await Promise.all([1, 2, 3].map(() => world.stores.alerts.raise(alert)));
  await world.stores.alerts.raise({ ...alert, detail: {} });
  expect(await stored()).toEqual([{ ...alert, detail: { ...alert.detail, text: 'a\ufffdb' } }]);
});

// Many raise the same one: each of them would hold a connection, and nobody else's work would go on.
it.each(['a row that somebody deletes', 'the table'])(
  'nobody waits long to raise one behind a lock on %s, and it is raised when that ends',
  async (what) => {
    await world.sql.begin(async (tx) => {
      await (what === 'the table' ? tx`LOCK TABLE alerts` : tx`DELETE FROM alerts WHERE key = 'NEW_CODE'`);
      await expect(world.stores.alerts.raise(alert)).rejects.toMatchObject({
        type: 'UPSTREAM_DOWN',
        message: expect.stringContaining('55P03'),
      });
    });
    await world.stores.alerts.raise(alert);
    expect(await stored()).toHaveLength(1);
  },
);
