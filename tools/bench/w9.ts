import { openDatabase } from '../../src/clients/postgres.js';
import { taskQueues } from '../../domain/ids.js';
import { openClient } from '../../src/temporal/connect.js';
import { startBenchSystem } from './system.js';
import { atMost, exactly } from './workload.js';
import type { Workload } from './workload.js';

const path = '/institutions/get';
/** Plaid's limit in production, which the simulator enforces. */
const callsPerMinute = 25;
const institutions = 12_000;

interface Calls {
  calls: { path: string; count: number }[];
  violations: unknown[];
}

/** Plaid's whole list of institutions into an empty cache, with the published limits enforced. */
export const w9: Workload = async ({ say }) => {
  const system = await startBenchSystem({
    transactionsPerItem: 0,
    simulatorArgs: ['--limits', 'production', '--institutions', String(institutions)],
  });
  try {
    const databaseUrl = await system.createDatabase('w9');
    const temporal = openClient({
      address: system.stack.urls.temporal_address,
      namespace: 'default',
      tls: false,
    });
    const sql = openDatabase(databaseUrl, { max: 1 });
    // All countries of the simulator: the list is then as long as it was asked to be.
    await system.startWorker(databaseUrl, { PLAID_COUNTRY_CODES: 'US,CA,GB' });
    say(`${institutions} institutions …`);
    const started = performance.now();
    const end = (await temporal.client.workflow.execute('syncInstitutions', {
      workflowId: 'w9',
      taskQueue: taskQueues.core,
      args: [{ pagesPerMinute: callsPerMinute }],
    })) as { complete: boolean };
    const seconds = (performance.now() - started) / 1000;
    const [kept] = await sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM institutions WHERE name <> '' AND logo <> '' AND vanished_at IS NULL`;
    const { calls, violations } = await system.sim<Calls>('/_sim/calls');
    const made = calls.find((call) => call.path === path)?.count ?? 0;
    await sql.end();
    await temporal.connection.close();
    if (!end.complete) throw new Error('the sync was not complete');
    // What the calls take at the limit's rate. A window of a minute lets them come at once, so less is possible.
    const bound = Math.round((made / callsPerMinute) * 600) / 10;
    const lost = institutions - kept.n;
    return {
      result: {
        workload: 'W9',
        institutions,
        lost,
        calls: made,
        seconds: Math.round(seconds * 10) / 10,
        bound_seconds: bound,
        violations: violations.length,
      },
      figures: [
        exactly('W9 not in the cache with name and logo', lost, 0),
        exactly('W9 calls for 12,000 institutions', made, 24),
        exactly('W9 limits passed', violations.length, 0),
        atMost(`W9 seconds over the bound of ${bound}`, seconds / bound, 1.1),
      ],
    };
  } finally {
    await system.stop();
  }
};
