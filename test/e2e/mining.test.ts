import { until } from './until.js';
import {
  advance,
  callsOf,
  change,
  linkItem,
  minedItem,
  rows,
  sendWebhook,
  truthOf,
  untilHistory,
} from './linkedItem.js';
import { closeOracle, examine, expectHealthy, expectTruth, untilQuiet } from './oracle.js';
import { runTogether, tellWhatWaits } from './scenarios.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

let system: System;
beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 40,
    simulatorArgs: ['--initial-after-ms', '86400000'],
  });
});
tellWhatWaits();
afterAll(async () => {
  closeOracle(system);
  await system.stop();
});

const statusOf = async (itemId: string, transactionId: string): Promise<unknown> => {
  const [row] = await system.sql`
    SELECT status FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${transactionId}`;
  return row?.['status'];
};
const versionOf = async (itemId: string, transactionId: string): Promise<unknown> => {
  const [row] = await system.sql`
    SELECT version FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${transactionId}`;
  return row?.['version'];
};
const historyRuns = async (itemId: string): Promise<number> => {
  let runs = 0;
  for await (const run of system.client.workflow.list({ query: `SluiceItem = '${itemId}'` })) {
    if (run.type === 'pageHistory') runs += 1;
  }
  return runs;
};

describe('mining', () => {
  runTogether({
    'an Item is read first, then to the end by pageHistory, then follows its bank': async () => {
      const itemId = await linkItem(system);
      await advance(system, itemId, 'initial');
      await untilHistory(system, itemId, 'initial');
      const first = await expectTruth(system, itemId);
      await advance(system, itemId, 'historical');
      await untilHistory(system, itemId, 'complete');
      const whole = await expectTruth(system, itemId);
      expect(whole.transactions).toBeGreaterThan(first.transactions);
      await until(async () => (await historyRuns(itemId)) > 0);

      const { transactions } = await truthOf(system, itemId);
      const posted = transactions.filter(({ pending }) => !pending);
      const waiting = await change(system, itemId, { add: [{ amount: 3, name: 'Held', pending: true }] });
      await change(system, itemId, {
        add: [{ amount: 4.5, name: 'One' }],
        modify: [{ transaction_id: String(posted[0]?.transaction_id), amount: 99.99 }],
        remove: [String(posted[1]?.transaction_id)],
        post: [{ transaction_id: String(waiting.added[0]), amount: 5 }],
        notify: true,
      });
      await expectTruth(system, itemId);
      expect(await statusOf(itemId, String(posted[1]?.transaction_id))).toBe('removed');
      expect(await versionOf(itemId, String(posted[0]?.transaction_id))).toBe(2);
    },

    'an Item of 3,100 transactions comes in seven pages or more, in one piece': async () => {
      const itemId = await linkItem(system);
      await change(system, itemId, { add: rows(3_060) });
      await advance(system, itemId, 'historical');
      const seen = new Set<number>();
      await until(async () => {
        const [row] = await system.sql<{ rows: number; history: string }[]>`
          SELECT (SELECT count(*)::int FROM transactions t WHERE t.item_id = i.item_id) AS rows, history
          FROM items i WHERE item_id = ${itemId}`;
        seen.add(row?.rows ?? 0);
        return row?.history === 'complete';
      });
      const told = await expectTruth(system, itemId);
      expect(told.transactions).toBeGreaterThanOrEqual(3_060);
      expect(await callsOf(system, itemId, '/transactions/sync')).toBeGreaterThanOrEqual(7);
      // All or nothing: nobody ever saw a part of it.
      expect([...seen].filter((count) => count !== 0 && count !== told.transactions)).toEqual([]);
    },

    'an Item without a single transaction is complete': async () => {
      const customUser = {
        override_accounts: [
          { type: 'depository', subtype: 'checking', starting_balance: 12, transactions: [] },
        ],
      };
      const itemId = await minedItem(system, { customUser });
      const told = await expectTruth(system, itemId);
      expect(told.transactions).toBe(0);
      await change(system, itemId, { add: [{ amount: 1, name: 'The first' }], notify: true });
      expect((await expectTruth(system, itemId)).transactions).toBe(1);
    },

    'the older webhook codes alone are enough': async () => {
      const itemId = await minedItem(system);
      const { transactions } = await truthOf(system, itemId);
      await change(system, itemId, { add: [{ amount: 7, name: 'Told by DEFAULT_UPDATE' }] });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'DEFAULT_UPDATE', { new_transactions: 1 });
      await expectTruth(system, itemId);
      const gone = String(transactions[0]?.transaction_id);
      await change(system, itemId, { remove: [gone] });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'TRANSACTIONS_REMOVED', {
        removed_transactions: [gone],
      });
      await expectTruth(system, itemId);
      expect(await statusOf(itemId, gone)).toBe('removed');
    },

    'a named removal of which no delta tells is looked up: gone rows are marked, listed ones stay':
      async () => {
        const itemId = await minedItem(system);
        const { transactions } = await truthOf(system, itemId);
        const [gone, listed] = transactions.map(({ transaction_id }) => transaction_id) as [string, string];
        await change(system, itemId, { remove: [gone], notify: true });
        await untilQuiet(system, itemId);
        // As if the delta that told of it had never come: live here, and Plaid will not mention it again.
        await system.sql`
          UPDATE transactions SET status = 'posted', refined = (refined::jsonb || '{"status": "posted"}')::json
          WHERE item_id = ${itemId} AND transaction_id = ${gone}`;
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'TRANSACTIONS_REMOVED', {
          removed_transactions: [gone, listed],
        });
        await expectTruth(system, itemId);
        expect(await statusOf(itemId, gone)).toBe('removed');
        expect(await versionOf(itemId, gone)).toBe(3);
        expect(await versionOf(itemId, listed)).toBe(1);
      },

    'a named removal on an account that was closed meanwhile is settled': async () => {
      const itemId = await minedItem(system);
      const { transactions } = await truthOf(system, itemId);
      const named = transactions[0];
      await system.sim(`/_sim/items/${itemId}/accounts`, { close: [named?.account_id] });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'TRANSACTIONS_REMOVED', {
        removed_transactions: [named?.transaction_id],
      });
      await expectTruth(system, itemId);
      expect(await statusOf(itemId, String(named?.transaction_id))).toBe('removed');
    },

    'a row that the bank removes in silence before its account closes is no difference, marked or not':
      async () => {
        const itemId = await minedItem(system);
        const { transactions } = await truthOf(system, itemId);
        const account = transactions[0]?.account_id;
        const mine = transactions.filter(({ account_id }) => account_id === account);
        const [told, silent] = mine.map(({ transaction_id }) => transaction_id) as [string, string];
        await change(system, itemId, { remove: [told], notify: true });
        await expectTruth(system, itemId);
        await change(system, itemId, { remove: [silent], notify: false });
        await system.sim(`/_sim/items/${itemId}/accounts`, { close: [account] });
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE', {});
        await expectTruth(system, itemId);
        const { closed_account_removed } = await truthOf(system, itemId);
        expect(closed_account_removed.sort()).toEqual([told, silent].sort());
        expect(await statusOf(itemId, told)).toBe('removed');
        expect(await statusOf(itemId, silent)).toBe('posted');
      },

    'accounts close, are renamed and change their balances; nothing else makes a version': async () => {
      const itemId = await minedItem(system);
      const { accounts } = await truthOf(system, itemId);
      const [first, second] = accounts.map(({ account_id }) => account_id) as [string, string];
      await system.sim(`/_sim/items/${itemId}/accounts`, {
        modify: [{ account_id: first, balances: { current: 4321.09, available: null }, name: 'New name' }],
        close: [second],
      });
      await change(system, itemId, { add: [{ account_id: first, amount: 1, name: 'x' }], notify: true });
      await expectTruth(system, itemId);
      const stored = await system.sql<{ account_id: string; status: string; version: number }[]>`
        SELECT account_id, status, version FROM accounts WHERE item_id = ${itemId}`;
      const byId = new Map(stored.map((row) => [row.account_id, row]));
      expect(byId.get(first)).toMatchObject({ status: 'open', version: 2 });
      expect(byId.get(second)).toMatchObject({ status: 'closed', version: 2 });
      const others = stored.filter(({ account_id }) => account_id !== first && account_id !== second);
      expect(others.every(({ status, version }) => status === 'open' && version === 1)).toBe(true);
    },

    'a burst of webhooks makes few updates': async () => {
      const itemId = await minedItem(system);
      const before = await callsOf(system, itemId, '/transactions/sync');
      await change(system, itemId, { add: [{ amount: 2, name: 'Told of fifty times' }] });
      await sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE', { duplicate: 50 });
      await expectTruth(system, itemId);
      expect((await callsOf(system, itemId, '/transactions/sync')) - before).toBeLessThan(25);
    },

    'changes of which every webhook was lost come with the time-out': async () => {
      const itemId = await minedItem(system);
      const { added } = await change(system, itemId, { add: [{ amount: 3, name: 'Not told of' }] });
      await expectUntold(itemId, added);
      // The row is the truth: what is due there is done, whatever the workflow had planned.
      await system.sql`UPDATE items SET next_due_at = clock_timestamp() WHERE item_id = ${itemId}`;
      await until(async () => (await statusOf(itemId, String(added[0]))) !== undefined);
      await expectTruth(system, itemId);
    },

    'an item run that an operator ended in mid-update goes on by the sweep': async () => {
      const itemId = await minedItem(system);
      await change(system, itemId, { add: rows(3_000, 'More') });
      await whilePagesAreSlow(itemId, async () => {
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
        await untilStaged(itemId);
        await system.client.workflow.getHandle(`item/${itemId}`).terminate('an operator');
      });
      await expectTruth(system, itemId);
    },

    'an item run that an operator ended while it was idle learns of the next webhook': async () => {
      const itemId = await minedItem(system);
      await system.client.workflow.getHandle(`item/${itemId}`).terminate('an operator');
      await change(system, itemId, { add: [{ amount: 1, name: 'After the end' }], notify: true });
      await expectTruth(system, itemId);
    },

    'a pageHistory that an operator ended in mid-run is taken over by the item': async () => {
      // Its history is complete, so that no poll of its own can read the old rows before the child does.
      const itemId = await minedItem(system);
      await untilQuiet(system, itemId);
      await change(system, itemId, { add: rows(3_000, 'Old') });
      await whilePagesAreSlow(itemId, async () => {
        const runs = await historyRuns(itemId);
        await sendWebhook(system, itemId, 'TRANSACTIONS', 'HISTORICAL_UPDATE');
        await until(async () => (await historyRuns(itemId)) > runs);
        await untilStaged(itemId);
        await system.client.workflow.getHandle(`item/${itemId}/history`).terminate('an operator');
      });
      await expectTruth(system, itemId);
    },
  });

  it('is watched by an oracle that sees a row lost, invented or changed, and an event untold or told twice', async () => {
    const itemId = await minedItem(system);
    await expectTruth(system, itemId);
    const [first, second, third] = (await truthOf(system, itemId)).transactions;
    const id = (row: typeof first): string => String(row?.transaction_id);
    await system.sql`DELETE FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${id(first)}`;
    await system.sql`
      UPDATE transactions SET raw = (raw::jsonb || '{"amount": 0.01}')::json
      WHERE item_id = ${itemId} AND transaction_id = ${id(second)}`;
    await system.sql`
      INSERT INTO transactions SELECT (t).* FROM (
        SELECT jsonb_populate_record(t, '{"transaction_id": "invented"}') AS t
        FROM transactions t WHERE item_id = ${itemId} AND transaction_id = ${id(third)}) AS copies`;
    await system.sql`
      INSERT INTO outbox (item_id, sequence, record, removed, subject, version, raw, refined)
      SELECT item_id, 10000, record, removed, subject, version, raw, refined FROM outbox
      WHERE item_id = ${itemId} AND subject = ${id(third)}`;
    const seen = await examine(system, itemId);
    const about = (lines: string[], text: string): boolean => lines.some((line) => line.includes(text));
    expect({
      lost: about(seen.lost, id(first)),
      stale: about(seen.stale, id(second)),
      phantom: about(seen.phantom, 'invented'),
      untold: about(seen.lost, '(number 10000) was not told'),
      dup: about(seen.dup, id(third)),
      gap: about(seen.other, 'number 10000 at place'),
    }).toEqual({ lost: true, stale: true, phantom: true, untold: true, dup: true, gap: true });
  });

  it('leaves no workflow failed and no alert', async () => {
    await expectHealthy(system, { terminated: 3 });
  });
});

async function expectUntold(itemId: string, added: string[]): Promise<void> {
  await untilQuiet(system, itemId);
  expect(await statusOf(itemId, String(added[0]))).toBeUndefined();
}

/** The Item's pages take six seconds each, of which there are seven: a busy machine, too, meets the run on its way. */
async function whilePagesAreSlow(itemId: string, work: () => Promise<void>): Promise<void> {
  const { fault_id } = await system.sim<{ fault_id: string }>('/_sim/faults', {
    match: { item_id: itemId, path: '/transactions/sync' },
    fault: { latency_ms: 6_000 },
    times: 1_000,
  });
  await work();
  await system.sim(`/_sim/faults/${fault_id}`, undefined, 'DELETE');
}

async function stagedPages(itemId: string): Promise<number> {
  const [row] = await system.sql<{ pages: number }[]>`
    SELECT count(*)::int AS pages FROM staged_pages WHERE item_id = ${itemId}`;
  return row?.pages ?? 0;
}

const untilStaged = (itemId: string): Promise<void> => until(async () => (await stagedPages(itemId)) > 0);
