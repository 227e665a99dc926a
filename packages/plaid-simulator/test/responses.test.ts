import { Products } from 'plaid';
import { call, pathsInSource, REQUESTS, type Scene } from './endpoints.js';
import { PlaidTypes } from './plaidTypes.js';
import { Rig } from './rig.js';

/** Endpoints that end the Item or its token: called last, and on an Item of their own. */
const ENDING = ['/item/access_token/invalidate', '/item/products/terminate', '/item/remove'];
const ON_OTHER_ITEMS = ['/sandbox/item/set_verification_status', '/sandbox/transactions/create'];

const types = new PlaidTypes();

describe('the check of answers', () => {
  it('finds what is missing, of the wrong type, null, not in an enum, or not published', () => {
    expect(
      types.check(
        {
          item: {
            available_products: ['transactions', 'teleportation'],
            billed_products: null,
            consent_expiration_time: null,
            error: { error_type: 'ITEM_ERROR', error_code: 'X', error_message: 5, display_message: null },
            item_id: 'x',
            update_type: 'background',
            colour: 'green',
          },
          request_id: null,
        },
        'ItemGetResponse',
        'answer',
      ),
    ).toEqual([
      'answer.item.webhook is missing',
      'answer.item.error.error_message: 5 is no string',
      'answer.item.available_products[1]: "teleportation" is not of Products',
      'answer.item.billed_products: null is no array',
      'answer.item.colour is not published',
      'answer.request_id: null is no string',
    ]);
  });
});

describe('answers', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ now: Date.now() });
  });
  afterAll(() => rig.close());

  async function scene(options: Parameters<Rig['link']>[0] = {}): Promise<Scene> {
    const { accessToken, itemId } = await rig.link(options);
    const { data } = await rig.api.accountsGet({ access_token: accessToken });
    return { rig, accessToken, itemId, accountId: data.accounts[0]?.account_id ?? '' };
  }

  /** Calls an endpoint; what is wrong with its answer, or the error that it was refused with. */
  async function faultsOf(path: string, body: object): Promise<string[]> {
    const answer = await call(rig, path, body);
    if (answer.status !== 200) return [`${path}: ${JSON.stringify(answer.body)}`];
    return types.check(answer.body, types.endpoint(path).response, path);
  }

  async function check(on: Scene, paths: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const path of paths) found.push(...(await faultsOf(path, (await REQUESTS[path]?.(on)) ?? {})));
    return found;
  }

  const reading = Object.keys(REQUESTS).filter(
    (path) => !ENDING.includes(path) && !path.startsWith('/sandbox/'),
  );

  it('are checked of every endpoint there is', () => {
    expect(pathsInSource().sort()).toEqual(Object.keys(REQUESTS).sort());
  });

  it.each([
    ['First Platypus', { institution: 'ins_109508' }],
    ['a bank with tokenised numbers', { institution: 'ins_56' }],
    ['Capital One', { institution: 'ins_128026' }],
    ['a British bank', { institution: 'ins_116834' }],
    ['a Canadian bank', { institution: 'ins_43' }],
    [
      'a custom user',
      {
        username: 'user_custom',
        password: JSON.stringify({
          version: 2,
          override_accounts: [
            {
              type: 'depository',
              subtype: 'checking',
              starting_balance: 12.5,
              has_null_available_balance: true,
              identity: { names: ['Ann Other', 'Bo Other'] },
              transactions: [
                {
                  date_transacted: '2026-01-02',
                  date_posted: '2026-01-03',
                  amount: 1,
                  description: 'NETTO',
                  currency: 'DKK',
                },
              ],
            },
            { type: 'credit', subtype: 'credit card', starting_balance: 5, meta: { limit: 100 } },
            { type: 'loan', subtype: 'student' },
            { type: 'investment', subtype: '401k' },
            { type: 'payroll' },
          ],
        }),
      },
    ],
  ])('have Plaid’s form for an Item of %s', async (_name, options) => {
    const on = await scene({ ...options, webhook: 'http://127.0.0.1:9/hook' });
    await rig.control('POST', `/_sim/items/${on.itemId}/advance`, { to: 'idle' });
    await rig.change(on.itemId, { add: [{ amount: 3, name: 'Odd', unofficial_currency_code: 'DOGE' }] });
    expect(await check(on, reading)).toEqual([]);
    // The same without options: all accounts, all defaults.
    const all = { access_token: on.accessToken };
    for (const path of ['/accounts/get', '/auth/get', '/identity/get', '/transactions/sync']) {
      expect(await faultsOf(path, all)).toEqual([]);
    }
    expect(await faultsOf('/transactions/recurring/get', all)).toEqual([]);
    expect(await check(on, ENDING.slice(0, 1))).toEqual([]);
  });

  it('have it in every state of an Item', async () => {
    const on = await scene({ products: [Products.Auth], webhook: 'http://127.0.0.1:9/hook' });
    const token = { access_token: on.accessToken };
    expect(await check(on, ['/item/get', '/accounts/get', '/auth/get'])).toEqual([]);
    expect(await faultsOf('/transactions/sync', token)).toEqual([]);
    await rig.control('POST', `/_sim/items/${on.itemId}/advance`, { to: 'initial' });
    const changes = { add: [{ amount: 3, name: 'Held', pending: true }] };
    const { added } = await rig.change(on.itemId, changes);
    const { cursor } = await rig.run(on.accessToken);
    await rig.change(on.itemId, { post: [{ transaction_id: added[0] }] });
    expect(await faultsOf('/transactions/sync', { ...token, cursor })).toEqual([]);
    expect(await check(on, ['/item/get', '/transactions/get'])).toEqual([]);
    await rig.api.sandboxItemResetLogin(token);
    expect(await check(on, ['/item/get', '/item/webhook/update'])).toEqual([]);
  });

  it('have it at every institution', async () => {
    const { institutions, total } = (
      await call(rig, '/institutions/get', { count: 500, offset: 0, country_codes: ['US', 'GB', 'CA'] })
    ).body as { institutions: { institution_id: string }[]; total: number };
    expect(total).toBe(institutions.length);
    for (const { institution_id } of institutions.slice(0, 25)) {
      for (const options of [{ include_status: true, include_payment_initiation_metadata: true }, {}]) {
        const request = { institution_id, country_codes: ['US', 'GB', 'CA'], options };
        expect(await faultsOf('/institutions/get_by_id', request)).toEqual([]);
      }
    }
  });

  it('have it in the sandbox’s own endpoints, and where they end an Item', async () => {
    const dynamic = await scene({ username: 'user_transactions_dynamic' });
    await rig.control('POST', `/_sim/items/${dynamic.itemId}/advance`, { to: 'idle' });
    expect(await check(dynamic, ['/sandbox/transactions/create', '/transactions/refresh'])).toEqual([]);
    const deposits = await scene({ username: 'microdeposits_good', products: [Products.Auth] });
    expect(await check(deposits, ['/accounts/get', '/sandbox/item/set_verification_status'])).toEqual([]);
    const created = await call(rig, '/sandbox/public_token/create', {
      institution_id: 'ins_109508',
      initial_products: ['transactions'],
      user_id: 'usr_1',
    });
    const { data } = await rig.api.itemPublicTokenExchange({
      public_token: String(created.body['public_token']),
    });
    const others = Object.keys(REQUESTS).filter(
      (path) => path.startsWith('/sandbox/') && !ON_OTHER_ITEMS.includes(path),
    );
    const on = { rig, accessToken: data.access_token, itemId: data.item_id, accountId: '' };
    await rig.api.itemWebhookUpdate({
      access_token: data.access_token,
      webhook: 'http://127.0.0.1:9/hook',
    });
    expect(await check(on, others)).toEqual([]);
    expect(await check(on, ['/item/remove'])).toEqual([]);
    expect(await check(await scene(), ['/item/products/terminate'])).toEqual([]);
  });

  it('have it when they are errors', async () => {
    for (const [path, body] of [
      ['/item/get', {}],
      ['/item/get', { access_token: 'nonsense' }],
      ['/no/such/endpoint', {}],
    ] as const) {
      const { body: error } = await call(rig, path, body);
      expect(types.check(error, 'PlaidError', path)).toEqual([]);
    }
    for (const code of ['ITEM_LOGIN_REQUIRED', 'INSTITUTION_DOWN', 'RATE_LIMIT', 'INTERNAL_SERVER_ERROR']) {
      await rig.control('POST', '/_sim/faults', { fault: { error_code: code } });
      const { body: error } = await call(rig, '/item/get', { access_token: 'x' });
      expect(types.check(error, 'PlaidError', code)).toEqual([]);
    }
  });
});
