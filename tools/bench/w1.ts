import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../src/clients/postgres.js';
import { openClient } from '../../src/temporal/connect.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { runPairs } from './pairs.js';
import { cpuSeconds, startBenchSystem } from './system.js';
import { atLeast } from './workload.js';
import type { Workload } from './workload.js';

const items = 60;
const transactionsPerItem = 1_000;
const concurrency = 8;

/** Backfill of 60 Items × 1,000 transactions to PostgreSQL and a counting sink, through Temporal against the same work without. */
export const w1: Workload = async ({ pairs, say }) => {
  const system = await startBenchSystem({ transactionsPerItem });
  const cpu = { sluice: [] as number[], direct: [] as number[] };
  try {
    const [throughTemporal, directly] = await Promise.all([
      system.createDatabase('w1_temporal'),
      system.createDatabase('w1_direct'),
    ]);
    const temporal = openClient({
      address: system.stack.urls.temporal_address,
      namespace: 'default',
      tls: false,
    });
    const gateway = createGateway(temporal.client);
    const sql = openDatabase(throughTemporal, { max: 1 });
    const worker = await system.startWorker(throughTemporal);
    const direct = fork(fileURLToPath(new URL('./directMiner.ts', import.meta.url)), {
      execArgv: ['--import', import.meta.resolve('tsx')],
      env: system.environment(directly),
    });
    const answer = (): Promise<{ failed?: string }> =>
      new Promise((resolve) => direct.once('message', (message) => resolve(message as { failed?: string })));
    await answer();

    /** Every row and every record, once: a fast run that lost data is a failure. */
    const verify = async (databaseUrl: string, ids: string[]): Promise<number> => {
      const counted = openDatabase(databaseUrl, { max: 1 });
      const [rows] = await counted<[{ transactions: number; accounts: number }]>`
        SELECT (SELECT count(*)::int FROM transactions WHERE item_id = ANY(${ids})) AS transactions,
          (SELECT count(*)::int FROM accounts WHERE item_id = ANY(${ids})) AS accounts`;
      await counted.end();
      const { events } = await system.sink('/counts');
      const expected = 2 * (rows.transactions + rows.accounts);
      const truth = await Promise.all(
        ids.map((id) => system.sim<{ transactions: unknown[] }>(`/_sim/items/${id}/truth`)),
      );
      const live = truth.reduce((sum, item) => sum + item.transactions.length, 0);
      if (rows.transactions !== live || events !== expected) {
        throw new Error(
          `lost or doubled: ${rows.transactions} rows of ${live}, ${events} events of ${expected}`,
        );
      }
      return live;
    };

    let worlds = 0;
    const half = async (
      databaseUrl: string,
      pid: number,
      spent: number[],
      run: (ids: string[]) => Promise<void>,
    ): Promise<number> => {
      // A seed of its own: after the same seed the simulator would give ids that the database knows already.
      worlds += 1;
      await system.sim('/_sim/reset', { seed: `w1-${worlds}` });
      const ids = await system.linkItems(databaseUrl, items);
      await system.sink('/reset');
      const before = cpuSeconds(pid) ?? 0;
      const started = performance.now();
      await run(ids);
      const seconds = (performance.now() - started) / 1000;
      spent.push(Number(((cpuSeconds(pid) ?? 0) - before).toFixed(2)));
      return (await verify(databaseUrl, ids)) / seconds;
    };
    const result = await runPairs(
      pairs,
      () =>
        half(throughTemporal, worker.pid, cpu.sluice, async (ids) => {
          await Promise.all(
            ids.map((id) => gateway.signalItem(id, `user-${id}`, { kind: 'linked' }, 30_000)),
          );
          for (;;) {
            const [left] = await sql<[{ n: number }]>`
              SELECT count(*)::int AS n FROM items
              WHERE item_id = ANY(${ids}) AND (history <> 'complete' OR unsent_since IS NOT NULL)`;
            if (left.n === 0) return;
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }),
      () =>
        half(directly, direct.pid ?? 0, cpu.direct, async (ids) => {
          const done = answer();
          direct.send({ items: ids, concurrency });
          const { failed } = await done;
          if (failed !== undefined) throw new Error(failed);
        }),
      say,
    );
    direct.disconnect();
    await sql.end();
    await temporal.connection.close();
    return {
      result: { workload: 'W1', ...result, cpu },
      figures: [atLeast('W1 share of the work without Temporal', result, 0.6)],
    };
  } finally {
    await system.stop();
  }
};
