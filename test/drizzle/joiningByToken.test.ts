import { linkMetadataOf } from '../../api/linkMetadata.js';
import type { Grant } from '../../domain/exchange/connection.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import { grantConnection, revokeConnections } from '../../drizzle/stores/connectionWrites.js';
import type { Linking } from './world.js';
import {
  account,
  admission,
  exchangedItem,
  linkedItem,
  lockWaiters,
  newApplication,
  newId,
  runUpdate,
  sealed,
  seenNow,
} from './world.js';
import {
  broken,
  by,
  connectedItem,
  connectedTo,
  connectionsOf,
  grant,
  historyOf,
  inDays,
  itemRow,
  metadataOf,
  nobody,
  received,
  withHeirs,
  world,
} from './connectionLife.js';

describe('joining', () => {
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

  it('takes no closed account from who had it where all that there are were chosen, and gives it to nobody else', async () => {
    const all = ['acc-1', 'acc-2'].map((id) => account(id, { mask: id }));
    const identities = all.map((raw) => identityOf(raw));
    const item = await connectedItem({ accounts: identities });
    await runUpdate(world, item, [{}], { accounts: all });
    await runUpdate(world, item, [{}], { accounts: all.slice(1) });
    await world.sql`UPDATE connections SET expires_at = now() - interval '1 day' WHERE item_id = ${item.itemId}`;
    const { links } = world.stores;
    const surplus = await exchangedItem(world, { ...item, itemId: newId('item'), connection: grant() });
    const accounts = identities.slice(1).map((one) => ({ ...one, account_id: 'new-acc-2' }));
    expect((await links.admit(admission(surplus, { accounts }))).kind).toBe('joined');
    // By a public token of update mode, of whose choice nobody knows.
    const applicationId = await newApplication(world);
    const tokenHash = await received(item.userId, applicationId, { metadata: [] });
    await links.beginExchange(tokenHash);
    await links.storeExchanged(tokenHash, { itemId: item.itemId, accessToken: sealed('again') });
    await links.admit(admission({ ...item, tokenHash }));
    expect((await connectionsOf(item.itemId)).map((one) => [one.granted, one.new_accounts])).toEqual([
      [null, true],
      [['acc-2'], true],
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
