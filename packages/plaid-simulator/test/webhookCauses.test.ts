import { CountryCode, Products, type PlaidApi } from 'plaid';
import { clientFor, Receiver, refusalOf, Rig, until, startListening } from './rig.js';

interface Linked {
  itemId: string;
  accessToken: string;
}

interface Scene extends Linked {
  rig: Rig;
  receiver: Receiver;
  webhook: string;
  control: (name: string, body: object) => Promise<Record<string, unknown>>;
  accounts: string[];
}

/** Something that happens, and the webhooks that it must lead to. */
interface Cause {
  name: string;
  institution?: string;
  products?: Products[];
  cause: (scene: Scene) => Promise<unknown>;
  /** Type and code of all that are sent, each with its fields besides the four that all have. */
  sent: Record<string, (scene: Scene) => Record<string, unknown>>;
}

const anything: unknown = expect.anything();
const iso: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const loginRequired: unknown = expect.objectContaining({
  error_type: 'ITEM_ERROR',
  error_code: 'ITEM_LOGIN_REQUIRED',
  status: 400,
});

const us = 'ins_109508';
const uk = 'ins_116834';
const canada = 'ins_43';
const chase = 'ins_56';

const causes: Cause[] = [
  {
    name: 'a new transaction',
    cause: ({ rig, itemId }) => rig.change(itemId, { add: [{ amount: 1, name: 'New' }], notify: true }),
    sent: { 'TRANSACTIONS/DEFAULT_UPDATE': () => ({ error: null, new_transactions: 1 }) },
  },
  {
    name: 'a transaction that goes',
    cause: async ({ rig, itemId }) => {
      const { transactions } = await rig.truth(itemId);
      await rig.change(itemId, { remove: [transactions[0]?.transaction_id], notify: true });
    },
    sent: {
      'TRANSACTIONS/TRANSACTIONS_REMOVED': () => ({
        error: null,
        removed_transactions: [expect.any(String)],
      }),
    },
  },
  {
    name: 'a pending transaction that is posted, for a client of /transactions/sync',
    cause: async ({ rig, itemId, accessToken }) => {
      await rig.run(accessToken);
      const pending = (await rig.truth(itemId)).transactions.find((row) => row.pending);
      await rig.change(itemId, { post: [{ transaction_id: pending?.transaction_id }], notify: true });
    },
    sent: {
      'TRANSACTIONS/DEFAULT_UPDATE': () => ({ error: null, new_transactions: 1 }),
      'TRANSACTIONS/TRANSACTIONS_REMOVED': () => ({ error: null, removed_transactions: [anything] }),
      'TRANSACTIONS/SYNC_UPDATES_AVAILABLE': () => ({
        initial_update_complete: true,
        historical_update_complete: true,
      }),
    },
  },
  {
    name: 'a login that no longer works',
    cause: ({ rig, accessToken }) => rig.api.sandboxItemResetLogin({ access_token: accessToken }),
    sent: { 'ITEM/ERROR': () => ({ error: loginRequired }) },
  },
  {
    name: 'a bank that refuses Plaid’s token',
    cause: ({ control }) => control('bank', { answer: 401, notify: true }),
    sent: { 'ITEM/ERROR': () => ({ error: loginRequired }) },
  },
  {
    name: 'an OAuth bank that refuses Plaid’s token',
    institution: chase,
    cause: ({ control }) => control('bank', { answer: 401, notify: true }),
    sent: {
      'ITEM/ERROR': () => ({
        error: expect.objectContaining({ error_code_reason: 'OAUTH_INVALID_TOKEN' }) as unknown,
      }),
    },
  },
  {
    name: 'a repair elsewhere',
    cause: async ({ rig, accessToken, receiver, control }) => {
      await rig.api.sandboxItemResetLogin({ access_token: accessToken });
      await until(() => receiver.received.length === 1);
      receiver.received.length = 0;
      await control('repair', { webhook: true });
    },
    sent: { 'ITEM/LOGIN_REPAIRED': () => ({}) },
  },
  {
    name: 'a European consent with seven days left',
    institution: uk,
    cause: ({ rig }) => rig.advance('P173D'),
    sent: { 'ITEM/PENDING_EXPIRATION': () => ({ consent_expiration_time: iso }) },
  },
  {
    name: 'an American consent with seven days left',
    cause: async ({ rig, control }) => {
      await control('consent', { expires_in: 'P30D' });
      await rig.advance('P23D');
    },
    sent: {
      'ITEM/PENDING_DISCONNECT': () => ({ reason: 'INSTITUTION_TOKEN_EXPIRATION', disconnect_time: iso }),
    },
  },
  {
    name: 'a Canadian bank that migrates within seven days',
    institution: canada,
    cause: ({ control }) => control('consent', { expires_in: 'P3D', reason: 'INSTITUTION_MIGRATION' }),
    sent: { 'ITEM/PENDING_DISCONNECT': () => ({ reason: 'INSTITUTION_MIGRATION', disconnect_time: iso }) },
  },
  {
    name: 'a permission that the user takes away',
    cause: ({ control }) => control('revoke', {}),
    sent: {
      'ITEM/USER_PERMISSION_REVOKED': () => ({
        error: expect.objectContaining({
          error_type: 'ITEM_ERROR',
          error_code: 'USER_PERMISSION_REVOKED',
        }) as unknown,
      }),
    },
  },
  {
    name: 'one account that the user takes away at Chase',
    institution: chase,
    cause: ({ control, accounts }) => control('revoke', { account_id: accounts[1] }),
    sent: { 'ITEM/USER_ACCOUNT_REVOKED': ({ accounts }) => ({ account_id: accounts[1] }) },
  },
  {
    name: 'one account that the user takes away elsewhere',
    cause: ({ control, accounts }) => control('revoke', { account_id: accounts[1] }),
    sent: {},
  },
  {
    name: 'an account that the bank opens',
    cause: ({ control }) => control('accounts', { open: [{ name: 'Holiday savings' }], notify: true }),
    sent: { 'ITEM/NEW_ACCOUNTS_AVAILABLE': () => ({ error: null }) },
  },
  {
    name: 'an account that the user closes',
    cause: ({ control, accounts }) => control('accounts', { close: [accounts[0]], notify: true }),
    sent: {},
  },
  {
    name: 'a changed selection of accounts, with Auth',
    products: [Products.Transactions, Products.Auth],
    cause: async ({ control, accounts, receiver }) => {
      const { opened } = (await control('accounts', { open: [{ name: 'Extra' }], notify: true })) as {
        opened: string[];
      };
      await until(() => receiver.received.length === 1);
      receiver.received.length = 0;
      await control('selection', { account_ids: [...accounts, ...opened] });
    },
    sent: {
      'TRANSACTIONS/INITIAL_UPDATE': () => ({ error: null, new_transactions: 0 }),
      'TRANSACTIONS/HISTORICAL_UPDATE': () => ({ error: null, new_transactions: 0 }),
      'AUTH/DEFAULT_UPDATE': () => ({
        account_ids_with_new_auth: [expect.any(String)],
        account_ids_with_updated_auth: {},
        error: null,
      }),
    },
  },
  {
    name: 'other account numbers, with Auth',
    products: [Products.Auth],
    cause: ({ control, accounts }) => control('numbers', { account_ids: [accounts[0]], routing: true }),
    sent: {
      'AUTH/DEFAULT_UPDATE': ({ accounts }) => ({
        account_ids_with_new_auth: [],
        account_ids_with_updated_auth: { [accounts[0] ?? '']: ['ACCOUNT_NUMBER', 'ROUTING_NUMBER'] },
        error: null,
      }),
    },
  },
  {
    name: 'other account numbers, without Auth',
    cause: ({ control }) => control('numbers', {}),
    sent: {},
  },
  {
    name: 'a user who has another telephone, with Identity',
    products: [Products.Identity],
    cause: ({ control, accounts }) =>
      control('identity', { account_ids: [accounts[0]], phone_numbers: [{ data: '4155550100' }] }),
    sent: {
      'IDENTITY/DEFAULT_UPDATE': ({ accounts }) => ({
        account_ids_with_updated_identity: { [accounts[0] ?? '']: ['PHONES'] },
        error: null,
      }),
    },
  },
  {
    name: 'micro-deposits that were verified',
    products: [Products.Auth],
    cause: ({ control, accounts }) =>
      control('verification', { account_id: accounts[0], status: 'automatically_verified' }),
    sent: { 'AUTH/AUTOMATICALLY_VERIFIED': ({ accounts }) => ({ account_id: accounts[0], error: null }) },
  },
  {
    name: 'micro-deposits that were not verified in time',
    products: [Products.Auth],
    cause: ({ control, accounts }) =>
      control('verification', { account_id: accounts[0], status: 'verification_expired' }),
    sent: { 'AUTH/VERIFICATION_EXPIRED': ({ accounts }) => ({ account_id: accounts[0], error: null }) },
  },
  {
    name: 'Auth that the user has not allowed',
    products: [Products.Auth],
    cause: async (scene) => {
      await forbid(scene, { auth: false });
      const refusal = await refusalOf(scene.rig.api.authGet({ access_token: scene.accessToken }));
      expect(refusal).toMatchObject({ error_type: 'ITEM_ERROR', error_code: 'ACCESS_NOT_GRANTED' });
    },
    sent: { 'AUTH/PRODUCT_PERMISSIONS_REQUIRED': () => ({}) },
  },
  {
    name: 'Identity that the user has not allowed',
    products: [Products.Identity],
    cause: async (scene) => {
      await forbid(scene, { identity: false });
      const refusal = await refusalOf(scene.rig.api.identityGet({ access_token: scene.accessToken }));
      expect(refusal.error_code).toBe('ACCESS_NOT_GRANTED');
    },
    sent: { 'IDENTITY/PRODUCT_PERMISSIONS_REQUIRED': () => ({}) },
  },
  {
    name: 'another webhook URL',
    cause: ({ rig, accessToken, webhook }) =>
      rig.api.itemWebhookUpdate({ access_token: accessToken, webhook: `${webhook}/new` }),
    sent: {
      'ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED': ({ webhook }) => ({
        error: null,
        new_webhook_url: `${webhook}/new`,
      }),
    },
  },
];

async function forbid({ rig, accessToken }: Scene, product_access: object): Promise<void> {
  await rig.api.itemApplicationScopesUpdate({
    access_token: accessToken,
    application_id: 'client',
    scopes: { product_access },
    context: 'PORTAL' as never,
  });
}

describe('a webhook follows from', () => {
  let rig: Rig;
  let receiver: Receiver;
  let webhook: string;
  let listening: Awaited<ReturnType<typeof startListening>>;
  beforeEach(async () => {
    listening = await startListening();
    ({ rig, receiver, webhook } = listening);
  });
  afterEach(() => listening.close());

  const scene = async (cause: Cause): Promise<Scene> => {
    const linked = await rig.link({
      webhook,
      institution: cause.institution ?? us,
      products: cause.products ?? [Products.Transactions],
    });
    await rig.advance('PT2M');
    receiver.received.length = 0;
    const { accounts } = (await rig.api.accountsGet({ access_token: linked.accessToken })).data;
    return {
      ...linked,
      rig,
      receiver,
      webhook,
      accounts: accounts.map(({ account_id }) => account_id),
      control: (name, body) => rig.control('POST', `/_sim/items/${linked.itemId}/${name}`, body),
    };
  };

  it.each(causes.map((cause) => [cause.name, cause] as const))('%s', async (_name, cause) => {
    const stage = await scene(cause);
    await cause.cause(stage);
    await until(async () => (await rig.truth(stage.itemId)).webhooks_due === 0);
    const sent = Object.fromEntries(
      receiver.received.map(({ body }) => [
        `${String(body['webhook_type'])}/${String(body['webhook_code'])}`,
        body,
      ]),
    );
    expect(receiver.received).toHaveLength(Object.keys(sent).length);
    expect(Object.keys(sent).sort()).toEqual(Object.keys(cause.sent).sort());
    for (const [name, fields] of Object.entries(cause.sent)) {
      const [webhook_type, webhook_code] = name.split('/');
      expect(sent[name]).toEqual({
        environment: 'sandbox',
        item_id: stage.itemId,
        webhook_type,
        webhook_code,
        ...fields(stage),
      });
    }
    for (const received of receiver.received) await rig.verify(received);
  });

  it('an alert of the dashboard, which names no Item', async () => {
    await expect(rig.control('POST', '/_sim/institutions/ins_0/alert', {})).rejects.toMatchObject({
      status: 404,
    });
    const body = { institution_overall_success_rate: 0.4, url: webhook };
    await rig.control('POST', `/_sim/institutions/${us}/alert`, body);
    await until(() => receiver.received.length === 1);
    expect(receiver.received[0]?.body).toEqual({
      environment: 'sandbox',
      institution_id: us,
      institution_overall_success_rate: 0.4,
      webhook_code: 'INSTITUTION_STATUS_ALERT_TRIGGERED',
      webhook_type: 'DASHBOARD_CONFIGURED_ALERT',
    });
  });
});

describe('at the bank', () => {
  let rig: Rig;
  let receiver: Receiver;
  let webhook: string;
  let api: PlaidApi;
  beforeEach(async () => {
    rig = await Rig.start();
    api = rig.api;
    receiver = new Receiver();
    webhook = await receiver.start();
  });
  afterEach(async () => {
    await rig.close();
    await receiver.stop();
  });

  const sim = <T = Record<string, unknown>>({ itemId }: Linked, name: string, body: object) =>
    rig.control<T>('POST', `/_sim/items/${itemId}/${name}`, body);
  const error = async ({ accessToken }: Linked) =>
    (await api.itemGet({ access_token: accessToken })).data.item.error?.error_code ?? null;
  const ids = async ({ accessToken }: Linked) =>
    (await api.accountsGet({ access_token: accessToken })).data.accounts.map(({ account_id }) => account_id);

  it('impossible changes are refused and change nothing', async () => {
    const item = await rig.link({ webhook });
    const before = await rig.truth(item.itemId);
    const impossible: [string, object][] = [
      ['accounts', { close: ['nobody’s'] }],
      ['accounts', { open: [{ name: 'X', type: 'depository', subtype: 'credit card' }] }],
      ['accounts', { open: [{ name: '' }] }],
      ['selection', { account_ids: [] }],
      ['selection', { account_ids: ['nobody’s'] }],
      ['numbers', { account_ids: ['nobody’s'] }],
      ['numbers', { account: 'letters' }],
      ['identity', { account_ids: ['nobody’s'], names: ['N'] }],
      ['verification', { account_id: 'nobody’s', status: 'verification_expired' }],
      ['consent', {}],
      ['consent', { expires_in: '8 days' }],
      ['consent', { expires_in: 'P9999999999D' }],
      ['consent', { expires_in: 'P8D', expires_at: '2030-01-01T00:00:00Z' }],
      ['revoke', { account_id: 'nobody’s' }],
      ['bank', { answer: 404 }],
    ];
    for (const [name, body] of impossible) {
      await expect(sim(item, name, body)).rejects.toMatchObject({ status: 400 });
    }
    expect(await rig.truth(item.itemId)).toEqual(before);
    expect(receiver.received).toEqual([]);
    await api.itemRemove({ access_token: item.accessToken });
    await expect(sim(item, 'numbers', {})).rejects.toMatchObject({ status: 409 });
  });

  it('an opened account is known at the next look, and seen once the user has chosen it', async () => {
    const item = await rig.link({ webhook });
    await rig.advance('PT2M');
    const { cursor } = await rig.run(item.accessToken);
    const before = await ids(item);
    receiver.received.length = 0;
    const { opened } = await sim<{ opened: string[] }>(item, 'accounts', {
      open: [{ name: 'Travel card', type: 'credit', mask: '9999', balances: { limit: 500 } }],
    });
    await rig.change(item.itemId, {
      add: [{ amount: 5, name: 'Of the old account' }],
    });
    await rig.advance('PT1M');
    expect(receiver.received).toEqual([]);
    // The bank tells Plaid by Plaid Exchange's own call.
    const notify = (body: object, headers: object = { 'plaid-client-id': 'bank', 'plaid-secret': 's' }) =>
      fetch(`${rig.url}/items/accounts/notify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }).then(({ status }) => status);
    const entry = { access_token: item.accessToken, account_id: opened[0] };
    expect(await notify({ notifications: [entry] }, {})).toBe(401);
    expect(await notify({ notifications: Array(2001).fill(entry) })).toBe(400);
    expect(await notify({ notifications: [entry], new_since: 'yesterday' })).toBe(400);
    expect(await notify({ notifications: Array(2000).fill(entry) })).toBe(200);
    await until(() => receiver.received.length === 3);
    expect(receiver.codes().sort()).toEqual([
      'DEFAULT_UPDATE',
      'NEW_ACCOUNTS_AVAILABLE',
      'SYNC_UPDATES_AVAILABLE',
    ]);
    expect(await ids(item)).toEqual(before);
    expect((await rig.truth(item.itemId)).accounts).toHaveLength(before.length);
    const [account_id] = opened;
    receiver.received.length = 0;
    await sim(item, 'selection', { account_ids: [...before.slice(1), account_id] });
    await until(() => receiver.received.length === 3);
    expect(receiver.codes().sort()).toEqual([
      'HISTORICAL_UPDATE',
      'INITIAL_UPDATE',
      'SYNC_UPDATES_AVAILABLE',
    ]);
    expect(await ids(item)).toEqual([...before.slice(1), account_id]);
    const made = await rig.change(item.itemId, {
      add: [{ account_id, amount: 7, name: 'With the new card' }],
    });
    const delta = await rig.run(item.accessToken, cursor);
    expect(delta.added.map(({ transaction_id }) => transaction_id)).toContain(made.added[0]);
    expect(delta.added.find(({ transaction_id }) => transaction_id === made.added[0])).toMatchObject({
      account_id,
    });
    // The account that was not chosen is as if closed, and whole again when it is chosen again.
    const live = (await rig.run(item.accessToken)).added;
    expect(live.some((row) => row.account_id === before[0])).toBe(false);
    expect(
      (
        await refusalOf(
          api.accountsGet({ access_token: item.accessToken, options: { account_ids: [before[0] ?? ''] } }),
        )
      ).error_code,
    ).toBe('INVALID_ACCOUNT_ID');
    await sim(item, 'selection', { account_ids: [...before, account_id] });
    const again = (await rig.run(item.accessToken)).added;
    expect(again.filter((row) => row.account_id === before[0]).length).toBeGreaterThan(0);
    expect(again).toHaveLength(62);
    const told = await rig.run(item.accessToken, delta.cursor);
    expect(new Set([...told.added, ...told.modified].map((row) => row.account_id))).toContain(before[0]);
  });

  it('a selection counts what is new of the last 30 days apart from the rest', async () => {
    const item = await rig.link({ webhook });
    await rig.advance('PT2M');
    const before = await ids(item);
    await sim(item, 'selection', { account_ids: before.slice(1) });
    const today = (await rig.control<{ now: string }>('GET', '/_sim/clock')).now.slice(0, 10);
    // Another application, which has the account, is where the bank's new rows are made.
    const other = clientFor(rig.url, 'other');
    const { public_token } = (
      await other.sandboxPublicTokenCreate({
        institution_id: us,
        initial_products: [Products.Transactions],
        options: { transactions: { days_requested: 730 } },
      })
    ).data;
    const exchanged = (await other.itemPublicTokenExchange({ public_token })).data;
    await rig.advance('PT1S');
    const [first] = (await other.accountsGet({ access_token: exchanged.access_token })).data.accounts;
    const account_id = first?.account_id;
    expect(first?.mask).toBe('0000');
    await rig.change(exchanged.item_id, {
      add: [
        { account_id, amount: 1, name: 'Recent', date: today },
        {
          account_id,
          amount: 2,
          name: 'Old',
          date: `${Number(today.slice(0, 4)) - 1}${today.slice(4)}`.replace('02-29', '02-28'),
        },
      ],
      // Announced to the one that sees it, so that nothing is left to be announced to this one.
      notify: true,
    });
    receiver.received.length = 0;
    await sim(item, 'selection', { account_ids: before });
    await until(() => receiver.received.length === 2);
    const counts = Object.fromEntries(
      receiver.received.map(({ body }) => [body['webhook_code'], body['new_transactions']]),
    );
    expect(counts).toEqual({ INITIAL_UPDATE: 1, HISTORICAL_UPDATE: 1 });
  });

  it('a consent ends without a further word; update mode begins it anew', async () => {
    const item = await rig.link({ webhook, institution: uk });
    const expiry = async () =>
      (await api.itemGet({ access_token: item.accessToken })).data.item.consent_expiration_time ?? '';
    const first = Date.parse(await expiry());
    await rig.advance('P172D');
    expect(receiver.codes()).not.toContain('PENDING_EXPIRATION');
    await rig.advance('P2D');
    expect(receiver.codes().at(-1)).toBe('PENDING_EXPIRATION');
    const token = (
      await api.linkTokenCreate({
        client_name: 'Sluice',
        language: 'en',
        country_codes: [CountryCode.Gb],
        user: { client_user_id: 'u' },
        access_token: item.accessToken,
      })
    ).data.link_token;
    await rig.control('POST', '/_sim/link', { link_token: token });
    expect((Date.parse(await expiry()) - first) / 86_400_000).toBeCloseTo(174, 1);
    await rig.advance('P173D');
    expect(receiver.codes().filter((code) => code === 'PENDING_EXPIRATION')).toHaveLength(2);
    const heard = receiver.received.length;
    await rig.advance('P8D');
    expect(await error(item)).toBe('ITEM_LOGIN_REQUIRED');
    expect(receiver.codes().slice(heard)).not.toContain('ERROR');
    expect((await refusalOf(api.accountsGet({ access_token: item.accessToken }))).error_code).toBe(
      'ITEM_LOGIN_REQUIRED',
    );
  });

  it('an American consent does not end unless it is said, and says why when it has', async () => {
    const item = await rig.link({ webhook, institution: chase });
    const view = async () => (await api.itemGet({ access_token: item.accessToken })).data.item;
    expect((await view()).consent_expiration_time).toBeNull();
    await sim(item, 'consent', { expires_in: 'P1D' });
    await until(() => receiver.codes().includes('PENDING_DISCONNECT'));
    await sim(item, 'consent', { expires_at: null });
    await rig.advance('P2D');
    expect((await view()).error).toBeNull();
    await sim(item, 'consent', { expires_in: 'P1D' });
    await rig.advance('P1D');
    expect((await view()).error).toMatchObject({
      error_code: 'ITEM_LOGIN_REQUIRED',
      error_code_reason: 'OAUTH_CONSENT_EXPIRED',
    });
  });

  it('a revoked permission is the end: nothing answers, no update mode brings it back', async () => {
    const item = await rig.link({ webhook });
    await rig.advance('PT2M');
    await sim(item, 'revoke', {});
    const token = { access_token: item.accessToken };
    for (const call of [api.accountsGet(token), api.transactionsSync(token), api.authGet(token)]) {
      expect(await refusalOf(call)).toMatchObject({
        status: 400,
        error_type: 'INVALID_INPUT',
        error_code: 'USER_PERMISSION_REVOKED',
      });
    }
    expect((await api.itemGet(token)).data.item.error).toMatchObject({
      error_type: 'ITEM_ERROR',
      error_code: 'USER_PERMISSION_REVOKED',
    });
    await expect(sim(item, 'repair', {})).rejects.toMatchObject({ status: 400 });
    receiver.received.length = 0;
    await rig.change(item.itemId, { add: [{ amount: 1, name: 'Unseen' }], notify: true });
    await rig.advance('P4D');
    expect(receiver.received).toEqual([]);
    await api.itemRemove(token);
  });

  it('no answer moves only last_failed_update, and the first fetch waits for the bank', async () => {
    const item = await rig.link({ webhook });
    const status = async () =>
      (await api.itemGet({ access_token: item.accessToken })).data.status?.transactions;
    await sim(item, 'bank', { answer: 503 });
    await rig.advance('PT15S');
    // It is some hours before Plaid tries again, though the bank be up before.
    await sim(item, 'bank', { answer: 200 });
    await rig.advance('PT2M');
    expect(receiver.received).toEqual([]);
    expect((await status())?.last_successful_update).toBeNull();
    expect((await status())?.last_failed_update).not.toBeNull();
    const token = { access_token: item.accessToken, start_date: '2020-01-01', end_date: '2030-01-01' };
    expect((await refusalOf(api.transactionsGet(token))).error_code).toBe('PRODUCT_NOT_READY');
    await sim(item, 'bank', { answer: 200 });
    await rig.advance('P1D');
    expect(receiver.codes()).toEqual(['INITIAL_UPDATE', 'HISTORICAL_UPDATE']);
    const worked = await status();
    await sim(item, 'bank', { answer: 503 });
    await rig.change(item.itemId, { add: [{ amount: 1, name: 'Late' }] });
    await rig.advance('PT1M');
    await rig.control('POST', `/_sim/items/${item.itemId}/transactions`, { notify: true });
    expect((await status())?.last_successful_update).toBe(worked?.last_successful_update);
    expect((await status())?.last_failed_update).not.toBe(worked?.last_failed_update);
    expect(await error(item)).toBeNull();
    expect(receiver.received).toHaveLength(2);
    // It goes on asking within 24 to 48 hours, and then tells what was missed.
    await sim(item, 'bank', { answer: 200 });
    await rig.advance('P2D');
    expect(receiver.codes().at(-1)).toBe('DEFAULT_UPDATE');
  });

  it('a live call hears at once that the bank does not answer, or refuses', async () => {
    const item = await rig.link({ webhook });
    await rig.advance('PT2M');
    receiver.received.length = 0;
    const token = { access_token: item.accessToken };
    const live = () => [api.accountsBalanceGet(token), api.transactionsRefresh(token)];
    await sim(item, 'bank', { answer: 503 });
    for (const call of live()) {
      expect(await refusalOf(call)).toMatchObject({
        status: 400,
        error_type: 'INSTITUTION_ERROR',
        error_code: 'INSTITUTION_NOT_RESPONDING',
      });
    }
    await api.accountsGet(token);
    expect(receiver.received).toEqual([]);
    await sim(item, 'bank', { answer: 401 });
    for (const call of live()) expect((await refusalOf(call)).error_code).toBe('ITEM_LOGIN_REQUIRED');
    await until(() => receiver.received.length === 1);
    expect(receiver.codes()).toEqual(['ERROR']);
  });

  it('a notification about one account makes Plaid look at all of them, and 200 says no more than that it came', async () => {
    const item = await rig.link({ webhook });
    await rig.advance('PT2M');
    receiver.received.length = 0;
    const [first, second, third] = await ids(item);
    const { added } = await rig.change(item.itemId, {
      add: [first, second, third].map((account_id) => ({ account_id, amount: 1, name: 'New' })),
    });
    const notify = (entry: object, extra: object = {}) =>
      fetch(`${rig.url}/items/transactions/notify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ client_id: 'bank', secret: 's', notifications: [entry], ...extra }),
      });
    const entry = { access_token: item.accessToken, account_id: second };
    for (const [body, extra] of [
      [{ account_id: second }, {}],
      [entry, { new_since: '2026-02-30' }],
      [entry, { new_since: 5 }],
      [entry, { unknown: true }],
      [entry, { notifications: {} }],
    ] as [object, object][]) {
      expect((await notify(body, extra)).status).toBe(400);
    }
    await rig.control('POST', '/_sim/faults', {
      match: { path: '/items/transactions/notify' },
      fault: { status: 429 },
    });
    const limited = await notify(entry);
    expect(limited.status).toBe(429);
    expect(await limited.json()).toMatchObject({ error_type: 'RATE_LIMIT_EXCEEDED' });
    expect(receiver.received).toEqual([]);
    expect((await notify({ access_token: 'access-sandbox-nobody' })).status).toBe(200);
    const accepted = await notify(entry, { new_since: '2026-11-21T10:00:00Z' });
    expect(accepted.status).toBe(200);
    expect(Object.keys((await accepted.json()) as object)).toEqual(['request_id']);
    await until(() => receiver.received.length === 1);
    expect(receiver.received[0]?.body).toMatchObject({
      webhook_code: 'DEFAULT_UPDATE',
      new_transactions: 3,
    });
    const told = (await rig.run(item.accessToken)).added.map(({ transaction_id }) => transaction_id);
    expect(told).toEqual(expect.arrayContaining(added));
  });

  it('a refused token is found at the next look, and given anew by update mode', async () => {
    const item = await rig.link({ webhook });
    await rig.advance('PT2M');
    receiver.received.length = 0;
    await sim(item, 'bank', { answer: 401 });
    expect(await error(item)).toBeNull();
    await rig.advance('P2D');
    expect(receiver.codes()).toEqual(['ERROR']);
    expect(await error(item)).toBe('ITEM_LOGIN_REQUIRED');
    await sim(item, 'repair', {});
    expect(await error(item)).toBeNull();
    await rig.change(item.itemId, { add: [{ amount: 1, name: 'After' }], notify: true });
    await until(() => receiver.codes().includes('DEFAULT_UPDATE'));
    expect(await error(item)).toBeNull();
  });

  it('numbers and owners change for those who read them', async () => {
    const item = await rig.link({ products: [Products.Auth, Products.Identity] });
    const token = { access_token: item.accessToken };
    const before = (await api.authGet(token)).data.numbers.ach;
    const first = before[0]?.account_id ?? '';
    await sim(item, 'numbers', { account_ids: [first], account: '000123456789', routing: '021000021' });
    const after = (await api.authGet(token)).data.numbers.ach;
    expect(after[0]).toEqual({ ...before[0], account: '000123456789', routing: '021000021' });
    expect(after.slice(1)).toEqual(before.slice(1));
    await sim(item, 'numbers', {});
    const drawn = (await api.authGet(token)).data.numbers.ach;
    expect(drawn.every(({ account }, n) => account !== after[n]?.account)).toBe(true);
    await sim(item, 'identity', { names: ['Maiden Name'], emails: [{ data: 'new@example.com' }] });
    const [owner] = (await api.identityGet(token)).data.accounts[0]?.owners ?? [];
    expect(owner).toMatchObject({
      names: ['Maiden Name'],
      emails: [{ data: 'new@example.com', primary: true, type: 'primary' }],
    });
    expect(owner?.addresses.length).toBeGreaterThan(0);
  });
});
