import type { Sql, Tx } from '../rows.js';

/**
 * For whoever holds a row that many come to, or its table: an operator who deletes it and has not ended the transaction, say. Each of the
 * many holds a connection while it waits.
 */
const lockTimeoutMs = 1_000;

/** In this transaction nobody waits longer for a lock. */
export const waitsNotLong = (tx: Tx) => tx`SELECT set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`;

/** A transaction in which nobody waits longer for a lock. */
export const withShortWaits = <T>(sql: Sql, work: (tx: Tx) => PromiseLike<T>): Promise<T> =>
  sql.begin(async (tx) => {
    await waitsNotLong(tx);
    return work(tx);
  }) as Promise<T>;
