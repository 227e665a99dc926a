import { Failure } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import type { UserActionError } from '../domain/mining/run.js';
import type { Seen } from '../domain/ports/items.js';
import type { ActivityDeps } from './deps.js';
import { withToken } from './itemToken.js';
import { keepWebhookAddress } from '../domain/webhookAddress.js';

/**
 * How an Item is by `/item/get`; `gone`: Plaid does not know it any more, or its permission was taken back. `seen` from before
 * the question goes with the answer to the store.
 */
export type ItemHealth = { seen: Seen } & (
  { result: 'healthy' } | { result: 'broken' | 'gone'; error: UserActionError }
);

/** Asks Plaid how the Item is; null for one that is not ours to ask for. Stores nothing. */
export async function askHealth(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'items' | 'alerts' | 'webhookUrl'>,
  itemId: string,
): Promise<ItemHealth | null> {
  const credentials = await deps.items.credentials(itemId, { forRemoval: false });
  if (credentials === null) return null;
  const { seen } = credentials;
  try {
    const { error } = await withToken(deps, credentials, async (token) => {
      const view = await deps.plaid.getItem(token);
      await keepWebhookAddress(deps, itemId, token, view);
      return view;
    });
    return error === null ? { seen, result: 'healthy' } : { seen, result: 'broken', error };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.type !== 'ITEM_GONE' && error.type !== 'PERMISSION_REVOKED') throw error;
    return { seen, result: 'gone', error: saidBy(error) };
  }
}

/** Failures of a product call that say: the user has to act. */
const wantsUser: ReadonlySet<FailureType> = new Set(['LOGIN_REQUIRED', 'PERMISSION_REVOKED', 'ITEM_GONE']);

/** That the user has to act, as Plaid has put it. */
export function saidBy({ type, upstream }: Failure): UserActionError {
  const { error_type, error_code } = upstream ?? { error_type: 'ITEM_ERROR', error_code: type };
  return { error_type, error_code };
}

/**
 * Asks for the first page after the durable cursor, and keeps nothing of it: the error when it is refused for want of the user,
 * else null. Any other failure says nothing of the user, and is left to the next update.
 */
export async function askForTransactions(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'mining' | 'alerts'>,
  itemId: string,
): Promise<UserActionError | null> {
  const start = await deps.mining.beginPage(itemId, 'is it healthy?', 0);
  if (start.kind !== 'fetch') return null;
  try {
    await withToken(deps, start.credentials, (token) => deps.plaid.syncTransactions(token, start.cursor));
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return wantsUser.has(error.type) ? saidBy(error) : null;
  }
}
