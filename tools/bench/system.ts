import { fork } from 'node:child_process';
import type { ChildProcess as Child } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import { createStores } from '../../drizzle/index.js';
import { migrate } from '../../drizzle/migrate.js';
import { launch, logTail } from '../local/childProcess.js';
import type { ChildProcess } from '../local/childProcess.js';
import { freePort } from '../local/ports.js';
import { startStack } from '../local/stack.js';
import type { Stack } from '../local/stack.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { secretContext } from '../../domain/ids.js';
import { ensureSearchAttributes } from '../../src/temporal/setUp.js';
import { openClient } from '../../src/temporal/connect.js';
import { machineEnvironment } from './environment.js';

/** PostgreSQL, Temporal and the simulator for benchmarks, and processes around them. */
export interface BenchSystem {
  stack: Stack;
  sinkUrl: string;
  /** A migrated database of its own. */
  createDatabase(name: string): Promise<string>;
  environment(databaseUrl: string): Record<string, string>;
  startWorker(databaseUrl: string, env?: Record<string, string>): Promise<ChildProcess>;
  /** The API on a free port, without a rate limit. */
  startServer(databaseUrl: string, env?: Record<string, string>): Promise<{ url: string }>;
  sim<Body>(route: string, body?: unknown): Promise<Body>;
  sink(route: '/counts' | '/reset'): Promise<{ records: number; events: number; calls: number }>;
  /** Links `count` Items past Plaid's initial fetches, stored as admitted and due. */
  linkItems(databaseUrl: string, count: number): Promise<string[]>;
  stop(): Promise<void>;
}

const keys = `bench:${randomBytes(32).toString('base64')}`;

/** CPU seconds that a process has used; null where the system does not say. */
export function cpuSeconds(pid: number): number | null {
  return statOf(pid)?.seconds ?? null;
}

/** CPU seconds of a process with its children, those that have ended included; null where the system does not say. */
export function familyCpuSeconds(pid: number): number | null {
  const own = statOf(pid);
  if (own === null) return null;
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat?.parent === pid);
  return [own, ...children].reduce((sum, stat) => sum + (stat?.seconds ?? 0), own.ofEnded);
}

function statOf(pid: number): { parent: number; seconds: number; ofEnded: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ').map(Number) ?? [];
    const seconds = (...places: number[]) =>
      places.reduce((sum, place) => sum + (fields[place] ?? 0) / 100, 0);
    return { parent: fields[1] ?? 0, seconds: seconds(11, 12), ofEnded: seconds(13, 14) };
  } catch {
    return null;
  }
}

/** Resident memory of a process in MB; null where the system does not say. */
export function residentMb(pid: number): number | null {
  try {
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return line ? Number(line[1]) / 1024 : null;
  } catch {
    return null;
  }
}

export async function startBenchSystem(options: {
  transactionsPerItem: number;
  simulatorArgs?: string[];
}): Promise<BenchSystem> {
  const stack = await startStack({
    dataDir: mkdtempSync(path.join(tmpdir(), 'sluice-bench-')),
    freePorts: true,
    ephemeral: true,
    services: ['postgres', 'temporal', 'simulator'],
    simulator: { transactionsPerItem: options.transactionsPerItem, args: options.simulatorArgs ?? [] },
  });
  const sinkProcess: Child = fork(fileURLToPath(new URL('./countingSink.mjs', import.meta.url)));
  const sinkUrl = await new Promise<string>((resolve) => {
    sinkProcess.once('message', (message) => resolve((message as { url: string }).url));
  });
  const { connection } = openClient({
    address: stack.urls.temporal_address,
    namespace: 'default',
    tls: false,
  });
  await ensureSearchAttributes(connection, 'default');
  await connection.close();
  const workers: ChildProcess[] = [];

  const environment = (databaseUrl: string): Record<string, string> => ({
    ...machineEnvironment,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: stack.urls.temporal_address,
    PLAID_BASE_URL: stack.urls.simulator_url,
    PLAID_CLIENT_ID: 'bench',
    PLAID_SECRET: 'bench',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    KINESIS_ENDPOINT: sinkUrl,
    ENCRYPTION_KEYS: keys,
    PLAID_CALLS_PER_SECOND: '0',
    PLAID_FIRST_CALLS_PER_SECOND: '0',
    LOG_LEVEL: 'warn',
  });

  const sim = async <Body>(route: string, body?: unknown): Promise<Body> => {
    const response = await fetch(`${stack.urls.simulator_url}${route}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'content-type': 'application/json', 'plaid-client-id': 'bench', 'plaid-secret': 'bench' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`simulator ${route}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Body;
  };

  return {
    stack,
    sinkUrl,
    environment,
    sim,
    async createDatabase(name) {
      const admin = postgres(stack.urls.database_url, { max: 1, onnotice: () => undefined });
      await admin.unsafe(`CREATE DATABASE ${name}`);
      await admin.end();
      const url = new URL(stack.urls.database_url);
      url.pathname = `/${name}`;
      await migrate(url.toString());
      return url.toString();
    },
    async startWorker(databaseUrl, env = {}) {
      const child = await launch({
        name: 'worker',
        command: process.execPath,
        args: [
          '--import',
          import.meta.resolve('tsx'),
          fileURLToPath(new URL('../../src/worker.ts', import.meta.url)),
        ],
        env: { ...environment(databaseUrl), LOG_LEVEL: 'info', ...env },
        logFile: stack.logFile(`worker${workers.length}`),
      });
      workers.push(child);
      while (!readFileSync(child.logFile, 'utf8').includes('"worker ready"')) {
        if (child.exit()) throw new Error(`the worker ended: ${logTail(child.logFile)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return child;
    },
    async startServer(databaseUrl, env = {}) {
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      const child = await launch({
        name: 'api',
        command: process.execPath,
        args: [
          '--import',
          import.meta.resolve('tsx'),
          fileURLToPath(new URL('../../src/server.ts', import.meta.url)),
        ],
        env: {
          ...environment(databaseUrl),
          ADMIN_API_KEY: randomBytes(16).toString('hex'),
          PORT: String(port),
          RATE_LIMIT_PER_MINUTE: '0',
          ...env,
        },
        logFile: stack.logFile('api'),
      });
      workers.push(child);
      for (;;) {
        if (child.exit()) throw new Error(`the API ended: ${logTail(child.logFile)}`);
        if (
          await fetch(`${url}/livez`).then(
            ({ ok }) => ok,
            () => false,
          )
        )
          return { url };
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async sink(route) {
      return (await (await fetch(`${sinkUrl}${route}`)).json()) as Awaited<ReturnType<BenchSystem['sink']>>;
    },
    async linkItems(databaseUrl, count) {
      const sql = openDatabase(databaseUrl, { max: 2 });
      const stores = createStores(sql);
      const secrets = createSecretBox(createKeyring(parseEncryptionKeys(keys)));
      const ids: string[] = [];
      for (let n = 0; n < count; n += 1) {
        const { public_token } = await sim<{ public_token: string }>('/sandbox/public_token/create', {
          institution_id: 'ins_109508',
          initial_products: ['transactions'],
          options: {
            override_username: `bench_${randomBytes(6).toString('hex')}`,
            transactions: { days_requested: 730 },
          },
        });
        const tokenHash = createHash('sha256').update(public_token).digest('hex');
        const exchanged = await sim<{ access_token: string; item_id: string }>(
          '/item/public_token/exchange',
          {
            public_token,
          },
        );
        const itemId = exchanged.item_id;
        const publicToken = await secrets.seal(public_token, secretContext.publicToken(tokenHash));
        const user_id = `user-${itemId}`;
        const nothing = { institution_id: null, accounts: [], main_account_id: null };
        await stores.links.receive({
          token_hash: tokenHash,
          user_id,
          application_id: 'default',
          publicToken,
          ...nothing,
        });
        await stores.links.beginExchange(tokenHash);
        const accessToken = await secrets.seal(exchanged.access_token, secretContext.accessToken(itemId));
        await stores.links.storeExchanged(tokenHash, { itemId, accessToken });
        await stores.links.admit({
          tokenHash,
          itemId,
          institutionId: 'ins_109508',
          institutionName: null,
          consentExpiresAt: null,
          mainAccountId: null,
          accounts: [],
          replaceable: [],
        });
        await stores.links.finish(tokenHash, {
          kind: 'linked',
          item_id: itemId,
          replaces: null,
          warnings: [],
        });
        await sim(`/_sim/items/${itemId}/advance`, { to: 'idle' });
        ids.push(itemId);
      }
      // Numbers are no part of what is measured.
      await sql`UPDATE items SET numbers_due_at = NULL`;
      await sql.end();
      return ids;
    },
    async stop() {
      await Promise.all(workers.map((worker) => worker.stop('SIGTERM', 35_000)));
      sinkProcess.disconnect();
      await stack.stop();
    },
  };
}
