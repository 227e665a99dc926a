import { AccountType, Products, type TransactionStream } from 'plaid';
import { call } from './endpoints.js';
import { Receiver, refusalOf, Rig } from './rig.js';

const CAPITAL_ONE = 'ins_128026';
const CHASE = 'ins_56';
const US_BANK = 'ins_127990';
const TODAY = '2026-07-01';

/** Transactions of one payee: a date, an amount, a text. */
const rows = (description: string, amount: number, dates: readonly string[]) =>
  dates.map((date) => ({ date_transacted: date, date_posted: date, amount, description, currency: 'USD' }));

const password = (accounts: readonly object[]) =>
  JSON.stringify({ version: 2, seed: 'products', override_accounts: accounts });

const checking = (extra: object = {}) => ({ type: 'depository', subtype: 'checking', ...extra });

describe('products', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ now: Date.parse(`${TODAY}T12:00:00Z`) });
  });
  afterAll(() => rig.close());

  const custom = (accounts: readonly object[], options: Parameters<Rig['link']>[0] = {}) =>
    rig.link({ username: 'user_custom', password: password(accounts), ...options });
  const idle = (itemId: string) => rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });

  describe('recurring transactions', () => {
    const HISTORY = [
      ...rows('RENT 0117', 1500, ['2026-03-01', '2026-04-01', '2026-05-01', '2026-06-01']),
      ...rows('ACME PAYROLL 991', -2000, ['2026-05-08', '2026-05-22', '2026-06-05', '2026-06-19']),
      ...rows('GARDEN BOX', 20, ['2026-06-02', '2026-06-09', '2026-06-16', '2026-06-23', '2026-06-30']),
      ...rows('LETTER CLUB', 9, ['2026-05-20', '2026-06-20']),
      ...rows('SHORT LIVED', 7, ['2026-01-10', '2026-02-10']),
      ...rows('GONE QUIET', 30, ['2026-01-05', '2026-02-05', '2026-03-05']),
      ...rows('CLUB FEE', 99, ['2025-05-10', '2026-05-11']),
      ...rows('ODD ONE', 5, ['2026-01-01', '2026-01-04', '2026-02-20', '2026-06-01']),
      ...rows('ONCE', 5, ['2026-06-01']),
    ];

    const streams = async (accessToken: string) => {
      const { data } = await rig.api.transactionsRecurringGet({ access_token: accessToken });
      const named = (list: TransactionStream[]) =>
        new Map(list.map((stream) => [stream.description, stream] as const));
      return { inflow: named(data.inflow_streams), outflow: named(data.outflow_streams) };
    };

    it('need Transactions, and the whole history', async () => {
      const without = await rig.link({ products: [Products.Auth] });
      expect(
        await refusalOf(rig.api.transactionsRecurringGet({ access_token: without.accessToken })),
      ).toMatchObject({ error_code: 'PRODUCT_NOT_ENABLED' });
      const { accessToken, itemId } = await rig.link();
      const get = () => rig.api.transactionsRecurringGet({ access_token: accessToken });
      expect((await refusalOf(get())).error_code).toBe('PRODUCT_NOT_READY');
      await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'initial' });
      expect((await refusalOf(get())).error_code).toBe('PRODUCT_NOT_READY');
      await idle(itemId);
      expect((await get()).status).toBe(200);
      const foreign = { access_token: accessToken, account_ids: ['nobody'] };
      expect((await refusalOf(rig.api.transactionsRecurringGet(foreign))).error_code).toBe(
        'INVALID_ACCOUNT_ID',
      );
    });

    it('are found in what was read', async () => {
      const { accessToken, itemId } = await custom([checking({ transactions: HISTORY })]);
      await idle(itemId);
      const { inflow, outflow } = await streams(accessToken);
      const brief = (stream: TransactionStream | undefined) =>
        stream && [stream.frequency, stream.status, stream.is_active, stream.predicted_next_date];
      expect([...inflow.keys()]).toEqual(['ACME PAYROLL 991']);
      expect(brief(inflow.get('ACME PAYROLL 991'))).toEqual(['BIWEEKLY', 'MATURE', true, '2026-07-03']);
      expect(inflow.get('ACME PAYROLL 991')?.average_amount.amount).toBe(-2000);
      expect([...outflow.keys()].sort()).toEqual(
        ['CLUB FEE', 'GARDEN BOX', 'GONE QUIET', 'LETTER CLUB', 'RENT 0117', 'SHORT LIVED'].sort(),
      );
      expect(brief(outflow.get('RENT 0117'))).toEqual(['MONTHLY', 'MATURE', true, '2026-07-01']);
      expect(brief(outflow.get('GARDEN BOX'))).toEqual(['WEEKLY', 'MATURE', true, '2026-07-07']);
      expect(brief(outflow.get('LETTER CLUB'))).toEqual(['MONTHLY', 'EARLY_DETECTION', true, '2026-07-20']);
      expect(brief(outflow.get('SHORT LIVED'))).toEqual(['MONTHLY', 'TOMBSTONED', false, null]);
      expect(brief(outflow.get('GONE QUIET'))).toEqual(['MONTHLY', 'MATURE', false, null]);
      expect(brief(outflow.get('CLUB FEE'))).toEqual(['ANNUALLY', 'MATURE', true, '2027-05-11']);
      const { transactions } = await rig.truth(itemId);
      const rent = transactions
        .filter(({ name }) => name.startsWith('RENT'))
        .sort((a, b) => (a.date < b.date ? -1 : 1));
      expect(outflow.get('RENT 0117')).toMatchObject({
        first_date: '2026-03-01',
        last_date: '2026-06-01',
        last_amount: { amount: 1500, iso_currency_code: 'USD' },
        transaction_ids: rent.map(({ transaction_id }) => transaction_id),
      });
    });

    it('are announced when they move, to a client that has asked for them', async () => {
      const receiver = new Receiver();
      const webhook = await receiver.start();
      try {
        const { accessToken, itemId } = await custom([checking({ transactions: HISTORY })], { webhook });
        await idle(itemId);
        const add = (name: string, amount: number) =>
          rig.change(itemId, { add: [{ amount, name, date: TODAY }], notify: true });
        const codes = async () =>
          (await rig.deliveries(itemId)).map(({ webhook_code }) => webhook_code).slice(2);
        await add('RENT 0118', 1500);
        expect(await codes()).toEqual(['DEFAULT_UPDATE']);
        const before = (await streams(accessToken)).outflow.get('RENT 0118');
        expect(before?.transaction_ids).toHaveLength(5);
        await add('NOTHING SPECIAL', 3);
        expect(await codes()).toEqual(['DEFAULT_UPDATE', 'DEFAULT_UPDATE']);
        await add('LETTER CLUB', 9);
        expect((await codes()).slice(2)).toEqual(['DEFAULT_UPDATE', 'RECURRING_TRANSACTIONS_UPDATE']);
        const told = (await rig.deliveries(itemId)).at(-1);
        const { accounts } = await rig.truth(itemId);
        expect(JSON.parse(told?.body ?? '')).toMatchObject({
          webhook_type: 'TRANSACTIONS',
          account_ids: [accounts[0]?.account_id],
        });
      } finally {
        await receiver.stop();
      }
    });
  });

  it('Capital One says from when the balance of a card is, and refuses what is older than asked', async () => {
    const { accessToken, itemId } = await rig.link({ institution: CAPITAL_ONE });
    await idle(itemId);
    const balance = (oldest?: string) =>
      rig.api.accountsBalanceGet({
        access_token: accessToken,
        ...(oldest ? { options: { min_last_updated_datetime: oldest } } : {}),
      });
    expect((await refusalOf(balance())).error_code).toBe('INVALID_FIELD');
    const { data } = await balance(`${TODAY}T11:00:00Z`);
    for (const { type, balances } of data.accounts) {
      if (type === AccountType.Depository) expect(balances.last_updated_datetime).toBeUndefined();
      else expect(balances.last_updated_datetime).toBe(`${TODAY}T12:00:00.000Z`);
    }
    expect(await refusalOf(balance(`${TODAY}T13:00:00Z`))).toMatchObject({
      error_type: 'INVALID_RESULT',
      error_code: 'LAST_UPDATED_DATETIME_OUT_OF_RANGE',
    });
    const card = { type: 'credit', subtype: 'credit card', transactions: [] };
    const cards = await custom([card], { institution: CAPITAL_ONE });
    expect(
      (await refusalOf(rig.api.transactionsRefresh({ access_token: cards.accessToken }))).error_code,
    ).toBe('PRODUCTS_NOT_SUPPORTED');
    const both = await custom([card, checking({ transactions: [] })], { institution: CAPITAL_ONE });
    expect((await rig.api.transactionsRefresh({ access_token: both.accessToken })).status).toBe(200);
    const elsewhere = await custom([card]);
    expect((await rig.api.transactionsRefresh({ access_token: elsewhere.accessToken })).status).toBe(200);
  });

  it('joint owners are one owner with several names', async () => {
    const identity = {
      names: ['Ann Other', 'Bo Other'],
      emails: [{ data: 'both@example.com', type: 'primary' }],
    };
    const { accessToken } = await custom([checking({ identity })]);
    const { data } = await rig.api.identityGet({ access_token: accessToken });
    expect(data.accounts[0]?.owners).toHaveLength(1);
    expect(data.accounts[0]?.owners[0]?.names).toEqual(['Ann Other', 'Bo Other']);
  });

  it('there are no numbers where no account can be debited', async () => {
    const { accessToken } = await custom([{ type: 'credit', subtype: 'credit card' }]);
    expect((await refusalOf(rig.api.authGet({ access_token: accessToken }))).error_code).toBe(
      'NO_AUTH_ACCOUNTS',
    );
    const usual = await rig.link();
    const { data } = await rig.api.accountsGet({ access_token: usual.accessToken });
    const card = data.accounts.find(({ type }) => type === AccountType.Credit)?.account_id ?? '';
    const request = { access_token: usual.accessToken, options: { account_ids: [card] } };
    expect((await refusalOf(rig.api.authGet(request))).error_code).toBe('NO_AUTH_ACCOUNTS');
  });

  it('numbers wait for the micro-deposits of microdeposits_good', async () => {
    const { accessToken, itemId } = await rig.link({
      username: 'microdeposits_good',
      products: [Products.Auth],
      webhook: 'http://127.0.0.1:9/hook',
    });
    const token = { access_token: accessToken };
    expect((await refusalOf(rig.api.authGet(token))).error_code).toBe('PRODUCT_NOT_READY');
    const { accounts } = (await rig.api.accountsGet(token)).data;
    const pending = accounts.filter(({ verification_status }) => verification_status !== undefined);
    expect(pending.map(({ type }) => type)).toEqual(['depository', 'depository', 'depository']);
    const verify = (account_id: string, verification_status: string) =>
      call(rig, '/sandbox/item/set_verification_status', { ...token, account_id, verification_status });
    const card = accounts.find(({ type }) => type === AccountType.Credit)?.account_id ?? '';
    expect((await verify(card, 'automatically_verified')).body.error_code).toBe('INVALID_FIELD');
    expect((await verify('nobody', 'automatically_verified')).body.error_code).toBe('INVALID_ACCOUNT_ID');
    const [first, second, third] = pending.map(({ account_id }) => account_id);
    expect((await verify(first ?? '', 'automatically_verified')).status).toBe(200);
    expect((await verify(first ?? '', 'automatically_verified')).body.error_code).toBe('INVALID_FIELD');
    await verify(second ?? '', 'verification_expired');
    expect((await refusalOf(rig.api.authGet(token))).error_code).toBe('PRODUCT_NOT_READY');
    await verify(third ?? '', 'verification_expired');
    const { data } = await rig.api.authGet(token);
    expect(data.numbers.ach.map(({ account_id }) => account_id)).toEqual([first]);
    expect(data.item.auth_method).toBe('AUTOMATED_MICRODEPOSITS');
    expect((await rig.deliveries(itemId)).map(({ webhook_code }) => webhook_code)).toEqual([
      'AUTOMATICALLY_VERIFIED',
      'VERIFICATION_EXPIRED',
      'VERIFICATION_EXPIRED',
    ]);
  });

  describe('tokenised account numbers', () => {
    const numbersOf = async (accessToken: string) =>
      (await rig.api.authGet({ access_token: accessToken })).data.numbers.ach;
    const revoke = (itemId: string, id: string | undefined) =>
      rig.control('POST', `/_sim/items/${itemId}/revoke-numbers`, { account_ids: [id] });

    it('are others for each Item of the same account, and only depository accounts persist', async () => {
      for (const institution of [CHASE, 'ins_13', US_BANK, 'ins_127287']) {
        const one = await rig.link({ institution });
        const two = await rig.link({ institution });
        const [a, b] = [await numbersOf(one.accessToken), await numbersOf(two.accessToken)];
        expect(a.every((ach) => ach.is_tokenized_account_number && ach.wire_routing === null)).toBe(true);
        expect(a.map(({ account }) => account)).not.toEqual(b.map(({ account }) => account));
        expect(a.map(({ routing }) => routing)).toEqual(b.map(({ routing }) => routing));
        const persistent = async (accessToken: string) =>
          (await rig.api.accountsGet({ access_token: accessToken })).data.accounts.map((account) => [
            account.type,
            account.persistent_account_id,
          ]);
        expect(await persistent(one.accessToken)).toEqual(await persistent(two.accessToken));
        for (const [type, id] of await persistent(one.accessToken)) {
          expect(id !== undefined).toBe(type === 'depository');
        }
      }
      const plain = await rig.link();
      expect((await numbersOf(plain.accessToken))[0]).toMatchObject({
        account: '1111222233330000',
        is_tokenized_account_number: false,
        routing: '011401533',
        wire_routing: '021000021',
      });
    });

    it('die when the user revokes them, and are others after update mode', async () => {
      const { accessToken, itemId } = await rig.link({ institution: CHASE, products: [Products.Auth] });
      const before = await numbersOf(accessToken);
      await revoke(itemId, before[0]?.account_id);
      expect(await numbersOf(accessToken)).toEqual(before.slice(1));
      expect((await rig.truth(itemId)).numbers.ach).toEqual(before.slice(1));
      await rig.control('POST', `/_sim/items/${itemId}/repair`);
      const [renewed, ...others] = await numbersOf(accessToken);
      expect(others).toEqual(before.slice(1));
      expect({ ...renewed, account: '' }).toEqual({ ...before[0], account: '' });
      expect(renewed?.account).not.toBe(before[0]?.account);
    });

    it('cannot be revoked where there are none, nor at US Bank', async () => {
      for (const institution of [US_BANK, 'ins_109508']) {
        const { accessToken, itemId } = await rig.link({ institution });
        const [first] = await numbersOf(accessToken);
        await expect(revoke(itemId, first?.account_id)).rejects.toMatchObject({ status: 409 });
        await expect(revoke(itemId, 'nobody')).rejects.toMatchObject({ status: 400 });
      }
    });
  });

  it('a search finds at most ten institutions, by any products or none', async () => {
    const search = async (products: string[] | null, query = 'bank') => {
      const request = { query, products, country_codes: ['US'] };
      const { body } = await call(rig, '/institutions/search', request);
      return (body['institutions'] as { name: string; products: string[] }[]) ?? [];
    };
    expect(await search(null)).toHaveLength(10);
    expect(await search(['transactions', 'auth'])).toHaveLength(10);
    expect(await search(['payment_initiation'])).toEqual([]);
    expect((await search(null, 'PLATYPUS')).every(({ name }) => name.includes('Platypus'))).toBe(true);
    expect(await search(null, 'no such bank')).toEqual([]);
  });

  it('a terminated Item is gone', async () => {
    const { accessToken } = await rig.link();
    const end = { access_token: accessToken, reason_code: 'USER_OFFBOARDING' };
    expect(Object.keys((await call(rig, '/item/products/terminate', end)).body)).toEqual(['request_id']);
    expect((await call(rig, '/item/products/terminate', end)).body.error_code).toBe('ITEM_NOT_FOUND');
    expect((await refusalOf(rig.api.itemGet({ access_token: accessToken }))).error_code).toBe(
      'ITEM_NOT_FOUND',
    );
  });

  it('a user’s Items are reset together, or those that are named', async () => {
    const create = async (user: object) => {
      const { body } = await call(rig, '/sandbox/public_token/create', {
        institution_id: 'ins_109508',
        initial_products: ['transactions'],
        ...user,
      });
      const { data } = await rig.api.itemPublicTokenExchange({ public_token: String(body['public_token']) });
      return data;
    };
    const reset = (body: object) => call(rig, '/sandbox/user/reset_login', body);
    const [one, two, other] = [
      await create({ user_id: 'usr_a' }),
      await create({ user_id: 'usr_a' }),
      await create({ user_token: 'token_b' }),
    ];
    const errors = () =>
      Promise.all(
        [one, two, other].map(async ({ access_token }) => {
          const { data } = await rig.api.itemGet({ access_token });
          return data.item.error?.error_code ?? null;
        }),
      );
    expect((await reset({})).body.error_code).toBe('MISSING_FIELDS');
    expect((await reset({ user_id: 'nobody' })).body.error_code).toBe('INVALID_USER_TOKEN');
    expect((await reset({ user_id: 'usr_a', item_ids: [other.item_id] })).body.error_code).toBe(
      'INVALID_FIELD',
    );
    expect(await errors()).toEqual([null, null, null]);
    await reset({ user_id: 'usr_a', item_ids: [two.item_id] });
    expect(await errors()).toEqual([null, 'ITEM_LOGIN_REQUIRED', null]);
    await reset({ user_id: 'usr_a', item_ids: null });
    await reset({ user_token: 'token_b' });
    expect(await errors()).toEqual(['ITEM_LOGIN_REQUIRED', 'ITEM_LOGIN_REQUIRED', 'ITEM_LOGIN_REQUIRED']);
  });

  it('enriching names the merchant of a text, or says that it knows none', async () => {
    const transaction = { amount: 4.5, direction: 'OUTFLOW', iso_currency_code: 'USD' };
    const enrich = (options: object = {}) =>
      call(rig, '/transactions/enrich', {
        account_type: 'depository',
        transactions: [
          { ...transaction, id: 'one', description: 'POS KETTLE & BEAN #1234' },
          { ...transaction, id: 'two', description: 'CHECK 0815' },
        ],
        ...options,
      });
    const [one, two] = (await enrich()).body['enriched_transactions'] as {
      id: string;
      enrichments: Record<string, unknown>;
    }[];
    expect(one?.enrichments).toMatchObject({
      merchant_name: 'Kettle & Bean',
      payment_channel: 'in store',
      personal_finance_category: { detailed: 'FOOD_AND_DRINK_COFFEE', version: 'v2' },
      location: { store_number: '1234' },
    });
    expect(one?.enrichments).not.toHaveProperty('legacy_category');
    expect(two).toMatchObject({ id: 'two', enrichments: { merchant_name: null, check_number: '0815' } });
    expect(JSON.stringify((await enrich({ options: { include_legacy_category: true } })).body)).toContain(
      'Coffee Shop',
    );
    const many = {
      transactions: Array.from({ length: 101 }, () => ({ ...transaction, id: 'x', description: '' })),
    };
    expect((await enrich(many)).body.error_code).toBe('INVALID_FIELD');
  });

  it('the categories hold every category_id that a transaction bears', async () => {
    const { body } = await call(rig, '/categories/get', {});
    const known = new Map(
      (body['categories'] as { category_id: string; hierarchy: string[] }[]).map(
        ({ category_id, hierarchy }) => [category_id, hierarchy],
      ),
    );
    const { itemId } = await rig.link();
    await idle(itemId);
    const { transactions } = await rig.truth(itemId);
    expect(transactions).toHaveLength(60);
    for (const { category, category_id } of transactions) {
      expect(known.get(category_id ?? '')).toEqual(category);
    }
  });
});
