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
