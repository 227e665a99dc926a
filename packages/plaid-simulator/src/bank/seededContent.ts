import type { Random } from '../random.js';
import type { DetailedCategory } from './categories.js';
import { MERCHANTS, PLACES } from './merchants.js';
import type { RenderOptions } from './row.js';
import { placeholder, PLACEHOLDER_ACCOUNT, PLACEHOLDER_AMOUNT, RowStamp, StampValues } from './rowStamp.js';
import { draftTransaction, type TransactionDraft } from './seededTransactions.js';

/** Sandbox answers carry amounts with up to seven decimals; so do the foreign purchases of seeded data. */
const LONG_AMOUNT_SHARE = 0.04;
const REFUND_SHARE = 0.03;
const SPECIAL_SHARE = 0.12;
const NO_PLACE = PLACES.length;

/** What matters about an account for what happens on it. */
export type AccountKind = 'credit' | 'savings' | 'other';

/** Merchants, each as often as it weighs: one draw picks one. */
const BY_WEIGHT = MERCHANTS.flatMap((merchant, index) =>
  Array.from({ length: merchant.weight }, () => index),
);

/** Movements without a merchant: wages, rent, transfers, cheques, interest, fees; from and to in cents. */
const MOVEMENTS = {
  cardPayment: movement(
    'Automatic Payment - Thank You',
    'LOAN_PAYMENTS_CREDIT_CARD_PAYMENT',
    -8_000,
    -98_000,
  ),
  foreignFee: movement('Foreign Transaction Fee', 'BANK_FEES_FOREIGN_TRANSACTION_FEES', 50, 950),
  interest: movement('Interest Payment', 'INCOME_INTEREST_EARNED', -20, -920),
  fromChecking: movement('Transfer from Checking', 'TRANSFER_IN_ACCOUNT_TRANSFER', -2_500, -50_000),
  payroll: movement('ACH Electronic Credit Payroll', 'INCOME_SALARY', -90_000, -330_000),
  toSavings: movement('Transfer to Savings', 'TRANSFER_OUT_ACCOUNT_TRANSFER', 2_500, 50_000),
  cash: movement('ATM Withdrawal', 'TRANSFER_OUT_WITHDRAWAL', 2_000, 30_000),
  check: movement('Check', 'OTHER_OTHER', 2_000, 72_000),
  rent: movement('Rent Payment', 'RENT_AND_UTILITIES_RENT', 110_000, 200_000),
};
type MovementName = keyof typeof MOVEMENTS;
const MOVEMENT_NAMES = Object.keys(MOVEMENTS) as MovementName[];
/** Cash comes in notes of 20. */
const NOTE_CENTS = 2_000;

function movement(name: string, category: DetailedCategory, from: number, to: number) {
  return { name, category, from, to };
}

/** Bits of a purchase's kind, beside its merchant and place. */
const PENDING = 1;
const REFUND = 2;
const TIMED = 4;
const SURE = 8;
const VARIANTS = 16;
const FIRST_MOVEMENT = MERCHANTS.length * VARIANTS * (NO_PLACE + 1);

/** What stands after the whole part of an amount, as JSON has it: `.5`, `.05`, nothing for round amounts. */
const CENTS = Array.from({ length: 100 }, (_, cents) => (cents / 100).toString().slice(1));
const AT = {
  time: StampValues.at('time'),
  store: StampValues.at('store'),
  check: StampValues.at('check'),
  reference: StampValues.at('reference'),
  shortReference: StampValues.at('shortReference'),
};
const ZERO = '0'.charCodeAt(0);

/** Four digits a draw. */
function putDigits(random: Random, values: StampValues, at: number, count: number): void {
  for (let end = at + count; end > at; end -= 4) {
    let rest = random.integer(0, 9_999);
    for (let k = 1; k <= 4; k += 1) {
      values.bytes[end - k] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
  }
}

function centsText(cents: number): string {
  const size = Math.abs(cents);
  return `${cents < 0 ? '-' : ''}${Math.floor(size / 100)}${CENTS[size % 100] ?? ''}`;
}

/**
 * What happens in one row: a purchase at a merchant, or a movement of the bank's own. The newest rows are purchases, pending ones;
 * on a savings account there are movements only. Answers the number of the kind and puts all values but ids and dates.
 */
export function seededContent(
  random: Random,
  account: AccountKind,
  newest: boolean,
  values: StampValues,
): number {
  if (account === 'savings' || (random.chance(SPECIAL_SHARE) && !newest)) {
    return movementContent(random, account, values);
  }
  const index = BY_WEIGHT[random.integer(0, BY_WEIGHT.length - 1)] ?? 0;
  const merchant = MERCHANTS[index];
  if (!merchant) throw new Error('the catalogue of merchants is empty');
  const [from, to] = merchant.amount;
  // Squared: small purchases are more common than large ones.
  const size = from + (to - from) * random.next() ** 2;
  const refund = random.chance(REFUND_SHARE) && !newest;
  const unsigned = random.chance(LONG_AMOUNT_SHARE)
    ? String(Number(size.toFixed(random.integer(3, 7))))
    : centsText(Math.round(size * 100));
  values.amount = refund ? `-${unsigned}` : unsigned;
  const place = merchant.channel === 'in store' ? random.integer(0, PLACES.length - 1) : NO_PLACE;
  putDigits(random, values, AT.store, 4);
  putDigits(random, values, AT.reference, 12);
  // Only some banks give the time of day.
  const timed = random.chance(0.2);
  if (timed) values.put(AT.time, `${twoDigits(random.integer(6, 22))}:${twoDigits(random.integer(0, 59))}`);
  const sure = random.chance(0.7);
  const variant = (newest ? PENDING : 0) | (refund ? REFUND : 0) | (timed ? TIMED : 0) | (sure ? SURE : 0);
  return (index * VARIANTS + variant) * (NO_PLACE + 1) + place;
}

function twoDigits(n: number): string {
  return n < 10 ? `0${n}` : String(n);
}

function movementNameOf(random: Random, account: AccountKind): MovementName {
  if (account === 'credit') return random.chance(0.7) ? 'cardPayment' : 'foreignFee';
  if (account === 'savings') return random.chance(0.5) ? 'interest' : 'fromChecking';
  const kind = random.integer(0, 9);
  if (kind < 3) return 'payroll';
  if (kind < 5) return 'toSavings';
  if (kind < 7) return 'cash';
  return kind < 8 ? 'check' : 'rent';
}

function movementContent(random: Random, account: AccountKind, values: StampValues): number {
  const chosen = movementNameOf(random, account);
  const { from, to } = MOVEMENTS[chosen];
  const drawn = from + Math.round((to - from) * random.next());
  values.amount = centsText(chosen === 'cash' ? Math.ceil(drawn / NOTE_CENTS) * NOTE_CENTS : drawn);
  putDigits(random, values, AT.check, 4);
  putDigits(random, values, AT.shortReference, 8);
  return FIRST_MOVEMENT + MOVEMENT_NAMES.indexOf(chosen);
}

/** Stamps by kind, for each currency and each way in which a request can want its transactions. */
const stamps = new Map<string | null, (RowStamp | undefined)[][]>();

/** The stamp of a kind, made when it is first needed. */
export function seededStamp(kind: number, currency: string | null, options: RenderOptions): RowStamp {
  let ways = stamps.get(currency);
  if (!ways) stamps.set(currency, (ways = [[], [], [], []]));
  const way = ways[(options.originalDescription ? 1 : 0) + (options.categoryVersion === 'v1' ? 2 : 0)] ?? [];
  return (way[kind] ??= new RowStamp(draftTransaction(placeholderDraft(kind, currency)), options));
}

function placeholderDraft(kind: number, currency: string | null): TransactionDraft {
  const common = {
    transactionId: placeholder('id'),
    account: PLACEHOLDER_ACCOUNT,
    amount: PLACEHOLDER_AMOUNT,
    isoCurrency: currency,
    date: placeholder('date'),
    authorizedDate: placeholder('authorizedDate'),
  };
  if (kind >= FIRST_MOVEMENT) {
    const chosen = MOVEMENT_NAMES[kind - FIRST_MOVEMENT] ?? 'rent';
    const { name: plain, category } = MOVEMENTS[chosen];
    const name = chosen === 'check' ? `${plain} ${placeholder('check')}` : plain;
    return {
      ...common,
      name,
      originalDescription: `${name.toUpperCase()} ${placeholder('shortReference')}`,
      category,
      confidence: 'MEDIUM',
      channel: 'other',
      checkNumber: chosen === 'check' ? placeholder('check') : null,
      pending: false,
    };
  }
  const place = PLACES[kind % (NO_PLACE + 1)];
  const variant = Math.floor(kind / (NO_PLACE + 1));
  const merchant = MERCHANTS[Math.floor(variant / VARIANTS)];
  if (!merchant) throw new Error(`there is no kind ${kind} of seeded transactions`);
  const refund = (variant & REFUND) > 0;
  const pending = (variant & PENDING) > 0;
  return {
    ...common,
    authorizedDatetime:
      variant & TIMED ? `${placeholder('authorizedDate')}T${placeholder('time')}:00Z` : null,
    name: refund ? `${merchant.name} Refund` : merchant.name,
    originalDescription: [
      pending ? 'PENDING' : refund ? 'RETURN' : 'POS PURCHASE',
      `${merchant.statement} #${placeholder('store')}`,
      place ? `${place.city.toUpperCase()} ${place.region}` : 'WEB',
      placeholder('reference'),
    ].join(' '),
    category: merchant.category,
    confidence: variant & SURE ? 'VERY_HIGH' : 'HIGH',
    channel: merchant.channel,
    pending,
    merchant,
    place: place ? { at: place, store: placeholder('store') } : null,
  };
}
