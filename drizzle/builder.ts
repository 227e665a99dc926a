import { sql as part } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/pg-proxy';
import type { Sql, Tx } from './rows.js';

/**
 * Drizzle's query builder on a connection of ours, for plain statements. By way of its proxy: handed the driver's client, Drizzle
 * would overwrite the parsers that every other statement counts on. Its errors quote parameters; `databaseFailure` drops them.
 */
export const builder = (sql: Sql | Tx) =>
  drizzle(async (text, params) => ({
    // Prepared, as the statements that are written by hand are.
    rows: await sql.unsafe(text, params as never[], { prepare: true }).values(),
  }));

/** The database's clock, at this moment: a transaction's `now()` stands still. */
export const clock = part`clock_timestamp()`;

/** A value for a jsonb column. As text: the driver encodes a string that is given as jsonb once more. */
export const asJson = (value: unknown): SQL => part`${JSON.stringify(value)}::text::jsonb`;
