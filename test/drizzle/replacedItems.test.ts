import type { Grant } from '../../domain/exchange/connection.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { Update } from '../../domain/ports/mining.js';
import { grantConnection } from '../../drizzle/stores/connectionWrites.js';
import type { Linking } from './world.js';
import { account, admission, exchangedItem, newApplication, runUpdate, seenNow } from './world.js';
import {
  broken,
  by,
  connectedItem,
  connectedTo,
  connectionsOf,
  eventsOf,
  grant,
  historyOf,
  inDays,
  itemRow,
  metadataOf,
  nobody,
  received,
  world,
} from './connectionLife.js';

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
    expect(await world.stores.connectionEnds.noteExpired(100)).toEqual({ ended: [], fault: null });
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
