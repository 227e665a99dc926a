import { randomBytes } from 'node:crypto';
import {
  accessTokenOf,
  advance,
  change,
  fault,
  linkItem,
  minedItem,
  sendWebhook,
  truthOf,
  untilHistory,
} from './linkedItem.js';
import { closeOracle, expectTruth, untilQuiet } from './oracle.js';
import { runTogether, tellWhatWaits } from './scenarios.js';
import type { System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

const sync = '/transactions/sync';
const keys = `e2e:${randomBytes(32).toString('base64')}`;
let system: System;
beforeAll(async () => {
  system = await startSystem({ env: { ENCRYPTION_KEYS: keys }, transactionsPerItem: 20 });
});
tellWhatWaits();
afterAll(async () => {
  closeOracle(system);
  await system.stop();
});

type Json = Record<string, any>;
const get = async (route: string): Promise<Json> => (await system.api<Json>('GET', route)).body;
const alertsOf = async (itemId: string): Promise<string[]> =>
  (await system.sql<{ kind: string }[]>`SELECT kind FROM alerts WHERE item_id = ${itemId} ORDER BY 1`).map(
    ({ kind }) => kind,
  );
const toldOf = async (itemId: string): Promise<string[]> =>
  (await system.segmentEvents())
    .filter((event) => event['properties'].item_id === itemId)
    .map((event) => event['messageId'] as string);
const untilAlert = (itemId: string, kind: string): Promise<void> =>
  until(async () => (await alertsOf(itemId)).includes(kind));
const lastFailureOf = async (itemId: string): Promise<string | undefined> =>
  (await get(`/v1/items/${itemId}/sync`))['last_failure']?.type as string | undefined;

/** A cursor from the middle of a reading: Plaid withdraws it with the next change. */
async function cursorFromTheMiddle(itemId: string): Promise<string> {
  const { next_cursor } = await system.sim<{ next_cursor: string }>(sync, {
    access_token: await accessTokenOf(system, itemId, keys),
    count: 5,
  });
  return next_cursor;
}
const store = (itemId: string, cursor: string) =>
  system.sql`UPDATE items SET cursor = ${cursor} WHERE item_id = ${itemId}`;
const later = { add: [{ amount: 12.5, name: 'Later' }], notify: true };

describe('an Item that gets nowhere', () => {
  runTogether({
    'since its cursor was withdrawn is read from the start, and operators are told': async () => {
      const itemId = await minedItem(system);
      await store(itemId, await cursorFromTheMiddle(itemId));
      await change(system, itemId, later);
      await untilAlert(itemId, 'cursor_lost');
      await expectTruth(system, itemId);
      expect(await alertsOf(itemId)).toEqual(['cursor_lost']);
      expect(await lastFailureOf(itemId)).toBeUndefined();
      await change(system, itemId, later);
      await expectTruth(system, itemId);
    },

    'the same while pageHistory owns the update, and a remine that was asked for is not held up':
      async () => {
        const itemId = await minedItem(system);
        await store(itemId, await cursorFromTheMiddle(itemId));
        await change(system, itemId, { ...later, notify: false });
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'HISTORICAL_UPDATE');
        await until(async () => (await lastFailureOf(itemId)) === 'PAGES_MOVED');
        expect((await system.api('POST', `/v1/items/${itemId}/remine`)).status).toBe(202);
        await until(async () => {
          const [row] = await system.sql`
          SELECT remines > 0 AND remine_requested_at IS NULL AS done FROM items WHERE item_id = ${itemId}`;
          return row?.['done'] === true;
        });
        await expectTruth(system, itemId);
      },

    'since Plaid refuses its cursor is read from the start': async () => {
      const [itemId, other] = [await minedItem(system), await minedItem(system)];
      const [row] = await system.sql<{ cursor: string }[]>`SELECT cursor FROM items WHERE item_id = ${other}`;
      await store(itemId, row?.cursor ?? '');
      await change(system, itemId, later);
      await untilAlert(itemId, 'cursor_lost');
      await expectTruth(system, itemId);
      const [told] = await system.sql`SELECT detail FROM alerts WHERE item_id = ${itemId}`;
      expect(told?.['detail']).toMatchObject({ type: 'BAD_REQUEST', error_code: 'INVALID_FIELD' });
    },

    'since Plaid refuses every request says so, and gives its numbers all the same': async () => {
      const itemId = await linkItem(system);
      await until(async () => (await get(`/v1/items/${itemId}/sync`))['phase'] !== undefined);
      await fault(system, itemId, sync, { error_code: 'INVALID_FIELD' }, { times: 12 });
      await advance(system, itemId, 'historical');
      await until(async () => (await lastFailureOf(itemId)) === 'BAD_REQUEST');
      await until(async () => (await alertsOf(itemId)).some((kind) => kind === 'update_stuck'));
      await system.sql`UPDATE items SET numbers_due_at = now() - interval '1 minute' WHERE item_id = ${itemId}`;
      await until(async () => {
        const [row] = await system.sql`
          SELECT numbers_due_at IS NULL AS read FROM items WHERE item_id = ${itemId}`;
        return row?.['read'] === true;
      });
      await untilHistory(system, itemId, 'complete');
      await expectTruth(system, itemId);
      expect(await toldOf(itemId)).toEqual([]);
    },
  });
});

describe('an access token that Plaid does not take', () => {
  runTogether({
    'ends no removal: the token is kept until Plaid agrees': async () => {
      const itemId = await minedItem(system);
      await fault(system, itemId, '/item/remove', { error_code: 'INVALID_ACCESS_TOKEN' }, { times: 2 });
      expect((await system.api('DELETE', `/v1/items/${itemId}`)).status).toBe(204);
      await untilAlert(itemId, 'token_refused');
      await until(async () => (await get(`/v1/items/${itemId}`))['status'] === 'REMOVED');
      // Had the token been erased at the first refusal, the Item would live on at Plaid.
      const { items } = await system.sim<{ items: { item_id: string; removed: boolean }[] }>('/_sim/items');
      expect(items.find(({ item_id }) => item_id === itemId)?.removed).toBe(true);
    },

    'begins no episode, and its update comes when Plaid takes it again': async () => {
      const itemId = await minedItem(system);
      await fault(system, itemId, sync, { error_code: 'INVALID_ACCESS_TOKEN' }, { times: 2 });
      await change(system, itemId, later);
      await untilAlert(itemId, 'token_refused');
      expect((await get(`/v1/items/${itemId}`))['status']).toBe('ACTIVE');
      await expectTruth(system, itemId);
      expect(await toldOf(itemId)).toEqual([]);
    },
  });
});

describe('an update that is refused for want of the user', () => {
  runTogether({
    'once, while /item/get calls the Item healthy, begins no episode': async () => {
      const itemId = await minedItem(system);
      await fault(system, itemId, sync, { error_code: 'ITEM_LOGIN_REQUIRED' }, { times: 1 });
      await change(system, itemId, later);
      await expectTruth(system, itemId);
      const [row] = await system.sql`SELECT error_episode FROM items WHERE item_id = ${itemId}`;
      expect([row?.['error_episode'], await toldOf(itemId)]).toEqual([0, []]);
    },

    'again and again begins one, and the word of /item/get alone does not end it': async () => {
      const itemId = await minedItem(system);
      await fault(system, itemId, sync, { error_code: 'ITEM_LOGIN_REQUIRED' }, { times: 7 });
      await change(system, itemId, later);
      await until(async () => (await get(`/v1/items/${itemId}`))['status'] === 'ERROR');
      await until(async () => (await toldOf(itemId)).length === 2);
      await expectTruth(system, itemId);
      expect(await toldOf(itemId)).toEqual([`${itemId}:errored:1`, `${itemId}:repaired:1`]);
    },
  });
});

/** The user of an Item. */
const userOf = async (itemId: string): Promise<string> =>
  (await get(`/v1/items/${itemId}`))['user_id'] as string;
const untilStatus = (itemId: string, status: string): Promise<void> =>
  until(async () => (await get(`/v1/items/${itemId}`))['status'] === status);
const statesOf = async (itemId: string): Promise<string[]> => [
  ...new Set<string>((await get(`/v1/items/${itemId}/accounts`))['data'].map(({ status }: Json) => status)),
];
const linkTokenOf = async (itemId: string) =>
  system.api<Json>('POST', `/v1/users/${await userOf(itemId)}/link-token`, {
    mode: 'update',
    item_id: itemId,
  });
const settled = (itemId: string, code: string): Promise<void> =>
  until(async () =>
    (await get(`/v1/webhooks?item_id=${itemId}`))['data'].some(
      ({ webhook_code, outcome }: Json) => webhook_code === code && outcome.state !== 'pending',
    ),
  );

describe("an Item's own errors", () => {
  runTogether({
    'all accounts closed: they are closed with their events, in one lasting episode, until one is there again':
      async () => {
        const itemId = await minedItem(system);
        const { accounts } = await truthOf(system, itemId);
        const close = accounts.filter(({ closed }) => !closed).map(({ account_id }) => account_id);
        await system.sim(`/_sim/items/${itemId}/accounts`, { close, notify: true });
        await untilStatus(itemId, 'ERROR');
        expect((await get(`/v1/items/${itemId}`))['error']).toMatchObject({ error_code: 'NO_ACCOUNTS' });
        await until(async () => (await statesOf(itemId)).join() === 'closed');
        // Several checks, none of which ends it.
        const answers = async (): Promise<number> => {
          const [row] = await system.sql<[{ n: number }]>`
            SELECT health_answers AS n FROM items WHERE item_id = ${itemId}`;
          return row.n;
        };
        const before = await answers();
        await until(async () => (await answers()) > before + 2);
        expect(await toldOf(itemId)).toEqual([`${itemId}:errored:1`]);
        const { opened } = await system.sim<{ opened: string[] }>(`/_sim/items/${itemId}/accounts`, {
          open: [{ name: 'A new one' }],
        });
        await system.sim(`/_sim/items/${itemId}/selection`, { account_ids: opened });
        await untilStatus(itemId, 'ACTIVE');
        await until(async () => (await statesOf(itemId)).includes('open'));
        await until(async () => (await toldOf(itemId)).length === 2);
      },

    'consent for transactions is missing: update mode asks for it, and the Item is well once it is given':
      async () => {
        const itemId = await minedItem(system);
        await fault(system, itemId, sync, { error_code: 'ADDITIONAL_CONSENT_REQUIRED' }, { times: 12 });
        await change(system, itemId, later);
        await untilStatus(itemId, 'ERROR');
        const error = { error_code: 'ADDITIONAL_CONSENT_REQUIRED', update_mode: true };
        expect((await get(`/v1/items/${itemId}`))['error']).toMatchObject(error);
        expect((await linkTokenOf(itemId)).status).toBe(200);
        await untilStatus(itemId, 'ACTIVE');
        await expectTruth(system, itemId);
        await until(async () => (await toldOf(itemId)).length === 2);
        expect(await toldOf(itemId)).toEqual([`${itemId}:errored:1`, `${itemId}:repaired:1`]);
      },

    'its bank is down: nobody is sent to Link; its bank is given up: an error without update mode':
      async () => {
        const itemId = await minedItem(system);
        const broken = (error_code: string) => system.sim(`/_sim/items/${itemId}/break`, { error_code });
        await broken('INSTITUTION_DOWN');
        await sendWebhook(system, itemId, 'ITEM', 'ERROR', {
          error: { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_DOWN' },
        });
        await settled(itemId, 'ERROR');
        expect([(await get(`/v1/items/${itemId}`))['status'], await toldOf(itemId)]).toEqual(['ACTIVE', []]);
        await until(async () => (await lastFailureOf(itemId)) === 'INSTITUTION_DOWN');
        await system.sim(`/_sim/items/${itemId}/repair`, {});
        await broken('INSTITUTION_NO_LONGER_SUPPORTED');
        await sendWebhook(system, itemId, 'ITEM', 'ERROR', {
          error: { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_NO_LONGER_SUPPORTED' },
        });
        await untilStatus(itemId, 'ERROR');
        expect((await get(`/v1/items/${itemId}`))['error']).toMatchObject({ update_mode: false });
        const { status, body } = await linkTokenOf(itemId);
        expect([status, body['code']]).toEqual([409, 'update_mode_useless']);
      },

    'a late word of a revocation of which Plaid knows nothing tells nobody anything': async () => {
      const itemId = await minedItem(system);
      await sendWebhook(system, itemId, 'ITEM', 'USER_PERMISSION_REVOKED', {
        error: { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' },
      });
      await settled(itemId, 'USER_PERMISSION_REVOKED');
      expect([(await get(`/v1/items/${itemId}`))['status'], await toldOf(itemId)]).toEqual(['ACTIVE', []]);
      await change(system, itemId, later);
      await expectTruth(system, itemId);
    },

    'a removal that names a row which still lives takes nothing': async () => {
      const itemId = await minedItem(system);
      const { transactions } = await truthOf(system, itemId);
      const removed_transactions = transactions.slice(0, 2).map(({ transaction_id }) => transaction_id);
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'TRANSACTIONS_REMOVED', { removed_transactions });
      await settled(itemId, 'TRANSACTIONS_REMOVED');
      await expectTruth(system, itemId);
      const rows = await system.sql<{ version: number; status: string }[]>`
        SELECT version, status FROM transactions WHERE transaction_id = ANY(${removed_transactions}::text[])`;
      expect(rows.map(({ version, status }) => [version, status === 'removed'])).toEqual([
        [1, false],
        [1, false],
      ]);
    },

    'no transactions: its accounts and balances are kept up to date, and it says so': async () => {
      const itemId = await linkItem(system);
      await fault(system, itemId, sync, { error_code: 'PRODUCTS_NOT_SUPPORTED' }, { times: 1_000 });
      await advance(system, itemId, 'historical');
      const item = () => get(`/v1/items/${itemId}`);
      await until(async () => (await item())['transactions'] === 'unavailable');
      expect(await item()).toMatchObject({ status: 'ACTIVE', phase: 'idle', error: null });
      const accounts = async (): Promise<Json[]> => (await get(`/v1/items/${itemId}/accounts`))['data'];
      const [first] = await accounts();
      await system.sim(`/_sim/items/${itemId}/accounts`, {
        modify: [{ account_id: first?.['id'], balances: { current: 4321.5 } }],
      });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'DEFAULT_UPDATE', { new_transactions: 0 });
      await until(async () =>
        (await accounts()).some(
          ({ id, balances }) => id === first?.['id'] && Number(balances.current) === 4321.5,
        ),
      );
      await until(async () => (await lastFailureOf(itemId)) === undefined);
      expect([await alertsOf(itemId), await toldOf(itemId)]).toEqual([['product_unavailable'], []]);
    },

    'its webhooks go to where the service was before: they come to us after the next login': async () => {
      const itemId = await minedItem(system);
      const token = await accessTokenOf(system, itemId, keys);
      const address = async (): Promise<string> =>
        (await system.sim<Json>('/item/get', { access_token: token }))['item'].webhook as string;
      const ours = await address();
      await system.sim('/item/webhook/update', { access_token: token, webhook: 'http://127.0.0.1:9/former' });
      expect((await system.api('POST', `/v1/users/${await userOf(itemId)}/logins`)).status).toBeLessThan(300);
      await until(async () => (await address()) === ours);
      // Plaid still tries to tell the former address: the Item is not at rest.
      const { added } = await system.sim<{ added: string[] }>(`/_sim/items/${itemId}/transactions`, later);
      await until(async () => {
        const rows = await system.sql`SELECT FROM transactions WHERE transaction_id = ${added[0] ?? ''}`;
        return rows.length === 1;
      });
    },

    'the bank has another id since: the same accounts are refused under it': async () => {
      const [old, present, user] = ['ins_109510', 'ins_9109510', 'moves'];
      const itemId = await minedItem(system, { user, institution: old });
      await system.sim(`/_sim/institutions/${old}/alias`, { of: present });
      const { public_token } = await system.sim<{ public_token: string }>('/sandbox/public_token/create', {
        institution_id: present,
        initial_products: ['transactions', 'auth'],
        options: { webhook: `${system.urls.api}/webhooks/plaid` },
      });
      const link = () => system.api<Json>('POST', `/v1/users/${user}/items`, { public_token });
      let answer = await link();
      while (answer.status === 503 || answer.status === 504) answer = await link();
      const { status, body } = answer;
      expect([status, body['code'], body['item_id']]).toEqual([409, 'duplicate_item', itemId]);
      await until(async () => {
        const { items } = await system.sim<{ items: Json[] }>('/_sim/items');
        const here = items.filter((item) => [old, present].includes(item['institution_id'] as string));
        return here.filter((item) => item['removed'] === false).length === 1;
      });
    },
  });
});

describe('a remine', () => {
  it('forgets no removal that the cursor had still to tell', async () => {
    const itemId = await minedItem(system);
    const { transactions } = await truthOf(system, itemId);
    const oldest = [...new Set(transactions.map(({ account_id }) => account_id))].map(
      (account) =>
        transactions
          .filter(({ account_id }) => account_id === account)
          .sort((a, b) => (a.date < b.date ? -1 : 1))[0]?.transaction_id ?? '',
    );
    await change(system, itemId, { remove: oldest });
    expect((await system.api('POST', `/v1/items/${itemId}/remine`)).status).toBe(202);
    await until(async () => {
      const [row] = await system.sql`
        SELECT remines > 0 AND remine_requested_at IS NULL AS done FROM items WHERE item_id = ${itemId}`;
      return row?.['done'] === true;
    });
    await untilQuiet(system, itemId);
    await expectTruth(system, itemId);
  });
});
