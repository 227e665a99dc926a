import { ourselves } from '../../domain/exchange/viewer.js';
import type { World } from './world.js';
import {
  exchangedItem,
  linkedItem,
  newId,
  openWorld,
  pageOf,
  runUpdate,
  sealed,
  seenNow,
  transaction,
  webhook,
  prompt,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** Nothing is due that another test has left. */
beforeEach(async () => {
  await world.sql`
    UPDATE items SET next_due_at = NULL, removal_requested_at = NULL, numbers_due_at = NULL, unsent_since = NULL,
      segment_due_at = NULL, remine_requested_at = NULL`;
  await world.sql`UPDATE webhooks SET outcome = 'done' WHERE outcome = 'pending'`;
});

const grace = 60_000;
/** An Item with nothing due at all: everything sent, nothing intended, the next update far ahead. */
async function quietItem() {
  const item = await linkedItem(world);
  await world.sql`
    UPDATE items SET next_due_at = clock_timestamp() + interval '1 day', numbers_due_at = NULL, unsent_since = NULL
    WHERE item_id = ${item.itemId}`;
  return item;
}
const due = async (limit = 100) => (await world.stores.sweep.findDue(limit, grace)).map((one) => one.itemId);
const set = (itemId: string, columns: Record<string, string | null>) =>
  world.sql`UPDATE items SET ${world.sql(columns)} WHERE item_id = ${itemId}`;
const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

describe('what is due', () => {
  it('is no Item that waits for nothing, that was due just now, or that is not admitted', async () => {
    const quiet = await quietItem();
    const fresh = await linkedItem(world);
    const pending = await exchangedItem(world);
    await set(pending.itemId, { next_due_at: ago(60) });
    await world.stores.webhooks.store(webhook(fresh.itemId, 'SYNC_UPDATES_AVAILABLE'));
    const found = await due();
    for (const { itemId } of [quiet, fresh, pending]) expect(found).not.toContain(itemId);
  });

  it.each([
    ['an update', 'next_due_at', false],
    ['a removal', 'removal_requested_at', false],
    ['numbers', 'numbers_due_at', false],
    ['unsent rows', 'unsent_since', true],
  ])('is %s that is late (%s)', async (_, column, alsoWhenRemoved) => {
    const item = await quietItem();
    await set(item.itemId, { [column]: ago(0.5) });
    expect(await due()).not.toContain(item.itemId);
    await set(item.itemId, { [column]: ago(2) });
    const found = await world.stores.sweep.findDue(100, grace);
    expect(found.find((one) => one.itemId === item.itemId)).toMatchObject({ userId: item.userId });
    await set(item.itemId, { removed_at: ago(1) });
    expect((await due()).includes(item.itemId)).toBe(alsoWhenRemoved);
  });

  it('is a remine that has not begun, of an Item that waits for no person', async () => {
    const { itemId } = await quietItem();
    await set(itemId, { remine_requested_at: ago(0.5), cursor: 'c1' });
    expect(await due()).not.toContain(itemId);
    await set(itemId, { remine_requested_at: ago(2), cursor: '' });
    expect(await due()).not.toContain(itemId);
    await set(itemId, { cursor: 'c1' });
    expect(await due()).toContain(itemId);
    for (const column of ['update_started_at', 'error_code']) {
      await set(itemId, { [column]: column === 'error_code' ? 'ITEM_LOGIN_REQUIRED' : ago(1) });
      expect(await due()).not.toContain(itemId);
      await set(itemId, { [column]: null });
    }
  });

  it('is a remine whose workflow has ended after it had staged pages: nobody goes on with it', async () => {
    const item = await quietItem();
    const { itemId } = item;
    await world.stores.itemCommands.requestRemine(ourselves, itemId);
    await set(itemId, { cursor: 'c1', remine_requested_at: ago(90) });
    const began = await seenNow(world, itemId);
    const page = pageOf(item, '', 'p1', true, { added: [transaction('t1')] });
    const staged = await world.stores.mining.stagePage(itemId, 'u1.start', 0, { began, remine: true }, page);
    expect(staged).toMatchObject({ kind: 'staged' });
    expect(await due()).not.toContain(itemId);
    // It has begun long ago, and stages pages still.
    await set(itemId, { update_started_at: ago(80) });
    expect(await due()).not.toContain(itemId);
    await world.sql`UPDATE staged_pages SET staged_at = ${ago(70)} WHERE item_id = ${itemId}`;
    expect(await due()).toContain(itemId);
    // Staged pages are lost with a crash of the database.
    await world.sql`DELETE FROM staged_pages WHERE item_id = ${itemId}`;
    expect(await due()).toContain(itemId);
  });

  it('is a remine of an Item that has no transactions, and so no cursor', async () => {
    const { itemId } = await quietItem();
    await set(itemId, { remine_requested_at: ago(5), cursor: '', transactions_unavailable_since: ago(60) });
    expect(await due()).toContain(itemId);
  });

  it('is a webhook without an outcome, unless its Item waits for a person', async () => {
    const item = await quietItem();
    const { webhookId } = await world.stores.webhooks.store(webhook(item.itemId, 'DEFAULT_UPDATE'));
    await world.sql`UPDATE webhooks SET received_at = ${ago(2)} WHERE webhook_id = ${webhookId}`;
    expect(await due()).toContain(item.itemId);
    const inADay = new Date(Date.now() + 86_400_000).toISOString();
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await prompt(world).setBroken(item.itemId, error, inADay);
    expect(await due()).not.toContain(item.itemId);
    await set(item.itemId, { error_type: null, error_code: null, error_since: null });
    expect(await due()).toContain(item.itemId);
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE webhook_id = ${webhookId}`;
    expect(await due()).not.toContain(item.itemId);
  });

  it('comes once an Item with all its kinds, the longest waiting of each kind first, and no more of one than asked for', async () => {
    const [late, later, latest] = [await quietItem(), await quietItem(), await quietItem()];
    await set(later.itemId, { next_due_at: ago(50_000), unsent_since: ago(3) });
    await set(latest.itemId, { unsent_since: ago(60_000), numbers_due_at: ago(5) });
    await set(late.itemId, { next_due_at: ago(40_000) });
    const found = await world.stores.sweep.findDue(100, grace);
    expect(found.slice(0, 3).map(({ itemId, kinds }) => [itemId, kinds])).toEqual([
      [later.itemId, ['update', 'publish']],
      [latest.itemId, ['publish', 'numbers']],
      [late.itemId, ['update']],
    ]);
    expect(await due(1)).toEqual([later.itemId, latest.itemId]);
  });

  it('hides no webhook and no removal behind Items that cannot move, nor any of these behind the others', async () => {
    const stuck: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      const { itemId } = await quietItem();
      await set(itemId, { unsent_since: ago(10_000 + n) });
      stuck.push(itemId);
    }
    const [removed, written, unsent] = [await quietItem(), await quietItem(), await quietItem()];
    await set(removed.itemId, { removal_requested_at: ago(2) });
    await set(unsent.itemId, { unsent_since: ago(2) });
    const { webhookId } = await world.stores.webhooks.store(
      webhook(written.itemId, 'SYNC_UPDATES_AVAILABLE'),
    );
    await world.sql`UPDATE webhooks SET received_at = ${ago(2)} WHERE webhook_id = ${webhookId}`;

    const limit = 3;
    const told = new Set<string>();
    const first = await world.stores.sweep.findDue(limit, grace);
    expect(first[0]?.itemId).toBe(removed.itemId);
    expect(first.map(({ itemId }) => itemId)).toContain(written.itemId);
    // Nobody moves; each run tells others, and after as many as the limit asks for everybody was told.
    for (let run = 0; run < 8; run += 1) {
      const items = await world.stores.sweep.findDue(limit, grace);
      for (const { itemId, kinds } of items) if (kinds.includes('publish')) told.add(itemId);
      await world.stores.sweep.recordSignalled({ items, links: [] });
    }
    for (const itemId of [...stuck, unsent.itemId]) expect(told).toContain(itemId);
  });

  it('is work of one kind after the other: who was told of one is not told for another', async () => {
    const [first, second] = [await quietItem(), await quietItem()];
    await set(first.itemId, { unsent_since: ago(9) });
    await set(second.itemId, { unsent_since: ago(8) });
    const found = await world.stores.sweep.findDue(1, grace);
    await world.stores.sweep.recordSignalled({ items: found, links: [] });
    await set(first.itemId, { removal_requested_at: ago(2) });
    const next = await world.stores.sweep.findDue(1, grace);
    expect(next.map(({ itemId, kinds }) => [itemId, kinds])).toEqual([
      [first.itemId, ['removal']],
      [second.itemId, ['publish']],
    ]);
  });

  it('is every webhook of an Item that is removed, broken or not, and of none whose removal is on its way', async () => {
    const item = await quietItem();
    for (const type of ['TRANSACTIONS', 'ITEM']) {
      const code = type === 'ITEM' ? 'NEW_ACCOUNTS_AVAILABLE' : 'SYNC_UPDATES_AVAILABLE';
      await world.stores.webhooks.store(webhook(item.itemId, code, { webhook_type: type }));
    }
    await world.sql`UPDATE webhooks SET received_at = ${ago(2)} WHERE item_id = ${item.itemId}`;
    const kinds = async () =>
      (await world.stores.sweep.findDue(100, grace)).find(({ itemId }) => itemId === item.itemId)?.kinds;
    expect(await kinds()).toEqual(['webhooks', 'itemWebhooks']);
    await set(item.itemId, { removal_requested_at: ago(5), error_code: 'ITEM_LOGIN_REQUIRED' });
    expect(await kinds()).toEqual(['removal']);
    await set(item.itemId, { removed_at: ago(1) });
    expect(await kinds()).toEqual(['webhooks', 'itemWebhooks']);
  });

  it('ends with the work: after an update that changed nothing only its next time is left', async () => {
    const item = await quietItem();
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    await set(item.itemId, { unsent_since: ago(2) });
    expect(await due()).toContain(item.itemId);
    for (const [record, to] of [
      ['account', 1],
      ['transaction', 2],
    ] as const) {
      for (const form of ['raw', 'refined'] as const) {
        await world.stores.outbox.advanceWatermark(item.itemId, record, form, 0, to);
      }
    }
    expect(await due()).not.toContain(item.itemId);
  });
});

describe('webhooks of nobody', () => {
  it('end after a day, those of Items that are ours or are being linked stay', async () => {
    const item = await quietItem();
    const linking = await exchangedItem(world);
    const discarded = await exchangedItem(world);
    await world.stores.links.discardItem(discarded.itemId);
    const unknown = newId('item');
    const ids = [item.itemId, linking.itemId, discarded.itemId, unknown];
    for (const id of ids) await world.stores.webhooks.store(webhook(id, 'SYNC_UPDATES_AVAILABLE'));
    const ended = async () => {
      const rows = await world.sql<{ item_id: string; reason: string }[]>`
        SELECT item_id, reason FROM webhooks WHERE item_id = ANY(${ids}::text[]) AND outcome = 'ignored'`;
      expect(rows.every((row) => row.reason === 'unknown_item')).toBe(true);
      return rows.map((row) => row.item_id).sort();
    };
    const shift = (hours: number) => world.sql`
      UPDATE webhooks SET received_at = clock_timestamp() - ${`${hours} hours`}::interval
      WHERE item_id = ANY(${ids}::text[])`;
    await shift(23);
    expect(await world.stores.sweep.ignoreUnknown()).toBe(0);
    await shift(25);
    expect(await world.stores.sweep.ignoreUnknown()).toBe(2);
    expect(await ended()).toEqual([discarded.itemId, unknown].sort());
  });
});

describe('links left half way', () => {
  it('are found until they are finished, the oldest first', async () => {
    const { links } = world.stores;
    const [received, exchanged, finished] = [newId('hash'), await exchangedItem(world), newId('hash')];
    for (const token_hash of [received, finished]) {
      await links.receive({
        token_hash,
        user_id: exchanged.userId,
        application_id: 'default',
        publicToken: sealed('public'),
        institution_id: null,
        accounts: [],
        main_account_id: null,
      });
    }
    await links.finish(finished, { kind: 'refused', plaid: null });
    const mine = async () => {
      const found = await world.stores.sweep.findStaleLinks(100, grace);
      return found.filter((one) => one.userId === exchanged.userId).map((one) => one.tokenHash);
    };
    expect(await mine()).toEqual([]);
    await world.sql`UPDATE links SET updated_at = ${ago(2)} WHERE user_id = ${exchanged.userId}`;
    await world.sql`UPDATE links SET updated_at = ${ago(9)} WHERE token_hash = ${exchanged.tokenHash}`;
    expect(await mine()).toEqual([exchanged.tokenHash, received]);
    await world.stores.sweep.recordSignalled({
      items: [],
      links: [{ tokenHash: exchanged.tokenHash, userId: exchanged.userId }],
    });
    expect(await mine()).toEqual([received, exchanged.tokenHash]);

    // Answered, but its Item is still to be removed at Plaid.
    await links.finish(exchanged.tokenHash, { kind: 'duplicate', item_id: 'another' });
    expect(await mine()).toEqual([received]);
    await world.sql`UPDATE items SET removal_requested_at = ${ago(2)} WHERE item_id = ${exchanged.itemId}`;
    expect(await mine()).toContain(exchanged.tokenHash);
    const due = await world.stores.sweep.findDue(100, grace);
    expect(due.map(({ itemId }) => itemId)).not.toContain(exchanged.itemId);
    await world.stores.retention.links(0, null, 1000);
    expect(await links.get(exchanged.tokenHash)).toMatchObject({ state: 'finished' });
    await links.discardItem(exchanged.itemId);
    expect(await mine()).toEqual([received]);
  });
});
