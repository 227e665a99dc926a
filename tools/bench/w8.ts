import { openDatabase } from '../../src/clients/postgres.js';
import { startBenchSystem } from './system.js';
import { startWebhookSource } from './webhookSource.js';
import type { SignedWebhook } from './webhookSource.js';
import { atMost, exactly, known, percentile } from './workload.js';
import type { Workload } from './workload.js';

const burst = 1_000;
const burstMs = 1_000;
const steadySeconds = 10;
const steadyConnections = 16;
const items = 50;

/** Signed webhooks into the API of Items that it knows, each stored and signalled: 1,000 in a second, then as many as it takes. */
export const w8: Workload = async ({ say }) => {
  const system = await startBenchSystem({ transactionsPerItem: 0 });
  const source = await startWebhookSource();
  try {
    const databaseUrl = await system.createDatabase('w8');
    const ids = await system.linkItems(databaseUrl, items);
    const api = await system.startServer(databaseUrl, { PLAID_BASE_URL: source.plaidUrl });

    let made = 0;
    const signed = (): Promise<SignedWebhook> =>
      source.sign({
        item_id: ids[made % items],
        new_transactions: (made += 1),
        webhook_code: 'DEFAULT_UPDATE',
        webhook_type: 'TRANSACTIONS',
      });
    const prepare = (count: number) => Promise.all(Array.from({ length: count }, signed));
    const send = (webhook: SignedWebhook): Promise<number> => source.send(api.url, webhook);

    for (const webhook of await prepare(200)) await send(webhook);
    const storm = await prepare(burst);
    say(`${burst} in ${burstMs} ms …`);
    const answered = await Promise.all(
      storm.map(async (webhook, n) => {
        await new Promise((resolve) => setTimeout(resolve, (n * burstMs) / burst));
        return send(webhook);
      }),
    );
    const inBurst = answered.sort((a, b) => a - b);

    say(`${steadyConnections} connections for ${steadySeconds} s …`);
    const supply = await prepare(1_500 * steadySeconds);
    const times: number[] = [];
    const started = performance.now();
    const end = started + steadySeconds * 1000;
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        const webhook = supply.pop();
        if (webhook === undefined) return;
        times.push(await send(webhook));
      }
    };
    await Promise.all(Array.from({ length: steadyConnections }, lane));
    const seconds = (performance.now() - started) / 1000;
    times.sort((a, b) => a - b);

    const sql = openDatabase(databaseUrl, { max: 1 });
    const [stored] = await sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM webhooks WHERE verdict = 'accepted'`;
    await sql.end();
    const lost = 200 + burst + times.length - stored.n;
    const slowest = percentile(inBurst, 1);
    const result = {
      workload: 'W8',
      // Milliseconds from the request to its 200.
      burst_p50_ms: percentile(inBurst, 0.5),
      burst_p99_ms: percentile(inBurst, 0.99),
      burst_slowest_ms: slowest,
      steady_per_second: Math.round(times.length / seconds),
      steady_p99_ms: percentile(times, 0.99),
      lost,
    };
    return {
      result,
      figures: [
        exactly('W8 answered with 200, and lost', lost, 0),
        atMost('W8 slowest answer in a burst of 1,000 in a second, ms', slowest, 1_000, 1),
        known('W8 steady, webhooks a second', `${result.steady_per_second} (p99 ${result.steady_p99_ms} ms)`),
      ],
    };
  } finally {
    source.close();
    await system.stop();
  }
};
