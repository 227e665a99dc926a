import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { launch } from '../../tools/local/childProcess.js';
import type { ChildProcess } from '../../tools/local/childProcess.js';
import { freePort } from '../../tools/local/ports.js';
import { programArguments } from '../stack/program.js';
import { testStack } from '../stack/testStack.js';
import { createNamespace, until } from '../workflows/harness.js';

const dir = mkdtempSync(path.join(tmpdir(), 'sluice-provision-'));
const started: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const stop of started) await stop();
  rmSync(dir, { recursive: true, force: true });
});

/** An empty database: what is in it afterwards the process has made. */
async function createDatabase(): Promise<string> {
  const name = `provision_${randomBytes(5).toString('hex')}`;
  const admin = postgres(testStack().database_url, { max: 1, onnotice: () => undefined });
  await admin.unsafe(`CREATE DATABASE ${name}`);
  await admin.end();
  const url = new URL(testStack().database_url);
  url.pathname = `/${name}`;
  return url.href;
}

/** The one-shot process with these differences to a good environment. */
async function provision(name: string, env: Record<string, string>): Promise<ChildProcess> {
  const stack = testStack();
  const { namespace, connection } = await createNamespace();
  const child = await launch({
    name,
    command: process.execPath,
    args: programArguments('src/provision.ts'),
    env: {
      DATABASE_URL: await createDatabase(),
      TEMPORAL_ADDRESS: stack.temporal_address,
      TEMPORAL_NAMESPACE: namespace,
      KINESIS_ENDPOINT: stack.kinesis_endpoint,
      STREAM_PREFIX: `provision-${randomBytes(4).toString('hex')}-`,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      ADMIN_API_KEY: randomBytes(16).toString('hex'),
      ...env,
    },
    logFile: path.join(dir, `${name}.log`),
  });
  started.push(
    () => child.stop('SIGKILL', 1_000),
    () => connection.close(),
  );
  return child;
}

/** Passes connections on to a server: what stands before one that is only just starting. */
function passOn(port: number, to: string): Promise<Server> {
  const [host = '', target = ''] = to.split(':');
  const server = createServer((client) => {
    const upstream = connect(Number(target), host);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      socket.on('error', () => undefined).on('close', () => (client.destroy(), upstream.destroy()));
    }
    server.once('ended', () => client.destroy());
  });
  started.push(async () => {
    server.emit('ended');
    await new Promise((resolve) => server.close(resolve));
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

describe('provisioning beside what is only just starting', () => {
  it.each(['database', 'Temporal', 'Kinesis'])('waits for %s', async (what) => {
    const stack = testStack();
    const port = await freePort();
    const database = new URL(await createDatabase());
    const real = {
      database: database.host,
      Temporal: stack.temporal_address,
      Kinesis: new URL(stack.kinesis_endpoint).host,
    }[what];
    database.host = `127.0.0.1:${port}`;
    const child = await provision(what, {
      ...(what === 'database' && { DATABASE_URL: database.href }),
      ...(what === 'Temporal' && { TEMPORAL_ADDRESS: `127.0.0.1:${port}` }),
      ...(what === 'Kinesis' && { KINESIS_ENDPOINT: `http://127.0.0.1:${port}` }),
    });
    await until(
      () => child.exit() !== undefined || readFileSync(child.logFile, 'utf8').includes('does not answer yet'),
    );
    expect(child.exit()).toBeUndefined();
    await passOn(port, real ?? '');
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(readFileSync(child.logFile, 'utf8')).toContain('streams ready');
  });

  it('does not wait for what waiting cannot mend', async () => {
    const database = new URL(testStack().database_url);
    database.password = 'wrong';
    const child = await provision('refused', { DATABASE_URL: database.href });
    expect(await child.exited).toEqual({ code: 1, signal: null });
    const log = readFileSync(child.logFile, 'utf8');
    expect(log).not.toContain('does not answer yet');
    expect(log).toContain('28P01');
    expect(log).not.toContain('wrong');
  });
});
