import { wholeGrant } from '../../domain/exchange/connection.js';
import fc from 'fast-check';
import type { Grant } from '../../domain/exchange/connection.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import type { Refused, Viewer } from '../../domain/exchange/viewer.js';
import type { RecordKind } from '../../domain/mining/events.js';
import {
  changeConnection,
  revokeConnections,
  suspendConnections,
} from '../../drizzle/stores/connectionWrites.js';
import { FeedCopy } from '../../tools/local/feedCopy.js';
import { anyActor, connect, newApplication, underLock } from './granting.js';
import type { Said, TestItem, World } from './world.js';
import {
  account,
  linkedItem,
  newId,
  openWorld,
  pageOf,
  prompt,
  runUpdate,
  transaction,
  webhook,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const both: RecordKind[] = ['account', 'transaction'];

function found<T>(page: T): Exclude<T, Refused | 'expired' | null> {
  if (page === null || page === 'expired' || (typeof page === 'object' && 'refusal' in page)) {
    throw new Error(`refused: ${JSON.stringify(page)}`);
  }
  return page as Exclude<T, Refused | 'expired' | null>;
}
const parsed = (rows: string[]) => rows.map((row) => JSON.parse(row));

const changesOf = async (viewer: Viewer, itemId: string, after = 0, records = both, limit = 500) =>
  parsed(found(await world.stores.changes.changes(viewer, itemId, records, after, limit)).rows);

/** A client of the stores. */
function follower(
  viewer: Viewer,
  itemId: string,
  {
    fromStart,
    limit,
    betweenPages,
  }: { fromStart: boolean; limit: number; betweenPages?: () => Promise<unknown> },
): FeedCopy {
  return new FeedCopy(
    {
      async snapshot(cursor) {
        const [from, ...after] = cursor === null ? [null] : (JSON.parse(cursor) as [number, string, string]);
        const page = found(
          await world.stores.changes.snapshot(viewer, itemId, both, limit, from === null ? null : after),
        );
        await betweenPages?.();
        const next = from ?? page.sequence;
        const next_cursor = page.next === null ? null : JSON.stringify([next, ...page.next]);
        return { data: parsed(page.rows), next, has_more: next_cursor !== null, next_cursor };
      },
      async changes(after) {
        const page = await world.stores.changes.changes(viewer, itemId, both, after, limit);
        if (page === 'expired') return page;
        const { rows, next, hasMore } = found(page);
        return { data: parsed(rows), next, has_more: hasMore, next_cursor: null };
      },
    },
    { fromStart },
  );
}

/** What the tables say that a viewer with such a grant may hold, without what a newer fetch of the same content changes. */
async function truth(itemId: string, { scopes, account_ids, lookback_days }: Grant = wholeGrant) {
  const granted = (id: unknown) => account_ids === null || account_ids.includes(String(id));
  const since = new Date(Date.now() - (lookback_days ?? 100_000) * 86_400_000).toISOString().slice(0, 10);
  const accounts = await world.sql<{ id: string; object: Record<string, unknown> }[]>`
    SELECT account_id AS id, refined || jsonb_build_object('version', version) AS object FROM accounts
    WHERE item_id = ${itemId} AND status = 'open'`;
  const transactions = await world.sql<{ id: string; object: Record<string, unknown> }[]>`
    SELECT transaction_id AS id, refined::jsonb || jsonb_build_object('version', version) AS object FROM transactions
    WHERE item_id = ${itemId} AND status <> 'removed'`;
  return {
    accounts: new Map(
      accounts
        .filter(({ id }) => granted(id))
        .map(({ id, object }) => [id, scopes.includes('balances') ? object : { ...object, balances: null }]),
    ),
    transactions: new Map(
      transactions
        .filter(({ object }) => granted(object['account_id']) && String(object['date']) >= since)
        .map(({ id, object }) => [id, object]),
    ),
  };
}

/** A look-back moves on by itself: the client drops by date what is behind it. */
const recent = (rows: Map<string, Record<string, unknown>>, { lookback_days }: Grant) => {
  const since = new Date(Date.now() - (lookback_days ?? 100_000) * 86_400_000).toISOString().slice(0, 10);
  return new Map([...rows].filter(([, { date }]) => String(date) >= since));
};

const daysAgo = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);

// Few ids and few values, so that rows come, change, go and come again all the time.
const accountIds = ['acc-1', 'acc-2', 'acc-3'];
const row = fc
  .record({
    id: fc.constantFrom('t1', 't2', 't3', 't4', 't5', 't6'),
    amount: fc.constantFrom(1, 2, -3),
    pending: fc.boolean(),
    account_id: fc.constantFrom(...accountIds),
    days: fc.constantFrom(3, 20, 60),
  })
  .map(({ id, days, ...rest }) => transaction(id, { ...rest, date: daysAgo(days) }));
const said: fc.Arbitrary<Said> = fc.record({
  added: fc.array(row, { maxLength: 5 }),
  modified: fc.array(row, { maxLength: 2 }),
  removed: fc.array(
    row.map(({ transaction_id, account_id }) => ({ transaction_id, account_id })),
    { maxLength: 2 },
  ),
});
const open = fc
  .subarray(accountIds)
  .chain((ids) =>
    fc.tuple(
      ...ids.map((id) =>
        fc
          .constantFrom(1, 2)
          .map((current) => account(id, { name: id, balances: { ...account(id).balances, current } })),
      ),
    ),
  );
const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('update' as const),
      pages: fc.array(said, { minLength: 1, maxLength: 2 }),
      open,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('remine' as const),
      pages: fc.array(said, { minLength: 1, maxLength: 2 }),
      open,
    }),
  },
  // Pages that a mutation during pagination makes worthless.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abandoned' as const), rows: said }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('named' as const), row }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('mainAccount' as const), id: fc.constantFrom(...accountIds) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forgotten' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      who: fc.nat({ max: 20 }),
      pages: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('removal' as const) }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

async function perform(item: TestItem, copies: FeedCopy[], done: Operation): Promise<void> {
  const { itemId } = item;
  const { mining, itemCommands, items, webhooks } = world.stores;
  switch (done.kind) {
    case 'update':
    case 'remine':
      await runUpdate(world, item, done.pages, { accounts: done.open, remine: done.kind === 'remine' });
      return;
    case 'abandoned': {
      const [cursor] = await world.sql<
        { cursor: string }[]
      >`SELECT cursor FROM items WHERE item_id = ${itemId}`;
      const updateId = newId('update');
      const page = pageOf(item, cursor?.cursor ?? '', newId('cursor'), true, done.rows);
      await prompt(world).stagePage(itemId, updateId, 0, page);
      await mining.discard(itemId, updateId);
      return;
    }
    case 'named': {
      const id = done.row.transaction_id;
      await webhooks.store(webhook(itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: [id] }));
      await prompt(world).settleRemovals(itemId, [id], [id]);
      return;
    }
    case 'mainAccount':
      await itemCommands.setMainAccount(ourselves, itemId, done.id);
      return;
    case 'forgotten':
      // As the clean-up does: the oldest changes are gone.
      await world.sql`
        DELETE FROM outbox WHERE item_id = ${itemId} AND sequence <= (
          SELECT max(sequence) / 2 FROM outbox WHERE item_id = ${itemId})`;
      return;
    case 'read':
      await copies[done.who % copies.length]?.follow(done.pages);
      return;
    case 'removal':
      await itemCommands.requestRemoval(itemId, { force: true });
      await items.finishRemoval(itemId);
  }
}

describe('the change feed', () => {
  const grants: Partial<Grant>[] = [
    {},
    { account_ids: ['acc-1', 'acc-3'], new_accounts: false },
    { lookback_days: 30 },
    { account_ids: ['acc-2'], new_accounts: false, lookback_days: 30, scopes: ['accounts', 'transactions'] },
  ];

  it('gives each client an exact copy of what it may see, whatever happens to the Item (I13)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 1, maxLength: 14 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        async (operations, fromStart, limit) => {
          const item = await linkedItem(world);
          const viewers = await Promise.all(
            grants.map(async (grant) => {
              const viewer = await newApplication(world);
              await connect(world, item, viewer, grant);
              return { viewer, grant: { ...wholeGrant, ...grant } };
            }),
          );
          viewers.push({ viewer: ourselves, grant: wholeGrant });
          const copies = viewers.map(({ viewer }) => follower(viewer, item.itemId, { fromStart, limit }));
          let present = copies;
          for (const one of operations) {
            await perform(item, present, one);
            // The connections end with the Item; who sees every Item sees it still.
            if (one.kind === 'removal') present = copies.slice(-1);
          }
          for (const [index, copy] of copies.entries()) {
            const { viewer, grant } = viewers[index]!;
            if (!present.includes(copy)) {
              const refused = await world.stores.changes.changes(viewer, item.itemId, ['account'], 0, 10);
              expect(refused).toMatchObject({ refusal: 'consent_revoked' });
              continue;
            }
            await copy.follow();
            const expected = await truth(item.itemId, grant);
            expect(copy.held('account')).toEqual(expected.accounts);
            expect(recent(copy.held('transaction'), grant)).toEqual(expected.transactions);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('goes on from a snapshot whose pages stand at different moments', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: ['t1', 't2', 't3', 't4', 't5'].map((id) => transaction(id)) }]);
    const meanwhile: Said[] = [
      {
        removed: [{ transaction_id: 't1', account_id: 'acc-1' }],
        added: [transaction('t0'), transaction('t6')],
      },
      {
        removed: [{ transaction_id: 't4', account_id: 'acc-1' }],
        modified: [transaction('t5', { amount: 1 })],
      },
      { added: [transaction('t4', { amount: 2 }), transaction('t1', { amount: 2 })] },
    ];
    const copy = follower(ourselves, item.itemId, {
      fromStart: false,
      limit: 2,
      async betweenPages() {
        const next = meanwhile.shift();
        if (next !== undefined) await runUpdate(world, item, [next]);
      },
    });
    await copy.follow();
    expect(meanwhile).toEqual([]);
    expect(copy.held('transaction')).toEqual((await truth(item.itemId)).transactions);
  });

  it('names each change with its kind, version and record, and none of a removed one', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('t1'), transaction('t2')] }]);
    await runUpdate(world, item, [
      {
        modified: [transaction('t1', { amount: 5 })],
        removed: [{ transaction_id: 't2', account_id: 'acc-1' }],
      },
    ]);
    const changes = await changesOf(ourselves, item.itemId);
    expect(changes.map((one) => [one.sequence, one.record, one.change, one.subject, one.version])).toEqual([
      [1, 'account', 'added', 'acc-1', 1],
      [2, 'transaction', 'added', 't1', 1],
      [3, 'transaction', 'added', 't2', 1],
      [4, 'transaction', 'modified', 't1', 2],
      [5, 'transaction', 'removed', 't2', 2],
    ]);
    expect(changes[3].object).toMatchObject({ id: 't1', amount: '5', version: 2 });
    expect(changes[4].object).toBeNull();
    const rest = found(await world.stores.changes.changes(ourselves, item.itemId, both, 1, 2));
    expect([parsed(rest.rows).map(({ sequence }) => sequence), rest.next, rest.hasMore]).toEqual([
      [2, 3],
      3,
      true,
    ]);
    const end = found(await world.stores.changes.changes(ourselves, item.itemId, both, 5, 2));
    expect(end).toEqual({ rows: [], next: 5, hasMore: false });
    const accountsOnly = found(await world.stores.changes.changes(ourselves, item.itemId, ['account'], 0, 2));
    expect([accountsOnly.rows.length, accountsOnly.next]).toEqual([1, 5]);
  });

  it('tells of no row that is not granted, of none at all without a connection that does, and why', async () => {
    const item = await linkedItem(world);
    const { itemId } = item;
    const accounts = [account('acc-1'), account('acc-2', { name: 'Saving' })];
    const old = transaction('old', { date: daysAgo(60) });
    const rows = [
      transaction('t1', { date: daysAgo(1) }),
      transaction('t2', { account_id: 'acc-2', date: daysAgo(1) }),
      old,
    ];
    const reader = await newApplication(world);
    const ask = async (records = both) => {
      const page = await world.stores.changes.changes(reader, itemId, records, 0, 100);
      const snapshot = await world.stores.changes.snapshot(reader, itemId, records, 100, null);
      const seen = (one: typeof page | typeof snapshot) =>
        one === null || one === 'expired' || 'refusal' in one
          ? one
          : parsed(one.rows).map(({ subject }) => subject);
      expect(seen(snapshot)).toEqual(seen(page));
      return seen(page);
    };
    await runUpdate(world, item, [{ added: rows }], { accounts });
    expect(await ask()).toBeNull();
    const connectionId = await connect(world, item, reader, { account_ids: ['acc-1'], lookback_days: 30 });
    expect(await ask()).toEqual(['acc-1', 't1']);
    const narrow = (grant: Partial<Grant>) =>
      underLock(world, itemId, (tx) =>
        changeConnection(tx, connectionId, itemId, { ...wholeGrant, ...grant }, { renewed: false }, anyActor),
      );
    await narrow({ account_ids: ['acc-2'], lookback_days: null });
    expect(await ask()).toEqual(['acc-2', 't2']);
    await narrow({ scopes: ['accounts'] });
    const refused = (refusal: string, scope: string | null) => ({ refusal, connectionId, scope });
    expect(await ask(['account'])).toEqual(['acc-1', 'acc-2']);
    expect(await ask(['transaction'])).toEqual(refused('consent_missing', 'transactions'));
    expect(await ask()).toEqual(refused('consent_missing', 'transactions'));
    await narrow({ scopes: ['transactions'] });
    expect(await ask()).toEqual(refused('consent_missing', 'accounts'));
    await narrow({});
    await underLock(world, itemId, (tx) => suspendConnections(tx, itemId, true, null, anyActor));
    expect(await ask()).toMatchObject({ refusal: 'consent_suspended' });
    await underLock(world, itemId, (tx) => suspendConnections(tx, itemId, false, null, anyActor));
    await narrow({ expires_at: '2020-01-01T00:00:00Z' });
    expect(await ask()).toMatchObject({ refusal: 'consent_expired' });
    await underLock(world, itemId, (tx) => revokeConnections(tx, itemId, connectionId, anyActor));
    expect(await ask()).toMatchObject({ refusal: 'consent_revoked' });
  });

  it('takes a transaction away from who may not see the account that it has gone to', async () => {
    const item = await linkedItem(world);
    const accounts = [account('acc-1'), account('acc-2', { name: 'Saving' })];
    const [one, other, every] = [
      await newApplication(world),
      await newApplication(world),
      await newApplication(world),
    ];
    for (const [viewer, account_ids] of [
      [one, ['acc-1']],
      [other, ['acc-2']],
      [every, null],
    ] as const) {
      await connect(world, item, viewer, {
        account_ids: account_ids && [...account_ids],
        new_accounts: false,
      });
    }
    await runUpdate(
      world,
      item,
      [{ added: [transaction('t1'), transaction('t2', { account_id: 'acc-2' })] }],
      {
        accounts,
      },
    );
    const { length: place } = await changesOf(ourselves, item.itemId);
    await runUpdate(
      world,
      item,
      [
        {
          modified: [
            transaction('t1', { account_id: 'acc-2' }),
            transaction('t2', { account_id: 'acc-2', amount: 1 }),
          ],
        },
      ],
      { accounts },
    );
    const told = async (viewer: Viewer) =>
      (await changesOf(viewer, item.itemId, place)).map(({ change, subject, object }) => [
        change,
        subject,
        object?.account_id,
      ]);
    expect(await told(one)).toEqual([['removed', 't1', undefined]]);
    const both = [
      ['modified', 't1', 'acc-2'],
      ['modified', 't2', 'acc-2'],
    ];
    expect(await told(other)).toEqual(both);
    expect(await told(every)).toEqual(both);
    expect(await told(ourselves)).toEqual(both);
    // Where it has gone from there is nobody else's matter.
    const { length: next } = await changesOf(ourselves, item.itemId);
    await runUpdate(world, item, [{ modified: [transaction('t1', { account_id: 'acc-2', amount: 2 })] }], {
      accounts,
    });
    expect(await changesOf(one, item.itemId, next)).toEqual([]);
  });

  const checking = (id: string) => account(id, { name: 'Checking', mask: '1111' });
  const unreadable = [{ key: 'accounts#0', reason: 'not_an_object' as const, raw: 'account' }];
  const at = (day: string) => `2026-11-${day}T06:00:00.000Z`;

  it('brings the earlier rows of an account of which it is known only later whose place it took', async () => {
    const item = await linkedItem(world);
    const reader = await newApplication(world);
    const rowOf = (id: string, account_id: string) => transaction(id, { account_id });
    await runUpdate(world, item, [{ added: [rowOf('t1', 'old')] }], {
      accounts: [checking('old')],
      accountsAsOf: at('21'),
    });
    const grant = { account_ids: ['old'], new_accounts: false };
    const connectionId = await connect(world, item, reader, grant);
    const copy = follower(reader, item.itemId, { fromStart: false, limit: 10 });
    // Beside an entry that nobody can read nobody can tell whether the old one is gone.
    await runUpdate(world, item, [{ added: [rowOf('t2', 'new'), rowOf('t3', 'new')] }], {
      ...{ accounts: [checking('new')], parkedAccounts: unreadable, accountsAsOf: at('22') },
    });
    await copy.follow();
    expect([...copy.held('account').keys(), ...copy.held('transaction').keys()]).toEqual(['old', 't1']);
    const { length: place } = await changesOf(ourselves, item.itemId);
    await runUpdate(world, item, [{ modified: [transaction('t3', { account_id: 'new', amount: 1 })] }], {
      ...{ accounts: [checking('new')], accountsAsOf: at('23') },
    });
    await copy.follow();
    const expected = await truth(item.itemId, { ...wholeGrant, account_ids: ['old', 'new'] });
    expect([...expected.transactions.keys()].sort()).toEqual(['t2', 't3']);
    expect(copy.held('account')).toEqual(expected.accounts);
    expect(copy.held('transaction')).toEqual(expected.transactions);
    // Each once, and the Item's event counts them.
    const changes = await changesOf(ourselves, item.itemId, place);
    expect(changes.map(({ subject }) => subject).sort()).toEqual(['new', 'old', 't1', 't2', 't3']);
    const [event] = await world.sql<{ data: Record<string, number> }[]>`
      SELECT data FROM events WHERE item_id = ${item.itemId} AND type = 'item.updated' ORDER BY position DESC LIMIT 1`;
    expect(event?.data).toMatchObject({ accounts: 2, modified: 2, removed: 1, from_sequence: place + 1 });
    expect(event?.data['to_sequence']).toBe(place + 5);
    const history = await world.stores.connections.history(
      { ...ourselves, access: 'all' },
      connectionId,
      10,
      null,
    );
    expect(
      history?.rows.map(({ action, initiator, grant }) => [action, initiator, grant.account_ids]),
    ).toEqual([
      ['created', 'operator', ['old']],
      ['updated', 'item', ['new', 'old']],
    ]);
    const said = await world.sql<{ type: string }[]>`
      SELECT type FROM events WHERE connection_id = ${connectionId} ORDER BY position`;
    expect(said.map(({ type }) => type)).toEqual(['connection.created', 'connection.updated']);
  });

  it('shows no balances without their scope', async () => {
    const item = await linkedItem(world);
    const reader = await newApplication(world);
    await connect(world, item, reader, { scopes: ['accounts'] });
    await runUpdate(world, item, [{}]);
    const [change] = await changesOf(reader, item.itemId, 0, ['account']);
    expect(change.object).toMatchObject({ id: 'acc-1', balances: null });
    const snapshot = found(await world.stores.changes.snapshot(reader, item.itemId, ['account'], 10, null));
    expect(parsed(snapshot.rows)[0].object).toMatchObject({ id: 'acc-1', balances: null });
  });

  it('says so where what follows a place is gone, also in the middle, and where it has never been', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: ['t1', 't2', 't3', 't4'].map((id) => transaction(id)) }]);
    const ask = async (after: number, limit = 100) =>
      world.stores.changes.changes(ourselves, item.itemId, both, after, limit);
    expect(await ask(6)).toBe('expired');
    await world.sql`DELETE FROM outbox WHERE item_id = ${item.itemId} AND sequence = 3`;
    expect(await ask(0)).toBe('expired');
    // What can be read before the hole is.
    expect(await ask(0, 2)).toMatchObject({ next: 2, hasMore: true });
    expect(await ask(2)).toBe('expired');
    expect(await ask(3)).toMatchObject({ next: 5, hasMore: false });
    await world.sql`DELETE FROM outbox WHERE item_id = ${item.itemId}`;
    expect(await ask(4)).toBe('expired');
    expect(await ask(5)).toMatchObject({ rows: [], next: 5, hasMore: false });
  });
});
