import { readdirSync, readFileSync } from 'node:fs';
import { Products } from 'plaid';
import type { Rig } from './rig.js';

/** What a request of each endpoint needs to name. */
export interface Scene {
  rig: Rig;
  accessToken: string;
  accountId: string;
  itemId: string;
}

type Request = (scene: Scene) => Record<string, unknown> | Promise<Record<string, unknown>>;

const PLATYPUS = 'ins_109508';
const onItem: Request = ({ accessToken }) => ({ access_token: accessToken });

async function keyId({ rig }: Scene): Promise<string> {
  const { key } = await rig.control<{ key: { kid: string } }>('POST', '/_sim/keys/rotate');
  return key.kid;
}

async function linkToken(rig: Rig): Promise<string> {
  const created = await call(rig, '/link/token/create', {
    client_name: 'Tests',
    country_codes: ['US'],
    language: 'en',
    products: ['transactions'],
    user: { client_user_id: 'somebody' },
  });
  return String(created.body['link_token']);
}

async function publicToken(rig: Rig): Promise<string> {
  const created = await rig.api.sandboxPublicTokenCreate({
    institution_id: PLATYPUS,
    initial_products: [Products.Transactions],
  });
  return created.data.public_token;
}

const OTHER = { 'plaid-client-id': 'another', 'plaid-secret': 'secret' };
let users = 0;

/** A bank's user who has let another application in: the access token that the bank has of the user, and that application. */
async function letIn(rig: Rig): Promise<{ access_token: string; application_id: string }> {
  users += 1;
  const username = `user ${users} of the bank`;
  const created = await call(
    rig,
    '/sandbox/public_token/create',
    {
      institution_id: PLATYPUS,
      initial_products: ['transactions'],
      options: { override_username: username },
    },
    OTHER,
  );
  const { public_token } = created.body;
  await call(rig, '/item/public_token/exchange', { public_token }, OTHER);
  const imported = await call(rig, '/item/import', {
    institution_id: PLATYPUS,
    products: ['transactions'],
    user_auth: { user_id: username, auth_token: 'token of the bank' },
  });
  return {
    access_token: String(imported.body['access_token']),
    application_id: OTHER['plaid-client-id'],
  };
}

/** An Item with Investments and Liabilities, and an investment account of it. */
async function invested(rig: Rig): Promise<{ access_token: string; account_id: string }> {
  const { accessToken: access_token } = await rig.link({
    products: [Products.Investments, Products.Liabilities, Products.Assets],
  });
  const { accounts } = (await rig.api.accountsGet({ access_token })).data;
  const account_id = accounts.find(({ type }) => String(type) === 'investment')?.account_id ?? '';
  return { access_token, account_id };
}

/** The token of an Asset Report that is made. */
async function reportToken(rig: Rig): Promise<string> {
  const { access_token } = await invested(rig);
  const { data } = await rig.api.assetReportCreate({ access_tokens: [access_token], days_requested: 60 });
  await rig.advance('PT1M');
  return data.asset_report_token;
}

async function accountAtBank(rig: Rig, access_token: string): Promise<unknown> {
  const { body } = await call(rig, '/item/application/list', { access_token });
  const [application] = body['applications'] as { scopes: { accounts: { unique_id: string }[] } }[];
  return application?.scopes.accounts[0]?.unique_id;
}

/** A valid request to each of Plaid's endpoints that the simulator has, with every optional object given. */
export const REQUESTS: Record<string, Request> = {
  '/accounts/get': ({ accessToken, accountId }) => ({
    access_token: accessToken,
    options: { account_ids: [accountId] },
  }),
  '/accounts/balance/get': ({ accessToken, accountId }) => ({
    access_token: accessToken,
    options: { account_ids: [accountId], min_last_updated_datetime: '2020-01-01T00:00:00Z' },
  }),
  '/auth/get': ({ accessToken, accountId }) => ({
    access_token: accessToken,
    options: { account_ids: [accountId] },
  }),
  '/identity/get': ({ accessToken, accountId }) => ({
    access_token: accessToken,
    options: { account_ids: [accountId] },
  }),
  '/transactions/sync': ({ accessToken }) => ({
    access_token: accessToken,
    cursor: '',
    count: 500,
    options: { include_original_description: true },
  }),
  '/transactions/get': ({ accessToken }) => ({
    access_token: accessToken,
    start_date: '2020-01-01',
    end_date: '2040-01-01',
    options: { count: 500, offset: 0 },
  }),
  '/transactions/refresh': onItem,
  '/transactions/recurring/get': ({ accessToken, accountId }) => ({
    access_token: accessToken,
    account_ids: [accountId],
    options: { personal_finance_category_version: 'v2' },
  }),
  '/transactions/enrich': () => ({
    account_type: 'depository',
    options: { include_legacy_category: true },
    transactions: [
      {
        id: 'one',
        description: 'KETTLE & BEAN #1234 SEATTLE',
        amount: 4.5,
        direction: 'OUTFLOW',
        iso_currency_code: 'USD',
        location: { city: 'Seattle', region: 'WA' },
        date_posted: '2026-01-31',
      },
      {
        id: 'two',
        description: 'NOBODY KNOWS THIS',
        amount: 1,
        direction: 'INFLOW',
        iso_currency_code: 'USD',
      },
    ],
  }),
  '/categories/get': () => ({}),
  '/asset_report/create': async ({ rig }) => ({
    access_tokens: [(await invested(rig)).access_token],
    days_requested: 60,
    options: {
      client_report_id: 'mine',
      webhook: 'http://127.0.0.1:9/hook',
      add_ons: ['investments'],
      user: { client_user_id: 'somebody', first_name: 'Ann' },
      require_all_items: true,
    },
  }),
  '/asset_report/get': async ({ rig }) => ({
    asset_report_token: await reportToken(rig),
    include_insights: false,
    options: { days_to_include: 30 },
  }),
  '/investments/holdings/get': async ({ rig }) => {
    const { access_token, account_id } = await invested(rig);
    return { access_token, options: { account_ids: [account_id] } };
  },
  '/investments/transactions/get': async ({ rig }) => {
    const { access_token, account_id } = await invested(rig);
    const options = { account_ids: [account_id], count: 100, offset: 0, async_update: true };
    return { access_token, start_date: '2020-01-01', end_date: '2040-01-01', options };
  },
  '/investments/refresh': async ({ rig }) => ({ access_token: (await invested(rig)).access_token }),
  '/liabilities/get': async ({ rig }) => {
    const { access_token, account_id } = await invested(rig);
    return { access_token, options: { account_ids: [account_id] } };
  },
  '/consent/events/get': onItem,
  '/item/get': onItem,
  '/item/import': () => ({
    institution_id: PLATYPUS,
    products: ['transactions'],
    user_auth: { user_id: 'somebody at the bank', auth_token: 'token of the bank' },
    options: { webhook: 'http://127.0.0.1:9/hook' },
  }),
  '/item/activity/list': async ({ rig }) => ({ access_token: (await letIn(rig)).access_token, count: 10 }),
  '/application/get': async ({ rig }) => ({ application_id: (await letIn(rig)).application_id }),
  '/item/application/list': async ({ rig }) => ({ access_token: (await letIn(rig)).access_token }),
  '/item/application/unlink': ({ rig }) => letIn(rig),
  '/item/application/scopes/update': async ({ rig }) => {
    const request = await letIn(rig);
    return {
      ...request,
      scopes: {
        product_access: { transactions: true, auth: false },
        accounts: [{ unique_id: await accountAtBank(rig, request.access_token), authorized: false }],
        new_accounts: true,
      },
      state: 'of the portal',
      context: 'PORTAL',
    };
  },
  '/item/webhook/update': ({ accessToken }) => ({
    access_token: accessToken,
    webhook: 'http://127.0.0.1:9/hook',
  }),
  '/item/access_token/invalidate': onItem,
  '/item/public_token/create': onItem,
  '/item/public_token/exchange': async ({ rig }) => ({ public_token: await publicToken(rig) }),
  '/item/products/terminate': ({ accessToken }) => ({
    access_token: accessToken,
    reason_code: 'USER_OFFBOARDING',
    reason_note: 'left',
  }),
  '/item/remove': ({ accessToken }) => ({ access_token: accessToken, reason_code: 'OTHER' }),
  '/link/token/create': () => ({
    client_name: 'Tests',
    country_codes: ['US'],
    language: 'en',
    products: ['transactions'],
    transactions: { days_requested: 30 },
    user: { client_user_id: 'somebody' },
  }),
  '/link/token/get': async ({ rig }) => ({ link_token: await linkToken(rig) }),
  '/institutions/get': () => ({
    count: 500,
    offset: 0,
    country_codes: ['US', 'GB', 'CA'],
    options: { include_optional_metadata: true, include_auth_metadata: true },
  }),
  '/institutions/get_by_id': () => ({
    institution_id: PLATYPUS,
    country_codes: ['US'],
    options: { include_status: true, include_optional_metadata: true, include_auth_metadata: true },
  }),
  '/institutions/search': () => ({
    query: 'platypus',
    products: null,
    country_codes: ['US'],
    options: { include_optional_metadata: true },
  }),
  '/webhook_verification_key/get': async (scene) => ({ key_id: await keyId(scene) }),
  '/beta/webhook_events/list': () => ({ count: 10, webhook_types: ['TRANSACTIONS'] }),
  '/sandbox/public_token/create': () => ({
    institution_id: PLATYPUS,
    initial_products: ['transactions'],
    options: { override_username: 'user_good', transactions: { days_requested: 90 } },
    user_id: 'usr_1',
  }),
  '/sandbox/item/fire_webhook': ({ accessToken }) => ({
    access_token: accessToken,
    webhook_type: 'ITEM',
    webhook_code: 'NEW_ACCOUNTS_AVAILABLE',
  }),
  '/sandbox/item/application/seed': async ({ rig }) => ({
    access_token: (await letIn(rig)).access_token,
    application_id: 'seeded',
  }),
  '/sandbox/item/reset_login': onItem,
  '/sandbox/item/set_verification_status': ({ accessToken, accountId }) => ({
    access_token: accessToken,
    account_id: accountId,
    verification_status: 'automatically_verified',
  }),
  '/sandbox/user/reset_login': ({ itemId }) => ({ user_id: 'usr_1', item_ids: [itemId] }),
  '/sandbox/transactions/create': ({ accessToken }) => {
    const today = new Date().toISOString().slice(0, 10);
    return {
      access_token: accessToken,
      transactions: [{ date_transacted: today, date_posted: today, amount: 5, description: 'Made' }],
    };
  },
};

const ROUTES = new URL('../src/routes/', import.meta.url);

/** The paths that the simulator's source names as Plaid's endpoints. */
export function pathsInSource(): string[] {
  return readdirSync(ROUTES)
    .flatMap((file) => [...readFileSync(new URL(file, ROUTES), 'utf8').matchAll(/^ {4}path: '([^']+)'/gm)])
    .map(([, path]) => path ?? '');
}

export interface Answer {
  status: number;
  body: Record<string, unknown> & { error_code?: string };
}

/** Posts a body as it is (text) or as JSON; credentials stand in headers unless the headers say otherwise. */
export async function call(
  rig: Rig,
  path: string,
  body: string | object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${rig.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'plaid-client-id': 'client',
      'plaid-secret': 'secret',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}
