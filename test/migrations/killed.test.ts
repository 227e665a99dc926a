import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { migrate } from '../../drizzle/migrate.js';
import { during, indexesOf, migratorSessions, migratorWaits, openMigrationWorld, until } from './database.js';
import type { MigrationWorld, ProcessOptions } from './database.js';

let world: MigrationWorld;
beforeEach(async () => {
  world = await openMigrationWorld();
});
afterEach(() => world.close());

/** Nothing but the kill ends its waiting. */
const endless: ProcessOptions = { lockTimeoutMs: 3_600_000, concurrentLockTimeoutMs: 3_600_000 };

/** Starts a migrator, kills it with SIGKILL when it waits for a lock, and resolves when the server knows it too. */
async function killWaitingMigrator(): Promise<void> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      import.meta.resolve('tsx'),
      fileURLToPath(new URL('migrator.ts', import.meta.url)),
      world.url,
      world.folder,
      JSON.stringify(endless),
    ],
    { stdio: 'inherit' },
  );
  const gone = once(child, 'exit');
  await Promise.race([
    until(() => migratorWaits(world)),
    gone.then(([code]) => Promise.reject(new Error(`the migrator ended by itself: ${code}`))),
  ]);
  child.kill('SIGKILL');
  await gone;
  // What it waits for is still held: only the server's look for its client ends it.
  await until(async () => (await migratorSessions(world)) === 0);
}

it('a migrator killed in a transaction leaves nothing of it, and the next one ends the work', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  world.add('0000_first', 'CREATE TABLE first (id int);');
  world.add('0001_second', 'CREATE TABLE second (id int);', 'ALTER TABLE items ADD COLUMN more int;');
  world.add('0002_third', 'CREATE TABLE third (id int);');
  await during(world, 'SELECT FROM items', () => killWaitingMigrator());
  expect(await world.applied()).toEqual(['0000_first']);
  const [left] = await world.sql`SELECT to_regclass('second') AS second`;
  expect(left).toEqual({ second: null });
  await Promise.all(Array.from({ length: 3 }, () => migrate(world.url, { folder: world.folder })));
  expect(await world.applied()).toEqual(['0000_first', '0001_second', '0002_third']);
  await world.sql`SELECT more FROM items, second, third`;
});

it('a migrator killed while it builds an index leaves half of it, and the next one builds it again', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  world.add('0000_index', '-- step: concurrent\nCREATE INDEX CONCURRENTLY items_by_id ON items (id);');
  world.add('0001_wider', 'ALTER TABLE items ADD COLUMN more int;');
  await during(world, 'INSERT INTO items VALUES (1)', () => killWaitingMigrator());
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_id', valid: false }]);
  expect(await world.applied()).toEqual([]);
  await Promise.all(Array.from({ length: 3 }, () => migrate(world.url, { folder: world.folder })));
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_id', valid: true }]);
  expect(await world.applied()).toEqual(['0000_index', '0001_wider']);
});

it('a migrator killed while it drops an index: the next one ends it', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  await world.sql`CREATE INDEX items_by_id ON items (id)`;
  world.add('0000_gone', '-- step: concurrent\nDROP INDEX CONCURRENTLY items_by_id;');
  await during(world, 'INSERT INTO items VALUES (1)', () => killWaitingMigrator());
  expect(await indexesOf(world, 'items')).toHaveLength(1);
  await migrate(world.url, { folder: world.folder });
  expect(await indexesOf(world, 'items')).toEqual([]);
  expect(await world.applied()).toEqual(['0000_gone']);
});
