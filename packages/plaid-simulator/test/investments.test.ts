import { Products } from 'plaid';
import { call } from './endpoints.js';
import { PlaidTypes } from './plaidTypes.js';
import { refusalOf, Rig } from './rig.js';

const types = new PlaidTypes();
const ALWAYS = { start_date: '2000-01-01', end_date: '2040-01-01' };
const HOOK = 'http://127.0.0.1:9/hook';

type Body = Record<string, unknown>;

describe('Investments', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  const invested = async (options: Parameters<Rig['link']>[0] = {}) => {
    const item = await rig.link({ products: [Products.Investments], webhook: HOOK, ...options });
    return {
      ...item,
      token: { access_token: item.accessToken },
      holdings: async () => (await rig.api.investmentsHoldingsGet({ access_token: item.accessToken })).data,
      trades: async (options_: { count?: number; offset?: number; account_ids?: string[] } = {}) =>
        (
          await rig.api.investmentsTransactionsGet({
            access_token: item.accessToken,
            ...ALWAYS,
            options: { count: 500, ...options_ },
          })
        ).data,
      change: (body: object) =>
        rig.control<{ investment_transactions: string[] }>(
          'POST',
          `/_sim/items/${item.itemId}/investments`,
          body,
        ),
      sent: async (type: string) =>
        (await rig.deliveries(item.itemId))
          .map(({ body }) => JSON.parse(body) as Body)
          .filter(({ webhook_type }) => webhook_type === type),
    };
  };
  const sum = (numbers: number[]) => Number(numbers.reduce((all, one) => all + one, 0).toFixed(2));

  it.each([[[Products.Assets]], [[Products.Investments]], [[Products.Liabilities]], [[Products.Statements]]])(
    'lets %s be asked for at a link, by token and without Link',
    async (products) => {
      const { accessToken } = await rig.link({ products });
      expect((await rig.api.itemGet({ access_token: accessToken })).data.item.products).toEqual(products);
      const created = await call(rig, '/link/token/create', {
        client_name: 'Tests',
        country_codes: ['US'],
        language: 'en',
        products,
        user: { client_user_id: 'somebody' },
      });
      expect(created.status).toBe(200);
      const { public_token } = await rig.control<{ public_token: string }>('POST', '/_sim/link', {
        link_token: created.body['link_token'],
      });
      const { data } = await rig.api.itemPublicTokenExchange({ public_token });
      expect((await rig.api.itemGet({ access_token: data.access_token })).data.item.products).toEqual(
        products,
      );
    },
  );

  it('have accounts of their own, whose holdings are worth their balances', async () => {
    const on = await invested({ username: 'user_good' });
    const { accounts, holdings, securities } = await on.holdings();
    const own = accounts.filter(({ type }) => String(type) === 'investment');
    expect(own.map(({ mask, subtype }) => [mask, subtype])).toEqual([
      ['5555', 'ira'],
      ['6666', '401k'],
    ]);
    for (const { account_id, balances } of own) {
      const of = holdings.filter((holding) => holding.account_id === account_id);
      expect(of.length).toBeGreaterThan(3);
      expect(sum(of.map(({ institution_value }) => institution_value))).toBe(balances.current);
      for (const { quantity, institution_price, institution_value } of of) {
        expect(institution_value).toBeCloseTo(quantity * institution_price, 2);
      }
    }
    const known = new Set(securities.map(({ security_id }) => security_id));
    expect(new Set(holdings.map(({ security_id }) => security_id))).toEqual(known);
    // Who does not ask for Investments has the four accounts that there always were.
    const without = await rig.link({ username: 'user_good' });
    const refusal = await refusalOf(rig.api.investmentsHoldingsGet({ access_token: without.accessToken }));
    expect(refusal).toMatchObject({ error_type: 'ITEM_ERROR', error_code: 'NO_INVESTMENT_ACCOUNTS' });
    const { data } = await rig.api.accountsGet({ access_token: without.accessToken });
    expect(data.accounts.map(({ mask }) => mask)).toEqual(['0000', '1111', '3333', '4444']);
    expect(data.item.products).toContain(Products.Investments);
  });

  it('are the same for the same user, under other ids of accounts and the same of securities', async () => {
    const [one, two, other] = [
      await invested({ username: 'ann' }),
      await invested({ username: 'ann', products: [Products.Liabilities, Products.Investments] }),
      await invested({ username: 'bob' }),
    ];
    const held = async (on: typeof one) =>
      (await on.holdings()).holdings.map((holding) => ({ ...holding, account_id: 'own' }));
    expect(await held(two)).toEqual(await held(one));
    expect(await held(other)).not.toEqual(await held(one));
    const traded = async (on: typeof one) =>
      (await on.trades()).investment_transactions.map((row) => ({
        ...row,
        account_id: 'own',
        investment_transaction_id: 'own',
      }));
    expect(await traded(two)).toEqual(await traded(one));
    const ids = async (on: typeof one) =>
      (await on.trades()).investment_transactions.map((row) => row.investment_transaction_id);
    const first = await ids(one);
    expect((await ids(two)).filter((id) => first.includes(id))).toEqual([]);
    expect(await ids(one)).toEqual(first);
    const rig2 = await Rig.start();
    try {
      const { accessToken } = await rig2.link({ products: [Products.Investments], username: 'ann' });
      const again = (await rig2.api.investmentsHoldingsGet({ access_token: accessToken })).data.holdings;
      expect(again.map(({ quantity }) => quantity)).toEqual(
        (await one.holdings()).holdings.map(({ quantity }) => quantity),
      );
    } finally {
      await rig2.close();
    }
  });

  it('list two years of trades, the newest first, in pages', async () => {
    const on = await invested();
    const all = await on.trades();
    const rows = all.investment_transactions;
    expect(all.total_investment_transactions).toBe(rows.length);
    expect(rows.length).toBeGreaterThan(80);
    const dates = rows.map(({ date }) => date);
    expect(dates).toEqual([...dates].sort().reverse());
    expect(new Set(rows.map((row) => row.investment_transaction_id)).size).toBe(rows.length);
    const pages = [await on.trades({ count: 50 }), await on.trades({ count: 50, offset: 50 })];
    expect(pages.flatMap((page) => page.investment_transactions)).toEqual(rows.slice(0, 100));
    const [account] = all.accounts.filter(({ type }) => String(type) === 'investment');
    const one = await on.trades({ account_ids: [account?.account_id ?? ''] });
    expect(one.accounts).toHaveLength(1);
    expect(one.investment_transactions).toEqual(rows.filter((row) => row.account_id === account?.account_id));
    const [newest, oldest] = [rows[0], rows.at(-1)];
    const day = (
      await rig.api.investmentsTransactionsGet({
        ...on.token,
        start_date: oldest?.date ?? '',
        end_date: oldest?.date ?? '',
      })
    ).data;
    expect(day.total_investment_transactions).toBeGreaterThan(0);
    expect(day.investment_transactions.some(({ date }) => date === newest?.date)).toBe(false);
    const reversed = { ...on.token, start_date: '2026-01-02', end_date: '2026-01-01' };
    expect((await refusalOf(rig.api.investmentsTransactionsGet(reversed))).error_code).toBe('INVALID_FIELD');
    const foreign = { ...on.token, options: { account_ids: ['nobody'] } };
    expect((await refusalOf(rig.api.investmentsHoldingsGet(foreign))).error_code).toBe('INVALID_ACCOUNT_ID');
  });

  it('change as their owner trades; Plaid tells of it at its next look', async () => {
    const on = await invested();
    const before = await on.holdings();
    const [account] = before.accounts.filter(({ type }) => String(type) === 'investment');
    const { total_investment_transactions: total } = await on.trades();
    const { investment_transactions: ids } = await on.change({
      trades: [
        { type: 'buy', ticker: 'KTTL', quantity: 2, price: 40, fees: 1 },
        { type: 'buy', ticker: 'NEWS', quantity: 1, price: 5 },
        { type: 'cash', subtype: 'contribution', amount: -100 },
      ],
    });
    expect(ids).toHaveLength(3);
    const after = await on.holdings();
    const quantityOf = (held: typeof before, ticker: string) => {
      const id = held.securities.find(({ ticker_symbol }) => ticker_symbol === ticker)?.security_id;
      return held.holdings.find(
        ({ security_id, account_id }) => security_id === id && account_id === account?.account_id,
      )?.quantity;
    };
    expect(quantityOf(after, 'KTTL')).toBeCloseTo((quantityOf(before, 'KTTL') ?? 0) + 2, 3);
    expect(quantityOf(after, 'NEWS')).toBe(1);
    // Two purchases with their fee are paid in cash, and a hundred came in.
    expect(quantityOf(after, 'CUR:USD')).toBeCloseTo((quantityOf(before, 'CUR:USD') ?? 0) - 81 - 5 + 100, 2);
    const { investment_transactions: rows } = await on.trades();
    expect(rows).toHaveLength(total + 3);
    expect(new Set(rows.slice(0, 3).map((row) => row.investment_transaction_id))).toEqual(new Set(ids));
    expect(rows.find((row) => row.investment_transaction_id === ids[0])).toMatchObject({
      type: 'buy',
      subtype: 'buy',
      quantity: 2,
      price: 40,
      fees: 1,
      amount: 81,
      name: 'BUY KTTL',
    });
    expect([await on.sent('HOLDINGS'), await on.sent('INVESTMENTS_TRANSACTIONS')]).toEqual([[], []]);
    await rig.api.investmentsRefresh(on.token);
    const holdings = await on.sent('HOLDINGS');
    const trades = await on.sent('INVESTMENTS_TRANSACTIONS');
    expect(holdings).toMatchObject([
      { webhook_code: 'DEFAULT_UPDATE', new_holdings: 1, updated_holdings: 2 },
    ]);
    expect(trades).toMatchObject([
      { new_investments_transactions: 3, cancelled_investments_transactions: 0, item_id: on.itemId },
    ]);
    expect(types.check(holdings[0], 'HoldingsDefaultUpdateWebhook')).toEqual([]);
    expect(types.check(trades[0], 'InvestmentsDefaultUpdateWebhook')).toEqual([]);
    await rig.api.investmentsRefresh(on.token);
    expect((await on.sent('HOLDINGS')).length).toBe(1);
    // What was bought is sold whole, one trade comes to nothing.
    await on.change({
      trades: [{ type: 'sell', ticker: 'NEWS', quantity: 1, price: 6 }],
      cancel: [ids[0]],
      notify: true,
    });
    expect(quantityOf(await on.holdings(), 'NEWS')).toBeUndefined();
    expect(quantityOf(await on.holdings(), 'KTTL')).toBeCloseTo(quantityOf(before, 'KTTL') ?? 0, 3);
    expect((await on.sent('HOLDINGS'))[1]).toMatchObject({ new_holdings: 0, updated_holdings: 3 });
    expect((await on.sent('INVESTMENTS_TRANSACTIONS'))[1]).toMatchObject({
      new_investments_transactions: 1,
      cancelled_investments_transactions: 1,
    });
  });

  it('are worth their accounts’ balances whatever is paid in, bought, sold and cancelled; a change that is refused changes nothing', async () => {
    const on = await invested();
    const worth = async () => {
      const { accounts, holdings } = await on.holdings();
      const own = accounts.filter(({ type }) => String(type) === 'investment');
      return own.map(({ account_id, balances }) => {
        const of = holdings.filter((holding) => holding.account_id === account_id);
        return [balances.current, sum(of.map(({ institution_value }) => institution_value))];
      });
    };
    const before = (await worth())[0]?.[0] ?? 0;
    const trades = [
      { type: 'cash', subtype: 'deposit', amount: -500 },
      { type: 'buy', ticker: 'NEWS', quantity: 2, price: 10, fees: 1 },
      { type: 'sell', ticker: 'NEWS', quantity: 1, price: 30 },
    ];
    const { investment_transactions: ids } = await on.change({ trades });
    for (const [balance, value] of await worth()) expect(balance).toBe(value);
    // Two at ten cost one in fees; one of them was sold for twenty more than it had cost.
    expect((await worth())[0]?.[0]).toBeCloseTo(before + 500 - 1 + 20, 2);
    const standing = await worth();
    await expect(on.change({ prices: { NEWS: 50, NOBODY: 1 } })).rejects.toMatchObject({ status: 400 });
    await expect(on.change({ prices: { NEWS: 50 }, cancel: ['nothing'] })).rejects.toMatchObject({
      status: 400,
    });
    expect(await worth()).toEqual(standing);
    await on.change({ cancel: [ids[0]], prices: { NEWS: 50 } });
    for (const [balance, value] of await worth()) expect(balance).toBe(value);
    expect((await worth())[0]?.[0]).toBeCloseTo(before - 1 + 20 + 40, 2);
  });

  it('are worth more when a price rises', async () => {
    const on = await invested();
    const before = await on.holdings();
    await on.change({ prices: { GRNTX: 200 }, notify: true });
    const after = await on.holdings();
    for (const { account_id, balances, type } of after.accounts) {
      if (String(type) !== 'investment') continue;
      const value = after.holdings
        .filter((holding) => holding.account_id === account_id)
        .map(({ institution_value }) => institution_value);
      expect(balances.current).toBeCloseTo(sum(value), 1);
      expect(balances.current).toBeGreaterThan(
        before.accounts.find((one) => one.account_id === account_id)?.balances.current ?? Infinity,
      );
    }
    expect(await on.sent('HOLDINGS')).toMatchObject([{ new_holdings: 0, updated_holdings: 2 }]);
    await expect(on.change({ prices: { NOBODY: 1 } })).rejects.toMatchObject({ status: 400 });
    await expect(on.change({ cancel: ['nothing'] })).rejects.toMatchObject({ status: 400 });
    await expect(on.change({ trades: [{ type: 'buy' }] })).rejects.toMatchObject({ status: 400 });
  });

  it('reach every application of the login, under ids of its own, and outlive an export', async () => {
    const other = { 'plaid-client-id': 'other', 'plaid-secret': 'secret' };
    const on = await invested({ username: 'shared' });
    await on.change({ trades: [{ type: 'buy', ticker: 'HRBR', quantity: 3 }] });
    const made = await call(
      rig,
      '/sandbox/public_token/create',
      {
        institution_id: 'ins_109508',
        initial_products: ['investments'],
        options: { override_username: 'shared', webhook: HOOK },
      },
      other,
    );
    const theirs = await call(
      rig,
      '/item/public_token/exchange',
      { public_token: made.body['public_token'] },
      other,
    );
    const token = { access_token: String(theirs.body['access_token']) };
    const seen = async () =>
      (await rig.api.investmentsHoldingsGet(token)).data.holdings.map(({ quantity }) => quantity);
    const mine = async () => (await on.holdings()).holdings.map(({ quantity }) => quantity);
    expect(await seen()).toEqual(await mine());
    await on.change({ trades: [{ type: 'buy', ticker: 'HRBR', quantity: 4 }], notify: true });
    expect(await seen()).toEqual(await mine());
    const told = (await rig.deliveries(String(theirs.body['item_id']))).map(({ webhook_code, body }) => [
      webhook_code,
      (JSON.parse(body) as Body)['webhook_type'],
    ]);
    expect(told).toContainEqual(['DEFAULT_UPDATE', 'HOLDINGS']);
    const ids = new Set(
      (await on.trades()).investment_transactions.map((row) => row.investment_transaction_id),
    );
    const theirRows = (await rig.api.investmentsTransactionsGet({ ...token, ...ALWAYS })).data;
    expect(theirRows.investment_transactions.filter((row) => ids.has(row.investment_transaction_id))).toEqual(
      [],
    );
    const quantities = await mine();
    const world = await rig.control('GET', '/_sim/world');
    await rig.control('POST', '/_sim/world', world);
    expect(await mine()).toEqual(quantities);
  });

  it('are what a custom user’s file says', async () => {
    const listed = (ticker_symbol: string, quantity: number, more: object = {}) => ({
      institution_price: 10.5,
      quantity,
      currency: 'USD',
      security: { ticker_symbol, currency: 'USD' },
      ...more,
    });
    const password = JSON.stringify({
      override_accounts: [
        {
          type: 'investment',
          subtype: 'brokerage',
          starting_balance: 120,
          holdings: [
            listed('AAPL', 12, { cost_basis: 9, institution_price_as_of: '2026-02-08' }),
            listed('CUR:BTC', 0.00293644),
            listed('F261108C00005000', 20),
          ],
          investment_transactions: [
            {
              date: '2026-01-29',
              name: 'buy stock',
              quantity: 10,
              price: 10,
              fees: 20,
              type: 'buy',
              currency: 'USD',
              security: { ticker_symbol: 'PLAID', currency: 'USD' },
            },
            { date: '2026-02-01', name: 'sell stock', quantity: 2, price: 11, type: 'sell', currency: 'USD' },
          ],
        },
      ],
    });
    const on = await invested({ username: 'user_custom', password });
    const { holdings, securities } = await on.holdings();
    expect(holdings.map(({ quantity, institution_price }) => [quantity, institution_price])).toEqual([
      [12, 10.5],
      [0.00293644, 10.5],
      [20, 10.5],
    ]);
    expect(holdings[0]).toMatchObject({
      institution_value: 126,
      cost_basis: 9,
      institution_price_as_of: '2026-02-08',
    });
    expect(securities.map(({ type }) => type)).toEqual(['equity', 'cryptocurrency', 'derivative']);
    expect(securities[2]?.option_contract).toEqual({
      contract_type: 'call',
      expiration_date: '2026-11-08',
      strike_price: 5,
      underlying_security_ticker: 'F',
    });
    const { investment_transactions: rows } = await on.trades();
    expect(rows).toMatchObject([
      { name: 'sell stock', quantity: -2, amount: -22, security_id: null },
      { name: 'buy stock', quantity: 10, amount: 120, fees: 20 },
    ]);
    for (const path of ['/investments/holdings/get', '/investments/transactions/get']) {
      const answer = await call(rig, path, {
        ...on.token,
        ...(path.includes('transactions') ? ALWAYS : {}),
      });
      expect(types.check(answer.body, types.endpoint(path).response, path)).toEqual([]);
    }
    const wrong = JSON.stringify({
      override_accounts: [{ type: 'investment', holdings: [{ quantity: 'many' }] }],
    });
    expect(await refusalOf(rig.link({ username: 'user_custom', password: wrong }))).toMatchObject({
      error_code: 'INVALID_FIELD',
    });
  });

  it('are counted by the published limits', async () => {
    const strict = await Rig.start({ limits: 'production' });
    try {
      const { accessToken } = await strict.link({ products: [Products.Investments, Products.Liabilities] });
      const token = { access_token: accessToken };
      for (const [ask, times, code] of [
        [() => strict.api.investmentsHoldingsGet(token), 15, 'INVESTMENT_HOLDINGS_GET_LIMIT'],
        [
          () => strict.api.investmentsTransactionsGet({ ...token, ...ALWAYS }),
          30,
          'INVESTMENT_TRANSACTIONS_LIMIT',
        ],
        [() => strict.api.liabilitiesGet(token), 15, 'RATE_LIMIT'],
      ] as const) {
        for (let n = 0; n < times; n += 1) await ask();
        expect(await refusalOf(ask())).toMatchObject({ status: 429, error_code: code });
      }
    } finally {
      await strict.close();
    }
  });

  it('are not at a British bank, and only by name at a bank that has them', async () => {
    const british = rig.link({ institution: 'ins_116834', products: [Products.Investments] });
    expect((await refusalOf(british)).error_code).toBe('PRODUCTS_NOT_SUPPORTED');
    const { accessToken, itemId } = await rig.link({ webhook: HOOK });
    const token = { access_token: accessToken };
    expect((await refusalOf(rig.api.investmentsRefresh(token))).error_code).toBe('PRODUCT_NOT_ENABLED');
    const { status } = (await rig.api.itemGet(token)).data;
    expect(status?.investments).toBeNull();
    const fired = { ...token, webhook_type: 'HOLDINGS' as never, webhook_code: 'DEFAULT_UPDATE' as never };
    expect((await refusalOf(rig.api.sandboxItemFireWebhook(fired))).error_code).toBe(
      'SANDBOX_PRODUCT_NOT_ENABLED',
    );
    await expect(
      rig.control('POST', `/_sim/items/${itemId}/investments`, { trades: [{ type: 'cash', amount: 1 }] }),
    ).rejects.toMatchObject({ status: 400 });
    const on = await invested();
    expect((await rig.api.itemGet(on.token)).data.status?.investments).toEqual({
      last_successful_update: expect.any(String),
      last_failed_update: null,
    });
    await rig.api.sandboxItemFireWebhook({ ...fired, ...on.token });
    expect(await on.sent('HOLDINGS')).toHaveLength(1);
    await rig.api.sandboxItemResetLogin(on.token);
    expect((await refusalOf(rig.api.investmentsHoldingsGet(on.token))).error_code).toBe(
      'ITEM_LOGIN_REQUIRED',
    );
  });
});

describe('Liabilities', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  it('are a credit card, a student loan and a mortgage', async () => {
    const { accessToken } = await rig.link({ username: 'user_good', products: [Products.Liabilities] });
    const token = { access_token: accessToken };
    const { accounts, liabilities } = (await rig.api.liabilitiesGet(token)).data;
    const ofMask = (mask: string) => accounts.find((account) => account.mask === mask)?.account_id;
    expect(liabilities.credit?.map(({ account_id }) => account_id)).toEqual([ofMask('3333')]);
    expect(liabilities.student?.map(({ account_id }) => account_id)).toEqual([ofMask('7777')]);
    expect(liabilities.mortgage?.map(({ account_id }) => account_id)).toEqual([ofMask('8888')]);
    expect(liabilities.credit?.[0]?.last_statement_balance).toBe(410);
    const one = { ...token, options: { account_ids: [ofMask('7777') ?? ''] } };
    const chosen = (await rig.api.liabilitiesGet(one)).data;
    expect(chosen.accounts).toHaveLength(1);
    expect(chosen.liabilities).toEqual({ credit: null, mortgage: null, student: liabilities.student });
    const answer = await call(rig, '/liabilities/get', token);
    expect(types.check(answer.body, 'LiabilitiesGetResponse')).toEqual([]);
    expect((await rig.api.liabilitiesGet(token)).data.liabilities).toEqual(liabilities);
  });

  it('are what a custom user’s file says', async () => {
    const custom = (account: object) => JSON.stringify({ override_accounts: [account] });
    const link = async (password: string) => {
      const { accessToken } = await rig.link({
        username: 'user_custom',
        password,
        products: [Products.Liabilities],
      });
      return { access_token: accessToken };
    };
    const student = await link(
      custom({
        type: 'loan',
        subtype: 'student',
        liability: {
          type: 'student',
          origination_date: '2022-01-01',
          principal: 45123,
          nominal_apr: 4.23,
          guarantor: 'DEPT OF ED',
          loan_name: 'Plaid Student Loan',
          repayment_model: { type: 'standard', non_repayment_months: 12, repayment_months: 120 },
        },
      }),
    );
    expect((await rig.api.liabilitiesGet(student)).data.liabilities).toMatchObject({
      credit: null,
      mortgage: null,
      student: [
        {
          origination_date: '2022-01-01',
          origination_principal_amount: 45123,
          interest_rate_percentage: 4.23,
          loan_name: 'Plaid Student Loan',
        },
      ],
    });
    const card = await link(
      custom({
        type: 'credit',
        subtype: 'credit card',
        starting_balance: 1245.67,
        liability: { type: 'credit', purchase_apr: 16.99, minimum_payment_amount: 35, is_overdue: true },
      }),
    );
    const { liabilities } = (await rig.api.liabilitiesGet(card)).data;
    expect(liabilities.credit?.[0]).toMatchObject({
      is_overdue: true,
      minimum_payment_amount: 35,
      last_statement_balance: 1245.67,
      aprs: expect.arrayContaining([
        expect.objectContaining({ apr_type: 'purchase_apr', apr_percentage: 16.99 }),
      ]),
    });
    for (const token of [student, card]) {
      const answer = await call(rig, '/liabilities/get', token);
      expect(types.check(answer.body, 'LiabilitiesGetResponse')).toEqual([]);
    }
    const nothing = await link(custom({ type: 'depository', subtype: 'checking' }));
    expect((await refusalOf(rig.api.liabilitiesGet(nothing))).error_code).toBe('NO_LIABILITY_ACCOUNTS');
  });

  it('change, which Plaid tells with the fields that did', async () => {
    const { accessToken, itemId } = await rig.link({ products: [Products.Liabilities], webhook: HOOK });
    const { liabilities } = (await rig.api.liabilitiesGet({ access_token: accessToken })).data;
    const account_id = String(liabilities.credit?.[0]?.account_id);
    const change = (body: object) => rig.control('POST', `/_sim/items/${itemId}/liabilities`, body);
    await change({ modify: [{ account_id, is_overdue: true, minimum_payment_amount: 55 }], notify: true });
    await change({ modify: [{ account_id, is_overdue: true }], notify: true });
    const sent = (await rig.deliveries(itemId)).map(({ body }) => JSON.parse(body) as Body);
    expect(sent).toMatchObject([
      {
        webhook_type: 'LIABILITIES',
        webhook_code: 'DEFAULT_UPDATE',
        account_ids_with_new_liabilities: [],
        account_ids_with_updated_liabilities: {
          [account_id]: expect.arrayContaining(['is_overdue', 'minimum_payment_amount']),
        },
      },
    ]);
    expect(types.check(sent[0], 'LiabilitiesDefaultUpdateWebhook')).toEqual([]);
    const after = (await rig.api.liabilitiesGet({ access_token: accessToken })).data.liabilities;
    expect(after.credit?.[0]).toMatchObject({ is_overdue: true, minimum_payment_amount: 55 });
    await expect(change({ modify: [{ account_id: 'nobody', is_overdue: true }] })).rejects.toMatchObject({
      status: 400,
    });
  });
});
