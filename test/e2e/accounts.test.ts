import { goThroughLink } from './linking.js';
import { advance, minedItem, sendWebhook, truthOf, untilHistory } from './linkedItem.js';
import { closeOracle, expectTruth, untilQuiet } from './oracle.js';
import type { System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

let system: System;
let bearer: Record<string, string>;
beforeAll(async () => {
  system = await startSystem({ transactionsPerItem: 60 });
  const application = (await system.api<Json>('POST', '/v1/applications', { name: 'payer', access: 'all' }))
    .body;
  const route = `/v1/applications/${application['application_id']}/keys`;
  const { key } = (await system.api<Json>('POST', route, { scopes: ['numbers'] })).body;
  bearer = { authorization: `Bearer ${key}` };
});
afterAll(async () => {
  closeOracle(system);
  await system?.stop();
});

type Json = Record<string, any>;
const get = async (route: string): Promise<Json> => (await system.api<Json>('GET', route)).body;
const numbersOf = async (itemId: string): Promise<Json> =>
  (await system.api<Json>('GET', `/v1/items/${itemId}/numbers`, undefined, bearer)).body;
const withNumbers = async (itemId: string): Promise<string[]> =>
  (await numbersOf(itemId))['numbers'].map((entry: Json) => entry['account_id']);
const accountsOf = async (itemId: string): Promise<Json[]> =>
  (await get(`/v1/items/${itemId}/accounts`))['data'];
const link = (user: string, publicToken: string, more: Json = {}) =>
  system.api<Json>('POST', `/v1/users/${user}/items`, { public_token: publicToken, ...more });

/** An Item of a login whose accounts wait for micro-deposits. */
async function unverifiedItem(user: string): Promise<string> {
  const { public_token } = await system.sim<{ public_token: string }>('/sandbox/public_token/create', {
    institution_id: 'ins_109512',
    initial_products: ['transactions', 'auth'],
    options: { webhook: `${system.urls.api}/webhooks/plaid`, override_username: 'microdeposits_good' },
  });
  const itemId = (await link(user, public_token)).body['item_id'] as string;
  await advance(system, itemId, 'historical');
  await untilHistory(system, itemId, 'complete');
  await untilQuiet(system, itemId);
  await until(async () => (await numbersOf(itemId))['next_read_at'] > new Date().toISOString());
  return itemId;
}

describe('account numbers that come days after the link', () => {
  it('are waited for in sight, and read when Plaid says that it has verified the accounts', async () => {
    const itemId = await unverifiedItem('verifies');
    const { missing } = await numbersOf(itemId);
    expect(missing.length).toBeGreaterThan(0);
    expect(new Set(missing.map((entry: Json) => entry['reason']))).toEqual(new Set(['verification_pending']));
    const ids: string[] = missing.map((entry: Json) => entry['account_id']);
    for (const account_id of ids) {
      await system.sim(`/_sim/items/${itemId}/verification`, {
        account_id,
        status: 'automatically_verified',
      });
    }
    await until(async () => (await withNumbers(itemId)).length >= ids.length);
    // Each account's webhook makes them due once more: the last may still be on its way.
    await untilQuiet(system, itemId);
    await until(async () => (await numbersOf(itemId))['next_read_at'] === null);
    expect(await numbersOf(itemId)).toMatchObject({ missing: [], next_read_at: null });
  });

  it('are waited for no more when the verification has expired', async () => {
    const itemId = await unverifiedItem('expires');
    const { missing } = await numbersOf(itemId);
    for (const { account_id } of missing) {
      await system.sim(`/_sim/items/${itemId}/verification`, { account_id, status: 'verification_expired' });
    }
    await until(async () => (await numbersOf(itemId))['next_read_at'] === null);
    const after = await numbersOf(itemId);
    expect(after['missing'].map((entry: Json) => entry['reason'])).toEqual(
      missing.map(() => 'verification_expired'),
    );
  });
});

describe('an account that is revoked', () => {
  it('while Plaid lists it gives its numbers again once Plaid was asked, also when the webhook is replayed', async () => {
    const itemId = await minedItem(system, { user: 'revokes' });
    await until(async () => (await withNumbers(itemId)).length > 0);
    const ids = await withNumbers(itemId);
    await sendWebhook(system, itemId, 'ITEM', 'USER_ACCOUNT_REVOKED', { account_id: ids[0] });
    const told = async (): Promise<Json | undefined> =>
      (await get(`/v1/webhooks?item_id=${itemId}`))['data'].find(
        ({ webhook_code, outcome }: Json) =>
          webhook_code === 'USER_ACCOUNT_REVOKED' && outcome.state === 'done',
      );
    await until(async () => (await told()) !== undefined);
    await until(async () => (await withNumbers(itemId)).length === ids.length);
    const again = await system.api<Json>('POST', `/v1/webhooks/${(await told())?.['webhook_id']}/replay`);
    expect(again.status).toBeLessThan(300);
    expect(await withNumbers(itemId)).toEqual(ids);
    await untilQuiet(system, itemId);
    expect(await withNumbers(itemId)).toEqual(ids);
  });
});

describe('account ids that churn under an Item', () => {
  it('end with one account that is the main one, with its numbers and its rows once', async () => {
    const itemId = await minedItem(system, { user: 'churns' });
    const main = (await get(`/v1/items/${itemId}`))['main_account_id'] as string;
    const before = (await truthOf(system, itemId)).transactions.filter(
      ({ account_id }) => account_id === main,
    ).length;
    expect(before).toBeGreaterThan(0);
    const { churned } = await system.sim<{ churned: { new_account_id: string }[] }>(
      `/_sim/items/${itemId}/churn`,
      { account_ids: [main], notify: true },
    );
    const [{ new_account_id: next }] = churned as [{ new_account_id: string }];
    await until(async () => (await get(`/v1/items/${itemId}`))['main_account_id'] === next);
    await expectTruth(system, itemId);
    const accounts = new Map((await accountsOf(itemId)).map((account) => [account['id'], account]));
    expect(accounts.get(next)).toMatchObject({
      is_main: true,
      replaces: main,
      replaced_by: null,
      status: 'open',
    });
    expect(accounts.get(main)).toMatchObject({ is_main: false, replaced_by: next, status: 'closed' });
    const listed = async (id: string): Promise<number> => {
      const { data } = await get(`/v1/items/${itemId}/transactions?account_id=${id}&limit=500`);
      return data.length;
    };
    expect([await listed(main), await listed(next)]).toEqual([0, before]);
    await until(async () => (await withNumbers(itemId)).includes(next));
  });
});

describe('linking a bank anew', () => {
  const account = (mask: string) => ({
    type: 'depository',
    subtype: 'checking',
    starting_balance: 100,
    meta: { name: `Account ${mask}`, mask },
    transactions: [],
  });
  const login = (...masks: string[]) => ({
    institution_id: 'ins_109508',
    username: 'user_custom',
    password: JSON.stringify({ version: '2', override_accounts: masks.map(account) }),
  });

  it('with fewer accounts names those that end with the replaced item', async () => {
    const first = await goThroughLink(system, 'shrinks', login('0001', '0002', '0003'));
    const old = (await link('shrinks', first.publicToken)).body['item_id'] as string;
    await until(async () => (await accountsOf(old)).length === 3);
    await system.api('POST', `/v1/items/${old}/reset-login`);
    await until(async () => (await get(`/v1/items/${old}`))['status'] === 'ERROR');
    const kept = await goThroughLink(system, 'shrinks', login('0002'));
    const dropped = (await accountsOf(old))
      .filter(({ mask }) => mask !== '0002')
      .map(({ id }) => id as string)
      .sort();
    const answer = await link('shrinks', kept.publicToken);
    expect([answer.status, answer.body['replaces'], answer.body['warnings']]).toEqual([
      201,
      old,
      ['accounts_dropped'],
    ]);
    expect(answer.body['dropped_accounts'].sort()).toEqual(dropped);
    const again = await link('shrinks', kept.publicToken);
    expect([again.status, again.body['dropped_accounts'].sort()]).toEqual([200, dropped]);
  });

  it('is refused for an account that is there, and done all the same when the client allows it', async () => {
    const first = await goThroughLink(system, 'joint', login('0007'));
    const { item_id } = (await link('joint', first.publicToken)).body;
    const metadata = {
      institution_id: 'ins_109508',
      accounts: [{ name: 'Account 0007', mask: '0007', type: 'depository', subtype: 'checking' }],
    };
    const second = await goThroughLink(system, 'joint', login('0007', '0008'));
    const refused = await link('joint', second.publicToken, metadata);
    expect([refused.status, refused.body['code'], refused.body['item_id']]).toEqual([
      409,
      'duplicate_item',
      item_id,
    ]);
    const allowed = await link('joint', second.publicToken, { ...metadata, allow_duplicate: true });
    expect([allowed.status, allowed.body['replaces']]).toEqual([201, undefined]);
    expect((await get(`/v1/items/${item_id}`))['status']).toBe('ACTIVE');
  });
});
