import { DAY_MS } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import { Random } from '../random.js';
import type { WebhookFields } from '../webhooks/body.js';
import { defaultFields } from '../webhooks/bodies.js';
import type { Delivery } from '../webhooks/delivery.js';
import type { SendOptions } from '../webhooks/deliveries.js';
import type { World } from '../world.js';
import type { Item } from './item.js';
import { pullChanges, pullReadable } from './pull.js';
import { renewRevokedNumbers } from './revokedNumbers.js';
import { movedStreams } from './streams.js';

/** Plaid looks again 24 to 48 hours after the last look. */
const SHORTEST_PAUSE_MS = DAY_MS;

/** Puts Transactions on the Item: both pulls begin. */
export function startPull(world: World, item: Item, createdAt = world.clock.now()): void {
  if (item.facts.initialAt !== null) return;
  item.facts.initialAt = createdAt + world.options.initialAfterMs;
  item.facts.historicalAt =
    createdAt + Math.max(world.options.initialAfterMs, world.options.historicalAfterMs);
  schedulePulls(world, item);
  world.keeper.item(item);
}

/** Plans everything that an Item, new or read from a state file, has before it. */
export function scheduleItem(world: World, item: Item): void {
  if (item.facts.removedAt !== null) return;
  schedulePulls(world, item);
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
    world.schedule.at(initialAt, item.id, () => finishInitial(world, item));
  }
  if (historicalAt !== null && status !== 'HISTORICAL_UPDATE_COMPLETE') {
    world.schedule.at(historicalAt, item.id, () => finishHistorical(world, item));
  }
}

function isAlive(world: World, item: Item): boolean {
  return item.facts.removedAt === null && world.items.get(item.id) === item;
}

/** The last 30 days become readable. */
export function finishInitial(world: World, item: Item): void {
  if (!isAlive(world, item) || item.facts.status !== 'NOT_READY' || item.facts.failure) return;
  item.facts.status = 'INITIAL_UPDATE_COMPLETE';
  // The log's first entry: so a cursor that ends a run is never the beginning, even when there are no rows.
  item.log.mark();
  pulled(world, item);
  announcePull(world, item, 'INITIAL_UPDATE');
}

/** The whole history becomes readable and the Item idle. */
export function finishHistorical(world: World, item: Item): void {
  if (!isAlive(world, item) || item.facts.failure) return;
  if (item.facts.status === 'NOT_READY') finishInitial(world, item);
  if (item.facts.status !== 'INITIAL_UPDATE_COMPLETE') return;
  item.facts.status = 'HISTORICAL_UPDATE_COMPLETE';
  item.facts.phase = 'idle';
  pulled(world, item);
  announcePull(world, item, 'HISTORICAL_UPDATE');
  planNextUpdate(world, item);
}

/** Plaid asks the bank (a notification, a timeout, a refresh): what has changed becomes readable and is announced. */
export function runUpdate(world: World, item: Item): void {
  if (!isAlive(world, item)) return;
  if (item.facts.failure) {
    item.facts.lastFailedUpdate = world.clock.now();
    if (item.facts.nextUpdateAt !== null) planNextUpdate(world, item);
    world.keeper.item(item);
    return;
  }
  if (item.facts.status === 'NOT_READY') return;
  pulled(world, item);
  announceChanges(world, item);
  if (item.facts.status === 'HISTORICAL_UPDATE_COMPLETE') planNextUpdate(world, item);
}

/** Brings Plaid's copy up to date and tells nobody: what a lost webhook looks like. */
export function readSilently(world: World, item: Item): void {
  if (!isAlive(world, item) || item.facts.failure) return;
  pullChanges(item);
  world.keeper.item(item);
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

/** Sends a webhook of an Item, if it has a URL to send to. `fields` replace the usual ones. */
export function sendWebhook(
  world: World,
  item: Item,
  type: string,
  code: string,
  fields: WebhookFields = {},
  options: Omit<Partial<SendOptions>, 'fields' | 'itemId'> = {},
): Delivery | null {
  const url = options.url ?? item.facts.webhook;
  if (url === null) return null;
  const delivery = world.deliveries.send({
    ...options,
    url,
    itemId: item.id,
    fields: {
      ...defaultFields(type, code, item, world.clock.now()),
      webhook_type: type,
      webhook_code: code,
      item_id: item.id,
      environment: 'sandbox',
      ...fields,
    },
  });
  item.facts.lastWebhook = { sentAt: world.clock.now(), code };
  world.keeper.item(item);
  return delivery;
}

/** The user must act: product calls fail from now on. */
export function failItem(world: World, item: Item, code: string, reason?: string): void {
  item.facts.failure = { code, reason, since: world.clock.now() };
  item.facts.lastFailedUpdate = world.clock.now();
  sendWebhook(world, item, 'ITEM', 'ERROR', { error: new PlaidApiError(code, undefined, { reason }).body() });
  world.keeper.item(item);
}

/** The user has logged in again. What was missed meanwhile is read at once and announced. */
export function repairItem(world: World, item: Item, webhook: boolean): void {
  item.facts.failure = null;
  renewRevokedNumbers(item);
  if (webhook) sendWebhook(world, item, 'ITEM', 'LOGIN_REPAIRED');
  const now = world.clock.now();
  if (item.facts.status === 'NOT_READY') {
    if (item.facts.initialAt !== null && item.facts.initialAt <= now) finishInitial(world, item);
  } else runUpdate(world, item);
  if (item.facts.historicalAt !== null && item.facts.historicalAt <= now) finishHistorical(world, item);
  world.keeper.item(item);
}

/** The Item is gone for good; webhooks that are already on their way are still delivered. */
export function removeItem(world: World, item: Item): void {
  item.facts.removedAt = world.clock.now();
  item.facts.nextUpdateAt = null;
  world.keeper.item(item);
}
