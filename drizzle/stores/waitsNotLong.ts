import type { Tx } from '../rows.js';

/**
 * For whoever holds a row that many come to, or its table: an operator who deletes it and has not ended the transaction, say. Each of the
 * many holds a connection while it waits.
 */
const lockTimeoutMs = 1_000;

/** In this transaction nobody waits longer for a lock. */
export const waitsNotLong = (tx: Tx) => tx`SELECT set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`;
