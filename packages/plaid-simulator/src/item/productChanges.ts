import type { BankAccount } from '../bank/account.js';
import { liabilityKind } from '../bank/liabilities.js';
import {
  positionsOf,
  toCents,
  tradeOf,
  type GivenTrade,
  type Portfolio,
  type Position,
  type Trade,
  type TradeSubtype,
} from '../bank/portfolio.js';
import { listedPrice } from '../bank/securities.js';
import { civilDate } from '../calendar.js';
import type { World } from '../world.js';
import { connectedWith, everywhere } from './bankAccounts.js';
import { ImpossibleChange } from './bankChanges.js';
import type { Item } from './item.js';
import { accountScope, isInvestment, portfolioOf, tradeId, tradesIn } from './portfolios.js';
import { rememberProducts } from './productNews.js';

/** A trade of a user; the account is the first investment account if none is named. */
interface NewTrade {
  account_id?: string | undefined;
  type: GivenTrade['type'];
  subtype?: TradeSubtype | undefined;
  ticker?: string | undefined;
  quantity: number;
  price?: number | undefined;
  fees?: number | undefined;
  amount?: number | undefined;
  date?: string | undefined;
  name?: string | undefined;
}

interface InvestmentChanges {
  trades?: NewTrade[] | undefined;
  /** New prices by ticker. */
  prices?: Record<string, number> | undefined;
  /** Ids of investment transactions that come to nothing. */
  cancel?: string[] | undefined;
}

function investmentAccount(item: Item, id: string | undefined): BankAccount {
  const found = item.openAccounts.find(
    (known) => isInvestment(known) && (id === undefined || known.account.account_id === id),
  );
  if (!found) throw new ImpossibleChange(`the item has no open investment account ${id ?? ''}`.trimEnd());
  return found;
}

/** What the user's broker does, for all applications of the login; Plaid announces it at its next pull. Returns the ids of new transactions. */
export function changeInvestments(world: World, item: Item, changes: InvestmentChanges): string[] {
  const today = civilDate(world.clock.now());
  const made: { accountId: string; trade: Trade }[] = [
    ...(changes.trades ?? []).map((wanted) => ({
      accountId: investmentAccount(item, wanted.account_id).account.account_id,
      trade: newTrade(wanted, today),
    })),
    ...(changes.cancel ?? []).map((id) => cancellation(world, item, id, today)),
  ];
  const prices = Object.entries(changes.prices ?? {});
  // Nothing is changed by what is refused.
  for (const [ticker] of prices) {
    if (!item.openAccounts.some((known) => isInvestment(known) && holds(world, item, known, ticker))) {
      throw new ImpossibleChange(`nothing is held of ${ticker}`);
    }
  }
  for (const member of connectedWith(world, item)) rememberProducts(world, member);
  for (const [ticker, price] of prices) reprice(world, item, ticker, price);
  return made.map(({ accountId, trade }) => {
    const known = investmentAccount(item, accountId);
    const n = tradesIn(world, item, known).length;
    changePortfolio(world, item, known, (before) => ({ ...before, trades: [...before.trades, trade] }));
    return tradeId(item, accountId, n);
  });
}

function heldIn(world: World, item: Item, known: BankAccount, portfolio = portfolioOf(known)): Position[] {
  return positionsOf(accountScope(world, item, known), portfolio, civilDate(item.facts.createdAt));
}

const holds = (world: World, item: Item, known: BankAccount, ticker: string): boolean =>
  heldIn(world, item, known).some(({ security }) => security === ticker);

const worthOf = (held: readonly Position[]): number =>
  held.reduce((sum, { quantity, price }) => sum + toCents(quantity * price), 0);

/** What is in an account is something else, and the account worth more or less by it. */
function changePortfolio(
  world: World,
  item: Item,
  known: BankAccount,
  change: (before: Portfolio) => Portfolio,
): void {
  const after = change(portfolioOf(known));
  const gain = worthOf(heldIn(world, item, known, after)) - worthOf(heldIn(world, item, known));
  everywhere(world, item, known.account.account_id, (one) => {
    const { balances } = one.account;
    const current = balances.current === null ? null : toCents(balances.current + gain);
    return {
      ...one,
      account: { ...one.account, balances: { ...balances, current } },
      portfolio: change(portfolioOf(one)),
    };
  });
}

function newTrade(wanted: NewTrade, today: string): Trade {
  const { type, ticker } = wanted;
  const price = wanted.price ?? (ticker === undefined ? 0 : (listedPrice(ticker) ?? 1));
  if ((type === 'buy' || type === 'sell') && ticker === undefined) {
    throw new ImpossibleChange(`a trade of type ${type} needs a ticker`);
  }
  return tradeOf({
    ...wanted,
    price,
    date: wanted.date ?? today,
    name: wanted.name ?? [type.toUpperCase(), ticker].filter(Boolean).join(' '),
    security: ticker === undefined ? undefined : { ticker_symbol: ticker },
  });
}

/** The opposite of a transaction that was there. */
function cancellation(world: World, item: Item, id: string, today: string) {
  for (const known of item.openAccounts.filter(isInvestment)) {
    const { account_id: accountId } = known.account;
    const trade = tradesIn(world, item, known).find((_, n) => tradeId(item, accountId, n) === id);
    if (!trade) continue;
    const { name, quantity, amount, fees } = trade;
    const opposite: Trade = {
      ...trade,
      date: today,
      name: `CANCEL ${name}`,
      type: 'cancel',
      subtype: amount > 0 ? 'pending credit' : 'pending debit',
      quantity: -quantity,
      amount: -amount,
      fees: -fees,
    };
    return { accountId, trade: opposite };
  }
  throw new ImpossibleChange(`the item has no investment transaction ${id}`);
}

/** A security has another price: what is held of it is worth more or less, and so are the accounts. */
function reprice(world: World, item: Item, ticker: string, price: number): void {
  for (const known of item.openAccounts.filter(isInvestment)) {
    if (!holds(world, item, known, ticker)) continue;
    changePortfolio(world, item, known, (before) => ({
      ...before,
      prices: { ...before.prices, [ticker]: price },
    }));
  }
}

/** Fields of what is owed on accounts change, for all applications of the login; Plaid announces it at its next pull. */
export function changeLiabilities(
  world: World,
  item: Item,
  changes: readonly ({ account_id: string } & Record<string, unknown>)[],
): void {
  for (const { account_id } of changes) {
    const known = item.openAccounts.find(({ account }) => account.account_id === account_id);
    if (!known || liabilityKind(known.account) === null) {
      throw new ImpossibleChange(`the item has no open account ${account_id} on which something is owed`);
    }
  }
  for (const member of connectedWith(world, item)) rememberProducts(world, member);
  for (const { account_id, ...fields } of changes) {
    everywhere(world, item, account_id, (known) => ({
      ...known,
      liability: { ...known.liability, changed: { ...known.liability?.changed, ...fields } },
    }));
  }
}
