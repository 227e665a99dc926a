import type { BankAccount } from '../bank/account.js';
import { positionsOf, toCents, tradesOf, type Portfolio, type Trade } from '../bank/portfolio.js';
import { listedPrice, securityView, type GivenSecurity } from '../bank/securities.js';
import { civilDate } from '../calendar.js';
import { plaidId } from '../ids.js';
import type { WireHolding, WireInvestmentTransaction, WireSecurity } from '../wire.js';
import type { World } from '../world.js';
import type { Item } from './item.js';
import { translateId } from './translated.js';

export function isInvestment({ account }: BankAccount): boolean {
  return account.type === 'investment';
}

/** What is in an account beyond what follows from the seed. */
export function portfolioOf({ portfolio, account }: BankAccount): Portfolio {
  return portfolio ?? { base: account.balances.current ?? 0, trades: [], prices: {} };
}

/** What an account's seeded data follow from: the same for every Item of the login, and for the same user's next link. */
export function accountScope(world: World, { facts }: Item, { account }: BankAccount): string[] {
  return [world.seed, facts.loginKey, account.mask ?? '', account.subtype ?? ''];
}

interface Held {
  holdings: WireHolding[];
  /** What they are of, and their prices. */
  securities: WireSecurity[];
}

/** What these accounts have, as Plaid sends it. */
export function holdingsOf(world: World, item: Item, accounts: readonly BankAccount[]): Held {
  const day = civilDate(item.facts.createdAt);
  const securities = new Map<string, WireSecurity>();
  const holdings = accounts.filter(isInvestment).flatMap((known) =>
    positionsOf(accountScope(world, item, known), portfolioOf(known), day).map((position): WireHolding => {
      const { security, given, quantity, price, priceAsOf, costBasis } = position;
      const view = securityView(world.seed, security, given, price, priceAsOf ?? day);
      securities.set(security, view);
      return {
        account_id: known.account.account_id,
        security_id: view.security_id,
        institution_price: price,
        institution_price_as_of: priceAsOf,
        institution_price_datetime: null,
        institution_value: toCents(quantity * price),
        cost_basis: costBasis,
        quantity,
        iso_currency_code: given.currency ?? known.account.balances.iso_currency_code,
        unofficial_currency_code: null,
        vested_quantity: null,
        vested_value: null,
      };
    }),
  );
  return { holdings, securities: [...securities.values()] };
}

interface Traded {
  row: WireInvestmentTransaction;
  security: { key: string; given: GivenSecurity; price: number } | null;
}

/** All investment transactions of these accounts, the newest first. */
export function tradesOfAccounts(world: World, item: Item, accounts: readonly BankAccount[]): Traded[] {
  return accounts
    .filter(isInvestment)
    .flatMap((known) =>
      tradesIn(world, item, known).map((trade, n) => tradeView(world, item, known, trade, n)),
    )
    .reverse()
    .sort((a, b) => (a.row.date < b.row.date ? 1 : a.row.date > b.row.date ? -1 : 0));
}

export function tradesIn(world: World, item: Item, known: BankAccount): Trade[] {
  const opened = civilDate(item.facts.createdAt);
  return tradesOf(accountScope(world, item, known), portfolioOf(known), known.account.subtype, opened);
}

function tradeView(world: World, item: Item, known: BankAccount, trade: Trade, n: number): Traded {
  const { account } = known;
  const { security, given, ...rest } = trade;
  return {
    row: {
      ...rest,
      investment_transaction_id: tradeId(item, account.account_id, n),
      cancel_transaction_id: null,
      account_id: account.account_id,
      security_id: security === null ? null : securityView(world.seed, security, given, null, '').security_id,
      transaction_datetime: null,
      iso_currency_code: given.currency ?? account.balances.iso_currency_code,
      unofficial_currency_code: null,
    },
    security: security === null ? null : { key: security, given, price: lastPrice(known, trade, security) },
  };
}

/** The price of a security now; where this world does not trade it, that of the trade. */
function lastPrice(known: BankAccount, { price }: Trade, security: string): number {
  return portfolioOf(known).prices[security] ?? listedPrice(security) ?? price;
}

/** The id of an account's n-th investment transaction. Other applications have ids of their own for it. */
export function tradeId(item: Item, accountId: string, n: number): string {
  const { idKey } = item.facts;
  return translateId(plaidId(translateId(accountId, idKey, null), 'investment transaction', n), null, idKey);
}

/** The securities that investment transactions are about, once each. */
export function securitiesTraded(world: World, item: Item, traded: readonly Traded[]): WireSecurity[] {
  const day = civilDate(item.facts.createdAt);
  const known = new Map(
    traded.flatMap(({ security }) => (security ? [[security.key, security] as const] : [])),
  );
  return [...known.values()].map(({ key, given, price }) => securityView(world.seed, key, given, price, day));
}
