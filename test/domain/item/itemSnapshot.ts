import type { ItemSnapshot } from '../../../domain/item/state.js';

/** A newborn Item as PostgreSQL has it; `changes` make of it what a test needs. */
export const itemSnapshot = (changes: Partial<ItemSnapshot> = {}): ItemSnapshot => ({
  itemId: 'ItemA',
  userId: 'user-1',
  institutionId: 'ins_1',
  removed: false,
  broken: false,
  history: 'none',
  hasCursor: false,
  transactionsUnavailable: false,
  nextDueAt: null,
  removalRequested: false,
  unconnected: false,
  due: [],
  webhooksWaiting: 0,
  newestWebhookAt: null,
  historyRunning: false,
  remineRunning: false,
  remineRequested: false,
  remines: 0,
  ...changes,
});
