import { ourselves } from '../../domain/exchange/viewer.js';
import { Failure } from '../../domain/failures.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { FakeItem } from './fakePlaid.js';
import { account, transaction } from './fakePlaid.js';
import { mine, seenOf, twice, webhook, world } from './sharedWorld.js';

describe('mining', () => {
  it('minePage fetches a page once and applies an update once', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('p1'), transaction('p2')], has_more: true });
    item.page('c1', 'c2', { added: [transaction('p3')], modified: [transaction('p1', { amount: 9 })] });
    world.plaid.calls.length = 0;
    const staged = { kind: 'staged', rows: 2, calls: 1 };
    expect(await twice('minePage', mine(item, 'u1', 0))).toEqual([staged, staged]);
    expect(world.plaid.count('syncTransactions')).toBe(1);
    const [first, second] = await twice('minePage', mine(item, 'u1', 1));
    expect(first).toMatchObject({ kind: 'applied', outcome: { added: 3, changes: 4, history: 'complete' } });
    expect(second).toEqual(first);
    expect([world.plaid.count('syncTransactions'), world.plaid.count('getAccounts')]).toEqual([2, 1]);
    const rows = await world.sql`
      SELECT transaction_id AS id, amount::float8 AS amount, version FROM transactions
      WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(rows).toEqual([
      { id: 'p1', amount: 9, version: 1 },
      { id: 'p2', amount: 4.33, version: 1 },
      { id: 'p3', amount: 4.33, version: 1 },
    ]);
  });

  it('minePage killed at any point is done again with at most one more call', async () => {
    for (const point of [
      'page.beforeCall',
      'page.afterAnswer',
      'page.afterStaging',
      'apply.before',
      'apply.afterCommit',
    ] as const) {
      const item = await world.linkedItem();
      item.page('', 'c1', { added: [transaction('k1')], has_more: true });
      item.page('c1', 'c2', { added: [transaction('k2')] });
      world.plaid.calls.length = 0;
      world.crashAt = point;
      for (const page of [0, 1]) {
        await world.run.minePage(mine(item, 'u1', page)).catch(() => undefined);
        const result = await world.run.minePage(mine(item, 'u1', page));
        expect([point, result.kind]).toEqual([point, page === 0 ? 'staged' : 'applied']);
      }
      expect(world.crashAt).toBe(null);
      expect([point, world.plaid.count('syncTransactions') <= 3]).toEqual([point, true]);
      const [told] = await world.sql<{ sequences: number[] }[]>`
        SELECT array_agg(sequence::int ORDER BY sequence) AS sequences FROM outbox WHERE item_id = ${item.itemId}`;
      expect([point, told?.sequences]).toEqual([point, [1, 2, 3]]);
    }
  });

  it('minePage names what an update before it has left for the streams, as where a remine reads on after one', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('s1')] });
    item.page('c1', 'c2', {});
    await world.run.minePage(mine(item, 'u1', 0));
    const [second] = await twice('minePage', mine(item, 'u2', 0));
    expect(second).toMatchObject({ kind: 'applied', outcome: { changes: 0 } });
    expect(second).toHaveProperty('makesDue', expect.arrayContaining(['publish']));
    await world.run.publish({ itemId: item.itemId });
    item.page('c2', 'c3', {});
    const third = await world.run.minePage(mine(item, 'u3', 0));
    expect('makesDue' in third ? third.makesDue : []).not.toContain('publish');
  });

  it('minePage answers a page fetched twice with other content by what was staged first', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('z1')], has_more: true });
    const both = await Promise.all([1, 2].map(() => world.run.minePage(mine(item, 'u1', 0))));
    expect(both.map(({ kind }) => kind)).toEqual(['staged', 'staged']);
    item.page('', 'elsewhere', { added: [transaction('z9')], has_more: true });
    item.page('c1', 'c2', { added: [transaction('z2')] });
    await world.run.minePage(mine(item, 'u1', 0));
    expect((await world.run.minePage(mine(item, 'u1', 1))).kind).toBe('applied');
    const rows = await world.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(rows.map(({ id }) => id)).toEqual(['z1', 'z2']);
  });

  it('minePage turns what Plaid says into a result, and drops what it had staged', async () => {
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: 'request-1' };
    for (const [failure, result] of [
      [new Failure('PAGES_MOVED', 'moved'), { kind: 'moved', atDurableCursor: false, calls: 1 }],
      [new Failure('NOT_READY', 'not yet'), { kind: 'notReady', calls: 1 }],
      [
        new Failure('BAD_REQUEST', 'no', { upstream: { ...upstream, error_code: 'INVALID_FIELD' } }),
        { kind: 'refused', error: { error_type: 'ITEM_ERROR', error_code: 'INVALID_FIELD' }, calls: 1 },
      ],
      [
        new Failure('LOGIN_REQUIRED', 'log in', { upstream }),
        {
          kind: 'needsUser',
          error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
          calls: 1,
        },
      ],
    ] as const) {
      const item = await world.linkedItem();
      if (result.kind === 'needsUser') item.error = result.error;
      world.plaid.failNext('syncTransactions', failure);
      world.plaid.failNext('syncTransactions', failure);
      expect(await twice('minePage', mine(item, 'u1'))).toEqual([result, result]);
      expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${item.itemId}`).toHaveLength(0);
    }
    const ending = await world.linkedItem();
    ending.page('', 'c1', { added: [transaction('n1')], has_more: true });
    await world.run.minePage(mine(ending, 'u1'));
    world.plaid.failNext('syncTransactions', 'NOT_READY');
    expect(await world.run.minePage(mine(ending, 'u1', 1))).toEqual({ kind: 'notReady', calls: 1 });
    expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${ending.itemId}`).toHaveLength(0);
    const item = await world.linkedItem();
    item.page('', '', { transactions_update_status: 'NOT_READY' });
    const waiting = { kind: 'notReady', calls: 1 };
    expect(await twice('minePage', mine(item, 'u1'))).toEqual([waiting, waiting]);
    const missing = { kind: 'moved', atDurableCursor: false, calls: 1 };
    expect(await twice('minePage', mine(item, 'u1', 3))).toEqual([missing, missing]);
    const gone = { kind: 'gone', calls: 1 };
    expect(await twice('minePage', { ...mine(item, 'u1'), itemId: 'nobody' })).toEqual([gone, gone]);
  });

  it('minePage answers no webhook that came after Plaid was asked, and takes the later word on an account', async () => {
    const item = await world.linkedItem();
    item.accounts = [account('account-1', { name: 'Now' })];
    item.page('', 'c1', { accounts: [account('account-1', { name: 'Before' })] });
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getAccounts: async (token: string) => {
        await world.stores.webhooks.store(webhook(item.itemId, 'update'));
        // The clock of the database goes by microseconds, the one of the activity by milliseconds.
        await new Promise((resolve) => setTimeout(resolve, 5));
        return world.plaid.getAccounts(token);
      },
    });
    expect(await world.runWith({ plaid }).minePage(mine(item, 'u1'))).toMatchObject({
      kind: 'applied',
      webhooksWaiting: 1,
    });
    const [row] = await world.sql`SELECT raw ->> 'name' AS name FROM accounts WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ name: 'Now' });
  });

  it('minePage takes a permission that was taken back for an end of reading', async () => {
    const item = await world.linkedItem();
    world.plaid.failNext('syncTransactions', 'PERMISSION_REVOKED');
    for (let time = 0; time < 2; time += 1) world.plaid.failNext('getItem', 'PERMISSION_REVOKED');
    expect(await world.run.minePage(mine(item, 'u1'))).toMatchObject({
      kind: 'needsUser',
      error: { error_code: 'PERMISSION_REVOKED' },
    });
  });

  it('minePage says that Plaid moved the data, or refuses the request, under the first page of a durable cursor', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', {});
    item.page('c1', 'c2', { has_more: true });
    await world.run.minePage(mine(item, 'u1'));
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    const moved = { kind: 'moved', atDurableCursor: true, calls: 1 };
    expect(await world.run.minePage(mine(item, 'u2'))).toEqual(moved);
    world.plaid.failNext('syncTransactions', 'BAD_REQUEST');
    expect(await world.run.minePage(mine(item, 'u2'))).toEqual({ kind: 'refused', error: null, calls: 1 });
    await world.run.minePage(mine(item, 'u2'));
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    expect(await world.run.minePage(mine(item, 'u2', 1))).toEqual({ ...moved, atDurableCursor: false });
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    const again = { ...mine(item, 'u3'), remine: true };
    expect(await world.run.minePage(again)).toEqual({ ...moved, atDurableCursor: false });
    // A code of tomorrow that names the cursor means it, and is told to operators.
    world.plaid.refuse('syncTransactions', 'TRANSACTIONS_SYNC_CURSOR_EXPIRED', 'TRANSACTIONS_ERROR');
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({
      kind: 'refused',
      error: { error_code: 'TRANSACTIONS_SYNC_CURSOR_EXPIRED' },
    });
    world.plaid.refuse('syncTransactions', null);
    expect(
      await world.sql`SELECT 1 FROM alerts WHERE kind = 'plaid_code_unknown' AND key LIKE '%CURSOR%'`,
    ).toHaveLength(1);
    // A request that another endpoint, or the database, calls wrong says nothing of the cursor.
    item.page('c1', 'c2', {});
    world.plaid.failNext('getAccounts', 'BAD_REQUEST');
    expect(await world.run.minePage(mine(item, 'u4'))).toMatchObject({
      kind: 'applied',
      accountsFailure: { type: 'BAD_REQUEST' },
    });
  });

  it('minePage keeps the place of an Item where the end of a remine names none', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('e1')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    item.page('', '', { added: [transaction('e1')] });
    const reading = { ...mine(item, 'r1.start'), remine: true };
    expect(await world.run.minePage(reading)).toMatchObject({ kind: 'applied' });
    const [row] = await world.sql`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ cursor: 'c1' });
  });

  describe('minePage of a remine that has gone to the end of the cursor', () => {
    const rowsOf = async ({ itemId }: FakeItem) =>
      (
        await world.sql<{ row: string }[]>`
          SELECT transaction_id || ' ' || status AS row FROM transactions WHERE item_id = ${itemId} ORDER BY 1`
      ).map(({ row }) => row);
    const isAsked = async ({ itemId }: FakeItem) =>
      (await world.sql`SELECT FROM items WHERE item_id = ${itemId} AND remine_requested_at IS NOT NULL`)
        .length === 1;
    /** Mined to `c1`, with a row that is older than all that a reading may list. */
    const mined = async (): Promise<FakeItem> => {
      const item = await world.linkedItem();
      const added = [transaction('e1'), transaction('old', { date: '2024-01-01' })];
      item.page('', 'c1', { added });
      item.page('c1', 'c1', {});
      await world.run.minePage(mine(item, 'u1'));
      await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
      await world.run.minePage(mine(item, 'r1'));
      return item;
    };
    const reading = (item: FakeItem, updateId: string) =>
      world.run.minePage({ ...mine(item, updateId), remine: true, keepsCursor: true });

    it('loses nothing that came or went between the two, and stands in no reading', async () => {
      const item = await mined();
      item.page('', 'c2', { added: [transaction('e1')] });
      const { webhookId } = await world.stores.webhooks.store(webhook(item.itemId, 'update'));
      const outcome = async () =>
        (await world.stores.webhooks.get({ applicationId: 'any', access: 'all' }, webhookId))?.outcome.state;
      const read = await reading(item, 'r1.start');
      expect(read).toMatchObject({ kind: 'applied', outcome: { changes: 0 }, webhooksWaiting: 1 });
      expect([await isAsked(item), await outcome()]).toEqual([false, 'pending']);
      const gone = { transaction_id: 'old', account_id: 'account-1' };
      item.page('c1', 'c3', { added: [transaction('e2')], removed: [gone] });
      item.page('c2', 'c3', {});
      await world.run.minePage(mine(item, 'u2'));
      expect(await rowsOf(item)).toEqual(['e1 posted', 'e2 posted', 'old removed']);
      expect(await outcome()).toBe('done');
    });

    it.each([
      ['that nobody knew', 'e2', {}],
      ['that was gone', 'e1', { removed: [{ transaction_id: 'e1', account_id: 'account-1' }] }],
    ])(
      'reads once more what it brings, since the cursor tells not of its end: a row %s',
      async (_what, id, before) => {
        const item = await mined();
        item.page('c1', 'c1', before);
        await world.run.minePage(mine(item, 'r1.1'));
        const others = [transaction('old', { date: '2024-01-01' })];
        item.page('', 'c2', { added: [...others, transaction(id)] });
        expect(await reading(item, 'r1.start.1')).toMatchObject({
          outcome: { changes: 1, missed: id === 'e1' ? 1 : 2 },
        });
        // It has come and gone since the cursor, so that this does not tell of it.
        item.page('c1', 'c3', {});
        item.page('', 'c3', { added: others });
        for (const n of [2, 3]) {
          expect(await isAsked(item)).toBe(true);
          await world.run.minePage(mine(item, `r1.${n}`));
          await reading(item, `r1.start.${n}`);
        }
        expect(await rowsOf(item)).toEqual([
          'e1 removed',
          ...(id === 'e1' ? [] : ['e2 removed']),
          'old posted',
        ]);
        expect(await isAsked(item)).toBe(false);
      },
    );

    it('ends though Plaid lists for good what an account has taken over under another id', async () => {
      const item = await world.linkedItem();
      const of = (id: string, account_id: string) => transaction(id, { account_id });
      item.page('', 'c1', { added: [transaction('e1'), transaction('e2')] });
      await world.run.minePage(mine(item, 'u1'));
      item.accounts = [account('account-2')];
      item.page('c1', 'c2', { added: [of('f1', 'account-2'), of('f2', 'account-2')] });
      item.page('c2', 'c2', {});
      await world.run.minePage(mine(item, 'u2'));
      const known = ['e1 removed', 'e2 removed', 'f1 posted', 'f2 posted'];
      expect(await rowsOf(item)).toEqual(known);
      await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
      await world.run.minePage(mine(item, 'r1'));
      const listed = ['f1', 'f2'].map((id) => of(id, 'account-2'));
      item.page('', 'c2', { added: [transaction('e1'), transaction('e2'), ...listed] });
      const read = await reading(item, 'r1.start');
      expect(read).toMatchObject({ kind: 'applied' });
      expect(read).not.toHaveProperty('outcome.missed');
      expect([await isAsked(item), await rowsOf(item)]).toEqual([false, known]);
    });
  });

  const accountsOf = async ({ itemId }: FakeItem) =>
    (
      await world.sql<{ id: string; status: string }[]>`
        SELECT account_id AS id, status FROM accounts WHERE item_id = ${itemId} ORDER BY 1`
    ).map(({ id, status }) => `${id} ${status}`);
  /** `/accounts/get` answers so, one call after the other, the last of them for ever. */
  const answering = (...answers: unknown[][]) => {
    let call = 0;
    const getAccounts = async (token: string) => {
      await world.plaid.getAccounts(token);
      call += 1;
      return answers[Math.min(call, answers.length) - 1] as PlaidAccount[];
    };
    return world.runWith({
      plaid: Object.assign(Object.create(world.plaid) as typeof world.plaid, { getAccounts }),
    });
  };

  it('minePage closes an account that two answers lack, and none that one answer lacks', async () => {
    const item = await world.linkedItem();
    const all = [account('account-1'), account('account-2', { name: 'Savings' })];
    item.accounts = all;
    item.page('', 'c1', {});
    item.page('c1', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    world.plaid.calls.length = 0;
    await world.run.minePage(mine(item, 'u2'));
    expect(world.plaid.count('getAccounts')).toBe(1);
    const [one] = all;
    await answering([one], all).minePage(mine(item, 'u3'));
    expect([await accountsOf(item), world.plaid.count('getAccounts')]).toEqual([
      ['account-1 open', 'account-2 open'],
      3,
    ]);
    // What is short for a moment is so twice, too, when it is asked twice in that moment.
    let answer: unknown[] = [one];
    const getAccounts = async () => {
      setTimeout(() => (answer = all), 50);
      return answer as PlaidAccount[];
    };
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, { getAccounts });
    const policy = { ...defaultPolicy, doubtPause: 500 };
    await world.runWith({ plaid, policy }).minePage(mine(item, 'u4'));
    expect(await accountsOf(item)).toEqual(['account-1 open', 'account-2 open']);
    await answering([one], [one]).minePage(mine(item, 'u5'));
    expect(await accountsOf(item)).toEqual(['account-1 open', 'account-2 closed']);
  });

  it('minePage takes an account for one that got another id between the two lists of one update, and for no second one', async () => {
    const item = await world.linkedItem();
    const [old, other] = [account('old', { mask: '0001' }), account('other', { mask: '0002' })];
    const renamed = account('renamed', { mask: '0001' });
    item.accounts = [old, other];
    item.page('', 'c1', { added: [transaction('t1', { account_id: 'old' })], accounts: [old, other] });
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', 'c2', { added: [transaction('t2', { account_id: 'old' })], accounts: [old, other] });
    item.accounts = [renamed, other];
    await expect(world.run.minePage(mine(item, 'u2'))).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    // Where it goes on so the later list is believed.
    world.attempt = 3;
    await world.run.minePage(mine(item, 'u2'));
    world.attempt = 1;
    const again = ['t1', 't2'].map((id) => transaction(`${id} again`, { account_id: 'renamed' }));
    item.page('c2', 'c3', { added: again, accounts: [renamed, other] });
    await world.run.minePage(mine(item, 'u3'));
    expect(await accountsOf(item)).toEqual(['old closed', 'other open', 'renamed open']);
    const rows = await world.sql`
      SELECT transaction_id AS id, replaces FROM transactions t JOIN accounts a USING (item_id, account_id)
      WHERE item_id = ${item.itemId} AND t.status <> 'removed' ORDER BY 1`;
    expect(rows).toEqual(['t1 again', 't2 again'].map((id) => ({ id, replaces: 'old' })));
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['without id', { name: 'Nobody' }],
  ])('minePage takes an entry that nobody can read (%s) for one account at most', async (_name, entry) => {
    const item = await world.linkedItem();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => account(id, { name: id }));
    item.accounts = [a, b, c] as PlaidAccount[];
    item.page('', 'c1', {});
    item.page('c1', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    await answering([entry, b, c]).minePage(mine(item, 'u2'));
    expect(await accountsOf(item)).toEqual(['a open', 'b open', 'c open']);
    // Now another one is missing: the entry stands for the one that it stood for before.
    await answering([entry, c]).minePage(mine(item, 'u3'));
    expect(await accountsOf(item)).toEqual(['a open', 'b closed', 'c open']);
    // What sync has named is what cannot be read here.
    item.page('c1', 'c1', { accounts: [a as PlaidAccount] });
    await answering([entry]).minePage(mine(item, 'u4'));
    expect(await accountsOf(item)).toEqual(['a open', 'b closed', 'c open']);
    await answering([entry, account('d')]).minePage(mine(item, 'u5'));
    expect(await accountsOf(item)).toEqual(['a open', 'b closed', 'c closed', 'd open']);
  });

  it.each(['PRODUCTS_NOT_SUPPORTED', 'PRODUCT_NOT_READY', 'INVALID_FIELD', 'NO_SUCH_CODE'])(
    'minePage keeps no transactions back for accounts that are refused (%s), and shows it',
    async (code) => {
      const item = await world.linkedItem();
      item.page('', 'c1', { added: [transaction('t1')], accounts: [account('account-1')] });
      world.plaid.refuse('getAccounts', code);
      // What may be an outage is asked for some times.
      if (code === 'NO_SUCH_CODE') {
        await expect(world.run.minePage(mine(item, 'u1'))).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
        world.attempt = 3;
      }
      const answer = await world.run.minePage(mine(item, 'u1'));
      world.plaid.refuse('getAccounts', null);
      world.attempt = 1;
      expect(answer).toMatchObject({
        kind: 'applied',
        outcome: { added: 1 },
        accountsFailure: { error: { error_code: code } },
      });
      expect(await accountsOf(item)).toEqual(['account-1 open']);
      const [row] = await world.sql<[{ due: Date }]>`
        SELECT next_due_at AS due FROM items WHERE item_id = ${item.itemId}`;
      expect(row.due.toISOString()).toBe(mine(item, 'u1').dueAt.incomplete);
    },
  );

  it.each<[string, Failure]>([
    ['a bank that is down', new Failure('INSTITUTION_DOWN', 'x')],
    ['maintenance', new Failure('MAINTENANCE', 'x')],
    ['a long Retry-After', new Failure('RATE_LIMITED', 'x', { retryAfterMs: 600_000 })],
  ])(
    'minePage keeps no transactions back for accounts that each try of the workflow is refused for %s',
    async (_name, refusal) => {
      const item = await world.linkedItem();
      item.page('', 'c1', { added: [transaction('t1')], accounts: [account('account-1')] });
      for (const failures of [0, 1]) {
        world.plaid.failNext('getAccounts', refusal);
        // Each of these is the workflow's to repeat: no attempt of an activity is a second one.
        await expect(world.run.minePage({ ...mine(item, 'u1'), failures })).rejects.toMatchObject({
          type: refusal.type,
          nonRetryable: true,
        });
      }
      world.plaid.failNext('getAccounts', refusal);
      const answer = await world.run.minePage({ ...mine(item, 'u1'), failures: 2 });
      expect(answer).toMatchObject({ kind: 'applied', accountsFailure: { type: refusal.type } });
      await world.sql`DELETE FROM bank_pauses`;
    },
  );

  it('minePage keeps the place of an Item where Plaid names none to go on from', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('e1')] });
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', '', { added: [transaction('e2')] });
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({
      kind: 'applied',
      outcome: { added: 1 },
    });
    const [row] = await world.sql`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ cursor: 'c1' });
  });

  it('minePage tells operators of an Item that Plaid has nothing of for more than a day, once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    world.plaid.refuse('syncTransactions', 'PRODUCT_NOT_READY');
    const alerts = () => world.sql`SELECT kind, key FROM alerts WHERE item_id = ${itemId}`;
    await world.run.minePage(mine(item, 'u1'));
    expect(await alerts()).toEqual([]);
    await world.sql`UPDATE items SET admitted_at = admitted_at - interval '25 hours' WHERE item_id = ${itemId}`;
    const waiting = { kind: 'notReady', calls: 1 };
    expect(await twice('minePage', mine(item, 'u1'))).toEqual([waiting, waiting]);
    world.plaid.refuse('syncTransactions', null);
    expect(await alerts()).toEqual([{ kind: 'update_stuck', key: `${itemId}/PRODUCT_NOT_READY` }]);
  });

  it.each([
    ['an update', false],
    ['a remine', true],
  ])(
    'minePage tells operators of %s that Plaid has not been ready for since a day, of an Item that was mined before',
    async (_what, remine) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      item.page('', 'c1', { added: [transaction('n1')] });
      await world.run.minePage(mine(item, 'u1'));
      await world.sql`UPDATE items SET next_due_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
      if (remine) await world.stores.itemCommands.requestRemine(ourselves, itemId);
      world.plaid.refuse('syncTransactions', 'PRODUCT_NOT_READY');
      const alerts = () => world.sql`SELECT kind, key FROM alerts WHERE item_id = ${itemId}`;
      const asked = () => world.run.minePage({ ...mine(item, 'u2'), remine });
      expect(await asked()).toEqual({ kind: 'notReady', calls: 1 });
      expect(await alerts()).toEqual([]);
      await (remine
        ? world.sql`
            UPDATE items SET remine_requested_at = remine_requested_at - interval '25 hours' WHERE item_id = ${itemId}`
        : world.sql`UPDATE items SET next_due_at = now() - interval '25 hours' WHERE item_id = ${itemId}`);
      expect(await asked()).toEqual({ kind: 'notReady', calls: 1 });
      world.plaid.refuse('syncTransactions', null);
      expect(await alerts()).toEqual([{ kind: 'update_stuck', key: `${itemId}/PRODUCT_NOT_READY` }]);
    },
  );

  it.each(['INITIAL_UPDATE_COMPLETE', 'NOT_READY', 'A_NEW_NAME'])(
    'minePage tells operators of an Item, and of a remine, of which Plaid says %s for more than a day',
    async (transactions_update_status) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      const alerts = () => world.sql`SELECT kind, key, detail FROM alerts WHERE item_id = ${itemId}`;
      const said = { transactions_update_status };
      item.page('', 'c1', { added: [transaction('f1')], ...said });
      item.page('c1', 'c1', said);
      const polled = (polls: number, n: number) => world.run.minePage({ ...mine(item, `u${n}`), polls });
      for (const [n, polls] of [0, 1, 30].entries()) await polled(polls, n);
      await world.sql`UPDATE items SET admitted_at = admitted_at - interval '25 hours' WHERE item_id = ${itemId}`;
      // Something comes: it reads.
      await polled(1, 4);
      expect(await alerts()).toEqual([]);
      for (const n of [5, 6]) expect(await polled(30, n)).toMatchObject({ kind: 'applied' });
      const stuck = { kind: 'update_stuck', key: itemId };
      expect(await alerts()).toMatchObject([{ ...stuck, detail: { type: 'NOT_READY' } }]);
      await world.sql`DELETE FROM alerts WHERE item_id = ${itemId}`;
      await world.sql`UPDATE items SET history = 'complete' WHERE item_id = ${itemId}`;
      await polled(30, 7);
      await world.stores.itemCommands.requestRemine(ourselves, itemId);
      await world.run.minePage({ ...mine(item, 'r1'), remine: true });
      await world.sql`
        UPDATE items SET remine_requested_at = remine_requested_at - interval '25 hours' WHERE item_id = ${itemId}`;
      await world.run.minePage({ ...mine(item, 'r2'), remine: true });
      expect(await alerts()).toMatchObject(transactions_update_status === 'A_NEW_NAME' ? [] : [stuck]);
    },
  );

  it.each([
    ['PRODUCT_NOT_READY', 'ITEM_ERROR', 'NOT_READY'],
    ['BRAND_NEW', 'NEW_TYPE', 'UPSTREAM_DOWN'],
  ])(
    'minePage tells operators of an Item whose accounts are refused with %s for a day',
    async (code, type, failure) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      const alerts = () => world.sql`SELECT kind, detail FROM alerts WHERE item_id = ${itemId}`;
      item.page('', 'c1', {});
      item.page('c1', 'c1', {});
      world.plaid.refuse('getAccounts', code, type);
      const polled = (polls: number, n: number) =>
        world.run.minePage({ ...mine(item, `u${n}`), polls, failures: 3 });
      for (const [n, polls] of [0, 1].entries()) await polled(polls, n);
      await world.sql`UPDATE items SET admitted_at = admitted_at - interval '25 hours' WHERE item_id = ${itemId}`;
      await polled(1, 2);
      expect(await alerts()).toEqual([]);
      expect(await polled(30, 3)).toMatchObject({ accountsFailure: { type: failure } });
      world.plaid.refuse('getAccounts', null);
      expect(await alerts()).toEqual([
        { kind: 'update_stuck', detail: { type: failure, error_type: type, error_code: code } },
      ]);
    },
  );

  it('minePage says when the cursors of an update go in a circle, and keeps nothing of it', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', 'c2', { added: [transaction('o1')], has_more: true });
    item.page('c2', 'c3', { added: [transaction('o2')], has_more: true });
    item.page('c3', 'c2', { added: [transaction('o3')], has_more: true });
    const staged = { kind: 'staged', rows: 1, calls: 1 };
    expect(await world.run.minePage(mine(item, 'u2'))).toEqual(staged);
    expect(await world.run.minePage(mine(item, 'u2', 1))).toEqual(staged);
    // Asked for once more it is the same page, and no circle.
    expect(await world.run.minePage(mine(item, 'u2', 1))).toEqual(staged);
    expect(await world.run.minePage(mine(item, 'u2', 2))).toEqual({ kind: 'circling', calls: 1 });
    expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${item.itemId}`).toHaveLength(0);
  });

  it('minePage begins no episode that /item/get knows nothing of, until it is told to believe', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: null };
    const refuse = () =>
      world.plaid.failNext('syncTransactions', new Failure('LOGIN_REQUIRED', 'x', { upstream }));
    const row = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    refuse();
    const { error_type, error_code } = upstream;
    const error = { error_type, error_code };
    const doubted = { kind: 'doubted', failure: 'LOGIN_REQUIRED', error, calls: 1 };
    expect(await world.run.minePage(mine(item, 'u1'))).toEqual(doubted);
    expect(await row()).toEqual({ error_code: null, error_episode: 0 });
    refuse();
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(world.run.minePage(mine(item, 'u1'))).rejects.toMatchObject({ type: 'LOGIN_REQUIRED' });
    expect(await row()).toEqual({ error_code: null, error_episode: 0 });
    refuse();
    const needsUser = { kind: 'needsUser', error, calls: 1 };
    expect(await world.run.minePage({ ...mine(item, 'u1'), believe: true })).toEqual(needsUser);
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
  });

  it('minePage tells that the Item was found broken while the update ran, and it is looked at again at once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', {});
    const soon = new Date(Date.now() + 60_000).toISOString();
    const error = { error_type: 'ITEM_ERROR', error_code: 'X' };
    await world.stores.items.setBroken(itemId, await seenOf(item), error, soon);
    const later = new Date(Date.now() + 36 * 3_600_000).toISOString();
    const ended = await world.run.minePage({
      ...mine(item, 'u1'),
      dueAt: { complete: later, incomplete: later },
    });
    expect(ended).toMatchObject({ kind: 'applied', broken: true });
    const [row] = await world.sql`
      SELECT next_due_at <= clock_timestamp() AS due, error_code FROM items WHERE item_id = ${itemId}`;
    expect(row).toEqual({ due: true, error_code: 'X' });
    await world.stores.items.setHealthy(itemId, await seenOf(item));
    const repeated = await world.run.minePage(mine(item, 'u1'));
    expect(repeated).toMatchObject({ kind: 'applied', broken: false });
    // Healthy again, it is due, and the next update ends that.
    item.page('c1', 'c2', {});
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({ kind: 'applied' });
  });

  it('reportDeadEnd tells operators once, drops what was staged, and asks for a remine where there is a cursor', async () => {
    const deadEnd = {
      updateId: 'u2',
      failure: { step: 'page', type: 'BAD_REQUEST' as const, at: '2026-11-21T07:00:00.000Z' },
      error: { error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD' },
      cursorLost: true,
    };
    const item = await world.linkedItem();
    const { itemId } = item;
    const alerts = () =>
      world.sql`SELECT kind, key, detail FROM alerts WHERE item_id = ${itemId} ORDER BY kind`;
    const detail = { type: 'BAD_REQUEST', error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD' };
    const young = { remines: null };
    expect(await twice('reportDeadEnd', { itemId, deadEnd })).toEqual([young, young]);
    const key = `${itemId}/INVALID_FIELD`;
    expect(await alerts()).toEqual([{ kind: 'update_stuck', key, detail }]);

    item.page('', 'c1', {});
    item.page('c1', 'c2', { has_more: true });
    await world.run.minePage(mine(item, 'u1'));
    await world.run.minePage(mine(item, 'u2'));
    const first = { remines: 1 };
    expect(await twice('reportDeadEnd', { itemId, deadEnd })).toEqual([first, first]);
    expect((await alerts()).map(({ kind }) => kind as string)).toEqual(['cursor_lost', 'update_stuck']);
    const [row] = await world.sql`
      SELECT remine_requested_at IS NOT NULL AS asked, update_started_at,
        (SELECT count(*)::int FROM staged_pages s WHERE s.item_id = i.item_id) AS staged
      FROM items i WHERE item_id = ${itemId}`;
    expect(row).toEqual({ asked: true, update_started_at: null, staged: 0 });
    await world.stores.itemCommands.requestRemoval(itemId, { force: true });
    expect(await world.run.reportDeadEnd({ itemId, deadEnd })).toEqual({ remines: null });
    await world.run.removeItem({ itemId });
  });
});
