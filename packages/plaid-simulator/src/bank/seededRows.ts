import { addDays } from '../calendar.js';
import { keyWords, Random, randomKey } from '../random.js';
import type { WireAccount } from '../wire.js';
import { MOST_SEEDED_BYTES, type RenderOptions, type Row, type SeededSource } from './row.js';
import { StampValues } from './rowStamp.js';
import { seededContent, seededStamp, type AccountKind } from './seededContent.js';
import { SeededIds } from './seededIds.js';
import { coversTransactions } from './seededTransactions.js';

/** The user acts up to so many days before the bank books. */
const AUTHORIZED_BEFORE = 2;
/** A bank keeps a card payment pending for some days: these are the newest rows, of these last days. */
const PENDING_ROWS = 4;
const PENDING_DAYS = 3;

/** An account as it was when its rows were made: later changes of it change no rows. */
export interface SeededAccount {
  id: string;
  kind: AccountKind;
  currency: string | null;
  weight: number;
}

/** All that an Item's seeded transactions follow from, beside the Item's id. Dates are UTC days. */
export interface SeededPlan {
  /** 128 bits, hex: the same key gives the same rows under the ids of another Item. */
  key: string;
  accounts: SeededAccount[];
  /** The last day; `days` of them, this one included. */
  to: string;
  days: number;
  count: number;
  /** All are booked: the bank reports none that is pending. */
  posted?: boolean;
}

/** A plan of exactly `count` transactions spread over the days and accounts; `null` when there are none. */
export function seededPlan(request: {
  /** What the data follow from. */
  scope: readonly (string | number)[];
  accounts: readonly WireAccount[];
  to: string;
  days: number;
  count: number;
  pendingFeed: boolean;
}): SeededPlan | null {
  const accounts = request.accounts.filter(coversTransactions);
  if (accounts.length === 0 || request.count === 0) return null;
  return {
    key: randomKey(...request.scope, 'transactions'),
    accounts: accounts.map((account) => ({
      id: account.account_id,
      kind: account.type === 'credit' ? 'credit' : account.subtype === 'savings' ? 'savings' : 'other',
      currency: account.balances.iso_currency_code,
      weight: accountWeight(account),
    })),
    to: request.to,
    days: request.days,
    count: request.count,
    ...(request.pendingFeed ? {} : { posted: true }),
  };
}

function accountWeight(account: WireAccount): number {
  if (account.type === 'credit') return 40;
  if (account.subtype === 'checking') return account.balances.iso_currency_code === 'USD' ? 45 : 8;
  return account.type === 'depository' ? 7 : 3;
}

/** One for all rows: each begins it anew. */
const random = new Random('rows');
const values = new StampValues();
const AT = {
  id: StampValues.at('id'),
  account: StampValues.at('account'),
  date: StampValues.at('date'),
  authorizedDate: StampValues.at('authorizedDate'),
};

/**
 * An Item's seeded transactions, numbered from the oldest date to the newest. Nothing is stored: each follows from the plan, the
 * Item's id and its number.
 */
export class SeededRows {
  private readonly key: Int32Array;
  private readonly ids: SeededIds;
  private readonly purchasing: readonly SeededAccount[];

  constructor(
    readonly plan: SeededPlan,
    itemId: string,
  ) {
    this.key = keyWords(plan.key);
    this.ids = new SeededIds(itemId);
    const cards = plan.accounts.filter(({ kind }) => kind !== 'savings');
    this.purchasing = cards.length > 0 ? cards : plan.accounts;
  }

  get count(): number {
    return this.plan.count;
  }

  id(n: number): string {
    return this.ids.id(n);
  }

  /** The number of the transaction of this id; -1 when it is none of these. */
  number(id: string): number {
    return this.ids.number(id, this.plan.count);
  }

  date(n: number): string {
    return daysBefore(this.plan.to, this.age(n));
  }

  accountId(n: number): string {
    return this.begin(n).id;
  }

  pending(n: number): boolean {
    return this.isNewest(n) && this.begin(n).kind !== 'savings';
  }

  row(n: number): Row {
    return new SeededRow(this, n);
  }

  /** The first number of this date or a later one; `count` when all are older. */
  firstOn(date: string): number {
    let low = 0;
    let high = this.plan.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.date(middle) < date) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Writes a row's JSON; answers where it ends. */
  write(n: number, target: Uint8Array, at: number, options: RenderOptions): number {
    const account = this.begin(n);
    const age = this.age(n);
    values.put(AT.date, daysBefore(this.plan.to, age));
    values.put(AT.authorizedDate, daysBefore(this.plan.to, age + random.integer(0, AUTHORIZED_BEFORE)));
    values.put(AT.account, account.id);
    this.ids.write(n, values.bytes, AT.id);
    const kind = seededContent(random, account.kind, this.isNewest(n), values);
    return seededStamp(kind, account.currency, options).write(values, target, at);
  }

  /** One of the newest, which are pending where the bank reports such. */
  private isNewest(n: number): boolean {
    return !this.plan.posted && n >= this.plan.count - PENDING_ROWS;
  }

  /** Days before the last one: evenly spread, and the last rows are of the last days, so that pending rows exist. */
  private age(n: number): number {
    const { count, days } = this.plan;
    const slot = count > 1 ? n / (count - 1) : 1;
    const spread = Math.round((1 - slot) * (days - 1));
    return this.isNewest(n) ? Math.min(spread, PENDING_DAYS - 1) : spread;
  }

  /** Begins a row's random numbers with the draw of its account. A savings account has no purchases that could be pending. */
  private begin(n: number): SeededAccount {
    random.restart(this.key, n);
    return random.weighted(this.isNewest(n) ? this.purchasing : this.plan.accounts);
  }
}

class SeededRow implements Row, SeededSource {
  constructor(
    private readonly rows: SeededRows,
    readonly n: number,
  ) {}

  get id(): string {
    return this.rows.id(this.n);
  }

  get accountId(): string {
    return this.rows.accountId(this.n);
  }

  get date(): string {
    return this.rows.date(this.n);
  }

  get pending(): boolean {
    return this.rows.pending(this.n);
  }

  get bytes(): Buffer {
    const bytes = Buffer.alloc(MOST_SEEDED_BYTES, ',');
    return bytes.subarray(0, this.write(bytes, 1, { originalDescription: true, categoryVersion: 'v2' }));
  }

  /** Nothing in the bank's own text of a seeded row needs escaping, a quote least of all. */
  get othersAt(): number {
    return this.bytes.indexOf('","') + 2;
  }

  get seeded(): SeededSource {
    return this;
  }

  write(target: Uint8Array, at: number, options: RenderOptions): number {
    return this.rows.write(this.n, target, at, options);
  }
}

/** The days before a few last days, by age: most Items of a world were made on the same day. */
const calendars = new Map<string, string[]>();
const KEPT_CALENDARS = 32;

function daysBefore(last: string, age: number): string {
  let days = calendars.get(last);
  if (!days) {
    if (calendars.size >= KEPT_CALENDARS) calendars.clear();
    days = [];
    calendars.set(last, days);
  }
  return (days[age] ??= addDays(last, -age));
}
