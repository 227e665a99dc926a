import { Products } from 'plaid';
import { refusalOf, Rig } from './rig.js';

const CODES: readonly [type: string, status: number, codes: string][] = [
  [
    'ITEM_ERROR',
    400,
    'ITEM_LOGIN_REQUIRED PRODUCT_NOT_READY ITEM_NOT_FOUND NO_ACCOUNTS NO_AUTH_ACCOUNTS ACCESS_NOT_GRANTED ' +
      'ITEM_LOCKED USER_SETUP_REQUIRED PASSWORD_RESET_REQUIRED INVALID_CREDENTIALS INVALID_MFA ' +
      'INSUFFICIENT_CREDENTIALS INVALID_UPDATED_USERNAME ITEM_NOT_SUPPORTED MFA_NOT_SUPPORTED ' +
      'PRODUCTS_NOT_SUPPORTED PRODUCT_NOT_ENABLED ITEM_CONCURRENTLY_DELETED',
  ],
  [
    'INVALID_INPUT',
    400,
    'INVALID_ACCESS_TOKEN USER_PERMISSION_REVOKED INVALID_ACCOUNT_ID ADDITIONAL_CONSENT_REQUIRED ' +
      'INVALID_PUBLIC_TOKEN INVALID_LINK_TOKEN INVALID_API_KEYS UNAUTHORIZED_ENVIRONMENT ' +
      'UNAUTHORIZED_ROUTE_ACCESS INVALID_PRODUCT INVALID_INSTITUTION INVALID_WEBHOOK_VERIFICATION_KEY_ID',
  ],
  [
    'INVALID_REQUEST',
    400,
    'MISSING_FIELDS UNKNOWN_FIELDS INVALID_FIELD INVALID_BODY INVALID_HEADERS SANDBOX_ONLY',
  ],
  ['INVALID_REQUEST', 404, 'NOT_FOUND'],
  ['INVALID_RESULT', 400, 'LAST_UPDATED_DATETIME_OUT_OF_RANGE'],
  [
    'INSTITUTION_ERROR',
    400,
    'INSTITUTION_DOWN INSTITUTION_NOT_RESPONDING INSTITUTION_NOT_AVAILABLE INSTITUTION_NO_LONGER_SUPPORTED ' +
      'UNAUTHORIZED_INSTITUTION INSTITUTION_REGISTRATION_REQUIRED UNSUPPORTED_RESPONSE',
  ],
  ['TRANSACTIONS_ERROR', 400, 'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION'],
  [
    'RATE_LIMIT_EXCEEDED',
    429,
    'TRANSACTIONS_LIMIT TRANSACTIONS_SYNC_LIMIT TRANSACTIONS_REFRESH_LIMIT ACCOUNTS_LIMIT BALANCE_LIMIT ' +
      'ACCOUNTS_BALANCE_GET_LIMIT AUTH_LIMIT IDENTITY_LIMIT ITEM_GET_LIMIT INSTITUTIONS_GET_LIMIT ' +
      'INSTITUTIONS_GET_BY_ID_LIMIT INSTITUTION_RATE_LIMIT RATE_LIMIT CREDITS_EXHAUSTED ' +
      'TRIAL_CONNECTION_LIMIT ADDITION_LIMIT',
  ],
  ['API_ERROR', 500, 'INTERNAL_SERVER_ERROR'],
  ['API_ERROR', 503, 'PLANNED_MAINTENANCE'],
  ['SANDBOX_ERROR', 400, 'SANDBOX_PRODUCT_NOT_ENABLED SANDBOX_WEBHOOK_INVALID'],
];

describe('faults', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());
  afterEach(() => rig.control('DELETE', '/_sim/faults'));

  const fault = (body: object) => rig.control<{ fault_id: string }>('POST', '/_sim/faults', body);
  const broken = (call: Promise<unknown>) =>
    call.then(
      () => 'answered',
      (error: { code?: string; response?: unknown }) =>
        error.response ? 'refused' : (error.code ?? 'broken'),
    );

  it('of a login that broke unheard, while what Plaid has read is served, show where the bank is asked', async () => {
    const { accessToken, itemId } = await rig.link();
    const token = { access_token: accessToken };
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const before = await rig.run(accessToken);
    const body = { error_code: 'ITEM_LOGIN_REQUIRED', cached: true, notify: false };
    await rig.control('POST', `/_sim/items/${itemId}/break`, body);
    expect((await rig.api.itemGet(token)).data.item.error?.error_code).toBe('ITEM_LOGIN_REQUIRED');
    expect((await rig.run(accessToken)).added).toEqual(before.added);
    expect((await rig.api.accountsGet(token)).data.accounts).not.toEqual([]);
    const range = { start_date: '2024-01-01', end_date: '2026-12-31' };
    const listed = (await rig.api.transactionsGet({ ...token, ...range })).data;
    expect(listed.total_transactions).toBeGreaterThan(0);
    for (const refused of [rig.api.authGet(token), rig.api.accountsBalanceGet(token)])
      expect(await refusalOf(refused)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED' });
    const sent = await rig.deliveries(itemId);
    expect(sent.map(({ webhook_code }) => webhook_code)).not.toContain('ERROR');
    await rig.control('POST', `/_sim/items/${itemId}/repair`, {});
    expect((await rig.api.itemGet(token)).data.item.error).toBeNull();
  });

  it('answer with any of Plaid’s errors, as often as asked', async () => {
    const { accessToken } = await rig.link();
    const get = () => rig.api.itemGet({ access_token: accessToken });
    for (const [code, type, status] of [
      ['INTERNAL_SERVER_ERROR', 'API_ERROR', 500],
      ['PLANNED_MAINTENANCE', 'API_ERROR', 503],
      ['INSTITUTION_DOWN', 'INSTITUTION_ERROR', 400],
      ['TRANSACTIONS_SYNC_LIMIT', 'RATE_LIMIT_EXCEEDED', 429],
    ] as const) {
      await fault({ match: { path: '/item/get' }, fault: { error_code: code }, times: 2 });
      for (let time = 0; time < 2; time += 1) {
        expect(await refusalOf(get())).toMatchObject({ error_code: code, error_type: type, status });
      }
      expect((await get()).status).toBe(200);
    }
    await fault({ fault: { error_code: 'BRAND_NEW', error_type: 'NEW_ERROR' } });
    expect(await refusalOf(get())).toMatchObject({ error_code: 'BRAND_NEW', error_type: 'NEW_ERROR' });
    await fault({ fault: { status: 502 } });
    expect((await refusalOf(get())).status).toBe(502);
  });

  it('match path, Item and the n-th call', async () => {
    const one = await rig.link();
    const two = await rig.link();
    await fault({
      match: { item_id: one.itemId, path: '/item/get', call: 2 },
      fault: { error_code: 'RATE_LIMIT' },
    });
    const get = (accessToken: string) => broken(rig.api.itemGet({ access_token: accessToken }));
    expect(await get(two.accessToken)).toBe('answered');
    expect(await get(one.accessToken)).toBe('answered');
    expect(await broken(rig.api.accountsGet({ access_token: one.accessToken }))).toBe('answered');
    expect(await get(two.accessToken)).toBe('answered');
    expect(await get(one.accessToken)).toBe('refused');
    expect(await get(one.accessToken)).toBe('answered');
  });

  it('cut the connection before or after the work', async () => {
    const create = () =>
      rig.api.sandboxPublicTokenCreate({
        institution_id: 'ins_109508',
        initial_products: [Products.Transactions],
      });
    const path = '/item/public_token/exchange';
    const before = (await create()).data.public_token;
    await fault({ match: { path }, fault: { reset: 'before' } });
    expect(await broken(rig.api.itemPublicTokenExchange({ public_token: before }))).toMatch(
      /ECONNRESET|broken/,
    );
    expect(await broken(rig.api.itemPublicTokenExchange({ public_token: before }))).toBe('answered');
    const after = (await create()).data.public_token;
    await fault({ match: { path }, fault: { reset: 'after' } });
    expect(await broken(rig.api.itemPublicTokenExchange({ public_token: after }))).toMatch(
      /ECONNRESET|broken/,
    );
    expect(await refusalOf(rig.api.itemPublicTokenExchange({ public_token: after }))).toMatchObject({
      error_code: 'INVALID_PUBLIC_TOKEN',
    });
  });

  it('cut an answer short, and a read that was cut does not count as told', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    await fault({ match: { path: '/transactions/sync' }, fault: { truncate: 100 } });
    const cut = await rig.api.transactionsSync(
      { access_token: accessToken, count: 500 },
      { transformResponse: (text: string) => text },
    );
    const text = cut.data as unknown as string;
    expect(text).toHaveLength(100);
    expect(() => JSON.parse(text) as unknown).toThrow();
    const { transactions } = await rig.truth(itemId);
    await rig.change(itemId, { remove: [transactions[0]?.transaction_id] });
    expect((await rig.truth(itemId)).removed).toEqual([]);
  });

  it('delay an answer', async () => {
    const { accessToken } = await rig.link();
    await fault({ match: { path: '/item/get' }, fault: { latency_ms: 400 } });
    const impatient = rig.api.itemGet({ access_token: accessToken }, { timeout: 100 });
    expect(await broken(impatient)).toBe('ECONNABORTED');
    expect(await broken(rig.api.itemGet({ access_token: accessToken }))).toBe('answered');
  });

  it('strike by chance, the same calls for the same seed', async () => {
    const pattern = async () => {
      await rig.control('POST', '/_sim/reset', { seed: 'chance' });
      const { accessToken } = await rig.link();
      await fault({ match: { path: '/item/get' }, fault: { error_code: 'RATE_LIMIT' }, probability: 0.5 });
      const struck: string[] = [];
      for (let call = 0; call < 24; call += 1) {
        struck.push(await broken(rig.api.itemGet({ access_token: accessToken })));
      }
      return struck;
    };
    const first = await pattern();
    expect(new Set(first)).toEqual(new Set(['answered', 'refused']));
    expect(await pattern()).toEqual(first);
  });

  it('strike by chance whatever other faults and calls there are', async () => {
    const pattern = async (noise: boolean) => {
      await rig.control('POST', '/_sim/reset', { seed: 'chance' });
      const { accessToken } = await rig.link();
      await fault({ match: { path: '/item/get' }, fault: { error_code: 'RATE_LIMIT' }, probability: 0.5 });
      const other = { match: { path: '/accounts/get' }, fault: { status: 500 }, probability: 0.5 };
      if (noise) await fault(other);
      const struck: string[] = [];
      for (let call = 0; call < 16; call += 1) {
        if (noise) await broken(rig.api.accountsGet({ access_token: accessToken }));
        struck.push(await broken(rig.api.itemGet({ access_token: accessToken })));
      }
      return struck;
    };
    expect(await pattern(true)).toEqual(await pattern(false));
  });

  it('are listed while they stand, and can be withdrawn one by one', async () => {
    const { accessToken } = await rig.link();
    const get = () => broken(rig.api.itemGet({ access_token: accessToken }));
    const first = await fault({ match: { path: '/item/get' }, fault: { status: 500 }, times: 3 });
    const second = await fault({ fault: { latency_ms: 0 }, probability: 0 });
    expect(await get()).toBe('refused');
    expect(await rig.control('GET', '/_sim/faults')).toEqual({
      faults: [
        { ...first, match: { path: '/item/get' }, kind: 'status', left: 2, seen: 1, struck: 1 },
        { ...second, match: {}, kind: 'latency', left: null, seen: 1, struck: 0 },
      ],
    });
    await rig.control('DELETE', `/_sim/faults/${first.fault_id}`);
    expect(await get()).toBe('answered');
    await expect(rig.control('DELETE', `/_sim/faults/${first.fault_id}`)).rejects.toMatchObject({
      status: 404,
    });
  });

  it('know every code that Plaid publishes, with its type and status', async () => {
    const { accessToken } = await rig.link();
    for (const [type, status, codes] of CODES) {
      for (const code of codes.split(' ')) {
        await fault({ match: { path: '/item/get' }, fault: { error_code: code } });
        expect(await refusalOf(rig.api.itemGet({ access_token: accessToken }))).toMatchObject({
          error_code: code,
          error_type: type,
          status,
        });
      }
    }
  });

  it('move the data between two pages', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const { transactions } = await rig.truth(itemId);
    const id = transactions[59]?.transaction_id;
    await fault({
      match: { item_id: itemId },
      fault: { mutate_during_pagination: { after_page: 2, remove: [id] } },
    });
    const one = await rig.sync(accessToken, '', 20);
    const two = await rig.sync(accessToken, one.next_cursor, 20);
    expect((await refusalOf(rig.sync(accessToken, two.next_cursor, 20))).error_code).toBe(
      'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION',
    );
    const again = await rig.run(accessToken, '', 20);
    expect(again.added.map(({ transaction_id }) => transaction_id)).not.toContain(id);
    expect(again.added).toHaveLength(59);
    await fault({ fault: { mutate_during_pagination: { after_page: 1 } } });
    const page = await rig.sync(accessToken, '', 20);
    expect((await refusalOf(rig.sync(accessToken, page.next_cursor, 20))).status).toBe(400);
    expect((await rig.run(accessToken)).added).toHaveLength(60);
  });

  it('move the list under the offsets of /transactions/get: a row is skipped though the total stays', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const get = async (offset: number) =>
      (
        await rig.api.transactionsGet({
          access_token: accessToken,
          start_date: '2020-01-01',
          end_date: '2040-01-01',
          options: { count: 20, offset },
        })
      ).data;
    const before = await get(0);
    const pending = before.transactions.find((transaction) => transaction.pending);
    const old = (await get(40)).transactions.at(-1);
    await fault({
      match: { item_id: itemId, path: '/transactions/get' },
      fault: {
        mutate_during_pagination: {
          after_page: 1,
          post: [{ transaction_id: pending?.transaction_id, date: old?.date }],
        },
      },
    });
    const pages = [await get(0), await get(20), await get(40)];
    expect(pages.map(({ total_transactions }) => total_transactions)).toEqual([60, 60, 60]);
    const told = pages.flatMap(({ transactions }) =>
      transactions.map(({ transaction_id }) => transaction_id),
    );
    const live = (await rig.truth(itemId)).transactions.map(({ transaction_id }) => transaction_id);
    expect(live.filter((id) => !told.includes(id))).toHaveLength(1);
    expect(told).toContain(pending?.transaction_id);
    await fault({ fault: { mutate_during_pagination: { after_page: 1 } } });
    await get(0);
    expect((await get(0)).total_transactions).toBe(60);
  });

  it('are kept apart from text that JSON must escape', async () => {
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const name = 'NUL \u0000, lone \ud800, quote ", слово, 😀';
    await rig.change(itemId, { add: [{ amount: 1, name }] });
    const { added } = await rig.run(accessToken);
    expect(added.at(-1)).toMatchObject({ name, original_description: name });
  });
});
