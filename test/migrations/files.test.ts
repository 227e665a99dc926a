import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readMigration, readMigrations } from '../../drizzle/migrationFiles.js';

const folder = fileURLToPath(new URL('../../drizzle/migrations', import.meta.url));
const read = (text: string) => readMigration('0009_some', 1, text);

it('without a marker the statements of a file are one transaction, those that are only comments left out', () => {
  const { work, contract } = read(
    '-- Why.\nCREATE TABLE a (id int);--> statement-breakpoint\n-- nothing more\n--> statement-breakpoint\nSELECT 1;',
  );
  expect(work).toEqual({
    kind: 'transaction',
    statements: ['-- Why.\nCREATE TABLE a (id int);', '\nSELECT 1;'],
  });
  expect(contract).toBeNull();
});

it('a concurrent file is a list of indexes', () => {
  const { work } = read(
    '-- step: concurrent\n-- Why.\nCREATE UNIQUE INDEX CONCURRENTLY "by_a" ON "a" USING btree ("id");--> statement-breakpoint\nDROP INDEX CONCURRENTLY old_one;',
  );
  expect(work).toEqual({
    kind: 'concurrent',
    steps: [
      {
        does: 'create',
        index: 'by_a',
        table: 'a',
        statement: 'CREATE UNIQUE INDEX CONCURRENTLY "by_a" ON "a" USING btree ("id");',
      },
      { does: 'drop', index: 'old_one', statement: 'DROP INDEX CONCURRENTLY old_one;' },
    ],
  });
});

it('a contract says why', () => {
  expect(read('-- step: contract, nobody reads it since 1.4\nSELECT 1;').contract).toBe(
    'nobody reads it since 1.4',
  );
});

it.each([
  ['an unknown kind', '-- step: concurently\nSELECT 1;'],
  ['a contract without a reason', '-- step: contract\nSELECT 1;'],
  ['another statement', '-- step: concurrent\nALTER TABLE a ADD COLUMN b int;'],
  ['an index that locks its table', '-- step: concurrent\nCREATE INDEX by_a ON a (id);'],
  [
    'a statement that skips half an index',
    '-- step: concurrent\nCREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON a (id);',
  ],
  ['an index without a name', '-- step: concurrent\nCREATE INDEX CONCURRENTLY ON a (id);'],
  [
    'two statements as one',
    '-- step: concurrent\nCREATE INDEX CONCURRENTLY x ON a (id); DROP INDEX CONCURRENTLY y;',
  ],
])('%s is refused with the name of the file', (_, text) => {
  expect(() => read(text)).toThrow(/^migration 0009_some: /);
});

it('the journal lists every file once, and its times only grow: each is known by its time', () => {
  const migrations = readMigrations(folder);
  const files = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  expect(migrations.map(({ tag }) => `${tag}.sql`)).toEqual(files.sort());
  const times = migrations.map(({ createdAt }) => createdAt);
  expect(new Set(times).size).toBe(times.length);
  expect(times).toEqual([...times].sort((one, other) => one - other));
});
