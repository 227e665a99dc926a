import { randomBytes } from 'node:crypto';
import { accessTokenOf, advance, fault, linkItem, truthOf, untilHistory } from './linkedItem.js';
import type { Json } from './linking.js';
import { untilQuiet } from './oracle.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

const keys = `live:${randomBytes(32).toString('base64')}`;
let system: System;
let itemId: string;

const read = (what: string, id = itemId): Promise<Answer<Json>> =>
  system.api<Json>('GET', `/v1/items/${id}${what === '' ? '' : `/${what}`}`);
const balancePath = '/accounts/balance/get';

beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 150,
    env: { ENCRYPTION_KEYS: keys },
    apiEnv: { LIVE_READS: '2' },
  });
  itemId = await linkItem(system, { user: 'live' });
});
afterAll(() => system?.stop());

describe('live reads', () => {
  it("tell by Plaid's own word that the bank was never read", async () => {
    const { status, headers, body } = await read('transactions/live');
    expect([status, body['code'], headers.get('retry-after')]).toEqual([424, 'product_not_ready', '60']);
    expect(body['plaid']).toMatchObject({ error_type: 'ITEM_ERROR', error_code: 'PRODUCT_NOT_READY' });
  });

  it("are Plaid's own objects, and store nothing", async () => {
    await advance(system, itemId, 'historical');
    await untilHistory(system, itemId, 'complete');
    await untilQuiet(system, itemId);
    const truth = await truthOf(system, itemId);
    const accounts = truth.accounts.map(({ closed, ...atPlaid }) => {
      expect(closed).toBe(false);
      return atPlaid;
    });
    for (const what of ['accounts/live', 'balances/live']) {
      const { status, body } = await read(what);
      expect([what, status, body]).toEqual([what, 200, { accounts, request_id: expect.any(String) }]);
    }
    const before = await system.sql`SELECT md5(string_agg(a::text, '')) AS sum FROM accounts a`;
    const byId = new Map(truth.transactions.map((row) => [row.transaction_id, row]));
    const found = new Set<string>();
    for (let offset = 0; offset < byId.size; offset += 60) {
      const { body } = await read(`transactions/live?limit=60&offset=${offset}`);
      expect(body['total_transactions']).toBe(byId.size);
      for (const row of body['transactions']) {
        expect(row).toEqual(byId.get(row['transaction_id']));
        found.add(row['transaction_id']);
      }
    }
    expect(found.size).toBe(byId.size);
    expect(await system.sql`SELECT md5(string_agg(a::text, '')) AS sum FROM accounts a`).toEqual(before);
  });

  const errors: [string, Record<string, unknown>, number, string][] = [
    ['a login that the user must repeat', { error_code: 'ITEM_LOGIN_REQUIRED' }, 409, 'login_required'],
    ['an account that is none', { error_code: 'INVALID_ACCOUNT_ID' }, 424, 'plaid_refused'],
    ['a product that the Item lacks', { error_code: 'PRODUCTS_NOT_SUPPORTED' }, 424, 'plaid_refused'],
    ['a bank that is down', { error_code: 'INSTITUTION_DOWN' }, 502, 'institution_unavailable'],
    ['a failure of Plaid', { status: 500 }, 502, 'plaid_unreachable'],
    ['a connection that breaks', { reset: 'before' }, 502, 'plaid_unreachable'],
    ['an answer that is cut off', { truncate: 30 }, 502, 'plaid_unreachable'],
    ['a rate limit', { error_code: 'BALANCE_LIMIT' }, 503, 'plaid_busy'],
    ['maintenance', { error_code: 'PLANNED_MAINTENANCE' }, 503, 'plaid_busy'],
  ];
  for (const [what, injected, status, code] of errors) {
    it(`say what ${what} is`, async () => {
      await fault(system, itemId, balancePath, injected);
      const answer = await read('balances/live');
      expect([answer.status, answer.body['code']]).toEqual([status, code]);
      expect(answer.headers.has('retry-after')).toBe(status === 503);
      if ('error_code' in injected) {
        expect(answer.body['plaid']).toMatchObject({ error_code: injected['error_code'] });
      }
      expect(JSON.stringify(answer.body)).not.toContain('access-');
      expect((await read('balances/live')).status).toBe(200);
    });
  }

  it('of Plaid that does not answer end as a time-out, and leave what is cached alone', async () => {
    // From here on: checks of the Item after the failures above ask for its accounts, too.
    await fault(system, itemId, '/accounts/get', { latency_ms: 14_000 }, { times: 1_000 });
    const slow: ReturnType<typeof read>[] = [];
    await until(async () => {
      // One that comes before an earlier read has given back its place is refused.
      slow.push(read('accounts/live'), read('accounts/live'));
      return (await read('balances/live')).body['code'] === 'live_reads_busy';
    });
    const refused = await read('balances/live');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    for (const what of ['accounts', 'transactions']) expect((await read(what)).status).toBe(200);
    const answers = (await Promise.all(slow)).map(({ status, body }) => `${status} ${body['code']}`);
    expect(answers).toContain('504 plaid_timeout');
    expect(
      answers.filter((answer) => answer !== '503 live_reads_busy' && answer !== '504 plaid_timeout'),
    ).toEqual([]);
    expect((await read('balances/live')).status).toBe(200);
  });

  it('that meet an item which broke without a word begin its episode', async () => {
    const silent = await linkItem(system, { user: 'silent' });
    await advance(system, silent, 'historical');
    await untilHistory(system, silent, 'complete');
    await untilQuiet(system, silent);
    const access_token = await accessTokenOf(system, silent, keys);
    await system.sim('/item/webhook/update', { access_token, webhook: 'http://127.0.0.1:9/nobody' });
    await system.sim('/sandbox/item/reset_login', { access_token });
    expect((await read('', silent)).body['status']).toBe('ACTIVE');
    const { status, body } = await read('accounts/live', silent);
    expect([status, body['code']]).toEqual([409, 'login_required']);
    await until(async () => (await read('', silent)).body['status'] === 'ERROR');
  });

  it('of a removed item are refused', async () => {
    await system.sql`UPDATE items SET removal_requested_at = now() WHERE item_id = ${itemId}`;
    const answer = await read('accounts/live');
    expect([answer.status, answer.body['code']]).toEqual([409, 'item_removed']);
    expect((await read('accounts/live', 'nobody')).status).toBe(404);
  });
});
