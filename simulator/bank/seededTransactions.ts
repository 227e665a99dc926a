import { addDays } from '../calendar.js';
import { plaidId } from '../ids.js';
import { Random } from '../random.js';
import type { WireAccount, WireTransaction } from '../wire.js';
import { categoryOf, type DetailedCategory } from './categories.js';
import { MERCHANTS, PLACES, type Channel, type Merchant, type Place } from './merchants.js';
import type { BankTransaction } from './row.js';

/** Sandbox answers carry amounts with up to seven decimals; so do the foreign purchases of seeded data. */
const LONG_AMOUNT_SHARE = 0.04;
const REFUND_SHARE = 0.03;
const SPECIAL_SHARE = 0.12;
/** The user acts up to so many days before the bank books. */
const AUTHORIZED_BEFORE = 2;
/** A bank keeps a card payment pending for some days: these are the newest rows, of these last days. */
const PENDING_ROWS = 4;
const PENDING_DAYS = 3;

/** What a transaction starts from; everything that is not given is Plaid's null. */
export interface TransactionDraft {
  transactionId: string;
  account: WireAccount;
  amount: number;
  isoCurrency: string | null;
  unofficialCurrency?: string | null;
  date: string;
  authorizedDate: string | null;
  name: string;
  originalDescription: string;
  category: DetailedCategory;
  confidence: 'VERY_HIGH' | 'HIGH' | 'MEDIUM' | 'LOW';
  channel: Channel;
  pending: boolean;
  merchant?: Merchant | null;
  place?: { at: Place; store: string } | null;
  checkNumber?: string | null;
  authorizedDatetime?: string | null;
  pendingTransactionId?: string | null;
}

export function draftTransaction(draft: TransactionDraft): BankTransaction {
  const category = categoryOf(draft.category);
  const merchant = draft.merchant ?? null;
  const place = draft.place ?? null;
  const transaction: WireTransaction = {
    account_id: draft.account.account_id,
    account_owner: null,
    amount: draft.amount,
    authorized_date: draft.authorizedDate,
    authorized_datetime: draft.authorizedDatetime ?? null,
    category: category.legacyPath,
    category_id: category.legacyId,
    check_number: draft.checkNumber ?? null,
    counterparties: merchant
      ? [
          {
            name: merchant.name,
            entity_id: merchant.entityId,
            type: 'merchant',
            website: merchant.website,
            logo_url: null,
            confidence_level: 'VERY_HIGH',
            account_numbers: null,
          },
        ]
      : [],
    date: draft.date,
    datetime: null,
    iso_currency_code: draft.isoCurrency,
    location: {
      address: null,
      city: place?.at.city ?? null,
      country: place?.at.country ?? null,
      lat: place?.at.lat ?? null,
      lon: place?.at.lon ?? null,
      postal_code: place?.at.postalCode ?? null,
      region: place?.at.region ?? null,
      store_number: place?.store ?? null,
    },
    logo_url: null,
    merchant_entity_id: merchant?.entityId ?? null,
    merchant_category_code: merchant?.mcc ?? null,
    merchant_name: merchant?.name ?? null,
    name: draft.name,
    payment_channel: draft.channel,
    payment_meta: {
      by_order_of: null,
      payee: null,
      payer: null,
      payment_method: null,
      payment_processor: null,
      ppd_id: null,
      reason: null,
      reference_number: null,
    },
    pending: draft.pending,
    pending_transaction_id: draft.pendingTransactionId ?? null,
    personal_finance_category: {
      primary: category.primary,
      detailed: category.detailed,
      confidence_level: draft.confidence,
      version: 'v2',
    },
    personal_finance_category_icon_url: category.iconUrl,
    transaction_code: null,
    transaction_id: draft.transactionId,
    transaction_type:
      draft.channel === 'online' ? 'digital' : draft.channel === 'in store' ? 'place' : 'special',
    unofficial_currency_code: draft.unofficialCurrency ?? null,
    website: merchant?.website ?? null,
  };
  return { transaction, originalDescription: draft.originalDescription };
}

/** Where and when seeded transactions are wanted. Dates are UTC days. */
export interface SeededRequest {
  /** What the data follow from; the same scope gives the same rows under the ids of `itemId`. */
  scope: readonly (string | number)[];
  itemId: string;
  accounts: readonly WireAccount[];
  /** The last day; `days` of them, this one included. */
  to: string;
  days: number;
  count: number;
}

/** Accounts that have transactions at all: Plaid covers depository and credit accounts and student loans. */
export function coversTransactions(account: WireAccount): boolean {
  return (
    account.type === 'depository' ||
    account.type === 'credit' ||
    (account.type === 'loan' && account.subtype === 'student')
  );
}

/** Exactly `count` transactions spread over the days and accounts, oldest first. */
export function seededTransactions(request: SeededRequest): BankTransaction[] {
  const accounts = request.accounts.filter(coversTransactions);
  if (accounts.length === 0) return [];
  const weighted = accounts.map((account) => ({ account, weight: accountWeight(account) }));
  const rows: BankTransaction[] = [];
  const random = new Random(...request.scope, 'transactions');
  const dates = Array.from({ length: request.days + AUTHORIZED_BEFORE }, (_, age) =>
    addDays(request.to, -age),
  );
  for (let n = 0; n < request.count; n += 1) {
    const { account } = random.weighted(weighted);
    // Oldest first, evenly spread with some noise; the last row is of the last day, so that pending rows exist.
    const slot = request.count > 1 ? n / (request.count - 1) : 1;
    const newest = n >= request.count - PENDING_ROWS;
    const spread = Math.round((1 - slot) * (request.days - 1));
    const age = newest ? Math.min(spread, PENDING_DAYS - 1) : spread;
    const on = (days: number) => dates[days] ?? request.to;
    rows.push(
      seededTransaction(random, account, {
        transactionId: plaidId(request.itemId, 'transaction', n),
        date: on(age),
        authorizedDate: on(age + random.integer(0, AUTHORIZED_BEFORE)),
        newest,
      }),
    );
  }
  return rows;
}

function accountWeight(account: WireAccount): number {
  if (account.type === 'credit') return 40;
  if (account.subtype === 'checking') return account.balances.iso_currency_code === 'USD' ? 45 : 8;
  return account.type === 'depository' ? 7 : 3;
}

function money(value: number): number {
  return Number(value.toFixed(2));
}

function seededTransaction(
  random: Random,
  account: WireAccount,
  { newest, ...when }: { transactionId: string; date: string; authorizedDate: string; newest: boolean },
): BankTransaction {
  const common = { ...when, account, isoCurrency: account.balances.iso_currency_code };
  if (account.subtype === 'savings' || (random.chance(SPECIAL_SHARE) && !newest)) {
    return draftTransaction({ ...common, ...bankMovement(random, account), pending: false });
  }
  const merchant = random.weighted(MERCHANTS);
  const [from, to] = merchant.amount;
  // Squared: small purchases are more common than large ones.
  const size = from + (to - from) * random.next() ** 2;
  const long = random.chance(LONG_AMOUNT_SHARE);
  const pending = newest;
  const refund = random.chance(REFUND_SHARE) && !pending;
  const amount = (refund ? -1 : 1) * (long ? Number(size.toFixed(random.integer(3, 7))) : money(size));
  const store = random.digits(4);
  const at = merchant.channel === 'in store' ? random.pick(PLACES) : null;
  const hour = String(random.integer(6, 22)).padStart(2, '0');
  const minute = String(random.integer(0, 59)).padStart(2, '0');
  return draftTransaction({
    ...common,
    amount,
    name: refund ? `${merchant.name} Refund` : merchant.name,
    originalDescription: [
      pending ? 'PENDING' : refund ? 'RETURN' : 'POS PURCHASE',
      `${merchant.statement} #${store}`,
      at ? `${at.city.toUpperCase()} ${at.region}` : 'WEB',
      random.digits(12),
    ].join(' '),
    category: merchant.category,
    confidence: random.chance(0.7) ? 'VERY_HIGH' : 'HIGH',
    channel: merchant.channel,
    pending,
    merchant,
    place: at && { at, store },
    authorizedDatetime: random.chance(0.2) ? `${when.authorizedDate}T${hour}:${minute}:00Z` : null,
  });
}

/** Movements without a merchant: wages, rent, transfers, cheques, interest, fees. */
function bankMovement(
  random: Random,
  account: WireAccount,
): Pick<
  TransactionDraft,
  'amount' | 'name' | 'originalDescription' | 'category' | 'confidence' | 'channel' | 'checkNumber'
> {
  const text = (name: string) => `${name.toUpperCase()} ${random.digits(10)}`;
  const make = (
    name: string,
    category: DetailedCategory,
    amount: number,
    checkNumber: string | null = null,
  ): ReturnType<typeof bankMovement> => ({
    name,
    amount,
    category,
    checkNumber,
    originalDescription: text(name),
    confidence: 'MEDIUM',
    channel: 'other',
  });
  if (account.type === 'credit') {
    return random.chance(0.7)
      ? make(
          'Automatic Payment - Thank You',
          'LOAN_PAYMENTS_CREDIT_CARD_PAYMENT',
          -money(80 + random.next() * 900),
        )
      : make('Foreign Transaction Fee', 'BANK_FEES_FOREIGN_TRANSACTION_FEES', money(0.5 + random.next() * 9));
  }
  if (account.subtype === 'savings') {
    return random.chance(0.5)
      ? make('Interest Payment', 'INCOME_INTEREST_EARNED', -money(0.2 + random.next() * 9))
      : make('Transfer from Checking', 'TRANSFER_IN_ACCOUNT_TRANSFER', -money(25 + random.next() * 475));
  }
  const kind = random.integer(0, 9);
  if (kind < 3)
    return make('ACH Electronic Credit Payroll', 'INCOME_SALARY', -money(900 + random.next() * 2400));
  if (kind < 5)
    return make('Transfer to Savings', 'TRANSFER_OUT_ACCOUNT_TRANSFER', money(25 + random.next() * 475));
  if (kind < 7) return make('ATM Withdrawal', 'TRANSFER_OUT_WITHDRAWAL', 20 * random.integer(1, 15));
  if (kind < 8) {
    const check = random.digits(4);
    return make(`Check ${check}`, 'OTHER_OTHER', money(20 + random.next() * 700), check);
  }
  return make('Rent Payment', 'RENT_AND_UTILITIES_RENT', money(1100 + random.next() * 900));
}
