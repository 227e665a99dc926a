import { Failure } from '../domain/failures.js';
import { firstOf } from './rows.js';
import type { Sql } from './rows.js';

/** PostgreSQL's names of those that keep every character. SQL_ASCII is none: it keeps the bytes as they are. */
const complete: ReadonlySet<string> = new Set(['UTF8', 'SQL_ASCII']);

/**
 * Rejects with MISCONFIGURED where the database cannot keep every character, which no session can change: an update with one euro sign
 * would be refused for good, and a client be told that its own text is wrong.
 */
export async function assertEncoding(sql: Sql): Promise<void> {
  const { encoding } = firstOf(
    await sql<[{ encoding: string }]>`SELECT current_setting('server_encoding') AS encoding`,
  );
  if (complete.has(encoding)) return;
  const mend = "make one with ENCODING 'UTF8', and bring its data over by a dump";
  const message = `the database is encoded in ${encoding}, which lacks characters: ${mend}`;
  throw new Failure('MISCONFIGURED', message, { retryable: true });
}
