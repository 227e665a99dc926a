import type { World } from '../world.js';
import type { Item, ProductsAnnounced } from './item.js';
import { liabilitiesOf } from './liabilityViews.js';
import { holdingsOf, isInvestment, tradesIn } from './portfolios.js';
import { sendWebhook } from './sendWebhook.js';

function presentState(world: World, item: Item): ProductsAnnounced {
  const invests = item.hasProduct('investments');
  const trades = invests
    ? item.openAccounts.filter(isInvestment).flatMap((known) => tradesIn(world, item, known))
    : [];
  return {
    holdings: invests
      ? Object.fromEntries(
          holdingsOf(world, item, item.openAccounts).holdings.map(
            ({ account_id, security_id, quantity, institution_price }) => [
              `${account_id}/${security_id}`,
              `${quantity}/${institution_price}`,
            ],
          ),
        )
      : null,
    trades: { all: trades.length, cancelled: trades.filter(({ type }) => type === 'cancel').length },
    liabilities: item.hasProduct('liabilities') ? liabilityFields(world, item) : null,
  };
}

function liabilityFields(world: World, item: Item): Record<string, Record<string, string>> {
  const { credit, mortgage, student } = liabilitiesOf(world, item, item.openAccounts);
  return Object.fromEntries(
    [...(credit ?? []), ...(mortgage ?? []), ...(student ?? [])].map((liability) => [
      liability.account_id ?? '',
      Object.fromEntries(Object.entries(liability).map(([name, value]) => [name, JSON.stringify(value)])),
    ]),
  );
}

/** Keeps what there is as announced, where nothing was kept yet: only what changes after it is news. */
export function rememberProducts(world: World, item: Item): void {
  if (!item.hasProduct('investments') && !item.hasProduct('liabilities')) return;
  const announced = item.facts.productsAnnounced;
  const now = presentState(world, item);
  item.facts.productsAnnounced = {
    holdings: announced?.holdings ?? now.holdings,
    trades: announced?.holdings ? announced.trades : now.trades,
    liabilities: announced?.liabilities ?? now.liabilities,
  };
}

/** The webhooks of Plaid's pull of holdings, investment transactions and liabilities: for what has changed since the last one. */
export function announceProducts(world: World, item: Item): void {
  rememberProducts(world, item);
  const announced = item.facts.productsAnnounced;
  if (!announced) return;
  const now = presentState(world, item);
  announceInvestments(world, item, announced, now);
  announceLiabilities(world, item, announced.liabilities, now.liabilities);
  item.facts.productsAnnounced = now;
}

function announceInvestments(
  world: World,
  item: Item,
  announced: ProductsAnnounced,
  now: ProductsAnnounced,
): void {
  const before = announced.holdings ?? {};
  const present = Object.entries(now.holdings ?? {});
  const added = present.filter(([key]) => before[key] === undefined).length;
  const gone = Object.keys(before).filter((key) => now.holdings?.[key] === undefined).length;
  const updated = present.filter(([key, what]) => before[key] !== undefined && before[key] !== what).length;
  if (added + updated + gone > 0) {
    // A holding that was sold whole is an updated one: it is at nothing now.
    const fields = { new_holdings: added, updated_holdings: updated + gone };
    sendWebhook(world, item, 'HOLDINGS', 'DEFAULT_UPDATE', fields);
  }
  const cancelled = now.trades.cancelled - announced.trades.cancelled;
  const made = now.trades.all - announced.trades.all - cancelled;
  if (made > 0 || cancelled > 0) {
    sendWebhook(world, item, 'INVESTMENTS_TRANSACTIONS', 'DEFAULT_UPDATE', {
      new_investments_transactions: Math.max(0, made),
      cancelled_investments_transactions: Math.max(0, cancelled),
    });
  }
}

function announceLiabilities(
  world: World,
  item: Item,
  announced: ProductsAnnounced['liabilities'],
  now: ProductsAnnounced['liabilities'],
): void {
  const added: string[] = [];
  const updated: Record<string, string[]> = {};
  for (const [id, fields] of Object.entries(now ?? {})) {
    const before = announced?.[id];
    if (!before) added.push(id);
    else {
      const changed = Object.keys(fields).filter((name) => fields[name] !== before[name]);
      if (changed.length > 0) updated[id] = changed;
    }
  }
  if (added.length === 0 && Object.keys(updated).length === 0) return;
  sendWebhook(world, item, 'LIABILITIES', 'DEFAULT_UPDATE', {
    account_ids_with_new_liabilities: added,
    account_ids_with_updated_liabilities: updated,
  });
}
