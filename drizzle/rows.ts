import type postgres from 'postgres';
import type { Sealed } from '../src/domain/ports.js';

export type Sql = postgres.Sql;
/** A connection inside a transaction. */
export type Tx = postgres.TransactionSql;
/** Part of a statement. */
export type Fragment = postgres.PendingQuery<postgres.Row[]>;

/** Three columns of a row as a secret; null when it was erased. */
export function sealedOf(keyId: unknown, dataKey: unknown, ciphertext: unknown): Sealed | null {
  if (typeof keyId !== 'string' || !(dataKey instanceof Uint8Array) || !(ciphertext instanceof Uint8Array)) {
    return null;
  }
  return { keyId, dataKey, ciphertext };
}

export const iso = (value: Date | null): string | null => (value === null ? null : value.toISOString());

/** A timestamptz as PostgreSQL wrote it, with all its microseconds, for comparisons in PostgreSQL. */
export type Instant = string;
