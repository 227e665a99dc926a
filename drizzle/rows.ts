import type postgres from 'postgres';
import { Failure } from '../domain/failures.js';
import { writtenBack } from '../domain/instants.js';
import type { Sealed } from '../domain/ports/secrets.js';

export type Sql = postgres.Sql;
/** A connection inside a transaction. */
export type Tx = postgres.TransactionSql;
/** Part of a statement. */
export type Fragment = postgres.PendingQuery<postgres.Row[]>;

/** Three columns of a row as a secret; null when it was erased. */
export function sealedOf(
  keyId: string | null,
  dataKey: Uint8Array | null,
  ciphertext: Uint8Array | null,
): Sealed | null {
  return keyId === null || dataKey === null || ciphertext === null ? null : { keyId, dataKey, ciphertext };
}

/** SHA-256 of a text, hex. */
export const sha256Of = (sql: Sql | Tx, text: Fragment): Fragment =>
  sql`encode(sha256(convert_to(${text}, 'UTF8')), 'hex')`;

/** Null = there is no such time. */
export const earlier = (a: Date | null, b: Date | null): Date | null =>
  a === null || (b !== null && b < a) ? b : a;

export const iso = (value: Date | null): string | null =>
  value === null ? null : writtenBack(value.toISOString());

/** A timestamptz as PostgreSQL wrote it, with all its microseconds, for comparisons in PostgreSQL. */
export type Instant = string;

/**
 * The first row of an answer; undefined when it has none. A hole in its place is no "absent" but a fault of the driver
 * (docs/decisions/0014): UPSTREAM_DOWN, so that it is asked again. A statement that always gives one row is typed as a tuple.
 */
export function firstOf<Row>(rows: readonly [Row]): Row;
export function firstOf<Row>(rows: readonly Row[]): Row | undefined;
export function firstOf<Row>(rows: readonly Row[]): Row | undefined {
  if (rows.length > 0 && rows[0] === undefined) {
    throw new Failure('UPSTREAM_DOWN', "the database's answer lacks its first row");
  }
  return rows[0];
}
