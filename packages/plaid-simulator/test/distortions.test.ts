import { call } from './endpoints.js';
import { refusalOf, Rig, type Truth } from './rig.js';

type Row = Record<string, unknown>;

interface Sent {
  accounts: unknown[];
  added: unknown[];
  modified: unknown[];
  removed: unknown[];
  next_cursor: string;
}

/** Accounts and transactions that are sent otherwise than Plaid's documentation says. */
describe('the control distort', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  async function readItem() {
    const item = await rig.link();
    await rig.control('POST', `/_sim/items/${item.itemId}/advance`, { to: 'historical' });
    const { cursor, added } = await rig.run(item.accessToken);
    const token = { access_token: item.accessToken };
    return {
      ...item,
      cursor,
      rows: added,
      token,
      distort: (body: object) => rig.control('POST', `/_sim/items/${item.itemId}/distort`, body),
      accounts: async () => (await call(rig, '/accounts/get', token)).body['accounts'] as (Row | null)[],
      sync: async (from: string) =>
        (await call(rig, '/transactions/sync', { ...token, cursor: from, count: 500 }))
          .body as unknown as Sent,
      truth: () =>
        rig.truth(item.itemId) as Promise<
          Truth & { distorted_accounts: string[]; distorted_transactions: string[] }
        >,
    };
  }

  it.each<[string, object, (sent: Row) => void]>([
    ['a null name', { set: { name: null } }, (sent) => expect(sent['name']).toBeNull()],
    ['a null type', { set: { type: null } }, (sent) => expect(sent['type']).toBeNull()],
    ['no balances', { without: ['balances'] }, (sent) => expect(sent).not.toHaveProperty('balances')],
    ['a text for balances', { set: { balances: 'none' } }, (sent) => expect(sent['balances']).toBe('none')],
    [
      'a balance that is a text, and none of another',
      { set: { 'balances.current': '12,50' }, without: ['balances.available'] },
      (sent) => {
        expect(sent['balances']).toMatchObject({ current: '12,50', iso_currency_code: 'USD' });
        expect(sent['balances']).not.toHaveProperty('available');
      },
    ],
    ['a field that nobody knows', { set: { 'a.b': 1 } }, (sent) => expect(sent['a']).toEqual({ b: 1 })],
  ])('sends an account with %s wherever accounts are sent', async (_name, distortion, check) => {
    const on = await readItem();
    const before = await on.accounts();
    const account_id = String(before[0]?.['account_id']);
    expect(await on.distort({ accounts: [{ account_id, ...distortion }] })).toEqual({
      accounts: [account_id],
      transactions: [],
    });
    for (const [path, more] of [
      ['/accounts/get', {}],
      ['/accounts/balance/get', {}],
      ['/auth/get', {}],
      ['/identity/get', {}],
      ['/transactions/sync', {}],
      ['/transactions/get', { start_date: '2020-01-01', end_date: '2040-01-01' }],
    ] as const) {
      const { accounts } = (await call(rig, path, { ...on.token, ...more })).body as unknown as Sent;
      check(accounts[0] as Row);
      if (path === '/identity/get') expect(accounts[0]).toHaveProperty('owners');
    }
    expect((await on.accounts())[1]).toEqual(before[1]);
    // The truth stays the bank's, and says which accounts are sent otherwise.
    const truth = await on.truth();
    expect(truth.accounts.find((known) => known.account_id === account_id)).toMatchObject(before[0] ?? {});
    expect(truth.distorted_accounts).toEqual([account_id]);
    await on.distort({ accounts: [{ account_id }] });
    expect(await on.accounts()).toEqual(before);
    expect((await on.truth()).distorted_accounts).toEqual([]);
  });

  it('sends something else in place of the whole, under another id too', async () => {
    const on = await readItem();
    const ids = (await on.accounts()).map((account) => String(account?.['account_id']));
    await on.distort({
      accounts: [
        { account_id: ids[0], as: null },
        { account_id: ids[1], as: 'account' },
        { account_id: ids[2], set: { account_id: 'renamed' } },
      ],
    });
    const sent = await on.accounts();
    expect(sent[0]).toBeNull();
    expect(sent[1]).toBe('account');
    expect(sent[2]).toMatchObject({ account_id: 'renamed' });
    expect((await on.truth()).distorted_accounts.sort()).toEqual([...ids.slice(0, 3), 'renamed'].sort());
    // Which accounts an answer is about is not the distortion's business.
    const chosen = await call(rig, '/accounts/get', { ...on.token, options: { account_ids: [ids[2]] } });
    expect(chosen.body['accounts']).toHaveLength(1);
    expect((await on.sync('')).accounts.includes(null)).toBe(true);
  });

  it('tells a distorted transaction as modified, and once more when it is whole again', async () => {
    const on = await readItem();
    const [first, second] = on.rows.slice(5).map(({ transaction_id }) => transaction_id);
    await on.distort({
      transactions: [
        {
          transaction_id: first,
          set: {
            personal_finance_category: 'FOOD_AND_DRINK',
            'location.lat': 'north',
            check_number: 1234,
            date: '0000-00-00',
          },
          without: ['amount'],
        },
        { transaction_id: second, as: null },
      ],
    });
    const page = await on.sync(on.cursor);
    expect(page.modified).toEqual([
      expect.objectContaining({
        transaction_id: first,
        personal_finance_category: 'FOOD_AND_DRINK',
        location: expect.objectContaining({ lat: 'north' }),
        check_number: 1234,
        date: '0000-00-00',
      }),
      null,
    ]);
    expect(page.modified[0]).not.toHaveProperty('amount');
    expect([page.added, page.removed]).toEqual([[], []]);
    const listed = await call(rig, '/transactions/get', {
      ...on.token,
      start_date: '2020-01-01',
      end_date: '2040-01-01',
      options: { count: 500, personal_finance_category_version: 'v1' },
    });
    expect(listed.body['transactions']).toContainEqual(expect.objectContaining({ check_number: 1234 }));
    expect(listed.body['transactions']).toContain(null);
    const truth = await on.truth();
    expect(truth.distorted_transactions).toEqual([first, second]);
    expect(new Map(truth.transactions.map((row) => [row.transaction_id, row.amount])).get(first ?? '')).toBe(
      on.rows.find(({ transaction_id }) => transaction_id === first)?.amount,
    );
    await on.distort({ transactions: [{ transaction_id: first }, { transaction_id: second }] });
    const healed = await on.sync(page.next_cursor);
    expect(healed.modified).toMatchObject(
      [first, second].map((id) => {
        const row: Row = { ...on.rows.find(({ transaction_id }) => transaction_id === id) };
        delete row['original_description'];
        return row;
      }),
    );
  });

  it('announces itself when it is to, and is for this application alone', async () => {
    const { api } = rig;
    const other = { 'plaid-client-id': 'other', 'plaid-secret': 'secret' };
    const request = {
      institution_id: 'ins_109508',
      initial_products: ['transactions'],
      options: { override_username: 'shared', webhook: 'http://127.0.0.1:9/hook' },
    };
    const made = await Promise.resolve(call(rig, '/sandbox/public_token/create', request));
    const { data } = await api.itemPublicTokenExchange({ public_token: String(made.body['public_token']) });
    const theirs = await call(rig, '/sandbox/public_token/create', request, other);
    const exchanged = await call(
      rig,
      '/item/public_token/exchange',
      {
        public_token: theirs.body['public_token'],
      },
      other,
    );
    for (const id of [data.item_id, String(exchanged.body['item_id'])]) {
      await rig.control('POST', `/_sim/items/${id}/advance`, { to: 'historical' });
    }
    const { added, cursor } = await rig.run(data.access_token);
    const their = await rig.run(String(exchanged.body['access_token']));
    const sent = async (id: string) => (await rig.deliveries(id)).length;
    const before = [await sent(data.item_id), await sent(String(exchanged.body['item_id']))];
    await rig.control('POST', `/_sim/items/${data.item_id}/distort`, {
      transactions: [{ transaction_id: added[0]?.transaction_id, set: { name: null } }],
      notify: true,
    });
    expect((await rig.deliveries(data.item_id)).map(({ webhook_code }) => webhook_code)).toContain(
      'SYNC_UPDATES_AVAILABLE',
    );
    expect(await sent(data.item_id)).toBe((before[0] ?? 0) + 1);
    expect(await sent(String(exchanged.body['item_id']))).toBe(before[1]);
    expect((await rig.run(data.access_token, cursor)).modified).toHaveLength(1);
    expect((await rig.run(String(exchanged.body['access_token']), their.cursor)).modified).toEqual([]);
  });

  it('is in an exported world', async () => {
    const on = await readItem();
    const [account] = await on.accounts();
    const transaction_id = on.rows[0]?.transaction_id;
    await on.distort({
      accounts: [{ account_id: account?.['account_id'], set: { name: null } }],
      transactions: [{ transaction_id, set: { name: null, transaction_id: null } }],
    });
    const world = await rig.control('GET', '/_sim/world');
    const other = await Rig.start();
    try {
      await other.control('POST', '/_sim/world', world);
      const page = (await call(other, '/transactions/sync', { ...on.token, cursor: on.cursor })).body;
      expect(page['modified']).toMatchObject([{ name: null, transaction_id: null }]);
      expect((page['accounts'] as Row[])[0]).toMatchObject({ name: null });
    } finally {
      await other.close();
    }
  });

  it('refuses what is not there', async () => {
    const on = await readItem();
    for (const body of [
      { accounts: [{ account_id: 'nobody', set: { name: null } }] },
      { transactions: [{ transaction_id: 'nothing', set: { name: null } }] },
      { transactions: [{ transaction_id: on.rows[0]?.transaction_id, set: { '__proto__.x': 1 } }] },
      { accounts: [{ account_id: 'nobody', put: {} }] },
    ]) {
      await expect(on.distort(body)).rejects.toMatchObject({ status: 400 });
    }
  });
});

describe('an Item that has been read', () => {
  let rig: Rig;
  let item: Awaited<ReturnType<Rig['link']>>;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());
  beforeEach(async () => {
    await rig.control('DELETE', '/_sim/faults');
    item = await rig.link();
    await rig.control('POST', `/_sim/items/${item.itemId}/advance`, { to: 'historical' });
  });

  describe('faults of an answer’s shape', () => {
    const fault = (path: string, what: object, more: object = {}) =>
      rig.control('POST', '/_sim/faults', { match: { path, item_id: item.itemId }, fault: what, ...more });

    it('short: pages of /transactions/sync are shorter than asked for, and nothing is lost', async () => {
      await fault('/transactions/sync', { short: 7 }, { times: 100 });
      const first = await rig.sync(item.accessToken, '', 500);
      expect(first).toMatchObject({ has_more: true, added: { length: 7 } });
      const { added, pages } = await rig.run(item.accessToken);
      expect(pages).toBe(Math.ceil(60 / 7));
      expect(new Set(added.map(({ transaction_id }) => transaction_id)).size).toBe(60);
      await rig.control('DELETE', '/_sim/faults');
      expect((await rig.run(item.accessToken)).pages).toBe(1);
    });

    it('short: an empty page says that there is more', async () => {
      await fault('/transactions/sync', { short: 0 });
      const empty = await rig.sync(item.accessToken, '', 500);
      expect(empty).toMatchObject({ has_more: true, added: [], modified: [], removed: [] });
      expect((await rig.run(item.accessToken, empty.next_cursor)).added).toHaveLength(60);
    });

    it('short: other lists end early, while their totals stay', async () => {
      const ask = { access_token: item.accessToken, start_date: '2020-01-01', end_date: '2040-01-01' };
      await fault('/transactions/get', { short: 3 });
      const { transactions, total_transactions } = (await rig.api.transactionsGet(ask)).data;
      expect([transactions.length, total_transactions]).toEqual([3, 60]);
      await fault('/accounts/get', { short: 1 });
      const accounts = async () =>
        (await rig.api.accountsGet({ access_token: item.accessToken })).data.accounts.length;
      expect([await accounts(), await accounts()]).toEqual([1, 4]);
      await rig.control('POST', '/_sim/faults', {
        match: { path: '/institutions/get' },
        fault: { short: 2 },
      });
      const page = await call(rig, '/institutions/get', { count: 10, offset: 0, country_codes: ['US'] });
      expect(page.body['institutions']).toHaveLength(2);
      expect(page.body['total']).toBeGreaterThan(200);
    });

    it('a row of no account, and a time beyond the calendar, are refused by their controls', async () => {
      const { added } = await rig.run(item.accessToken);
      const modify = [{ transaction_id: added[0]?.transaction_id, account_id: null }];
      for (const [path, body] of [
        [`/_sim/items/${item.itemId}/transactions`, { modify }],
        [`/_sim/items/${item.itemId}/consent`, { expires_in: 'P9999999999D' }],
        ['/_sim/clock', { advance: 'P9999999999D' }],
        [
          `/_sim/items/${item.itemId}/webhooks`,
          { webhook_type: 'ITEM', webhook_code: 'ERROR', delay_ms: 1e18 },
        ],
      ] as const) {
        await expect(rig.control('POST', path, body)).rejects.toMatchObject({ status: 400 });
      }
      expect((await rig.run(item.accessToken)).added).toHaveLength(60);
    });

    it('short: lists beside the main one end early, too, and lists of kinds', async () => {
      const ask = { access_token: item.accessToken, start_date: '2020-01-01', end_date: '2040-01-01' };
      await fault('/transactions/get', { short: 1 });
      const { accounts, transactions } = (await rig.api.transactionsGet(ask)).data;
      expect([accounts.length, transactions.length]).toEqual([1, 1]);
      await fault('/auth/get', { short: 1 });
      const { data } = await rig.api.authGet({ access_token: item.accessToken });
      expect([data.accounts.length, data.numbers.ach.length]).toEqual([1, 1]);
      const whole = (await rig.api.authGet({ access_token: item.accessToken })).data.numbers;
      expect(whole.ach.length).toBeGreaterThan(1);
    });

    it.each(['added', 'modified', 'removed', 'accounts', 'next_cursor'])(
      'distort: null for %s of /transactions/sync',
      async (name) => {
        await fault('/transactions/sync', { distort: { set: { [name]: null } } });
        const body = { access_token: item.accessToken, cursor: '' };
        const answer = await call(rig, '/transactions/sync', body);
        expect(answer.status).toBe(200);
        expect(answer.body[name]).toBeNull();
        expect(answer.body['request_id']).toMatch(/^\w{15}$/);
        expect((await call(rig, '/transactions/sync', body)).body[name]).not.toBeNull();
      },
    );

    it('distort: anything in any answer', async () => {
      await fault('/accounts/get', { distort: { set: { accounts: null }, without: ['item.item_id'] } });
      const token = { access_token: item.accessToken };
      const { body } = await call(rig, '/accounts/get', token);
      expect(body['accounts']).toBeNull();
      expect(body['item']).not.toHaveProperty('item_id');
      await fault('/auth/get', { distort: { set: { 'numbers.ach': null } } });
      expect((await call(rig, '/auth/get', token)).body['numbers']).toMatchObject({ ach: null, bacs: [] });
      await fault('/item/get', { distort: { as: [] } });
      expect((await call(rig, '/item/get', token)).body).toEqual([]);
      const nothing = fault('/item/get', { distort: {} });
      await expect(nothing).rejects.toMatchObject({ status: 400 });
    });

    it('distort: a read whose answer was distorted does not count as read', async () => {
      await fault('/transactions/sync', { distort: { set: { added: null } } });
      await rig.run(item.accessToken).catch(() => undefined);
      const first = (await rig.truth(item.itemId)).transactions[0];
      await rig.change(item.itemId, { remove: [first?.transaction_id] });
      expect((await rig.truth(item.itemId)).removed).toEqual([]);
    });
  });

  describe('cursors that Plaid withdraws', () => {
    const withdraw = (body: object) =>
      rig.control('POST', `/_sim/items/${item.itemId}/withdraw-cursors`, body);
    const refused = async (cursor: string) =>
      (await refusalOf(rig.sync(item.accessToken, cursor))).error_code;

    it.each(['INVALID_FIELD', 'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION'])(
      'are answered with %s for ever, those given out later are not',
      async (answer) => {
        const { cursor } = await rig.run(item.accessToken);
        const page = await rig.sync(item.accessToken, '', 5);
        const other = await rig.link();
        await rig.control('POST', `/_sim/items/${other.itemId}/advance`, { to: 'historical' });
        const theirs = await rig.run(other.accessToken);
        await withdraw({ answer });
        expect([await refused(cursor), await refused(page.next_cursor)]).toEqual([answer, answer]);
        await rig.change(item.itemId, { add: [{ amount: 1, name: 'Later' }] });
        await rig.advance('P3D');
        expect(await refused(cursor)).toBe(answer);
        const anew = await rig.run(item.accessToken, '', 7);
        expect(anew.added).toHaveLength(61);
        expect((await rig.run(item.accessToken, anew.cursor)).added).toEqual([]);
        // Another Item's cursors are none of it, and an exported world keeps it.
        expect((await rig.run(other.accessToken, theirs.cursor)).added).toEqual([]);
        const world = await rig.control('GET', '/_sim/world');
        await rig.control('POST', '/_sim/world', world);
        expect(await refused(cursor)).toBe(answer);
        expect((await rig.run(item.accessToken, anew.cursor)).added).toEqual([]);
      },
    );

    it('may be a single one', async () => {
      const { cursor } = await rig.run(item.accessToken);
      await rig.change(item.itemId, { add: [{ amount: 1, name: 'Later' }] });
      const { cursor: next } = await rig.run(item.accessToken, cursor);
      await withdraw({ cursor: next });
      expect(await refused(next)).toBe('INVALID_FIELD');
      expect((await rig.run(item.accessToken, cursor)).added).toHaveLength(1);
      expect((await rig.run(item.accessToken)).cursor).not.toBe(next);
    });

    it('make no webhook', async () => {
      const sent = (await rig.deliveries(item.itemId)).length;
      await rig.run(item.accessToken);
      await withdraw({});
      await rig.control('POST', '/items/transactions/notify', {}).catch(() => undefined);
      await rig.change(item.itemId, { notify: true });
      expect((await rig.deliveries(item.itemId)).length).toBe(sent);
    });
  });
});
