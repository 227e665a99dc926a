import { Failure } from '../src/domain/failures.js';
import { secretContext } from '../src/domain/ids.js';
import type { UserActionError } from '../src/domain/mining.js';
import type { Seen } from '../src/domain/ports.js';
import type { ActivityDeps } from './deps.js';

/**
 * How an Item is by `/item/get`; `gone`: Plaid does not know it any more, or its permission was taken back. `seen` from before
 * the question goes with the answer to the store.
 */
export type ItemHealth = { seen: Seen } & (
  { result: 'healthy' } | { result: 'broken' | 'gone'; error: UserActionError }
);

/** Asks Plaid how the Item is; null for one that is not ours to ask for. Stores nothing. */
export async function askHealth(
  { plaid, secrets, items }: Pick<ActivityDeps, 'plaid' | 'secrets' | 'items'>,
  itemId: string,
): Promise<ItemHealth | null> {
  const credentials = await items.credentials(itemId, { forRemoval: false });
  if (credentials === null) return null;
  const { seen } = credentials;
  const token = await secrets.open(credentials.accessToken, secretContext.accessToken(itemId));
  try {
    const { error } = await plaid.getItem(token);
    return error === null ? { seen, result: 'healthy' } : { seen, result: 'broken', error };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.type !== 'ITEM_GONE' && error.type !== 'PERMISSION_REVOKED') throw error;
    const { error_type, error_code } = error.upstream ?? {
      error_type: 'ITEM_ERROR',
      error_code: error.type,
    };
    return { seen, result: 'gone', error: { error_type, error_code } };
  }
}
