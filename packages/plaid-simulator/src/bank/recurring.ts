import { addDays, daysBetween } from '../calendar.js';
import { plaidId } from '../ids.js';
import type { WireTransaction, WireTransactionStream } from '../wire.js';

type Frequency = WireTransactionStream['frequency'];

/** A rhythm: what the gaps between neighbours (days) and their mean may be, and the step to the next date that is expected. */
interface Rhythm {
  frequency: Frequency;
  gap: readonly [from: number, to: number];
  mean: readonly [from: number, to: number];
  /** How many transactions make a stream of this rhythm mature. */
  matureAt: number;
  next: (date: string) => string;
}

const RHYTHMS: readonly Rhythm[] = [
  {
    frequency: 'WEEKLY',
    gap: [5, 9],
    mean: [6.5, 7.5],
    matureAt: 3,
    next: (date) => addDays(date, 7),
  },
  {
    frequency: 'BIWEEKLY',
    gap: [11, 17],
    mean: [13.3, 14.6],
    matureAt: 3,
    next: (date) => addDays(date, 14),
  },
  {
    frequency: 'SEMI_MONTHLY',
    gap: [12, 18],
    mean: [14.6, 16.2],
    matureAt: 3,
    next: (date) => addDays(date, 15),
  },
  {
    frequency: 'MONTHLY',
    gap: [25, 35],
    mean: [27.5, 32.5],
    matureAt: 3,
    next: (date) => addMonths(date, 1),
  },
  {
    frequency: 'ANNUALLY',
    gap: [350, 380],
    mean: [355, 375],
    matureAt: 2,
    next: (date) => addMonths(date, 12),
  },
];

/** A stream may skip or shift now and then: so many of its gaps must fit its rhythm. */
const FITTING_SHARE = 0.8;
/** The bank may book a few days late before a stream counts as over. */
const LATE_DAYS = 7;
/** What recurs by its nature: a stream even when no rhythm is seen. */
const RECURRING_BY_NATURE =
  /^(INCOME_(SALARY|WAGES|INTEREST_EARNED)|LOAN_PAYMENTS_|RENT_AND_UTILITIES_|GENERAL_SERVICES_INSURANCE|PERSONAL_CARE_GYMS|ENTERTAINMENT_(TV|MUSIC))/;
/** Without a rhythm so many transactions are wanted. */
const LEAST_WITHOUT_RHYTHM = 3;

function addMonths(date: string, months: number): string {
  const [year = 0, month = 1, day = 1] = date.split('-').map(Number);
  const last = new Date(Date.UTC(year, month - 1 + months + 1, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 + months, Math.min(day, last))).toISOString().slice(0, 10);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rhythmOf(gaps: readonly number[]): Rhythm | null {
  const within = (value: number, [from, to]: readonly [number, number]) => value >= from && value <= to;
  return (
    RHYTHMS.find((rhythm) => {
      const fitting = gaps.filter((gap) => within(gap, rhythm.gap));
      return (
        fitting.length > 0 &&
        fitting.length >= gaps.length * FITTING_SHARE &&
        within(mean(fitting), rhythm.mean)
      );
    }) ?? null
  );
}

/** One payee or payer on one account: the merchant where it is known, else the bank's text without its numbers. */
function keyOf(transaction: WireTransaction): string {
  const party =
    transaction.merchant_entity_id ??
    transaction.name
      .toUpperCase()
      .replace(/[^\p{L}]+/gu, ' ')
      .trim();
  return [transaction.account_id, transaction.amount < 0 ? 'in' : 'out', party].join('/');
}

interface Found {
  frequency: Frequency;
  status: WireTransactionStream['status'];
  active: boolean;
  predicted: string | null;
}

/** What these transactions of one key, oldest first, are as a stream; `null` when they are none. */
function judge(list: readonly WireTransaction[], today: string): Found | null {
  const last = list.at(-1);
  if (!last || list.length < 2) return null;
  const gaps = list.slice(1).map(({ date }, index) => daysBetween(list[index]?.date ?? date, date));
  const byNature = RECURRING_BY_NATURE.test(last.personal_finance_category?.detailed ?? '');
  const rhythm = rhythmOf(gaps);
  if (!rhythm) {
    if (!byNature || list.length < LEAST_WITHOUT_RHYTHM) return null;
    const active = addDays(last.date, Math.ceil(2 * mean(gaps)) + LATE_DAYS) >= today;
    return { frequency: 'UNKNOWN', status: 'UNKNOWN', active, predicted: null };
  }
  const mature = list.length >= rhythm.matureAt;
  // Two purchases at the same distance are a stream only when something else speaks for it too.
  if (!mature && !byNature && list[0]?.amount !== last.amount) return null;
  const expected = rhythm.next(last.date);
  const active = addDays(expected, LATE_DAYS) >= today;
  return {
    frequency: rhythm.frequency,
    status: mature ? 'MATURE' : active ? 'EARLY_DETECTION' : 'TOMBSTONED',
    active,
    predicted: active ? expected : null,
  };
}

export interface Streams {
  inflow: WireTransactionStream[];
  outflow: WireTransactionStream[];
}

/** The recurring streams in these transactions as they stand on a day; pending ones do not count. */
export function recurringStreams(transactions: readonly WireTransaction[], today: string): Streams {
  const groups = new Map<string, WireTransaction[]>();
  for (const transaction of transactions) {
    if (transaction.pending) continue;
    const key = keyOf(transaction);
    groups.set(key, [...(groups.get(key) ?? []), transaction]);
  }
  const streams: Streams = { inflow: [], outflow: [] };
  for (const [key, group] of groups) {
    const list = group.sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : 0));
    const found = judge(list, today);
    const [first, last] = [list[0], list.at(-1)];
    if (!found || !first || !last) continue;
    const amount = (value: number) => ({
      amount: value,
      iso_currency_code: last.iso_currency_code,
      unofficial_currency_code: last.unofficial_currency_code,
    });
    streams[last.amount < 0 ? 'inflow' : 'outflow'].push({
      account_id: last.account_id,
      average_amount: amount(Number(mean(list.map((transaction) => transaction.amount)).toFixed(2))),
      category: last.category,
      category_id: last.category_id,
      description: last.name,
      first_date: first.date,
      frequency: found.frequency,
      is_active: found.active,
      is_user_modified: false,
      last_amount: amount(last.amount),
      last_date: last.date,
      merchant_name: last.merchant_name,
      personal_finance_category: last.personal_finance_category,
      predicted_next_date: found.predicted,
      status: found.status,
      stream_id: plaidId('stream', key),
      transaction_ids: list.map(({ transaction_id }) => transaction_id),
    });
  }
  return streams;
}
