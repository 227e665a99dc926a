import { ourselves } from '../../domain/exchange/viewer.js';
import { randomBytes, randomUUID } from 'node:crypto';
import type { NewWebhook } from '../../domain/ports/webhooks.js';
import type { World } from './world.js';
import {
  exchangedItem,
  linkedItem,
  lockWaiters,
  newId,
  openWorld,
  runUpdate,
  transaction,
  webhook,
  prompt,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const rejected = (body: string | Uint8Array): NewWebhook => ({
  source: 'plaid',
  verdict: 'rejected',
  body: Buffer.from(body),
  headers: {},
  webhook_type: null,
  webhook_code: null,
  item_id: null,
  kind: null,
  removed_ids: [],
  reason: 'body_changed',
});
const stored = async (itemId: string | null, code = 'SYNC_UPDATES_AVAILABLE', more = {}) =>
  (await world.stores.webhooks.store(webhook(itemId, code, more))).webhookId;
const claim = (webhookId: string) => world.stores.webhooks.acquireSignal(webhookId);

describe('a stored webhook', () => {
  it('is absent under an id that is none, and under one that is unknown', async () => {
    expect(await world.stores.webhooks.get(ourselves, "'; --")).toBeNull();
    expect(await world.stores.webhooks.get(ourselves, randomUUID())).toBeNull();
  });

  it('is kept as it came, byte for byte, whatever its headers hold', async () => {
    const body = Buffer.concat([Buffer.from('{"a": "\\u0000"}'), randomBytes(300)]);
    const { webhookId } = await world.stores.webhooks.store({
      ...webhook('it', 'SYNC_UPDATES_AVAILABLE'),
      body,
      headers: { 'x-odd': 'a\u0000b\ud800' },
    });
    const [row] = await world.sql`SELECT body, headers FROM webhooks WHERE webhook_id = ${webhookId}`;
    expect(Buffer.compare(row?.['body'] as Buffer, body)).toBe(0);
    expect(row?.['headers']).toEqual({ 'x-odd': 'a\uFFFDb\uFFFD' });
  });

  it('is pending when something is to be done, else ended with its reason', async () => {
    const outcomeOf = async (id: string) => (await world.stores.webhooks.get(ourselves, id))?.outcome;
    expect(await outcomeOf(await stored('it'))).toEqual({ state: 'pending', reason: null });
    expect(await outcomeOf(await stored('it', 'A_CODE_OF_TOMORROW'))).toEqual({
      state: 'ignored',
      reason: 'not_handled',
    });
    const { webhookId } = await world.stores.webhooks.store(rejected('x'));
    expect(await outcomeOf(webhookId)).toEqual({ state: 'rejected', reason: 'body_changed' });
  });
});

describe('the signal of a webhook', () => {
  it('is not claimed for an Item that is unknown, not admitted, or for a webhook that has ended', async () => {
    const { itemId } = await exchangedItem(world);
    expect(await claim(await stored('nobody'))).toBeNull();
    expect(await claim(await stored(itemId))).toBeNull();
    expect(await claim(await stored((await linkedItem(world)).itemId, 'A_CODE_OF_TOMORROW'))).toBeNull();
    expect(await claim(randomUUID())).toBeNull();
  });

  it('is claimed by one of many that come at once; the others ride along', async () => {
    const { itemId, userId } = await linkedItem(world);
    const ids = await Promise.all(Array.from({ length: 4 }, () => stored(itemId)));
    // All are held until every one of them has begun: none can have seen another's end.
    let claims: Promise<Awaited<ReturnType<typeof claim>>[]> = Promise.resolve([]);
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM webhooks WHERE webhook_id = ANY(${ids}::uuid[]) FOR UPDATE`;
      claims = Promise.all(ids.map(claim));
      await lockWaiters(world, ids.length);
    });
    expect((await claims).filter((one) => one !== null)).toEqual([
      { webhookId: expect.any(String), itemId, userId, kind: 'update' },
    ]);
    expect(await claim(await stored(itemId))).toBeNull();
  });

  it('is claimed for each kind and each Item by itself', async () => {
    const [one, other] = [await linkedItem(world), await linkedItem(world)];
    expect(await claim(await stored(one.itemId))).toMatchObject({ kind: 'update' });
    expect(await claim(await stored(one.itemId, 'HISTORICAL_UPDATE'))).toMatchObject({ kind: 'history' });
    expect(await claim(await stored(other.itemId))).toMatchObject({ itemId: other.itemId });
  });

  it('is claimed again after it was released, was acted upon, or was given a minute ago', async () => {
    const { itemId } = await linkedItem(world);
    const first = await stored(itemId);
    expect(await claim(first)).not.toBeNull();
    await world.stores.webhooks.releaseSignal(first);
    const second = await stored(itemId);
    expect(await claim(second)).not.toBeNull();

    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE webhook_id = ${second}`;
    const third = await stored(itemId);
    expect(await claim(third)).not.toBeNull();

    expect(await claim(first)).toBeNull();
    await world.sql`
      UPDATE webhooks SET signalled_at = clock_timestamp() - interval '61 seconds' WHERE webhook_id = ${third}`;
    expect(await claim(first)).not.toBeNull();
    // Also by itself, where what it was signalled for has failed.
    await world.sql`
      UPDATE webhooks SET signalled_at = clock_timestamp() - interval '61 seconds' WHERE item_id = ${itemId}`;
    expect(await claim(third)).toMatchObject({ webhookId: third });
  });

  it.each([
    ['USER_PERMISSION_REVOKED', { webhook_type: 'ITEM' }],
    ['USER_ACCOUNT_REVOKED', { webhook_type: 'ITEM', account_id: 'acc-1' }],
    ['DEFAULT_UPDATE', { webhook_type: 'AUTH' }],
  ])(
    'is claimed by %s, whatever was signalled just before: numbers would be given out',
    async (code, more) => {
      const { itemId } = await linkedItem(world);
      const item = { webhook_type: 'ITEM' };
      const first = await stored(itemId, 'ERROR', item);
      expect(await claim(first)).toMatchObject({ webhookId: first });
      const forbids = await stored(itemId, code, more);
      // The signal queue keeps the newest alone, which claims for it.
      const newest = await stored(itemId, 'ERROR', item);
      expect(await claim(newest)).toMatchObject({ webhookId: forbids, kind: 'item' });
      expect(await claim(forbids)).toBeNull();
      expect(await claim(newest)).toBeNull();
    },
  );

  it('is claimed by what an operator replays, whatever was signalled just before', async () => {
    const { itemId } = await linkedItem(world);
    const first = await stored(itemId);
    expect(await claim(first)).not.toBeNull();
    const copy = randomUUID();
    await world.stores.webhooks.replay(ourselves, first, copy);
    expect(await claim(copy)).toMatchObject({ webhookId: copy });
    expect(await claim(copy)).toBeNull();
  });

  it('is claimed by a later one of its Item and kind that was settled meanwhile', async () => {
    const { itemId } = await linkedItem(world);
    const [waiting, settled] = [await stored(itemId), await stored(itemId)];
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE webhook_id = ${settled}`;
    expect(await claim(settled)).toMatchObject({ webhookId: waiting });
    // Once.
    expect(await claim(settled)).toBeNull();
    expect(await claim(waiting)).toBeNull();
  });

  it('is not claimed by one of another kind', async () => {
    const { itemId } = await linkedItem(world);
    await stored(itemId, 'HISTORICAL_UPDATE');
    const settled = await stored(itemId);
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE webhook_id = ${settled}`;
    expect(await claim(settled)).toBeNull();
  });
});

describe('a replay', () => {
  const replay = (id: string) => world.stores.webhooks.replay(ourselves, id, crypto.randomUUID());

  it('is refused for what was rejected, and for what is not there', async () => {
    const { webhookId } = await world.stores.webhooks.store(rejected('{}'));
    expect(await replay(webhookId)).toBe('rejected');
    expect(await replay(randomUUID())).toBe('not_found');
    expect(await replay('none')).toBe('not_found');
  });

  it('of named removals is refused once they were acted on: the ids may live again', async () => {
    const { itemId } = await linkedItem(world);
    const [removals, update] = [
      await stored(itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: ['t1'] }),
      await stored(itemId),
    ];
    expect(await replay(removals)).toMatchObject({ itemId, kind: 'removals' });
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE webhook_id = ANY(${[removals, update]}::uuid[])`;
    expect(await replay(removals)).toBe('acted_on');
    expect(await replay(update)).toEqual({ webhookId: expect.any(String), itemId, kind: 'update' });
  });
});

describe('what was rejected', () => {
  it('is cut to 4 KiB each and to the newest 10,000, and costs no accepted one', async () => {
    const accepted = await stored('it');
    await world.sql`UPDATE webhooks SET received_at = received_at - interval '9 days' WHERE webhook_id = ${accepted}`;
    await world.sql`
      INSERT INTO webhooks (received_at, source, verdict, removed_ids, outcome, headers, body)
      SELECT clock_timestamp() - n * interval '1 second', 'plaid', 'rejected', '{}', 'rejected', '{}', ''
      FROM generate_series(1, 10500) AS n`;
    await world.stores.webhooks.storeRejected(rejected(randomBytes(9_000)));
    const [kept] = await world.sql`
      SELECT count(*)::int AS n, max(length(body)) AS longest,
        min(received_at) > clock_timestamp() - interval '10005 seconds' AS newest
      FROM webhooks WHERE verdict = 'rejected'`;
    expect(kept).toEqual({ n: 10_000, longest: 4_096, newest: true });
    expect(await world.stores.webhooks.get(ourselves, accepted)).not.toBeNull();
    await world.sql`DELETE FROM webhooks WHERE verdict = 'rejected'`;
  });
});

describe('the list of webhooks', () => {
  it('walks every one once, newest first, also when some came at the same instant and more come meanwhile', async () => {
    const itemId = newId('item');
    const ids: string[] = [];
    for (let n = 0; n < 7; n += 1) ids.push(await stored(itemId));
    await world.sql`
      UPDATE webhooks SET received_at = '2026-11-20T00:00:00.000123Z' WHERE webhook_id = ANY(${ids.slice(0, 4)}::uuid[])`;
    for (const limit of [1, 2, 3, 7, 8]) {
      const seen: string[] = [];
      for (let after: string[] | null = null; ;) {
        const page = await world.stores.webhooks.page(ourselves, { item_id: itemId }, limit, after);
        expect(page.rows.length).toBeLessThanOrEqual(limit);
        seen.push(...page.rows.map((row) => row.webhook_id));
        if (page.next === null) break;
        after = page.next;
        ids.push(await stored(itemId));
      }
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen).toEqual(expect.arrayContaining(ids.slice(0, 7)));
      expect(seen.slice(-4)).toEqual(ids.slice(0, 4).sort().reverse());
    }
  });

  it('is narrowed by Item, verdict and outcome', async () => {
    const itemId = newId('item');
    const pending = await stored(itemId);
    const ignored = await stored(itemId, 'A_CODE_OF_TOMORROW');
    const { webhookId } = await world.stores.webhooks.store({ ...rejected('x'), item_id: itemId });
    const list = async (filter: Parameters<typeof world.stores.webhooks.page>[1]) =>
      (await world.stores.webhooks.page(ourselves, { item_id: itemId, ...filter }, 10, null)).rows.map(
        (row) => row.webhook_id,
      );
    expect(await list({})).toEqual([webhookId, ignored, pending]);
    expect(await list({ verdict: 'accepted' })).toEqual([ignored, pending]);
    expect(await list({ outcome: 'ignored' })).toEqual([ignored]);
    expect(await list({ verdict: 'rejected', outcome: 'pending' })).toEqual([]);
  });

  it('refuses a key that is none', async () => {
    await expect(world.stores.webhooks.page(ourselves, {}, 1, ['now', 'nothing'])).rejects.toMatchObject({
      type: 'BAD_REQUEST',
    });
  });
});

describe('removals that are looked up', () => {
  it('go on behind those that one look-up takes, and end when the last is settled', async () => {
    const item = await linkedItem(world);
    const ids = ['t1', 't2', 't3'];
    await runUpdate(world, item, [{ added: ids.map((id) => transaction(id)) }]);
    await stored(item.itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: [...ids, 'unknown'] });
    const { mining } = world.stores;
    const first = await mining.namedRemovals(item.itemId, 2);
    expect(first.map((row) => row.transactionId)).toEqual(['t1', 't2']);
    // Plaid still lists both: nothing changes, and they are not asked for again.
    expect(await prompt(world).settleRemovals(item.itemId, ['t1', 't2'], [])).toBe(0);
    expect(await mining.waiting(item.itemId)).toMatchObject({ webhooks: 0, removals: 1, broken: false });
    const second = await mining.namedRemovals(item.itemId, 2);
    expect(second.map((row) => row.transactionId)).toEqual(['t3']);
    expect(await prompt(world).settleRemovals(item.itemId, ['t3'], ['t3'])).toBe(1);
    expect(await mining.waiting(item.itemId)).toMatchObject({ webhooks: 0, removals: 0, broken: false });
    const [row] = await world.sql`
      SELECT t.status, o.sequence, o.removed, o.raw, o.refined ->> 'status' AS shown, i.last_sequence AS last
      FROM transactions t JOIN items i USING (item_id) JOIN outbox o USING (item_id)
      WHERE t.item_id = ${item.itemId} AND t.transaction_id = 't3' AND o.subject = 't3' AND o.version = 2`;
    expect(row).toEqual({
      status: 'removed',
      sequence: 5,
      removed: true,
      raw: { transaction_id: 't3', account_id: 'acc-1' },
      shown: 'removed',
      last: 5,
    });
  });
});
