import { Failure } from '../../domain/failures.js';
import { firstOf, sha256Of } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';

/**
 * Refuses with USER_BEING_ERASED while everything of the user is being deleted. Keeps the user's row, which must be there, till the end of
 * the transaction: what is written in it was there when an erasure is asked for, and goes with it.
 */
export async function refuseWhileErased(tx: Tx, userId: string): Promise<void> {
  const user = firstOf(await tx`SELECT FROM users WHERE user_id = ${userId} FOR KEY SHARE`);
  // Read only now: a statement that waits for a lock sees other rows as they were before it waited.
  if (user === undefined || (await isBeingErased(tx, userId))) {
    throw new Failure('USER_BEING_ERASED', 'the data of the user are being erased');
  }
}

/** Whether everything of the user is being deleted, or was after `from`: what stems from then is nobody's any more. */
export async function isBeingErased(tx: Tx, userId: string, from: string | null = null): Promise<boolean> {
  const erased = await tx`
    SELECT FROM erasures WHERE user_id = ${userId}
    UNION ALL
    SELECT FROM erasures
    WHERE user_hash = ${sha256Of(tx, tx`${userId}::text`)} AND ended_at > ${from}::text::timestamptz`;
  return firstOf(erased) !== undefined;
}

/** Whether an Item that is not here was a user's who was erased. */
export const isErased = (sql: Sql | Tx, itemId: Fragment): Fragment => sql`
  (EXISTS (SELECT FROM erased_items e WHERE e.item_hash = ${sha256Of(sql, itemId)})
    AND NOT EXISTS (SELECT FROM items i WHERE i.item_id = ${itemId}))`;
