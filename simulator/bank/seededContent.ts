import type { Random } from '../random.js';
import type { DetailedCategory } from './categories.js';
import { MERCHANTS, PLACES } from './merchants.js';
import type { RenderOptions } from './row.js';
import { marker, MARKED_ACCOUNT, rowTemplate, type RowTemplate, type SlotValues } from './rowTemplate.js';
import { draftTransaction, type TransactionDraft } from './seededTransactions.js';

/** Sandbox answers carry amounts with up to seven decimals; so do the foreign purchases of seeded data. */
const LONG_AMOUNT_SHARE = 0.04;
const REFUND_SHARE = 0.03;
const SPECIAL_SHARE = 0.12;
const NO_PLACE = PLACES.length;

/** What matters about an account for what happens on it. */
export type AccountKind = 'credit' | 'savings' | 'other';

/** A row's template by number, and what is put into it; the caller adds ids, dates and currency. */
export interface SeededContent {
  kind: number;
  values: SlotValues;
}

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

const FIRST_MOVEMENT = MERCHANTS.length * 4 * (NO_PLACE + 1);

function merchantKind(merchant: number, refund: boolean, pending: boolean, place: number): number {
  return (merchant * 4 + (refund ? 2 : 0) + (pending ? 1 : 0)) * (NO_PLACE + 1) + place;
}

/** What stands after the whole part of an amount, as JSON has it: `.5`, `.05`, nothing for round amounts. */
const CENTS = Array.from({ length: 100 }, (_, cents) => (cents / 100).toString().slice(1));
const FOUR_DIGITS = Array.from({ length: 10_000 }, (_, n) => String(n).padStart(4, '0'));

function digits4(random: Random): string {
  return FOUR_DIGITS[random.integer(0, 9_999)] ?? '';
}

function centsText(cents: number): string {
  const size = Math.abs(cents);
  return `${cents < 0 ? '-' : ''}${Math.floor(size / 100)}${CENTS[size % 100] ?? ''}`;
}

/**
 * What happens in one row: a purchase at a merchant, or a movement of the bank's own. The newest rows are purchases, pending ones;
 * on a savings account there are movements only. Draws from `random` in an order that only depends on what was drawn before.
 */
export function seededContent(
  random: Random,
  account: AccountKind,
  newest: boolean,
  authorizedDate: string,
): SeededContent {
  if (account === 'savings' || (random.chance(SPECIAL_SHARE) && !newest)) {
    return movementContent(random, account);
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
  const place = merchant.channel === 'in store' ? random.integer(0, PLACES.length - 1) : NO_PLACE;
  const at = PLACES[place];
  const store = digits4(random);
  const where = at ? `${at.city.toUpperCase()} ${at.region}` : 'WEB';
  const what = newest ? 'PENDING' : refund ? 'RETURN' : 'POS PURCHASE';
  const reference = digits4(random) + digits4(random) + digits4(random);
  const hour = random.integer(106, 122);
  const minute = random.integer(100, 159);
  return {
    kind: merchantKind(index, refund, newest, place),
    values: {
      id: '',
      account: '',
      amount: refund ? `-${unsigned}` : unsigned,
      authorizedDate: '',
      // Only some banks tell the time of day.
      authorizedDatetime: random.chance(0.2)
        ? `"${authorizedDate}T${String(hour).slice(1)}:${String(minute).slice(1)}:00Z"`
        : 'null',
      date: '',
      currency: '',
      name: '',
      description: `"${what} ${merchant.statement} #${store} ${where} ${reference}"`,
      confidence: random.chance(0.7) ? '"VERY_HIGH"' : '"HIGH"',
      store: `"${store}"`,
      check: 'null',
    },
  };
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

function movementContent(random: Random, account: AccountKind): SeededContent {
  const chosen = movementNameOf(random, account);
  const { name, from, to } = MOVEMENTS[chosen];
  const drawn = from + Math.round((to - from) * random.next());
  const number = digits4(random);
  const title = chosen === 'check' ? `${name} ${number}` : name;
  return {
    kind: FIRST_MOVEMENT + MOVEMENT_NAMES.indexOf(chosen),
    values: {
      id: '',
      account: '',
      amount: centsText(chosen === 'cash' ? Math.ceil(drawn / NOTE_CENTS) * NOTE_CENTS : drawn),
      authorizedDate: '',
      authorizedDatetime: 'null',
      date: '',
      currency: '',
      name: `"${title}"`,
      description: `"${title.toUpperCase()} ${digits4(random)}${digits4(random)}"`,
      confidence: '"MEDIUM"',
      store: 'null',
      check: chosen === 'check' ? `"${number}"` : 'null',
    },
  };
}

/** Templates by kind, for each way in which a request can want its transactions. */
const templates: RowTemplate[][] = [[], [], [], []];

/** The template of a kind, made when it is first needed. */
export function seededTemplate(kind: number, options: RenderOptions): RowTemplate {
  const made =
    templates[(options.originalDescription ? 1 : 0) + (options.categoryVersion === 'v1' ? 2 : 0)] ?? [];
  return (made[kind] ??= rowTemplate(draftTransaction(markedDraft(kind)), options));
}

function markedDraft(kind: number): TransactionDraft {
  const common = {
    transactionId: marker('id'),
    account: MARKED_ACCOUNT,
    amount: marker<number>('amount'),
    isoCurrency: marker('currency'),
    date: marker('date'),
    authorizedDate: marker('authorizedDate'),
    authorizedDatetime: marker('authorizedDatetime'),
    originalDescription: marker('description'),
    confidence: marker<TransactionDraft['confidence']>('confidence'),
    checkNumber: marker('check'),
  };
  if (kind >= FIRST_MOVEMENT) {
    const { category } = MOVEMENTS[MOVEMENT_NAMES[kind - FIRST_MOVEMENT] ?? 'rent'];
    return { ...common, name: marker('name'), category, channel: 'other', pending: false };
  }
  const place = PLACES[kind % (NO_PLACE + 1)];
  const variant = Math.floor(kind / (NO_PLACE + 1));
  const merchant = MERCHANTS[variant >> 2];
  if (!merchant) throw new Error(`there is no kind ${kind} of seeded transactions`);
  return {
    ...common,
    name: variant & 2 ? `${merchant.name} Refund` : merchant.name,
    category: merchant.category,
    channel: merchant.channel,
    pending: (variant & 1) === 1,
    merchant,
    place: place ? { at: place, store: marker('store') } : null,
  };
}
