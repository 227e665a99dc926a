import type { KinesisProxy, PutRecordsFault } from '../../tools/faults/kinesisProxy.js';
import { startKinesisProxy } from '../../tools/faults/kinesisProxy.js';
import { testStack } from '../stack/testStack.js';
import { until } from './until.js';
import { change, minedItem, truthOf } from './linkedItem.js';
import { closeOracle, examine, expectHealthy, expectTruth } from './oracle.js';
import { tellWhatWaits } from './scenarios.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

/** Sluice reaches Kinesis through a proxy that fails as the test says; the oracle reads behind it. */
let proxy: KinesisProxy;
let system: System;
beforeAll(async () => {
  proxy = await startKinesisProxy(testStack().kinesis_endpoint);
  system = await startSystem({
    transactionsPerItem: 30,
    simulatorArgs: ['--initial-after-ms', '86400000'],
    env: { KINESIS_ENDPOINT: proxy.url },
  });
});
tellWhatWaits();
beforeEach(() => {
  proxy.fault = () => null;
});
afterAll(async () => {
  closeOracle(system);
  await system.stop();
  await proxy.close();
});

const outage: PutRecordsFault = { refuse: { status: 500, type: 'InternalFailureException' } };

const stored = async (itemId: string, transactionId: string): Promise<boolean> => {
  const found = await system.sql`
    SELECT 1 FROM transactions WHERE item_id = ${itemId} AND transaction_id = ${transactionId}`;
  return found.length > 0;
};
const unsent = async (itemId: string): Promise<boolean> => {
  const [row] = await system.sql`SELECT unsent_since FROM items WHERE item_id = ${itemId}`;
  return row?.['unsent_since'] !== null;
};

/** Three updates, each after the one before: many small records in an order that can be lost. */
async function liveThrough(itemId: string): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const { transactions } = await truthOf(system, itemId);
    const { added } = await change(system, itemId, {
      add: [
        { amount: round + 1, name: `Round ${round}` },
        { amount: round + 2, name: `Round ${round} again` },
      ],
      modify: [{ transaction_id: String(transactions[0]?.transaction_id), amount: 50 + round }],
      notify: true,
    });
    await until(() => stored(itemId, String(added[0])));
  }
}

describe('streams', () => {
  it('get everything in order although one record in three is refused', async () => {
    let records = 0;
    let refused = 0;
    proxy.fault = () => ({
      failRecords: () => {
        records += 1;
        if (records % 3 !== 0) return null;
        refused += 1;
        return refused % 2 === 0 ? 'ProvisionedThroughputExceededException' : 'InternalFailure';
      },
    });
    const items = await Promise.all([minedItem(system), minedItem(system), minedItem(system)]);
    await Promise.all(items.map(liveThrough));
    await Promise.all(items.map((itemId) => expectTruth(system, itemId)));
    expect(refused).toBeGreaterThan(0);
  });

  it('repeat, and lose nothing, when answers are lost after the records were taken', async () => {
    const itemId = await minedItem(system);
    const before = await examine(system, itemId);
    let lost = 0;
    proxy.fault = (call) => {
      if (call % 2 === 0) return null;
      lost += 1;
      return { loseAnswer: true };
    };
    await liveThrough(itemId);
    const after = await expectTruth(system, itemId);
    expect(lost).toBeGreaterThan(0);
    expect(after.repeats).toBeGreaterThan(before.repeats);
  });

  it('that are down do not hold up mining, and get everything afterwards', async () => {
    const itemId = await minedItem(system);
    let refused = 0;
    proxy.fault = () => {
      refused += 1;
      return outage;
    };
    await liveThrough(itemId);
    expect(refused).toBeGreaterThan(0);
    expect(await unsent(itemId)).toBe(true);
    proxy.fault = () => null;
    await expectTruth(system, itemId);
  });

  it('do not hold each other up: refined records go on while raw ones are refused', async () => {
    const itemId = await minedItem(system);
    proxy.fault = (call) => (proxy.calls[call]?.stream.endsWith('raw-transactions') ? outage : null);
    const { added } = await change(system, itemId, { add: [{ amount: 1, name: 'Half told' }], notify: true });
    await until(() => stored(itemId, String(added[0])));
    const marks = async (): Promise<Record<string, number>> => {
      const rows = await system.sql<{ form: string; sent: number }[]>`
        SELECT form, sent::int FROM outbox_marks WHERE item_id = ${itemId} AND record = 'transaction'`;
      return Object.fromEntries(rows.map(({ form, sent }) => [form, sent]));
    };
    await until(async () => {
      const sent = await marks();
      return (sent['refined'] ?? 0) > (sent['raw'] ?? 0);
    });
    expect(await unsent(itemId)).toBe(true);
    proxy.fault = () => null;
    await expectTruth(system, itemId);
  });

  it('hang: a call without an answer ends by its time-out, and what it held goes out again', async () => {
    const itemId = await minedItem(system);
    let hung = 0;
    proxy.fault = () => {
      hung += 1;
      return hung <= 2 ? { hang: true } : null;
    };
    await change(system, itemId, { add: [{ amount: 1, name: 'Hangs' }], notify: true });
    await expectTruth(system, itemId);
    expect(hung).toBeGreaterThan(2);
  });

  it('are told everything by the next worker when one was killed while they were down', async () => {
    const itemId = await minedItem(system);
    proxy.fault = () => outage;
    const { added } = await change(system, itemId, { add: [{ amount: 1, name: 'Kept' }], notify: true });
    await until(() => stored(itemId, String(added[0])));
    await system.workers[0]?.kill();
    proxy.fault = () => null;
    await system.startWorker();
    await expectTruth(system, itemId);
    await expectHealthy(system);
  });

  it('pass by a record that is too large for them: it is parked and reported', async () => {
    const itemId = await minedItem(system);
    const { transactions } = await truthOf(system, itemId);
    const large = String(transactions[0]?.transaction_id);
    const half = 'x'.repeat(530_000);
    // Two requests, since one body of a megabyte is more than the simulator takes.
    await change(system, itemId, { modify: [{ transaction_id: large, original_description: half }] });
    await change(system, itemId, { modify: [{ transaction_id: large, name: half }] });
    await change(system, itemId, { add: [{ amount: 1, name: 'Comes after' }], notify: true });
    await until(async () => {
      const alerts = await system.sql`SELECT 1 FROM alerts WHERE kind = 'record_parked'`;
      return alerts.length > 0 && !(await unsent(itemId));
    });
    const { other, dup, phantom, lost, stale } = await examine(system, itemId);
    expect({ other, dup, phantom }).toEqual({ other: [], dup: [], phantom: [] });
    // Only what was parked is missing: PostgreSQL has it, and every other event came.
    expect(lost.filter((line) => !line.startsWith('raw-transactions'))).toEqual([]);
    expect(lost).toHaveLength(1);
    expect(stale.every((line) => line.includes(large))).toBe(true);
  });
});
