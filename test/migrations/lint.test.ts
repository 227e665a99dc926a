import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { lintMigrations } from '../../tools/database/migrationLint.js';

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

/** Lints one folder with these migrations, by tag. Resolves with the findings of each. */
async function lintOf(texts: Record<string, string>): Promise<Record<string, string[]>> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-lint-'));
  try {
    mkdirSync(path.join(folder, 'meta'));
    const tags = Object.keys(texts);
    for (const tag of tags) writeFileSync(path.join(folder, `${tag}.sql`), texts[tag] ?? '');
    const entries = tags.map((tag, n) => ({ tag, when: n + 1 }));
    writeFileSync(path.join(folder, 'meta/_journal.json'), JSON.stringify({ entries }));
    const found = await lintMigrations(folder);
    const of = (tag: string): string[] => found.filter((line) => line.startsWith(`${tag}.sql:`));
    expect(tags.flatMap(of).sort()).toEqual([...found].sort());
    return Object.fromEntries(tags.map((tag) => [tag, of(tag)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const forNow = (sql: string): string => `-- step: contract, no process reads it since 1.4\n${sql}`;
/** All cases are migrations of one folder: starting squawk takes half a second. */
const cases = [
  ...[...never, ...contracts].flatMap(([, sql]) => [sql, forNow(sql)]),
  ...harmless.map(([, sql]) => sql),
];
const tagOf = (text: string): string => `${100 + cases.indexOf(text)}_some`;
let all: Record<string, string[]>;
beforeAll(async () => {
  all = await lintOf(Object.fromEntries(cases.map((text) => [tagOf(text), text])));
});
const findings = (text: string): string[] => all[tagOf(text)] ?? [];

it.each([...never, ...contracts])('%s: %s', (rule, sql) => {
  expect(findings(sql).join('\n')).toContain(rule);
});

it.each(never)('not even in a contract: %s: %s', (rule, sql) => {
  expect(findings(forNow(sql)).join('\n')).toContain(rule);
});

it.each(contracts)('in a contract: %s: %s', (_, sql) => {
  expect(findings(forNow(sql))).toEqual([]);
});

it.each(harmless)('nothing is said of %s', (_, sql) => {
  expect(findings(sql)).toEqual([]);
});

it('what landed before is excused by its name, and by nothing else', async () => {
  const drop = 'DROP TABLE items;';
  const found = await lintOf({ '0003_surface': drop, '0004_surface': drop });
  expect([found['0003_surface'], found['0004_surface']?.length]).toEqual([[], 1]);
});

it('our own migrations pass', async () => {
  expect(await lintMigrations(fileURLToPath(new URL('../../drizzle/migrations', import.meta.url)))).toEqual(
    [],
  );
});
