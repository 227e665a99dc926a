import fc from 'fast-check';
import { ourselves } from '../../domain/exchange/viewer.js';
import { listedAccounts } from '../../domain/mining/listedAccounts.js';
import type { PlaidAccount, PlaidTransaction } from '../../domain/plaid.js';
import { distorted, plaidAccount, plaidTransaction } from '../domain/mining/plaidObjects.js';
import type { Said, World } from './world.js';
import {
  account,
  linkedItem,
  openWorld,
  prompt,
  runRemine,
  runUpdate,
  sealed,
  storedChanges,
  storedTransactions,
  transaction,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const storedAccounts = async (itemId: string) => {
  const rows = await world.sql<
    { id: string; status: string; raw: unknown; refined: object; sanitized: boolean }[]
  >`
    SELECT account_id AS id, status, raw, refined, sanitized FROM accounts WHERE item_id = ${itemId} ORDER BY 1`;
  return new Map(rows.map((row) => [row.id, row]));
};
const parkedOf = (itemId: string) => world.sql<{ id: string; reason: string }[]>`
  SELECT transaction_id AS id, reason FROM parked_rows WHERE item_id = ${itemId} ORDER BY 1`;
const alertsOf = (itemId: string) => world.sql<{ kind: string; key: string }[]>`
  SELECT kind, key FROM alerts WHERE item_id = ${itemId} ORDER BY 2`;

/** An update whose `/accounts/get` lists these entries. */
const updateWith = (
  item: Awaited<ReturnType<typeof linkedItem>>,
  entries: unknown[],
  said: Said = {},
  more: object = {},
) => {
  const { accounts, parked, unreadable } = listedAccounts(entries, []);
  const parts = { accounts, parkedAccounts: parked, unreadableAccounts: unreadable };
  return runUpdate(world, item, [said], { ...parts, ...more });
};

describe('an answer that lists no account', () => {
  it('closes none: Plaid would have refused it', async () => {
    const item = await linkedItem(world);
    await updateWith(item, [account('acc-1'), account('acc-2')]);
    expect(await updateWith(item, [])).toMatchObject({ outcome: { accounts: 0 } });
    expect([...(await storedAccounts(item.itemId)).values()].map(({ status }) => status)).toEqual([
      'open',
      'open',
    ]);
    await updateWith(item, [account('acc-1')]);
    expect([...(await storedAccounts(item.itemId)).values()].map(({ status }) => status)).toEqual([
      'open',
      'closed',
    ]);
  });
});

describe('an account of an odd shape', () => {
  it('without name, type and balances is kept with what it has, as its neighbours are', async () => {
    const item = await linkedItem(world);
    const odd = { account_id: 'odd', name: null, type: null, mask: 7 };
    expect(await updateWith(item, [account('acc-1'), odd])).toMatchObject({ outcome: { accounts: 2 } });
    expect((await storedAccounts(item.itemId)).get('odd')).toMatchObject({
      status: 'open',
      raw: odd,
      refined: { name: null, type: null, mask: '7', balances: { available: null, current: null } },
    });
    // What was kept is no change when it comes again.
    expect(await updateWith(item, [account('acc-1'), odd])).toMatchObject({ outcome: { changes: 0 } });
    expect(await parkedOf(item.itemId)).toHaveLength(0);
  });

  it.each<[string, unknown, string, string]>([
    ['is no object', null, 'accounts#1', 'not_an_object'],
    ['is a text', 'acc-9', 'accounts#1', 'not_an_object'],
    ['has no id', { name: 'x' }, 'accounts#1', 'no_id'],
    ['has an id that is a number', { account_id: 7 }, 'accounts#1', 'no_id'],
    ['has an id that cannot be stored', { account_id: 'a\u0000' }, 'accounts#a\uFFFD', 'bad_id'],
    [
      'has an id longer than an index takes',
      { account_id: 'x'.repeat(3_000) },
      `accounts#${'x'.repeat(503)}`,
      'id_too_long',
    ],
  ])('%s: it is parked alone with an alert', async (_name, entry, key, reason) => {
    const item = await linkedItem(world);
    const said = { added: [transaction('t1')] };
    expect(await updateWith(item, [account('acc-1'), entry], said)).toMatchObject({
      outcome: { accounts: 1, added: 1 },
    });
    expect([...(await storedAccounts(item.itemId)).keys()]).toEqual(['acc-1']);
    expect([...(await parkedOf(item.itemId))]).toEqual([{ id: key, reason }]);
    expect([...(await alertsOf(item.itemId))]).toEqual([
      { kind: 'row_parked', key: `${item.itemId}/${key}` },
    ]);
  });

  it('closes nobody that its list does not name, until a list can be read whole', async () => {
    const item = await linkedItem(world);
    const status = async () =>
      [...(await storedAccounts(item.itemId)).values()].map((row) => `${row.id} ${row.status}`);
    await updateWith(item, [account('acc-1'), account('acc-2')]);
    await updateWith(item, [account('acc-1', { name: 'renamed' }), null]);
    expect(await status()).toEqual(['acc-1 open', 'acc-2 open']);
    const identities =
      await world.sql`SELECT name FROM account_identities WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(identities).toMatchObject([{ name: 'Checking acc-2' }, { name: 'renamed' }]);
    // A list that was null.
    await updateWith(item, [null]);
    expect(await status()).toEqual(['acc-1 open', 'acc-2 open']);
    await updateWith(item, [account('acc-1')]);
    expect(await status()).toEqual(['acc-1 open', 'acc-2 closed']);
  });

  it('withholds the numbers of whom the entry may stand for, until they are read again', async () => {
    const item = await linkedItem(world);
    const at = (day: string) => ({ accountsAsOf: `2026-11-${day}T06:00:00.000Z` });
    const all = [account('acc-1'), account('acc-2'), account('acc-3')];
    await updateWith(item, all, {}, at('20'));
    const read = () =>
      prompt(world).saveNumbers(
        item.itemId,
        all.map(({ account_id }) => ({ accountId: account_id, sealed: sealed(account_id) })),
      );
    const withheld = async () => {
      const answer = await world.stores.numbers.read(ourselves, item.itemId, {
        key_id: 'k',
        request_id: 'r',
      });
      return answer === null || 'refusal' in answer ? [] : answer.withheld.map(({ accountId }) => accountId);
    };
    const isDue = async () => (await world.stores.mining.waiting(item.itemId)).numbersDue;
    await read();
    await world.sql`UPDATE account_numbers SET as_of = '2026-11-20T05:00:00Z' WHERE item_id = ${item.itemId}`;
    expect([await withheld(), await isDue()]).toEqual([[], false]);
    // Two are missing, and one entry cannot be read: of which of them nobody can tell.
    await updateWith(item, [account('acc-1'), null], {}, at('21'));
    const open = [...(await storedAccounts(item.itemId)).values()].map(({ status }) => status);
    expect([open, await withheld(), await isDue()]).toEqual([
      ['open', 'open', 'open'],
      ['acc-2', 'acc-3'],
      true,
    ]);
    // What Plaid has given since is good.
    await read();
    await updateWith(item, [account('acc-1'), null], {}, at('22'));
    expect([await withheld(), await isDue()]).toEqual([[], false]);
  });

  // Seed 8001 of the fault runs.
  it.each([
    ['are read once more when an account had another id then', ['acc-1', 'acc-old'], true],
    ['are read once more when an account has come since', ['acc-1'], true],
    ['are not read once more when they are of the accounts that it has', ['acc-1', 'acc-2'], false],
  ])('numbers that were read before the first update %s', async (_how, numbersOf, isDue) => {
    const item = await linkedItem(world);
    await prompt(world).saveNumbers(
      item.itemId,
      numbersOf.map((accountId) => ({ accountId, sealed: sealed(accountId) })),
    );
    const card = account('card', { type: 'credit', subtype: 'credit card' });
    await updateWith(item, [account('acc-1'), account('acc-2'), card]);
    expect((await world.stores.mining.waiting(item.itemId)).numbersDue).toBe(isDue);
  });

  it('whatever stands in whatever field, the raw object is kept as it came', async () => {
    const item = await linkedItem(world);
    const odd = fc.sample(distorted(plaidAccount), { numRuns: 150, seed: 11 });
    const entries = [
      ...new Map(
        odd.map((entry, place) => [(entry as Partial<PlaidAccount>).account_id ?? place, entry]),
      ).values(),
    ];
    await updateWith(item, entries);
    const stored = await storedAccounts(item.itemId);
    const { accounts } = listedAccounts(entries, []);
    expect(accounts.length).toBeGreaterThan(20);
    expect([...stored.keys()].sort()).toEqual(accounts.map(({ account_id }) => account_id).sort());
    for (const raw of accounts) {
      const row = stored.get(raw.account_id);
      if (row?.sanitized === false) expect(row.raw).toEqual(JSON.parse(JSON.stringify(raw)));
    }
    expect(await updateWith(item, entries)).toMatchObject({ outcome: { changes: 0 } });
  });
});

describe('a transaction of an odd shape', () => {
  it('is kept as it came, or parked, and the rest of the page stands', async () => {
    const item = await linkedItem(world);
    const odd = fc.sample(distorted(plaidTransaction), { numRuns: 300, seed: 19 }) as PlaidTransaction[];
    const added = [
      ...new Map(odd.map((row, place) => [row.transaction_id ?? place, row])).values(),
      transaction('sound'),
      null as unknown as PlaidTransaction,
    ];
    expect(await runUpdate(world, item, [{ added }])).toMatchObject({ kind: 'applied' });
    const stored = await storedTransactions(world, item.itemId);
    expect(stored.has('sound')).toBe(true);
    expect(stored.size).toBeGreaterThan(20);
    const parked = await parkedOf(item.itemId);
    expect(parked.length + stored.size).toBe(added.length);
    for (const raw of added.filter((row) => stored.has(row?.transaction_id))) {
      const row = stored.get(raw.transaction_id);
      if (row?.sanitized === false) expect(row.raw).toEqual(JSON.parse(JSON.stringify(raw)));
    }
    expect(await runUpdate(world, item, [{ added }])).toMatchObject({ outcome: { changes: 0 } });
  });

  it('that a remine lists in a shape that cannot be kept is not taken for one that Plaid lists no more', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: ['listed', 'spoilt', 'gone'].map((id) => transaction(id)) }]);
    const added = [transaction('listed'), transaction('spoilt', { amount: null as unknown as number })];
    // Beside an entry without an id none is: it may be any of them.
    const unnamed = [...added, { amount: 5 } as PlaidTransaction];
    expect(await runRemine(world, item, [{ added: unnamed }])).toMatchObject({ outcome: { removed: 0 } });
    expect(await runRemine(world, item, [{ added }])).toMatchObject({
      outcome: { removed: 1 },
    });
    const stored = await storedTransactions(world, item.itemId);
    expect([...stored.values()].map((row) => `${row.id} ${row.status}`)).toEqual([
      'gone removed',
      'listed posted',
      'spoilt posted',
    ]);
  });
});

describe('a removed row that comes back under its id', () => {
  const changesOf = async (itemId: string) =>
    (await storedChanges(world, itemId))
      .filter(({ record }) => record === 'transaction')
      .map(({ removed, version, refined }) => ({ removed, version, status: refined['status'] }));

  it.each<[string, Said[]]>([
    ['with the next update', []],
    ['with a remine between', [{ added: [transaction('other')] }]],
  ])(
    'is live again with a higher version, one ordinary event after its removal: %s',
    async (_name, between) => {
      const item = await linkedItem(world);
      const row = transaction('t1');
      await runUpdate(world, item, [{ added: [row] }]);
      await runUpdate(world, item, [{ removed: [{ transaction_id: 't1', account_id: 'acc-1' }] }]);
      for (const said of between) await runUpdate(world, item, [said], { remine: true });
      // The very bytes that were removed.
      await runUpdate(world, item, [{ added: [row] }]);
      expect((await storedTransactions(world, item.itemId)).get('t1')).toMatchObject({
        status: 'posted',
        version: 3,
      });
      const events = (await storedChanges(world, item.itemId)).filter(({ subject }) => subject === 't1');
      expect(events.map(({ removed, version }) => [removed, version])).toEqual([
        [false, 1],
        [true, 2],
        [false, 3],
      ]);
      expect(events[2]).toMatchObject({ raw: row, refined: { status: 'posted', version: 3 } });
    },
  );

  it('is live again when it was removed by a remine, and when a remine brings it back', async () => {
    const item = await linkedItem(world);
    const rows = [transaction('t1'), transaction('t2', { date: '2026-11-10' })];
    await runUpdate(world, item, [{ added: rows }]);
    await runRemine(world, item, [{ added: rows.slice(1) }]);
    await runUpdate(world, item, [{ added: rows }], { remine: true });
    const events = (await changesOf(item.itemId)).slice(2);
    expect(events).toEqual([
      { removed: true, version: 2, status: 'removed' },
      { removed: false, version: 3, status: 'posted' },
    ]);
    expect(await runUpdate(world, item, [{ added: rows }], { remine: true })).toMatchObject({
      outcome: { changes: 0 },
    });
  });

  it('of which the removal came first is live with its second version', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ removed: [{ transaction_id: 't1', account_id: 'acc-1' }] }]);
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    expect(await changesOf(item.itemId)).toEqual([
      { removed: true, version: 1, status: 'removed' },
      { removed: false, version: 2, status: 'posted' },
    ]);
  });

  it('within one update is live: only its last page decides', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    const removed = [{ transaction_id: 't1', account_id: 'acc-1' }];
    await runUpdate(world, item, [{ removed }, { added: [transaction('t1', { amount: 7 })] }]);
    expect(await changesOf(item.itemId)).toEqual([
      { removed: false, version: 1, status: 'posted' },
      { removed: false, version: 2, status: 'posted' },
    ]);
  });
});
