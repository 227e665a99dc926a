import { addDays } from '../calendar.js';
import { Random } from '../random.js';
import type { WireInvestmentTransaction } from '../wire.js';
import { CASH, HELD, keyOf, listedPrice, type GivenSecurity } from './securities.js';

export type TradeType = WireInvestmentTransaction['type'];
export type TradeSubtype = WireInvestmentTransaction['subtype'];

/** A holding as a custom user's file lists it. */
export interface GivenHolding {
  institution_price: number;
  institution_price_as_of?: string | undefined;
  cost_basis?: number | undefined;
  quantity: number;
  currency?: string | undefined;
  security: GivenSecurity;
}

/** An investment transaction as a custom user's file lists it. */
export interface GivenTrade {
  date: string;
  name: string;
  quantity: number;
  price: number;
  fees?: number | undefined;
  type: TradeType;
  currency?: string | undefined;
  security?: GivenSecurity | undefined;
}

/** What was bought, sold, paid in or out. */
export interface Trade {
  date: string;
  name: string;
  type: TradeType;
  subtype: TradeSubtype;
  /** What a security is known by (`keyOf`); `null`: it is about money only. */
  security: string | null;
  /** What the file says of it beyond. */
  given: GivenSecurity;
  /** Negative when it goes away. */
  quantity: number;
  price: number;
  fees: number;
  /** Positive: money goes out of the account. */
  amount: number;
}

/** What is at the bank of an investment account, beyond what follows from the seed. */
export interface Portfolio {
  /** The balance that the seeded holdings were worth at first. */
  base: number;
  given?: { holdings?: GivenHolding[] | undefined; trades?: GivenTrade[] | undefined };
  /** Since the account was opened, in order. */
  trades: Trade[];
  /** Prices that have changed since. */
  prices: Record<string, number>;
}

/** So much of one security in an account. */
export interface Position {
  security: string;
  given: GivenSecurity;
  quantity: number;
  price: number;
  priceAsOf: string | null;
  costBasis: number | null;
}

const CENTS = 100;
const THOUSANDTHS = 1000;
const HISTORY_MONTHS = 24;
const MONTH_DAYS = 30;
/** What a dollar of a security may have cost when it was bought. */
const CHEAPEST = 0.7;
const DEAREST = 1.15;

export function toCents(amount: number): number {
  return Math.round(amount * CENTS) / CENTS;
}

const USUAL_SUBTYPE: Record<TradeType, TradeSubtype> = {
  buy: 'buy',
  sell: 'sell',
  cancel: 'pending credit',
  cash: 'deposit',
  fee: 'account fee',
  transfer: 'transfer',
};

/** What a trade is worth: money goes out for what comes in, and for fees. */
export function tradeOf(
  trade: GivenTrade & { subtype?: TradeSubtype | undefined; amount?: number | undefined },
): Trade {
  const { date, name, type, price, fees = 0, security } = trade;
  const quantity = type === 'sell' ? -Math.abs(trade.quantity) : trade.quantity;
  return {
    ...{ date, name, type, quantity, price, fees },
    subtype: trade.subtype ?? USUAL_SUBTYPE[type],
    security: security ? keyOf(security) : null,
    given: security ?? {},
    amount: trade.amount ?? toCents(quantity * price + fees),
  };
}

/** What an account has had from the start: as the file says, else shares of the balance in securities of this world, the rest in cash. */
function firstPositions(scope: readonly string[], portfolio: Portfolio, day: string): Position[] {
  const listed = portfolio.given?.holdings;
  if (listed) {
    return listed.map((held) => ({
      security: keyOf(held.security),
      given: { currency: held.currency, ...held.security },
      quantity: held.quantity,
      price: held.institution_price,
      priceAsOf: held.institution_price_as_of ?? null,
      costBasis: held.cost_basis ?? null,
    }));
  }
  const random = new Random(...scope, 'holdings');
  const positions = HELD.map((security): Position => {
    const price = listedPrice(security) ?? 1;
    const share = (0.5 + random.next()) / (2 * HELD.length);
    const quantity = Math.floor((portfolio.base * share * THOUSANDTHS) / price) / THOUSANDTHS;
    const cost = CHEAPEST + random.next() * (DEAREST - CHEAPEST);
    const costBasis = toCents(quantity * price * cost);
    return { security, given: {}, quantity, price, priceAsOf: day, costBasis };
  });
  const invested = positions.reduce((sum, { quantity, price }) => sum + toCents(quantity * price), 0);
  const cash = toCents(portfolio.base - invested);
  return [...positions, { ...cashPosition(day), quantity: cash, costBasis: cash }];
}

function cashPosition(day: string): Position {
  return { security: CASH, given: {}, quantity: 0, price: 1, priceAsOf: day, costBasis: 0 };
}

/** What an account has now. `day`: of the prices that nobody has changed since. */
export function positionsOf(scope: readonly string[], portfolio: Portfolio, day: string): Position[] {
  const held = new Map(firstPositions(scope, portfolio, day).map((first) => [first.security, first]));
  for (const { security, given, quantity, price, amount, date } of portfolio.trades) {
    const cash = held.get(CASH) ?? cashPosition(day);
    held.set(CASH, {
      ...cash,
      quantity: toCents(cash.quantity - amount),
      costBasis: toCents(cash.quantity - amount),
    });
    if (security === null || quantity === 0) continue;
    const before = held.get(security) ?? {
      ...{ security, given, quantity: 0, price, priceAsOf: date, costBasis: 0 },
    };
    // What is sold takes its part of what it all has cost along.
    const part = before.quantity === 0 ? 0 : quantity / before.quantity;
    const cost = quantity > 0 ? quantity * price : (before.costBasis ?? 0) * part;
    held.set(security, {
      ...before,
      quantity: Number((before.quantity + quantity).toFixed(6)),
      costBasis: before.costBasis === null ? null : toCents(before.costBasis + cost),
    });
  }
  return [...held.values()]
    .filter(({ quantity }) => quantity !== 0)
    .map((position) => ({ ...position, price: portfolio.prices[position.security] ?? position.price }));
}

/** All trades of an account, the oldest first; `until`: the day on which it was opened. */
export function tradesOf(
  scope: readonly string[],
  portfolio: Portfolio,
  subtype: string | null,
  until: string,
): Trade[] {
  const listed = portfolio.given?.trades;
  const first = listed ? listed.map(tradeOf) : seededTrades(scope, subtype, until);
  return [...first, ...portfolio.trades];
}

/** Two years: each month something is paid in and something is bought, now and then there are dividends and fees. */
function seededTrades(scope: readonly string[], subtype: string | null, until: string): Trade[] {
  const retirement = subtype !== 'brokerage';
  const trades: Trade[] = [];
  for (let month = HISTORY_MONTHS; month >= 1; month -= 1) {
    const random = new Random(...scope, 'trades', month);
    const date = addDays(until, -month * MONTH_DAYS + random.integer(0, 3));
    const paid = random.integer(2, 9) * 50;
    const money = { quantity: 0, price: 0 };
    trades.push(
      tradeOf({
        ...money,
        ...{ date, type: 'cash', amount: -paid },
        name: retirement ? 'Contribution' : 'Deposit',
        subtype: retirement ? 'contribution' : 'deposit',
      }),
    );
    const ticker = random.pick(HELD);
    const security = { ticker_symbol: ticker };
    const price = toCents((listedPrice(ticker) ?? 1) * (0.8 + random.next() * 0.3));
    const quantity = Math.floor((paid * 0.9 * THOUSANDTHS) / price) / THOUSANDTHS;
    const bought = addDays(date, 1);
    trades.push(tradeOf({ date: bought, name: `BUY ${ticker}`, type: 'buy', quantity, price, security }));
    if (month % 3 === 0) {
      const amount = -toCents(3 + random.next() * 40);
      const paidOn = addDays(date, 9);
      trades.push(
        tradeOf({
          ...money,
          date: paidOn,
          name: `DIVIDEND ${ticker}`,
          type: 'cash',
          subtype: 'dividend',
          amount,
          security,
        }),
      );
    }
    if (month % 12 === 0) {
      const billed = addDays(date, 14);
      trades.push(tradeOf({ ...money, date: billed, name: 'Annual account fee', type: 'fee', fees: 25 }));
    }
  }
  return trades;
}
