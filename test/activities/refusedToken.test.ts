import { Failure } from '../../domain/failures.js';
import type { PlaidPort } from '../../domain/ports/plaid.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';
import { transaction } from './fakePlaid.js';

/** INVALID_ACCESS_TOKEN: the token is another environment's or client's. Nothing of the Item has ended by it. */
const refused = new Failure('TOKEN_REFUSED', 'no', {
  upstream: { error_type: 'INVALID_INPUT', error_code: 'INVALID_ACCESS_TOKEN', request_id: 'r1' },
});

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());

const dueAt = { complete: '2026-11-22T00:00:00.000Z', incomplete: '2026-11-21T00:00:00.000Z' };
const rowOf = async ({ itemId }: FakeItem) => {
  const [row] = await world.sql`
    SELECT removed_at IS NOT NULL AS removed, access_token_ciphertext IS NOT NULL AS token, error_code,
      error_episode FROM items WHERE item_id = ${itemId}`;
  return row;
};
const alertsOf = ({ itemId }: FakeItem) =>
  world.sql`SELECT kind, key, detail FROM alerts WHERE item_id = ${itemId}`;
const alive = { removed: false, token: true, error_code: null, error_episode: 0 };
const alert = {
  kind: 'token_refused',
  detail: { error_type: 'INVALID_INPUT', error_code: 'INVALID_ACCESS_TOKEN' },
};

/** An Item with a row, that Plaid then refuses the token of whatever it is asked. */
async function refusedItem(user: string): Promise<{ item: FakeItem; run: ActivityWorld['run'] }> {
  const item = await world.linkedItem(user);
  item.page('', 'c1', { added: [transaction(`t-${item.itemId}`)] });
  await world.run.minePage({ itemId: item.itemId, updateId: 'u1', page: 0, dueAt });
  const no = () => Promise.reject(refused);
  const methods: (keyof PlaidPort)[] = [
    'getItem',
    'removeItem',
    'getAccounts',
    'getNumbers',
    'syncTransactions',
    'getTransactions',
  ];
  const plaid = Object.assign(
    Object.create(world.plaid) as typeof world.plaid,
    Object.fromEntries(methods.map((method) => [method, no])),
  );
  return { item, run: world.runWith({ plaid }) };
}

describe('an access token that Plaid does not take', () => {
  it('ends no removal: the token stays, and the removal ends when Plaid takes it again', async () => {
    const { item, run } = await refusedItem('removes');
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    for (let time = 0; time < 2; time += 1) {
      await expect(run.removeItem({ itemId: item.itemId })).rejects.toMatchObject({ type: 'TOKEN_REFUSED' });
    }
    expect(await rowOf(item)).toEqual(alive);
    expect(await alertsOf(item)).toEqual([{ ...alert, key: item.itemId }]);
    await world.run.removeItem({ itemId: item.itemId });
    expect(await rowOf(item)).toMatchObject({ removed: true, token: false });
    expect(item.removed).toBe(true);
  });

  it.each(['removeItem', 'checkItem', 'saveNumbers'] as const)(
    'that does not open is told to operators by %s, and the Item is kept',
    async (name) => {
      const item = await world.linkedItem(`unreadable-${name}`);
      const { itemId } = item;
      if (name === 'removeItem') await world.stores.itemCommands.requestRemoval(itemId, { force: false });
      await world.sql`
        UPDATE items SET access_token_ciphertext = 'not what was written' WHERE item_id = ${itemId}`;
      for (let time = 0; time < 2; time += 1)
        await expect(world.run[name]({ itemId })).rejects.toMatchObject({ type: 'SECRET_UNREADABLE' });
      expect(await alertsOf(item)).toEqual([{ kind: 'token_unreadable', key: itemId, detail: {} }]);
      expect(await rowOf(item)).toEqual(alive);
      if (name !== 'removeItem') return;
      // As the runbook has it.
      await world.sql`
        UPDATE items SET access_token_key_id = NULL, access_token_data_key = NULL, access_token_ciphertext = NULL
        WHERE item_id = ${itemId}`;
      await world.run.removeItem({ itemId });
      expect(await rowOf(item)).toMatchObject({ removed: true });
    },
  );

  it.each(['minePage', 'checkItem', 'saveNumbers', 'settleRemovals', 'settleItemWebhooks'] as const)(
    'begins no episode in %s, and is told to operators once',
    async (name) => {
      const { item, run } = await refusedItem(`meets-${name}`);
      const { itemId } = item;
      const shared = { source: 'plaid', verdict: 'accepted', headers: {}, reason: null } as const;
      await world.stores.webhooks.store({
        ...shared,
        body: Buffer.from('{}'),
        webhook_type: 'TRANSACTIONS',
        webhook_code: 'TRANSACTIONS_REMOVED',
        item_id: itemId,
        kind: 'removals',
        removed_ids: [`t-${itemId}`],
      });
      await world.stores.webhooks.store({
        ...shared,
        body: Buffer.from('{"webhook_type":"ITEM","webhook_code":"ERROR"}'),
        webhook_type: 'ITEM',
        webhook_code: 'ERROR',
        item_id: itemId,
        kind: 'item',
        removed_ids: [],
      });
      const ask = run as Record<typeof name, (input: object) => Promise<unknown>>;
      for (let time = 0; time < 2; time += 1) {
        await expect(ask[name]({ itemId, updateId: 'u2', page: 0, dueAt })).rejects.toMatchObject({
          type: 'TOKEN_REFUSED',
        });
      }
      expect(await rowOf(item)).toEqual(alive);
      expect(await alertsOf(item)).toEqual([{ ...alert, key: itemId }]);
    },
  );

  it('names itself at a login, and the Item is not stale by it', async () => {
    const { item, run } = await refusedItem('logs-in');
    expect(await run.checkStaleness({ itemId: item.itemId })).toMatchObject({
      stale: false,
      reason: 'TOKEN_REFUSED',
    });
    expect(await alertsOf(item)).toHaveLength(1);
  });

  it('of the Item being linked holds the link up, and nothing is erased', async () => {
    const { tokenHash, item } = await world.receive('links');
    await world.run.exchangePublicToken({ tokenHash });
    world.plaid.failNext('getItem', refused);
    await expect(world.run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'TOKEN_REFUSED' });
    expect(await rowOf(item)).toEqual(alive);
    expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted' });
  });

  it('of an Item that is given up at linking is kept until Plaid has removed it', async () => {
    const { tokenHash, item } = await world.receive('given-up');
    await world.run.exchangePublicToken({ tokenHash });
    world.plaid.failNext('removeItem', refused);
    await expect(world.run.discardItem({ tokenHash })).rejects.toMatchObject({ type: 'TOKEN_REFUSED' });
    expect(await rowOf(item)).toEqual(alive);
    await world.run.discardItem({ tokenHash });
    expect(await rowOf(item)).not.toEqual(alive);
  });

  it('of an older Item with the same accounts takes nothing away from it: it may live', async () => {
    const old = await world.linkedItem('anew');
    const { tokenHash } = await world.receive('anew');
    await world.run.exchangePublicToken({ tokenHash });
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getItem: (token: string) =>
        token === old.accessToken ? Promise.reject(refused) : world.plaid.getItem(token),
    });
    expect(await world.runWith({ plaid }).admitItem({ tokenHash })).toMatchObject({
      kind: 'duplicate',
      itemId: old.itemId,
    });
    expect(await rowOf(old)).toEqual(alive);
    expect(await alertsOf(old)).toHaveLength(1);
    // Whoever knows that it does not live has it removed: then it is in nobody's way.
    await world.stores.itemCommands.requestRemoval(old.itemId, { force: false });
    expect(await world.runWith({ plaid }).admitItem({ tokenHash })).toMatchObject({
      kind: 'admitted',
      replaced: [],
    });
  });

  it.each(['guardLink', 'admitItem'] as const)(
    'that does not open any more, of an older Item, holds up no link and takes nothing away: a key may be missing (%s)',
    async (step) => {
      const user = `unreadable-${step}`;
      const old = await world.linkedItem(user);
      await world.sql`
        UPDATE items SET access_token_ciphertext = 'not what was written' WHERE item_id = ${old.itemId}`;
      const { tokenHash } = await world.receive(user, {
        institution_id: 'ins_1',
        accounts: [{ mask: '0000', name: 'Checking', type: 'depository', subtype: 'checking' }],
      });
      if (step === 'guardLink') {
        expect(await world.run.guardLink({ tokenHash })).toEqual({ duplicateOf: old.itemId });
        return;
      }
      await world.run.exchangePublicToken({ tokenHash });
      expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'duplicate', itemId: old.itemId });
      expect(await rowOf(old)).toEqual(alive);
      // As the runbook has it: it is removed, then its user links anew.
      await world.stores.itemCommands.requestRemoval(old.itemId, { force: false });
      expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted', replaced: [] });
      await expect(world.run.removeItem({ itemId: old.itemId })).rejects.toMatchObject({
        type: 'SECRET_UNREADABLE',
      });
      await world.sql`
        UPDATE items SET access_token_key_id = NULL, access_token_data_key = NULL, access_token_ciphertext = NULL
        WHERE item_id = ${old.itemId} AND removal_requested_at IS NOT NULL`;
      await world.run.removeItem({ itemId: old.itemId });
      expect(await rowOf(old)).toMatchObject({ removed: true });
    },
  );
});

describe('a removal of an Item whose user took the permission back', () => {
  const revoked = new Failure('PERMISSION_REVOKED', 'no', {
    upstream: { error_type: 'INVALID_INPUT', error_code: 'USER_PERMISSION_REVOKED', request_id: 'r1' },
  });

  it('ends also for one that never became the user’s', async () => {
    const { tokenHash, item } = await world.receive('revoked-while-linking');
    await world.run.exchangePublicToken({ tokenHash });
    for (const method of ['getItem', 'removeItem'] as const)
      world.plaid.refuse(method, 'USER_PERMISSION_REVOKED', 'INVALID_INPUT');
    try {
      expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'gone' });
      await world.run.discardItem({ tokenHash });
    } finally {
      for (const method of ['getItem', 'removeItem'] as const) world.plaid.refuse(method, null);
    }
    expect(await rowOf(item)).toMatchObject({ removed: true, token: false });
  });

  it.each<[string, (item: FakeItem) => void]>([
    [
      'has it in the Item',
      (item) => (item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' }),
    ],
    ['is refused for it', () => world.plaid.failNext('getItem', revoked)],
    ['does not know the Item', (item) => (item.removed = true)],
  ])('ends when /item/get %s', async (_name, agree) => {
    const item = await world.linkedItem();
    const remove = () => {
      world.plaid.failNext('removeItem', revoked);
      return world.run.removeItem({ itemId: item.itemId });
    };
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    for (let time = 0; time < 2; time += 1)
      await expect(remove()).rejects.toMatchObject({ type: 'PERMISSION_REVOKED' });
    expect(await rowOf(item)).toEqual(alive);
    expect(await alertsOf(item)).toEqual([
      {
        kind: 'removal_refused',
        key: item.itemId,
        detail: { error_type: 'INVALID_INPUT', error_code: 'USER_PERMISSION_REVOKED' },
      },
    ]);
    agree(item);
    await remove();
    expect(await rowOf(item)).toMatchObject({ removed: true, token: false });
  });
});

describe('a removal of which Plaid says that there is no such Item', () => {
  const gone = new Failure('ITEM_GONE', 'no', {
    upstream: { error_type: 'ITEM_ERROR', error_code: 'ITEM_NOT_FOUND', request_id: 'r1' },
  });
  const remove = ({ itemId }: FakeItem) => {
    world.plaid.failNext('removeItem', gone);
    return world.run.removeItem({ itemId });
  };

  it('erases no token while /item/get knows the Item: it lives on, and is asked for once more', async () => {
    const item = await world.linkedItem();
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    await expect(remove(item)).rejects.toMatchObject({ type: 'ITEM_GONE' });
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await expect(remove(item)).rejects.toMatchObject({ type: 'ITEM_GONE' });
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(remove(item)).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await rowOf(item)).toEqual(alive);
    await world.run.removeItem({ itemId: item.itemId });
    expect([await rowOf(item), item.removed]).toMatchObject([{ removed: true, token: false }, true]);
    const detail = { error_type: 'ITEM_ERROR', error_code: 'ITEM_NOT_FOUND' };
    expect([...(await alertsOf(item))]).toEqual([{ kind: 'removal_refused', key: item.itemId, detail }]);
  });

  it.each<[string, (item: FakeItem) => void]>([
    ['does not know it, either', (item) => (item.removed = true)],
    ['does not take the token any more', () => world.plaid.failNext('getItem', refused)],
    [
      'names a permission that was taken back',
      (item) => (item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' }),
    ],
  ])('ends where /item/get %s', async (_name, agree) => {
    const item = await world.linkedItem();
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    agree(item);
    await remove(item);
    expect(await rowOf(item)).toMatchObject({ removed: true, token: false });
  });

  it('keeps also the token of one that never became the user’s', async () => {
    const { tokenHash, item } = await world.receive();
    await world.run.exchangePublicToken({ tokenHash });
    world.plaid.failNext('removeItem', gone);
    await expect(world.run.discardItem({ tokenHash })).rejects.toMatchObject({ type: 'ITEM_GONE' });
    expect(await rowOf(item)).toMatchObject({ removed: false, token: true });
    await world.run.discardItem({ tokenHash });
    expect([await rowOf(item), item.removed]).toMatchObject([{ removed: true, token: false }, true]);
  });
});

// As docs/operations.md says under `link_stuck`.
it('a link whose own Item has a token that is refused for good ends by what operators write into the row', async () => {
  const { tokenHash, item } = await world.receive();
  await world.run.exchangePublicToken({ tokenHash });
  for (const method of ['getItem', 'removeItem'] as const)
    world.plaid.refuse(method, 'INVALID_ACCESS_TOKEN', 'INVALID_INPUT');
  try {
    await expect(world.run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'TOKEN_REFUSED' });
    await world.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${item.itemId}`;
    await world.sql`
      UPDATE items SET access_token_key_id = NULL, access_token_data_key = NULL, access_token_ciphertext = NULL
      WHERE item_id = ${item.itemId} AND removal_requested_at IS NOT NULL`;
    expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'gone', plaid: null });
    await world.run.discardItem({ tokenHash });
  } finally {
    for (const method of ['getItem', 'removeItem'] as const) world.plaid.refuse(method, null);
  }
  expect(await rowOf(item)).toMatchObject({ removed: true, token: false });
});
