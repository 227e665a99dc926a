import { linkMetadataOf } from '../../api/linkMetadata.js';
import type { Grant } from '../../domain/exchange/connection.js';
import { grantByDefault } from '../../domain/exchange/connection.js';
import { identityOf } from '../../domain/mining/accounts.js';
import { listedAccounts } from '../../domain/mining/listedAccounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { Update } from '../../domain/ports/mining.js';
import { grantConnection, revokeConnections } from '../../drizzle/stores/connectionWrites.js';
import type { Linking, World } from './world.js';
import {
  account,
  admission,
  begunNow,
  exchangedItem,
  linkedItem,
  lockWaiters,
  newApplication,
  newId,
  openWorld,
  pageOf,
  runUpdate,
  sealed,
  seenNow,
  transaction,
  updateOf,
  webhook,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const grant = (changes: Partial<Grant> = {}): Grant => ({ ...grantByDefault(['transactions']), ...changes });
const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
const nobody = { initiator: 'operator', applicationId: null, keyId: null, reason: null } as const;

interface StoredConnection {
  connection_id: string;
  application_id: string;
  granted: string[] | null;
  new_accounts: boolean;
  status: string;
  revoked_initiator: string | null;
}

const connectionsOf = (itemId: string) => world.sql<StoredConnection[]>`
  SELECT connection_id, application_id, granted_accounts AS granted, new_accounts, revoked_initiator,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired'
      WHEN suspended_at IS NOT NULL THEN 'suspended' ELSE 'active' END AS status
  FROM connections WHERE item_id = ${itemId} ORDER BY created_at, connection_id`;

const eventsOf = async (itemId: string): Promise<string[]> => {
  const rows = await world.sql<{ type: string }[]>`
    SELECT type FROM events WHERE item_id = ${itemId} AND type LIKE 'connection.%' ORDER BY position`;
  return rows.map(({ type }) => type);
};

const historyOf = async (connectionId: string): Promise<string[]> => {
  const rows = await world.sql<{ action: string }[]>`
    SELECT action FROM connection_history WHERE connection_id = ${connectionId} ORDER BY position`;
  return rows.map(({ action }) => action);
};

const itemRow = async (itemId: string) => {
  const [row] = await world.sql<
    { unconnected: boolean; asked: boolean; due: boolean | null; replaced_by: string | null }[]
  >`SELECT unconnected_since IS NOT NULL AS unconnected, removal_requested_at IS NOT NULL AS asked,
      next_due_at <= clock_timestamp() AS due, replaced_by FROM items WHERE item_id = ${itemId}`;
  if (row === undefined) throw new Error('no such Item');
  return row;
};

/** An Item that an application of access `connected` has linked. */
async function connectedItem(linking: Linking = {}) {
  const applicationId = linking.applicationId ?? (await newApplication(world));
  const item = await linkedItem(world, { connection: grant(), ...linking, applicationId });
  return { ...item, applicationId };
}

/** A link of another application for the accounts in its metadata, received and not exchanged. */
async function received(userId: string, applicationId: string, more: Linking = {}): Promise<string> {
  const tokenHash = newId('hash');
  await world.stores.links.receive({
    token_hash: tokenHash,
    user_id: userId,
    application_id: applicationId,
    publicToken: sealed('public'),
    institution_id: 'ins_1',
    accounts: more.metadata ?? [account('acc-1')].map(metadataOf),
    main_account_id: null,
    connection: more.connection === undefined ? grant() : more.connection,
  });
  return tokenHash;
}

const metadataOf = ({ account_id, ...rest }: ReturnType<typeof account>) => ({
  ...(identityOf({ account_id, ...rest }) as { mask: string; name: string; type: string; subtype: string }),
  id: `new-${account_id}`,
});

/** What would have been written by an update that began while somebody was connected. */
async function lateUpdate(item: { itemId: string; userId: string }) {
  const began = await begunNow(world, item.itemId);
  const [row] = await world.sql<
    [{ cursor: string }]
  >`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
  const page = (more: boolean) =>
    pageOf(item, row.cursor, newId('c'), more, { added: [transaction(newId('late'))] });
  return {
    stage: () =>
      world.stores.mining.stagePage(item.itemId, newId('u'), 0, { began, remine: false }, page(true)),
    apply: () => world.stores.mining.apply(updateOf(item, newId('u'), page(false), { began })),
  };
}

/** An application joins an Item by what was chosen in a Link, before its exchange or by it; resolves to the application's id. */
async function joinedBy(
  item: { itemId: string; userId: string },
  changes: Partial<Grant>,
  chosen: readonly PlaidAccount[],
  exchanges: boolean,
): Promise<string> {
  const { links } = world.stores;
  const applicationId = await newApplication(world);
  const linking = { userId: item.userId, applicationId, connection: grant(changes) };
  if (exchanges) {
    const accounts = chosen.map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` }));
    const surplus = await exchangedItem(world, linking);
    expect((await links.admit(admission(surplus, { accounts }))).kind).toBe('joined');
  } else {
    const metadata = chosen.map(metadataOf);
    const tokenHash = await received(item.userId, applicationId, { ...linking, metadata });
    expect(await links.join(tokenHash, item.itemId)).toBe('joined');
  }
  return applicationId;
}

/** An Item whose two accounts (`all`) have got other ids (`heirs`). */
async function withHeirs() {
  const all = ['acc-1', 'acc-2'].map((id) => account(id, { mask: id }));
  const heirs = all.map((raw) => ({ ...raw, account_id: `heir-${raw.account_id}` }));
  const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
  await runUpdate(world, item, [{}], { accounts: all });
  await runUpdate(world, item, [{}], { accounts: heirs });
  return { item, all, heirs };
}

/** Breaks an Item; resolves to what a Link that may replace it says of it. */
async function broken(itemId: string) {
  const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  await world.stores.items.setBroken(itemId, await seenNow(world, itemId), error, inDays(1));
  return { itemId, seen: await seenNow(world, itemId) };
}

/** Another application, connected with the Item. */
async function connectedTo(item: { itemId: string; userId: string }): Promise<string> {
  const applicationId = await newApplication(world);
  await world.stores.links.join(await received(item.userId, applicationId), item.itemId);
  return applicationId;
}

const by = (application_id: string) => ({ application_id, key_id: 'key-1' });

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

describe('joining', () => {
  it('by Link’s metadata connects and finishes the link in one transaction, and only once', async () => {
    const item = await connectedItem();
    const applicationId = await newApplication(world);
    const tokenHash = await received(item.userId, applicationId);
    const { links } = world.stores;
    expect(await links.join(tokenHash, item.itemId)).toBe('joined');
    expect(await links.join(tokenHash, item.itemId)).toBe('finished');
    const [, second] = await connectionsOf(item.itemId);
    expect(await links.get(tokenHash)).toMatchObject({
      state: 'finished',
      outcome: { kind: 'linked', item_id: item.itemId, joined: true, connection_id: second?.connection_id },
    });
    expect(second).toMatchObject({ application_id: applicationId, granted: null, new_accounts: true });
    expect(await links.join(await received(item.userId, applicationId), item.itemId)).toBe('duplicate');
    // Who sees every Item needs none.
    const all = await newApplication(world, 'all');
    expect(await links.join(await received(item.userId, all), item.itemId)).toBe('duplicate');
    expect(await connectionsOf(item.itemId)).toHaveLength(2);
  });

  it('grants of the accounts those that the user has chosen in this Link', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    const joined = async (connection: Grant, chosen = [all[0]!, all[1]!]) => {
      const applicationId = await newApplication(world);
      const tokenHash = await received(item.userId, applicationId, {
        connection,
        metadata: chosen.map(metadataOf),
      });
      expect(await world.stores.links.join(tokenHash, item.itemId)).toBe('joined');
      const found = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
      return [found?.granted, found?.new_accounts];
    };
    // Nobody knows the Item's accounts by their ids yet.
    expect(await joined(grant())).toEqual([[], false]);
    await runUpdate(world, item, [{}], { accounts: all });
    expect(await joined(grant())).toEqual([['acc-1', 'acc-2'], false]);
    expect(await joined(grant(), all)).toEqual([null, true]);
    // By the ids of the Item that Link has made, and by those of the one that there is; one that was not chosen is named in vain.
    const named = grant({ account_ids: ['acc-1', 'new-acc-2', 'acc-3', 'unknown'], new_accounts: false });
    expect(await joined(named)).toEqual([['acc-1', 'acc-2'], false]);
    // A list of guesses, of which some fit, proves nothing.
    const guessed = await received(item.userId, await newApplication(world), {
      connection: grant(),
      metadata: [...all, account('acc-9', { mask: '9999' })].map(metadataOf),
    });
    expect(await world.stores.links.join(guessed, item.itemId)).toBe('unproven');
  });

  it('with an Item whose accounts have not come yet shares those that were chosen once they come', async () => {
    const twin = (id: string) => account(id, { name: 'Twin', mask: '0007' });
    const all = [...['acc-1', 'acc-2', 'acc-3'].map((id) => account(id)), twin('t-1'), twin('t-2')];
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    const [first, second, , third] = all as [PlaidAccount, PlaidAccount, PlaidAccount, PlaidAccount];
    const joins = (changes: Partial<Grant>, chosen: PlaidAccount[], exchanges: boolean) =>
      joinedBy(item, changes, chosen, exchanges);
    const wanted: [string, string[]][] = [];
    for (const exchanges of [false, true]) {
      const named = { account_ids: ['new-acc-2'] };
      wanted.push(
        [await joins({}, [first, second], exchanges), ['acc-1', 'acc-2']],
        [await joins(named, [first, second], exchanges), ['acc-2']],
        [await joins({ account_ids: ['new-acc-2', 'new-acc-3'] }, [first, second], exchanges), ['acc-2']],
        // Nobody knows which of the two is meant; where both are, nobody has to.
        [await joins({}, [first, third], exchanges), ['acc-1']],
        [await joins({}, all.slice(2), exchanges), ['acc-3', 't-1', 't-2']],
      );
    }
    const granted = async () => {
      const rows = await world.sql<{ application_id: string; granted: string[]; nothing: boolean }[]>`
        SELECT application_id, granted_accounts AS granted, NOT awaits_accounts AS nothing FROM connections
        WHERE item_id = ${item.itemId} AND granted_accounts IS NOT NULL ORDER BY created_at, connection_id`;
      return rows.map((row) => [row.application_id, row.granted, row.nothing]);
    };
    expect(await granted()).toEqual(wanted.map(([app]) => [app, [], false]));
    // No later ones: of those that were chosen nothing is said.
    const rows = await connectionsOf(item.itemId);
    for (const { application_id, connection_id } of rows.filter((row) => row.granted !== null)) {
      const sight = { applicationId: application_id, access: 'connected' } as const;
      const may = { mayWiden: false, actor: nobody };
      await world.stores.connections.change(sight, connection_id, { new_accounts: false }, may);
    }
    await runUpdate(world, item, [{}], { accounts: all });
    expect(await granted()).toEqual(wanted.map(([app, ids]) => [app, ids, true]));
  });

  it('with an Item of which Plaid lists an account twice shares it, and the Item that replaces it goes on with it', async () => {
    const one = account('acc-1');
    const { accounts } = listedAccounts([one, { ...one }, account('acc-2', { mask: '2' })], []);
    const item = await connectedItem({ accounts: accounts.map((raw) => identityOf(raw)) });
    await runUpdate(world, item, [{}], { accounts });
    const applicationId = await joinedBy(item, {}, [one], false);
    const granted = async (itemId: string) =>
      (await connectionsOf(itemId)).find((row) => row.application_id === applicationId)?.granted;
    expect(await granted(item.itemId)).toEqual(['acc-1']);
    const { userId, applicationId: linker } = item;
    const fresh = await exchangedItem(world, { userId, applicationId: linker, connection: grant() });
    const given = { accounts: [{ ...identityOf(one), account_id: 'next-1' }] };
    const replaceable = [await broken(item.itemId)];
    await world.stores.links.admit(admission(fresh, { ...given, replaceable }));
    expect(await granted(fresh.itemId)).toEqual(['next-1']);
  });

  it('with an Item whose accounts have had other ids shares those that were chosen under all of them', async () => {
    const { item, all } = await withHeirs();
    const ids = ['acc-1', 'heir-acc-1'];
    const granted = async (changes: Partial<Grant>, chosen: PlaidAccount[], exchanges: boolean) => {
      const applicationId = await joinedBy(item, changes, chosen, exchanges);
      const rows = await connectionsOf(item.itemId);
      return rows.find((row) => row.application_id === applicationId)?.granted;
    };
    for (const exchanges of [false, true]) {
      expect(await granted({}, all.slice(0, 1), exchanges)).toEqual(ids);
      expect(await granted({ account_ids: ['new-acc-1'] }, all, exchanges)).toEqual(ids);
    }
  });

  it('with an Item of whose accounts some have come shares those that were chosen, and no others', async () => {
    const twin = (id: string) => account(id, { name: 'Twin', mask: '0007' });
    const all = [...['acc-1', 'acc-2', 'acc-3'].map((id) => account(id)), twin('t-1'), twin('t-2')];
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    const joins = async (chosen: PlaidAccount[], changes: Partial<Grant> = {}) => {
      const applicationId = await newApplication(world);
      const more = { connection: grant(changes), metadata: chosen.map(metadataOf) };
      const tokenHash = await received(item.userId, applicationId, more);
      expect(await world.stores.links.join(tokenHash, item.itemId)).toBe('joined');
      return applicationId;
    };
    // Of two that are called the same its client asks for one: nobody knows which is meant, now or later.
    const one = { account_ids: ['new-t-1'] };
    // Of all that are called so nobody has to know.
    const both = { account_ids: ['new-t-1', 'new-t-2'], new_accounts: false };
    const wanted: [string, string[] | null][] = [
      [await joins(all.slice(3), one), []],
      [await joins(all.slice(2), both), ['t-1', 't-2']],
    ];
    await runUpdate(world, item, [{}], { accounts: all.slice(0, 1), accountsRefused: true });
    wanted.push(
      [await joins(all.slice(3), one), []],
      [await joins(all.slice(0, 1)), ['acc-1']],
      [await joins(all.slice(1, 2)), ['acc-2']],
      [await joins(all.slice(0, 2)), ['acc-1', 'acc-2']],
      [await joins(all.slice(0, 2), { account_ids: ['new-acc-2'] }), ['acc-2']],
      [await joins([...all.slice(0, 1), ...all.slice(3)]), ['acc-1', 't-1', 't-2']],
      [await joins(all.slice(0, 4)), ['acc-1', 'acc-2', 'acc-3']],
      [await joins(all), null],
    );
    // A list by and by, and one that is whole in the end.
    for (const some of [all.slice(0, 1), all.slice(0, 4)])
      await runUpdate(world, item, [{}], { accounts: some, accountsRefused: true });
    wanted.push([await joins(all.slice(2), both), ['t-1', 't-2']]);
    await runUpdate(world, item, [{}], { accounts: all });
    wanted.push([await joins(all.slice(2), both), ['t-1', 't-2']], [await joins(all.slice(3), one), []]);
    const rows = await connectionsOf(item.itemId);
    const granted = (id: string) => rows.find((row) => row.application_id === id)?.granted;
    expect(wanted.map(([id]) => granted(id))).toEqual(wanted.map(([, ids]) => ids));
  });

  it('waits for nothing any more once a list of accounts is written, whatever it says', async () => {
    const all = ['acc-1', 'acc-2'].map((id) => account(id));
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    const joined = async () => {
      const applicationId = await newApplication(world);
      const metadata = all.slice(0, 1).map(metadataOf);
      const tokenHash = await received(item.userId, applicationId, { metadata });
      expect(await world.stores.links.join(tokenHash, item.itemId)).toBe('joined');
      return (await connectionsOf(item.itemId)).find((row) => row.application_id === applicationId);
    };
    const [kept, narrowed] = [await joined(), await joined()];
    const sight = { applicationId: narrowed?.application_id ?? '', access: 'connected' } as const;
    const may = { mayWiden: false, actor: nobody };
    await world.stores.connections.change(sight, narrowed?.connection_id ?? '', { account_ids: [] }, may);
    await runUpdate(world, item, [{}], { accounts: all });
    const granted = async (one: StoredConnection | undefined) =>
      (await connectionsOf(item.itemId)).find((row) => row.connection_id === one?.connection_id)?.granted;
    expect([await granted(kept), await granted(narrowed)]).toEqual([['acc-1'], []]);
  });

  it('shares none of the accounts that are called the same where not all of them were chosen, whatever proves them the Item’s', async () => {
    const proofs = [{ mask: '0007' }, { mask: '0007', persistent: true }];
    for (const { mask, persistent = false } of proofs) {
      const twin = (id: string) =>
        account(id, { name: 'Twin', mask, ...(persistent ? { persistent_account_id: `p-${id}` } : {}) });
      const all = [account('acc-1'), twin('t-1'), twin('t-2')];
      const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
      await runUpdate(world, item, [{}], { accounts: all });
      const joined = async (chosen: PlaidAccount[], changes: Partial<Grant> = {}) => {
        const applicationId = await newApplication(world);
        const more = {
          connection: grant(changes),
          metadata: chosen.map((raw) => ({ ...metadataOf(raw), persistent_account_id: null })),
        };
        const tokenHash = await received(item.userId, applicationId, more);
        const end = await world.stores.links.join(tokenHash, item.itemId);
        const found = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
        return [end, found?.granted, found?.new_accounts];
      };
      const [first, second, third] = all as [PlaidAccount, PlaidAccount, PlaidAccount];
      // Where Plaid's persistent ids tell them apart the exchange decides, which brings those of the chosen ones.
      const [end, granted] = persistent ? ['unproven', undefined] : ['joined', ['acc-1']];
      const newAccounts = persistent ? undefined : false;
      const named = { account_ids: ['acc-1', 't-1'], new_accounts: false };
      for (const changes of [{}, named])
        expect(await joined([first, second], changes)).toEqual([end, granted, newAccounts]);
      if (persistent) expect(await joined([second])).toEqual(['unproven', undefined, undefined]);
      expect(await joined([second, third], named)).toEqual(['joined', ['t-1'], false]);
      expect(await joined([second, third])).toEqual(['joined', ['t-1', 't-2'], false]);
      expect(await joined(all)).toEqual(['joined', null, true]);
      // One more than the Item has: that one is another account.
      expect(await joined([second, third, twin('t-3')])).toEqual(['unproven', undefined, undefined]);
    }
  });

  it('names the accounts that it does not share since nobody knows which of two is meant, by Link’s word and after the exchange', async () => {
    const twin = (id: string) => account(id, { name: 'Twin', mask: '0007' });
    const all = [account('acc-1'), twin('t-1'), twin('t-2')];
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    await runUpdate(world, item, [{}], { accounts: all });
    const { links } = world.stores;
    const byWord = async (changes: Partial<Grant>, chosen: PlaidAccount[]) => {
      const applicationId = await newApplication(world);
      const metadata = chosen.map(metadataOf);
      const tokenHash = await received(item.userId, applicationId, { connection: grant(changes), metadata });
      expect(await links.join(tokenHash, item.itemId)).toBe('joined');
      const outcome = (await links.get(tokenHash))?.outcome;
      return outcome?.kind === 'linked' ? [outcome.warnings, outcome.dropped_accounts] : outcome;
    };
    const byExchange = async (changes: Partial<Grant>, chosen: PlaidAccount[]) => {
      const applicationId = await newApplication(world);
      const linking = { userId: item.userId, applicationId, connection: grant(changes) };
      const surplus = await exchangedItem(world, linking);
      const accounts = chosen.map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` }));
      const end = await links.admit(admission(surplus, { accounts }));
      return 'dropped' in end ? end.dropped : undefined;
    };
    const [first, second, third] = all as [PlaidAccount, PlaidAccount, PlaidAccount];
    const one = { account_ids: ['new-t-1'], new_accounts: false };
    const both = { account_ids: ['new-t-1', 'new-t-2'], new_accounts: false };
    expect(await byWord(both, all)).toEqual([[], undefined]);
    expect(await byExchange(both, all)).toBeUndefined();
    expect(await byWord({}, [first, second])).toEqual([['accounts_dropped'], ['new-t-1']]);
    expect(await byWord(one, [second, third])).toEqual([['accounts_dropped'], ['new-t-1']]);
    expect(await byWord({}, [second, third])).toEqual([[], undefined]);
    expect(await byExchange({}, [first, second])).toEqual(['new-t-1']);
    expect(await byExchange(one, [second, third])).toEqual(['new-t-1']);
    expect(await byExchange({}, all)).toBeUndefined();
  });

  it('shares an account that its client names though the one whose place it took is called the same', async () => {
    const old = account('old', { mask: '0007', name: 'One' });
    const item = await connectedItem({ accounts: [identityOf(old)] });
    await runUpdate(world, item, [{}], { accounts: [old, account('acc-2')] });
    const next = account('next', { mask: '0007', name: 'One' });
    await runUpdate(world, item, [{}], { accounts: [next, account('acc-2')] });
    const applicationId = await newApplication(world);
    const connection = grant({ account_ids: ['new-next'], new_accounts: false });
    const tokenHash = await received(item.userId, applicationId, {
      connection,
      metadata: [metadataOf(next)],
    });
    expect(await world.stores.links.join(tokenHash, item.itemId)).toBe('joined');
    const found = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
    expect(found?.granted).toContain('next');
  });

  it('lets the other applications’ connections go on with a new Item though an account of the old one has taken a closed one’s place', async () => {
    const old = account('old', { mask: '0007', name: 'One' });
    const next = account('next', { mask: '0007', name: 'One' });
    const item = await connectedItem();
    for (const raw of [old, next]) await runUpdate(world, item, [{}], { accounts: [raw, account('acc-1')] });
    const holder = await newApplication(world);
    const named = grant({ account_ids: ['next', 'old'], new_accounts: false });
    await world.sql.begin(async (tx) => {
      const to = { itemId: item.itemId, userId: item.userId, applicationId: holder };
      await grantConnection(tx, to, named, nobody);
    });
    const linking = { userId: item.userId, applicationId: item.applicationId, connection: grant() };
    const fresh = await exchangedItem(world, linking);
    const accounts = [next, account('acc-1')].map((raw) => ({
      ...identityOf(raw),
      account_id: `new-${raw.account_id}`,
    }));
    const seen = await seenNow(world, item.itemId);
    const more = { accounts, replaceable: [{ itemId: item.itemId, seen }] };
    expect(await world.stores.links.admit(admission(fresh, more))).toMatchObject({ kind: 'admitted' });
    const found = (await connectionsOf(fresh.itemId)).find((one) => one.application_id === holder);
    expect(found?.granted).toEqual(['new-next']);
  });

  it('by Plaid’s persistent ids shares the account that was chosen, whatever another one is called', async () => {
    const all = ['t-1', 't-2'].map((id) => account(id, { mask: '0007', persistent_account_id: `p-${id}` }));
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    await runUpdate(world, item, [{}], { accounts: all });
    const applicationId = await newApplication(world);
    const surplus = await exchangedItem(world, { userId: item.userId, applicationId, connection: grant() });
    const offered = [{ ...identityOf(all[1] as PlaidAccount), account_id: 'new-2' }];
    const admitted = await world.stores.links.admit(admission(surplus, { accounts: offered }));
    expect(admitted).not.toHaveProperty('dropped');
    const found = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
    expect(found?.granted).toEqual(['t-2']);
  });

  it('leaves none of the same account’s past behind: a closed one that it took the place of is shared with it', async () => {
    const old = account('old', { mask: '0007', name: 'One' });
    const item = await connectedItem({ accounts: [identityOf(old)] });
    await runUpdate(world, item, [{}], { accounts: [old, account('acc-2')] });
    await runUpdate(world, item, [{}], {
      accounts: [account('new', { mask: '0007', name: 'One' }), account('acc-2')],
    });
    const applicationId = await newApplication(world);
    const more = { connection: grant(), metadata: [metadataOf(old)] };
    expect(await world.stores.links.join(await received(item.userId, applicationId, more), item.itemId)).toBe(
      'joined',
    );
    const found = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
    expect([...(found?.granted ?? [])].sort()).toEqual(['new', 'old']);
  });

  it('by its word alone is given up by who has sent tokens again and again that come from no Link', async () => {
    const item = await connectedItem();
    const [guesser, other] = [await newApplication(world), await newApplication(world)];
    const { links } = world.stores;
    const right = async (applicationId: string) =>
      links.join(await received(item.userId, applicationId), item.itemId);
    const wrong = async (end: LinkOutcome['kind'] | null) => {
      const metadata = [metadataOf(account('acc-1', { mask: '4711' }))];
      const tokenHash = await received(item.userId, guesser, { metadata });
      expect(await links.join(tokenHash, item.itemId)).toBe('moved');
      if (end === null) return;
      await links.finish(tokenHash, { kind: 'invalid_public_token', plaid: null });
    };
    await wrong('invalid_public_token');
    await wrong('invalid_public_token');
    // One that is on its way: many at once are no way around it.
    await wrong(null);
    expect([await right(guesser), await right(other)]).toEqual(['unproven', 'joined']);
    // Plaid's own word is believed as ever.
    const linking = { userId: item.userId, applicationId: guesser, connection: grant() };
    expect((await links.admit(admission(await exchangedItem(world, linking)))).kind).toBe('joined');
    // What lies behind a day is forgotten.
    const late = await newApplication(world);
    await world.sql`
      UPDATE links SET application_id = ${late}, created_at = now() - interval '25 hours' WHERE application_id = ${guesser}`;
    expect(await right(late)).toBe('joined');
  });

  it('twice at once by one application makes one connection', async () => {
    const item = await connectedItem();
    const applicationId = await newApplication(world);
    const hashes = [await received(item.userId, applicationId), await received(item.userId, applicationId)];
    let joins: Promise<string[]> = Promise.resolve([]);
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM users WHERE user_id = ${item.userId} FOR NO KEY UPDATE`;
      joins = Promise.all(hashes.map((hash) => world.stores.links.join(hash, item.itemId)));
      await lockWaiters(world, 2);
    });
    expect((await joins).sort()).toEqual(['duplicate', 'joined']);
    expect(await connectionsOf(item.itemId)).toHaveLength(2);
  });

  it('after the exchange discards the new Item, whose link names the one that was joined', async () => {
    const item = await connectedItem();
    const applicationId = await newApplication(world);
    const surplus = await exchangedItem(world, { userId: item.userId, applicationId, connection: grant() });
    const { links } = world.stores;
    const joined = await links.admit(admission(surplus));
    const [, second] = await connectionsOf(item.itemId);
    expect(joined).toEqual({ kind: 'joined', itemId: item.itemId, connection_id: second?.connection_id });
    expect(await links.admit(admission(surplus))).toEqual(joined);
    expect(await connectionsOf(item.itemId)).toHaveLength(2);
    const linked = { kind: 'linked', item_id: item.itemId, replaces: null } as const;
    const outcome: LinkOutcome = { ...linked, warnings: [], joined: true };
    // The answer does not wait until Plaid has removed it; that it is to be removed stands in its row.
    expect(await links.finish(surplus.tokenHash, outcome)).toEqual(outcome);
    const [row] = await world.sql`
      SELECT removal_requested_at IS NOT NULL AS asked, removed_at FROM items WHERE item_id = ${surplus.itemId}`;
    expect(row).toEqual({ asked: true, removed_at: null });
    expect(await links.beginDiscard(surplus.itemId)).toBe(true);
    await links.discardItem(surplus.itemId);
    expect(await links.finish(surplus.tokenHash, outcome)).toEqual(outcome);
    expect(await links.admitted(item.tokenHash, item.itemId)).toMatchObject({ replaced: [] });
    const again = await exchangedItem(world, { userId: item.userId, applicationId, connection: grant() });
    expect(await links.admit(admission(again))).toEqual({ kind: 'duplicate', itemId: item.itemId });
  });

  it('after the exchange says which accounts of the new Link the joined Item does not have, in every answer', async () => {
    const item = await connectedItem();
    const { links } = world.stores;
    const join = async (changes: Partial<Grant> = {}) => {
      const applicationId = await newApplication(world);
      const linking = { userId: item.userId, applicationId, connection: grant(changes) };
      const surplus = await exchangedItem(world, linking);
      const accounts = [account('acc-1'), account('acc-9', { mask: '9999', name: 'Savings' })].map((raw) => ({
        ...identityOf(raw),
        account_id: `new-${raw.account_id}`,
      }));
      const ends = [];
      for (let time = 0; time < 2; time += 1) ends.push(await links.admit(admission(surplus, { accounts })));
      expect(ends[1]).toEqual(ends[0]);
      return ends[0];
    };
    expect(await join()).toMatchObject({ kind: 'joined', itemId: item.itemId, dropped: ['new-acc-9'] });
    // What the client has not asked for is nothing that it loses.
    expect(await join({ account_ids: ['new-acc-1'], new_accounts: false })).not.toHaveProperty('dropped');
  });

  it('by a public token of update mode connects with the Item itself, once a token', async () => {
    const item = await connectedItem();
    const applicationId = await newApplication(world);
    const tokenHash = await received(item.userId, applicationId);
    const { links } = world.stores;
    await links.beginExchange(tokenHash);
    await links.storeExchanged(tokenHash, { itemId: item.itemId, accessToken: sealed('again') });
    const joined = await links.admit(admission({ ...item, tokenHash }));
    expect(joined).toMatchObject({ kind: 'admitted', joined: true, replaced: [] });
    expect((await connectionsOf(item.itemId))[1]).toMatchObject({ application_id: applicationId });
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false, by: by(applicationId) });
    await links.admit(admission({ ...item, tokenHash }));
    expect((await connectionsOf(item.itemId)).map(({ status }) => status)).toEqual(['active', 'revoked']);
  });

  it('by a public token of update mode is granted the account that was chosen, though another one is called the same', async () => {
    const twin = (id: string) => account(id, { name: 'Twin', mask: '0007' });
    const all = [twin('t-1'), twin('t-2')];
    const item = await connectedItem({ accounts: all.map((raw) => identityOf(raw)) });
    await runUpdate(world, item, [{}], { accounts: all });
    const { links } = world.stores;
    const chosen = { ...metadataOf(twin('t-2')), id: 't-2' };
    for (const [account_ids, said] of [
      [['t-2'], [chosen]],
      [null, [chosen]],
      [null, [chosen, chosen]],
    ] as const) {
      const applicationId = await newApplication(world);
      const metadata = linkMetadataOf({ accounts: said }).accounts;
      const connection = grant({
        account_ids: account_ids && [...account_ids],
        new_accounts: account_ids === null,
      });
      const tokenHash = await received(item.userId, applicationId, { connection, metadata });
      await links.beginExchange(tokenHash);
      await links.storeExchanged(tokenHash, { itemId: item.itemId, accessToken: sealed('again') });
      await links.admit(admission({ ...item, tokenHash }));
      const made = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
      expect([made?.granted, made?.new_accounts]).toEqual([['t-2'], false]);
    }
  });

  it('by a public token of update mode is granted an account under every id that it has had, whether or not its metadata are there', async () => {
    const { item, heirs } = await withHeirs();
    const { links } = world.stores;
    for (const metadata of [[], heirs.map((raw) => ({ ...metadataOf(raw), id: raw.account_id }))]) {
      const applicationId = await newApplication(world);
      const connection = grant({ account_ids: ['heir-acc-1'], new_accounts: false });
      const tokenHash = await received(item.userId, applicationId, { connection, metadata });
      await links.beginExchange(tokenHash);
      await links.storeExchanged(tokenHash, { itemId: item.itemId, accessToken: sealed('again') });
      await links.admit(admission({ ...item, tokenHash }));
      const made = (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId);
      expect(made?.granted?.toSorted()).toEqual(['acc-1', 'heir-acc-1']);
    }
  });

  it('renews what is over by time, and resumes what the bank had suspended, by the new grant, once Plaid has vouched for its user', async () => {
    const item = await connectedItem({ connection: grant({ expires_at: inDays(40) }) });
    const { links, items } = world.stores;
    const chosen = { connection: grant({ scopes: ['accounts'] }) };
    // Who was connected knows the accounts: that it names them says nothing of its user.
    const byWordAlone = async () =>
      links.join(await received(item.userId, item.applicationId, chosen), item.itemId);
    const surplus = () =>
      exchangedItem(world, { ...chosen, userId: item.userId, applicationId: item.applicationId });
    const byExchange = async () => (await links.admit(admission(await surplus()))).kind;
    await world.sql`UPDATE connections SET expires_at = now() - interval '1 day' WHERE item_id = ${item.itemId}`;
    expect([await byWordAlone(), await byExchange()]).toEqual(['unproven', 'joined']);
    const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    const before = await surplus();
    await items.setBroken(item.itemId, await seenNow(world, item.itemId), gone, inDays(1));
    expect([await byWordAlone(), await byExchange()]).toEqual(['unproven', 'duplicate']);
    await items.setHealthy(item.itemId, await seenNow(world, item.itemId));
    // Its user was there before the bank suspended it.
    expect((await links.admit(admission(before))).kind).toBe('duplicate');
    expect([await byWordAlone(), await byExchange()]).toEqual(['unproven', 'joined']);
    const [only, ...others] = await connectionsOf(item.itemId);
    expect([only?.status, others]).toEqual(['active', []]);
    expect(await historyOf(only?.connection_id ?? '')).toEqual([
      ...['created', 'expired', 'renewed', 'suspended', 'renewed', 'resumed'],
    ]);
  });

  it('grants what was chosen in this Link, whatever had come to the connection that it renews', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    const renewed = async (changes: Partial<Grant>, chosen: PlaidAccount[]) => {
      const item = await connectedItem({
        connection: grant({ ...changes, expires_at: inDays(40) }),
        accounts: all.map((raw) => identityOf(raw)),
      });
      await runUpdate(world, item, [{}], { accounts: all.slice(0, 2) });
      await runUpdate(world, item, [{}], { accounts: all });
      const before = (await connectionsOf(item.itemId))[0]?.granted;
      await world.sql`UPDATE connections SET expires_at = now() - interval '1 day' WHERE item_id = ${item.itemId}`;
      const surplus = await exchangedItem(world, {
        connection: grant(changes),
        userId: item.userId,
        applicationId: item.applicationId,
      });
      const accounts = chosen.map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` }));
      expect((await world.stores.links.admit(admission(surplus, { accounts }))).kind).toBe('joined');
      return [before, (await connectionsOf(item.itemId))[0]?.granted];
    };
    const [first, second, third] = ['acc-1', 'acc-2', 'acc-3'] as const;
    // What had come by itself, and was not chosen now, is taken away.
    expect(await renewed({ account_ids: [first], new_accounts: true }, all.slice(0, 2))).toEqual([
      [first, third],
      [first],
    ]);
    // All that there are now: the user has chosen each of them.
    expect(await renewed({ new_accounts: false }, all)).toEqual([
      [first, second],
      [first, second, third],
    ]);
  });

  /** The public token of a visit to update mode, with its metadata. */
  async function updated(
    { itemId, userId, applicationId }: Awaited<ReturnType<typeof connectedItem>>,
    { chosen, ...connection }: Partial<Grant> & { chosen: PlaidAccount[] },
  ) {
    const metadata = chosen.map((raw) => ({ ...metadataOf(raw), id: raw.account_id }));
    const tokenHash = await received(userId, applicationId, { connection: grant(connection), metadata });
    const { links } = world.stores;
    await links.beginExchange(tokenHash);
    await links.storeExchanged(tokenHash, { itemId, accessToken: sealed('anew') });
    return links.admit(admission({ itemId, userId, tokenHash }));
  }

  it('takes nothing away, and gives nothing, where nobody knows what was chosen', async () => {
    const all = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id));
    const renewed = async (changes: Partial<Grant>, now: Partial<Grant>) => {
      const item = await connectedItem({ connection: grant({ ...changes, expires_at: inDays(40) }) });
      await runUpdate(world, item, [{}], { accounts: all.slice(0, 2) });
      await runUpdate(world, item, [{}], { accounts: all });
      const before = (await connectionsOf(item.itemId))[0]?.granted;
      await world.sql`UPDATE connections SET expires_at = now() - interval '1 day' WHERE item_id = ${item.itemId}`;
      expect(await updated(item, { ...now, chosen: [] })).toMatchObject({ joined: true });
      const after = (await connectionsOf(item.itemId))[0];
      return [before, after?.granted, after?.new_accounts, after?.status];
    };
    const [one, two, others] = [['acc-1'], ['acc-1', 'acc-2'], ['acc-1', 'acc-3']];
    const [later, narrow] = [
      { account_ids: one, new_accounts: true },
      { account_ids: one, new_accounts: false },
    ];
    const first = { new_accounts: false };
    expect(await renewed(later, later)).toEqual([others, others, true, 'active']);
    expect(await renewed(first, first)).toEqual([two, two, false, 'active']);
    // What the client asks for besides it is not given; what it does not ask for any more is taken.
    expect(await renewed(narrow, {})).toEqual([one, one, false, 'active']);
    expect(await renewed(first, {})).toEqual([two, two, false, 'active']);
    expect(await renewed(later, {})).toEqual([others, others, true, 'active']);
    expect(await renewed(later, first)).toEqual([others, others, false, 'active']);
    expect(await renewed(later, { account_ids: ['acc-2', 'acc-3'], new_accounts: false })).toEqual([
      ...[others, ['acc-3'], false, 'active'],
    ]);
    expect(await renewed({}, first)).toEqual([null, all.map((raw) => raw.account_id), false, 'active']);
    expect(await renewed({}, {})).toEqual([null, null, true, 'active']);
  });

  it('in update mode grants what the user has shared with the Item just now, and knows the others whatever they are called', async () => {
    const [one, two, three] = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id)) as [any, any, any];
    const renewed = async (chosen: PlaidAccount[], changes: Partial<Grant> = {}) => {
      const item = await connectedItem({
        connection: grant({ expires_at: inDays(40) }),
        accounts: [one, two].map((raw) => identityOf(raw)),
      });
      await runUpdate(world, item, [{}], { accounts: [one, two] });
      await world.sql`UPDATE connections SET expires_at = now() - interval '1 day' WHERE item_id = ${item.itemId}`;
      await updated(item, { ...changes, chosen });
      for (const accounts of [chosen, [...chosen, account('acc-4')]])
        await runUpdate(world, item, [{}], { accounts });
      const after = (await connectionsOf(item.itemId))[0];
      return [after?.granted, after?.new_accounts];
    };
    expect(await renewed([one, two, three], { new_accounts: false })).toEqual([
      ...[['acc-1', 'acc-2', 'acc-3'], false],
    ]);
    expect(await renewed([one, three])).toEqual([['acc-1', 'acc-3'], false]);
    const named = { account_ids: ['acc-1', 'acc-3'], new_accounts: false };
    expect(await renewed([one, two, three], named)).toEqual([['acc-1', 'acc-3'], false]);
    // A card that was sent anew while the Item was broken: the same account under another number.
    expect(await renewed([{ ...one, mask: '7777' }, two])).toEqual([null, true]);
    // Of two that are called the same the one that is new.
    expect(await renewed([two, { ...three, name: one.name }], { account_ids: ['acc-3'] })).toEqual([
      ...[['acc-3', 'acc-4'], true],
    ]);
  });

  it('after a revocation needs a new Link: neither its word nor an old update mode brings it back', async () => {
    const item = await connectedItem();
    await connectedTo(item);
    const { links, itemCommands } = world.stores;
    await itemCommands.requestRemoval(item.itemId, { force: false, by: by(item.applicationId) });
    const tokenHash = await received(item.userId, item.applicationId);
    expect(await links.join(tokenHash, item.itemId)).toBe('unproven');
    await links.beginExchange(tokenHash);
    await links.storeExchanged(tokenHash, { itemId: item.itemId, accessToken: sealed('again') });
    expect(await links.admit(admission({ ...item, tokenHash }))).not.toHaveProperty('connection_id');
    const linking = { userId: item.userId, applicationId: item.applicationId, connection: grant() };
    expect((await links.admit(admission(await exchangedItem(world, linking)))).kind).toBe('joined');
    const own = (await connectionsOf(item.itemId)).filter((one) => one.application_id === item.applicationId);
    expect(own.map(({ status }) => status)).toEqual(['revoked', 'active']);
  });

  it('of another Item that its user had at that bank needs a new Link of who has lost that one: it knows the accounts', async () => {
    const [one, two] = [account('acc-1'), account('acc-2')];
    const joins = async (
      mine: Partial<Grant> | null,
      linking: Linking,
      change: 'replaced' | 'removed',
      bank = 'ins_1',
    ) => {
      const item = await connectedItem({ accounts: [one, two].map((raw) => identityOf(raw)), ...linking });
      const { itemId, userId, applicationId } = item;
      await runUpdate(world, item, [{}], { accounts: [one, two] });
      const other = await newApplication(world);
      await world.sql.begin(async (tx) => {
        if (mine === null) return;
        const id = await grantConnection(tx, { itemId, userId, applicationId: other }, grant(mine), nobody);
        if (mine.account_ids === undefined) await revokeConnections(tx, itemId, id, nobody);
      });
      const fresh = await exchangedItem(world, { userId, applicationId, connection: grant() });
      const replaceable = [await broken(itemId)];
      if (change === 'removed')
        await world.stores.itemCommands.requestRemoval(itemId, { force: false, by: by(applicationId) });
      await world.sql`INSERT INTO institution_aliases (alias_id, institution_id) VALUES ('ins_1_old', 'ins_1') ON CONFLICT DO NOTHING`;
      const accounts = [{ ...identityOf(one), account_id: 'new-1' }];
      await world.stores.links.admit(admission(fresh, { accounts, replaceable, institutionId: bank }));
      return world.stores.links.join(await received(userId, other), fresh.itemId);
    };
    expect(await joins({}, {}, 'replaced')).toBe('unproven');
    // Of what it was granted nothing was in the new one.
    expect(await joins({ account_ids: ['acc-2'], new_accounts: false }, {}, 'replaced')).toBe('unproven');
    expect(await joins({}, {}, 'removed')).toBe('unproven');
    expect(await joins({}, { institutionId: 'ins_1_old' }, 'removed')).toBe('unproven');
    expect(await joins({}, { institutionId: 'ins_2' }, 'removed')).toBe('joined');
    expect(await joins(null, {}, 'replaced')).toBe('joined');
  });

  it('of another Item that has an account which its user has taken away from it needs a new Link', async () => {
    const [one, two] = [account('acc-1'), account('acc-2', { name: 'Two', mask: '0002' })];
    const item = await connectedItem();
    const { itemId, userId } = item;
    // A joint account, of which both logins know.
    const joint = await connectedItem({ userId, accounts: [identityOf(two)] });
    await runUpdate(world, joint, [{}], { accounts: [{ ...two, account_id: 'joint' }] });
    await runUpdate(world, item, [{}], { accounts: [one, two] });
    const other = await newApplication(world);
    const id = await world.sql.begin((tx) =>
      grantConnection(tx, { itemId, userId, applicationId: other }, grant(), nobody),
    );
    const sight = { ofUser: userId };
    const less = { account_ids: ['acc-1'], new_accounts: false };
    await world.stores.connections.change(sight, id, less, { mayWiden: false, actor: nobody });
    const tokenHash = await received(userId, other, { metadata: [metadataOf(two)] });
    expect(await world.stores.links.join(tokenHash, joint.itemId)).toBe('unproven');
  });

  it('after the exchange is of the Item that has all its accounts, not of an older one that has some of them', async () => {
    const named = (mask: string) => account(`acc-${mask}`, { name: mask, mask });
    const [own, joint, others] = [named('1'), named('2'), named('3')];
    const first = await connectedItem({ accounts: [own, joint].map((raw) => identityOf(raw)) });
    const { userId, applicationId } = first;
    const login = [joint, others].map((raw) => identityOf(raw));
    const second = await connectedItem({ userId, accounts: login.slice(1) });
    await runUpdate(world, second, [{}], { accounts: [joint, others] });
    const { itemId } = second;
    const { links } = world.stores;
    const metadata = [joint, others].map(metadataOf);
    // Who is connected with the first one knows the joint account.
    for (const id of [first.itemId, itemId])
      expect(await links.join(await received(userId, applicationId, { metadata }), id)).toBe('unproven');
    const surplus = () => exchangedItem(world, { userId, applicationId, connection: grant() });
    const accounts = login.map((identity, n) => ({ ...identity, account_id: `new-${n}` }));
    expect(await links.admit(admission(await surplus(), { accounts }))).toMatchObject({
      kind: 'joined',
      itemId,
    });
    expect(await links.admit(admission(await surplus(), { accounts }))).toEqual({
      kind: 'duplicate',
      itemId,
    });
  });

  it('does not keep a broken Item of the same accounts from being replaced, where a healthy one has some of them', async () => {
    const named = (mask: string) => account(`acc-${mask}`, { name: mask, mask });
    const [own, joint, others] = [named('1'), named('2'), named('3')];
    const healthy = await connectedItem({ accounts: [own, joint].map((raw) => identityOf(raw)) });
    const { userId } = healthy;
    const old = await connectedItem({ userId, accounts: [identityOf(others)] });
    const { itemId, applicationId } = old;
    await runUpdate(world, old, [{}], { accounts: [joint, others] });
    const replaceable = [await broken(itemId)];
    const relinked = async (chosen: PlaidAccount[]) => {
      const fresh = await exchangedItem(world, { userId, applicationId, connection: grant() });
      const accounts = chosen.map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` }));
      return world.stores.links.admit(admission(fresh, { accounts, replaceable }));
    };
    // What both have may be of either login.
    expect(await relinked([joint])).toMatchObject({ kind: 'joined', itemId: healthy.itemId });
    expect(await relinked([joint, others])).toMatchObject({ kind: 'admitted', replaced: [itemId] });
  });

  it('replaces the broken Item of the same accounts alone, where a healthy one has some of them', async () => {
    const named = (mask: string) => account(`acc-${mask}`, { name: mask, mask });
    // Of which one account is called as one of the Link.
    const called = (id: string) => account(`acc-${id}`, { name: '3', mask: null });
    const healthy = await connectedItem({ accounts: ['1', '2'].map((mask) => identityOf(named(mask))) });
    const { userId } = healthy;
    const brokenOnes = async (all: PlaidAccount[][]) => {
      const items = [];
      for (const [own] of all)
        items.push(await connectedItem({ userId, accounts: own === undefined ? [] : [identityOf(own)] }));
      const replaceable = [];
      for (const [n, item] of items.entries()) {
        await runUpdate(world, item, [{}], { accounts: all[n] ?? [] });
        replaceable.push(await broken(item.itemId));
      }
      return { items, replaceable };
    };
    const relinked = async (chosen: PlaidAccount[], replaceable: Awaited<ReturnType<typeof broken>>[]) => {
      const { applicationId } = healthy;
      const fresh = await exchangedItem(world, { userId, applicationId, connection: grant() });
      const accounts = chosen.map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` }));
      return world.stores.links.admit(admission(fresh, { accounts, replaceable }));
    };
    const lookalike = await brokenOnes([[called('8'), named('2')]]);
    expect(await relinked([named('2'), called('9')], lookalike.replaceable)).toMatchObject({
      kind: 'duplicate',
      itemId: healthy.itemId,
    });
    // Older than the same one: one that has more, and one of another login.
    const others = await brokenOnes([
      [named('4'), named('2'), named('3')],
      [named('5'), named('2')],
      [named('3'), named('2')],
    ]);
    const end = await relinked([named('2'), named('3')], [...others.replaceable, ...lookalike.replaceable]);
    expect(end).toMatchObject({ kind: 'admitted', replaced: [others.items[2]?.itemId], dropped: [] });
  });

  it('of two broken Items that have an account in common names as dropped what the Link lacks, and nothing else', async () => {
    const named = (mask: string) => account(`acc-${mask}`, { name: mask, mask });
    const one = await connectedItem({ accounts: [identityOf(named('1'))] });
    const { userId, applicationId } = one;
    const two = await connectedItem({ userId, accounts: [identityOf(named('3'))] });
    await runUpdate(world, one, [{}], { accounts: ['1', '2'].map(named) });
    await runUpdate(world, two, [{}], { accounts: ['2', '3'].map(named) });
    const replaceable = [await broken(one.itemId), await broken(two.itemId)];
    const fresh = await exchangedItem(world, { userId, applicationId, connection: grant() });
    const accounts = ['2', '3'].map((mask) => ({ ...identityOf(named(mask)), account_id: `new-${mask}` }));
    const end = await world.stores.links.admit(admission(fresh, { accounts, replaceable }));
    expect(end).toMatchObject({ kind: 'admitted', dropped: ['acc-1'] });
  });

  it('is refused by an Item that is on its way out, and by one of other accounts', async () => {
    const [item, other] = [
      await connectedItem(),
      await connectedItem({ accounts: [identityOf(account('b'))] }),
    ];
    const applicationId = await newApplication(world);
    expect(await world.stores.links.join(await received(other.userId, applicationId), other.itemId)).toBe(
      'moved',
    );
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: true });
    expect(await world.stores.links.join(await received(item.userId, applicationId), item.itemId)).toBe(
      'moved',
    );
  });

  it.each(['the join', 'the removal'])('and a removal at once: one comes first (%s)', async (first) => {
    const item = await connectedItem();
    const applicationId = await newApplication(world);
    const tokenHash = await received(item.userId, applicationId);
    const join = () => world.stores.links.join(tokenHash, item.itemId);
    const remove = () =>
      world.stores.itemCommands.requestRemoval(item.itemId, { force: false, by: by(item.applicationId) });
    let ends: Promise<unknown[]> = Promise.resolve([]);
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM users WHERE user_id = ${item.userId} FOR NO KEY UPDATE`;
      const begun = [first === 'the join' ? join() : remove()];
      await lockWaiters(world, 1);
      begun.push(first === 'the join' ? remove() : join());
      await lockWaiters(world, 2);
      ends = Promise.all<unknown>(begun);
    });
    expect(await ends).toEqual(first === 'the join' ? ['joined', 'disconnected'] : ['requested', 'moved']);
    const { asked, unconnected } = await itemRow(item.itemId);
    expect([asked, unconnected]).toEqual(first === 'the join' ? [false, false] : [true, true]);
  });

  it('an Item from before there were connections connects who linked it first', async () => {
    const old = await newApplication(world, 'all');
    const item = await linkedItem(world, { applicationId: old });
    const applicationId = await newApplication(world);
    expect(await world.stores.links.join(await received(item.userId, applicationId), item.itemId)).toBe(
      'joined',
    );
    const both = await connectionsOf(item.itemId);
    expect(both.map((one) => one.application_id)).toEqual([old, applicationId]);
    const remove = { force: false, by: by(applicationId) };
    expect(await world.stores.itemCommands.requestRemoval(item.itemId, remove)).toBe('disconnected');
  });
});

describe('the removal of an Item', () => {
  const remove = (itemId: string, applicationId: string, force = false) =>
    world.stores.itemCommands.requestRemoval(itemId, { force, by: by(applicationId) });
  it('by one of many ends its own connection, by the last one the Item, whose float is asked', async () => {
    const item = await connectedItem();
    const second = await connectedTo(item);
    const stranger = await newApplication(world);
    expect(await remove(item.itemId, stranger)).toBe('not_found');
    expect(await remove(item.itemId, item.applicationId)).toBe('disconnected');
    expect(await remove(item.itemId, item.applicationId)).toBe('already');
    expect(await itemRow(item.itemId)).toMatchObject({ asked: false, unconnected: false });
    await world.stores.floats.record({
      userId: item.userId,
      floatId: 'f',
      status: 'active',
      occurredAt: null,
      by: null,
    });
    expect(await remove(item.itemId, second)).toBe('active_float');
    expect((await connectionsOf(item.itemId)).map(({ status }) => status)).toEqual(['revoked', 'active']);
    await world.stores.floats.record({
      userId: item.userId,
      floatId: 'f',
      status: 'closed',
      occurredAt: null,
      by: null,
    });
    expect(await remove(item.itemId, second)).toBe('requested');
    expect(await itemRow(item.itemId)).toMatchObject({ asked: true });
  });

  it('by who sees every Item, and by force, is that of the Item, and ends every connection with it', async () => {
    for (const force of [false, true]) {
      const item = await connectedItem();
      await connectedTo(item);
      const asks = force ? item.applicationId : await newApplication(world, 'all');
      expect(await remove(item.itemId, asks, force)).toBe('requested');
      expect((await connectionsOf(item.itemId)).map(({ status }) => status)).toEqual(['active', 'active']);
      await world.stores.items.finishRemoval(item.itemId);
      await world.stores.items.finishRemoval(item.itemId);
      const ended = await connectionsOf(item.itemId);
      expect(ended.map((one) => [one.status, one.revoked_initiator])).toEqual([
        ['revoked', 'item'],
        ['revoked', 'item'],
      ]);
      expect((await eventsOf(item.itemId)).filter((type) => type === 'connection.revoked')).toHaveLength(2);
      expect(await itemRow(item.itemId)).toMatchObject({ unconnected: false });
    }
  });

  it('that is broken and replaced lets the connections of others go on for the same accounts', async () => {
    const [one, two, three] = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id)) as [any, any, any];
    const identities = [one, two, three].map((raw) => identityOf(raw));
    const item = await connectedItem({ accounts: identities });
    await runUpdate(world, item, [{}], { accounts: [one, two, three] });
    const others = [await newApplication(world), await newApplication(world), await newApplication(world)];
    await world.sql.begin(async (tx) => {
      for (const [n, ids] of [
        [0, null],
        [1, ['acc-1', 'acc-2']],
        [2, ['acc-3']],
      ] as const) {
        const to = { itemId: item.itemId, userId: item.userId, applicationId: others[n] ?? '' };
        await grantConnection(
          tx,
          to,
          grant({ account_ids: ids && [...ids], new_accounts: ids === null }),
          nobody,
        );
      }
    });
    const { items, links } = world.stores;
    const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    await items.setBroken(item.itemId, await seenNow(world, item.itemId), gone, inDays(1));
    const fresh = await exchangedItem(world, {
      userId: item.userId,
      applicationId: item.applicationId,
      connection: grant(),
    });
    const admitted = await links.admit(
      admission(fresh, {
        accounts: [one, two].map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` })),
        replaceable: [{ itemId: item.itemId, seen: await seenNow(world, item.itemId) }],
      }),
    );
    expect(admitted).toMatchObject({ kind: 'admitted', replaced: [item.itemId] });
    const carried = await connectionsOf(fresh.itemId);
    expect(carried.map(({ application_id, granted, status }) => [application_id, granted, status])).toEqual([
      [item.applicationId, null, 'active'],
      // The bank had suspended them: the user has been there for another application.
      [others[0], null, 'suspended'],
      [others[1], ['new-acc-1', 'new-acc-2'], 'suspended'],
    ]);
    await items.finishRemoval(item.itemId);
    expect((await connectionsOf(item.itemId)).map(({ status }) => status)).toEqual(Array(4).fill('revoked'));
    expect((await connectionsOf(fresh.itemId)).map(({ status }) => status)).toEqual([
      'active',
      'suspended',
      'suspended',
    ]);
  });
});

describe('an Item that takes the place of another', () => {
  it('is admitted though the end of a connection with the other one is in the year 10000, as an earlier release took it', async () => {
    const { itemId, userId, applicationId } = await connectedItem();
    const other = await newApplication(world);
    await world.sql.begin((tx) =>
      grantConnection(
        tx,
        { itemId, userId, applicationId: other },
        grant({ expires_at: '9999-12-31T23:59:59-05:00' }),
        nobody,
      ),
    );
    const fresh = await exchangedItem(world, { userId, applicationId, connection: grant() });
    const replaceable = [await broken(itemId)];
    expect(await world.stores.links.admit(admission(fresh, { replaceable }))).toMatchObject({
      kind: 'admitted',
      replaced: [itemId],
    });
    expect((await connectionsOf(fresh.itemId)).map((one) => one.application_id)).toEqual([
      applicationId,
      other,
    ]);
  });

  const withId = (raw: PlaidAccount) => ({ ...identityOf(raw), account_id: raw.account_id });

  /** The Item breaks and gives way to one that is linked, where these are chosen. */
  async function replaced(itemId: string, linking: Linking, accounts: NonNullable<Linking['accounts']>) {
    const next = await exchangedItem(world, linking);
    const replaceable = [await broken(itemId)];
    await world.stores.links.admit(admission(next, { accounts, replaceable }));
    return next;
  }

  /** An Item, of whose accounts `other` was granted some by name, breaks and gives way to a `fresh` one, where `offered` are chosen. */
  async function succeeded(
    accounts: ReturnType<typeof account>[],
    granted: string[],
    offered: ReturnType<typeof identityOf>[],
  ) {
    const item = await connectedItem({ accounts: accounts.map((raw) => identityOf(raw)) });
    const { itemId, userId, applicationId } = item;
    await runUpdate(world, item, [{}], { accounts });
    const other = await newApplication(world);
    const some = grant({ account_ids: granted, new_accounts: false });
    const to = { itemId, userId, applicationId: other };
    await world.sql.begin((tx) => grantConnection(tx, to, some, nobody));
    return { fresh: await replaced(itemId, { userId, applicationId, connection: grant() }, offered), other };
  }

  const under = (prefix: string, ids: string[]) =>
    ids.map((id) => account(`${prefix}-${id}`, { name: `Account ${id}`, mask: `000${id}` }));

  it.each(['known', 'unknown'] as const)(
    'is matched with what others were granted when its accounts come; those of the old one were %s',
    async (old) => {
      const metadata = under('old', ['1', '2', '3']).map((raw) => ({
        ...metadataOf(raw),
        id: raw.account_id,
      }));
      const accounts = under('old', ['1', '2', '3']).map((raw) => identityOf(raw));
      const item = await connectedItem({ accounts, metadata });
      if (old === 'known') await runUpdate(world, item, [{}], { accounts: under('old', ['1', '2', '3']) });
      const grants = {
        some: { account_ids: ['old-1', 'old-2'], new_accounts: false },
        shared: { account_ids: ['old-1', 'old-3'], new_accounts: false },
        first: { account_ids: null, new_accounts: false },
        later: { account_ids: [], new_accounts: true },
        nothing: { account_ids: [], new_accounts: false },
        // Its account is not in the new Item.
        gone: { account_ids: ['old-3'], new_accounts: false },
      } satisfies Record<string, Partial<Grant>>;
      const names: Record<string, string> = {};
      for (const [name, changes] of Object.entries(grants)) {
        const applicationId = await newApplication(world);
        names[applicationId] = name;
        await world.sql.begin((tx) =>
          grantConnection(
            tx,
            { itemId: item.itemId, userId: item.userId, applicationId },
            grant(changes),
            nobody,
          ),
        );
      }
      const { items, links } = world.stores;
      const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
      await items.setBroken(item.itemId, await seenNow(world, item.itemId), error, inDays(1));
      const { userId, applicationId } = item;
      const fresh = await exchangedItem(world, { userId, applicationId, connection: grant() });
      // What Link says of them, without their ids: Plaid does not list them yet.
      const offered = [...under('new', ['1', '2']), account('new-4')].map((raw) => identityOf(raw));
      const replaceable = [{ itemId: item.itemId, seen: await seenNow(world, item.itemId) }];
      await links.admit(admission(fresh, { accounts: offered, replaceable }));
      const granted = async () => {
        const rows = await world.sql<
          { application_id: string; granted: string[]; account_ids: string[] | null }[]
        >`
          SELECT application_id, granted_accounts AS granted, account_ids FROM connections
          WHERE item_id = ${fresh.itemId} AND revoked_at IS NULL AND application_id <> ${applicationId}`;
        return Object.fromEntries(
          rows.map((one) => [names[one.application_id], [one.granted, one.account_ids]] as const),
        );
      };
      const none = [[], []];
      expect(await granted()).toEqual({ some: none, shared: none, first: none, later: none, nothing: none });
      await items.finishRemoval(item.itemId);
      await runUpdate(world, fresh, [{}], { accounts: [...under('new', ['1', '2']), account('new-4')] });
      const both = ['new-1', 'new-2'];
      expect(await granted()).toEqual({
        some: [both, both],
        shared: [['new-1'], ['new-1']],
        // The fourth is none of those that there were when it was granted, listed so far or not.
        first: [both, both],
        ...{ later: none, nothing: none },
      });
      // Who had waited is told; and nothing waits any more.
      const updated = (await eventsOf(fresh.itemId)).filter((type) => type === 'connection.updated');
      expect(updated).toHaveLength(3);
      await runUpdate(world, fresh, [{}], { accounts: [...under('new', ['1', '2', '5']), account('new-4')] });
      expect(await granted()).toMatchObject({ some: [both, both], later: [['new-5'], []], nothing: none });
    },
  );

  it('is waited for until a list is whole: what an entry that nobody can read stands for may still come', async () => {
    const accounts = under('old', ['1', '2', '3']);
    const offered = under('new', ['1', '2', '3']).map((raw) => identityOf(raw));
    const { fresh, other } = await succeeded(accounts, ['old-1', 'old-2', 'old-3'], offered);
    const listed = async (ids: string[], more: Partial<Update> = {}) => {
      await runUpdate(world, fresh, [{}], { accounts: under('new', ids), ...more });
      const [row] = await world.sql<{ granted: string[]; awaits: boolean; awaited: number }[]>`
        SELECT granted_accounts AS granted, awaits_accounts AS awaits, coalesce(jsonb_array_length(awaited), 0) AS awaited
        FROM connections WHERE item_id = ${fresh.itemId} AND application_id = ${other}`;
      const news = (await eventsOf(fresh.itemId)).filter((type) => type === 'connection.updated').length;
      return [row?.granted, row?.awaits, row?.awaited, news];
    };
    const parkedAccounts = [{ key: 'accounts#1', reason: 'not_an_object' as const, raw: 'account' }];
    expect(await listed(['1'], { parkedAccounts })).toEqual([['new-1'], true, 2, 1]);
    expect(await listed(['1'], { parkedAccounts })).toEqual([['new-1'], true, 2, 1]);
    expect(await listed(['1', '4'], { accountsRefused: true })).toEqual([['new-1'], true, 2, 1]);
    expect(await listed(['1', '2', '4'], { parkedAccounts })).toEqual([['new-1', 'new-2'], true, 1, 2]);
    // It is not there: whatever comes later is another one.
    expect(await listed(['1', '2', '4'])).toEqual([['new-1', 'new-2'], false, 0, 3]);
    expect(await listed(['1', '2', '3', '4'])).toEqual([['new-1', 'new-2'], false, 0, 3]);
  });

  it('is shared with who was granted accounts of the old one that no list had named so far', async () => {
    const granted = async (changes: Partial<Grant>, isWhole: boolean) => {
      const [accounts, fresh] = [under('old', ['1', '2', '3']), under('new', ['1', '2', '3', '4'])];
      const metadata = accounts.map((raw) => ({ ...metadataOf(raw), id: raw.account_id }));
      const item = await connectedItem({ accounts: accounts.map((raw) => identityOf(raw)), metadata });
      const { itemId, userId, applicationId } = item;
      const some = accounts.slice(0, 1);
      await runUpdate(world, item, [{}], { accounts: some, accountsRefused: true });
      const other = await newApplication(world);
      const to = { itemId, userId, applicationId: other };
      await world.sql.begin((tx) => grantConnection(tx, to, grant(changes), nobody));
      if (isWhole) await runUpdate(world, item, [{}], { accounts: some });
      const linking = { userId, applicationId, connection: grant() };
      const next = await replaced(itemId, linking, fresh.map(withId));
      await runUpdate(world, next, [{}], { accounts: fresh });
      return (await connectionsOf(next.itemId)).find((row) => row.application_id === other)?.granted;
    };
    const [all, two] = [{ new_accounts: false }, { account_ids: ['old-1', 'old-2'], new_accounts: false }];
    expect(await granted(all, false)).toEqual(['new-1', 'new-2', 'new-3']);
    expect(await granted(two, false)).toEqual(['new-1', 'new-2']);
    // The old one had no others.
    expect(await granted(all, true)).toEqual(['new-1']);
    expect(await granted(two, true)).toEqual(['new-1']);
  });

  it('is waited with for an account that had not come, and not for one that may be another one', async () => {
    const [old, twin] = [under('old', ['1', '2']), account('new-9', { name: 'Account 2', mask: '0002' })];
    const granted = async (fresh: PlaidAccount[], first: PlaidAccount[]) => {
      const item = await connectedItem({ accounts: old.map((raw) => identityOf(raw)) });
      const { itemId, userId, applicationId } = item;
      const other = await newApplication(world);
      const metadata = old.slice(1).map(metadataOf);
      await world.stores.links.join(await received(userId, other, { metadata }), itemId);
      const linking = { userId, applicationId, connection: grant() };
      const next = await replaced(itemId, linking, fresh.map(withId));
      await runUpdate(world, next, [{}], { accounts: first, accountsRefused: true });
      await runUpdate(world, next, [{}], { accounts: fresh });
      return (await connectionsOf(next.itemId)).find((row) => row.application_id === other)?.granted ?? [];
    };
    const [one, two] = under('new', ['1', '2']) as [PlaidAccount, PlaidAccount];
    expect(await granted([one, two], [one])).toEqual(['new-2']);
    expect(await granted([one, two, twin], [one, twin])).toEqual([]);
  });

  it('takes along what is over by time: it stays over, suspended where it was, and is renewed', async () => {
    const item = await connectedItem();
    await runUpdate(world, item, [{}]);
    const [over, both] = [await newApplication(world), await newApplication(world)];
    for (const other of [over, both]) {
      const to = { itemId: item.itemId, userId: item.userId, applicationId: other };
      const grants = grant({ account_ids: ['acc-1'], new_accounts: false, expires_at: inDays(9) });
      await world.sql.begin((tx) => grantConnection(tx, to, grants, nobody));
    }
    await world.sql`UPDATE connections SET suspended_at = now() - interval '2 days' WHERE application_id = ${both}`;
    await world.sql`
      UPDATE connections SET expires_at = now() - interval '1 day' WHERE application_id = ANY(${[over, both]}::text[])`;
    const { itemId, userId, applicationId } = item;
    const accounts = [{ ...identityOf(account('acc-1')), account_id: 'new-1' }];
    const fresh = await replaced(itemId, { userId, applicationId, connection: grant() }, accounts);
    const carried = async (other: string) =>
      (await connectionsOf(fresh.itemId)).find((one) => one.application_id === other);
    const ids = [(await carried(over))?.connection_id ?? '', (await carried(both))?.connection_id ?? ''];
    expect([(await carried(over))?.status, (await carried(both))?.status]).toEqual(['expired', 'expired']);
    expect((await carried(over))?.granted).toEqual(['new-1']);
    expect(await Promise.all(ids.map(historyOf))).toEqual([
      ['created', 'expired'],
      ['created', 'suspended', 'expired'],
    ]);
    expect(await world.stores.connectionEnds.noteExpired(100)).toEqual([]);
    expect(await itemRow(fresh.itemId)).toMatchObject({ unconnected: false });
    const sight = { applicationId, access: 'all' } as const;
    await world.stores.connections.renew(sight, ids[0] ?? '', inDays(90), { actor: nobody });
    expect((await carried(over))?.status).toBe('active');
  });

  it('lets none see an account that may be another one', async () => {
    const twin = (id: string) => account(id, { name: 'Twin', mask: '0007' });
    const [twins, main] = [[twin('t-1'), twin('t-2')], account('acc-1')];
    const offered = [main, ...twins].map((raw) => ({
      ...identityOf(raw),
      account_id: `new-${raw.account_id}`,
    }));
    const { fresh, other } = await succeeded([main, ...twins], ['acc-1', 't-1'], offered);
    const carried = (await connectionsOf(fresh.itemId)).find((one) => one.application_id === other);
    expect(carried?.granted).toEqual(['new-acc-1']);
  });

  it('is shared with who was granted every one of those that are called the same, whose ids it says or not', async () => {
    const twin = (id: string, persistent_account_id: string | null = null) =>
      account(id, { name: 'Twin', mask: '0007', persistent_account_id });
    const [old, fresh] = [
      [twin('t-1'), twin('t-2')],
      [twin('n-1'), twin('n-2')],
    ];
    const carried = async (
      before: PlaidAccount[],
      granted: string[],
      after: PlaidAccount[],
      isSaid: boolean,
    ) => {
      const offered = after.map((raw) => ({
        ...identityOf(raw),
        ...(isSaid ? { account_id: raw.account_id } : {}),
      }));
      const { fresh: next, other } = await succeeded(before, granted, offered);
      await runUpdate(world, next, [{}], { accounts: after });
      return (await connectionsOf(next.itemId)).find((row) => row.application_id === other)?.granted;
    };
    for (const isSaid of [true, false]) {
      expect(await carried(old, ['t-1', 't-2'], fresh, isSaid)).toEqual(['n-1', 'n-2']);
      expect(await carried(old, ['t-1', 't-2'], fresh.slice(1), isSaid)).toEqual(['n-2']);
      // One of three may be another one.
      expect(await carried(old, ['t-1', 't-2'], [...fresh, twin('n-3')], isSaid)).toBeUndefined();
      expect(await carried(old, ['t-1'], fresh, isSaid)).toBeUndefined();
    }
    // What Plaid has told apart so far, and does not any more.
    const known = [twin('t-1', 'p-1'), twin('t-2', 'p-2')];
    expect(await carried(known, ['t-1'], fresh.slice(1), true)).toBeUndefined();
    expect(await carried(known, ['t-1', 't-2'], fresh, true)).toEqual(['n-1', 'n-2']);
  });

  it('gives nobody as a later one what was taken away in one of the old ones', async () => {
    const named = (prefix: string) => grant({ account_ids: [`${prefix}-1`], new_accounts: true });
    const accounts = under('old', ['1', '2']);
    const item = await connectedItem({ accounts: accounts.map((raw) => identityOf(raw)) });
    const { userId, applicationId } = item;
    await runUpdate(world, item, [{}], { accounts });
    const other = await newApplication(world);
    for (const to of [other, await newApplication(world)]) {
      const whom = { itemId: item.itemId, userId, applicationId: to };
      const mine = to === other ? named('old') : grant();
      await world.sql.begin((tx) => grantConnection(tx, whom, mine, nobody));
    }
    let last: { itemId: string; userId: string } = item;
    for (const prefix of ['new', 'newest']) {
      const linking = { userId, applicationId, connection: named(prefix) };
      const fresh = await replaced(last.itemId, linking, under(prefix, ['1']).map(withId));
      await world.stores.items.finishRemoval(last.itemId);
      await runUpdate(world, fresh, [{}], { accounts: under(prefix, ['1']) });
      last = fresh;
    }
    await runUpdate(world, last, [{}], { accounts: under('newest', ['1', '2', '3']) });
    expect((await connectionsOf(last.itemId)).map(({ granted }) => granted)).toEqual([
      // Whose user was in Link has agreed anew.
      ['newest-1', 'newest-2', 'newest-3'],
      ['newest-1', 'newest-3'],
      null,
    ]);
  });

  it('gives nobody as a later one what was not asked for in an old one that had listed nothing', async () => {
    const [old, fresh] = [under('old', ['1', '2']), under('new', ['1', '2', '3'])];
    const item = await connectedItem({
      accounts: old.map(withId),
      connection: grant({ account_ids: ['old-1'] }),
    });
    const { itemId, userId } = item;
    const other = await newApplication(world);
    const connection = grant({ account_ids: ['new-old-1'] });
    await world.stores.links.join(
      await received(userId, other, { metadata: old.map(metadataOf), connection }),
      itemId,
    );
    const linking = { userId, applicationId: await newApplication(world), connection: grant() };
    const next = await replaced(itemId, linking, fresh.slice(0, 1).map(withId));
    await world.stores.items.finishRemoval(itemId);
    for (const accounts of [fresh.slice(0, 1), fresh]) await runUpdate(world, next, [{}], { accounts });
    expect((await connectionsOf(next.itemId)).map(({ granted }) => granted)).toEqual([
      null,
      ['new-1', 'new-3'],
      ['new-1', 'new-3'],
    ]);
  });

  it('is shared by the ids that the one before it had, though no list had named these, nor Link’s metadata', async () => {
    const named = (prefix: string) => [
      account(`${prefix}-1`, { name: 'One', mask: '0001' }),
      // Plaid’s persistent ids alone tell these apart.
      ...['2', '3'].map((id) =>
        account(`${prefix}-${id}`, { name: 'Twin', mask: '7', persistent_account_id: `p-${id}` }),
      ),
    ];
    const { fresh, other } = await succeeded(named('old'), ['old-1', 'old-2'], named('new').map(withId));
    const { itemId, userId } = fresh;
    const next = await replaced(itemId, { userId }, named('next').map(withId));
    const carried = (await connectionsOf(next.itemId)).find((row) => row.application_id === other);
    expect(carried?.granted).toEqual(['next-1', 'next-2']);
  });

  it('is shared with who was granted by their ids all that are called the same in one that had not listed them', async () => {
    const twins = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, n) => account(`${prefix}-${n + 1}`, { name: 'Twin', mask: '0007' }));
    const carried = async (account_ids: string[], listed: number) => {
      const connection = grant({ account_ids, new_accounts: false });
      const item = await connectedItem({ accounts: twins('old', 3).map(withId), connection });
      if (listed > 0)
        await runUpdate(world, item, [{}], { accounts: twins('old', listed), accountsRefused: true });
      const { itemId, userId, applicationId } = item;
      const linking = { userId, applicationId: await newApplication(world), connection: grant() };
      const fresh = await replaced(itemId, linking, twins('new', 3).map(withId));
      const { granted } =
        (await connectionsOf(fresh.itemId)).find((row) => row.application_id === applicationId) ?? {};
      return granted;
    };
    for (const listed of [0, 1, 3]) {
      const all = ['old-1', 'old-2', 'old-3'];
      expect(await carried(all, listed)).toEqual(['new-1', 'new-2', 'new-3']);
      expect(await carried(all.slice(0, 2), listed)).toBeUndefined();
    }
  });

  it('is not shared with who was granted a closed account alone, and not the one that took its place', async () => {
    const [one, two] = [account('acc-1'), account('acc-2', { name: 'Two', mask: '0002' })];
    const item = await connectedItem({ accounts: [one, two].map((raw) => identityOf(raw)) });
    const { itemId, userId, applicationId } = item;
    await runUpdate(world, item, [{}], { accounts: [one, two] });
    await runUpdate(world, item, [{}], { accounts: [one, { ...two, account_id: 'heir' }] });
    const other = await newApplication(world);
    const some = grant({ account_ids: ['acc-1', 'acc-2'], new_accounts: false });
    await world.sql.begin((tx) =>
      grantConnection(tx, { itemId, userId, applicationId: other }, some, nobody),
    );
    const accounts = [one, two].map((raw) => ({ ...identityOf(raw), account_id: `new-${raw.account_id}` }));
    const fresh = await replaced(itemId, { userId, applicationId, connection: grant() }, accounts);
    const carried = (await connectionsOf(fresh.itemId)).find((row) => row.application_id === other);
    expect(carried?.granted).toEqual(['new-acc-1']);
  });
});

describe('an Item with which nobody is connected any more', () => {
  async function unconnected() {
    const item = await connectedItem();
    await runUpdate(world, item, [{ added: [transaction('t-1')] }]);
    const late = await lateUpdate(item);
    const seen = await seenNow(world, item.itemId);
    await world.sql.begin((tx) => revokeConnections(tx, item.itemId, null, nobody));
    return { ...item, late, seen };
  }

  it('is not mined: nothing is asked for, and what comes late is not written', async () => {
    const { itemId, userId, late, seen } = await unconnected();
    const { items, mining, links, logins, sweep } = world.stores;
    const before = await world.sql`SELECT * FROM items WHERE item_id = ${itemId}`;
    expect(await items.snapshot(itemId)).toMatchObject({ unconnected: true, removalRequested: false });
    expect(await items.credentials(itemId, { forRemoval: false })).toBeNull();
    expect(await items.credentials(itemId, { forRemoval: true })).not.toBeNull();
    expect(await mining.beginPage(itemId, 'u', 0)).toEqual({ kind: 'gone' });
    expect([await late.stage(), await late.apply()]).toEqual([{ kind: 'gone' }, { kind: 'gone' }]);
    expect(await mining.applyRemovals(itemId, seen, ['t-1'], ['t-1'])).toBe(0);
    expect(await items.saveNumbers(itemId, seen, [{ accountId: 'acc-1', sealed: sealed('n') }])).toBe(true);
    expect(await items.keepNumbers(itemId, seen, inDays(1))).toEqual({ dueAt: null });
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    expect(await items.setBroken(itemId, seen, error, inDays(1))).toBe(true);
    expect(await items.setHealthy(itemId, seen, { expiresAt: inDays(9), isConnected: true })).toBe(true);
    expect(await logins.itemsToCheck(userId)).toEqual([]);
    expect([...(await world.sql`SELECT * FROM items WHERE item_id = ${itemId}`)]).toEqual([...before]);
    expect([...(await world.sql`SELECT 1 FROM account_numbers WHERE item_id = ${itemId}`)]).toEqual([]);
    expect([...(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${itemId}`)]).toEqual([]);
    // Nor is its workflow signalled again and again for what waits.
    for (const code of ['DEFAULT_UPDATE', 'TRANSACTIONS_REMOVED']) {
      await world.stores.webhooks.store(webhook(itemId, code, { removed_transactions: ['t-1'] }));
    }
    await world.sql`UPDATE items SET next_due_at = now() - interval '1 hour', numbers_due_at = now() - interval '1 hour',
      remine_requested_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
    await world.sql`UPDATE webhooks SET received_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
    const due = await sweep.findDue(10_000, 0);
    expect(due.filter((one) => one.itemId === itemId).flatMap(({ kinds }) => kinds)).toEqual(['publish']);
    expect(await links.get('absent')).toBeNull();
  });

  it('goes on where a new connection comes, and joins also who sees every Item', async () => {
    const { itemId, userId } = await unconnected();
    await world.sql`UPDATE items SET next_due_at = now() + interval '1 day' WHERE item_id = ${itemId}`;
    const all = await newApplication(world, 'all');
    expect(await world.stores.links.join(await received(userId, all), itemId)).toBe('joined');
    expect(await itemRow(itemId)).toMatchObject({ unconnected: false, due: true });
    expect(await world.stores.mining.beginPage(itemId, 'u', 0)).toMatchObject({ kind: 'fetch' });
    expect(await runUpdate(world, { itemId, userId }, [{}])).toMatchObject({ kind: 'applied' });
  });

  it('is removed after its time, unless the user owes a float, or somebody is connected', async () => {
    const { connectionEnds, floats } = world.stores;
    const week = 7 * 86_400_000;
    const [waits, owes, joined, early] = [
      await unconnected(),
      await unconnected(),
      await unconnected(),
      await unconnected(),
    ];
    for (const { itemId } of [waits, owes, joined]) {
      await world.sql`UPDATE items SET unconnected_since = now() - interval '8 days' WHERE item_id = ${itemId}`;
    }
    await floats.record({ userId: owes.userId, floatId: 'f', status: 'active', occurredAt: null, by: null });
    const applicationId = await newApplication(world);
    const join = await received(joined.userId, applicationId);
    // A grant that is on its way when the sweep looks.
    let ends: Awaited<ReturnType<typeof connectionEnds.requestRemovals>> | undefined;
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${joined.itemId} FOR NO KEY UPDATE`;
      ends = await connectionEnds.requestRemovals(100, week);
      const to = { itemId: joined.itemId, userId: joined.userId, applicationId };
      await grantConnection(tx, to, grant(), nobody);
    });
    const ids = (found: { itemId: string }[] = []) => found.map(({ itemId }) => itemId);
    expect([ids(ends?.requested), ids(ends?.kept)]).toEqual([[waits.itemId], [owes.itemId]]);
    expect((await connectionEnds.requestRemovals(100, week)).requested).toEqual([]);
    expect(await world.stores.links.join(join, joined.itemId)).toBe('duplicate');
    const asked = await Promise.all([waits, owes, joined, early].map(({ itemId }) => itemRow(itemId)));
    expect(asked.map((row) => row.asked)).toEqual([true, false, false, false]);
    await floats.record({ userId: owes.userId, floatId: 'f', status: 'closed', occurredAt: null, by: null });
    expect(ids((await connectionEnds.requestRemovals(100, week)).requested)).toEqual([owes.itemId]);
    expect(await connectionEnds.requestRemovals(100, week)).toEqual({ requested: [], kept: [] });
  });

  it('that may not go hides none of those behind it', async () => {
    const [owes, behind] = [await unconnected(), await unconnected()];
    await world.stores.floats.record({
      userId: owes.userId,
      floatId: 'f',
      status: 'active',
      occurredAt: null,
      by: null,
    });
    await world.sql`UPDATE items SET unconnected_since = now() - interval '9 days' WHERE item_id = ${owes.itemId}`;
    await world.sql`UPDATE items SET unconnected_since = now() - interval '8 days' WHERE item_id = ${behind.itemId}`;
    const { connectionEnds } = world.stores;
    const first = await connectionEnds.requestRemovals(1, 7 * 86_400_000);
    const second = await connectionEnds.requestRemovals(1, 7 * 86_400_000);
    expect([first.kept.length, second.requested.map(({ itemId }) => itemId)]).toEqual([1, [behind.itemId]]);
    await world.stores.floats.record({
      userId: owes.userId,
      floatId: 'f',
      status: 'closed',
      occurredAt: null,
      by: null,
    });
    await connectionEnds.requestRemovals(1, 7 * 86_400_000);
  });
});

describe('the end of a connection by time', () => {
  it('is written down and told once, and stops the mining when it was the last', async () => {
    const item = await connectedItem({ connection: grant({ expires_at: inDays(400) }) });
    const second = await newApplication(world);
    await world.stores.links.join(
      await received(item.userId, second, { connection: grant({ expires_at: inDays(300) }) }),
      item.itemId,
    );
    const { connectionEnds } = world.stores;
    const pass = (applicationId: string) =>
      world.sql`UPDATE connections SET expires_at = now() - interval '1 s'
        WHERE item_id = ${item.itemId} AND application_id = ${applicationId}`;
    await pass(second);
    expect(await connectionEnds.noteExpired(100)).toEqual([]);
    expect(await itemRow(item.itemId)).toMatchObject({ unconnected: false });
    await pass(item.applicationId);
    // Two sweeps at once.
    const both = await Promise.all([connectionEnds.noteExpired(100), connectionEnds.noteExpired(100)]);
    expect(both.flat()).toEqual([{ itemId: item.itemId, userId: item.userId }]);
    expect(await connectionEnds.noteExpired(100)).toEqual([]);
    const ended = (await eventsOf(item.itemId)).filter((type) => type === 'connection.expired');
    expect(ended).toHaveLength(2);
    expect(await itemRow(item.itemId)).toMatchObject({ unconnected: true });
    const [first] = await connectionsOf(item.itemId);
    expect(await historyOf(first?.connection_id ?? '')).toEqual(['created', 'expired']);
  });

  it('waits for nobody who holds one of the Items: the others are written down, told and removed', async () => {
    const { connectionEnds } = world.stores;
    const items = [await connectedItem(), await connectedItem()].map(({ itemId }) => itemId);
    const [held = '', free = ''] = items;
    const set = (expiresAt: string, unconnectedSince: string | null = null) =>
      world.sql.begin(async (tx) => {
        await tx`UPDATE connections SET expires_at = ${expiresAt} WHERE item_id = ANY(${items})`;
        await tx`UPDATE connections SET expires_at = expires_at - interval '1 s' WHERE item_id = ${held}`;
        await tx`UPDATE items SET unconnected_since = ${unconnectedSince}::text::timestamptz WHERE item_id = ANY(${items})`;
        await tx`UPDATE items SET unconnected_since = unconnected_since - interval '1 s' WHERE item_id = ${held}`;
      });
    const told = async () => {
      const rows = await world.sql<{ item_id: string }[]>`
        SELECT item_id FROM events WHERE item_id = ANY(${items}) AND type = 'connection.expiring' ORDER BY position`;
      return rows.map(({ item_id }) => item_id);
    };
    const remove = async () => (await connectionEnds.requestRemovals(1_000, 7 * 86_400_000)).requested;
    const expire = () => connectionEnds.noteExpired(1_000);
    const ours = (found: { itemId: string }[]) =>
      found.map(({ itemId }) => itemId).filter((id) => items.includes(id));
    const holding = <T>(lock: 'items' | 'users', work: () => Promise<T>): Promise<T> =>
      world.sql.begin(async (tx) => {
        await tx`SELECT FROM items WHERE item_id = ${held} AND ${lock === 'items'} FOR UPDATE`;
        await tx`
          SELECT FROM users WHERE user_id = (SELECT user_id FROM items WHERE item_id = ${held}) AND ${lock === 'users'} FOR UPDATE`;
        return work();
      }) as Promise<T>;

    await set(inDays(5));
    await holding('items', () => connectionEnds.reportExpiring(1_000));
    expect(await told()).toEqual([free]);
    await connectionEnds.reportExpiring(1_000);
    expect(await told()).toEqual([free, held]);
    await set(inDays(-8));
    expect(ours(await holding('items', expire))).toEqual([free]);
    expect(ours(await expire())).toEqual([held]);
    for (const lock of ['items', 'users'] as const) {
      await world.sql`UPDATE items SET removal_requested_at = NULL WHERE item_id = ANY(${items})`;
      await set(inDays(-8), inDays(-8));
      expect(ours(await holding(lock, remove))).toEqual([free]);
      expect(ours(await remove())).toEqual([held]);
    }
  });

  it.each(['renewed', 'updated', 'revoked'] as const)(
    'stands in its history before what is done to it since, noted by nobody till then: %s',
    async (action) => {
      const item = await connectedItem({ connection: grant({ expires_at: inDays(9) }) });
      const [{ connection_id = '' } = {}] = await connectionsOf(item.itemId);
      const { connections, connectionEnds } = world.stores;
      const sight = { applicationId: item.applicationId, access: 'connected' } as const;
      await world.sql`UPDATE connections SET expires_at = now() - interval '1 s' WHERE connection_id = ${connection_id}`;
      const may = { mayWiden: false, actor: nobody };
      if (action === 'renewed') await connections.renew(sight, connection_id, inDays(90), { actor: nobody });
      else if (action === 'revoked') await connections.revoke(sight, connection_id, { actor: nobody });
      else await connections.change(sight, connection_id, { scopes: ['accounts'] }, may);
      expect(await historyOf(connection_id)).toEqual(['created', 'expired', action]);
      expect(await eventsOf(item.itemId)).toEqual([
        ...['connection.created', 'connection.expired', `connection.${action}`],
      ]);
      expect(await itemRow(item.itemId)).toMatchObject({ unconnected: action !== 'renewed' });
      await connectionEnds.noteExpired(100);
      expect(await historyOf(connection_id)).toHaveLength(3);
    },
  );

  it('is told 30, 7 and 1 days before, each once, and not where it was as near from the beginning', async () => {
    const item = await connectedItem({ connection: grant({ expires_at: inDays(90) }) });
    const short = await connectedItem({ connection: grant({ expires_at: inDays(5) }) });
    const { connectionEnds } = world.stores;
    const told = async ({ itemId }: { itemId: string }) => {
      await connectionEnds.reportExpiring(100);
      await connectionEnds.reportExpiring(100);
      const rows = await world.sql<{ days: number }[]>`
        SELECT (data->>'days')::int AS days FROM events
        WHERE item_id = ${itemId} AND type = 'connection.expiring' ORDER BY position`;
      return rows.map(({ days }) => days);
    };
    const left = ({ itemId }: { itemId: string }, days: number) =>
      world.sql`UPDATE connections SET expires_at = now() + ${`${days} days`}::interval WHERE item_id = ${itemId}`;
    expect(await told(item)).toEqual([]);
    await left(item, 29);
    expect(await told(item)).toEqual([30]);
    await left(item, 7);
    expect(await told(item)).toEqual([30, 7]);
    await left(item, 0.5);
    expect(await told(item)).toEqual([30, 7, 1]);
    expect(await told(short)).toEqual([]);
    await left(short, 1);
    expect(await told(short)).toEqual([1]);
  });
});

describe('a revocation at the bank', () => {
  const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };

  it('suspends what was over by time then, and is renewed: by a client, by a change of its end, by another Link', async () => {
    const { stores, sql } = world;
    const renewals: ((
      sight: { applicationId: string; access: 'connected' },
      id: string,
    ) => Promise<unknown>)[] = [
      (sight, id) => stores.connections.renew(sight, id, inDays(90), { actor: nobody }),
      (sight, id) =>
        stores.connections.change(sight, id, { expires_at: inDays(90) }, { mayWiden: true, actor: nobody }),
    ];
    for (const renew of renewals) {
      const item = await connectedItem();
      const [{ connection_id = '' } = {}] = await connectionsOf(item.itemId);
      await sql`UPDATE connections SET expires_at = clock_timestamp() WHERE connection_id = ${connection_id}`;
      const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
      await stores.items.setBroken(item.itemId, await seenNow(world, item.itemId), gone, inDays(1));
      expect((await connectionsOf(item.itemId))[0]?.status).toBe('expired');
      await renew({ applicationId: item.applicationId, access: 'connected' }, connection_id);
      expect((await connectionsOf(item.itemId))[0]?.status).toBe('suspended');
      expect((await historyOf(connection_id)).slice(-2)).toEqual(['renewed', 'suspended']);
      expect((await eventsOf(item.itemId)).at(-1)).toBe('connection.suspended');
    }
  });

  it('suspends every connection with it, in its transaction, by a webhook and by a call alike', async () => {
    for (const way of ['webhook', 'call'] as const) {
      const item = await connectedItem();
      const second = await connectedTo(item);
      const { items, itemCommands } = world.stores;
      const [{ at: before }] = await world.sql<[{ at: string }]>`SELECT clock_timestamp()::text AS at`;
      if (way === 'call') {
        await items.setBroken(item.itemId, await seenNow(world, item.itemId), gone, inDays(1));
      } else {
        const seen = await seenNow(world, item.itemId);
        const broken = { kind: 'broken', seen, error: gone, byCall: false } as const;
        await items.applyItemWebhooks(item.itemId, {
          webhooks: [],
          health: { ...broken, dueAt: inDays(1), consent: null },
          revocation: 'confirmed',
          consentExpiresAt: null,
          disconnects: null,
          newAccounts: false,
          revokedAccounts: [],
          doubtedNumbers: null,
          staleNumbers: [],
          verifications: [],
          numbersDue: false,
          updateDue: false,
        });
      }
      const statuses = async () => (await connectionsOf(item.itemId)).map(({ status }) => status);
      expect(await statuses()).toEqual(['suspended', 'suspended']);
      const viewer = (applicationId: string) => ({ applicationId, access: 'connected' }) as const;
      const updateMode = async (applicationId: string, picked = before) => {
        await itemCommands.noteUpdateMode(viewer(applicationId), item.itemId, picked);
        return itemCommands.resumeConnection(item.itemId, by(applicationId));
      };
      const now = async () => (await world.sql<[{ at: string }]>`SELECT clock_timestamp()::text AS at`)[0].at;
      // Not while the bank refuses the Item, and then for the application whose user has been there since alone.
      expect(await updateMode(second, await now())).toBe(false);
      await world.sql`UPDATE connections SET relink_began_at = NULL WHERE item_id = ${item.itemId}`;
      await items.setHealthy(item.itemId, await seenNow(world, item.itemId));
      expect(await statuses()).toEqual(['suspended', 'suspended']);
      expect(await itemCommands.resumeConnection(item.itemId, by(second))).toBe(false);
      expect(await updateMode(second, before)).toBe(false);
      expect(await updateMode(second, await now())).toBe(true);
      expect(await itemCommands.resumeConnection(item.itemId, by(second))).toBe(false);
      expect(await itemCommands.resumeConnection(item.itemId, by(item.applicationId))).toBe(false);
      expect(await statuses()).toEqual(['suspended', 'active']);
      expect(await eventsOf(item.itemId)).toEqual([
        ...['connection.created', 'connection.created', 'connection.suspended', 'connection.suspended'],
        'connection.resumed',
      ]);
    }
  });
});
