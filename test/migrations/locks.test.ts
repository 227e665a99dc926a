import { migrate } from '../../drizzle/migrate.js';
import { during, indexesOf, migratorWaits, openMigrationWorld, until } from './database.js';
import type { MigrationWorld } from './database.js';

let world: MigrationWorld;
beforeEach(async () => {
  world = await openMigrationWorld();
});
afterEach(() => world.close());

const columns = async (table: string): Promise<string[]> => {
  const rows = await world.sql<{ name: string }[]>`
    SELECT attname AS name FROM pg_attribute
    WHERE attrelid = to_regclass(${table}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`;
  return rows.map(({ name }) => name);
};

it('a lock that somebody holds is waited for shortly and asked for again; meanwhile others get by', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  world.add('0000_wider', 'ALTER TABLE items ADD COLUMN more text;');
  const lines: string[] = [];
  let read = 0;
  await during(world, 'SELECT FROM items', async (end) => {
    const migrated = migrate(world.url, {
      folder: world.folder,
      lockTimeoutMs: 400,
      pauseMs: 50,
      onWait: (line) => lines.push(line),
    });
    await until(() => lines.length > 0);
    // The read comes behind the migrator and has no timeout: with a migrator that stays it would hang here for ever.
    for (; read < 3; read += 1) {
      await until(() => migratorWaits(world));
      await world.sql`SELECT FROM items`;
    }
    expect(await columns('items')).toEqual(['id']);
    end();
    await migrated;
  });
  expect(read).toBe(3);
  expect(await columns('items')).toEqual(['id', 'more']);
  expect(await world.applied()).toEqual(['0000_wider']);
  expect(lines.join('\n')).toMatch(/^migration 0000_wider waits for a lock that is held by pid \d+ \(/m);
  for (const line of lines) expect(line).not.toContain('\n');
});

it('patience ends with a Failure that names the migration, and nothing of it is left', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  world.add('0000_first', 'CREATE TABLE first (id int);');
  world.add('0001_second', 'CREATE TABLE second (id int);', 'ALTER TABLE items ADD COLUMN more text;');
  const options = { folder: world.folder, lockTimeoutMs: 20, pauseMs: 1, patienceMs: 200 };
  await during(world, 'SELECT FROM items', async () => {
    await expect(migrate(world.url, options)).rejects.toMatchObject({
      name: 'Failure',
      type: 'UPSTREAM_DOWN',
      message: expect.stringMatching(/^migration 0001_second: gave up waiting for a lock/) as string,
    });
  });
  expect(await world.applied()).toEqual(['0000_first']);
  expect(await columns('second')).toEqual([]);
  await migrate(world.url, options);
  expect(await world.applied()).toEqual(['0000_first', '0001_second']);
  expect(await columns('items')).toEqual(['id', 'more']);
});

it('a deadlock with those who work is no end either', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  await world.sql`CREATE TABLE users (id int)`;
  world.add('0000_both', 'ALTER TABLE users ADD COLUMN more int;', 'ALTER TABLE items ADD COLUMN more int;');
  const lines: string[] = [];
  // The server finds a deadlock out after a second, and ends whoever asks then: the migrator's timeout is longer.
  const options = {
    folder: world.folder,
    lockTimeoutMs: 60_000,
    pauseMs: 50,
    onWait: (line: string) => lines.push(line),
  };
  await world.sql
    .begin(async (tx) => {
      await tx`SET LOCAL deadlock_timeout = '1min'`;
      await tx`SELECT FROM items`;
      const migrated = migrate(world.url, options);
      await until(() => migratorWaits(world));
      await tx`SELECT FROM users`;
      return { migrated };
    })
    .then(({ migrated }) => migrated);
  expect(lines).toHaveLength(1);
  expect(await columns('users')).toEqual(['id', 'more']);
  expect(await columns('items')).toEqual(['id', 'more']);
});

it('what the database refuses is told with the name of the migration and without its text', async () => {
  world.add('0000_wrong', "ALTER TABLE nowhere ADD COLUMN secret text DEFAULT 'canary';");
  await expect(migrate(world.url, { folder: world.folder })).rejects.toMatchObject({
    name: 'Failure',
    type: 'MISCONFIGURED',
    message: 'migration 0000_wrong: the database refuses us (42P01: a table is missing)',
  });
  expect(await world.applied()).toEqual([]);
});

it.each([
  ['in a transaction', ''],
  ['at an index', '-- step: concurrent\n'],
])(
  'a migrator whose connection is lost %s does nothing more: another one may have the lock',
  async (_, marker) => {
    await world.sql`CREATE TABLE items (id int)`;
    await world.sql`CREATE TABLE users (id int)`;
    const create = marker === '' ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY';
    world.add('0000_items', `${marker}${create} items_by_id ON items (id);`);
    world.add('0001_users', `${marker}${create} users_by_id ON users (id);`);
    await during(world, 'INSERT INTO items VALUES (1)', async (end) => {
      const migrated = migrate(world.url, { folder: world.folder, lockTimeoutMs: 3_600_000 });
      const failed = expect(migrated).rejects.toMatchObject({ name: 'Failure', type: 'UPSTREAM_DOWN' });
      await until(() => migratorWaits(world));
      await world.sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'sluice-migrator' AND cardinality(pg_blocking_pids(pid)) > 0`;
      end();
      await failed;
    });
    expect(await world.applied()).toEqual([]);
    expect(await indexesOf(world, 'users')).toEqual([]);
    await migrate(world.url, { folder: world.folder });
    expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_id', valid: true }]);
    expect(await world.applied()).toEqual(['0000_items', '0001_users']);
  },
);

it('a migrator whose connection is lost in a pause does not go on with another connection', async () => {
  await world.sql`CREATE TABLE items (id int)`;
  world.add('0000_wider', 'ALTER TABLE items ADD COLUMN more text;');
  const lines: string[] = [];
  await during(world, 'SELECT FROM items', async (end) => {
    const options = { lockTimeoutMs: 50, pauseMs: 3_000, onWait: (line: string) => lines.push(line) };
    const migrated = migrate(world.url, { folder: world.folder, ...options });
    const failed = expect(migrated).rejects.toMatchObject({
      type: 'UPSTREAM_DOWN',
      message: 'migration 0000_wider: the connection with the lock of the migrators was lost',
    });
    await until(() => lines.length > 0);
    await world.sql`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'sluice-migrator' AND state = 'idle'`;
    end();
    await failed;
  });
  expect(await world.applied()).toEqual([]);
  expect(await columns('items')).toEqual(['id']);
});
