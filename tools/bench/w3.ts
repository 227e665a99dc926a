import { inLanes } from '../../src/lanes.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { taskQueues } from '../../domain/ids.js';
import { openClient } from '../../src/temporal/connect.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { startBenchSystem } from './system.js';
import { startWebhookSource } from './webhookSource.js';
import { exactly, known, percentile } from './workload.js';
import type { Figure, Workload } from './workload.js';

const items = 1_000;
const booked = 10;
const duplicates = 5;
/** Plaid's ceiling for small updates, whatever the number of machines: 2,500 calls a minute. */
const ceiling = 42;
const limited = 20;
const sendersAtOnce = 16;
const sweepGraceMs = 1_000;

interface Round {
  /** Items whose news were stored, a second, from the first webhook to the last commit. */
  items_per_second: number;
  /** From the webhook's 200 on the way to the commit, milliseconds. */
  stored_p50_ms: number;
  stored_p99_ms: number;
  /** Calls of `/transactions/sync` beyond one an Item. */
  extra_updates: number;
  lost: number;
  doubled: number;
}

/** A small update on each of 1,000 Items at once: webhook in, Plaid asked, rows stored, both streams fed. */
export const w3: Workload = async ({ say }) => {
  const system = await startBenchSystem({ transactionsPerItem: booked });
  const source = await startWebhookSource();
  try {
    const databaseUrl = await system.createDatabase('w3');
    const sql = openDatabase(databaseUrl, { max: 2 });
    const api = await system.startServer(databaseUrl, { PLAID_BASE_URL: source.plaidUrl });
    let worker = await system.startWorker(databaseUrl);
    const temporal = openClient({
      address: system.stack.urls.temporal_address,
      namespace: 'default',
      tls: false,
    });
    const gateway = createGateway(temporal.client);

    const allMined = async (): Promise<void> => {
      for (;;) {
        const [left] = await sql<[{ n: number }]>`
          SELECT count(*)::int AS n FROM items WHERE history <> 'complete' OR unsent_since IS NOT NULL`;
        if (left.n === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const calls = async (): Promise<number> => {
      const answer = await system.sim<{ calls: { path: string; count: number }[] }>('/_sim/calls');
      return answer.calls
        .filter(({ path }) => path === '/transactions/sync')
        .reduce((sum, { count }) => sum + count, 0);
    };

    say(`linking ${items} Items and mining their first rows …`);
    const ids = await system.linkItems(databaseUrl, items);
    await inLanes(sendersAtOnce, ids, (id) =>
      gateway.signalItem(id, `user-${id}`, { kind: 'linked' }, 30_000),
    );
    await allMined();

    const round = async (copies: number): Promise<Round> => {
      await inLanes(sendersAtOnce, ids, (id) =>
        // Plaid's copy has the news, and nobody has heard of it: the webhooks below are ours to time.
        system.sim(`/_sim/items/${id}/transactions`, {
          add: Array.from({ length: booked }, (_, n) => ({ amount: n + 1, name: `W3 ${n}` })),
        }),
      );
      const webhooks = await Promise.all(
        ids.map((item_id) =>
          source.sign({
            item_id,
            initial_update_complete: true,
            historical_update_complete: true,
            webhook_code: 'SYNC_UPDATES_AVAILABLE',
            webhook_type: 'TRANSACTIONS',
          }),
        ),
      );
      await system.sink('/reset');
      const before = await calls();
      const [rows] = await sql<[{ n: number }]>`SELECT count(*)::int AS n FROM transactions`;
      const sentAt = new Map<string, number>();
      const started = Date.now();
      await inLanes(
        sendersAtOnce,
        Array.from({ length: copies }, () =>
          webhooks.map((webhook, n) => ({ webhook, id: ids[n] ?? '' })),
        ).flat(),
        async ({ webhook, id }) => {
          if (!sentAt.has(id)) sentAt.set(id, Date.now());
          await source.send(api.url, webhook);
        },
      );
      for (;;) {
        const [stored] = await sql<[{ n: number }]>`SELECT count(*)::int AS n FROM transactions`;
        if (stored.n >= rows.n + items * booked) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const stored = await sql<{ item_id: string; at: number }[]>`
        SELECT item_id, extract(epoch FROM max(created_at))::float8 * 1000 AS at FROM transactions GROUP BY item_id`;
      say(`stored after ${((Date.now() - started) / 1000).toFixed(1)} s`);
      const waits = stored.map(({ item_id, at }) => at - (sentAt.get(item_id) ?? at)).sort((a, b) => a - b);
      const last = Math.max(...stored.map(({ at }) => at));
      // Whatever the duplicates still start must be over before anything is counted.
      await pendingWebhooks();
      await allMined();
      const { events } = await system.sink('/counts');
      const [after] = await sql<[{ n: number }]>`SELECT count(*)::int AS n FROM transactions`;
      const expected = rows.n + items * booked;
      return {
        items_per_second: Math.round((items / (last - started)) * 10_000) / 10,
        stored_p50_ms: percentile(waits, 0.5),
        stored_p99_ms: percentile(waits, 0.99),
        extra_updates: (await calls()) - before - items,
        lost: Math.max(0, expected - after.n) + Math.max(0, 2 * items * booked - events),
        doubled: Math.max(0, after.n - expected) + Math.max(0, events - 2 * items * booked),
      };
    };
    /** What no signal has reached is left to the sweep, which a schedule starts in production. */
    const pendingWebhooks = async (): Promise<void> => {
      for (;;) {
        const [left] = await sql<[{ n: number }]>`
          SELECT count(*)::int AS n FROM webhooks WHERE outcome = 'pending'`;
        if (left.n === 0) return;
        await temporal.client.workflow.execute('sweep', {
          workflowId: 'w3-sweep',
          taskQueue: taskQueues.core,
          args: [{ graceMs: sweepGraceMs }],
        });
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    };

    say('the first round after the start …');
    // The worker learns the way of an update in it.
    const first = await round(1);
    say('one webhook an Item …');
    const once = await round(1);
    say(`each webhook ${1 + duplicates} times …`);
    const repeated = await round(1 + duplicates);
    say(`Plaid's calls limited to ${limited} a second …`);
    await worker.stop('SIGTERM', 35_000);
    worker = await system.startWorker(databaseUrl, { PLAID_CALLS_PER_SECOND: String(limited) });
    // The new worker knows no workflow yet: the first round, in which it learns them, does not count.
    await round(1);
    const paced = await round(1);
    await sql.end();
    await temporal.connection.close();

    const speed = (what: string, { items_per_second: rate }: Round, goal: number): Figure => ({
      what,
      figure: String(rate),
      goal: `≥ ${goal}`,
      reached: rate >= goal,
    });
    const latency = (what: string, { stored_p50_ms: p50, stored_p99_ms: p99 }: Round): Figure =>
      known(what, `p50 ${(p50 / 1000).toFixed(1)} s, p99 ${(p99 / 1000).toFixed(1)} s`);
    const rounds = [first, once, repeated, paced];
    return {
      result: { workload: 'W3', first, once, repeated, limited: { ...paced, calls_per_second: limited } },
      figures: [
        exactly(
          'W3 lost + doubled',
          rounds.reduce((sum, { lost, doubled }) => sum + lost + doubled, 0),
          0,
        ),
        known('W3 Items a second, 1,000 at once, the first round', String(first.items_per_second)),
        speed('W3 Items a second, 1,000 at once', once, ceiling),
        latency('W3 webhook to stored, 1,000 at once', once),
        known(`W3 Items a second, each webhook ${1 + duplicates} times`, String(repeated.items_per_second)),
        {
          what: 'W3 further updates an Item by duplicates',
          figure: (repeated.extra_updates / items).toFixed(2),
          goal: '≤ 1',
          reached: repeated.extra_updates <= items,
        },
        speed(`W3 Items a second of the ${limited} that Plaid is asked for`, paced, limited * 0.9),
      ],
    };
  } finally {
    source.close();
    await system.stop();
  }
};
