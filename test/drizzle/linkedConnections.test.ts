import type { Grant } from '../../domain/exchange/connection.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { Update } from '../../domain/ports/mining.js';
import { grantConnection } from '../../drizzle/stores/connectionWrites.js';
import { account, admission, exchangedItem, newApplication, runUpdate, sealed } from './world.js';
import {
  by,
  connectedItem,
  connectionsOf,
  eventsOf,
  grant,
  historyOf,
  nobody,
  received,
  world,
} from './connectionLife.js';

describe('a link', () => {
  it('connects its application in the transaction that makes the Item the user’s, once', async () => {
    const applicationId = await newApplication(world);
    const item = await exchangedItem(world, { applicationId, connection: grant({ lookback_days: 30 }) });
    expect(await connectionsOf(item.itemId)).toHaveLength(0);
    const admitted = await world.stores.links.admit(admission(item));
    const [connection, ...others] = await connectionsOf(item.itemId);
    expect(others).toEqual([]);
    expect(connection).toMatchObject({ application_id: applicationId, granted: null, status: 'active' });
    expect(admitted).toMatchObject({ kind: 'admitted', connection_id: connection?.connection_id });
    expect(await world.stores.links.admit(admission(item))).toEqual(admitted);
    expect(await world.stores.links.admitted(item.tokenHash, item.itemId)).toEqual(admitted);
    expect(await eventsOf(item.itemId)).toEqual(['connection.created']);
    expect(await historyOf(connection?.connection_id ?? '')).toEqual(['created']);
  });

  it('does not connect anew who was disconnected before its answer was asked for again', async () => {
    const item = await connectedItem();
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false, by: by(item.applicationId) });
    await world.stores.links.admit(admission(item));
    expect((await connectionsOf(item.itemId)).map(({ status }) => status)).toEqual(['revoked']);
  });

  it('lets the accounts that come follow the grant', async () => {
    const all = [account('acc-1'), account('acc-2')];
    const granted = async (changes: Partial<Grant>) => {
      const item = await connectedItem({ connection: grant(changes) });
      await runUpdate(world, item, [{}], { accounts: all });
      const before = (await connectionsOf(item.itemId))[0]?.granted;
      await runUpdate(world, item, [{}], { accounts: [...all, account('acc-3')] });
      return [before, (await connectionsOf(item.itemId))[0]?.granted];
    };
    const two = ['acc-1', 'acc-2'];
    expect(await granted({})).toEqual([null, null]);
    expect(await granted({ new_accounts: false })).toEqual([two, two]);
    // The first accounts of all are no later ones.
    expect(await granted({ account_ids: ['acc-1'] })).toEqual([['acc-1'], ['acc-1', 'acc-3']]);
    expect(await granted({ account_ids: ['acc-1'], new_accounts: false })).toEqual([['acc-1'], ['acc-1']]);
  });

  it('takes for no later one what may be an account that it does not grant, under another id', async () => {
    const twin = (id: string, mask: string | null) => account(id, { name: 'Twin', mask });
    const granted = async (account_ids: string[], mask: string | null, come: PlaidAccount[][]) => {
      const item = await connectedItem({ connection: grant({ account_ids }) });
      const first = [account('acc-1'), twin('t-1', mask), twin('t-2', mask)];
      await runUpdate(world, item, [{}], { accounts: first });
      for (const accounts of come) await runUpdate(world, item, [{}], { accounts });
      return (await connectionsOf(item.itemId))[0]?.granted;
    };
    for (const mask of ['0007', null]) {
      const after = [account('acc-1'), account('acc-9'), twin('t-3', mask), twin('t-4', mask)];
      // Also where the bank had listed them no more for a while.
      for (const come of [[after], [[account('acc-1')], after]]) {
        expect(await granted(['acc-1'], mask, come)).toEqual(['acc-1', 'acc-9']);
        expect(await granted(['acc-1', 't-1'], mask, come)).toEqual(['acc-1', 'acc-9', 't-1']);
        const all = ['acc-1', 'acc-9', 't-1', 't-2', 't-3', 't-4'];
        expect(await granted(['acc-1', 't-1', 't-2'], mask, come)).toEqual(all);
      }
    }
  });

  it('takes accounts for later ones once Plaid has listed all that there are', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    const entry = { key: 'accounts#1', reason: 'not_an_object' as const, raw: 'account' };
    const granted = async (changes: Partial<Grant>, partial: Partial<Update>) => {
      const item = await connectedItem({ connection: grant(changes) });
      // What the pages have named is all that is known of the accounts.
      await runUpdate(world, item, [{}], { accounts: all.slice(0, 1), ...partial });
      await runUpdate(world, item, [{}], { accounts: all.slice(0, 1), ...partial });
      await runUpdate(world, item, [{}], { accounts: all.slice(0, 2) });
      await runUpdate(world, item, [{}], { accounts: all.slice(0, 2), ...partial });
      const before = (await connectionsOf(item.itemId))[0]?.granted;
      await runUpdate(world, item, [{}], { accounts: all });
      return [before, (await connectionsOf(item.itemId))[0]?.granted];
    };
    const two = ['acc-1', 'acc-2'];
    for (const partial of [{ accountsRefused: true }, { parkedAccounts: [entry] }]) {
      expect(await granted({ account_ids: ['acc-1'] }, partial)).toEqual([['acc-1'], ['acc-1', 'acc-3']]);
      expect(await granted({ account_ids: [] }, partial)).toEqual([[], ['acc-3']]);
      expect(await granted({ new_accounts: false }, partial)).toEqual([two, two]);
    }
  });

  it('that comes before Plaid has listed all accounts is no later one: all that there are at the grant are granted', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    const refused = { accounts: all.slice(0, 1), accountsRefused: true };
    const granted = async (
      before: Partial<Grant> | null,
      changes: Partial<Grant>,
    ): Promise<(string[] | null | undefined)[]> => {
      const item = await connectedItem(before === null ? {} : { connection: grant(before) });
      await runUpdate(world, item, [{}], refused);
      const applicationId = before === null ? await newApplication(world) : item.applicationId;
      if (before === null) {
        const to = { itemId: item.itemId, userId: item.userId, applicationId };
        await world.sql.begin((tx) => grantConnection(tx, to, grant(changes), nobody));
      } else {
        const [row] = await connectionsOf(item.itemId);
        const sight = { applicationId, access: 'connected' } as const;
        const may = { mayWiden: true, actor: nobody };
        await world.stores.connections.change(sight, row?.connection_id ?? '', changes, may);
      }
      const ids: (string[] | null | undefined)[] = [];
      for (const update of [refused, { accounts: all.slice(0, 2) }, { accounts: all }]) {
        await runUpdate(world, item, [{}], update);
        const rows = await connectionsOf(item.itemId);
        ids.push(rows.find((row) => row.application_id === applicationId)?.granted);
      }
      return ids;
    };
    const [one, two] = [['acc-1'], ['acc-1', 'acc-2']];
    expect(await granted(null, { new_accounts: false })).toEqual([one, two, two]);
    expect(await granted({}, { new_accounts: false })).toEqual([one, two, two]);
    expect(await granted(null, { account_ids: one })).toEqual([one, one, ['acc-1', 'acc-3']]);
    expect(await granted({}, { account_ids: one, new_accounts: false })).toEqual([one, one, one]);
  });

  it('takes away what had come by itself, and does not stand in a list that is written, whatever else the list says', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    const item = await connectedItem({ connection: grant({ account_ids: ['acc-1'] }) });
    await runUpdate(world, item, [{}], { accounts: all.slice(0, 2) });
    await runUpdate(world, item, [{}], { accounts: all });
    const connection = async () => (await connectionsOf(item.itemId))[0];
    const { connection_id = '', granted, application_id = '' } = (await connection()) ?? {};
    expect(granted).toEqual(['acc-1', 'acc-3']);
    const sight = { applicationId: application_id, access: 'connected' } as const;
    const write = (changes: Partial<Grant>) =>
      world.stores.connections.change(sight, connection_id, changes, { mayWiden: false, actor: nobody });
    const said = async () =>
      (await eventsOf(item.itemId)).filter((type) => type === 'connection.updated').length;
    const before = await said();
    await write({ account_ids: ['acc-1'], new_accounts: true });
    expect([(await connection())?.granted, (await said()) - before]).toEqual([['acc-1'], 1]);
    // Nothing is left to be taken away.
    await write({ account_ids: ['acc-1'], new_accounts: true });
    expect((await said()) - before).toBe(1);
    // What comes later is in it again, and goes beside another change.
    await runUpdate(world, item, [{}], { accounts: [...all, account('acc-4')] });
    expect((await connection())?.granted).toEqual(['acc-1', 'acc-4']);
    await write({ account_ids: ['acc-1'], scopes: ['accounts'] });
    expect((await connection())?.granted).toEqual(['acc-1']);
  });

  it('of a token that another application has used is none, unless both see every Item', async () => {
    const [one, two] = [await newApplication(world), await newApplication(world)];
    const [all, every] = [await newApplication(world, 'all'), await newApplication(world, 'all')];
    const again = (tokenHash: string, application_id: string) =>
      world.stores.links.receive({
        token_hash: tokenHash,
        user_id: 'sharer',
        application_id,
        publicToken: sealed('public'),
        institution_id: null,
        accounts: [],
        main_account_id: null,
      });
    const [ofOne, ofAll] = [await received('sharer', one), await received('sharer', all)];
    expect(await again(ofOne, one)).toMatchObject({ application_id: one });
    expect([await again(ofOne, two), await again(ofOne, all), await again(ofAll, two)]).toEqual([
      null,
      null,
      null,
    ]);
    expect(await again(ofAll, every)).toMatchObject({ application_id: all });
  });
});
