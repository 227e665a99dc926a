import { Failure } from '../domain/failures.js';
import type { EpisodeBy, Consent, ProductAnswer } from '../domain/item/health.js';
import { consentOf, healthOf, saidBy, tryProducts } from '../domain/item/health.js';
import type { UserActionError } from '../domain/mining/run.js';
import type { TaskName } from '../domain/item/tasks.js';
import { closesAccounts } from '../domain/plaidErrors.js';
import type { Seen } from '../domain/ports/items.js';
import { askItem } from '../domain/webhookAddress.js';
import type { ActivityDeps } from './deps.js';
import { alertOperators, alertUnknownCode, withToken } from './itemToken.js';

/**
 * How an Item is by `/item/get`; `outage`: its error is none of its own; `gone`: Plaid does not know it any more, or its permission
 * was taken back. `seen` and `episodeBy` from before the question go with the answer to the store.
 */
export type ItemHealth = { seen: Seen; episodeBy: EpisodeBy; consent: Consent | null } & (
  { result: 'healthy' | 'outage' } | { result: 'broken' | 'gone'; error: UserActionError }
);

/** Asks Plaid how the Item is; null for one that is not ours to ask for. Stores nothing but an alert of a code that nobody knows. */
export async function askHealth(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'items' | 'alerts' | 'webhookUrl'>,
  itemId: string,
): Promise<ItemHealth | null> {
  const credentials = await deps.items.credentials(itemId, { forRemoval: false });
  if (credentials === null) return null;
  const { seen, episodeBy } = credentials;
  try {
    const view = await withToken(deps, credentials, (token) => askItem(deps, itemId, token));
    const consent = consentOf(view);
    const health = healthOf(view);
    if (health.kind !== 'healthy') await alertUnknownCode(deps, health.error);
    return health.kind === 'broken'
      ? { seen, episodeBy, consent, result: 'broken', error: health.error }
      : { seen, episodeBy, consent, result: health.kind };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.type !== 'ITEM_GONE' && error.type !== 'PERMISSION_REVOKED') throw error;
    return { seen, episodeBy, consent: null, result: 'gone', error: saidBy(error) };
  }
}

/** What an error that was written down makes due: the events of accounts that were closed with it. */
export const dueAfter = ({ error_code }: UserActionError): { makesDue?: TaskName[] } =>
  closesAccounts(error_code) ? { makesDue: ['publish'] } : {};

/** Whether an update from the durable cursor would get what it needs. Keeps nothing of it. */
export async function askForProducts(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'mining' | 'alerts'>,
  itemId: string,
): Promise<ProductAnswer> {
  const start = await deps.mining.beginPage(itemId, 'is it healthy?', 0);
  if (start.kind !== 'fetch') return { kind: 'works' };
  const answer = await withToken(deps, start.credentials, (token) =>
    tryProducts(deps.plaid, token, start.cursor),
  );
  if (answer.kind === 'unknown') await alertOperators(deps.alerts, itemId, answer.failure);
  return answer;
}
