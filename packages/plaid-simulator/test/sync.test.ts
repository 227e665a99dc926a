import fc from 'fast-check';
import type { Transaction } from 'plaid';
import { Products } from 'plaid';
import { byId, refusalOf, Rig } from './rig.js';

const MUTATION = 'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION';

describe('/transactions/sync and /transactions/get', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  const ready = async () => {
    const item = await rig.link();
    await rig.control('POST', `/_sim/items/${item.itemId}/advance`, { to: 'historical' });
    return item;
  };

  it('has nothing before the first pull: empty and NOT_READY here, an error there', async () => {
    const { accessToken, itemId } = await rig.link();
    expect(await rig.sync(accessToken)).toMatchObject({
      added: [],
      modified: [],
      removed: [],
      accounts: [],
      next_cursor: '',
      has_more: false,
      transactions_update_status: 'NOT_READY',
    });
    const get = { access_token: accessToken, start_date: '2000-01-01', end_date: '2100-01-01' };
    expect(await refusalOf(rig.api.transactionsGet(get))).toMatchObject({
      error_type: 'ITEM_ERROR',
      error_code: 'PRODUCT_NOT_READY',
    });
    expect(await rig.truth(itemId)).toMatchObject({ phase: 'created', transactions: [], removed: [] });
  });

  it('shows 30 days, then everything', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.advance('PT10S');
    const first = await rig.run(accessToken);
    const truth = await rig.truth(itemId);
    expect(truth.transactions_update_status).toBe('INITIAL_UPDATE_COMPLETE');
    expect(first.added).toEqual(truth.transactions);
    expect(first.added.length).toBeGreaterThan(0);
    expect(first.added.length).toBeLessThan(60);
    await rig.advance('PT50S');
    const second = await rig.run(accessToken, first.cursor);
    expect(second.modified).toEqual([]);
    expect(first.added.length + second.added.length).toBe(60);
    expect((await rig.truth(itemId)).phase).toBe('idle');
  });

  it('pages from the empty cursor, whatever the page size', async () => {
    const { accessToken, itemId } = await ready();
    const { transactions } = await rig.truth(itemId);
    expect(transactions).toHaveLength(60);
    for (const [count, pages] of [
      [1, 60],
      [7, 9],
      [30, 2],
      [60, 1],
      [500, 1],
    ] as const) {
      const run = await rig.run(accessToken, undefined, count);
      expect(run.added).toEqual(transactions);
      expect(run.pages).toBe(pages);
    }
  });

  it('tells a delta once per transaction, again for an old cursor, and nothing for the newest', async () => {
    const { accessToken, itemId } = await ready();
    const { cursor, added } = await rig.run(accessToken);
    const [a, b, c] = added as [Transaction, Transaction, Transaction];
    const made = await rig.change(itemId, {
      add: [
        { amount: 5, name: 'Fresh' },
        { amount: 6, name: 'Gone at once' },
      ],
      modify: [{ transaction_id: a.transaction_id, amount: 99.123 }],
      remove: [b.transaction_id],
    });
    await rig.change(itemId, { modify: [{ transaction_id: a.transaction_id, name: 'Twice' }] });
    await rig.change(itemId, { remove: [made.added[1]] });
    const delta = await rig.run(accessToken, cursor);
    expect(delta.added.map(({ name }) => name)).toEqual(['Fresh']);
    expect(delta.modified).toEqual([{ ...a, amount: 99.123, name: 'Twice' }]);
    expect(delta.removed).toEqual([
      { transaction_id: b.transaction_id, account_id: b.account_id },
      { transaction_id: made.added[1], account_id: expect.any(String) as string },
    ]);
    expect(await rig.run(accessToken, cursor)).toEqual(delta);
    expect(await rig.run(accessToken, delta.cursor)).toMatchObject({ added: [], modified: [], removed: [] });
    const truth = await rig.truth(itemId);
    expect(truth.removed).toEqual([b.transaction_id, made.added[1]]);
    expect(byId(truth.transactions).get(c.transaction_id)).toEqual(c);
  });

  it('ends a run for ever when the data move under it; the run’s first cursor still works', async () => {
    const { accessToken, itemId } = await ready();
    const page = await rig.sync(accessToken, '', 20);
    expect(page.has_more).toBe(true);
    await rig.change(itemId, { add: [{ amount: 1, name: 'In between' }] });
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect(await refusalOf(rig.sync(accessToken, page.next_cursor, 20))).toMatchObject({
        status: 400,
        error_type: 'TRANSACTIONS_ERROR',
        error_code: MUTATION,
      });
    }
    expect((await rig.run(accessToken, '', 20)).added).toHaveLength(61);
    expect((await refusalOf(rig.sync(accessToken, page.next_cursor, 20))).error_code).toBe(MUTATION);
  });

  it('takes the end of the historical pull for such a move', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'initial' });
    const page = await rig.sync(accessToken, '', 1);
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
    expect((await refusalOf(rig.sync(accessToken, page.next_cursor, 1))).error_code).toBe(MUTATION);
  });

  it('refuses cursors that are not its own', async () => {
    const one = await ready();
    const two = await ready();
    const { cursor } = await rig.run(one.accessToken);
    for (const bad of ['nonsense!', 'AAAA', `${cursor}AAAA`, cursor.slice(0, -8)]) {
      expect((await refusalOf(rig.sync(one.accessToken, bad))).error_code).toBe('INVALID_FIELD');
    }
    expect((await refusalOf(rig.sync(two.accessToken, cursor))).error_code).toBe('INVALID_FIELD');
    expect(cursor.length).toBeLessThanOrEqual(256);
  });

  it('turns a pending transaction into a posted one by deleting and inserting', async () => {
    const { accessToken, itemId } = await ready();
    const { cursor, added } = await rig.run(accessToken);
    const pending = added.filter((transaction) => transaction.pending);
    expect(pending.length).toBeGreaterThanOrEqual(3);
    const [first] = pending as [Transaction];
    const { added: posted } = await rig.change(itemId, {
      post: [{ transaction_id: first.transaction_id, amount: 12.5 }],
    });
    const delta = await rig.run(accessToken, cursor);
    expect(delta.removed.map(({ transaction_id }) => transaction_id)).toEqual([first.transaction_id]);
    expect(delta.added).toMatchObject([
      {
        transaction_id: posted[0],
        pending: false,
        pending_transaction_id: first.transaction_id,
        amount: 12.5,
      },
    ]);
  });

  it('streams one account by itself, with cursors of its own', async () => {
    const { accessToken, itemId } = await ready();
    const { transactions } = await rig.truth(itemId);
    const accountId = transactions[0]?.account_id ?? '';
    const one = await rig.api.transactionsSync({
      access_token: accessToken,
      count: 500,
      options: { account_id: accountId, include_original_description: true },
    });
    expect(one.data.added).toEqual(transactions.filter(({ account_id }) => account_id === accountId));
    expect((await refusalOf(rig.sync(accessToken, one.data.next_cursor))).error_code).toBe('INVALID_FIELD');
  });

  it('shows the bank’s own text only to those who ask, and the older taxonomy', async () => {
    const { accessToken } = await ready();
    const plain = await rig.api.transactionsSync({ access_token: accessToken, count: 500 });
    expect(plain.data.added.some((transaction) => 'original_description' in transaction)).toBe(false);
    const asked = await rig.sync(accessToken, '', 500);
    expect(asked.added.every(({ original_description }) => typeof original_description === 'string')).toBe(
      true,
    );
    const older = await rig.api.transactionsSync({
      access_token: accessToken,
      count: 500,
      options: { personal_finance_category_version: 'v1' as never },
    });
    expect(new Set(older.data.added.map((row) => row.personal_finance_category?.version))).toEqual(
      new Set(['v1']),
    );
    expect(new Set(plain.data.added.map((row) => row.personal_finance_category?.version))).toEqual(
      new Set(['v2']),
    );
  });

  it('lists by date and offset, newest first', async () => {
    const { accessToken, itemId } = await ready();
    const { transactions } = await rig.truth(itemId);
    const get = (start: string, end: string, count: number, offset: number) =>
      rig.api.transactionsGet({
        access_token: accessToken,
        start_date: start,
        end_date: end,
        options: { count, offset, include_original_description: true },
      });
    const listed: Transaction[] = [];
    for (let offset = 0; offset < 60; offset += 25) {
      const { data } = await get('2000-01-01', '2100-01-01', 25, offset);
      expect(data.total_transactions).toBe(60);
      listed.push(...data.transactions);
    }
    expect(byId(listed)).toEqual(byId(transactions));
    expect(listed.map(({ date }) => date)).toEqual(
      listed
        .map(({ date }) => date)
        .sort()
        .reverse(),
    );
    const day = listed[30]?.date ?? '';
    const { data } = await get(day, day, 100, 0);
    expect(data.transactions).toEqual(listed.filter(({ date }) => date === day));
    expect((await get('2000-01-01', '2100-01-01', 100, 1000)).data).toMatchObject({
      transactions: [],
      total_transactions: 60,
    });
  });

  it('starts the pull at the first call on an Item that was linked without transactions', async () => {
    const { accessToken, itemId } = await rig.link({ products: [Products.Auth] });
    await rig.advance('PT2M');
    const get = { access_token: accessToken, start_date: '2000-01-01', end_date: '2100-01-01' };
    expect((await refusalOf(rig.api.transactionsGet(get))).error_code).toBe('PRODUCT_NOT_READY');
    await rig.advance('PT2M');
    expect((await rig.api.transactionsGet(get)).data.total_transactions).toBeGreaterThan(0);
    expect((await rig.truth(itemId)).phase).toBe('idle');
  });

  it('tells of removals also when there was nothing at first', async () => {
    const { accessToken, itemId } = await rig.link({
      username: 'user_custom',
      password: JSON.stringify({ override_accounts: [{ type: 'depository', transactions: [] }] }),
    });
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
    const empty = await rig.run(accessToken);
    expect(empty).toMatchObject({ added: [], pages: 1 });
    expect(empty.cursor).not.toBe('');
    const { added } = await rig.change(itemId, { add: [{ amount: 1, name: 'Brief' }] });
    await rig.change(itemId, { remove: added });
    const delta = await rig.run(accessToken, empty.cursor);
    expect(delta.removed.map(({ transaction_id }) => transaction_id)).toEqual(added);
    expect((await rig.truth(itemId)).removed).toEqual(added);
  });

  it('moves at each refresh for the user whose bank moves', async () => {
    const { accessToken, itemId } = await rig.link({ username: 'user_transactions_dynamic' });
    const token = { access_token: accessToken };
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
    const before = await rig.run(accessToken);
    const pending = before.added.filter((transaction) => transaction.pending);
    await rig.api.transactionsRefresh(token);
    const delta = await rig.run(accessToken, before.cursor);
    expect(new Set(delta.removed.map(({ transaction_id }) => transaction_id))).toEqual(
      new Set(pending.map(({ transaction_id }) => transaction_id)),
    );
    expect(delta.added.filter((row) => !row.pending).map((row) => row.pending_transaction_id)).toHaveLength(
      pending.length,
    );
    expect(delta.added.filter((row) => row.pending)).toHaveLength(2);
    const [raised] = delta.modified;
    const old = byId(before.added).get(raised?.transaction_id ?? '');
    expect((raised?.amount ?? 0) - (old?.amount ?? 0)).toBeCloseTo(1);
    const row = (date_posted: string) => ({
      date_transacted: date_posted,
      date_posted,
      amount: 5,
      description: 'Made',
    });
    const { now } = await rig.control<{ now: string }>('GET', '/_sim/clock');
    const create = (...transactions: ReturnType<typeof row>[]) =>
      rig.api.sandboxTransactionsCreate({ access_token: accessToken, transactions });
    for (const bad of [[], [row('2020-01-01')], [row('2999-01-01')], Array(11).fill(row(now.slice(0, 10)))]) {
      expect((await refusalOf(create(...(bad as ReturnType<typeof row>[])))).error_code).toBe(
        'INVALID_FIELD',
      );
    }
    await create(row(now.slice(0, 10)));
    expect((await rig.run(accessToken, delta.cursor)).added.map(({ name }) => name)).toEqual(['Made']);
    const other = await ready();
    await rig.api.transactionsRefresh({ access_token: other.accessToken });
    expect((await rig.truth(other.itemId)).transactions).toHaveLength(60);
  });

  it('forgets a closed account and its rows, and remembers them in the truth', async () => {
    const { accessToken, itemId } = await ready();
    const { cursor, added } = await rig.run(accessToken);
    const page = await rig.sync(accessToken, '', 10);
    const accountId = added[0]?.account_id ?? '';
    const gone = added.filter(({ account_id }) => account_id === accountId);
    await rig.control('POST', `/_sim/items/${itemId}/accounts`, { close: [accountId] });
    expect((await refusalOf(rig.sync(accessToken, page.next_cursor, 10))).error_code).toBe(MUTATION);
    expect(await rig.run(accessToken, cursor)).toMatchObject({ added: [], modified: [], removed: [] });
    expect((await rig.run(accessToken)).added).toHaveLength(60 - gone.length);
    const { accounts } = (await rig.api.accountsGet({ access_token: accessToken })).data;
    expect(accounts.map(({ account_id }) => account_id)).not.toContain(accountId);
    const truth = await rig.truth(itemId);
    expect(new Set(truth.closed_account_transactions)).toEqual(
      new Set(gone.map(({ transaction_id }) => transaction_id)),
    );
    expect(truth.accounts.find(({ account_id }) => account_id === accountId)?.closed).toBe(true);
    expect(
      await refusalOf(
        rig.api.accountsGet({ access_token: accessToken, options: { account_ids: [accountId] } }),
      ),
    ).toMatchObject({ error_code: 'INVALID_ACCOUNT_ID' });
  });

  it('says of closed accounts what was removed before, of which nobody is told any more', async () => {
    const { accessToken, itemId } = await ready();
    const { cursor, added } = await rig.run(accessToken);
    const accountId = added[0]?.account_id ?? '';
    const ids = added.filter(({ account_id }) => account_id === accountId).map((row) => row.transaction_id);
    const [before = '', ...left] = ids;
    await rig.control('POST', `/_sim/items/${itemId}/transactions`, { remove: [before], notify: false });
    await rig.control('POST', `/_sim/items/${itemId}/accounts`, { close: [accountId], notify: false });
    expect(await rig.run(accessToken, cursor)).toMatchObject({ added: [], modified: [], removed: [] });
    const truth = await rig.truth(itemId);
    expect(truth.closed_account_removed).toEqual([before]);
    expect(truth.closed_account_transactions.sort()).toEqual(left.sort());
    expect(truth.removed).toEqual([]);
  });

  it('counts removals from where the first complete read ended', async () => {
    const { accessToken, itemId } = await ready();
    const { transactions } = await rig.truth(itemId);
    const ids = transactions.map(({ transaction_id }) => transaction_id);
    await rig.change(itemId, { remove: [ids[0]] });
    expect((await rig.truth(itemId)).removed).toEqual([]);
    const first = await rig.run(accessToken);
    await rig.change(itemId, { remove: [ids[1]] });
    expect((await rig.truth(itemId)).removed).toEqual([ids[1]]);
    // A client that lost what it had read and never came back with a cursor begins anew: it is never told of ids[1].
    const again = await rig.run(accessToken);
    expect((await rig.truth(itemId)).removed).toEqual([]);
    await rig.run(accessToken, again.cursor);
    await rig.change(itemId, { remove: [ids[2]] });
    await rig.run(accessToken);
    expect((await rig.truth(itemId)).removed).toEqual([ids[2]]);
    expect(first.added).toHaveLength(59);
  });

  it('leads every client that restarts on a mutation to the truth, whatever happens (property)', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('page' as const), count: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ kind: fc.constant('add' as const), pending: fc.boolean() }),
      fc.record({
        kind: fc.constantFrom('modify' as const, 'remove' as const, 'post' as const),
        at: fc.nat(),
      }),
      fc.record({ kind: fc.constantFrom('restart' as const, 'historical' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const { accessToken, itemId } = await rig.link();
        await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'initial' });
        const client = new SyncClient(rig, accessToken);
        for (const next of steps) {
          const live = (await rig.truth(itemId)).transactions;
          const pick = 'at' in next ? live[next.at % Math.max(1, live.length)] : undefined;
          if (next.kind === 'page') await client.page(next.count);
          else if (next.kind === 'restart') client.restart();
          else if (next.kind === 'historical') {
            await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
          } else if (next.kind === 'add') {
            await rig.change(itemId, { add: [{ amount: 1, name: 'x', pending: next.pending }] });
          } else if (pick && next.kind === 'modify') {
            await rig.change(itemId, {
              modify: [{ transaction_id: pick.transaction_id, amount: pick.amount + 1 }],
            });
          } else if (pick && next.kind === 'remove') {
            await rig.change(itemId, { remove: [pick.transaction_id] });
          } else if (pick?.pending) {
            await rig.change(itemId, { post: [{ transaction_id: pick.transaction_id }] });
          }
        }
        while (!(await client.page(500))) {
          // until the run that is under way has ended
        }
        while (!(await client.page(500))) {
          // and one more from its end
        }
        const truth = await rig.truth(itemId);
        expect(client.live).toEqual(byId(truth.transactions));
        expect([...client.removed].sort()).toEqual([...truth.removed].sort());
      }),
      { numRuns: 25 },
    );
  });
});

/** What a careful client does: buffers a run, applies it whole, restarts from the run's first cursor on a mutation. */
class SyncClient {
  readonly live = new Map<string, Transaction>();
  readonly removed = new Set<string>();
  private durable = '';
  private cursor = '';
  private buffer: { changed: Transaction[]; removed: string[] } = { changed: [], removed: [] };

  constructor(
    private readonly rig: Rig,
    private readonly accessToken: string,
  ) {}

  restart(): void {
    this.cursor = this.durable;
    this.buffer = { changed: [], removed: [] };
  }

  /** Reads one page; `true` when it ended a run. */
  async page(count: number): Promise<boolean> {
    let page;
    try {
      page = await this.rig.sync(this.accessToken, this.cursor, count);
    } catch (error) {
      const { data } = (error as { response: { data: { error_code: string } } }).response;
      expect(data.error_code).toBe(MUTATION);
      this.restart();
      return false;
    }
    this.buffer.changed.push(...page.added, ...page.modified);
    this.buffer.removed.push(...page.removed.map(({ transaction_id }) => transaction_id));
    this.cursor = page.next_cursor;
    if (page.has_more) return false;
    for (const row of this.buffer.changed) this.live.set(row.transaction_id, row);
    for (const id of this.buffer.removed) {
      this.live.delete(id);
      this.removed.add(id);
    }
    this.durable = page.next_cursor;
    this.restart();
    return true;
  }
}
