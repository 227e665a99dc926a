import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate as drizzleMigrate } from 'drizzle-orm/postgres-js/migrator';
import postgres from 'postgres';
import { migrate } from '../../drizzle/migrate.js';
import { testStack } from '../stack/testStack.js';

const name = `migrate_${randomUUID().replaceAll('-', '')}`;
const admin = postgres(testStack().database_url, { max: 1, onnotice: () => undefined });
const url = new URL(testStack().database_url);
url.pathname = `/${name}`;

beforeAll(() => admin.unsafe(`CREATE DATABASE ${name}`));
afterAll(async () => {
  await admin.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await admin.end({ timeout: 5 });
});

async function applied(): Promise<{ hash: string }[]> {
  const sql = postgres(url.href, { max: 1, onnotice: () => undefined });
  try {
    return await sql<{ hash: string }[]>`SELECT hash FROM drizzle.__drizzle_migrations ORDER BY id`;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

it('a database that cannot be reached or opened is a Failure without its address', async () => {
  const closed = new URL(url);
  closed.port = '1';
  closed.password = 'canary-password';
  await expect(migrate(closed.href)).rejects.toMatchObject({ name: 'Failure', type: 'UPSTREAM_DOWN' });
  const wrong = new URL(url);
  wrong.password = 'canary-password';
  await expect(migrate(wrong.href)).rejects.toMatchObject({ name: 'Failure' });
  await expect(migrate(wrong.href)).rejects.not.toThrow(/canary/);
});

it("the journal is Drizzle's own: a database that Drizzle's migrator has made is left as it is, and the other way round", async () => {
  const ours = fileURLToPath(new URL('../../drizzle/migrations', import.meta.url));
  // Drizzle's migrator knows no steps outside of a transaction: it gets those that stand before the first one.
  const migrationsFolder = mkdtempSync(path.join(tmpdir(), 'sluice-drizzle-'));
  cpSync(ours, migrationsFolder, { recursive: true });
  const journalFile = path.join(migrationsFolder, 'meta/_journal.json');
  const journal = JSON.parse(readFileSync(journalFile, 'utf8')) as { entries: { tag: string }[] };
  const concurrent = journal.entries.findIndex(({ tag }) =>
    readFileSync(path.join(ours, `${tag}.sql`), 'utf8').startsWith('-- step: concurrent'),
  );
  if (concurrent >= 0) journal.entries.splice(concurrent);
  writeFileSync(journalFile, JSON.stringify(journal));
  const byDrizzle = async (): Promise<{ hash: string }[]> => {
    const sql = postgres(url.href, { max: 1, onnotice: () => undefined });
    try {
      await drizzleMigrate(drizzle(sql), { migrationsFolder });
    } finally {
      await sql.end({ timeout: 5 });
    }
    return applied();
  };
  const first = await byDrizzle();
  expect(first.length).toBeGreaterThan(1);
  await migrate(url.href);
  const whole = await applied();
  expect(whole.slice(0, first.length)).toEqual(first);
  await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
  await admin.unsafe(`CREATE DATABASE ${name}`);
  await migrate(url.href);
  expect(await applied()).toEqual(whole);
  expect(await byDrizzle()).toEqual(whole);
  rmSync(migrationsFolder, { recursive: true });
  await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
  await admin.unsafe(`CREATE DATABASE ${name}`);
});

it('eight migrators at once: one applies, all succeed, and once more changes nothing', async () => {
  await Promise.all(Array.from({ length: 8 }, () => migrate(url.href)));
  const first = await applied();
  expect(first.length).toBeGreaterThan(1);
  expect(new Set(first.map((row) => row.hash)).size).toBe(first.length);
  await migrate(url.href);
  expect(await applied()).toEqual(first);
});

it('a standby is not migrated, but the primary among several hosts', async () => {
  const { host, hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const one of [near, far]) {
      sockets.add(one);
      one.on('error', () => undefined);
    }
    near.pipe(far);
    // What says no to each question, says of itself that it is in recovery.
    far.on('data', (bytes: Buffer) =>
      near.write(bytes.toString('latin1').replace('\0\0\0\x01f', '\0\0\0\x01t'), 'latin1'),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const standby = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const at = (hosts: string) => url.href.replace(host, hosts);
  try {
    await expect(migrate(at(standby))).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    await migrate(at(`${standby},${host}`));
    expect((await applied()).length).toBeGreaterThan(0);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

it('of several hosts the first that answers is migrated, and that none does is told', async () => {
  const { host } = new URL(url);
  const at = (hosts: string) => url.href.replace(host, hosts);
  await expect(migrate(at('127.0.0.1:1,127.0.0.1:2'))).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
  await migrate(at(`127.0.0.1:1,${host}`));
  expect((await applied()).length).toBeGreaterThan(0);
});
