import type { PlaidAccount, PlaidTransaction } from '../plaid.js';
import { dateOf, decimal, isObject, momentOf, moneyOf, textOf, wordOf } from './oddValues.js';

/** Where a raw record was found: what Plaid's object does not say itself. */
export interface RecordOwner {
  item_id: string;
  user_id: string;
  institution_id: string | null;
}

export type TransactionStatus = 'pending' | 'posted' | 'removed';

/** A transaction in the shape that clients read; `version` is added where the row is numbered. */
export interface RefinedTransaction extends RecordOwner {
  id: string;
  account_id: string;
  status: TransactionStatus;
  /** outflow when Plaid's amount is zero or more: money that left the account. */
  direction: 'outflow' | 'inflow';
  /** Decimal string, never negative. */
  amount: string;
  /** ISO 4217, else Plaid's unofficial code. */
  currency: string | null;
  date: string;
  authorized_date: string | null;
  datetime: string | null;
  authorized_datetime: string | null;
  description: string | null;
  merchant: { name: string | null; id: string | null; logo_url: string | null; website: string | null };
  category: { primary: string; detailed: string; confidence: string | null } | null;
  channel: string | null;
  check_number: string | null;
  location: Record<string, unknown> | null;
  /** The pending transaction that this posted one takes the place of. */
  replaces: string | null;
}

/** Both parts, or none: of a category that Plaid gives in another shape the raw row tells. */
function categoryOf(value: unknown): RefinedTransaction['category'] {
  if (!isObject(value)) return null;
  const { primary, detailed, confidence_level } = value;
  if (typeof primary !== 'string' || typeof detailed !== 'string') return null;
  return { primary, detailed, confidence: textOf(confidence_level) };
}

/** Total: of a field that is not of the type that Plaid documents only what fits is told. `raw` is one that `minedPage` keeps. */
export function refineTransaction(raw: PlaidTransaction, owner: RecordOwner): RefinedTransaction {
  return {
    id: raw.transaction_id,
    item_id: owner.item_id,
    user_id: owner.user_id,
    account_id: raw.account_id,
    institution_id: owner.institution_id,
    status: raw.pending === true ? 'pending' : 'posted',
    direction: raw.amount >= 0 ? 'outflow' : 'inflow',
    amount: decimal(Math.abs(raw.amount)),
    currency: wordOf(raw.iso_currency_code) ?? wordOf(raw.unofficial_currency_code),
    date: raw.date,
    authorized_date: dateOf(raw.authorized_date),
    datetime: momentOf(raw.datetime),
    authorized_datetime: momentOf(raw.authorized_datetime),
    description: textOf(raw.original_description) ?? textOf(raw.name),
    merchant: {
      name: textOf(raw.merchant_name),
      id: textOf(raw.merchant_entity_id),
      logo_url: textOf(raw.logo_url),
      website: textOf(raw.website),
    },
    category: categoryOf(raw.personal_finance_category),
    channel: textOf(raw.payment_channel),
    check_number: textOf(raw.check_number),
    location: isObject(raw.location) ? raw.location : null,
    replaces: wordOf(raw.pending_transaction_id),
  };
}

export type AccountStatus = 'open' | 'closed';

/** An account in the shape that clients read; `version` is added where the row is numbered. */
export interface RefinedAccount extends RecordOwner {
  id: string;
  /** Null where Plaid gives none, as the type. */
  name: string | null;
  official_name: string | null;
  mask: string | null;
  type: string | null;
  subtype: string | null;
  status: AccountStatus;
  is_main: boolean;
  balances: {
    /** Decimal strings, or null where the bank does not say. */
    available: string | null;
    current: string | null;
    limit: string | null;
    currency: string | null;
    /** When we fetched them, ISO 8601. A newer fetch of the same balances is no change. */
    as_of: string;
  };
  persistent_id: string | null;
  holder_category: string | null;
  /** The closed account of the Item whose place it took: the bank gave it another id. */
  replaces: string | null;
  /** The account that took its place. */
  replaced_by: string | null;
}

export interface AccountCircumstances extends RecordOwner {
  status: AccountStatus;
  is_main: boolean;
  as_of: string;
  replaces?: string | null;
  replaced_by?: string | null;
}

/** Total, as `refineTransaction`. `raw` is one that `listedAccounts` keeps. */
export function refineAccount(raw: PlaidAccount, at: AccountCircumstances): RefinedAccount {
  const balances: Record<string, unknown> = isObject(raw.balances) ? raw.balances : {};
  return {
    id: raw.account_id,
    item_id: at.item_id,
    user_id: at.user_id,
    institution_id: at.institution_id,
    name: textOf(raw.name),
    official_name: textOf(raw.official_name),
    mask: textOf(raw.mask),
    type: wordOf(raw.type),
    subtype: textOf(raw.subtype),
    status: at.status,
    is_main: at.is_main,
    balances: {
      available: moneyOf(balances['available']),
      current: moneyOf(balances['current']),
      limit: moneyOf(balances['limit']),
      currency: wordOf(balances['iso_currency_code']) ?? wordOf(balances['unofficial_currency_code']),
      as_of: at.as_of,
    },
    persistent_id: wordOf(raw.persistent_account_id),
    holder_category: textOf(raw.holder_category),
    replaces: at.replaces ?? null,
    replaced_by: at.replaced_by ?? null,
  };
}
