import { ourselves } from '../../domain/exchange/viewer.js';
import { wholeGrant } from '../../domain/exchange/connection.js';
import type { Grant } from '../../domain/exchange/connection.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { StoredChange, TestItem, World } from './world.js';
import {
  account,
  rowsOf,
  linkedItem,
  newApplication,
  openWorld,
  prompt,
  runUpdate,
  shownItem,
  storedChanges,
  storedTransactions,
  transaction,
  unrefused,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const checking = (id: string, more: Partial<PlaidAccount> = {}) =>
  account(id, { name: 'Checking', mask: '1111', ...more });
const savings = (id: string) => account(id, { name: 'Savings', mask: '2222', subtype: 'savings' });
const rows = (accountId: string, ...dates: string[]) =>
  dates.map((date) => transaction(`${accountId} ${date}`, { account_id: accountId, date }));

interface Shown {
  id: string;
  status: string;
  is_main: boolean;
  replaces: string | null;
  replaced_by: string | null;
  version: number;
}
/** The accounts as clients read them. */
async function shown({ itemId }: TestItem): Promise<Record<string, Omit<Shown, 'id'>>> {
  const page = await world.stores.reads.accounts(ourselves, { itemId, format: 'refined' }, 100, null);
  return Object.fromEntries(
    rowsOf<Shown>(page).map(({ id, status, is_main, replaces, replaced_by, version }) => {
      return [id, { status, is_main, replaces, replaced_by, version }];
    }),
  );
}
const mainOf = async ({ itemId }: TestItem) => (await shownItem(world, itemId))?.main_account_id;
const statuses = async ({ itemId }: TestItem): Promise<Record<string, string>> =>
  Object.fromEntries([...(await storedTransactions(world, itemId))].map(([id, { status }]) => [id, status]));
const told = (changes: StoredChange[]) =>
  changes.map(({ record, subject, removed }) => `${record} ${subject}${removed ? ' removed' : ''}`);

/** An Item with a main account and another one, each with rows of three days. */
async function minedItem(): Promise<TestItem> {
  const item = await linkedItem(world, { mainAccountId: 'old' });
  const added = [
    ...rows('old', '2026-08-01', '2026-10-01', '2026-11-01'),
    ...rows('other', '2026-08-01', '2026-11-01'),
  ];
  await runUpdate(world, item, [{ added }], { accounts: [checking('old'), savings('other')] });
  return item;
}

describe('an account that takes the place of a closed one', () => {
  it('is the main one now, names it and is named by it, and both are told', async () => {
    const item = await minedItem();
    const before = (await storedChanges(world, item.itemId)).length;
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01', '2026-11-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    expect(await shown(item)).toEqual({
      new: { status: 'open', is_main: true, replaces: 'old', replaced_by: null, version: 1 },
      old: { status: 'closed', is_main: false, replaces: null, replaced_by: 'new', version: 2 },
      other: { status: 'open', is_main: false, replaces: null, replaced_by: null, version: 1 },
    });
    expect(await mainOf(item)).toBe('new');
    const changes = (await storedChanges(world, item.itemId)).slice(before);
    expect(told(changes).sort()).toEqual(
      [
        'account new',
        'account old removed',
        'transaction new 2026-10-01',
        'transaction new 2026-11-01',
        'transaction old 2026-10-01 removed',
        'transaction old 2026-11-01 removed',
      ].sort(),
    );
    expect(changes.find(({ subject }) => subject === 'new')?.refined).toMatchObject({
      replaces: 'old',
      replaced_by: null,
      version: 1,
    });
    expect(changes.find(({ subject }) => subject === 'old')?.refined).toMatchObject({ replaced_by: 'new' });
    expect(changes.map(({ sequence }) => sequence)).toEqual(changes.map((_, n) => before + 1 + n));
  });

  it('keeps the older rows of the closed one, until it lists as old ones itself', async () => {
    const item = await minedItem();
    const accounts = [checking('new'), savings('other')];
    const first = await runUpdate(world, item, [{ added: rows('new', '2026-11-01') }], { accounts });
    expect(first).toMatchObject({ outcome: { added: 1, removed: 1, changes: 4 } });
    expect(await statuses(item)).toMatchObject({
      'old 2026-08-01': 'posted',
      'old 2026-10-01': 'posted',
      'old 2026-11-01': 'removed',
      'other 2026-08-01': 'posted',
      'other 2026-11-01': 'posted',
    });
    const next = await runUpdate(world, item, [{ added: rows('new', '2026-09-15') }], { accounts });
    expect(next).toMatchObject({ outcome: { added: 1, removed: 1 } });
    expect(await statuses(item)).toMatchObject({ 'old 2026-08-01': 'posted', 'old 2026-10-01': 'removed' });
    // Nothing is told twice.
    const quiet = await runUpdate(world, item, [{}], { accounts });
    expect(quiet).toMatchObject({ outcome: { removed: 0, changes: 0 } });
  });

  it('takes no older rows because one of its own has no real date', async () => {
    const item = await minedItem();
    const accounts = [checking('new'), savings('other')];
    const added = rows('new', '0001-01-01', '1970-01-01', '2026-11-01');
    expect(await runUpdate(world, item, [{ added }], { accounts })).toMatchObject({
      outcome: { removed: 1 },
    });
    expect(await statuses(item)).toMatchObject({
      'old 2026-08-01': 'posted',
      'old 2026-10-01': 'posted',
      'old 2026-11-01': 'removed',
    });
  });

  it('takes none older than two years because one of its own bears an odd date', async () => {
    const item = await linkedItem(world, { mainAccountId: 'old' });
    const before = rows('old', '2022-06-07', '2024-03-04', '2026-10-01', '2026-11-01');
    await runUpdate(world, item, [{ added: before }], { accounts: [checking('old')] });
    const added = rows('new', '2021-01-01', '2026-10-15', '2026-11-01');
    await runUpdate(world, item, [{ added }], { accounts: [checking('new')] });
    expect(await statuses(item)).toMatchObject({
      'old 2022-06-07': 'posted',
      'old 2024-03-04': 'posted',
      'old 2026-10-01': 'posted',
      'old 2026-11-01': 'removed',
    });
    await runUpdate(world, item, [{ added: rows('new', '2023-01-01') }], { accounts: [checking('new')] });
    expect(await statuses(item)).toMatchObject({
      'old 2022-06-07': 'posted',
      'old 2024-03-04': 'removed',
      'old 2026-10-01': 'removed',
    });
  });

  it('that is closed itself hands all of the line on', async () => {
    const item = await minedItem();
    await runUpdate(world, item, [{ added: rows('new', '2026-11-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    await runUpdate(world, item, [{ added: rows('newest', '2026-10-01', '2026-11-01') }], {
      accounts: [checking('newest'), savings('other')],
    });
    expect(await shown(item)).toMatchObject({
      old: { replaced_by: 'new' },
      new: { status: 'closed', replaces: 'old', replaced_by: 'newest' },
      newest: { is_main: true, replaces: 'new' },
    });
    expect(await statuses(item)).toEqual({
      'old 2026-08-01': 'posted',
      'old 2026-10-01': 'removed',
      'old 2026-11-01': 'removed',
      'new 2026-11-01': 'removed',
      'newest 2026-10-01': 'posted',
      'newest 2026-11-01': 'posted',
      'other 2026-08-01': 'posted',
      'other 2026-11-01': 'posted',
    });
  });

  it('leaves the main account alone where another one is it', async () => {
    const item = await minedItem();
    await world.stores.itemCommands.setMainAccount(ourselves, item.itemId, 'other');
    await runUpdate(world, item, [{}], { accounts: [checking('new'), savings('other')] });
    expect([await mainOf(item), (await shown(item))['new']?.is_main]).toEqual(['other', false]);
  });

  it('has the place of a main account that was gone before the first list: two lists that are whole lack it', async () => {
    const item = await linkedItem(world, { mainAccountId: 'gone before' });
    const accounts = [savings('other'), checking('new')];
    // What one list lacks may come with the next.
    await runUpdate(world, item, [{ added: rows('new', '2026-11-01') }], { accounts });
    expect(await mainOf(item)).toBe('gone before');
    await runUpdate(world, item, [{}], { accounts, unreadableAccounts: 1 });
    expect(await mainOf(item)).toBe('gone before');
    await runUpdate(world, item, [{}], { accounts });
    expect([await mainOf(item), (await shown(item))['new']?.is_main]).toEqual(['new', true]);
    await runUpdate(world, item, [{}], {
      accounts: [...accounts, checking('gone before', { mask: '3333' })],
    });
    expect(await mainOf(item)).toBe('new');
  });

  it('is nobody where neither mask nor persistent id tells strangers apart', async () => {
    const item = await linkedItem(world, { mainAccountId: 'old' });
    const bare = (id: string) => checking(id, { mask: null });
    await runUpdate(world, item, [{ added: rows('old', '2026-11-01') }], { accounts: [bare('old')] });
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01') }], { accounts: [bare('new')] });
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', is_main: true, replaced_by: null },
      new: { status: 'open', is_main: false, replaces: null },
    });
    expect(new Set(Object.values(await statuses(item)))).toEqual(new Set(['posted']));
  });

  it('is known by its persistent id, whatever it is called now', async () => {
    const item = await linkedItem(world, { mainAccountId: 'old' });
    const known = { persistent_account_id: 'p-1' };
    await runUpdate(world, item, [{}], {
      accounts: [checking('old', known), checking('twin', { persistent_account_id: 'p-2' })],
    });
    await runUpdate(world, item, [{}], {
      accounts: [
        checking('renamed', { ...known, name: 'Everyday', mask: '9999' }),
        checking('third', { persistent_account_id: 'p-3' }),
      ],
    });
    expect(await shown(item)).toMatchObject({
      old: { replaced_by: 'renamed' },
      renamed: { replaces: 'old' },
      twin: { replaced_by: null },
      third: { replaces: null },
    });
  });

  it.each([
    ['two that are gone look like it', ['a', 'b'], ['c']],
    ['two that have come look like it', ['a'], ['c', 'd']],
  ])('is none where it cannot be told which: %s', async (_name, gone, come) => {
    const item = await linkedItem(world, { mainAccountId: 'a' });
    await runUpdate(world, item, [{ added: rows('a', '2026-11-01') }], {
      accounts: gone.map((id) => checking(id)),
    });
    await runUpdate(world, item, [{ added: rows('c', '2026-11-01') }], {
      accounts: come.map((id) => checking(id)),
    });
    const links = Object.values(await shown(item)).map(({ replaces, replaced_by }) => [
      replaces,
      replaced_by,
    ]);
    expect(links.flat().every((id) => id === null)).toBe(true);
    expect([await mainOf(item), (await statuses(item))['a 2026-11-01']]).toEqual(['a', 'posted']);
  });

  it('is none where the two were listed together, nor where one that was is still there', async () => {
    const item = await minedItem();
    await runUpdate(world, item, [{}], { accounts: [checking('old'), checking('new'), savings('other')] });
    expect(await shown(item)).toMatchObject({ new: { replaces: null }, old: { replaced_by: null } });
    await runUpdate(world, item, [{}], { accounts: [checking('new'), savings('other')] });
    await runUpdate(world, item, [{}], { accounts: [checking('new'), checking('late'), savings('other')] });
    expect(await shown(item)).toMatchObject({ late: { replaces: null }, old: { replaced_by: null } });
  });

  it('is not one that comes back as itself: two that were listed together are two, also when only one of them is there again', async () => {
    const item = await minedItem();
    const [one, two] = ['one', 'two'].map((id) => checking(id, { mask: '3333' })) as [
      PlaidAccount,
      PlaidAccount,
    ];
    await runUpdate(world, item, [{ added: [...rows('one', '2026-08-01'), ...rows('two', '2026-10-01')] }], {
      accounts: [savings('other'), one, two],
    });
    const asOf = (n: number) => ({ accountsAsOf: `2026-11-2${n}T06:00:00.000Z` });
    await runUpdate(world, item, [{}], { accounts: [savings('other')], ...asOf(2) });
    const changes = { accounts: [savings('other'), one], ...asOf(3) };
    await runUpdate(world, item, [{ added: rows('one', '2026-09-01') }], changes);
    const apart = { one: { replaces: null }, two: { replaced_by: null } };
    expect(await shown(item)).toMatchObject(apart);
    expect(await statuses(item)).toMatchObject({ 'two 2026-10-01': 'posted', 'one 2026-09-01': 'posted' });
    // Nor does it with the next update, when it is listed since the one before.
    const next = { ...changes, ...asOf(4) };
    await runUpdate(world, item, [{ added: rows('one', '2026-09-02') }], next);
    expect(await shown(item)).toMatchObject(apart);
    expect(await statuses(item)).toMatchObject({ 'two 2026-10-01': 'posted', 'one 2026-09-02': 'posted' });
  });

  it('may come in a later update than the one in which the old one went', async () => {
    const item = await minedItem();
    await runUpdate(world, item, [{}], { accounts: [savings('other')] });
    expect(await shown(item)).toMatchObject({ old: { status: 'closed', is_main: true, replaced_by: null } });
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', is_main: false, replaced_by: 'new' },
      new: { status: 'open', is_main: true, replaces: 'old' },
    });
    expect(await mainOf(item)).toBe('new');
    expect(await statuses(item)).toMatchObject({
      'old 2026-08-01': 'posted',
      'old 2026-10-01': 'removed',
      'old 2026-11-01': 'removed',
    });
  });

  it('comes back under another id after an error that had closed all', async () => {
    const item = await minedItem();
    const none = { error_type: 'ITEM_ERROR', error_code: 'NO_ACCOUNTS' };
    await prompt(world).setBroken(item.itemId, none, '2030-01-01T00:00:00.000Z');
    expect(await shown(item)).toMatchObject({ old: { status: 'closed' }, other: { status: 'closed' } });
    await prompt(world).setHealthy(item.itemId);
    await runUpdate(world, item, [{ added: rows('new', '2026-08-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', is_main: false, replaced_by: 'new' },
      new: { is_main: true, replaces: 'old' },
      other: { status: 'open', replaced_by: null },
    });
  });

  const unreadable = [{ key: 'accounts#0', reason: 'not_an_object' as const, raw: 'account' }];
  const at = (day: string) => `2026-11-${day}T06:00:00.000Z`;

  it('comes beside an entry that nobody can read: its place is told when the old one is gone for certain', async () => {
    const item = await minedItem();
    const accounts = [checking('new'), savings('other')];
    const said = { added: rows('new', '2026-10-01') };
    await runUpdate(world, item, [said], { accounts, parkedAccounts: unreadable, accountsAsOf: at('22') });
    expect(await shown(item)).toMatchObject({
      old: { status: 'open', is_main: true, replaced_by: null },
      new: { status: 'open', is_main: false, replaces: null },
    });
    await runUpdate(world, item, [{}], { accounts, accountsAsOf: at('23') });
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', is_main: false, replaced_by: 'new' },
      new: { status: 'open', is_main: true, replaces: 'old' },
    });
    expect(await statuses(item)).toMatchObject({ 'old 2026-08-01': 'posted', 'old 2026-11-01': 'removed' });
  });

  it('that comes back beside an entry that nobody can read takes its own place later, also where it had another one before', async () => {
    const item = await minedItem();
    const under = (...ids: string[]) => [...ids.map((id) => checking(id)), savings('other')];
    let day = 21;
    const update = (accounts: PlaidAccount[], more: object = {}) =>
      runUpdate(world, item, [{}], { accounts, accountsAsOf: at(String((day += 1))), ...more });
    for (const id of ['first', 'old', 'brief']) await update(under(id));
    await update(under('old'), { parkedAccounts: unreadable });
    await update(under('old'));
    expect(await shown(item)).toMatchObject({
      first: { replaced_by: 'old' },
      brief: { status: 'closed', replaced_by: 'old' },
      old: { status: 'open', is_main: true, replaces: 'brief', replaced_by: null },
    });
  });

  it('that comes back after a time in which nobody could tell that it was gone takes its place and its rows, by a remine that the row asks for', async () => {
    const item = await minedItem();
    const under = (id: string) => ({
      accounts: [checking(id), savings('other')],
      accountsAsOf: new Date().toISOString(),
    });
    const brief = rows('new', '2026-08-01', '2026-10-01', '2026-11-01');
    const doubtful = { ...under('new'), accounts: [checking('new')], parkedAccounts: unreadable };
    await runUpdate(world, item, [{ added: brief }], doubtful);
    await runUpdate(world, item, [{}], under('old'));
    expect(await shown(item)).toMatchObject({
      new: { status: 'closed', replaced_by: 'old' },
      old: { status: 'open', is_main: true, replaces: 'new', replaced_by: null },
    });
    // What it had before is no proof of how far its list reaches now.
    expect(await statuses(item)).toMatchObject({ 'old 2026-08-01': 'posted', 'new 2026-08-01': 'posted' });
    expect((await world.stores.mining.waiting(item.itemId)).remine).toBe(1);
    const added = [...rows('old', '2026-10-01', '2026-11-01'), ...rows('other', '2026-08-01', '2026-11-01')];
    expect(await runUpdate(world, item, [{ added }], { ...under('old'), remine: true })).toMatchObject({
      outcome: { removed: 2 },
    });
    expect(await statuses(item)).toMatchObject({
      'new 2026-08-01': 'posted',
      'new 2026-10-01': 'removed',
      'new 2026-11-01': 'removed',
      'old 2026-10-01': 'posted',
    });
  });

  it('takes nobody’s place where the one that stood meanwhile has followed another, or may have', async () => {
    const item = await linkedItem(world, { mainAccountId: 'first' });
    const update = (...ids: string[]) =>
      runUpdate(world, item, [{}], {
        accounts: [...ids.map((id) => checking(id)), savings('other')],
        accountsAsOf: new Date().toISOString(),
      });
    // Two that are called the same, one alone, and one of the two once more.
    for (const ids of [['first', 'second'], ['third'], ['second']]) await update(...ids);
    const { second, third } = await shown(item);
    expect(second).toMatchObject({ status: 'open', replaces: null, replaced_by: null });
    expect(third).toMatchObject({ status: 'closed', replaced_by: null });
  });

  it('may have lost it to a third one by the time that the first is gone for certain: each names the next one', async () => {
    const granted: Grant = { ...wholeGrant, account_ids: ['old'], new_accounts: false };
    const applicationId = await newApplication(world);
    // Two ids of one account in the time of one unreadable entry, seen to be gone at once or one after the other.
    for (const readableBetween of [false, true]) {
      const item = await linkedItem(world, { mainAccountId: 'old', applicationId, connection: granted });
      const under = (...ids: string[]) => [...ids.map((id) => checking(id)), savings('other')];
      let day = 20;
      const update = (ids: string[], more: object = {}) => {
        const added = ids.flatMap((id) => rows(id, '2026-10-01', '2026-11-01'));
        const accountsAsOf = at(String((day += 1)));
        return runUpdate(world, item, [{ added }], { accounts: under(...ids), accountsAsOf, ...more });
      };
      await update(['old']);
      await update(['next'], { parkedAccounts: unreadable });
      if (readableBetween) await update(['last'], { parkedAccounts: unreadable });
      await update(['last']);
      expect(await shown(item)).toMatchObject({
        old: { status: 'closed', is_main: false, replaces: null, replaced_by: 'next' },
        next: { status: 'closed', is_main: false, replaces: 'old', replaced_by: 'last' },
        last: { status: 'open', is_main: true, replaces: 'next', replaced_by: null },
      });
      expect(await mainOf(item)).toBe('last');
      expect(await statuses(item)).toMatchObject({
        'old 2026-10-01': 'removed',
        'next 2026-10-01': 'removed',
        'last 2026-10-01': 'posted',
      });
      const viewer = { applicationId, access: 'connected' as const };
      const seen = unrefused(
        await world.stores.reads.accounts(viewer, { itemId: item.itemId, format: 'refined' }, 100, null),
      );
      expect(rowsOf<Shown>(seen).map(({ id }) => id)).toEqual(expect.arrayContaining(['last']));
      expect(rowsOf<Shown>(seen).map(({ id }) => id)).not.toContain('other');
    }
  });

  it('is none of those that had been listed beside each other, also when one of them is called otherwise by then', async () => {
    const item = await minedItem();
    const update = (day: string, ...accounts: PlaidAccount[]) =>
      runUpdate(world, item, [{}], { accounts: [...accounts, savings('other')], accountsAsOf: at(day) });
    await update('22', checking('one'), checking('two'));
    await update('23', { ...checking('two'), name: 'Renamed' });
    expect(await shown(item)).toMatchObject({
      old: { replaced_by: null },
      one: { replaces: null, replaced_by: null },
      two: { replaces: null, replaced_by: null },
    });
  });

  it('is none of those that had been listed beside each other', async () => {
    const item = await minedItem();
    const under = (...ids: string[]) => [...ids.map((id) => checking(id)), savings('other')];
    let day = 21;
    const update = (ids: string[], more: object = {}) =>
      runUpdate(world, item, [{}], {
        accounts: under(...ids),
        accountsAsOf: at(String((day += 1))),
        ...more,
      });
    await update(['one', 'two'], { parkedAccounts: unreadable });
    await update(['last']);
    expect(await shown(item)).toMatchObject({
      old: { replaced_by: null },
      one: { replaces: null, replaced_by: null },
      two: { replaces: null, replaced_by: null },
      last: { replaces: null },
    });
  });

  it('is none where the old one was the entry that nobody could read', async () => {
    const item = await minedItem();
    const accounts = [checking('new'), savings('other')];
    await runUpdate(world, item, [{}], { accounts, parkedAccounts: unreadable, accountsAsOf: at('22') });
    await runUpdate(world, item, [{}], { accounts: [checking('old'), ...accounts], accountsAsOf: at('23') });
    await runUpdate(world, item, [{}], { accounts, accountsAsOf: at('24') });
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', is_main: true, replaced_by: null },
      new: { replaces: null },
    });
  });

  it('hands its place back when only the old id is listed again', async () => {
    const item = await minedItem();
    const back = rows('old', '2026-10-01', '2026-11-01');
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    expect(await mainOf(item)).toBe('new');
    await runUpdate(world, item, [{ added: back }], { accounts: [checking('old'), savings('other')] });
    expect(await shown(item)).toMatchObject({
      old: { status: 'open', is_main: true, replaces: 'new', replaced_by: null },
      new: { status: 'closed', is_main: false, replaces: null, replaced_by: 'old' },
    });
    expect(await mainOf(item)).toBe('old');
    expect(await statuses(item)).toMatchObject({
      'old 2026-08-01': 'posted',
      'old 2026-10-01': 'posted',
      'old 2026-11-01': 'posted',
      'new 2026-10-01': 'removed',
    });
    // And once more the other way.
    await runUpdate(world, item, [{}], { accounts: [checking('new'), savings('other')] });
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', replaces: null, replaced_by: 'new' },
      new: { status: 'open', is_main: true, replaces: 'old', replaced_by: null },
    });
  });

  it('that comes back from under a third id hands all of the line on, as before', async () => {
    const item = await minedItem();
    const under = (id: string) => ({ accounts: [checking(id), savings('other')] });
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01') }], under('new'));
    await runUpdate(world, item, [{ added: rows('brief', '2026-11-01') }], under('brief'));
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01', '2026-11-01') }], under('new'));
    expect(await statuses(item)).toMatchObject({ 'old 2026-08-01': 'posted', 'new 2026-10-01': 'posted' });
    // What stood under the first id alone is listed under the one of now.
    await runUpdate(world, item, [{ added: rows('new', '2026-08-01') }], under('new'));
    expect(await statuses(item)).toMatchObject({ 'old 2026-08-01': 'removed', 'new 2026-08-01': 'posted' });
  });

  it('that comes back from under a third id takes its own place after an answer that listed neither', async () => {
    const item = await minedItem();
    const under = (...ids: string[]) => ({ accounts: [...ids.map((id) => checking(id)), savings('other')] });
    for (const ids of [['new'], ['brief'], [], ['new']]) await runUpdate(world, item, [{}], under(...ids));
    await runUpdate(world, item, [{ added: rows('brief', '2026-11-01') }], under('new'));
    expect(await shown(item)).toMatchObject({
      old: { status: 'closed', replaced_by: 'new' },
      brief: { status: 'closed', replaces: null, replaced_by: 'new' },
      new: { status: 'open', is_main: true, replaced_by: null },
    });
    await runUpdate(world, item, [{ added: rows('new', '2026-10-01', '2026-11-01') }], under('new'));
    expect(await statuses(item)).toMatchObject({ 'new 2026-11-01': 'posted', 'brief 2026-11-01': 'removed' });
  });

  it('that comes back takes from the other id the rows that it is listed with now, and none between those and its own of before', async () => {
    const item = await minedItem();
    const under = (id: string) => ({
      accounts: [checking(id), savings('other')],
      accountsAsOf: new Date().toISOString(),
    });
    await runUpdate(
      world,
      item,
      [{ added: rows('new', '2026-10-01', '2026-10-15', '2026-11-01') }],
      under('new'),
    );
    await runUpdate(world, item, [{}], under('old'));
    const before = { 'old 2026-08-01': 'posted', 'new 2026-10-01': 'posted', 'new 2026-10-15': 'posted' };
    expect(await statuses(item)).toMatchObject({ ...before, 'new 2026-11-01': 'posted' });
    // The bank gives the last weeks alone.
    await runUpdate(world, item, [{ added: rows('old', '2026-11-01', '2026-11-02') }], under('old'));
    expect(await statuses(item)).toMatchObject({
      ...before,
      'new 2026-11-01': 'removed',
      'old 2026-11-01': 'posted',
    });
  });

  it('gives back the rows that it took, by a remine that the row asks for itself', async () => {
    const item = await minedItem();
    const asked = async () => (await world.stores.mining.waiting(item.itemId)).remine;
    const accounts = [checking('old'), savings('other')];
    await runUpdate(world, item, [{ added: rows('new', '2026-07-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    expect([await asked(), await statuses(item)]).toMatchObject([null, { 'old 2026-08-01': 'removed' }]);
    // Under the old id again, and the cursor says nothing of the rows that were there before.
    await runUpdate(world, item, [{}], { accounts });
    expect(await asked()).toBe(1);
    await runUpdate(world, item, [{}], { accounts });
    expect(await asked()).toBe(1);
    const added = [
      ...rows('old', '2026-08-01', '2026-10-01', '2026-11-01'),
      ...rows('other', '2026-08-01', '2026-11-01'),
    ];
    expect(await runUpdate(world, item, [{ added }], { accounts, remine: true })).toMatchObject({
      outcome: { modified: 3 },
    });
    expect(await asked()).toBeNull();
    expect(await statuses(item)).toMatchObject({ 'old 2026-08-01': 'posted', 'old 2026-11-01': 'posted' });
  });

  it('that is listed beside the old one again gives them back, too', async () => {
    const item = await minedItem();
    await runUpdate(world, item, [{ added: rows('new', '2026-07-01') }], {
      accounts: [checking('new'), savings('other')],
    });
    await runUpdate(world, item, [{}], { accounts: [checking('new'), checking('old'), savings('other')] });
    expect((await world.stores.mining.waiting(item.itemId)).remine).toBe(1);
  });

  it('is not one that had another place already, and not one of two that wait for it', async () => {
    const item = await linkedItem(world, { mainAccountId: 'a' });
    await runUpdate(world, item, [{}], { accounts: [checking('a'), checking('b')] });
    await runUpdate(world, item, [{}], { accounts: [savings('other')] });
    await runUpdate(world, item, [{}], { accounts: [checking('c'), savings('other')] });
    await runUpdate(world, item, [{}], { accounts: [checking('c'), savings('other')] });
    expect(await shown(item)).toMatchObject({
      a: { replaced_by: null },
      b: { replaced_by: null },
      c: { replaces: null },
    });
    const taken = await minedItem();
    await runUpdate(world, taken, [{}], { accounts: [savings('other')] });
    await runUpdate(world, taken, [{}], { accounts: [checking('new'), savings('other')] });
    await runUpdate(world, taken, [{}], { accounts: [checking('new'), checking('late'), savings('other')] });
    expect(await shown(taken)).toMatchObject({ new: { replaces: 'old' }, late: { replaces: null } });
  });

  it('gives the place back when the old one is listed again', async () => {
    const item = await minedItem();
    await runUpdate(world, item, [{}], { accounts: [checking('new'), savings('other')] });
    await runUpdate(world, item, [{}], {
      accounts: [checking('old'), checking('new', { name: 'Second' }), savings('other')],
    });
    expect(await shown(item)).toMatchObject({
      old: { status: 'open', replaced_by: null },
      new: { status: 'open', replaces: null },
    });
  });

  it('stays named when the Item is removed', async () => {
    const item = await minedItem();
    await runUpdate(world, item, [{}], { accounts: [checking('new'), savings('other')] });
    await world.stores.items.finishRemoval(item.itemId);
    expect(await shown(item)).toMatchObject({
      new: { status: 'closed', is_main: true, replaces: 'old', version: 2 },
      old: { status: 'closed', replaced_by: 'new', version: 2 },
    });
  });
});
