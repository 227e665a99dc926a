import type { BankAccount } from '../bank/account.js';
import { rowOf } from '../bank/row.js';
import { addDays, civilDate, instant } from '../calendar.js';
import type { World } from '../world.js';
import { bankData, type BankUser } from './createItem.js';
import type { Item } from './item.js';
import { readSilently, sendWebhook } from './lifecycle.js';

/** How far back a new account is read for the first of its two webhooks. */
const INITIAL_DAYS = 30;

/** The accounts that a user can choose from in update mode: those of the Item, and those that the bank has besides. */
export function selectableAccounts(item: Item, user: BankUser | null): BankAccount[] {
  const known = item.accounts.filter(({ closedAt, deselected }) => closedAt === null || deselected);
  const further = (user?.accounts ?? []).filter(({ account }) => !item.account(account.account_id));
  return [...known, ...further];
}

/**
 * The user has chosen anew which accounts the Item shares. What is no longer chosen vanishes from answers like a closed account;
 * what is new is read at once, and both webhooks of a first pull come again with the number of new rows.
 */
export function shareAccounts(
  world: World,
  item: Item,
  user: BankUser | null,
  chosen: readonly string[],
): void {
  const isChosen = ({ account }: BankAccount) => chosen.includes(account.account_id);
  const fresh = (user?.accounts ?? []).filter(
    (account) => isChosen(account) && !item.account(account.account.account_id),
  );
  const dropped = item.openAccounts.filter((account) => !isChosen(account));
  const back = item.accounts.filter((account) => account.deselected && isChosen(account));
  if (fresh.length + dropped.length + back.length === 0) return;
  item.accounts = [
    ...item.accounts.map((account): BankAccount => {
      if (dropped.includes(account)) {
        return { ...account, closedAt: instant(world.clock.now()), deselected: true };
      }
      return back.includes(account) ? { ...account, closedAt: null, deselected: false } : account;
    }),
    ...fresh,
  ];
  item.refreshHidden();
  // What a run of pages has told may be of an account that is gone: it starts again.
  item.log.mark();
  // A reader that began while an account was away has never heard of its rows.
  const backIds = back.map(({ account }) => account.account_id);
  for (const row of item.bank.values()) {
    if (backIds.includes(row.accountId) && item.log.row(row.id)) item.log.upsert(row);
  }
  if (user && fresh.length > 0) {
    const ids = `${item.id}/${fresh.map(({ account }) => account.account_id).join('/')}`;
    for (const row of bankData(world, item, user, fresh, ids)) item.put(rowOf(row));
    announceNewAccounts(world, item);
  }
  world.keeper.world();
  world.keeper.item(item);
}

/** Before the first pull there is nothing to announce: that pull reads the new accounts as well. */
function announceNewAccounts(world: World, item: Item): void {
  if (item.facts.status === 'NOT_READY' || item.facts.failure) return;
  readSilently(world, item);
  const since = addDays(civilDate(world.clock.now()), -INITIAL_DAYS);
  const added = item.log.delta(item.facts.announced, null).filter(({ kind }) => kind === 'added');
  const recent = added.filter(({ id }) => (item.log.row(id)?.date ?? '') >= since).length;
  item.facts.announced = item.log.length;
  sendWebhook(world, item, 'TRANSACTIONS', 'INITIAL_UPDATE', { new_transactions: recent });
  if (item.facts.status === 'HISTORICAL_UPDATE_COMPLETE') {
    sendWebhook(world, item, 'TRANSACTIONS', 'HISTORICAL_UPDATE', { new_transactions: added.length });
  }
  if (item.facts.syncCalled) sendWebhook(world, item, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE');
}
