import { addDays, civilDate, DAY_MS } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { Random } from '../random.js';
import { noteConsent } from './consentEvents.js';
import type { World } from '../world.js';
import {
  announceOffered,
  connectedWith,
  grantAccounts,
  selectableAccounts,
  withdrawAccounts,
} from './bankAccounts.js';
import { ImpossibleChange } from './bankChanges.js';
import { renewConsent, scheduleConsent } from './consent.js';
import type { ConsentStep, Item } from './item.js';
import { scheduleMicrodeposits } from './microdeposits.js';
import { pullChanges, pullReadable } from './pull.js';
import { announceProducts } from './productNews.js';
import { renewRevokedNumbers } from './revokedNumbers.js';
import { sendWebhook } from './sendWebhook.js';
import { movedStreams } from './streams.js';

export { sendWebhook };

/** Plaid pulls again 24 to 48 hours after the last pull. */
const SHORTEST_PAUSE_MS = DAY_MS;
/** Pause before a first fetch that failed is tried again. */
const FIRST_FETCH_RETRY_MS = DAY_MS / 4;
/** What of a changed selection INITIAL_UPDATE counts; HISTORICAL_UPDATE counts the rest. */
const INITIAL_DAYS = 30;

/**
 * Puts Transactions on the Item: both pulls begin. What Plaid has already fetched of this login, for another application, it need
 * not fetch again: then they end at once.
 */
export function startPull(world: World, item: Item): void {
  if (item.facts.initialAt !== null) return;
  const now = world.clock.now();
  const others = world.connections
    .connected(item)
    .filter((other) => other !== item && other.facts.initialAt !== null && !other.facts.failure);
  const has = (status: string) => others.some(({ facts }) => facts.status === status);
  const complete = has('HISTORICAL_UPDATE_COMPLETE');
  const { initialAfterMs, historicalAfterMs } = world.options;
  const initialAt = complete || has('INITIAL_UPDATE_COMPLETE') ? now : now + initialAfterMs;
  const historicalAt = complete ? now : now + Math.max(initialAfterMs, historicalAfterMs);
  // A fetch that is under way for another application serves this one, too.
  const soonest = (own: number, theirs: (number | null)[]) =>
    Math.max(now, Math.min(own, ...theirs.map((at) => at ?? own)));
  item.facts.initialAt = soonest(
    initialAt,
    others.map(({ facts }) => facts.initialAt),
  );
  item.facts.historicalAt = soonest(
    historicalAt,
    others.map(({ facts }) => facts.historicalAt),
  );
  schedulePulls(world, item);
  world.keeper.item(item);
}

/** Plans everything that an Item, new or read from a state file, has before it. */
export function scheduleItem(world: World, item: Item): void {
  if (item.facts.removedAt !== null) return;
  schedulePulls(world, item);
  scheduleConsent(world, item);
  scheduleMicrodeposits(world, item);
  if (item.facts.nextUpdateAt !== null) scheduleUpdate(world, item, item.facts.nextUpdateAt);
  const days = world.options.loginExpiresAfterDays;
  if (days > 0) {
    world.schedule.at(item.facts.createdAt + days * DAY_MS, item.id, () => {
      if (isAlive(world, item) && !item.facts.failure) failItem(world, item, 'ITEM_LOGIN_REQUIRED');
    });
  }
}

function schedulePulls(world: World, item: Item): void {
  const { initialAt, historicalAt, status } = item.facts;
  if (initialAt !== null && status === 'NOT_READY') {
    world.schedule.at(initialAt, item.id, () => {
      // Put off when the bank did not answer: another plan holds.
      if (item.facts.initialAt === initialAt) finishInitial(world, item);
    });
  }
  if (historicalAt !== null && status !== 'HISTORICAL_UPDATE_COMPLETE') {
    world.schedule.at(historicalAt, item.id, () => {
      if (item.facts.historicalAt === historicalAt) finishHistorical(world, item);
    });
  }
}

function isAlive(world: World, item: Item): boolean {
  return item.facts.removedAt === null && world.items.get(item.id) === item;
}

/** The last 30 days become readable. */
export function finishInitial(world: World, item: Item): void {
  if (!isAlive(world, item) || item.facts.status !== 'NOT_READY' || item.facts.failure) return;
  if (!bankAnswers(world, item)) return putOffPulls(world, item);
  item.facts.status = 'INITIAL_UPDATE_COMPLETE';
  // The log's first entry: so a cursor that ends a run is never the beginning, even when there are no rows.
  item.log.touch();
  pulled(world, item);
  announcePull(world, item, 'INITIAL_UPDATE');
}

/** The whole history becomes readable and the Item idle. */
export function finishHistorical(world: World, item: Item): void {
  if (!isAlive(world, item) || item.facts.failure) return;
  if (item.facts.status === 'NOT_READY') finishInitial(world, item);
  if (item.facts.status !== 'INITIAL_UPDATE_COMPLETE') return;
  if (!bankAnswers(world, item)) return putOffPulls(world, item);
  item.facts.status = 'HISTORICAL_UPDATE_COMPLETE';
  item.facts.phase = 'idle';
  pulled(world, item);
  announcePull(world, item, 'HISTORICAL_UPDATE');
  planNextUpdate(world, item);
}

/**
 * Plaid asks the bank (a notification, a timeout, a refresh) about everything of the login: what has changed becomes readable and
 * is announced, to each application that is connected.
 */
export function runUpdate(world: World, item: Item): void {
  for (const member of world.connections.connected(item)) updateOne(world, member);
}

function updateOne(world: World, item: Item): void {
  if (!isAlive(world, item)) return;
  if (item.facts.failure || !bankAnswers(world, item)) {
    item.facts.lastFailedUpdate = world.clock.now();
    if (item.facts.nextUpdateAt !== null) planNextUpdate(world, item);
    world.keeper.item(item);
    return;
  }
  announceOffered(world, item);
  announceProducts(world, item);
  if (item.facts.status === 'NOT_READY') return;
  pulled(world, item);
  announceChanges(world, item);
  if (item.facts.status === 'HISTORICAL_UPDATE_COMPLETE') planNextUpdate(world, item);
}

/** Asks the bank. A failure moves `last_failed_update`; a bank that has revoked Plaid's token makes the Item invalid, and that is announced. */
function bankAnswers(world: World, item: Item): boolean {
  if (item.facts.bankAnswer === 'ok') return true;
  item.facts.lastFailedUpdate = world.clock.now();
  if (item.facts.bankAnswer === 'unauthorized') {
    const oauth = world.institutions.get(item.facts.institutionId)?.oauth ?? false;
    failItem(world, item, 'ITEM_LOGIN_REQUIRED', oauth ? 'OAUTH_INVALID_TOKEN' : undefined);
  }
  world.keeper.item(item);
  return false;
}

/** A call that is live asks the bank itself, and hears at once when it does not answer. */
export function requireBank(world: World, item: Item): void {
  if (item.facts.bankAnswer === 'ok') return;
  runUpdate(world, item);
  const { failure } = item.facts;
  if (!failure) throw new PlaidApiError('INSTITUTION_NOT_RESPONDING');
  throw new PlaidApiError(failure.code, undefined, { reason: failure.reason });
}

/** The bank did not answer a first fetch: it is tried again until it does. A broken Item waits for its repair. */
function putOffPulls(world: World, item: Item): void {
  if (item.facts.failure) return;
  const retryAt = world.clock.now() + FIRST_FETCH_RETRY_MS;
  if (item.facts.status === 'NOT_READY') item.facts.initialAt = retryAt;
  item.facts.historicalAt = retryAt;
  schedulePulls(world, item);
  world.keeper.item(item);
}

/** Brings Plaid's copy up to date without an announcement: what a lost webhook looks like. */
export function readSilently(world: World, item: Item): void {
  for (const member of connectedWith(world, item)) {
    if (isAlive(world, member) && !member.facts.failure) pullChanges(member);
    world.keeper.item(member);
  }
}

function pulled(world: World, item: Item): void {
  item.facts.lastSuccessfulUpdate = world.clock.now();
  item.facts.updates += 1;
  pullReadable(item);
  world.keeper.item(item);
}

function planNextUpdate(world: World, item: Item): void {
  const random = new Random(world.seed, item.id, 'update', item.facts.updates);
  const at = world.clock.now() + SHORTEST_PAUSE_MS + random.integer(0, DAY_MS);
  item.facts.nextUpdateAt = at;
  scheduleUpdate(world, item, at);
  world.keeper.item(item);
}

function scheduleUpdate(world: World, item: Item, at: number): void {
  world.schedule.at(at, item.id, () => {
    if (item.facts.nextUpdateAt === at) runUpdate(world, item);
  });
}

function announcePull(world: World, item: Item, code: 'INITIAL_UPDATE' | 'HISTORICAL_UPDATE'): void {
  const added = item.log.delta(item.facts.announced, null).filter(({ kind }) => kind === 'added').length;
  item.facts.announced = item.log.length;
  sendWebhook(world, item, 'TRANSACTIONS', code, { new_transactions: added });
  if (item.facts.syncCalled) sendWebhook(world, item, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
}

/** The webhooks of an update. The older codes have no word for a modified row; SYNC_UPDATES_AVAILABLE stands for any change. */
function announceChanges(world: World, item: Item): void {
  const changes = item.log.delta(item.facts.announced, null);
  const moved = item.log.length > item.facts.announced;
  item.facts.announced = item.log.length;
  const added = changes.filter(({ kind }) => kind === 'added').length;
  const removed = changes.filter(({ kind }) => kind === 'removed').map(({ id }) => id);
  if (added > 0) sendWebhook(world, item, 'TRANSACTIONS', 'DEFAULT_UPDATE', { new_transactions: added });
  if (removed.length > 0) {
    sendWebhook(world, item, 'TRANSACTIONS', 'TRANSACTIONS_REMOVED', { removed_transactions: removed });
  }
  if (moved && item.facts.syncCalled) sendWebhook(world, item, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
  const streams = movedStreams(item, world.clock.now());
  if (streams) {
    sendWebhook(world, item, 'TRANSACTIONS', 'RECURRING_TRANSACTIONS_UPDATE', { account_ids: streams });
  }
  world.keeper.item(item);
}

/** The user must act: product calls fail from now on, but with `servesCached` for those of what Plaid has read before. */
export function failItem(
  world: World,
  item: Item,
  code: string,
  reason?: string,
  { servesCached = false, notify = true } = {},
): void {
  item.facts.failure = { code, reason, since: world.clock.now(), ...(servesCached ? { servesCached } : {}) };
  item.facts.lastFailedUpdate = world.clock.now();
  if (notify) {
    const error = new PlaidApiError(code, undefined, { reason }).body();
    sendWebhook(world, item, 'ITEM', 'ERROR', { error });
  }
  world.keeper.item(item);
}

/**
 * The user has logged in again. What was missed meanwhile is read at once and announced. Items of other applications that the same
 * login had broken are whole again without having asked for it, which LOGIN_REPAIRED announces to them.
 */
export function repairItem(world: World, item: Item, webhook: boolean): void {
  if (item.facts.failure?.code === 'USER_PERMISSION_REVOKED') {
    throw new PlaidApiError('USER_PERMISSION_REVOKED');
  }
  repairOne(world, item, webhook);
  for (const other of world.connections.connected(item)) {
    if (other !== item && other.facts.failure?.code === 'ITEM_LOGIN_REQUIRED') repairOne(world, other, true);
  }
}

function repairOne(world: World, item: Item, webhook: boolean): void {
  item.facts.failure = null;
  renewRevokedNumbers(item);
  // With the login the bank gives Plaid a new token.
  if (item.facts.bankAnswer === 'unauthorized') item.facts.bankAnswer = 'ok';
  renewConsent(world, item);
  if (webhook) sendWebhook(world, item, 'ITEM', 'LOGIN_REPAIRED');
  const now = world.clock.now();
  if (item.facts.status === 'NOT_READY') {
    if (item.facts.initialAt !== null && item.facts.initialAt <= now) finishInitial(world, item);
  } else updateOne(world, item);
  if (item.facts.historicalAt !== null && item.facts.historicalAt <= now) finishHistorical(world, item);
  world.keeper.item(item);
}

/** The user takes an application's permission away, at the bank or at Plaid's portal: its access ends now, and for good. */
export function revokeItem(
  world: World,
  item: Item,
  how: Pick<ConsentStep, 'by' | 'initiator'> = { by: 'DATA_PROVIDER' },
): void {
  item.facts.failure = { code: 'USER_PERMISSION_REVOKED', reason: undefined, since: world.clock.now() };
  item.facts.nextUpdateAt = null;
  noteConsent(world, item, { type: 'CONSENT_REVOKED', code: 'REVOCATION', ...how });
  sendWebhook(world, item, 'ITEM', 'USER_PERMISSION_REVOKED');
  world.keeper.item(item);
}

/**
 * The user goes through update mode with account selection and chooses these accounts. Where Transactions is on the Item, what is
 * new by it is announced as after a link: INITIAL_UPDATE, then HISTORICAL_UPDATE.
 */
export function selectAccounts(world: World, item: Item, ids: readonly string[]): void {
  const selectable = selectableAccounts(item).map(({ account }) => account.account_id);
  const unknown = ids.filter((id) => !selectable.includes(id));
  if (unknown.length > 0) throw new ImpossibleChange(`the user has no account ${unknown.join(', ')}`);
  const before = new Set(item.openAccounts.map(({ account }) => account.account_id));
  if (before.size === ids.length && ids.every((id) => before.has(id))) return;
  withdrawAccounts(
    world,
    item,
    [...before].filter((id) => !ids.includes(id)),
  );
  const debitable = grantAccounts(world, item, ids);
  noteConsent(world, item, { type: 'CONSENT_UPDATED', code: 'ACCOUNT_SCOPES', by: 'END_USER' });
  announceSelection(world, item);
  if (item.hasProduct('auth') && debitable.length > 0) {
    sendWebhook(world, item, 'AUTH', 'DEFAULT_UPDATE', {
      account_ids_with_new_auth: debitable,
      account_ids_with_updated_auth: {},
    });
  }
}

function announceSelection(world: World, item: Item): void {
  const { status } = item.facts;
  if (status === 'NOT_READY' || item.facts.failure || !bankAnswers(world, item)) return;
  pulled(world, item);
  const oldest = addDays(civilDate(world.clock.now()), -INITIAL_DAYS);
  const added = item.log.delta(item.facts.announced, null).filter(({ kind }) => kind === 'added');
  const recent = added.filter(({ row }) => row !== null && row.date >= oldest).length;
  item.facts.announced = item.log.length;
  sendWebhook(world, item, 'TRANSACTIONS', 'INITIAL_UPDATE', { new_transactions: recent });
  if (status === 'HISTORICAL_UPDATE_COMPLETE') {
    sendWebhook(world, item, 'TRANSACTIONS', 'HISTORICAL_UPDATE', {
      new_transactions: added.length - recent,
    });
  }
  if (item.facts.syncCalled) sendWebhook(world, item, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
  world.keeper.item(item);
}

/** The Item is gone for good; webhooks that are already on their way are still delivered. */
export function removeItem(world: World, item: Item): void {
  item.facts.removedAt = world.clock.now();
  item.facts.nextUpdateAt = null;
  world.keeper.item(item);
}
