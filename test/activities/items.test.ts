import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import { transaction } from './fakePlaid.js';
import { mine, twice, webhook, world } from './sharedWorld.js';

describe('an Item', () => {
  it('loadItem and lookAtHistory read, and end what waits for a removed Item', async () => {
    const item = await world.linkedItem();
    const [first, second] = await twice('loadItem', { itemId: item.itemId });
    expect(second).toEqual(first);
    expect(first?.snapshot).toMatchObject({ itemId: item.itemId, removed: false, due: ['numbers'] });
    expect(await twice('loadItem', { itemId: 'nobody' })).toEqual([null, null]);
    expect(await twice('loadPolicy', undefined)).toEqual([first?.policy, first?.policy]);
    const idle = { running: false };
    expect(await twice('lookAtHistory', { itemId: item.itemId })).toEqual([idle, idle]);
    await world.stores.webhooks.store(webhook(item.itemId, 'update'));
    expect((await world.run.loadItem({ itemId: item.itemId }))?.snapshot).toMatchObject({
      webhooksWaiting: 1,
    });
    expect((await world.run.loadItem({ itemId: item.itemId }))?.snapshot).toMatchObject({
      webhooksWaiting: 1,
    });
    await world.sql`DELETE FROM webhooks WHERE item_id = ${item.itemId}`;
    await world.run.removeItem({ itemId: item.itemId });
    await world.stores.webhooks.store(webhook(item.itemId, 'update'));
    await twice('loadItem', { itemId: item.itemId });
    const late = await world.sql`SELECT outcome, reason FROM webhooks WHERE item_id = ${item.itemId}`;
    expect(late).toEqual([{ outcome: 'ignored', reason: 'item_removed' }]);
  });

  it('checkItem asks Plaid and counts an episode once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    expect(await twice('checkItem', { itemId })).toEqual([{ result: 'broken' }, { result: 'broken' }]);
    const episode = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    expect(await episode()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    item.error = null;
    expect(await twice('checkItem', { itemId })).toEqual([{ result: 'healthy' }, { result: 'healthy' }]);
    expect(await episode()).toEqual({ error_code: null, error_episode: 1 });
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_NOT_FOUND', request_id: null };
    // Each of the two asks twice.
    for (let time = 0; time < 4; time += 1)
      world.plaid.failNext('getItem', new Failure('ITEM_GONE', 'no', { upstream }));
    expect(await twice('checkItem', { itemId })).toEqual([{ result: 'gone' }, { result: 'gone' }]);
    expect(await episode()).toEqual({ error_code: 'ITEM_NOT_FOUND', error_episode: 2 });
  });

  it('checkItem ends no episode on the word of /item/get alone while transactions are refused', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', 'c2', {});
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: null };
    const refuse = () =>
      world.plaid.failNext('syncTransactions', new Failure('LOGIN_REQUIRED', 'x', { upstream }));
    refuse();
    await world.run.minePage({ ...mine(item, 'u2'), believe: true });
    const row = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    for (let time = 0; time < 2; time += 1) {
      refuse();
      expect(await world.run.checkItem({ itemId })).toEqual({ result: 'unsure' });
    }
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    // An outage says nothing of what a product call had met.
    world.plaid.failNext('syncTransactions', 'UPSTREAM_DOWN');
    await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    // Anything else but a want of the user is left to the next update.
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    expect(await world.run.checkItem({ itemId })).toEqual({ result: 'healthy' });
    expect(await row()).toEqual({ error_code: null, error_episode: 1 });
  });

  it('checkItem learns nothing of an Item from an outage, and says that the user took it back when Plaid does', async () => {
    const { itemId } = await world.linkedItem();
    const broken = async () =>
      (await world.sql`SELECT error_code FROM items WHERE item_id = ${itemId}`)[0]?.['error_code'];
    for (const failure of ['UPSTREAM_DOWN', 'RATE_LIMITED', 'MISCONFIGURED'] as const) {
      world.plaid.failNext('getItem', failure);
      await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({ type: failure });
      expect(await broken()).toBeNull();
    }
    for (let time = 0; time < 2; time += 1) world.plaid.failNext('getItem', 'PERMISSION_REVOKED');
    expect(await world.run.checkItem({ itemId })).toEqual({ result: 'gone' });
    expect(await broken()).toBe('PERMISSION_REVOKED');
  });

  it('saveNumbers stores each account sealed under its own row, once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.numbers = ['account-1', 'account-2'].map((account_id) => ({
      account_id,
      ach: [{ account: `number of ${account_id}`, routing: '011401533' }],
      eft: [],
      international: [],
      bacs: [],
    }));
    // Each seal is of its own: only what opens can be compared.
    const opened = async (): Promise<string[]> => {
      const rows = await world.sql<
        { account_id: string; keyId: string; dataKey: Uint8Array; ciphertext: Uint8Array }[]
      >`
        SELECT account_id, numbers_key_id AS "keyId", numbers_data_key AS "dataKey",
          numbers_ciphertext AS ciphertext FROM account_numbers WHERE item_id = ${itemId} ORDER BY 1`;
      return Promise.all(
        rows.map(({ account_id, ...sealed }) =>
          world.secrets.open(sealed, secretContext.accountNumbers(itemId, account_id)),
        ),
      );
    };
    const expected = item.numbers.map(({ ach, eft, international, bacs }) =>
      JSON.stringify({ ach, eft, international, bacs }),
    );
    for (let time = 0; time < 2; time += 1) {
      expect(await world.run.saveNumbers({ itemId })).toEqual({ accounts: 2 });
      expect(await opened()).toEqual(expected);
    }
    world.plaid.failNext('getNumbers', 'UPSTREAM_DOWN');
    await expect(world.run.saveNumbers({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await opened()).toEqual(expected);
    world.plaid.failNext('getNumbers', 'PRODUCT_UNAVAILABLE');
    world.plaid.failNext('getNumbers', 'PRODUCT_UNAVAILABLE');
    expect(await twice('saveNumbers', { itemId })).toEqual([{ accounts: 0 }, { accounts: 0 }]);
    expect(await opened()).toEqual(expected);
  });

  it('removeItem asks Plaid until it agrees, then once more changes nothing', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction(`t-${itemId}`)] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.itemCommands.requestRemoval(itemId, { force: false });
    world.plaid.calls.length = 0;
    world.plaid.failNext('removeItem', 'UPSTREAM_DOWN');
    await expect(world.run.removeItem({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    const [kept] = await world.sql`
      SELECT removed_at, access_token_ciphertext IS NULL AS erased FROM items WHERE item_id = ${itemId}`;
    expect(kept).toEqual({ removed_at: null, erased: false });
    await twice('removeItem', { itemId });
    expect([item.removed, world.plaid.count('removeItem')]).toEqual([true, 2]);
    const [gone] = await world.sql`
      SELECT removed_at IS NOT NULL AS removed, access_token_ciphertext IS NULL AS erased
      FROM items WHERE item_id = ${itemId}`;
    expect(gone).toEqual({ removed: true, erased: true });
    const closed = await world.sql`
      SELECT 1 FROM outbox WHERE item_id = ${itemId} AND record = 'account' AND removed`;
    expect(closed).toHaveLength(1);
  });
});
