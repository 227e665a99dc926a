import { randomBytes } from 'node:crypto';
import { until } from './until.js';
import {
  accessTokenOf,
  advance,
  callsOf,
  change,
  fault,
  linkItem,
  minedItem,
  rows,
  sendWebhook,
  truthOf,
  untilHistory,
} from './linkedItem.js';
import { closeOracle, expectHealthy, expectTruth, untilQuiet } from './oracle.js';
import { runTogether, tellWhatWaits } from './scenarios.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

const sync = '/transactions/sync';

const keys = `e2e:${randomBytes(32).toString('base64')}`;
let system: System;
beforeAll(async () => {
  system = await startSystem({
    env: { ENCRYPTION_KEYS: keys },
    transactionsPerItem: 20,
    simulatorArgs: ['--initial-after-ms', '86400000'],
  });
});
tellWhatWaits();
afterAll(async () => {
  closeOracle(system);
  await system.stop();
});

/** A backfill of two pages that meets the faults (`call`: of that path, since now), and is equal to the truth in the end. */
async function backfillDespite(faults: Parameters<typeof backfillMeeting>[0]): Promise<string> {
  const itemId = await backfillMeeting(faults);
  await expectTruth(system, itemId);
  return itemId;
}

async function backfillMeeting(
  faults: { path?: string; call?: number; times?: number; what: Record<string, unknown> }[],
): Promise<string> {
  const itemId = await linkItem(system);
  await untilCalled(itemId);
  await change(system, itemId, { add: rows(500) });
  for (const { path, what, ...when } of faults) {
    await fault(system, itemId, path ?? sync, what, when);
  }
  await advance(system, itemId, 'historical');
  await untilHistory(system, itemId, 'complete');
  return itemId;
}

/** The newborn's first look is over, so that the fault meets the backfill. */
const untilCalled = (itemId: string): Promise<void> =>
  until(async () => (await callsOf(system, itemId, sync)) > 0);

describe('mining survives', () => {
  runTogether({
    'errors 500, known and new ones, broken connections and answers cut off': async () => {
      await backfillDespite([
        { call: 1, what: { error_code: 'INTERNAL_SERVER_ERROR' } },
        { call: 2, what: { status: 502 } },
        { call: 3, what: { reset: 'before' } },
        // The first page was had by call 4.
        { call: 5, what: { reset: 'after' } },
        { call: 6, what: { truncate: 3_000 } },
        { call: 7, what: { error_type: 'API_ERROR', error_code: 'SOMETHING_NEW', status: 500 } },
        { call: 8, what: { error_code: 'INSTITUTION_DOWN' } },
      ]);
    },
    '429, a product not ready, and accounts that fail, are half, or come later than we wait': async () => {
      const itemId = await backfillDespite([
        { call: 2, what: { error_code: 'RATE_LIMIT', status: 429 } },
        { call: 3, what: { error_code: 'PRODUCT_NOT_READY' } },
        { path: '/accounts/get', call: 1, what: { error_code: 'INTERNAL_SERVER_ERROR' } },
        { path: '/accounts/get', call: 2, what: { truncate: 40 } },
        // They are waited for 10 s.
        { path: '/accounts/get', call: 3, what: { latency_ms: 12_000 } },
      ]);
      const { violations } = await system.sim<{ violations: { item_id: string }[] }>('/_sim/calls');
      expect(violations.filter((violation) => violation.item_id === itemId)).toEqual([]);
    },
    'mutations after each page, right after the last one too': async () => {
      const itemId = await backfillMeeting(
        [1, 2].map((after_page) => ({ what: { mutate_during_pagination: { after_page } } })),
      );
      // Nobody told of the last one: it comes with whatever comes next.
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
      const told = await expectTruth(system, itemId);
      expect(told.transactions).toBeGreaterThanOrEqual(502);
    },
    'more mutations in a row than an update restarts for without a pause': async () => {
      await backfillDespite([{ times: 10, what: { mutate_during_pagination: { after_page: 1 } } }]);
    },

    'a mutation that takes back what an abandoned page had said': async () => {
      const itemId = await linkItem(system);
      // Before the first pull all of this is with the bank alone: the update that reads it is the one that the fault meets.
      const { added } = await change(system, itemId, {
        add: [
          { amount: 98_765.43, name: 'Said once' },
          { amount: 98_765.43, name: 'Said otherwise later' },
        ],
      });
      const [said, changed] = added as [string, string];
      await change(system, itemId, { add: rows(500) });
      const watching = watchForTakenBack(itemId);
      await fault(system, itemId, null, {
        mutate_during_pagination: {
          after_page: 1,
          remove: [said],
          modify: [{ transaction_id: changed, amount: 7.5 }],
        },
      });
      try {
        await advance(system, itemId, 'historical');
        await untilHistory(system, itemId, 'complete');
        await expectTruth(system, itemId);
      } finally {
        await watching.stop();
      }
      // Not for a moment did anything show that no whole update had said.
      expect(watching.seen()).toEqual([]);
      const [kept] = await system.sql`
        SELECT amount::text FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${changed}`;
      expect(kept?.['amount']).toBe('7.5');
    },

    'NUL and lone surrogates in names': async () => {
      const itemId = await minedItem(system);
      const { transactions, accounts } = await truthOf(system, itemId);
      const [first, second] = transactions.map(({ transaction_id }) => transaction_id);
      await change(system, itemId, {
        modify: [
          { transaction_id: String(first), merchant_name: 'Nul\u0000Bar', original_description: '\u0000' },
          { transaction_id: String(second), name: 'half \ud83d of a pair', check_number: 'a \\u0000 text' },
        ],
        add: [{ amount: 1, name: 'Caf\u0000' }],
      });
      await system.sim(`/_sim/items/${itemId}/accounts`, {
        modify: [{ account_id: accounts[0]?.account_id, name: 'My \u0000 account' }],
      });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
      await expectTruth(system, itemId);
      const marked = await system.sql`
        SELECT 1 FROM transactions WHERE item_id = ${itemId} AND sanitized`;
      expect(marked).toHaveLength(3);
    },

    'a login that expires in mid-update, and its repair': async () => {
      const itemId = await linkItem(system);
      await untilCalled(itemId);
      await change(system, itemId, { add: rows(520) });
      await fault(system, itemId, sync, { latency_ms: 1_500 }, { times: 4 });
      await advance(system, itemId, 'historical');
      await until(async () => {
        const [row] = await system.sql<{ pages: number }[]>`
          SELECT count(*)::int AS pages FROM staged_pages WHERE item_id = ${itemId}`;
        return (row?.pages ?? 0) > 0;
      });
      await breakLogin(itemId);
      await until(async () => {
        const { body } = await system.api('GET', `/v1/items/${itemId}`);
        return body['status'] === 'ERROR' && body['phase'] === 'needs_relink';
      });
      const { body } = await system.api('GET', `/v1/items/${itemId}`);
      expect(body['error']).toMatchObject({
        error_type: 'ITEM_ERROR',
        error_code: 'ITEM_LOGIN_REQUIRED',
      });
      const [stored] = await system.sql<{ rows: number }[]>`
        SELECT count(*)::int AS rows FROM transactions WHERE item_id = ${itemId}`;
      expect(stored?.rows).toBe(0);
      await change(system, itemId, { add: [{ amount: 8, name: 'While it was broken' }] });
      await system.sim(`/_sim/items/${itemId}/repair`, {});
      await untilHistory(system, itemId, 'complete');
      await expectTruth(system, itemId);
      const [healthy] = await system.sql`SELECT error_code FROM items WHERE item_id = ${itemId}`;
      expect(healthy?.['error_code']).toBeNull();
    },

    'an ERROR webhook that nothing bears out': async () => {
      const itemId = await minedItem(system);
      await sendWebhook(system, itemId, 'ITEM', 'ERROR', {
        error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
      });
      await change(system, itemId, { add: [{ amount: 1, name: 'It works all the same' }], notify: true });
      await expectTruth(system, itemId);
    },

    'webhooks ten times, shuffled and late': async () => {
      const itemId = await minedItem(system);
      for (let n = 0; n < 3; n += 1) {
        const { transactions } = await truthOf(system, itemId);
        await change(system, itemId, {
          add: [{ amount: n + 1, name: `Round ${n}`, pending: n === 1 }],
          remove: [String(transactions[n]?.transaction_id)],
        });
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'TRANSACTIONS_REMOVED', {
          removed_transactions: [String(transactions[n]?.transaction_id)],
          duplicate: 10,
          reorder: true,
        });
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'DEFAULT_UPDATE', {
          duplicate: 3,
          delay_ms: 400 * n,
        });
      }
      await expectTruth(system, itemId);
    },
  });

  it('and leaves no workflow failed, and the alert of the code that nobody knows alone', async () => {
    await untilAllQuiet();
    await expectHealthy(system, { alerts: ['plaid_code_unknown'] });
  });
});

async function untilAllQuiet(): Promise<void> {
  const items = await system.sql<{ id: string }[]>`SELECT item_id AS id FROM items`;
  await Promise.all(items.map(({ id }) => untilQuiet(system, id)));
}

/** The user's credentials expire at the bank. */
async function breakLogin(itemId: string): Promise<void> {
  await system.sim('/sandbox/item/reset_login', { access_token: await accessTokenOf(system, itemId, keys) });
}

/** Looks again and again whether anything shows that was taken back before it was whole. */
function watchForTakenBack(itemId: string): { seen: () => string[]; stop: () => Promise<void> } {
  const seen = new Set<string>();
  let stopped = false;
  const looking = until(async () => {
    const found = await system.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions
      WHERE item_id = ${itemId} AND amount = 98765.43 AND status <> 'removed'`;
    for (const { id } of found) seen.add(id);
    return stopped;
  }, 50);
  // What it throws at the end of the file is no test's failure.
  looking.catch(() => undefined);
  return {
    seen: () => [...seen],
    stop: async () => {
      stopped = true;
      await looking;
    },
  };
}
