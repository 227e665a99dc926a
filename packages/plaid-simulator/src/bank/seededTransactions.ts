import type { WireAccount, WireTransaction } from '../wire.js';
import { categoryOf, type DetailedCategory } from './categories.js';
import { counterpartiesOf, type Channel, type Merchant, type Place } from './merchants.js';
import type { BankTransaction } from './row.js';

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
    counterparties: counterpartiesOf(merchant),
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

/** Accounts that have transactions at all: Plaid covers depository and credit accounts and student loans. */
export function coversTransactions(account: WireAccount): boolean {
  return (
    account.type === 'depository' ||
    account.type === 'credit' ||
    (account.type === 'loan' && account.subtype === 'student')
  );
}
