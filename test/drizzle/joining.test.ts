import type { Grant } from '../../domain/exchange/connection.js';
import { identityOf } from '../../domain/mining/accounts.js';
import { listedAccounts } from '../../domain/mining/listedAccounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import { grantConnection } from '../../drizzle/stores/connectionWrites.js';
import {
  account,
  admission,
  exchangedItem,
  lockWaiters,
  newApplication,
  runUpdate,
  seenNow,
} from './world.js';
import type { StoredConnection } from './connectionLife.js';
import {
  broken,
  connectedItem,
  connectedTo,
  connectionsOf,
  grant,
  metadataOf,
  nobody,
  received,
  withHeirs,
  world,
} from './connectionLife.js';

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

describe('joining', () => {
  it('a user who is being erased is done by nobody, also where the removal of the Item is not asked for yet', async () => {
    const item = await connectedItem();
    const applicationId = await newApplication(world);
    const { links } = world.stores;
    const offered = await received(item.userId, applicationId);
    const linking = { userId: item.userId, applicationId, connection: grant() };
    const updated = await exchangedItem(world, linking);
    const holder = await connectedTo(item);
    // Its process died between the two transactions of the request.
    await world.sql`
      INSERT INTO erasures (erasure_id, user_hash, user_id, application_id, key_id)
      VALUES (${`era_${item.userId}`}, encode(sha256(convert_to(${item.userId}::text, 'UTF8')), 'hex'), ${item.userId}, 'default', 'key-1')`;
    expect(await links.join(offered, item.itemId)).toBe('moved');
    await links.admit(admission({ ...item, tokenHash: updated.tokenHash }));
    const asked = { itemId: item.itemId, applicationId, effectId: `late-${applicationId}` };
    const granted = await world.stores.connections.grant(asked, grant(), nobody);
    expect(granted).toMatchObject({ kind: 'item_removed' });
    expect((await connectionsOf(item.itemId)).map((one) => one.application_id)).not.toContain(applicationId);
    // Who came in all the same, by a transaction that ended behind it, is told of the end.
    await world.stores.erasures.stop(`era_${item.userId}`);
    const [erasure] =
      await world.sql`SELECT connected_applications FROM erasures WHERE user_id = ${item.userId}`;
    expect(erasure?.connected_applications).toContain(holder);
  });

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

  it('shares no account that was closed before, though all that there are were chosen, and later ones as they come', async () => {
    const [closed, two, three] = ['acc-1', 'acc-2', 'acc-3'].map((id) => account(id, { mask: id })) as [
      PlaidAccount,
      PlaidAccount,
      PlaidAccount,
    ];
    // Another one of the Item's that is called as an open one is closed with it: nobody has chosen that, either.
    const twin = { ...two, account_id: 'twin' };
    const twins = ['t-1', 't-2'].map((id) => account(id, { name: 'Twin', mask: '0007' }));
    for (const exchanges of [false, true]) {
      const before = [closed, two, twin, ...twins];
      const item = await connectedItem({ accounts: before.map((raw) => identityOf(raw)) });
      await runUpdate(world, item, [{}], { accounts: before });
      await runUpdate(world, item, [{}], { accounts: [two] });
      const [all, first] = [
        await joinedBy(item, {}, [two], exchanges),
        await joinedBy(item, { new_accounts: false }, [two], exchanges),
      ];
      const granted = async (applicationId: string) =>
        (await connectionsOf(item.itemId)).find((one) => one.application_id === applicationId)?.granted;
      expect([await granted(all), await granted(first)]).toEqual([['acc-2'], ['acc-2']]);
      await runUpdate(world, item, [{}], { accounts: [two, three] });
      expect([await granted(all), await granted(first)]).toEqual([['acc-2', 'acc-3'], ['acc-2']]);
      // One of two that were closed is chosen anew, and nobody knows which; then one that nothing else is called.
      expect(await granted(await joinedBy(item, {}, [three, twins[0]!], true))).toEqual(['acc-3']);
      expect(await granted(await joinedBy(item, {}, [closed, two, three], true))).toEqual([
        'acc-1',
        'acc-2',
        'acc-3',
      ]);
    }
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
});
