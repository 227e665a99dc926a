import { Failure } from '../../domain/failures.js';
import type { StreamPort } from '../../domain/ports/outbox.js';
import type { FakeItem } from './fakePlaid.js';
import { account, transaction } from './fakePlaid.js';
import { mine, twice, world } from './sharedWorld.js';

describe('publishing', () => {
  async function minedItem(): Promise<FakeItem> {
    const item = await world.linkedItem();
    item.accounts = [account('account-1'), account('account-2', { mask: '1111', name: 'Savings' })];
    item.page('', 'c1', { added: [transaction('s1'), transaction('s2')] });
    await world.run.minePage(mine(item, 'u1'));
    world.records.length = 0;
    return item;
  }
  const sequencesOn = (stream: string, key: string): number[] =>
    world.records
      .filter((record) => record.stream === stream && record.key === key)
      .flatMap(({ events }) => events.map(({ sequence }) => sequence));

  it('publish sends every change once to each form, in order, and nothing when it runs again', async () => {
    const { itemId } = await minedItem();
    expect(await twice('publish', { itemId })).toEqual([{ done: true }, { done: true }]);
    for (const form of ['raw', 'refined']) {
      expect(sequencesOn(`${form}-accounts`, itemId)).toEqual([1, 2]);
      expect(sequencesOn(`${form}-transactions`, itemId)).toEqual([3, 4]);
    }
    const [item] = await world.sql`SELECT unsent_since FROM items WHERE item_id = ${itemId}`;
    expect(item).toEqual({ unsent_since: null });
  });

  it('publish reads on while it sends, and neither skips nor repeats where two reads meet', async () => {
    const item = await world.linkedItem();
    const many = Array.from({ length: 2_300 }, (_, n) => transaction(`many-${n}`));
    item.page('', 'c1', { added: many });
    await world.run.minePage(mine(item, 'u1'));
    // Refined records are ahead: another publisher has sent some of them.
    await world.sql`
      INSERT INTO outbox_marks (item_id, record, form, sent) VALUES (${item.itemId}, 'transaction', 'refined', 1200)`;
    expect(await world.run.publish({ itemId: item.itemId })).toEqual({ done: true });
    const [first, last] = [sequencesOn('raw-accounts', item.itemId).length + 1, 2_300];
    const raw = sequencesOn('raw-transactions', item.itemId);
    expect([raw.length, raw[0]]).toEqual([last, first]);
    expect(raw).toEqual(raw.map((_, n) => first + n));
    const refined = sequencesOn('refined-transactions', item.itemId);
    expect(refined).toEqual(refined.map((_, n) => 1201 + n));
    expect(refined.at(-1)).toBe(raw.at(-1));
  });

  it('publish killed around the put sends again what it cannot know of, never less', async () => {
    for (const point of ['publish.beforePut', 'publish.afterPut', 'publish.afterMark'] as const) {
      const { itemId } = await minedItem();
      world.crashAt = point;
      await expect(world.run.publish({ itemId })).rejects.toThrow();
      expect(await world.run.publish({ itemId })).toEqual({ done: true });
      for (const form of ['raw', 'refined']) {
        const accounts = sequencesOn(`${form}-accounts`, itemId);
        const transactions = sequencesOn(`${form}-transactions`, itemId);
        expect([point, [...new Set(accounts)], [...new Set(transactions)]]).toEqual([point, [1, 2], [3, 4]]);
      }
      const ids = world.records.flatMap(({ events }) => events.map(({ id }) => id));
      const repeats = ids.length - new Set(ids).size;
      expect([point, repeats]).toEqual([point, point === 'publish.afterPut' ? 2 : 0]);
    }
  });

  it('publish parks a record that the stream refuses, tells of it once, and goes on', async () => {
    const { itemId } = await minedItem();
    const streams: StreamPort = {
      put: () => Promise.reject(new Failure('RECORD_REFUSED', 'too large')),
    };
    const run = world.runWith({ streams });
    expect(await run.publish({ itemId })).toEqual({ done: true });
    expect(await run.publish({ itemId })).toEqual({ done: true });
    const alerts = await world.sql`SELECT kind FROM alerts WHERE item_id = ${itemId}`;
    expect(alerts).toEqual(Array(4).fill({ kind: 'record_parked' }));
  });

  it('publish leaves an outage to a later try', async () => {
    const { itemId } = await minedItem();
    const streams: StreamPort = { put: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'away')) };
    await expect(world.runWith({ streams }).publish({ itemId })).rejects.toMatchObject({
      type: 'UPSTREAM_DOWN',
      nonRetryable: false,
    });
    const [item] =
      await world.sql`SELECT unsent_since IS NOT NULL AS unsent FROM items WHERE item_id = ${itemId}`;
    expect(item).toEqual({ unsent: true });
    expect(await world.run.publish({ itemId })).toEqual({ done: true });
  });
});
