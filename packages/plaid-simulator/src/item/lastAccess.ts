import { instant, MINUTE_MS } from '../calendar.js';
import type { World } from '../world.js';
import { READ_SCOPES, type AccessTimes } from './dataScope.js';
import type { Item } from './item.js';

const READ_AT: Readonly<Record<string, readonly (typeof READ_SCOPES)[number][]>> = {
  '/accounts/get': ['account_balance_info'],
  '/accounts/balance/get': ['account_balance_info'],
  '/auth/get': ['account_balance_info', 'account_routing_number'],
  '/identity/get': ['account_balance_info', 'contact_info'],
  '/investments/holdings/get': ['account_balance_info', 'investments'],
  '/investments/transactions/get': ['account_balance_info', 'investments'],
  '/liabilities/get': ['account_balance_info', 'credit_loan_info'],
  '/transactions/get': ['account_balance_info', 'transactions'],
  '/transactions/recurring/get': ['transactions'],
  '/transactions/sync': ['account_balance_info', 'transactions'],
};

/** Keeps that an endpoint has given what it reads. By the minute, so that a state file does not grow with each page. */
export function noteAccess(world: World, item: Item, path: string): void {
  const read = READ_AT[path] ?? [];
  const at = Math.floor(world.clock.now() / MINUTE_MS) * MINUTE_MS;
  const { lastAccess = {} } = item.facts;
  if (read.every((scope) => lastAccess[scope] === at)) return;
  item.facts.lastAccess = { ...lastAccess, ...Object.fromEntries(read.map((scope) => [scope, at])) };
  world.keeper.item(item);
}

/** When the applications of these Items have last read each kind of data, as Plaid says it. */
export function lastAccessTimes(items: readonly Item[]): object[] {
  const byApplication = new Map<string, AccessTimes[]>();
  for (const { facts } of items) {
    if (!facts.application || facts.imported || !facts.exchanged) continue;
    const { id } = facts.application;
    byApplication.set(id, [...(byApplication.get(id) ?? []), facts.lastAccess ?? {}]);
  }
  return [...byApplication].map(([application_id, times]) => ({
    application_id,
    ...Object.fromEntries(READ_SCOPES.map((scope) => [scope, latest(times.map((known) => known[scope]))])),
  }));
}

function latest(times: readonly (number | undefined)[]): string | null {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? null : instant(Math.max(...known));
}
