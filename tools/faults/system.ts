import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client, Connection } from '@temporalio/client';
import postgres from 'postgres';
import type { ChildProcess, Exit } from '../local/childProcess.js';
import { freePort } from '../local/ports.js';
import { launch, logTail } from '../local/childProcess.js';
import { deleteStreams } from '../local/deleteStreams.js';
import { until } from './until.js';

/** What a system finds already there. */
export interface Surroundings {
  temporalAddress: string;
  kinesisEndpoint: string;
  /** Arguments with which Node starts an entry of the program, `src/worker.ts` say. */
  readonly programArguments: (entry: string) => string[];
  /** The workflows as one script. */
  workflowBundle: string;
  /** A namespace that nobody else uses. */
  createNamespace(): Promise<{ client: Client; connection: Connection; namespace: string }>;
  /** A database that nobody else uses. */
  createDatabase(): Promise<{ url: string; drop(): Promise<void> }>;
  /** Hears of each process that is started. */
  adopt?(child: ChildProcess): void;
}

/**
 * The whole of Sluice: API, worker, simulator and Segment sink as processes of their own, with a database, a
 * Temporal namespace and streams that nobody else touches.
 */
export interface System {
  api: Api;
  sim: Sim;
  sql: postgres.Sql;
  databaseUrl: string;
  client: Client;
  streamPrefix: string;
  urls: { api: string; simulator: string; kinesis: string; segment: string };
  adminKey: string;
  /** Starts a worker; `env` on top of the usual one (a crash point, say). */
  startWorker(env?: Record<string, string>): Promise<Running>;
  /** Starts the API again; `env` on top of the usual one. */
  startApi(env?: Record<string, string>): Promise<void>;
  stopApi(): Promise<Exit | undefined>;
  /** As a crash: SIGKILL, and waits until it is gone. */
  killApi(): Promise<void>;
  /** Starts a listener on the stream of user events, which is there with the option `userEvents`. */
  startListener(env?: Record<string, string>): Promise<Running>;
  /** Runs a one-shot process of the program to its end, `src/provision.ts` say; resolves to what it has written. */
  runJob(entry: string, args?: readonly string[], env?: Record<string, string>): Promise<string>;
  /** The API that runs, or ran last. */
  apiProcess(): ChildProcess;
  /** Workers that run. */
  workers: Running[];
  /** What Segment was told, in order and with every repeat. */
  segmentEvents(): Promise<Record<string, any>[]>;
  /** Everything that the processes have written so far. */
  logs(): string;
  stop(): Promise<void>;
}

export interface Running {
  process: ChildProcess;
  stop(): Promise<void>;
  /** As a crash: SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

export interface Answer<Body = Record<string, unknown>> {
  status: number;
  headers: Headers;
  body: Body;
}

export type Api = <Body = Record<string, any>>(
  method: string,
  route: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer<Body>>;

/** A call to the simulator: Plaid's endpoints with credentials, its own controls under `/_sim`. */
export type Sim = <Body = Record<string, any>>(
  route: string,
  body?: unknown,
  method?: string,
) => Promise<Body>;

/** Paces that let one see in seconds what takes minutes in production. */
const fastPace = {
  quiet: 100,
  quietDeadline: 500,
  betweenUpdates: 200,
  pollFirst: 1_000,
  pollLongest: 5_000,
  retryFirst: 500,
  retryLongest: 2_000,
  brokenCheck: 2_000,
  childCheck: 3_000,
  erasureFirst: 300,
  erasureLongest: 8_000,
  lateWriters: 2_000,
};

export interface SystemOptions {
  transactionsPerItem?: number;
  simulatorArgs?: string[];
  env?: Record<string, string>;
  /** On top of `env`, for the API alone: addresses of proxies that a test can cut, say. */
  apiEnv?: Record<string, string>;
  pace?: Record<string, unknown>;
  /** Default true. */
  worker?: boolean;
  sweepGrace?: string;
  /** Makes a stream of user events. */
  userEvents?: boolean;
}

export async function startSystemIn(
  surroundings: Surroundings,
  options: SystemOptions = {},
): Promise<System> {
  const { programArguments } = surroundings;
  const id = randomBytes(5).toString('hex');
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-e2e-'));
  const [{ client, connection, namespace }, database, apiPort] = await Promise.all([
    surroundings.createNamespace(),
    surroundings.createDatabase(),
    freePort(),
  ]);
  const sql = postgres(database.url, { max: 3, onnotice: () => undefined });
  const adminKey = `admin-${randomBytes(16).toString('hex')}`;
  const processes: ChildProcess[] = [];
  const run = async (name: string, args: string[], env: Record<string, string>) => {
    const child = await launch({
      name,
      command: process.execPath,
      args,
      env,
      logFile: path.join(dir, `${name}.log`),
    });
    processes.push(child);
    surroundings.adopt?.(child);
    return child;
  };
  const alive = (child: ChildProcess): void => {
    const exit = child.exit();
    if (exit)
      throw new Dead(`${child.name} ended (${exit.signal ?? exit.code}):\n${logTail(child.logFile, 20)}`);
  };
  const ready = async (child: ChildProcess, condition: () => Promise<boolean> | boolean): Promise<void> => {
    let dead: Dead | undefined;
    await until(async () => {
      try {
        alive(child);
      } catch (error) {
        dead = error as Dead;
        return true;
      }
      return condition();
    });
    if (dead) throw dead;
  };

  const segmentPort = await freePort();
  const segmentUrl = `http://127.0.0.1:${segmentPort}`;
  const segment = await run(
    'segment',
    [
      ...programArguments('tools/local/segmentSinkServer.ts'),
      '--port',
      String(segmentPort),
      '--file',
      path.join(dir, 'segment.ndjson'),
    ],
    {},
  );
  const simulatorPort = await freePort();
  const simulator = await run(
    'simulator',
    [
      ...programArguments('packages/plaid-simulator/src/main.ts'),
      '--port',
      String(simulatorPort),
      '--transactions-per-item',
      String(options.transactionsPerItem ?? 200),
      ...(options.simulatorArgs ?? []),
    ],
    {},
  );
  const urls = {
    api: `http://127.0.0.1:${apiPort}`,
    simulator: `http://127.0.0.1:${simulatorPort}`,
    kinesis: surroundings.kinesisEndpoint,
    segment: segmentUrl,
  };
  const streamPrefix = `t${id}-`;
  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: surroundings.temporalAddress,
    TEMPORAL_NAMESPACE: namespace,
    PLAID_BASE_URL: urls.simulator,
    PLAID_CLIENT_ID: 'test-client',
    PLAID_SECRET: 'canary-plaid-secret',
    PUBLIC_URL: urls.api,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    KINESIS_ENDPOINT: urls.kinesis,
    STREAM_PREFIX: streamPrefix,
    SEGMENT_WRITE_KEY: 'canary-segment-key',
    SEGMENT_HOST: segmentUrl,
    ENCRYPTION_KEYS: `t1:${randomBytes(32).toString('base64')}`,
    ADMIN_API_KEY: adminKey,
    HOST: '127.0.0.1',
    PORT: String(apiPort),
    LOG_LEVEL: 'info',
    PACE: JSON.stringify({ ...fastPace, ...options.pace }),
    WORKFLOW_BUNDLE: surroundings.workflowBundle,
    PLAID_CALLS_PER_SECOND: '0',
    PLAID_FIRST_CALLS_PER_SECOND: '0',
    // Tests ask as fast as they can, and on a busy machine they wait.
    RATE_LIMIT_PER_MINUTE: '0',
    SHED_LOAD_AFTER: 'PT0S',
    // Receivers of tests are on this machine.
    ENDPOINTS_ALLOW: '127.0.0.0/8',
    ENDPOINTS_INSECURE: 'true',
    SWEEP_EVERY: 'PT3S',
    SWEEP_GRACE: options.sweepGrace ?? 'PT2S',
    ...(options.userEvents
      ? { USER_EVENTS_STREAM: `${streamPrefix}user-events`, USER_EVENTS_LEASE: 'PT4S' }
      : {}),
    ...options.env,
  };
  const segmentEvents = async (): Promise<Record<string, any>[]> =>
    ((await (await fetch(`${segmentUrl}/events`)).json()) as { events: Record<string, any>[] }).events;
  let jobs = 0;
  const runJob: System['runJob'] = async (entry, args = [], more = {}) => {
    const name = `${path.basename(entry, '.ts')}${(jobs += 1)}`;
    const job = await run(name, [...programArguments(entry), ...args], { ...env, ...more });
    const { code } = await job.exited;
    if (code !== 0) throw new Error(logTail(job.logFile, 20));
    return readFileSync(job.logFile, 'utf8');
  };
  await Promise.all([
    ready(simulator, async () => (await fetch(`${urls.simulator}/_sim/items`)).ok),
    ready(segment, async () => Array.isArray(await segmentEvents())),
    runJob('src/provision.ts'),
  ]);

  let api: ChildProcess | undefined;
  const startApi = async (more: Record<string, string> = {}): Promise<void> => {
    api = await run('api', programArguments('src/server.ts'), { ...env, ...options.apiEnv, ...more });
    await ready(api, async () => (await fetch(`${urls.api}/livez`)).ok);
  };
  const stopApi = async (): Promise<Exit | undefined> => api?.stop('SIGTERM', 35_000);
  const killApi = async (): Promise<void> => void (await api?.stop('SIGKILL', 1_000));
  const startListener = async (more: Record<string, string> = {}): Promise<Running> => {
    const name = `listener${(started += 1)}`;
    const child = await run(name, programArguments('src/listener.ts'), { ...env, ...more });
    await ready(child, () => readFileSync(child.logFile, 'utf8').includes('"listener ready"'));
    return {
      process: child,
      stop: async () => void (await child.stop('SIGTERM', 35_000)),
      kill: async () => void (await child.stop('SIGKILL', 1_000)),
    };
  };
  const workers: Running[] = [];
  let started = 0;
  const startWorker = async (more: Record<string, string> = {}): Promise<Running> => {
    const name = `worker${(started += 1)}`;
    const child = await run(name, programArguments('src/worker.ts'), { ...env, ...more });
    await ready(child, () => readFileSync(child.logFile, 'utf8').includes('"worker ready"'));
    const leave = (): void => void workers.splice(workers.indexOf(running), 1);
    const running: Running = {
      process: child,
      async stop() {
        leave();
        await child.stop('SIGTERM', 35_000);
      },
      async kill() {
        leave();
        await child.stop('SIGKILL', 1_000);
      },
    };
    workers.push(running);
    return running;
  };
  await Promise.all([startApi(), ...(options.worker === false ? [] : [startWorker()])]);

  return {
    sql,
    databaseUrl: database.url,
    client,
    streamPrefix,
    urls,
    adminKey,
    workers,
    apiProcess() {
      if (api === undefined) throw new Error('the API was never started');
      return api;
    },
    startWorker,
    startListener,
    runJob,
    startApi,
    stopApi,
    killApi,
    segmentEvents,
    api: async (method, route, body, headers = {}) => {
      const response = await fetch(`${urls.api}${route}`, {
        method,
        headers: {
          authorization: `Bearer ${adminKey}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(120_000),
      });
      const text = await response.text();
      const json = /[/+]json/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : { text } };
    },
    sim: async (route, body, method) => {
      const response = await fetch(`${urls.simulator}${route}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          'content-type': 'application/json',
          'plaid-client-id': 'test-client',
          'plaid-secret': 'x',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(120_000),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`simulator ${route}: ${response.status} ${text}`);
      return text === '' ? {} : JSON.parse(text);
    },
    logs: () =>
      [...new Set(processes.map((child) => child.logFile))]
        .map((file) => readFileSync(file, 'utf8'))
        .join('\n'),
    async stop() {
      await Promise.all(processes.map((child) => child.stop('SIGTERM', 35_000)));
      // Else the server would go on ticking for them, each second, as long as the run of all the tests lasts.
      for await (const { scheduleId } of client.schedule.list())
        await client.schedule.getHandle(scheduleId).delete();
      await sql.end({ timeout: 5 });
      await connection.close();
      await deleteStreams(urls.kinesis, streamPrefix);
      await database.drop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

class Dead extends Error {}
