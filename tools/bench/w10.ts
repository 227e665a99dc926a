import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createSilentServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { hashKey } from '../../api/auth.js';
import { createStores } from '../../drizzle/index.js';
import { writeEvents } from '../../drizzle/stores/writeEvents.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { inLanes } from '../../src/lanes.js';
import { openClient } from '../../src/temporal/connect.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { requestJson } from '../local/httpJson.js';
import { runPairs } from './pairs.js';
import { cpuSeconds, familyCpuSeconds, startBenchSystem } from './system.js';
import type { BenchSystem } from './system.js';
import { atMost, below, exactly, known, percentile } from './workload.js';
import type { Workload } from './workload.js';

const endpoints = 20;
const events = 5_000;
/** Items of an endpoint's events, each a lane of its own. */
const lanes = 50;
/** Events in one transaction of the burst. */
const atOnce = 250;
const steadyPerSecond = 100;
const steadySeconds = 20;
const joins = 20;
const patienceMs = 120_000;
/** Plaid's endpoints that read the bank. */
const dataPaths = new Set(['/transactions/sync', '/transactions/get', '/accounts/get', '/auth/get']);

interface Receiver {
  url: string;
  /** By the number in an event's data: when it came first. */
  arrivals: Map<number, number>;
  repeats: number;
  /** When `item.ready` came of an Item, by the last part of the URL's path. */
  ready: Map<string, number>;
}

/** Takes everything. Times are of `performance.now()` of this process, which commits the events as well. */
async function startReceiver(): Promise<Receiver & { server: Server }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const at = performance.now();
      response.writeHead(204).end();
      const { type, data } = JSON.parse(Buffer.concat(chunks).toString()) as {
        type: string;
        data: { number?: number };
      };
      if (type === 'item.ready') receiver.ready.set(request.url?.slice(1) ?? '', at);
      if (data.number === undefined) return;
      if (receiver.arrivals.has(data.number)) receiver.repeats += 1;
      else receiver.arrivals.set(data.number, at);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const receiver = { url, arrivals: new Map(), repeats: 0, ready: new Map(), server };
  return receiver;
}

/** A host that takes connections and never says a word. */
async function startDeadHost(): Promise<{ url: string; server: Server }> {
  const server = createSilentServer((socket) => void socket.on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function untilThere(what: string, isThere: () => boolean | Promise<boolean>): Promise<void> {
  const started = performance.now();
  while (!(await isThere())) {
    if (performance.now() - started > patienceMs) throw new Error(`W10 waited in vain: ${what}`);
    await pause(20);
  }
}

/** Events out: a burst for 20 endpoints, a steady stream with and without a dead one among them, and a second application that joins. */
export const w10: Workload = async ({ pairs, say }) => {
  const system = await startBenchSystem({ transactionsPerItem: 200 });
  const [receiver, deadHost] = [await startReceiver(), await startDeadHost()];
  try {
    const databaseUrl = await system.createDatabase('w10');
    const sql = openDatabase(databaseUrl, { max: 4 });
    const adminKey = randomBytes(16).toString('hex');
    const local = { ENDPOINTS_ALLOW: '127.0.0.0/8', ENDPOINTS_INSECURE: 'true' };
    await createStores(sql).applications.ensureAdmin(hashKey(adminKey));
    const api = await system.startServer(databaseUrl, { ...local, ADMIN_API_KEY: adminKey });
    const worker = await system.startWorker(databaseUrl, local);
    const ask = <Answer>(
      method: 'GET' | 'POST' | 'DELETE',
      path: string,
      body?: object,
      key: string = adminKey,
    ): Promise<Answer> =>
      requestJson(method, `${api.url}/v1${path}`, {
        headers: { authorization: `Bearer ${key}` },
        ...(body === undefined ? {} : { body }),
      }) as Promise<Answer>;

    let applications = 0;
    /** An application with a key, and an endpoint at this URL. */
    const application = async (access: 'all' | 'connected', url: string) => {
      applications += 1;
      const { application_id: id } = await ask<{ application_id: string }>('POST', '/applications', {
        name: `w10-${applications}`,
        access,
      });
      const { key } = await ask<{ key: string }>('POST', `/applications/${id}/keys`, {
        scopes: ['read', 'write'],
      });
      const made = await ask<{ endpoint_id: string }>('POST', '/endpoints', { url, types: [] }, key);
      return { id, key, endpointId: made.endpoint_id };
    };
    type Application = Awaited<ReturnType<typeof application>>;

    let numbers = 0;
    /** Numbers of the events that were committed, for these applications in turn, each with the moment of its commit. */
    const commit = async (to: readonly Application[], count: number): Promise<Map<number, number>> => {
      const first = numbers;
      numbers += count;
      const made = Array.from({ length: count }, (_, n) => first + n);
      await sql.begin((tx) =>
        writeEvents(
          tx,
          made.map((number) => ({
            type: 'item.updated' as const,
            itemId: `lane-${Math.floor(number / endpoints) % lanes}`,
            applicationId: to[number % to.length]?.id ?? '',
            data: { number },
          })),
        ),
      );
      const at = performance.now();
      return new Map(made.map((number) => [number, at]));
    };
    const remove = (all: readonly Application[]) =>
      Promise.all(
        all.map(({ endpointId, key }) => ask('DELETE', `/endpoints/${endpointId}`, undefined, key)),
      );
    const alive = (count: number): Promise<Application[]> =>
      Promise.all(Array.from({ length: count }, () => application('all', receiver.url)));

    say(`${events} events for ${endpoints} endpoints …`);
    const busy = await alive(endpoints);
    const warm = await commit(busy, endpoints * 10);
    await untilThere('the first events', () => [...warm.keys()].every((n) => receiver.arrivals.has(n)));
    const cpu = (): Record<string, number | null> => ({
      worker: cpuSeconds(worker.pid),
      postgres: familyCpuSeconds(system.stack.pids().postgres ?? 0),
      temporal: cpuSeconds(system.stack.pids().temporal ?? 0),
    });
    const cpuBefore = cpu();
    const started = performance.now();
    const burst = new Map<number, number>();
    for (let n = 0; n < events; n += atOnce) {
      for (const [number, at] of await commit(busy, atOnce)) burst.set(number, at);
    }
    await untilThere('the burst', () => [...burst.keys()].every((n) => receiver.arrivals.has(n)));
    const last = Math.max(...[...burst.keys()].map((n) => receiver.arrivals.get(n) ?? 0));
    const perSecond = Math.round((events / (last - started)) * 1_000);
    const cpuAfter = cpu();
    const cpuMs = Object.fromEntries(
      Object.entries(cpuAfter).map(([name, after]) => {
        const before = cpuBefore[name] ?? null;
        return [
          name,
          after === null || before === null ? null : Math.round(((after - before) / events) * 1e5) / 100,
        ];
      }),
    );
    await remove(busy);

    let lost = 0;
    const p50s: number[] = [];
    /** The p99 from commit to receiver of the endpoints that live, in milliseconds. */
    const steady = async (withDead: boolean): Promise<number> => {
      const living = await alive(endpoints - 1);
      const other = await application('all', withDead ? deadHost.url : receiver.url);
      const all = [...living, other];
      const committed = new Map<number, number>();
      const deadNumbers = new Set<number>();
      const begun = performance.now();
      for (let n = 0; n < steadyPerSecond * steadySeconds; n += 1) {
        const wait = begun + (n * 1_000) / steadyPerSecond - performance.now();
        if (wait > 0) await pause(wait);
        for (const [number, at] of await commit(all, 1)) {
          committed.set(number, at);
          if (all[number % all.length] === other) deadNumbers.add(number);
        }
      }
      const wanted = [...committed.keys()].filter((number) => !deadNumbers.has(number));
      await untilThere('the steady events', () => wanted.every((n) => receiver.arrivals.has(n)));
      if (!withDead) {
        await untilThere('the last endpoint', () => [...deadNumbers].every((n) => receiver.arrivals.has(n)));
      }
      const waits = wanted
        .map((n) => (receiver.arrivals.get(n) ?? Number.NaN) - (committed.get(n) ?? 0))
        .sort((a, b) => a - b);
      // What the dead one was not sent is kept for it.
      const [kept] = await sql<[{ n: number }]>`
        SELECT count(*)::int AS n FROM deliveries WHERE endpoint_id = ${other.endpointId} AND state = 'pending'`;
      if (withDead) lost += Math.max(0, deadNumbers.size - kept.n);
      if (!withDead) p50s.push(percentile(waits, 0.5));
      await remove(all);
      return percentile(waits, 0.99);
    };
    say(`${steadyPerSecond} events a second for ${steadySeconds} s, with a dead endpoint and without …`);
    const dead = await runPairs(
      pairs,
      () => steady(true),
      () => steady(false),
      say,
    );
    const p99 = [...dead.b].sort((a, b) => a - b);

    say(`${joins} second applications …`);
    const joined = await measureJoins(system, databaseUrl, { ask, application, receiver });
    const repeats = receiver.repeats;
    await sql.end();
    const result = {
      workload: 'W10',
      deliveries_per_second: perSecond,
      cpu_ms_each: cpuMs,
      // Milliseconds from the commit to the receiver.
      commit_to_receiver_p50_ms: p50s,
      commit_to_receiver_p99_ms: dead.b,
      with_a_dead_one_p99_ms: dead.a,
      dead_ratio: dead,
      joins: joined.waits,
      join_data_calls: joined.calls,
      lost,
      repeats,
    };
    return {
      result,
      figures: [
        exactly('W10 lost', lost, 0),
        known(
          `W10 deliveries a second, ${events} at once for ${endpoints} endpoints`,
          `${perSecond} (ms of CPU each: ${Object.entries(cpuMs)
            .map(([name, value]) => `${name} ${value ?? '?'}`)
            .join(', ')})`,
        ),
        below(
          'W10 commit to receiver, p99, ms',
          percentile(p99, 0.5),
          1_000,
          ` (p50 ${percentile(
            [...p50s].sort((a, b) => a - b),
            0.5,
          )})`,
        ),
        atMost(`W10 the others' p99 beside a dead endpoint, ratio`, dead.median, 1.1),
        exactly('W10 calls for data when a second application joins', joined.calls, 0),
        below(
          `W10 item.ready at the endpoint of who joins, slowest of ${joins}, ms`,
          percentile(joined.waits, 1),
          1_000,
          ` (p50 ${percentile(joined.waits, 0.5)})`,
        ),
      ],
    };
  } finally {
    receiver.server.close();
    deadHost.server.close();
    await system.stop();
  }
};

interface JoinTools {
  ask: <Answer>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
    key?: string,
  ) => Promise<Answer>;
  application: (access: 'connected', url: string) => Promise<{ key: string }>;
  receiver: Pick<Receiver, 'url' | 'ready'>;
}

/** A second application on Items that are mined: from its request to `item.ready` at its endpoint, ms, sorted; and calls to Plaid for data. */
async function measureJoins(
  system: BenchSystem,
  databaseUrl: string,
  { ask, application, receiver }: JoinTools,
): Promise<{ waits: number[]; calls: number }> {
  const sql = openDatabase(databaseUrl, { max: 1 });
  const temporal = openClient({
    address: system.stack.urls.temporal_address,
    namespace: 'default',
    tls: false,
  });
  try {
    const gateway = createGateway(temporal.client);
    const ids = await system.linkItems(databaseUrl, joins);
    await inLanes(8, ids, (id) => gateway.signalItem(id, `user-${id}`, { kind: 'linked' }, 30_000));
    await untilThere('the Items to be mined', async () => {
      const [left] = await sql<
        [{ n: number }]
      >`SELECT count(*)::int AS n FROM items WHERE history <> 'complete'`;
      return left.n === 0;
    });
    const calls = async (): Promise<number> => {
      const answer = await system.sim<{ calls: { path: string; count: number }[] }>('/_sim/calls');
      return answer.calls
        .filter(({ path }) => dataPaths.has(path))
        .reduce((sum, { count }) => sum + count, 0);
    };
    const before = await calls();
    const waits: number[] = [];
    for (const itemId of ids) {
      const { accounts } = await system.sim<{
        accounts: { account_id: string; name: string; mask: string; type: string; subtype: string }[];
      }>(`/_sim/items/${itemId}/truth`);
      const { public_token } = await system.sim<{ public_token: string }>('/sandbox/public_token/create', {
        institution_id: 'ins_109508',
        initial_products: ['transactions'],
      });
      const { key } = await application('connected', `${receiver.url}/${itemId}`);
      const begun = performance.now();
      const answer = await ask<{ joined?: boolean; item_id: string }>(
        'POST',
        `/users/user-${itemId}/items`,
        {
          public_token,
          institution_id: 'ins_109508',
          accounts: accounts.map(({ account_id, ...account }) => ({
            id: account_id,
            ...{ name: account.name, mask: account.mask, type: account.type, subtype: account.subtype },
          })),
        },
        key,
      );
      if (answer.joined !== true || answer.item_id !== itemId) throw new Error('W10: it did not join');
      await untilThere('item.ready', () => receiver.ready.has(itemId));
      waits.push((receiver.ready.get(itemId) ?? Number.NaN) - begun);
    }
    return { waits: waits.sort((a, b) => a - b), calls: (await calls()) - before };
  } finally {
    await temporal.connection.close();
    await sql.end();
  }
}
