import { Products } from 'plaid';
import { call } from './endpoints.js';
import { clientFor, refusalOf, Rig } from './rig.js';

describe('requests', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.close());

  it('refuses bodies with Plaid’s codes', async () => {
    const cases: [string, string, string, string][] = [
      ['/item/get', '{', 'INVALID_BODY', 'INVALID_REQUEST'],
      ['/item/get', '{}', 'MISSING_FIELDS', 'INVALID_REQUEST'],
      ['/item/get', '[]', 'INVALID_BODY', 'INVALID_REQUEST'],
      ['/item/get', '{"access_token":"x","foo":1}', 'UNKNOWN_FIELDS', 'INVALID_REQUEST'],
      ['/item/get', '{"access_token":5}', 'INVALID_FIELD', 'INVALID_REQUEST'],
      ['/item/get', '{"access_token":"access-sandbox-x"}', 'INVALID_ACCESS_TOKEN', 'INVALID_INPUT'],
      ['/accounts/get', '{"access_token":"x","options":null}', 'INVALID_FIELD', 'INVALID_REQUEST'],
      ['/accounts/get', '{"access_token":"x","options":{"a":1}}', 'UNKNOWN_FIELDS', 'INVALID_REQUEST'],
      ['/transactions/sync', '{"access_token":"x","count":0}', 'INVALID_FIELD', 'INVALID_REQUEST'],
      ['/transactions/sync', '{"access_token":"x","count":501}', 'INVALID_FIELD', 'INVALID_REQUEST'],
      [
        '/transactions/sync',
        `{"access_token":"x","cursor":"${'A'.repeat(257)}"}`,
        'INVALID_FIELD',
        'INVALID_REQUEST',
      ],
      [
        '/transactions/get',
        '{"access_token":"x","start_date":"2026-02-30","end_date":"2026-03-01"}',
        'INVALID_FIELD',
        'INVALID_REQUEST',
      ],
      ['/item/public_token/exchange', '{"public_token":"nonsense"}', 'INVALID_PUBLIC_TOKEN', 'INVALID_INPUT'],
      ['/link/token/get', '{"link_token":"link-sandbox-x"}', 'INVALID_LINK_TOKEN', 'INVALID_INPUT'],
      [
        '/webhook_verification_key/get',
        '{"key_id":"x"}',
        'INVALID_WEBHOOK_VERIFICATION_KEY_ID',
        'INVALID_INPUT',
      ],
      [
        '/sandbox/public_token/create',
        '{"institution_id":"ins_0","initial_products":["transactions"]}',
        'INVALID_INSTITUTION',
        'INVALID_INPUT',
      ],
      [
        '/sandbox/public_token/create',
        '{"institution_id":"ins_109508","initial_products":["balance"]}',
        'INVALID_PRODUCT',
        'INVALID_INPUT',
      ],
      [
        '/sandbox/public_token/create',
        '{"institution_id":"ins_109508"}',
        'MISSING_FIELDS',
        'INVALID_REQUEST',
      ],
      ['/no/such/endpoint', '{}', 'NOT_FOUND', 'INVALID_REQUEST'],
    ];
    for (const [path, body, code, type] of cases) {
      const answer = await call(rig, path, body);
      expect({ path, body, ...answer.body }).toMatchObject({ error_code: code, error_type: type });
      expect(answer.body).toMatchObject({ display_message: null, suggested_action: null });
      expect(answer.body['request_id']).toMatch(/^[A-Za-z0-9]{15}$/);
      expect(answer.status).toBe(code === 'NOT_FOUND' ? 404 : 400);
    }
  });

  it('wants JSON', async () => {
    const answer = await call(rig, '/item/get', 'access_token=x', { 'content-type': 'text/plain' });
    expect(answer.body).toMatchObject({ error_code: 'INVALID_HEADERS', error_type: 'INVALID_REQUEST' });
  });

  it('wants credentials, in headers or in the body', async () => {
    const none = { 'plaid-client-id': '', 'plaid-secret': '' };
    const body = { key_id: 'x' };
    const missing = await call(rig, '/webhook_verification_key/get', JSON.stringify(body), none);
    expect(missing.body).toMatchObject({
      error_code: 'MISSING_FIELDS',
      error_message: 'the following required fields are missing: client_id, secret',
    });
    const inBody = JSON.stringify({ ...body, client_id: 'a', secret: 'b' });
    const accepted = await call(rig, '/webhook_verification_key/get', inBody, none);
    expect(accepted.body['error_code']).toBe('INVALID_WEBHOOK_VERIFICATION_KEY_ID');
  });

  it('takes a base URL with a slash at its end, and paths with one', async () => {
    const { accessToken } = await rig.link();
    const answer = await clientFor(`${rig.url}/`).itemGet({ access_token: accessToken });
    expect(answer.data.item.institution_id).toBe('ins_109508');
    const slash = await call(rig, '/item/get/', JSON.stringify({ access_token: accessToken }));
    expect(slash.status).toBe(200);
  });

  it('exchanges a public token once, and not after 30 minutes', async () => {
    const { publicToken } = await rig.link();
    expect(await refusalOf(rig.api.itemPublicTokenExchange({ public_token: publicToken }))).toMatchObject({
      status: 400,
      error_code: 'INVALID_PUBLIC_TOKEN',
    });
    const late = await rig.api.sandboxPublicTokenCreate({
      institution_id: 'ins_109508',
      initial_products: [Products.Transactions],
    });
    await rig.advance('PT30M');
    expect(
      await refusalOf(rig.api.itemPublicTokenExchange({ public_token: late.data.public_token })),
    ).toMatchObject({ error_code: 'INVALID_PUBLIC_TOKEN' });
  });

  it('forgets a token that was invalidated and an Item that was removed', async () => {
    const { accessToken, itemId } = await rig.link();
    const renewed = (await rig.api.itemAccessTokenInvalidate({ access_token: accessToken })).data;
    expect(await refusalOf(rig.api.itemGet({ access_token: accessToken }))).toMatchObject({
      error_code: 'INVALID_ACCESS_TOKEN',
    });
    const token = { access_token: renewed.new_access_token };
    expect((await rig.api.itemGet(token)).data.item.item_id).toBe(itemId);
    expect(Object.keys((await rig.api.itemRemove(token)).data)).toEqual(['request_id']);
    for (const call of [rig.api.itemGet(token), rig.api.itemRemove(token), rig.api.accountsGet(token)]) {
      expect(await refusalOf(call)).toMatchObject({ status: 400, error_code: 'ITEM_NOT_FOUND' });
    }
    expect(await rig.control('GET', '/_sim/items')).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ item_id: itemId, removed: true })]),
    });
  });

  it('says ITEM_LOGIN_REQUIRED everywhere but where a broken Item can be mended', async () => {
    const { accessToken, itemId } = await rig.link();
    const token = { access_token: accessToken };
    expect((await rig.api.sandboxItemResetLogin(token)).data.reset_login).toBe(true);
    for (const call of [
      rig.api.accountsGet(token),
      rig.api.accountsBalanceGet(token),
      rig.api.authGet(token),
      rig.api.identityGet(token),
      rig.api.transactionsSync(token),
      rig.api.transactionsGet({ ...token, start_date: '2020-01-01', end_date: '2020-01-02' }),
      rig.api.transactionsRefresh(token),
    ]) {
      expect(await refusalOf(call)).toMatchObject({
        error_type: 'ITEM_ERROR',
        error_code: 'ITEM_LOGIN_REQUIRED',
      });
    }
    expect((await rig.api.itemGet(token)).data.item.error).toMatchObject({
      error_code: 'ITEM_LOGIN_REQUIRED',
    });
    const webhook = await rig.api.itemWebhookUpdate({ ...token, webhook: null });
    expect(webhook.data.item.item_id).toBe(itemId);
    await rig.control('POST', `/_sim/items/${itemId}/repair`);
    expect((await rig.api.itemGet(token)).data.item.error).toBeNull();
    expect((await rig.api.accountsGet(token)).data.accounts).toHaveLength(4);
  });

  it('fails a login as its password says', async () => {
    const login = (institution: string, password: string) =>
      refusalOf(rig.link({ institution, password, username: 'user_good' }));
    expect(await login('ins_109508', 'error_ITEM_LOCKED')).toMatchObject({ error_code: 'ITEM_LOCKED' });
    expect(await login('ins_109508', 'error_INSTITUTION_DOWN')).toMatchObject({
      error_type: 'INSTITUTION_ERROR',
    });
    expect(await login('ins_132361', 'pass_good')).toMatchObject({ error_code: 'INSTITUTION_DOWN' });
  });

  it('lets the users of the sandbox in whose second factor only Link asks for', async () => {
    for (const password of ['mfa_device', 'mfa_questions_2_3', 'mfa_selections', 'microdeposits_good']) {
      const { accessToken } = await rig.link({ username: 'user_good', password });
      expect((await rig.api.itemGet({ access_token: accessToken })).data.item.error).toBeNull();
    }
    for (const code of [
      'INVALID_CREDENTIALS',
      'INVALID_MFA',
      'INTERNAL_SERVER_ERROR',
      'PLANNED_MAINTENANCE',
    ]) {
      const refusal = await refusalOf(rig.link({ username: 'user_good', password: `error_${code}` }));
      expect(refusal.error_code).toBe(code);
    }
  });

  it('answers an impossible control with a sentence', async () => {
    const { itemId } = await rig.link();
    const status = (call: Promise<unknown>) =>
      call.then(
        () => 200,
        (error: { status?: number }) => error.status,
      );
    expect(await status(rig.truth('nobody'))).toBe(404);
    expect(await status(rig.advance('36 hours'))).toBe(400);
    expect(await status(rig.change(itemId, { remove: ['nothing'] }))).toBe(400);
    expect(await status(rig.control('POST', '/_sim/faults', { fault: {} }))).toBe(400);
    expect(await status(rig.control('POST', '/_sim/faults', { fault: { error_code: 'NO_SUCH' } }))).toBe(400);
    expect(
      await status(
        rig.control('POST', `/_sim/items/${itemId}/webhooks`, {
          webhook_type: 'ITEM',
          webhook_code: 'ERROR',
        }),
      ),
    ).toBe(409);
  });
});

describe('a simulator with clients of its own', () => {
  it('knows only them, and binds tokens to them', async () => {
    const rig = await Rig.start({ clients: { alice: 'one', bob: 'two' } });
    try {
      const alice = clientFor(rig.url, 'alice', 'one');
      const bob = clientFor(rig.url, 'bob', 'two');
      const wrong = clientFor(rig.url, 'alice', 'two');
      const request = { institution_id: 'ins_109508', initial_products: [Products.Transactions] };
      expect(await refusalOf(wrong.sandboxPublicTokenCreate(request))).toMatchObject({
        error_code: 'INVALID_API_KEYS',
      });
      const { public_token } = (await alice.sandboxPublicTokenCreate(request)).data;
      expect(await refusalOf(bob.itemPublicTokenExchange({ public_token }))).toMatchObject({
        error_code: 'INVALID_PUBLIC_TOKEN',
      });
      const { access_token } = (await alice.itemPublicTokenExchange({ public_token })).data;
      expect(await refusalOf(bob.itemGet({ access_token }))).toMatchObject({
        error_code: 'INVALID_ACCESS_TOKEN',
      });
      expect((await alice.itemGet({ access_token })).status).toBe(200);
    } finally {
      await rig.close();
    }
  });
});
