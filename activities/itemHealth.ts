import { Failure } from '../src/domain/failures.js';
import type { UserActionError } from '../src/domain/mining.js';
import type { ActivityDeps } from './deps.js';
import { withToken } from './itemToken.js';

/** How an Item is by `/item/get`; `gone`: Plaid does not know it any more, or its permission was taken back. */
export type ItemHealth = { result: 'healthy' } | { result: 'broken' | 'gone'; error: UserActionError };

/** Asks Plaid how the Item is; null for one that is not ours to ask for. Stores nothing. */
export async function askHealth(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'items' | 'alerts'>,
  itemId: string,
): Promise<ItemHealth | null> {
  const credentials = await deps.items.credentials(itemId, { forRemoval: false });
  if (credentials === null) return null;
  try {
    const { error } = await withToken(deps, credentials, (token) => deps.plaid.getItem(token));
    return error === null ? { result: 'healthy' } : { result: 'broken', error };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.type !== 'ITEM_GONE' && error.type !== 'PERMISSION_REVOKED') throw error;
    const { error_type, error_code } = error.upstream ?? {
      error_type: 'ITEM_ERROR',
      error_code: error.type,
    };
    return { result: 'gone', error: { error_type, error_code } };
  }
}
