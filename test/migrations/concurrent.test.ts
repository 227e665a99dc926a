import { migrate } from '../../drizzle/migrate.js';
import { during, indexesOf, migratorSessions, migratorWaits, openMigrationWorld, until } from './database.js';
import type { MigrationWorld } from './database.js';

let world: MigrationWorld;
beforeEach(async () => {
  world = await openMigrationWorld();
});
afterEach(() => world.close());

const marker = '-- step: concurrent\n';
const table =
  'CREATE TABLE "items" ("id" int, "kind" text COLLATE "C");\nINSERT INTO "items" SELECT n, \'k\' FROM generate_series(1, 200) n;';
const byKind =
  'CREATE INDEX CONCURRENTLY "items_by_kind" ON "items" USING btree ("kind") WHERE "items"."kind" IS NOT NULL;';
const run = (): Promise<void> => migrate(world.url, { folder: world.folder, pauseMs: 50 });

it('an index is made while somebody has written and not ended, and writers are not held up', async () => {
  world.add('0000_start', table);
  await run();
  world.add('0001_index', `${marker}${byKind}`);
  await during(world, 'INSERT INTO items VALUES (0)', async (end) => {
    const migrated = run();
    await until(() => migratorWaits(world));
    await world.sql`INSERT INTO items VALUES (-1)`;
    end();
    await migrated;
  });
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_kind', valid: true }]);
  expect(await world.applied()).toEqual(['0000_start', '0001_index']);
});

it('an index that takes longer than the driver keeps connections is made and noted all the same, and what comes after it', async () => {
  world.add('0000_start', table);
  await run();
  world.add('0001_index', `${marker}${byKind}`);
  world.add('0002_wider', 'ALTER TABLE items ADD COLUMN more int;');
  // In seconds; by itself half an hour to an hour.
  const short = `${world.url}?max_lifetime=1`;
  await during(world, 'INSERT INTO items VALUES (0)', async (end) => {
    const migrated = migrate(short, { folder: world.folder });
    await until(() => migratorWaits(world));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    end();
    await migrated;
  });
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_kind', valid: true }]);
  expect(await world.applied()).toEqual(['0000_start', '0001_index', '0002_wider']);
});

it('eight migrators at once with a concurrent step: one works, all succeed', async () => {
  world.add('0000_start', table);
  world.add(
    '0001_index',
    `${marker}${byKind}`,
    'CREATE UNIQUE INDEX CONCURRENTLY items_by_id ON items (id);',
  );
  world.add('0002_wider', 'ALTER TABLE items ADD COLUMN more int;');
  const lines: string[] = [];
  // The work goes on until each of the others has asked in vain.
  await world.sql`CREATE TABLE gate (id int)`;
  world.add('0003_gate', 'ALTER TABLE gate ADD COLUMN more int;');
  await during(world, 'LOCK TABLE gate', async (end) => {
    const all = Promise.all(
      Array.from({ length: 8 }, () =>
        migrate(world.url, { folder: world.folder, pauseMs: 50, onWait: (line) => lines.push(line) }),
      ),
    );
    await until(() => lines.filter((line) => line.startsWith('another migrator')).length === 7);
    end();
    await all;
  });
  expect(await world.applied()).toEqual(['0000_start', '0001_index', '0002_wider', '0003_gate']);
  expect(await indexesOf(world, 'items')).toEqual([
    { name: 'items_by_id', valid: true },
    { name: 'items_by_kind', valid: true },
  ]);
  expect(await migratorSessions(world)).toBe(0);
});

it('half an index is dropped and built again', async () => {
  world.add('0000_start', table);
  await run();
  await world.sql`INSERT INTO items VALUES (1, 'twice')`;
  await expect(
    world.sql.unsafe('CREATE UNIQUE INDEX CONCURRENTLY items_by_id ON items (id)'),
  ).rejects.toThrow();
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_id', valid: false }]);
  await world.sql`DELETE FROM items WHERE kind = 'twice'`;
  world.add('0001_index', `${marker}CREATE UNIQUE INDEX CONCURRENTLY items_by_id ON items (id);`);
  await run();
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_id', valid: true }]);
});

it('an index that cannot be built leaves nothing behind, no journal row, and is built when it can', async () => {
  world.add('0000_start', table);
  world.add('0001_index', `${marker}CREATE UNIQUE INDEX CONCURRENTLY items_by_kind ON items (kind);`);
  await expect(run()).rejects.toMatchObject({
    name: 'Failure',
    message: 'migration 0001_index: the database refused a value (23505)',
  });
  expect(await indexesOf(world, 'items')).toEqual([]);
  expect(await world.applied()).toEqual(['0000_start']);
  await world.sql`DELETE FROM items WHERE id > 1`;
  await run();
  expect(await indexesOf(world, 'items')).toEqual([{ name: 'items_by_kind', valid: true }]);
});

const idOf = async (index: string): Promise<unknown> =>
  (await world.sql`SELECT to_regclass(${index})::oid AS oid`)[0]?.['oid'];

it('an index that stands as wanted is left as it is', async () => {
  world.add('0000_start', table);
  await run();
  await world.sql.unsafe(byKind);
  const before = await idOf('items_by_kind');
  world.add('0001_index', `${marker}${byKind}`);
  await run();
  expect(await idOf('items_by_kind')).toBe(before);
  expect(await world.applied()).toEqual(['0000_start', '0001_index']);
});

it.each([
  ['of other columns', 'CREATE INDEX items_by_kind ON items (id, kind)'],
  ['of other rows', 'CREATE INDEX items_by_kind ON items (kind)'],
  ['that is unique', 'CREATE UNIQUE INDEX items_by_kind ON items (kind) WHERE id = 1'],
  [
    'of another table',
    'CREATE TABLE others (kind text COLLATE "C"); CREATE INDEX items_by_kind ON others (kind) WHERE kind IS NOT NULL',
  ],
])('an index %s is not taken for the one of its name', async (_, other) => {
  world.add('0000_start', table);
  await run();
  await world.sql.unsafe(other);
  const before = await idOf('items_by_kind');
  world.add('0001_index', `${marker}${byKind}`);
  await expect(run()).rejects.toMatchObject({
    type: 'MISCONFIGURED',
    message: 'migration 0001_index: another index is called items_by_kind: rename or drop it',
  });
  expect(await idOf('items_by_kind')).toBe(before);
  expect(await world.applied()).toEqual(['0000_start']);
});

it('an index is dropped, once or again, and replaced under its name', async () => {
  world.add('0000_start', table, 'CREATE INDEX items_by_kind ON items (id);');
  world.add('0001_gone', `${marker}DROP INDEX CONCURRENTLY "items_by_kind";`, byKind);
  await run();
  const [row] = await world.sql`SELECT pg_get_indexdef('items_by_kind'::regclass) AS text`;
  expect(row?.['text']).toMatch(/\(kind\) WHERE/);
  world.add('0002_gone', `${marker}DROP INDEX CONCURRENTLY items_by_kind;`);
  await world.sql`DROP INDEX items_by_kind`;
  await run();
  expect(await indexesOf(world, 'items')).toEqual([]);
  expect(await world.applied()).toEqual(['0000_start', '0001_gone', '0002_gone']);
});
