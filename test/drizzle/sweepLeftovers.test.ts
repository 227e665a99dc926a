import type { World } from './world.js';
import { linkedItem, openWorld, prompt } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

it('numbers of a broken Item are not called for: they wait for its repair', async () => {
  const { itemId } = await linkedItem(world);
  const broken = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  await prompt(world).setBroken(itemId, broken, '2030-01-01T00:00:00.000Z');
  await world.sql`UPDATE items SET numbers_due_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
  const due = async () => (await world.stores.sweep.findDue(10, 1_000)).map((row) => row.itemId);
  expect(await due()).toEqual([]);
  await world.sql`UPDATE items SET error_code = NULL WHERE item_id = ${itemId}`;
  expect(await due()).toEqual([itemId]);
});

it('pages that a late attempt left behind are dropped, those of an update on its way stay', async () => {
  await world.sql`
    INSERT INTO staged_pages (item_id, update_id, page, cursor, next_cursor, horizon, row_count, rows, raws, refineds, staged_at)
    SELECT 'item', 'days-' || n, 0, '', 'x', now(), 0, '[]', '', '', now() - n * interval '1 day' - interval '1 minute'
    FROM generate_series(0, 3) n`;
  await world.stores.sweep.ignoreUnknown();
  const rows = await world.sql`SELECT update_id FROM staged_pages ORDER BY 1`;
  expect(rows.map((row) => row['update_id'] as string)).toEqual(['days-0', 'days-1']);
});

it('whom it told is forgotten after a day, and told twice at once is noted once', async () => {
  const items = [{ itemId: 'one', userId: 'user', kinds: ['update', 'publish'] }];
  await world.stores.sweep.recordSignalled({ items: [...items, ...items], links: [] });
  await world.stores.sweep.recordSignalled({ items: [], links: [] });
  await world.sql`
    INSERT INTO sweep_told VALUES ('update', 'long ago', now() - interval '25 hours'), ('update', 'lately', now() - interval '23 hours')`;
  await world.stores.sweep.ignoreUnknown();
  const rows = await world.sql<{ subject: string; kind: string }[]>`
    SELECT subject, kind FROM sweep_told ORDER BY 1, 2`;
  expect(rows.map(({ subject, kind }) => `${subject} ${kind}`)).toEqual([
    'lately update',
    'one publish',
    'one update',
  ]);
});
