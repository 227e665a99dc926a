import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deploymentName, makeCurrent } from '../temporal/builds.js';
import { createNamespace } from '../workflows/harness.js';
import { startCuttableProxy } from '../e2e/cuttableProxy.js';
import { until } from '../e2e/until.js';
import type { TestDatabase } from '../stack/testDatabase.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';
import { canary } from './foreignError.js';
import type { ProcessUnderTest } from './processUnderTest.js';
import { startProcess } from './processUnderTest.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

const started: ProcessUnderTest[] = [];
afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An address at which nobody listens. */
const nowhere = '127.0.0.1:9';

async function start(
  name: 'server' | 'worker' | 'listener',
  more: Record<string, string> = {},
): Promise<{ process: ProcessUnderTest; ask: (path: string) => Promise<{ status: number; text: string }> }> {
  const [metricsPort, port] = [await freePort(), await freePort()];
  const process = startProcess(`src/${name}.ts`, [], {
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: testStack().temporal_address,
    KINESIS_ENDPOINT: testStack().kinesis_endpoint,
    PLAID_BASE_URL: `http://${nowhere}`,
    PLAID_CLIENT_ID: 'client',
    PLAID_SECRET: `${canary}plaid-secret`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    USER_EVENTS_STREAM: 'no-such-stream',
    ENCRYPTION_KEYS: `t1:${randomBytes(32).toString('base64')}`,
    ADMIN_API_KEY: `${canary}0123456789abcdef`,
    WORKFLOW_BUNDLE: workflowBundleFile(),
    METRICS_PORT: String(metricsPort),
    PORT: String(port),
    ...more,
  });
  started.push(process);
  await process.says(`${name} ready`);
  return {
    process,
    async ask(path) {
      const answer = await fetch(`http://127.0.0.1:${metricsPort}${path}`, {
        signal: AbortSignal.timeout(60_000),
      });
      return { status: answer.status, text: await answer.text() };
    },
  };
}

describe.each(['server', 'worker', 'listener'] as const)('a %s', (name) => {
  it('stops on a foreign error that nobody caught, and shows nothing that it holds', async () => {
    const { process } = await start(name);
    process.child.kill('SIGUSR2');
    expect(await process.ended).toBe(1);
    const said = process.said();
    expect(said).toContain('"class":"AxiosError","code":"ERR_BAD_REQUEST","causes":["Error ECONNRESET"]');
    expect(said).toContain('test/process/foreignError.ts:');
    expect(said).toContain(`${name} stopped`);
    expect(said).not.toContain(canary);
  });
});

it('the simulator stops on a foreign error that nobody caught, and shows nothing that it holds', async () => {
  const process = startProcess('packages/plaid-simulator/src/main.ts', ['--port', '0']);
  started.push(process);
  await process.says('"listening"');
  process.child.kill('SIGUSR2');
  expect(await process.ended).toBe(1);
  expect(process.said()).toContain('simulator: AxiosError ERR_BAD_REQUEST');
  expect(process.said()).toContain('test/process/foreignError.ts:');
  expect(process.said()).not.toContain(canary);
});

it('the simulator ends with 1 where what nobody caught is nothing at all', async () => {
  const process = startProcess('packages/plaid-simulator/src/main.ts', ['--port', '0']);
  started.push(process);
  await process.says('"listening"');
  process.child.kill('SIGIO');
  expect(await process.ended).toBe(1);
});

describe('the Segment sink', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sluice-sink-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function startSink(): Promise<{ process: ProcessUnderTest; url: string }> {
    const port = await freePort();
    const file = path.join(folder, `${port}.jsonl`);
    const process = startProcess('tools/local/segmentSinkServer.ts', [
      '--port',
      String(port),
      '--file',
      file,
    ]);
    started.push(process);
    const url = `http://127.0.0.1:${port}`;
    await until(async () => (await fetch(`${url}/events`)).ok);
    return { process, url };
  }

  it('keeps what it is sent, refuses what is no call, and ends with 0 when it is asked to', async () => {
    const { process, url } = await startSink();
    const send = async (body: string): Promise<number> =>
      (await fetch(`${url}/v1/batch`, { method: 'POST', headers: { authorization: 'Basic a2V5Og==' }, body }))
        .status;
    expect(await send('{"batch":[{"type":"track","event":"one"}]}')).toBe(200);
    for (const body of ['{', 'null', '[]', '{"batch":1}']) expect(await send(body)).toBe(400);
    expect(await (await fetch(`${url}/events`)).json()).toEqual({
      events: [{ type: 'track', event: 'one' }],
    });
    process.child.kill('SIGTERM');
    process.child.kill('SIGINT');
    expect(await process.ended).toBe(0);
  });

  it.each([
    ['a foreign error', 'SIGUSR2', 'AxiosError ERR_BAD_REQUEST'],
    ['nothing at all', 'SIGIO', 'undefined'],
  ] as const)(
    'stops on %s that nobody caught, and shows nothing that it holds',
    async (_what, signal, told) => {
      const { process } = await startSink();
      process.child.kill(signal);
      expect(await process.ended).toBe(1);
      expect(process.said()).toContain(`segment: ${told}`);
      expect(process.said()).not.toContain(canary);
    },
  );
});

describe('the port of metrics', () => {
  it('of a worker says that it lives, that it is ready and what it measures; not ready without Temporal', async () => {
    const temporal = await startCuttableProxy(testStack().temporal_address);
    try {
      const { ask } = await start('worker', { TEMPORAL_ADDRESS: temporal.address });
      expect((await ask('/livez')).status).toBe(200);
      await until(async () => (await ask('/readyz')).status === 200);
      expect(JSON.parse((await ask('/readyz')).text)).toEqual({
        status: 'ready',
        dependencies: {
          postgresql: { status: 'up' },
          temporal: { status: 'up' },
          polling: { status: 'up' },
        },
      });
      const metrics = await ask('/metrics');
      expect([metrics.status, metrics.text]).toEqual([200, expect.stringContaining('temporal_num_pollers')]);
      expect((await ask('/else')).status).toBe(404);
      temporal.cut();
      await until(async () => (await ask('/readyz')).status === 503);
      expect(JSON.parse((await ask('/readyz')).text).dependencies.temporal).toEqual({ status: 'down' });
      expect((await ask('/livez')).status).toBe(200);
    } finally {
      await temporal.close();
    }
  });

  it('of a worker with a version says whether its deployment has a current one, and is ready without', async () => {
    const { client, connection, namespace } = await createNamespace();
    try {
      const { process, ask } = await start('worker', {
        TEMPORAL_NAMESPACE: namespace,
        TEMPORAL_DEPLOYMENT_NAME: deploymentName,
        WORKER_BUILD_ID: 'b1',
      });
      const current = async (): Promise<unknown> =>
        JSON.parse((await ask('/readyz')).text).dependencies.current_version;
      await until(async () => (await ask('/readyz')).status === 200);
      expect(await current()).toEqual({ status: 'down' });
      const command = 'temporal worker deployment set-current-version --deployment-name sluice --build-id b1';
      expect(process.said()).toContain(command);
      await makeCurrent(client, namespace, 'b1');
      await until(async () => ((await current()) as { status: string }).status === 'up');
    } finally {
      await connection.close();
    }
  });

  it('of a listener names its stream among what it needs', async () => {
    const { ask } = await start('listener');
    const { status, text } = await ask('/readyz');
    expect([status, JSON.parse(text)]).toEqual([
      503,
      {
        status: 'not_ready',
        dependencies: {
          postgresql: { status: 'up' },
          temporal: { status: 'up' },
          kinesis: { status: 'down' },
        },
      },
    ]);
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/metrics')).text).toContain('sluice_user_event_shards');
  });

  it('of a server that reaches nothing: it lives', async () => {
    const { ask } = await start('server', {
      DATABASE_URL: `postgres://nobody:x@${nowhere}/none`,
      TEMPORAL_ADDRESS: nowhere,
    });
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(503);
    expect((await ask('/metrics')).text).toContain('process_cpu_user_seconds_total');
  });
});
