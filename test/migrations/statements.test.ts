import { readFileSync } from 'node:fs';
import postgres from 'postgres';
import { createTestDatabase } from '../stack/testDatabase.js';
import type { TestDatabase } from '../stack/testDatabase.js';

interface Statement {
  sql: string;
  /** Of the parameters, as PostgreSQL calls them. */
  types: string[];
}

/** What the release before asks, by `npm run record-statements` from its commit. */
const recorded = JSON.parse(readFileSync(new URL('statements.json', import.meta.url), 'utf8')) as Statement[];

let database: TestDatabase;
let sql: postgres.Sql;
beforeEach(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
});
afterEach(async () => {
  await sql.end({ timeout: 5 });
  await database.drop();
});

/** One line for each statement that PostgreSQL would refuse, whatever its parameters. */
async function refusals(): Promise<string[]> {
  const lines: string[] = [];
  for (const { sql: text, types } of recorded) {
    const parameters = types.length === 0 ? '' : ` (${types.join(', ')})`;
    try {
      await sql.unsafe(`PREPARE asked${parameters} AS ${text}`);
      await sql`DEALLOCATE asked`;
    } catch (error) {
      lines.push(`${(error as Error).message}: ${text.replaceAll(/\s+/g, ' ').trim().slice(0, 200)}`);
    }
  }
  return lines;
}

it('the newest schema takes every statement of the release before', async () => {
  expect(recorded.length).toBeGreaterThan(0);
  const refused = await refusals();
  if (refused.length > 0) {
    throw new Error(
      `While this release is rolled out, the processes of the release before would fail at ${refused.length} statements. ` +
        `Expand now, contract in a later release (docs/upgrading.md, "The database"):\n${refused.join('\n')}`,
    );
  }
});

it.each([
  [
    'a column is dropped',
    'ALTER TABLE items DROP COLUMN numbers_due_at',
    /column.*numbers_due_at.* does not exist/,
  ],
  [
    'a column is renamed',
    'ALTER TABLE links RENAME COLUMN outcome TO result',
    /column.*outcome.* does not exist/,
  ],
  ['a table is renamed', 'ALTER TABLE floats RENAME TO user_floats', /relation "floats" does not exist/],
  [
    'a type is another',
    'ALTER TABLE webhooks ALTER COLUMN removed_ids TYPE jsonb USING to_jsonb(removed_ids)',
    /removed_ids|text\[\]|jsonb/,
  ],
])('it is told when %s', async (_, change, told) => {
  await sql.unsafe(change);
  expect((await refusals()).join('\n')).toMatch(told);
});

it('it is told of every column of the Item that the release before uses', async () => {
  const columns = await sql<{ name: string }[]>`
    SELECT attname AS name FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0`;
  const used = columns.filter(({ name }) => recorded.some((statement) => statement.sql.includes(name)));
  expect(used.length).toBeGreaterThan(20);
  const untold: string[] = [];
  for (const { name } of used) {
    await sql.unsafe(`ALTER TABLE items RENAME COLUMN ${name} TO renamed`);
    if ((await refusals()).length === 0) untold.push(name);
    await sql.unsafe(`ALTER TABLE items RENAME COLUMN renamed TO ${name}`);
  }
  expect(untold).toEqual([]);
});
