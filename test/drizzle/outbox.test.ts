import type { Form, RecordKind } from '../../domain/mining/events.js';
import type { World } from './world.js';
import { linkedItem, openWorld, runUpdate, transaction } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

async function itemWithRows(count: number) {
  const item = await linkedItem(world);
  await runUpdate(world, item, [{ added: Array.from({ length: count }, (_, n) => transaction(`t${n}`)) }]);
  return item;
}

/** Marks everything of the Item as sent, as a publisher does. */
async function sendAll(itemId: string): Promise<void> {
  const kinds: [RecordKind, Form][] = [
    ['account', 'raw'],
    ['account', 'refined'],
    ['transaction', 'raw'],
    ['transaction', 'refined'],
  ];
  for (const [record, form] of kinds) {
    const { sent, rows } = await world.stores.outbox.unsent(itemId, record, 1_000);
    const last = rows.at(-1)?.sequence ?? sent[form];
    expect(await world.stores.outbox.advanceWatermark(itemId, record, form, sent[form], last)).toBe(true);
  }
}

const isUnsent = async (itemId: string) =>
  (await world.stores.items.snapshot(itemId))?.due.includes('publish');

describe('the outbox of an Item', () => {
  it('gives rows after the lower mark, in order, as far as asked, by kind of record', async () => {
    const { itemId, userId } = await itemWithRows(5);
    const { outbox } = world.stores;
    const accounts = await outbox.unsent(itemId, 'account', 10);
    expect(accounts).toMatchObject({ sent: { raw: 0, refined: 0 }, more: false });
    expect(accounts.rows.map((row) => row.subject)).toEqual(['acc-1']);
    const first = await outbox.unsent(itemId, 'transaction', 3);
    expect(first.more).toBe(true);
    expect(first.rows.map((row) => row.sequence)).toEqual([2, 3, 4]);
    expect(first.rows[0]).toMatchObject({
      item_id: itemId,
      user_id: userId,
      record: 'transaction',
      removed: false,
    });
    expect(first.rows[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(JSON.parse(first.rows[0]?.raw ?? '')).toMatchObject({ transaction_id: 't0' });
    expect(JSON.parse(first.rows[0]?.refined ?? '')).toMatchObject({ id: 't0', version: 1 });

    expect(await outbox.advanceWatermark(itemId, 'transaction', 'raw', 0, 4)).toBe(true);
    const second = await outbox.unsent(itemId, 'transaction', 10);
    expect(second.sent).toEqual({ raw: 4, refined: 0 });
    expect(second.rows[0]?.sequence).toBe(2);
    expect(await outbox.advanceWatermark(itemId, 'transaction', 'refined', 0, 3)).toBe(true);
    expect((await outbox.unsent(itemId, 'transaction', 10)).rows.map((row) => row.sequence)).toEqual([
      4, 5, 6,
    ]);
  });

  it('moves a mark for one of many publishers', async () => {
    const { itemId } = await itemWithRows(3);
    const { outbox } = world.stores;
    for (const [from, to] of [
      [0, 2],
      [2, 4],
    ] as const) {
      const moved = await Promise.all(
        [1, 2, 3, 4, 5].map(() => outbox.advanceWatermark(itemId, 'transaction', 'raw', from, to)),
      );
      expect(moved.filter(Boolean)).toHaveLength(1);
    }
    expect(await outbox.advanceWatermark(itemId, 'transaction', 'raw', 0, 9)).toBe(false);
    expect((await outbox.unsent(itemId, 'transaction', 10)).sent).toEqual({ raw: 4, refined: 0 });
  });

  it('is unsent until the last stream has the last row, and again after the next change', async () => {
    const item = await itemWithRows(2);
    expect(await isUnsent(item.itemId)).toBe(true);
    const { outbox } = world.stores;
    await outbox.advanceWatermark(item.itemId, 'account', 'raw', 0, 1);
    await outbox.advanceWatermark(item.itemId, 'account', 'refined', 0, 1);
    await outbox.advanceWatermark(item.itemId, 'transaction', 'raw', 0, 3);
    expect(await isUnsent(item.itemId)).toBe(true);
    await outbox.advanceWatermark(item.itemId, 'transaction', 'refined', 0, 3);
    expect(await isUnsent(item.itemId)).toBe(false);
    await runUpdate(world, item, [{ modified: [transaction('t0', { amount: 1 })] }]);
    expect(await isUnsent(item.itemId)).toBe(true);
  });

  it('is unsent since the oldest change that waits', async () => {
    const item = await linkedItem(world);
    const since = async () => {
      const [row] = await world.sql<[{ since: string | null }]>`
        SELECT unsent_since::text AS since FROM items WHERE item_id = ${item.itemId}`;
      return row.since;
    };
    await runUpdate(world, item, [{ added: [transaction('a')] }]);
    const first = await since();
    expect(first).not.toBeNull();
    await runUpdate(world, item, [{ added: [transaction('b')] }]);
    expect(await since()).toBe(first);
  });

  it('is not unsent for ever when the streams finish at the same time', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { itemId } = await itemWithRows(1);
      const { outbox } = world.stores;
      await Promise.all([
        outbox.advanceWatermark(itemId, 'account', 'raw', 0, 1),
        outbox.advanceWatermark(itemId, 'account', 'refined', 0, 1),
        outbox.advanceWatermark(itemId, 'transaction', 'raw', 0, 2),
        outbox.advanceWatermark(itemId, 'transaction', 'refined', 0, 2),
      ]);
      expect(await isUnsent(itemId)).toBe(false);
    }
  });

  it('is not unsent for ever when a publisher died between the last mark and the note of it', async () => {
    const { itemId } = await itemWithRows(1);
    await sendAll(itemId);
    await world.sql`UPDATE items SET unsent_since = now() - interval '1 hour' WHERE item_id = ${itemId}`;
    const due = async () => (await world.stores.sweep.findDue(500, 1_000)).map((row) => row.itemId);
    expect(await due()).toContain(itemId);
    // The sweep's signal has the Item publish, which finds nothing to send.
    await world.stores.outbox.unsent(itemId, 'account', 10);
    await world.stores.outbox.unsent(itemId, 'transaction', 10);
    expect(await isUnsent(itemId)).toBe(false);
  });
});
