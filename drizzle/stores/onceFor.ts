import type { KeyedRequest } from '../../domain/ports/idempotency.js';
import type { Tx } from '../rows.js';
import { idempotencyKeys } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';

const kept = selection(idempotencyKeys, ['effect']);

/**
 * Does `work` once for a keyed request (null = none: always), and keeps what it gave in the request's entry, in the same
 * transaction: whoever runs the request again gets that. `work` gives null when it did nothing; it is asked again then.
 */
export async function onceFor(
  tx: Tx,
  keyed: KeyedRequest | null,
  work: () => Promise<string | null>,
): Promise<string | null> {
  if (keyed === null) return work();
  const { application_id, method, path, key, requestHash } = keyed;
  const entry = tx`application_id = ${application_id} AND method = ${method} AND path = ${path} AND key = ${key}
    AND request_hash = ${requestHash}`;
  // Locked: a run that has outlived its lease may come here together with the next.
  const rows = await tx<Selected<typeof kept>[]>`
    SELECT ${kept.list(tx)} FROM idempotency_keys WHERE ${entry} FOR UPDATE`;
  const before = rows[0]?.effect ?? null;
  if (before !== null) return before;
  const effect = await work();
  if (effect !== null) await tx`UPDATE idempotency_keys SET effect = ${effect} WHERE ${entry}`;
  return effect;
}
