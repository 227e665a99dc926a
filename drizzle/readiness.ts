import { getTableColumns, getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { Failure } from '../domain/failures.js';
import { assertEncoding } from './encoding.js';
import type { Sql } from './rows.js';
import * as schema from './schema.js';

const tables = Object.values(schema as Record<string, unknown>).filter((value) => is(value, PgTable));
const columns = tables.flatMap((table) =>
  Object.values(getTableColumns(table)).map(({ name }) => ({ table: getTableName(table), column: name })),
);
/** Every process does with every table whatever it has to. */
const rights = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

/**
 * Resolves when the database answers, keeps every character, has every column that we ask for, and lets us use the tables. Reads catalogs only: a
 * table that somebody has locked holds nothing up here. Rejects with MISCONFIGURED, which names what is missing.
 */
export async function checkDatabase(sql: Sql): Promise<void> {
  await assertEncoding(sql);
  const missing = await sql<{ what: string }[]>`
    SELECT 'column ' || tab || '.' || col AS what
    FROM unnest(${columns.map(({ table }) => table)}::text[], ${columns.map(({ column }) => column)}::text[])
      AS wanted (tab, col)
    WHERE NOT EXISTS (
      SELECT FROM pg_attribute
      WHERE attrelid = to_regclass(tab) AND attname = col AND NOT attisdropped)
    UNION ALL
    SELECT 'right to ' || may || ' ' || tab
    FROM unnest(${tables.map((table) => getTableName(table))}::text[]) AS wanted (tab), unnest(${rights}::text[]) AS r (may)
    WHERE to_regclass(tab) IS NOT NULL AND has_table_privilege(to_regclass(tab), may) IS NOT TRUE`;
  const [first] = missing;
  if (first === undefined) return;
  const more = missing.length > 1 ? ` and ${missing.length - 1} more` : '';
  const lacks = missing.length >= columns.length ? 'every table of ours' : `${first.what}${more}`;
  // Rights are a matter of who made the tables: provisioning does not give them.
  const mend = missing.some(({ what }) => what.startsWith('column')) ? ': `npm run provision`' : '';
  throw new Failure('MISCONFIGURED', `the database lacks ${lacks}${mend}`, { retryable: true });
}
