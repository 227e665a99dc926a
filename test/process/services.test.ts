import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DescribeStreamCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { Connection } from '@temporalio/client';
import { wholeGrant } from '../../domain/exchange/connection.js';
import { createStores } from '../../drizzle/index.js';
import { openKinesisClient } from '../../src/clients/kinesisClient.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { ensureStreams } from '../../src/clients/streams.js';
import { ensureSearchAttributes } from '../../src/temporal/setUp.js';
import { freePort } from '../../tools/local/ports.js';
import { deploymentName, makeCurrent } from '../temporal/builds.js';
import { createNamespace } from '../workflows/harness.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { until } from '../e2e/until.js';
import type { TestDatabase } from '../stack/testDatabase.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import { testStack, workflowBundleFile } from '../stack/testStack.js';
import { canary } from './foreignError.mjs';
import type { ProcessUnderTest } from './processUnderTest.js';
import { startProcess } from './processUnderTest.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  const connection = await Connection.connect({ address: testStack().temporal_address });
  await ensureSearchAttributes(connection, 'default');
  await connection.close();
});
afterAll(() => database?.drop());

const started: ProcessUnderTest[] = [];
afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

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
        signal: AbortSignal.timeout(120_000),
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
    expect(said).toContain('test/process/foreignError.mjs:');
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
  expect(process.said()).toContain('test/process/foreignError.mjs:');
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
      const { ask } = await start('worker', { TEMPORAL_ADDRESS: temporal.address, STREAM_PREFIX: 'absent-' });
      expect((await ask('/livez')).status).toBe(200);
      await until(async () => (await ask('/readyz')).status === 200);
      expect(JSON.parse((await ask('/readyz')).text)).toEqual({
        status: 'ready',
        dependencies: {
          postgresql: { status: 'up' },
          temporal: { status: 'up' },
          kinesis: {
            status: 'down',
            reason: expect.stringMatching(/^Kinesis has no stream absent-[a-z-]+: `npm run provision`$/),
          },
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
      const command = 'temporal worker deployment set-current-version --deployment-name sluice --build-id b1';
      expect(await current()).toEqual({ status: 'down', reason: expect.stringContaining(command) });
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
          kinesis: { status: 'down', reason: 'Kinesis has no stream no-such-stream: `npm run provision`' },
        },
      },
    ]);
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/metrics')).text).toContain('sluice_user_event_shards');
  });

  it('of a server with a namespace that is not there: cached reads go on, and it is named', async () => {
    const { ask } = await start('server', { TEMPORAL_NAMESPACE: 'of-nobody' });
    const { status, text } = await ask('/readyz');
    expect([status, JSON.parse(text)]).toEqual([
      200,
      {
        status: 'ready',
        dependencies: {
          postgresql: { status: 'up' },
          temporal: {
            status: 'down',
            reason: 'Temporal lacks the namespace "of-nobody": `npm run provision`',
          },
        },
      },
    ]);
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

describe('a listener', () => {
  // Ten connections, and sixteen events of one shard at once: none was left for the leases of all shards, nor for what the others held.
  it('acts on the events of other shards while somebody holds what those of one need', async () => {
    const stream = `locked-${randomBytes(4).toString('hex')}`;
    const connection = {
      region: 'us-east-1',
      endpoint: testStack().kinesis_endpoint,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    const kinesis = openKinesisClient(connection);
    const sql = openDatabase(database.url, { max: 2, idleInTransactionMs: 0, transactionMs: 0 });
    try {
      await ensureStreams({ ...connection, shards: 2 }, [stream]);
      const described = await kinesis.send(new DescribeStreamCommand({ StreamName: stream }));
      const keys =
        described.StreamDescription?.Shards?.map((shard) => shard.HashKeyRange?.StartingHashKey) ?? [];
      const put = (shard: number, events: readonly unknown[]) =>
        kinesis.send(
          new PutRecordsCommand({
            StreamName: stream,
            Records: events.map((event) => ({
              PartitionKey: 'key',
              ExplicitHashKey: keys[shard],
              Data: Buffer.from(JSON.stringify(event)),
            })),
          }),
        );
      const open = (shard: number, userId: string, floats: readonly number[]) =>
        put(
          shard,
          floats.map((n) => ({
            type: 'float.opened',
            user_id: userId,
            float_id: `f${n}`,
            occurred_at: '2026-11-21T07:00:00Z',
            event_id: `${userId}-${n}`,
          })),
        );
      const known = async (userId: string) =>
        (await sql`SELECT FROM floats WHERE user_id = ${userId}`).length;
      await sql`INSERT INTO users (user_id) VALUES ('held')`;
      const { process } = await start('listener', { USER_EVENTS_STREAM: stream });
      await sql.begin(async (tx) => {
        await tx`SELECT FROM users WHERE user_id = 'held' FOR UPDATE`;
        // What is no event is parked with an alert.
        await tx`LOCK TABLE alerts`;
        await put(
          0,
          Array.from({ length: 20 }, () => 'no event'),
        );
        await open(
          0,
          'held',
          Array.from({ length: 40 }, (_, n) => n),
        );
        await process.says('"what":"an event"');
        for (let n = 1; n <= 5; n += 1) {
          await open(1, 'free', [n]);
          await until(async () => (await known('free')) === n);
        }
      });
      await until(async () => (await known('held')) === 40);
      const parked = () => sql`SELECT FROM parked_events WHERE stream = ${stream}`;
      await until(async () => (await parked()).length === 20);
      expect(process.said()).not.toContain('"what":"a renewal"');
    } finally {
      kinesis.destroy();
      await sql.end({ timeout: 5 });
    }
  });
});

describe('what is not set up ends a process with one line that names it', () => {
  const line = (said: string): string[] =>
    said.split('\n').filter((text) => text !== '' && !text.startsWith('{'));

  it('a worker, without its namespace', async () => {
    await expect(start('worker', { TEMPORAL_NAMESPACE: 'of-nobody' })).rejects.toThrow(
      /worker: could not start: Temporal lacks the namespace "of-nobody": `npm run provision`\n/,
    );
  });

  it.each([
    [
      'a role without rights',
      { user: true },
      /^provision failed: migration \S+: the database refuses us \(42501: a right is missing\)$/,
    ],
    [
      'a database that is not there',
      { database: 'no_such_database' },
      /^provision failed: the database refuses us \(3D000: there is no such database\)$/,
    ],
  ])('provisioning, with %s', async (_name, wrong, told) => {
    const url = new URL(database.url);
    const role = `nobody_${randomBytes(4).toString('hex')}`;
    const admin = openDatabase(database.url, { max: 1 });
    const empty = `empty_${randomBytes(4).toString('hex')}`;
    try {
      await admin.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD 'right'`);
      await admin.unsafe(`CREATE DATABASE ${empty}`);
      url.pathname = `/${'database' in wrong ? wrong.database : empty}`;
      if ('user' in wrong) {
        await admin.unsafe(`GRANT CREATE ON DATABASE ${empty} TO ${role}`);
        url.username = role;
        url.password = 'right';
      }
      const process = startProcess('src/provision.ts', [], {
        DATABASE_URL: url.href,
        TEMPORAL_ADDRESS: testStack().temporal_address,
        KINESIS_ENDPOINT: testStack().kinesis_endpoint,
        AWS_REGION: 'us-east-1',
        ADMIN_API_KEY: `${canary}0123456789abcdef`,
      });
      started.push(process);
      expect(await process.ended).toBe(1);
      expect(line(process.said())).toEqual([expect.stringMatching(told)]);
    } finally {
      await admin.unsafe(`DROP DATABASE ${empty} WITH (FORCE)`);
      await admin.unsafe(`DROP ROLE ${role}`);
      await admin.end({ timeout: 5 });
    }
  });
});

describe('the jobs after a restore', () => {
  const job = async (name: string, ...args: string[]): Promise<{ code: number | string; said: string }> => {
    const process = startProcess(`src/${name}.ts`, args, { DATABASE_URL: database.url });
    started.push(process);
    const code = await process.ended;
    return { code, said: process.said() };
  };

  it('list what has ended, end it once more in a database that has forgotten it, and number on', async () => {
    const sql = openDatabase(database.url, { max: 1 });
    const folder = mkdtempSync(path.join(tmpdir(), 'sluice-ended-'));
    try {
      const userHash = createHash('sha256').update('user-erased').digest('hex');
      await sql`INSERT INTO users (user_id) VALUES ('user-erased'), ('user-stays')`;
      await sql`
        INSERT INTO erasures (erasure_id, user_hash, application_id, key_id, ended_at)
        VALUES ('era_ended', ${userHash}, 'default', 'key', clock_timestamp())`;
      const listed = await job('listEnded');
      expect(listed.code).toBe(0);
      expect(listed.said).toContain(`"user_hash":"${userHash}"`);
      expect(listed.said).not.toContain('user-erased');
      await sql`DELETE FROM erasures`;

      const file = path.join(folder, 'ended.ndjson');
      writeFileSync(file, `${listed.said}\n{"type":"user.erased","data":{"user_hash":"${canary}`);
      const refused = await job('reapply', file);
      expect(refused).toMatchObject({
        code: 1,
        said: expect.stringContaining('is not JSON. Nothing was done.'),
      });
      expect(refused.said).not.toContain(canary);
      expect(await sql`SELECT FROM erasures`).toHaveLength(0);

      writeFileSync(file, listed.said);
      expect(await job('reapply', file)).toMatchObject({
        code: 0,
        said: expect.stringContaining('era_ended'),
      });
      expect(await sql`SELECT erasure_id, user_id FROM erasures`).toEqual([
        { erasure_id: 'era_ended', user_id: 'user-erased' },
      ]);
      expect(await job('restored')).toMatchObject({
        code: 0,
        said: expect.stringContaining('0 Items are due'),
      });
      expect(await sql`SELECT FROM restores WHERE ended_at IS NOT NULL`).toHaveLength(1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await sql.end({ timeout: 5 });
    }
  });

  it('take back once more what was taken back: what an application may read, and an address to which nothing is sent any more', async () => {
    const sql = openDatabase(database.url, { max: 2 });
    const folder = mkdtempSync(path.join(tmpdir(), 'sluice-ended-'));
    const to = {
      itemId: 'item-shared',
      applicationId: 'app_1',
      effectId: '11111111-1111-4111-8111-111111111111',
    };
    const connectionId = `con_${to.effectId}`;
    const actor = { initiator: 'user', applicationId: null, keyId: null, reason: null } as const;
    try {
      const { connections, endpoints } = createStores(sql);
      await sql`INSERT INTO users (user_id) VALUES ('user-shares')`;
      await sql`
        INSERT INTO items (item_id, user_id, token_hash, admitted_at) VALUES ('item-shared', 'user-shares', 'hash', now())`;
      await sql`
        INSERT INTO applications (application_id, name, access)
        VALUES ('app_1', 'Budget', 'connected'), ('app_2', 'Lowered', 'connected'), ('app_3', 'Ours', 'all')`;
      expect(await connections.grant(to, wholeGrant, actor)).toMatchObject({ kind: 'done' });
      await endpoints.create({
        endpointId: 'end_1',
        applicationId: 'app_1',
        url: 'https://gone.example/',
        types: [],
        signature: 'hmac',
        ratePerSecond: null,
        consent: false,
        secret: {
          sealed: { keyId: 'k', dataKey: new Uint8Array(1), ciphertext: new Uint8Array(1) },
          publicKey: null,
        },
      });

      const mine = { ofUser: 'user-shares' };
      const narrow = { scopes: ['accounts' as const], new_accounts: false };
      await connections.change(mine, connectionId, narrow, { mayWiden: false, actor });
      await endpoints.remove('app_1', 'end_1');
      const file = path.join(folder, 'ended.ndjson');
      writeFileSync(file, (await job('listEnded')).said);
      // As a backup from before has it.
      await sql.begin(async (tx) => {
        await tx`SELECT set_config('sluice.erasing', 'on', true)`;
        await tx`DELETE FROM connection_history WHERE position > 1`;
        await tx`
          UPDATE connections SET scopes = ${wholeGrant.scopes}, new_accounts = true, granted_accounts = NULL`;
        await tx`UPDATE endpoints SET deleted_at = NULL`;
        await tx`UPDATE applications SET access = 'all' WHERE application_id = 'app_2'`;
      });

      expect((await job('reapply', file)).code).toBe(0);
      expect(await connections.get(mine, connectionId)).toMatchObject(narrow);
      expect(await endpoints.get('app_1', 'end_1')).toBeNull();
      const accesses =
        await sql`SELECT access FROM applications WHERE application_id LIKE 'app_%' ORDER BY application_id`;
      expect(accesses.map(({ access }) => access)).toEqual(['connected', 'connected', 'all']);
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await sql.end({ timeout: 5 });
    }
  });
});
