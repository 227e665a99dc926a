import { Big } from 'big.js';
import type { PlaidAccount, PlaidTransaction } from '../plaid.js';

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

/** Plaid's JSON number as a plain decimal string: 1e-7 becomes 0.0000001, nothing is rounded. */
export function decimal(value: number): string {
  return new Big(value).toFixed();
}

export function refineTransaction(raw: PlaidTransaction, owner: RecordOwner): RefinedTransaction {
  const category = raw.personal_finance_category;
  return {
    id: raw.transaction_id,
    item_id: owner.item_id,
    user_id: owner.user_id,
    account_id: raw.account_id,
    institution_id: owner.institution_id,
    status: raw.pending ? 'pending' : 'posted',
    direction: raw.amount >= 0 ? 'outflow' : 'inflow',
    amount: decimal(Math.abs(raw.amount)),
    currency: raw.iso_currency_code ?? raw.unofficial_currency_code ?? null,
    date: raw.date,
    authorized_date: raw.authorized_date ?? null,
    datetime: raw.datetime ?? null,
    authorized_datetime: raw.authorized_datetime ?? null,
    description: raw.original_description ?? raw.name ?? null,
    merchant: {
      name: raw.merchant_name ?? null,
      id: raw.merchant_entity_id ?? null,
      logo_url: raw.logo_url ?? null,
      website: raw.website ?? null,
    },
    category: category
      ? {
          primary: category.primary,
          detailed: category.detailed,
          confidence: category.confidence_level ?? null,
        }
      : null,
    channel: raw.payment_channel ?? null,
    check_number: raw.check_number ?? null,
    location: raw.location ?? null,
    replaces: raw.pending_transaction_id ?? null,
  };
}

export type AccountStatus = 'open' | 'closed';

/** An account in the shape that clients read; `version` is added where the row is numbered. */
export interface RefinedAccount extends RecordOwner {
  id: string;
  name: string;
  official_name: string | null;
  mask: string | null;
  type: string;
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

export function refineAccount(raw: PlaidAccount, at: AccountCircumstances): RefinedAccount {
  const money = (value: number | null | undefined): string | null => (value == null ? null : decimal(value));
  return {
    id: raw.account_id,
    item_id: at.item_id,
    user_id: at.user_id,
    institution_id: at.institution_id,
    name: raw.name,
    official_name: raw.official_name ?? null,
    mask: raw.mask ?? null,
    type: raw.type,
    subtype: raw.subtype ?? null,
    status: at.status,
    is_main: at.is_main,
    balances: {
      available: money(raw.balances.available),
      current: money(raw.balances.current),
      limit: money(raw.balances.limit),
      currency: raw.balances.iso_currency_code ?? raw.balances.unofficial_currency_code ?? null,
      as_of: at.as_of,
    },
    persistent_id: raw.persistent_account_id ?? null,
    holder_category: raw.holder_category ?? null,
    replaces: at.replaces ?? null,
    replaced_by: at.replaced_by ?? null,
  };
}
