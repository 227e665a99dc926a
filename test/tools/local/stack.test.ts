import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { startGuard } from '../../../tools/local/guard.js';
import { choosePorts, FIXED_PORTS, freePort } from '../../../tools/local/ports.js';
import { databaseUrl, postgresService } from '../../../tools/local/postgres.js';
import { closedPlaceSubstitute } from '../../../tools/local/postgresAccount.js';
import { startService } from '../../../tools/local/service.js';
import { startStack, type Stack, type StackOptions } from '../../../tools/local/stack.js';

/** Mode 0700, as `mktemp -d` makes it: another user may not enter. */
let dataDir: string;
beforeEach(() => (dataDir = realpathSync(mkdtempSync(path.join(tmpdir(), 'sluice-stack-')))));
afterEach(() => {
  rmSync(closedPlaceSubstitute(path.join(dataDir, 'postgres')), { recursive: true, force: true });
  rmSync(dataDir, { recursive: true, force: true });
});

const start = (over: Partial<StackOptions> = {}): Promise<Stack> =>
  startStack({ dataDir, freePorts: true, services: ['postgres', 'segment'], ...over });

async function query<Row extends Record<string, unknown>>(url: string, text: string): Promise<Row[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return await sql.unsafe<Row[]>(text);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const track = (stack: Stack, messageId: string) =>
  fetch(`${stack.urls.segment_sink_url}/v1/batch`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from('key:').toString('base64')}` },
    body: JSON.stringify({ batch: [{ type: 'track', event: 'item errored', messageId }] }),
  });
const events = async (stack: Stack): Promise<unknown[]> =>
  ((await (await fetch(`${stack.urls.segment_sink_url}/events`)).json()) as { events: unknown[] }).events;

describe('the local stack', () => {
  it('keeps data, addresses and password when its services were killed and something else has the old pid', async () => {
    const killed = await start();
    await query(killed.urls.database_url, 'create table kept (x int); insert into kept values (42)');
    expect((await track(killed, 'm1')).status).toBe(200);
    for (const pid of Object.values(killed.pids())) process.kill(pid, 'SIGKILL');
    await killed.stop();
    const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
    try {
      // PostgreSQL alone would refuse: the process of its old pid file runs.
      const pidFile = path.join(dataDir, 'postgres', 'postmaster.pid');
      const lines = readFileSync(pidFile, 'utf8').split('\n');
      writeFileSync(pidFile, [String(stranger.pid), ...lines.slice(1)].join('\n'));
      writeFileSync(path.join(dataDir, 'segment.jsonl'), '{"half', { flag: 'a' });

      const again = await start();
      expect(again.urls).toEqual(killed.urls);
      expect(await query(again.urls.database_url, 'select x from kept')).toEqual([{ x: 42 }]);
      expect((await track(again, 'm2')).status).toBe(200);
      expect(await events(again)).toEqual([
        { type: 'track', event: 'item errored', messageId: 'm1' },
        { type: 'track', event: 'item errored', messageId: 'm2' },
      ]);
      expect(stranger.exitCode).toBeNull();
      expect(stranger.signalCode).toBeNull();
      await again.stop();
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  it('tells of a service that dies and starts it again at the same address', async () => {
    let died: (name: string) => void = () => undefined;
    const death = new Promise<string>((resolve) => (died = resolve));
    const stack = await start({ onDeath: (name) => died(name) });
    process.kill(stack.pids().postgres ?? 0, 'SIGKILL');
    expect(await death).toBe('postgres');
    await stack.restart('postgres');
    expect(await query(stack.urls.database_url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await stack.stop();
    expect(stack.pids()).toEqual({});
  });

  it('stops what it has started when one service cannot start, and says where to look', async () => {
    mkdirSync(path.join(dataDir, 'segment.jsonl')); // the sink cannot open its file
    await expect(start()).rejects.toThrow(
      /segment stopped while starting[^]*segment\.log ends with:[^]*EISDIR/,
    );
    rmSync(path.join(dataDir, 'segment.jsonl'), { recursive: true });
    const stack = await start();
    await stack.stop();
  });

  it('leaves nothing when its data are for a test only', async () => {
    const stack = await start({ ephemeral: true });
    await stack.stop();
    expect(existsSync(dataDir)).toBe(false);
  });

  it('says so when the data are of another PostgreSQL', async () => {
    mkdirSync(path.join(dataDir, 'postgres'));
    writeFileSync(path.join(dataDir, 'postgres', 'PG_VERSION'), '12\n');
    await expect(start({ services: ['postgres'] })).rejects.toThrow(/made by PostgreSQL 12.*npm run reset/);
  });
});

const asRoot = process.getuid?.() === 0 ? it : it.skip;

describe('PostgreSQL as root', () => {
  asRoot('runs as an ordinary user where namespaces are forbidden, also below a closed folder', async () => {
    const port = await freePort();
    const guard = await startGuard();
    const logFile = path.join(dataDir, 'postgres.log');
    const spec = await postgresService({
      dataDir,
      logFile,
      port,
      password: 'secret',
      ephemeral: true,
      allowNamespace: false,
    });
    const service = await startService(spec, guard);
    expect(await query(databaseUrl(port, 'secret'), 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(query(databaseUrl(port, 'wrong'), 'select 1')).rejects.toThrow(
      'password authentication failed',
    );
    await service.stop();
    await guard.close();
  });
});

describe('the ports', () => {
  it('names each fixed port that is taken and the way out', async () => {
    const server = createServer();
    const taken = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(true)); // somebody else has it already, which is as good
      server.listen(FIXED_PORTS.segment, '127.0.0.1', () => resolve(true));
    });
    expect(taken).toBe(true);
    await expect(choosePorts(false)).rejects.toThrow(/8291 \(segment\).*--free-ports/);
    await new Promise((resolve) => server.close(resolve));
  });

  it('are given to one of all who ask, though none listens yet', async () => {
    const ports = await Promise.all(Array.from({ length: 800 }, () => freePort()));
    expect(new Set(ports).size).toBe(800);
  });

  it('are the same again when they are still free, and another when one is not', async () => {
    const before = await choosePorts(true);
    expect(await choosePorts(true, before)).toEqual(before);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(before.api, '127.0.0.1', resolve));
    const { api, ...others } = await choosePorts(true, before);
    expect(api).not.toBe(before.api);
    expect({ ...others, api: before.api }).toEqual(before);
    await new Promise((resolve) => server.close(resolve));
    expect(new Set(Object.values(before)).size).toBe(Object.keys(before).length);
  });
});
