import { ourselves } from '../../domain/exchange/viewer.js';
import type { PlaidPort } from '../../domain/ports/plaid.js';
import { Failure } from '../../domain/failures.js';
import type { PlaidTransaction } from '../../domain/plaid.js';
import type { FakeItem } from './fakePlaid.js';
import { transaction } from './fakePlaid.js';
import { mine, twice, typeOf, webhook, world } from './sharedWorld.js';

describe('removals that a webhook names', () => {
  it('settleRemovals reads all pages of some days around what was named', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction('named', { date: '2026-11-10' })] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
    item.listed = [...Array.from({ length: 500 }, (_, n) => transaction(`t${n}`)), transaction('named')];
    const asked: { from: string; to: string; offset: number }[] = [];
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getTransactions: async (token: string, query: (typeof asked)[number] & { count: number }) => {
        asked.push({ from: query.from, to: query.to, offset: query.offset });
        return world.plaid.getTransactions(token, query);
      },
    });
    expect(await world.runWith({ plaid }).settleRemovals({ itemId })).toEqual({ changes: 0, more: false });
    const days = { from: '2026-11-07', to: '2026-11-13' };
    expect(asked).toEqual([
      { ...days, offset: 0 },
      { ...days, offset: 499 },
    ]);
  });

  describe('settleRemovals of a window that is read in many pages', () => {
    const others = Array.from({ length: 1_200 }, (_, n) => transaction(`o${n}`));
    /** An Item whose row `named` Plaid lists, and is said to be removed; `between` changes the list when a page was read. */
    async function named(listed: PlaidTransaction[], between: (item: FakeItem, calls: number) => void) {
      const item = await world.linkedItem();
      const { itemId } = item;
      item.page('', 'c1', { added: [transaction('named')] });
      await world.run.minePage(mine(item, 'u1'));
      await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
      item.listed = listed;
      let calls = 0;
      const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
        getTransactions: async (token: string, query: Parameters<PlaidPort['getTransactions']>[1]) => {
          const answer = await world.plaid.getTransactions(token, query);
          between(item, (calls += 1));
          return answer;
        },
      });
      const settle = () => world.runWith({ plaid }).settleRemovals({ itemId });
      const state = async () =>
        (
          await world.sql`
            SELECT t.status <> 'removed' AS lives, w.outcome, i.remine_requested_at IS NOT NULL AS remine
            FROM items i JOIN transactions t USING (item_id) JOIN webhooks w USING (item_id) WHERE i.item_id = ${itemId}`
        )[0];
      return { settle, state, calls: () => calls };
    }

    it.each<[string, (item: FakeItem) => void]>([
      ['a row leaves it', (item) => void item.listed.shift()],
      [
        'one leaves it and another comes to the end, so that the count stays',
        (item) => {
          item.listed.shift();
          item.listed.push(transaction('posted'));
        },
      ],
    ])('takes nothing for gone that was skipped because %s', async (_name, change) => {
      // The first row of the second page is pulled up to the first one, which was read already.
      const listed = [...others.slice(0, 500), transaction('named'), ...others.slice(500)];
      const { settle, state } = await named(listed, (item, calls) => {
        if (calls === 1) change(item);
      });
      await expect(settle()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      expect(await state()).toEqual({ lives: true, outcome: 'pending', remine: false });
      expect(await settle()).toMatchObject({ changes: 0, more: false });
      expect(await state()).toEqual({ lives: true, outcome: 'done', remine: false });
    });

    it('asks for a remine where the list moves whenever it is read', async () => {
      const { settle, state } = await named([...others, transaction('named')], (item) => {
        item.listed.shift();
      });
      await expect(settle()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      world.attempt = 3;
      const answer = await settle();
      world.attempt = 1;
      expect(answer).toEqual({ changes: 0, more: false, remineAsked: 1 });
      expect(await state()).toEqual({ lives: true, outcome: 'done', remine: true });
    });

    it.each<[string, unknown[]]>([
      ['has more rows than it may ask for', Array.from({ length: 20_000 }, (_, n) => transaction(`l${n}`))],
      ['has an entry that nobody can read', [...others, null]],
      ['lists a row twice, and so another one not', [...others, others[0]]],
    ])('asks for a remine where it %s, and nothing is taken for gone', async (_name, listed) => {
      const { settle, state, calls } = await named(listed as PlaidTransaction[], () => undefined);
      expect(await settle()).toEqual({ changes: 0, more: false, remineAsked: 1 });
      expect(calls()).toBeLessThanOrEqual(3);
      expect(await state()).toEqual({ lives: true, outcome: 'done', remine: true });
    });
  });

  it('settleRemovals asks for few days around each date, whatever lies between them, and odd dates are no matter of the others', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const dates = ['2024-11-28', '0001-01-01', '2026-11-20', '9999-12-31', '2026-11-27', '2026-11-28'];
    item.page('', 'c1', { added: dates.map((date) => transaction(`on ${date}`, { date })) });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(
      webhook(
        itemId,
        'removals',
        dates.map((date) => `on ${date}`),
      ),
    );
    item.listed = [transaction('on 2026-11-20'), transaction('on 2024-11-28')];
    const asked: string[] = [];
    let refusing = '9999-12-28';
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getTransactions: async (token: string, query: Parameters<PlaidPort['getTransactions']>[1]) => {
        asked.push(`${query.from} ${query.to}`);
        if (query.from === refusing) throw new Failure('BAD_REQUEST', 'no such dates');
        return world.plaid.getTransactions(token, query);
      },
    });
    const settle = () => world.runWith({ plaid }).settleRemovals({ itemId });
    expect(await settle()).toEqual({ changes: 3, more: true });
    expect(asked).toEqual([
      '0001-01-01 0001-01-04',
      '2024-11-25 2024-12-01',
      '2026-11-17 2026-11-30',
      '2026-11-25 2026-12-01',
      '9999-12-28 9999-12-31',
    ]);
    // One that Plaid does not take is shown, and asked for alone.
    asked.length = 0;
    await expect(settle()).rejects.toMatchObject({ type: 'BAD_REQUEST' });
    expect(asked).toEqual(['9999-12-28 9999-12-31']);
    refusing = '';
    expect(await settle()).toEqual({ changes: 1, more: false });
    const rows = await world.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions WHERE item_id = ${itemId} AND status <> 'removed' ORDER BY 1`;
    expect(rows.map(({ id }) => id)).toEqual(['on 2024-11-28', 'on 2026-11-20']);
  });

  describe('settleRemovals of several windows', () => {
    async function named() {
      const item = await world.linkedItem();
      const { itemId } = item;
      const added = [transaction('old', { date: '2024-11-10' }), transaction('new', { date: '2026-11-10' })];
      item.page('', 'c1', { added });
      await world.run.minePage(mine(item, 'u1'));
      await world.stores.webhooks.store(webhook(itemId, 'removals', ['old', 'new']));
      const rows = async () => {
        const statuses = await world.sql<{ id: string; status: string }[]>`
          SELECT transaction_id AS id, status FROM transactions WHERE item_id = ${itemId} ORDER BY 1`;
        return statuses.map(({ id, status }) => `${id} ${status}`);
      };
      return { item, itemId, rows };
    }
    const answeredBy = (getTransactions: PlaidPort['getTransactions']) =>
      world.runWith({
        plaid: Object.assign(Object.create(world.plaid) as typeof world.plaid, { getTransactions }),
      });

    it('is held up by none that Plaid breaks down over, and fails with it at the end', async () => {
      const { itemId, rows } = await named();
      const run = answeredBy(async (_token, { from }) => {
        if (from < '2025') throw new Failure('UPSTREAM_DOWN', 'Plaid broke down');
        return { transactions: [], total: 0 };
      });
      expect(await run.settleRemovals({ itemId })).toMatchObject({ changes: 1, more: true });
      expect(await rows()).toEqual(['new removed', 'old posted']);
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    });

    it('comes to an end of its doubts about one also where Plaid refuses another', async () => {
      const { itemId, rows } = await named();
      const run = answeredBy(async (_token, { from, offset }) => {
        if (from > '2025') throw new Failure('BAD_REQUEST', 'no such dates');
        return { transactions: [transaction('x1'), transaction('x2')].slice(offset), total: 3 };
      });
      // Temporal asks no more once an attempt ends with what is not to be asked again.
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      world.attempt = 3;
      const answer = await run.settleRemovals({ itemId });
      world.attempt = 1;
      expect(answer).toMatchObject({ remineAsked: 1 });
      expect(await rows()).toEqual(['new posted', 'old posted']);
    });

    it.each(['breaks down', 'lists none of the days'])(
      'makes twenty calls at most in all its attempts where Plaid %s',
      async (how) => {
        const item = await world.linkedItem();
        const { itemId } = item;
        const days = Array.from({ length: 12 }, (_, n) =>
          new Date(Date.UTC(2025, 0, 1 + n * 20)).toISOString().slice(0, 10),
        );
        const added = days.flatMap((date, n) =>
          [`named${n}`, `beside${n}`].map((id) => transaction(id, { date })),
        );
        item.page('', 'c1', { added });
        await world.run.minePage(mine(item, 'u1'));
        await world.stores.webhooks.store(
          webhook(
            itemId,
            'removals',
            days.map((_, n) => `named${n}`),
          ),
        );
        let calls = 0;
        const run = answeredBy(async () => {
          calls += 1;
          if (how === 'breaks down') throw new Failure('UPSTREAM_DOWN', 'Plaid broke down');
          return { transactions: [], total: 0 };
        });
        try {
          for (world.attempt = 1; world.attempt <= 6; world.attempt += 1) {
            const ended = await run.settleRemovals({ itemId }).then(
              () => true,
              () => false,
            );
            if (ended) break;
          }
        } finally {
          world.attempt = 1;
        }
        expect(calls).toBeGreaterThan(9);
        expect(calls).toBeLessThanOrEqual(20);
      },
    );

    it.each([
      ['a dozen windows', 12, 1],
      ['more rows than it looks up at once', 1, 120],
    ])('comes to the others behind %s that Plaid takes at no time', async (_name, days, rowsOfDay) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      const refused = Array.from({ length: days }, (_, n) =>
        Array.from({ length: rowsOfDay }, (__, row) =>
          transaction(`no${n}.${row}`, {
            date: new Date(Date.UTC(2025, 0, 1 + n * 20)).toISOString().slice(0, 10),
          }),
        ),
      ).flat();
      const good = transaction('good', { date: '2026-11-10' });
      item.page('', 'c1', { added: [...refused, good] });
      await world.run.minePage(mine(item, 'u1'));
      const ids = [...refused, good].map(({ transaction_id }) => transaction_id);
      await world.stores.webhooks.store(webhook(itemId, 'removals', ids));
      const run = answeredBy(async (_token, { from }) => {
        if (from < '2026-10') throw new Failure('BAD_REQUEST', 'no such dates');
        return { transactions: [], total: 0 };
      });
      let failures = 0;
      for (let ended = false; !ended && failures < 1_000; failures += 1)
        ended = await run.settleRemovals({ itemId, failures }).then(
          () => true,
          (error: unknown) => {
            expect(typeOf(error)).toBe('BAD_REQUEST');
            return false;
          },
        );
      expect(failures).toBeLessThan(1_000);
      const removed = await world.sql`
        SELECT transaction_id AS id FROM transactions WHERE item_id = ${itemId} AND status = 'removed'`;
      expect(removed).toEqual([{ id: 'good' }]);
    });

    it('ends with a remine, whatever Plaid breaks down over: what that lists lives, and what came after it began waits', async () => {
      const { item, itemId, rows } = await named();
      const run = answeredBy(async () => {
        throw new Failure('UPSTREAM_DOWN', 'Plaid broke down');
      });
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      await world.stores.itemCommands.requestRemine(ourselves, itemId);
      const added = [transaction('old', { date: '2024-11-10' }), transaction('new', { date: '2026-11-10' })];
      item.page('', 'c2', { added });
      const asking = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
        syncTransactions: async (...args: Parameters<PlaidPort['syncTransactions']>) => {
          await world.stores.webhooks.store(webhook(itemId, 'removals', ['new']));
          return world.plaid.syncTransactions(...args);
        },
      });
      const end = await world
        .runWith({ plaid: asking })
        .minePage({ ...mine(item, 'remine-1'), remine: true });
      expect(end).toMatchObject({ kind: 'applied', removalsWaiting: 1 });
      const webhooks = await world.sql`
        SELECT outcome, removed_ids FROM webhooks WHERE item_id = ${itemId} ORDER BY received_at`;
      expect(webhooks).toEqual([
        { outcome: 'done', removed_ids: [] },
        { outcome: 'pending', removed_ids: ['new'] },
      ]);
      expect(await rows()).toEqual(['new posted', 'old posted']);
    });

    it('leaves one of which Plaid always counts more than it lists to a remine', async () => {
      const { itemId, rows } = await named();
      const run = answeredBy(async (_token, { from, offset }) =>
        from < '2025'
          ? { transactions: [transaction('x1'), transaction('x2')].slice(offset), total: 3 }
          : { transactions: [], total: 0 },
      );
      expect(await run.settleRemovals({ itemId })).toMatchObject({ changes: 1, more: true });
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      world.attempt = 3;
      const answer = await run.settleRemovals({ itemId });
      world.attempt = 1;
      expect(answer).toEqual({ changes: 0, more: false, remineAsked: 1 });
      expect(await rows()).toEqual(['new removed', 'old posted']);
    });
  });

  it('settleRemovals takes nothing for gone because one answer lists none of the days, but when three agree', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction('a'), transaction('b'), transaction('named')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
    const status = async () =>
      (
        await world.sql`SELECT status FROM transactions WHERE item_id = ${itemId} AND transaction_id = 'named'`
      )[0];
    const whole = [transaction('a'), transaction('b'), transaction('named')];
    let short = 1;
    const settleShort = () =>
      world
        .runWith({
          plaid: Object.assign(Object.create(world.plaid) as typeof world.plaid, {
            getTransactions: async () => {
              item.listed = short > 0 ? [] : whole;
              short -= 1;
              return { transactions: item.listed, total: item.listed.length };
            },
          }),
        })
        .settleRemovals({ itemId });
    // However often something else has failed before.
    world.attempt = 3;
    expect(await settleShort()).toMatchObject({ changes: 0, more: false });
    world.attempt = 1;
    expect(await status()).toEqual({ status: 'posted' });
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
    short = Infinity;
    expect(await settleShort()).toMatchObject({ changes: 1, more: false });
    expect(await status()).toEqual({ status: 'removed' });
  });

  it.each<[string, unknown[], Record<string, string>]>([
    ['null', [null], {}],
    ['a row without its id', [{ ...transaction('e2'), transaction_id: null }], {}],
    [
      'an older row, and one without a real date',
      [transaction('odd', { date: '0001-01-01' })],
      { date: '2024-12-01' },
    ],
    [
      'an older row, and one of the epoch',
      [transaction('odd', { date: '1970-01-01' })],
      { date: '2024-12-01' },
    ],
  ])('minePage of a remine takes no row for gone that may be there: %s', async (_name, besides, more) => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('e1'), transaction('e2', more)] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    item.page('', 'c1', { added: [transaction('e1'), ...(besides as PlaidTransaction[])] });
    for (const reading of ['r1', 'r2']) await world.run.minePage({ ...mine(item, reading), remine: true });
    const rows = await world.sql`
      SELECT transaction_id AS id, status FROM transactions
      WHERE item_id = ${item.itemId} AND transaction_id <> 'odd' ORDER BY 1`;
    expect(rows).toEqual([
      { id: 'e1', status: 'posted' },
      { id: 'e2', status: 'posted' },
    ]);
  });

  it('settleRemovals keeps what it has found when a later question fails, and leaves calls to others', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const ids = Array.from({ length: 25 }, (_, n) => `m${n}`);
    const dateOf = (n: number) => new Date(Date.UTC(2024, n, 15)).toISOString().slice(0, 10);
    item.page('', 'c1', { added: ids.map((id, n) => transaction(id, { date: dateOf(n) })) });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ids));
    item.listed = [];
    let calls = 0;
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getTransactions: async (token: string, query: Parameters<PlaidPort['getTransactions']>[1]) => {
        calls += 1;
        if (calls === 4) throw new Failure('RATE_LIMITED', 'slowly');
        return world.plaid.getTransactions(token, query);
      },
    });
    const settle = () => world.runWith({ plaid }).settleRemovals({ itemId });
    await expect(settle()).rejects.toMatchObject({ type: 'RATE_LIMITED' });
    const later = await settle();
    expect(later).toMatchObject({ changes: 10, more: true });
    expect(later.nextDueAt ?? 0).toBeGreaterThan(Date.now());
    expect(await settle()).toMatchObject({ changes: 10, more: true });
    expect(await settle()).toEqual({ changes: 2, more: false });
    expect(calls).toBe(4 + 10 + 10 + 2);
  });

  it('settleRemovals of more than it looks up at once says that more wait, until all are told', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const ids = Array.from({ length: 250 }, (_, n) => `r${n}`);
    item.page('', 'c1', { added: ids.map((id) => transaction(id)) });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ids));
    item.listed = [];
    const results = [];
    for (let n = 0; n < 3; n += 1) results.push(await world.run.settleRemovals({ itemId }));
    expect(results).toEqual([
      { changes: 100, more: true },
      { changes: 100, more: true },
      { changes: 50, more: false },
    ]);
    expect(await world.sql`SELECT outcome FROM webhooks WHERE item_id = ${itemId}`).toEqual([
      { outcome: 'done' },
    ]);
  });

  it('settleRemovals marks what Plaid no longer lists, once, and ends the webhook', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction('r1'), transaction('r2')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['r1', 'r2', 'never-seen']));
    // No update ends it, however often the sweep has the row looked at while Plaid refuses the look-up.
    const waiting = await world.run.loadItem({ itemId });
    expect(waiting?.snapshot).toMatchObject({
      webhooksWaiting: 0,
      due: expect.arrayContaining(['removals']),
    });
    item.listed = [transaction('r2')];
    expect(await twice('settleRemovals', { itemId })).toEqual([
      { changes: 1, more: false },
      { changes: 0, more: false },
    ]);
    const rows = await world.sql`
      SELECT transaction_id AS id, status FROM transactions WHERE item_id = ${itemId} ORDER BY 1`;
    expect(rows).toEqual([
      { id: 'r1', status: 'removed' },
      { id: 'r2', status: 'posted' },
    ]);
    const ended = await world.sql`SELECT outcome FROM webhooks WHERE item_id = ${itemId}`;
    expect(ended).toEqual([{ outcome: 'done' }]);
    expect(await world.run.settleRemovals({ itemId: 'nobody' })).toEqual({
      changes: 0,
      more: false,
    });
  });
});
