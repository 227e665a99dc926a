import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { lintMigrations } from '../../tools/database/migrationLint.js';

const folder = mkdtempSync(path.join(tmpdir(), 'sluice-lint-'));
mkdirSync(path.join(folder, 'meta'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function findings(text: string, tag = '0009_some'): Promise<string[]> {
  writeFileSync(path.join(folder, `${tag}.sql`), text);
  writeFileSync(path.join(folder, 'meta/_journal.json'), JSON.stringify({ entries: [{ tag, when: 1 }] }));
  return lintMigrations(folder);
}

/** What nothing excuses. */
const never: [rule: string, sql: string][] = [
  ['require-concurrent-index-creation', 'CREATE INDEX a ON items (a);'],
  ['require-concurrent-index-deletion', 'DROP INDEX a;'],
  ['require-concurrent-reindex', 'REINDEX TABLE items;'],
  ['constraint-missing-not-valid', 'ALTER TABLE items ADD CONSTRAINT c CHECK (a > 0);'],
  [
    'adding-foreign-key-constraint',
    'ALTER TABLE items ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES users (a);',
  ],
  ['adding-foreign-key-constraint', 'ALTER TABLE items ADD COLUMN a text REFERENCES users (a);'],
  ['disallowed-unique-constraint', 'ALTER TABLE items ADD CONSTRAINT u UNIQUE (a);'],
  [
    'constraint-missing-not-valid',
    'ALTER TABLE items ADD CONSTRAINT c CHECK (a > 0) NOT VALID;--> statement-breakpoint\nALTER TABLE items VALIDATE CONSTRAINT c;',
  ],
  ['adding-field-with-default', 'ALTER TABLE items ADD COLUMN a timestamptz DEFAULT clock_timestamp();'],
  ['transaction-nesting', 'BEGIN;--> statement-breakpoint\nCOMMIT;'],
  ['rewrites-table', 'ALTER TABLE items SET UNLOGGED;'],
  ['syntax-error', 'ALTER TABEL items;'],
];

/** What only a contract may do. */
const contracts: [rule: string, sql: string][] = [
  ['ban-drop-column', 'ALTER TABLE items DROP COLUMN a;'],
  ['ban-drop-table', 'DROP TABLE items;'],
  ['renaming-column', 'ALTER TABLE items RENAME COLUMN a TO b;'],
  ['renaming-table', 'ALTER TABLE items RENAME TO things;'],
  ['changing-column-type', 'ALTER TABLE items ALTER COLUMN a SET DATA TYPE json;'],
  ['adding-not-nullable-field', 'ALTER TABLE items ALTER COLUMN a SET NOT NULL;'],
  ['adding-required-field', 'ALTER TABLE items ADD COLUMN a text NOT NULL;'],
  ['ban-drop-not-null', 'ALTER TABLE items ALTER COLUMN a DROP NOT NULL;'],
  ['drops-default', 'ALTER TABLE items ALTER COLUMN "a" DROP DEFAULT;'],
];

const harmless: [what: string, sql: string][] = [
  [
    'a new table with its indexes, checks and keys',
    "CREATE TABLE t (a text PRIMARY KEY NOT NULL, CONSTRAINT c CHECK (a <> ''));--> statement-breakpoint\nCREATE INDEX by_a ON t (a);--> statement-breakpoint\nALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES users (a);",
  ],
  ['a new column', 'ALTER TABLE items ADD COLUMN a text;'],
  ['a new column with a constant', 'ALTER TABLE items ADD COLUMN a integer DEFAULT 0 NOT NULL;'],
  ['a check for what comes', 'ALTER TABLE items ADD CONSTRAINT c CHECK (a > 0) NOT VALID;'],
  ['a check of what is there', 'ALTER TABLE items VALIDATE CONSTRAINT c;'],
  ['an index', '-- step: concurrent\nCREATE INDEX CONCURRENTLY a ON items (a);'],
  ['an index less', '-- step: concurrent\nDROP INDEX CONCURRENTLY a;'],
];

it.each([...never, ...contracts])('%s: %s', async (rule, sql) => {
  const found = await findings(sql);
  expect(found.join('\n')).toContain(rule);
  for (const line of found) expect(line).toMatch(/^0009_some\.sql:/);
});

it.each(never)('not even in a contract: %s: %s', async (rule, sql) => {
  expect((await findings(`-- step: contract, some reason\n${sql}`)).join('\n')).toContain(rule);
});

it.each(contracts)('in a contract: %s: %s', async (_, sql) => {
  expect(await findings(`-- step: contract, no process reads it since 1.4\n${sql}`)).toEqual([]);
});

it.each(harmless)('nothing is said of %s', async (_, sql) => {
  expect(await findings(sql)).toEqual([]);
});

it('what landed before is excused by its name, and by nothing else', async () => {
  expect(await findings('DROP TABLE items;', '0003_surface')).toEqual([]);
  expect(await findings('DROP TABLE items;', '0003_surfaces')).toHaveLength(1);
});

it('our own migrations pass', async () => {
  expect(await lintMigrations(fileURLToPath(new URL('../../drizzle/migrations', import.meta.url)))).toEqual(
    [],
  );
});
