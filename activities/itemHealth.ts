import { setTimeout as pause } from 'node:timers/promises';
import { Failure } from '../domain/failures.js';
import { askSurely } from '../domain/item/askSurely.js';
import type { EpisodeBy, Consent, ProductAnswer } from '../domain/item/health.js';
import { consentOf, failureOfItem, healthOf, saidBy, tryProducts } from '../domain/item/health.js';
import type { UserActionError } from '../domain/mining/run.js';
import type { TaskName } from '../domain/item/tasks.js';
import { instantOf } from '../domain/instants.js';
import { beginsEpisode, closesAccounts, isGone } from '../domain/plaidErrors.js';
import type { Seen } from '../domain/ports/items.js';
import { askItem } from '../domain/webhookAddress.js';
import type { ActivityDeps } from './deps.js';
import { alertOperators, withToken } from './itemToken.js';

/**
 * How an Item is by `/item/get`; `outage`: its error is none of its own; `gone`: Plaid does not know it any more, or its permission
 * was taken back. `seen` and `episodeBy` from before the question go with the answer to the store. `updatedAt`: when Plaid has read the
 * bank last, ISO 8601; null = it does not say.
 */
export type ItemHealth = {
  seen: Seen;
  episodeBy: EpisodeBy;
  consent: Consent | null;
  updatedAt: string | null;
} & ({ result: 'healthy' | 'outage' } | { result: 'broken' | 'gone'; error: UserActionError });

/**
 * Asks Plaid how the Item is; null for one that is not ours to ask for. Stores nothing but alerts of an error that nobody knows, or that
 * is the operators' matter.
 */
export async function askHealth(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'items' | 'alerts' | 'webhookUrl' | 'policy'>,
  itemId: string,
): Promise<ItemHealth | null> {
  const credentials = await deps.items.credentials(itemId, { forRemoval: false });
  if (credentials === null) return null;
  const { seen, episodeBy } = credentials;
  try {
    const view = await askSurely(
      () => withToken(deps, credentials, (token) => askItem(deps, itemId, token)),
      () => pause(deps.policy.doubtPause),
    );
    const consent = consentOf(view);
    const health = healthOf(view);
    const said = { seen, episodeBy, consent, updatedAt: instantOf(view.last_successful_update) };
    if (health.kind !== 'healthy') await alertOperators(deps.alerts, itemId, failureOfItem(health.error));
    return health.kind === 'broken'
      ? { ...said, result: 'broken', error: health.error }
      : { ...said, result: health.kind };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (!isGone(error.type)) throw error;
    return { seen, episodeBy, consent: null, updatedAt: null, result: 'gone', error: saidBy(error) };
  }
}

type Episodes = Parameters<typeof askHealth>[0];

/**
 * Begins the episode of an Item that nobody has called broken, where an answer of `/item/get` does: its webhook may have been lost, and
 * Plaid may go on serving what it has. The check that is due with it has the Item's workflow hear of it. Where none begins, what the
 * answer says of the consent is written down. Resolves to whether one began.
 */
export async function beginEpisode(deps: Episodes, itemId: string, health: ItemHealth): Promise<boolean> {
  const { seen, consent } = health;
  if (!('error' in health) || health.episodeBy !== null) {
    if (consent !== null) await deps.items.noteConsent(itemId, seen, consent);
    return false;
  }
  const { error } = health;
  const dueAt = new Date(Date.now() + deps.policy.brokenCheck).toISOString();
  return deps.items.setBroken(itemId, seen, error, dueAt, { consent });
}

/** Goes on with the failure of a task; one that may be the Item's own is taken to `/item/get` first, since no webhook may have told of it. */
export async function failWith(deps: Episodes, itemId: string, error: unknown): Promise<never> {
  if (error instanceof Failure && beginsEpisode(error.type)) {
    const health = await askHealth(deps, itemId).catch((other: unknown) => {
      if (other instanceof Failure) return null;
      throw other;
    });
    if (health !== null) await beginEpisode(deps, itemId, health);
  }
  throw error;
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
