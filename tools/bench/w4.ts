import { openDatabase } from '../../src/clients/postgres.js';
import { openClient } from '../../src/temporal/connect.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { residentMb, startBenchSystem } from './system.js';
import { atMost, exactly } from './workload.js';
import type { Workload } from './workload.js';

const large = 50_000;
const small = 8_000;
const callsPerWindow = 50;
const windowSeconds = 60;

interface Calls {
  calls: { path: string; item_id: string | null; count: number }[];
  violations: unknown[];
}

/** Items of 8,000 and 50,000 transactions at once, published limits enforced, 429s and one mutation during pagination. */
export const w4: Workload = async ({ say }) => {
  const system = await startBenchSystem({
    transactionsPerItem: small,
    simulatorArgs: ['--limits', 'production'],
  });
  try {
    const databaseUrl = await system.createDatabase('w4');
    const [smallItem] = await system.linkItems(databaseUrl, 1);
    const [largeItem] = await system.linkItems(databaseUrl, 1);
    if (smallItem === undefined || largeItem === undefined) throw new Error('no Items');
    say('the bank books 42,000 further transactions …');
    const day = 86_400_000;
    for (let added = 0; added < large - small;) {
      const add = Array.from({ length: 2_000 }, (_, n) => ({
        amount: ((added + n) % 9_973) / 100,
        name: `PURCHASE ${added + n}`,
        date: new Date(Date.now() - ((added + n) % 700) * day).toISOString().slice(0, 10),
      }));
      await system.sim(`/_sim/items/${largeItem}/transactions`, { add });
      added += add.length;
    }
    await system.sim('/_sim/faults', {
      match: { path: '/transactions/sync', item_id: largeItem, call: 7 },
      fault: { error_code: 'TRANSACTIONS_SYNC_LIMIT' },
    });
    await system.sim('/_sim/faults', {
      match: { path: '/transactions/sync', item_id: largeItem },
      fault: { mutate_during_pagination: { after_page: 10 } },
    });
    const temporal = openClient({
      address: system.stack.urls.temporal_address,
      namespace: 'default',
      tls: false,
    });
    const gateway = createGateway(temporal.client);
    const sql = openDatabase(databaseUrl, { max: 1 });
    const worker = await system.startWorker(databaseUrl);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const before = residentMb(worker.pid);
    let peak = before;
    const sampling = setInterval(() => {
      const now = residentMb(worker.pid);
      if (now !== null) peak = Math.max(peak ?? 0, now);
    }, 100);
    const started = performance.now();
    await Promise.all(
      [smallItem, largeItem].map((id) => gateway.signalItem(id, `user-${id}`, { kind: 'linked' }, 30_000)),
    );
    const seen = (): string =>
      `${((performance.now() - started) / 1000).toFixed(1)} s, worker ${Math.round((peak ?? 0) - (before ?? 0))} MB over its start`;
    let mined = false;
    for (;;) {
      const [left] = await sql<[{ mining: number; unsent: number }]>`
        SELECT count(*) FILTER (WHERE history <> 'complete')::int AS mining,
          count(*) FILTER (WHERE unsent_since IS NOT NULL)::int AS unsent FROM items`;
      if (left.mining === 0 && !mined) say(`mined after ${seen()}`);
      mined = left.mining === 0;
      if (mined && left.unsent === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    say(`published after ${seen()}`);
    const seconds = (performance.now() - started) / 1000;
    clearInterval(sampling);

    let lost = 0;
    let phantom = 0;
    let records = 0;
    for (const id of [smallItem, largeItem]) {
      const truth = await system.sim<{ transactions: { transaction_id: string }[] }>(
        `/_sim/items/${id}/truth`,
      );
      const rows = await sql<{ transaction_id: string }[]>`
        SELECT transaction_id FROM transactions WHERE item_id = ${id} AND status <> 'removed'`;
      const stored = new Set(rows.map((row) => row.transaction_id));
      lost += truth.transactions.filter((row) => !stored.has(row.transaction_id)).length;
      phantom += stored.size - (truth.transactions.length - lost);
      records += rows.length;
    }
    const [accounts] = await sql<[{ n: number }]>`SELECT count(*)::int AS n FROM accounts`;
    const { events } = await system.sink('/counts');
    const doubled = phantom + Math.max(0, events - 2 * (records + accounts.n));
    lost += Math.max(0, 2 * (records + accounts.n) - events);
    const { calls, violations } = await system.sim<Calls>('/_sim/calls');
    const made = Math.max(
      ...calls.filter((call) => call.path === '/transactions/sync').map((call) => call.count),
    );
    await sql.end();
    await temporal.connection.close();
    const growth = before === null || peak === null ? null : Math.round(peak - before);
    // What the published limit per Item alone asks for, given the calls made.
    const bound = Math.max(1, Math.floor((made - 1) / callsPerWindow) * windowSeconds);
    return {
      result: {
        workload: 'W4',
        lost,
        doubled,
        rss_growth_mb: growth,
        seconds: Math.round(seconds * 10) / 10,
        bound_seconds: bound,
        calls: made,
        violations: violations.length,
      },
      figures: [
        exactly('W4 lost + doubled', lost + doubled, 0),
        atMost('W4 growth of the worker, MB', growth, 150, 0),
        atMost(`W4 seconds over the bound of ${bound}`, seconds / bound, 1.1),
      ],
    };
  } finally {
    await system.stop();
  }
};
