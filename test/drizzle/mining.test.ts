import { ourselves } from '../../domain/exchange/viewer.js';
import type { World } from './world.js';
import {
  account,
  accountsAsOf,
  dueAt,
  durableCursor,
  rowsOf,
  linkedItem,
  lockWaiters,
  newborn,
  openWorld,
  pageOf,
  prompt,
  runUpdate,
  shownItem,
  storedChanges,
  storedTransactions,
  transaction,
  updateOf,
  webhook,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const removedOf = (id: string) => ({ transaction_id: id, account_id: 'acc-1' });

describe('what an apply refuses', () => {
  it('an Item that is absent or whose removal was asked for', async () => {
    const item = await linkedItem(world);
    const page = pageOf(item, '', 'c1', false, { added: [transaction('t1')] });
    expect(await world.stores.mining.apply(updateOf({ ...item, itemId: 'no-item' }, 'u', page))).toEqual({
      kind: 'gone',
    });
    await world.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${item.itemId}`;
    expect(await world.stores.mining.apply(updateOf(item, 'u', page))).toEqual({ kind: 'gone' });
    expect((await storedTransactions(world, item.itemId)).size).toBe(0);
  });

  it('a cursor that is not the durable one, and changes nothing', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    const before = await storedChanges(world, item.itemId);
    const stale = pageOf(item, '', 'c9', false, { added: [transaction('t2')] });
    expect(await world.stores.mining.apply(updateOf(item, 'late', stale))).toEqual({ kind: 'moved' });
    expect(await storedChanges(world, item.itemId)).toEqual(before);
  });

  it('a chain of pages with a gap, a wrong link, or a page too many', async () => {
    const item = await linkedItem(world);
    const stage = (update: string, number: number, cursor: string, next: string) =>
      prompt(world).stagePage(
        item.itemId,
        update,
        number,
        pageOf(item, cursor, next, true, { added: [transaction(`t${number}`)] }),
      );
    const last = (cursor: string) => pageOf(item, cursor, 'end', false, {});
    const apply = (update: string, pageNumber: number, cursor: string) =>
      world.stores.mining.apply(updateOf(item, update, last(cursor), { pageNumber }));

    await stage('gap', 0, '', 'a');
    await stage('gap', 2, 'b', 'c');
    expect(await apply('gap', 3, 'c')).toEqual({ kind: 'moved' });

    await stage('link', 0, '', 'a');
    await stage('link', 1, 'other', 'b');
    expect(await apply('link', 2, 'b')).toEqual({ kind: 'moved' });

    // Numbers that do not follow each other, although the cursors do.
    await stage('hole', 0, '', 'a');
    await stage('hole', 2, 'a', 'b');
    expect(await apply('hole', 2, 'b')).toEqual({ kind: 'moved' });

    await stage('short', 0, '', 'a');
    expect(await apply('short', 2, 'a')).toEqual({ kind: 'moved' });

    await stage('end', 0, '', 'a');
    expect(await apply('end', 1, 'other')).toEqual({ kind: 'moved' });

    await stage('more', 0, '', 'a');
    await stage('more', 1, 'a', 'b');
    expect(await apply('more', 1, 'a')).toEqual({ kind: 'moved' });

    await stage('one', 0, '', 'a');
    expect(await apply('one', 0, '')).toEqual({ kind: 'moved' });

    expect((await storedTransactions(world, item.itemId)).size).toBe(0);
    expect(await durableCursor(world, item.itemId)).toBe('');
  });

  it('half of an update: when the transaction breaks off, nothing of it is there', async () => {
    const item = await linkedItem(world);
    await world.sql.unsafe(`
      CREATE OR REPLACE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'cut' USING ERRCODE = '40001'; END $$;
      CREATE TRIGGER break_off BEFORE UPDATE OF cursor ON items FOR EACH ROW
        WHEN (OLD.item_id = '${item.itemId}') EXECUTE FUNCTION break_off()`);
    await expect(runUpdate(world, item, [{ added: [transaction('t1')] }])).rejects.toMatchObject({
      name: 'Failure',
      type: 'UPSTREAM_DOWN',
    });
    expect((await storedTransactions(world, item.itemId)).size).toBe(0);
    expect(await storedChanges(world, item.itemId)).toEqual([]);
    await world.sql`DROP TRIGGER break_off ON items`;
    expect(await runUpdate(world, item, [{ added: [transaction('t1')] }])).toMatchObject({ kind: 'applied' });
  });
});

describe('an applied update', () => {
  it('is answered again with its outcome, and does nothing the second time', async () => {
    const item = await linkedItem(world);
    const update = updateOf(
      item,
      'u1',
      pageOf(item, '', 'c1', false, { added: [transaction('t1'), transaction('t2')] }),
    );
    const first = await world.stores.mining.apply(update);
    expect(first).toEqual({
      kind: 'applied',
      outcome: { added: 2, modified: 0, removed: 0, accounts: 1, changes: 3, pages: 1, history: 'complete' },
    });
    const changes = await storedChanges(world, item.itemId);
    expect(await world.stores.mining.apply(update)).toEqual(first);
    expect(await world.stores.mining.beginPage(item.itemId, 'u1', 0)).toMatchObject({ kind: 'ended' });
    expect(await storedChanges(world, item.itemId)).toEqual(changes);
  });

  it('happens once when attempts of it run at the same time', async () => {
    const item = await linkedItem(world);
    const update = updateOf(item, 'u1', pageOf(item, '', 'c1', false, { added: [transaction('t1')] }));
    const ends = await Promise.all(Array.from({ length: 6 }, () => world.stores.mining.apply(update)));
    for (const end of ends) expect(end).toEqual(ends[0]);
    expect(ends[0]).toMatchObject({ kind: 'applied', outcome: { added: 1, changes: 2 } });
    expect((await storedChanges(world, item.itemId)).map((change) => change.sequence)).toEqual([1, 2]);
  });

  it('wins alone among different updates from the same cursor', async () => {
    const item = await linkedItem(world);
    const ends = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) =>
        world.stores.mining.apply(
          updateOf(item, name, pageOf(item, '', `after-${name}`, false, { added: [transaction(name)] })),
        ),
      ),
    );
    expect(ends.map((end) => end.kind).sort()).toEqual(['applied', 'moved', 'moved', 'moved']);
    expect((await storedTransactions(world, item.itemId)).size).toBe(1);
  });

  it('numbers accounts first, then transactions in page order, without gaps', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [
      { added: [transaction('z'), transaction('m')] },
      { added: [transaction('a')], modified: [transaction('q')] },
    ]);
    const changes = await storedChanges(world, item.itemId);
    expect(
      changes.map(({ sequence, record, subject, version }) => [sequence, record, subject, version]),
    ).toEqual([
      [1, 'account', 'acc-1', 1],
      [2, 'transaction', 'z', 1],
      [3, 'transaction', 'm', 1],
      [4, 'transaction', 'a', 1],
      [5, 'transaction', 'q', 1],
    ]);
  });

  it('writes nothing for a row that is the same, whatever the order of its fields', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [
      { added: [transaction('t1', { location: { city: 'Oslo', region: 'x' } })] },
    ]);
    const before = (await storedTransactions(world, item.itemId)).get('t1');
    const { pending, ...rest } = transaction('t1', { location: { region: 'x', city: 'Oslo' } });
    const end = await runUpdate(world, item, [{ modified: [{ pending, ...rest }] }]);
    expect(end).toMatchObject({ outcome: { added: 0, modified: 0, removed: 0, accounts: 0, changes: 0 } });
    expect((await storedTransactions(world, item.itemId)).get('t1')).toEqual(before);
  });

  it('sets the due time by the history, which never goes back', async () => {
    const item = await linkedItem(world);
    const due = async () => {
      const [row] = await world.sql<[{ history: string; next_due_at: Date }]>`
        SELECT history, next_due_at FROM items WHERE item_id = ${item.itemId}`;
      return [row.history, row.next_due_at.toISOString()];
    };
    await runUpdate(world, item, [{}], { history: 'initial' });
    expect(await due()).toEqual(['initial', dueAt.incomplete]);
    await runUpdate(world, item, [{}], { history: 'complete' });
    expect(await due()).toEqual(['complete', dueAt.complete]);
    await runUpdate(world, item, [{}], { history: 'none' });
    await runUpdate(world, item, [{}], { history: null });
    expect(await due()).toEqual(['complete', dueAt.complete]);
  });
});

describe('removals', () => {
  it('mark the row, keep what Plaid last said of it, and tell the ids alone on the raw side', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    await runUpdate(world, item, [{ removed: [removedOf('t1')] }]);
    expect((await storedTransactions(world, item.itemId)).get('t1')).toMatchObject({
      status: 'removed',
      version: 2,
      raw: { transaction_id: 't1' },
      refined: { status: 'removed', amount: '12.34' },
    });
    expect((await storedChanges(world, item.itemId)).at(-1)).toMatchObject({
      removed: true,
      subject: 't1',
      version: 2,
      raw: { transaction_id: 't1', account_id: 'acc-1' },
      refined: { id: 't1', status: 'removed', version: 2, description: 'Coffee t1' },
    });
    expect(await runUpdate(world, item, [{ removed: [removedOf('t1')] }])).toMatchObject({
      outcome: { changes: 0 },
    });
  });

  it('of a row that never came leave a tombstone, once; the row may still come', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ removed: [{ transaction_id: 't1' }] }]);
    const [change] = (await storedChanges(world, item.itemId)).slice(-1);
    expect(change).toMatchObject({ removed: true, version: 1 });
    expect(change?.refined).toMatchObject({
      id: 't1',
      item_id: item.itemId,
      user_id: item.userId,
      institution_id: 'ins_1',
      account_id: null,
      status: 'removed',
      amount: null,
      date: null,
      version: 1,
    });
    await runUpdate(world, item, [{ removed: [removedOf('t1')] }]);
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    expect((await storedTransactions(world, item.itemId)).get('t1')).toMatchObject({
      status: 'posted',
      version: 2,
    });
  });

  it.each([
    ['removed before posted', [{ removed: [removedOf('p')] }, { added: ['posted'] }]],
    ['posted before removed', [{ added: ['posted'] }, { removed: [removedOf('p')] }]],
    ['both on one page', [{ added: ['posted'], removed: [removedOf('p')] }]],
  ] as const)('and posting end the same: %s', async (_name, steps) => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('p', { pending: true })] }]);
    const posted = transaction('n', { pending_transaction_id: 'p', amount: 15 });
    for (const step of steps) {
      await runUpdate(world, item, [
        {
          added: 'added' in step ? [posted] : [],
          removed: 'removed' in step ? [...step.removed] : [],
        },
      ]);
    }
    const rows = await storedTransactions(world, item.itemId);
    expect(rows.get('p')).toMatchObject({ status: 'removed', version: 2 });
    expect(rows.get('n')).toMatchObject({ status: 'posted', version: 1, refined: { replaces: 'p' } });
  });
});

describe('rows that PostgreSQL would refuse', () => {
  it('have NULs and lone surrogates replaced, and are marked; an escaped backslash is left alone', async () => {
    const item = await linkedItem(world);
    const innocent = 'C:\\u0000 \\ud800 \u{1F600}';
    await runUpdate(world, item, [
      {
        added: [
          transaction('nul', { name: 'a\u0000b' }),
          transaction('lone', { name: 'x\ud800y', location: { 'ke\u0000y': '\udc00' } }),
          transaction('fine', { name: innocent }),
        ],
      },
    ]);
    const rows = await storedTransactions(world, item.itemId);
    expect(rows.get('nul')).toMatchObject({
      sanitized: true,
      raw: { name: 'a\ufffdb' },
      refined: { description: 'a\ufffdb' },
    });
    expect(rows.get('lone')).toMatchObject({
      sanitized: true,
      raw: { name: 'x\ufffdy', location: { 'ke\ufffdy': '\ufffd' } },
    });
    expect(rows.get('fine')).toMatchObject({ sanitized: false, raw: { name: innocent } });
    expect(
      await runUpdate(world, item, [{ modified: [transaction('nul', { name: 'a\u0000b' })] }]),
    ).toMatchObject({
      outcome: { changes: 0 },
    });
  });

  it('are replaced on staged pages and in accounts too', async () => {
    const item = await linkedItem(world);
    const end = await runUpdate(world, item, [{ added: [transaction('t', { name: '\u0000' })] }, {}], {
      accounts: [account('acc-1', { name: 'My \u0000 account' })],
    });
    expect(end).toMatchObject({ kind: 'applied', outcome: { added: 1, accounts: 1 } });
    const again = await runUpdate(world, item, [{}], {
      accounts: [account('acc-1', { name: 'My \u0000 account' })],
    });
    expect(again).toMatchObject({ outcome: { accounts: 0 } });
  });

  it('are parked with an alert while the rest is applied', async () => {
    const item = await linkedItem(world);
    const end = await runUpdate(world, item, [
      { added: [transaction('bad', { date: '2026-02-31' }), transaction('good')] },
      { added: [transaction('later', { date: 'yesterday' }), transaction('t'.repeat(3_000))] },
    ]);
    expect(end).toMatchObject({ kind: 'applied', outcome: { added: 1 } });
    expect([...(await storedTransactions(world, item.itemId)).keys()]).toEqual(['good']);
    const parked = await world.sql`
      SELECT left(transaction_id, 5) AS id, reason FROM parked_rows WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(parked.map((row) => [row['id'], row['reason']])).toEqual([
      ['bad', 'bad_date'],
      ['later', 'bad_date'],
      ['ttttt', 'id_too_long'],
    ]);
    const alerts = await world.sql`SELECT kind FROM alerts WHERE item_id = ${item.itemId}`;
    expect(alerts.map((row) => row['kind'])).toEqual(['row_parked', 'row_parked', 'row_parked']);
  });

  it('keep every digit of an amount', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [
      { added: [transaction('tiny', { amount: 1e-7 }), transaction('in', { amount: -1234567.89 })] },
    ]);
    const rows = await world.sql`
      SELECT transaction_id AS id, amount::text FROM transactions WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(rows.map((row) => [row['id'], row['amount']])).toEqual([
      ['in', '-1234567.89'],
      ['tiny', '0.0000001'],
    ]);
  });
});

describe('accounts', () => {
  it('change by content, status and main account; a newer fetch alone is no change but is shown', async () => {
    const item = await linkedItem(world, { mainAccountId: 'acc-2' });
    const [one, two] = [account('acc-1'), account('acc-2')];
    await runUpdate(world, item, [{}], { accounts: [one, two] });
    expect(
      await runUpdate(world, item, [{}], { accounts: [two, one], accountsAsOf: '2026-11-21T07:00:00.000Z' }),
    ).toMatchObject({ outcome: { accounts: 0, changes: 0 } });
    const shown = await world.stores.reads.accounts(
      ourselves,
      { itemIds: [item.itemId], format: 'refined' },
      10,
      null,
    );
    expect(rowsOf(shown)).toMatchObject([
      { id: 'acc-1', is_main: false, version: 1, balances: { as_of: '2026-11-21T07:00:00.000Z' } },
      { id: 'acc-2', is_main: true, version: 1, balances: { as_of: '2026-11-21T07:00:00.000Z' } },
    ]);
    const richer = account('acc-2', { balances: { ...two.balances, current: 101.5 } });
    await runUpdate(world, item, [{}], { accounts: [one, richer] });
    expect((await storedChanges(world, item.itemId)).at(-1)).toMatchObject({
      subject: 'acc-2',
      version: 2,
      refined: { version: 2, balances: { current: '101.5', as_of: accountsAsOf } },
    });
  });

  it('that are no longer listed are closed, and open again when they are back', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{}], { accounts: [account('acc-1'), account('acc-2')] });
    await runUpdate(world, item, [{}], { accounts: [account('acc-1')] });
    expect((await storedChanges(world, item.itemId)).at(-1)).toMatchObject({
      record: 'account',
      subject: 'acc-2',
      removed: true,
      version: 2,
      raw: { account_id: 'acc-2' },
      refined: { status: 'closed', name: 'Checking acc-2', version: 2 },
    });
    expect(await runUpdate(world, item, [{}], { accounts: [account('acc-1')] })).toMatchObject({
      outcome: { accounts: 0 },
    });
    await runUpdate(world, item, [{}], { accounts: [account('acc-1'), account('acc-2')] });
    expect((await storedChanges(world, item.itemId)).at(-1)).toMatchObject({
      subject: 'acc-2',
      version: 3,
      refined: { status: 'open' },
    });
  });

  it('that come only with the first update give the Item its main account and its identities', async () => {
    const item = await linkedItem(world, { mainAccountId: null, accounts: [] });
    await runUpdate(world, item, [{}], {
      accounts: [account('acc-s', { subtype: 'savings' }), account('acc-c', { mask: '7777' })],
    });
    expect((await shownItem(world, item.itemId))?.main_account_id).toBe('acc-c');
    const found = await world.stores.links.findDuplicates(
      item.userId,
      'ins_1',
      [
        {
          persistent_account_id: null,
          mask: '7777',
          name: 'Checking acc-c',
          type: 'depository',
          subtype: 'checking',
        },
      ],
      null,
    );
    expect(found.map(({ itemId }) => itemId)).toEqual([item.itemId]);
  });
});

describe('pages of an update', () => {
  it('ask first from the durable cursor, then from where the page before ended, as it began', async () => {
    const item = await linkedItem(world);
    const { mining } = world.stores;
    const first = await mining.beginPage(item.itemId, 'u', 0);
    expect(first).toMatchObject({ kind: 'fetch', cursor: '', credentials: { userId: item.userId } });
    if (first.kind !== 'fetch') throw new Error(first.kind);
    expect(await mining.beginPage(item.itemId, 'u', 1)).toEqual({ kind: 'missing' });
    const page = pageOf(item, '', 'a', true, { added: [transaction('t1')] });
    await mining.stagePage(item.itemId, 'u', 0, { began: first.began, remine: false }, page);
    expect(await mining.beginPage(item.itemId, 'u', 0)).toEqual({ kind: 'staged', rows: 1 });
    const second = await mining.beginPage(item.itemId, 'u', 1);
    expect(second).toMatchObject({ kind: 'fetch', cursor: 'a' });
    // To the microsecond: a webhook of the same millisecond must not fall between.
    expect(second).toMatchObject({ began: first.began });
    expect((await shownItem(world, item.itemId))?.phase).toBe('updating');
    await mining.discard(item.itemId, 'u');
    expect(await mining.beginPage(item.itemId, 'u', 1)).toEqual({ kind: 'missing' });
    expect((await shownItem(world, item.itemId))?.phase).toBe('created');
  });

  it('are not given for an Item that is absent, not admitted, or to be removed', async () => {
    const item = await linkedItem(world);
    await world.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${item.itemId}`;
    expect(await world.stores.mining.beginPage(item.itemId, 'u', 0)).toEqual({ kind: 'gone' });
    expect(await world.stores.mining.beginPage('no-item', 'u', 0)).toEqual({ kind: 'gone' });
  });

  it('stay as the first attempt stored them, also when attempts race', async () => {
    const item = await linkedItem(world);
    const said = Array.from({ length: 5 }, (_, attempt) =>
      pageOf(item, '', `end-${attempt}`, true, {
        added: Array.from({ length: attempt + 1 }, (_row, n) => transaction(`t${n}`)),
      }),
    );
    const answers = await Promise.all(said.map((page) => prompt(world).stagePage(item.itemId, 'u', 0, page)));
    const rows = answers.map((answer) => (answer.kind === 'staged' ? answer.rows : 0));
    expect(new Set(rows).size).toBe(1);
    const next = await world.stores.mining.beginPage(item.itemId, 'u', 1);
    expect(next).toMatchObject({ kind: 'fetch', cursor: `end-${(rows[0] ?? 0) - 1}` });
  });

  it('are dropped with their own update, and no other', async () => {
    const item = await linkedItem(world);
    const { mining } = world.stores;
    const page = pageOf(item, '', 'a', true, { added: [transaction('t1')] });
    for (const update of ['u', 'other']) await prompt(world).stagePage(item.itemId, update, 0, page);
    await mining.discard(item.itemId, 'u');
    expect(await mining.beginPage(item.itemId, 'u', 1)).toEqual({ kind: 'missing' });
    expect(await mining.beginPage(item.itemId, 'other', 1)).toMatchObject({ kind: 'fetch', cursor: 'a' });
  });

  it('that say the opposite of each other: the later one counts, although it changes nothing', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('a')] }]);
    const before = await storedTransactions(world, item.itemId);
    const again = await runUpdate(world, item, [
      { removed: [removedOf('a')] },
      { added: [transaction('a')] },
    ]);
    expect(again).toMatchObject({ kind: 'applied', outcome: { changes: 0, pages: 2 } });
    expect(await storedTransactions(world, item.itemId)).toEqual(before);
  });

  it('on their way are not kept when their Item is removed meanwhile', async () => {
    const item = await linkedItem(world);
    const { items } = world.stores;
    const odd = transaction('odd', { date: 'never' });
    const page = pageOf(item, '', 'a', true, { added: [transaction('t1'), odd] });
    let staging: Promise<unknown> = Promise.resolve();
    let removal: Promise<unknown> = Promise.resolve();
    // The attempt has passed its first look at the Item, and is held where it parks the odd row.
    await world.sql.begin(async (park) => {
      await park`LOCK TABLE parked_rows`;
      staging = prompt(world).stagePage(item.itemId, 'u', 0, page);
      await lockWaiters(world, 1);
      await world.sql.begin(async (erase) => {
        // Holds the removal after it has marked the Item, before it commits.
        await erase`LOCK TABLE staged_pages IN SHARE MODE`;
        removal = items.finishRemoval(item.itemId);
        await lockWaiters(world, 2);
      });
    });
    await Promise.all([staging, removal]);
    expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${item.itemId}`).toHaveLength(0);
  });

  it('of a late attempt do not make a finished Item look busy', async () => {
    const item = await linkedItem(world);
    const page = pageOf(item, '', 'a', true, { added: [transaction('t1')] });
    const stage = () =>
      world.stores.mining.stagePage(item.itemId, 'u', 0, { began: newborn, remine: false }, page);
    expect(await stage()).toEqual({ kind: 'staged', rows: 1 });
    await world.stores.mining.apply(
      updateOf(item, 'u', pageOf(item, 'a', 'b', false, {}), { pageNumber: 1 }),
    );
    expect(await stage()).toEqual({ kind: 'moved' });
    expect((await shownItem(world, item.itemId))?.phase).toBe('idle');
  });

  it('are lost with a crash of the database, and nothing else is: the table is unlogged', async () => {
    const [row] = await world.sql`
      SELECT relpersistence AS kind, (SELECT attstorage FROM pg_attribute
        WHERE attrelid = c.oid AND attname = 'rows') AS storage
      FROM pg_class c WHERE relname = 'staged_pages'`;
    expect(row).toMatchObject({ kind: 'u', storage: 'e' });
  });
});

describe('webhooks and an update', () => {
  it('are answered by it when they came before it began, and not after', async () => {
    const item = await linkedItem(world);
    const { webhooks, mining } = world.stores;
    const early = await webhooks.store(webhook(item.itemId, 'SYNC_UPDATES_AVAILABLE'));
    const other = await webhooks.store(webhook('someone-else', 'SYNC_UPDATES_AVAILABLE'));
    const start = await mining.beginPage(item.itemId, 'u', 0);
    if (start.kind !== 'fetch') throw new Error(start.kind);
    const late = await webhooks.store(webhook(item.itemId, 'HISTORICAL_UPDATE'));
    await mining.apply(updateOf(item, 'u', pageOf(item, '', 'a', false, {}), { began: start.began }));
    const states = await Promise.all(
      [early, late, other].map(({ webhookId }) => webhooks.get(ourselves, webhookId)),
    );
    expect(states.map((stored) => stored?.outcome)).toEqual([
      { state: 'done', reason: null },
      { state: 'pending', reason: null },
      { state: 'pending', reason: null },
    ]);
    expect(await mining.waiting(item.itemId)).toMatchObject({ webhooks: 1, removals: 0, broken: false });
  });

  it('keep the outcome that they have', async () => {
    const item = await linkedItem(world);
    const { webhooks } = world.stores;
    const ended = [
      await webhooks.store(webhook(item.itemId, 'SYNC_UPDATES_AVAILABLE')),
      await webhooks.store(webhook(item.itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: ['a'] })),
    ];
    await world.stores.items.ignoreWebhooks(item.itemId, 'told');
    await runUpdate(world, item, [{ added: [transaction('b')] }]);
    await prompt(world).settleRemovals(item.itemId, [], []);
    for (const { webhookId } of ended) {
      expect((await webhooks.get(ourselves, webhookId))?.outcome).toEqual({
        state: 'ignored',
        reason: 'told',
      });
    }
  });

  it('that name removed transactions end with the update that removes the last of them', async () => {
    const item = await linkedItem(world);
    const { webhooks, mining } = world.stores;
    await runUpdate(world, item, [{ added: [transaction('a'), transaction('b')] }]);
    const named = { removed_transactions: ['a', 'b'] };
    const { webhookId } = await webhooks.store(webhook(item.itemId, 'TRANSACTIONS_REMOVED', named));
    await runUpdate(world, item, [{ removed: [removedOf('a'), removedOf('b')] }]);
    expect((await webhooks.get(ourselves, webhookId))?.outcome).toEqual({ state: 'done', reason: null });
    expect(await mining.waiting(item.itemId)).toMatchObject({ webhooks: 0, removals: 0, broken: false });
  });

  it('that name removed transactions mark nothing once the removal of the Item was asked for', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('a')] }]);
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    expect(await prompt(world).settleRemovals(item.itemId, ['a'], ['a'])).toBe(0);
    expect((await storedTransactions(world, item.itemId)).get('a')?.status).toBe('posted');
  });

  it('that name removed transactions wait until none of them is live', async () => {
    const item = await linkedItem(world);
    const { webhooks, mining } = world.stores;
    await runUpdate(world, item, [{ added: [transaction('a'), transaction('b', { date: '2026-11-02' })] }]);
    const stored = await webhooks.store(
      webhook(item.itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: ['a', 'b', 'never-seen'] }),
    );
    await runUpdate(world, item, [{ removed: [removedOf('a')] }]);
    expect(await mining.waiting(item.itemId)).toMatchObject({ webhooks: 0, removals: 1, broken: false });
    expect(await mining.namedRemovals(item.itemId, 10)).toEqual([
      { transactionId: 'b', accountId: 'acc-1', date: '2026-11-02' },
    ]);
    expect(await prompt(world).settleRemovals(item.itemId, ['b'], ['b'])).toBe(1);
    expect(await webhooks.get(ourselves, stored.webhookId)).toMatchObject({ outcome: { state: 'done' } });
    expect(await prompt(world).settleRemovals(item.itemId, ['b'], ['b'])).toBe(0);
    const changes = await storedChanges(world, item.itemId);
    expect(changes.at(-1)).toMatchObject({
      subject: 'b',
      removed: true,
      version: 2,
      refined: { version: 2 },
    });
    expect(changes.map(({ sequence }) => sequence)).toEqual(changes.map((_, index) => index + 1));
  });

  it('that name a row which Plaid still lists end without a change', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('a')] }]);
    const stored = await world.stores.webhooks.store(
      webhook(item.itemId, 'TRANSACTIONS_REMOVED', { removed_transactions: ['a'] }),
    );
    expect(await prompt(world).settleRemovals(item.itemId, [], [])).toBe(0);
    expect(await world.stores.webhooks.get(ourselves, stored.webhookId)).toMatchObject({
      outcome: { state: 'pending' },
    });
    expect(await prompt(world).settleRemovals(item.itemId, ['a'], [])).toBe(0);
    expect(await world.stores.webhooks.get(ourselves, stored.webhookId)).toMatchObject({
      outcome: { state: 'done' },
    });
    expect((await storedTransactions(world, item.itemId)).get('a')?.status).toBe('posted');
  });
});

it('an update of many pages is applied whole', async () => {
  const item = await linkedItem(world);
  const pages = Array.from({ length: 12 }, (_, page) => ({
    added: Array.from({ length: 500 }, (_row, n) => transaction(`t-${page}-${n}`)),
    modified: page === 0 ? [] : [transaction(`t-${page - 1}-0`, { amount: page })],
  }));
  const end = await runUpdate(world, item, pages);
  expect(end).toMatchObject({ outcome: { added: 6_000, modified: 0, pages: 12 } });
  const [counts] = await world.sql`
    SELECT count(*)::int AS rows, max(sequence)::int AS newest, count(DISTINCT sequence)::int AS numbers
    FROM outbox WHERE item_id = ${item.itemId}`;
  expect(counts).toEqual({ rows: 6_001, newest: 6_001, numbers: 6_001 });
  expect((await storedTransactions(world, item.itemId)).get('t-3-0')?.raw?.amount).toBe(4);
  const [left] = await world.sql`SELECT count(*)::int AS n FROM staged_pages WHERE item_id = ${item.itemId}`;
  expect(left?.['n']).toBe(0);
});
