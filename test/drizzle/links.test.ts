import { ourselves } from '../../domain/exchange/viewer.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { World } from './world.js';
import {
  account,
  admission,
  exchangedItem,
  linkedItem,
  lockWaiters,
  newId,
  openWorld,
  sealed,
  seenNow,
  webhook,
  shownItem,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const newLink = (tokenHash: string, userId: string) => ({
  token_hash: tokenHash,
  user_id: userId,
  application_id: 'default',
  publicToken: sealed(`public of ${userId}`),
  institution_id: 'ins_1',
  accounts: [{ mask: '0000', name: 'a\u0000b' }],
  main_account_id: null,
});

describe('a link', () => {
  it('is stored once, belongs to the first user, and makes no user of the second', async () => {
    const hash = newId('hash');
    const [first, second] = [newId('user'), newId('user')];
    expect(await world.stores.links.receive(newLink(hash, first))).toEqual({
      token_hash: hash,
      user_id: first,
      application_id: 'default',
      state: 'received',
      item_id: null,
      outcome: null,
      institution_id: 'ins_1',
      accounts: [{ mask: '0000', name: 'a\ufffdb' }],
      main_account_id: null,
      allow_duplicate: false,
      connection: null,
    });
    expect(await world.stores.links.receive(newLink(hash, second))).toBeNull();
    expect(await world.stores.reads.user(ourselves, second)).toBeNull();
    expect(await world.stores.reads.user(ourselves, first)).toMatchObject({
      status: 'inactive',
      activated_at: null,
      items: 0,
    });
  });

  it('received by many at once is one row, and one of them may exchange it', async () => {
    const hash = newId('hash');
    const users = Array.from({ length: 6 }, () => newId('user'));
    const rows = await Promise.all(users.map((user) => world.stores.links.receive(newLink(hash, user))));
    const known = rows.filter((row) => row !== null);
    expect(known).toHaveLength(1);
    const begun = await Promise.all(users.map(() => world.stores.links.beginExchange(hash)));
    const given = begun.filter((end) => end !== null);
    expect(given).toHaveLength(1);
    expect(Buffer.from(given[0]?.publicToken.ciphertext ?? []).toString()).toBe(
      `public of ${known[0]?.user_id}`,
    );
    expect((await world.stores.links.get(hash))?.state).toBe('exchanging');
  });

  it('is exchanged again only when Plaid certainly did nothing', async () => {
    const hash = newId('hash');
    const { links } = world.stores;
    expect(await links.beginExchange(hash)).toBeNull();
    await links.receive(newLink(hash, newId('user')));
    await links.beginExchange(hash);
    expect(await links.beginExchange(hash)).toBeNull();
    await links.abandonExchange(hash);
    expect(await links.beginExchange(hash)).not.toBeNull();
    await links.storeExchanged(hash, { itemId: newId('item'), accessToken: sealed('access') });
    await links.abandonExchange(hash);
    expect(await links.beginExchange(hash)).toBeNull();
    expect((await links.get(hash))?.state).toBe('exchanged');
  });

  it('stores its Item once, erases the public token, and refuses an Item when it has ended', async () => {
    const { links } = world.stores;
    const item = await exchangedItem(world);
    await links.storeExchanged(item.tokenHash, { itemId: item.itemId, accessToken: sealed('again') });
    const [row] = await world.sql`
      SELECT l.public_token_ciphertext AS token, l.state, i.access_token_ciphertext AS access
      FROM links l JOIN items i USING (item_id) WHERE l.token_hash = ${item.tokenHash}`;
    expect(row).toMatchObject({ token: null, state: 'exchanged' });
    expect(Buffer.from(row?.['access'] as Uint8Array).toString()).toBe(`access-${item.itemId}`);
    await expect(
      links.storeExchanged(item.tokenHash, { itemId: newId('item'), accessToken: sealed('x') }),
    ).rejects.toMatchObject({ type: 'BAD_REQUEST' });

    const lost = newId('hash');
    await links.receive(newLink(lost, newId('user')));
    await links.beginExchange(lost);
    expect(await links.reportLost(lost)).toEqual({ kind: 'outcome_unknown' });
    await expect(
      links.storeExchanged(lost, { itemId: newId('item'), accessToken: sealed('x') }),
    ).rejects.toMatchObject({ type: 'BAD_REQUEST' });
  });

  it('that is reported as lost while its Item is being stored keeps no Item', async () => {
    const { links } = world.stores;
    const [hash, itemId] = [newId('hash'), newId('item')];
    await links.receive(newLink(hash, newId('user')));
    await links.beginExchange(hash);
    let storing: Promise<unknown> = Promise.resolve();
    await world.sql.begin(async (tx) => {
      await tx`UPDATE links SET state = 'finished' WHERE token_hash = ${hash}`;
      storing = expect(
        links.storeExchanged(hash, { itemId, accessToken: sealed('x') }),
      ).rejects.toMatchObject({ type: 'BAD_REQUEST' });
      await lockWaiters(world, 1);
    });
    await storing;
    expect(await world.sql`SELECT 1 FROM items WHERE item_id = ${itemId}`).toHaveLength(0);
  });

  it('keeps its first outcome and no secret', async () => {
    const { links } = world.stores;
    const hash = newId('hash');
    await links.receive(newLink(hash, newId('user')));
    const outcomes: LinkOutcome[] = [
      { kind: 'invalid_public_token', plaid: null },
      { kind: 'duplicate', item_id: 'i' },
      { kind: 'refused', plaid: null },
    ];
    const ends = await Promise.all(outcomes.map((outcome) => links.finish(hash, outcome)));
    for (const end of ends) expect(end).toEqual(ends[0]);
    const [row] =
      await world.sql`SELECT public_token_ciphertext AS token FROM links WHERE token_hash = ${hash}`;
    expect(row?.['token']).toBeNull();
    await expect(links.finish('no-link', { kind: 'outcome_unknown' })).rejects.toMatchObject({
      name: 'Failure',
    });
  });
});

describe('an Item that was not admitted', () => {
  it('is seen by nobody but its link', async () => {
    const item = await exchangedItem(world);
    const { reads, items, mining, links } = world.stores;
    expect(await shownItem(world, item.itemId)).toBeNull();
    const list = { itemId: item.itemId, format: 'refined' as const };
    expect((await reads.accounts(ourselves, list, 10, null)).items).toEqual([]);
    expect(await reads.pickForUpdateMode(ourselves, item.userId, null)).toBeNull();
    expect(await items.snapshot(item.itemId)).toBeNull();
    expect(await mining.beginPage(item.itemId, 'u', 0)).toEqual({ kind: 'gone' });
    expect(await items.credentials(item.itemId, { forRemoval: true })).toMatchObject({ itemId: item.itemId });
    expect(await links.findDuplicates(item.userId, 'ins_1', [identityOf(account('acc-1'))], null)).toEqual(
      [],
    );
    const { webhookId } = await world.stores.webhooks.store(webhook(item.itemId, 'DEFAULT_UPDATE'));
    expect(await world.stores.webhooks.acquireSignal(webhookId)).toBeNull();
  });

  it('can be discarded, with its token and its webhooks; an admitted one cannot', async () => {
    const item = await exchangedItem(world);
    const early = await world.stores.webhooks.store(webhook(item.itemId, 'DEFAULT_UPDATE'));
    const look = () => world.sql`
      SELECT removed_at, access_token_key_id AS key, access_token_data_key AS data, access_token_ciphertext AS cipher
      FROM items WHERE item_id = ${item.itemId}`;
    await world.stores.links.discardItem(item.itemId);
    const [discarded] = await look();
    expect(discarded).toEqual({ removed_at: expect.any(Date), key: null, data: null, cipher: null });
    await world.stores.links.discardItem(item.itemId);
    expect([...(await look())]).toEqual([discarded]);
    expect(await world.stores.items.credentials(item.itemId, { forRemoval: true })).toBeNull();
    expect((await world.stores.webhooks.get(ourselves, early.webhookId))?.outcome).toEqual({
      state: 'ignored',
      reason: 'item_removed',
    });
    await expect(world.stores.links.admit(admission(item))).rejects.toMatchObject({ type: 'ITEM_GONE' });

    const admitted = await linkedItem(world);
    const pending = await world.stores.webhooks.store(webhook(admitted.itemId, 'DEFAULT_UPDATE'));
    await world.stores.links.discardItem(admitted.itemId);
    expect((await shownItem(world, admitted.itemId))?.status).toBe('ACTIVE');
    expect((await world.stores.webhooks.get(ourselves, pending.webhookId))?.outcome.state).toBe('pending');
  });
});

describe('admission', () => {
  it('activates the user and sets what is intended with the Item', async () => {
    const item = await exchangedItem(world);
    expect(await world.stores.links.admit(admission(item))).toEqual({
      kind: 'admitted',
      replaced: [],
      dropped: [],
    });
    const user = await world.stores.reads.user(ourselves, item.userId);
    expect(user).toMatchObject({ status: 'active', items: 1 });
    const snapshot = await world.stores.items.snapshot(item.itemId);
    expect(snapshot).toMatchObject({
      due: ['numbers'],
      hasCursor: false,
      removed: false,
      institutionId: 'ins_1',
    });
    expect(snapshot?.nextDueAt).not.toBeNull();
    await linkedItem(world, { userId: item.userId, institutionId: 'ins_2' });
    expect((await world.stores.reads.user(ourselves, item.userId))?.activated_at).toBe(user?.activated_at);
  });

  it('finds a duplicate by persistent id, else by mask, name, type and subtype, at the same institution only', async () => {
    const first = await linkedItem(world, {
      accounts: [identityOf(account('acc-1', { persistent_account_id: 'p1' })), identityOf(account('acc-2'))],
    });
    const { userId } = first;
    const renamed = identityOf(account('acc-9', { persistent_account_id: 'p1', name: 'Renamed' }));
    const other = identityOf(account('acc-1', { persistent_account_id: 'p2' }));
    const sameLooks = identityOf(account('acc-2'));
    const { links } = world.stores;
    const found = async (institution: string, accounts: (typeof renamed)[], except: string | null = null) =>
      (await links.findDuplicates(userId, institution, accounts, except)).map(({ itemId }) => itemId);
    expect(await found('ins_1', [other])).toEqual([]);
    expect(await found('ins_1', [renamed])).toEqual([first.itemId]);
    expect(await found('ins_1', [other, sameLooks])).toEqual([first.itemId]);
    expect(await found('ins_2', [renamed])).toEqual([]);
    expect(await found('ins_1', [renamed], first.itemId)).toEqual([]);
    expect(await links.findDuplicates(newId('user'), 'ins_1', [renamed], null)).toEqual([]);
    await world.sql`UPDATE items SET removed_at = now() WHERE item_id = ${first.itemId}`;
    expect(await found('ins_1', [renamed])).toEqual([]);
  });

  it('takes no Item for a duplicate whose removal was asked for', async () => {
    const { itemId, userId } = await linkedItem(world);
    const find = () =>
      world.stores.links.findDuplicates(userId, 'ins_1', [identityOf(account('acc-1'))], null);
    expect(await find()).toMatchObject([{ itemId }]);
    await world.stores.itemCommands.requestRemoval(itemId, { force: false });
    expect(await find()).toEqual([]);
  });

  it('lets one of two same Items through when both come at once', async () => {
    const userId = newId('user');
    const items = await Promise.all([1, 2, 3, 4].map(() => exchangedItem(world, { userId })));
    const ends = await Promise.all(items.map((item) => world.stores.links.admit(admission(item))));
    expect(ends.map((end) => end.kind).sort()).toEqual(['admitted', 'duplicate', 'duplicate', 'duplicate']);
    const winner = items[ends.findIndex((end) => end.kind === 'admitted')]?.itemId;
    for (const end of ends) if (end.kind === 'duplicate') expect(end.itemId).toBe(winner);
  });

  it('answers every attempt alike, also attempts at the same time', async () => {
    const item = await exchangedItem(world);
    const ends = await Promise.all([1, 2, 3, 4].map(() => world.stores.links.admit(admission(item))));
    for (const end of ends) expect(end).toEqual({ kind: 'admitted', replaced: [], dropped: [] });
    expect(await world.stores.links.admit(admission(item))).toEqual({
      kind: 'admitted',
      replaced: [],
      dropped: [],
    });
  });

  it('replaces a broken Item, and says so again when it is repeated', async () => {
    const old = await linkedItem(world);
    const item = await exchangedItem(world, { userId: old.userId });
    const { links, items } = world.stores;
    expect(await links.admit(admission(item))).toEqual({ kind: 'duplicate', itemId: old.itemId });
    const seen = await seenNow(world, old.itemId);
    const replacing = admission(item, { replaceable: [{ itemId: old.itemId, seen }] });
    expect(await links.admit(replacing)).toEqual({ kind: 'admitted', replaced: [old.itemId], dropped: [] });
    expect((await items.snapshot(old.itemId))?.removalRequested).toBe(true);
    // A repeat no longer finds the old Item among the living, so it cannot name it itself.
    expect(await links.admit(admission(item))).toEqual({
      kind: 'admitted',
      replaced: [old.itemId],
      dropped: [],
    });
    expect(await items.credentials(old.itemId, { forRemoval: false })).toBeNull();
    expect(await items.credentials(old.itemId, { forRemoval: true })).not.toBeNull();
  });
});

it('webhooks that waited for their Item become its own, those that waited too long end', async () => {
  const itemId = newId('item');
  const { webhooks } = world.stores;
  const fresh = await webhooks.store(webhook(itemId, 'INITIAL_UPDATE'));
  const stale = await webhooks.store(webhook(itemId, 'DEFAULT_UPDATE'));
  await world.sql`
    UPDATE webhooks SET received_at = now() - interval '25 hours' WHERE webhook_id = ${stale.webhookId}`;
  await linkedItem(world, { itemId });
  expect((await webhooks.get(ourselves, fresh.webhookId))?.outcome.state).toBe('pending');
  expect((await webhooks.get(ourselves, stale.webhookId))?.outcome).toEqual({
    state: 'ignored',
    reason: 'unknown_item',
  });
  const came = (await webhooks.get(ourselves, fresh.webhookId))?.received_at ?? '';
  const waits = { webhooksWaiting: 1, newestWebhookAt: Date.parse(came) };
  expect(await world.stores.items.snapshot(itemId)).toMatchObject(waits);
  expect(await webhooks.acquireSignal(fresh.webhookId)).toMatchObject({ itemId, kind: 'update' });
});
