import { z } from 'zod';
import { isCivilDate } from '../calendar.js';
import { PlaidApiError } from '../errors.js';
import type { WireAccount, WireOwner } from '../wire.js';
import type { GivenNumbers } from './accountNumbers.js';
import type { GivenLiability } from './liabilities.js';
import { merchantNamed } from './merchants.js';
import type { GivenHolding, GivenTrade } from './portfolio.js';
import type { BankTransaction } from './row.js';
import { draftTransaction } from './seededTransactions.js';

/** Plaid takes ten accounts and a configuration object of about 55 kB; more is refused there too. White space is none of the object. */
const MOST_ACCOUNTS = 10;
const MOST_BYTES = 55_000;

const civilDate = z.string().refine(isCivilDate, 'must be a date of the form YYYY-MM-DD');

const customTransaction = z.looseObject({
  date_transacted: civilDate,
  date_posted: civilDate,
  amount: z.number(),
  description: z.string(),
  currency: z.string().optional(),
});

const contact = z.looseObject({
  data: z.string(),
  primary: z.boolean().default(false),
  type: z.string().optional(),
});

const owner = z.looseObject({
  names: z.array(z.string()).default([]),
  phone_numbers: z.array(contact).optional(),
  emails: z.array(contact).optional(),
  addresses: z
    .array(
      z.looseObject({
        primary: z.boolean().optional(),
        data: z.looseObject({
          city: z.string().nullish(),
          region: z.string().nullish(),
          street: z.string().nullish(),
          postal_code: z.string().nullish(),
          country: z.string().nullish(),
        }),
      }),
    )
    .optional(),
});

const text = z.string().optional();

const security = z.looseObject({
  isin: text,
  cusip: text,
  sedol: text,
  name: text,
  ticker_symbol: text,
  currency: text,
});

const optionalNumber = z.number().nullish();
const optionalText = z.string().nullish();
const optionalDate = civilDate.nullish();

const liability = z.looseObject({
  type: text,
  purchase_apr: optionalNumber,
  cash_apr: optionalNumber,
  balance_transfer_apr: optionalNumber,
  special_apr: optionalNumber,
  last_payment_amount: optionalNumber,
  minimum_payment_amount: optionalNumber,
  is_overdue: z.boolean().nullish(),
  origination_date: optionalDate,
  principal: optionalNumber,
  nominal_apr: optionalNumber,
  repayment_model: z.looseObject({ repayment_months: z.number().min(1).max(1200).nullish() }).nullish(),
  expected_payoff_date: optionalDate,
  guarantor: optionalText,
  loan_name: optionalText,
  loan_status: z.looseObject({ end_date: optionalDate }).nullish(),
  payment_reference_number: optionalText,
  pslf_status: z.looseObject({ estimated_eligibility_date: optionalDate }).nullish(),
  repayment_plan_description: optionalText,
  repayment_plan_type: optionalText,
  sequence_number: optionalText,
});

const customAccount = z.looseObject({
  type: z.enum(['investment', 'credit', 'depository', 'loan', 'payroll', 'other']),
  subtype: z.string().nullish(),
  starting_balance: z.number().optional(),
  force_available_balance: z.number().optional(),
  has_null_available_balance: z.boolean().optional(),
  currency: text,
  meta: z
    .looseObject({ name: text, official_name: text, limit: z.number().optional(), mask: text })
    .optional(),
  numbers: z
    .looseObject({
      account: text,
      ach_routing: text,
      ach_wire_routing: text,
      eft_institution: text,
      eft_branch: text,
      international_bic: text,
      international_iban: text,
      bacs_sort_code: text,
    })
    .optional(),
  transactions: z.array(customTransaction).optional(),
  holdings: z
    .array(
      z.looseObject({
        institution_price: z.number(),
        institution_price_as_of: civilDate.optional(),
        cost_basis: z.number().optional(),
        quantity: z.number(),
        currency: text,
        security,
      }),
    )
    .optional(),
  investment_transactions: z
    .array(
      z.looseObject({
        date: civilDate,
        name: z.string(),
        quantity: z.number(),
        price: z.number(),
        fees: z.number().optional(),
        type: z.enum(['buy', 'sell', 'cancel', 'cash', 'fee', 'transfer']),
        currency: text,
        security: security.optional(),
      }),
    )
    .optional(),
  liability: liability.optional(),
  identity: owner.optional(),
});

const customUser = z.looseObject({
  version: z.union([z.string(), z.number()]).nullish(),
  seed: z.union([z.string(), z.number()]).nullish(),
  override_accounts: z.array(customAccount).max(MOST_ACCOUNTS).optional(),
  force_error: z.string().optional(),
});

export type CustomTransaction = z.infer<typeof customTransaction>;

/** One account of a custom user; only what the file gives is there. Fields that nothing is generated from are not listed. */
export interface CustomAccount {
  type: WireAccount['type'] | 'payroll';
  subtype?: WireAccount['subtype'];
  starting_balance?: number;
  force_available_balance?: number;
  has_null_available_balance?: boolean;
  currency?: string;
  meta?: { name?: string; official_name?: string; limit?: number; mask?: string };
  numbers?: GivenNumbers;
  transactions?: CustomTransaction[];
  holdings?: GivenHolding[];
  investment_transactions?: GivenTrade[];
  liability?: GivenLiability;
  identity?: Partial<WireOwner> & Pick<WireOwner, 'names'>;
}

export interface CustomUser {
  seed: string;
  accounts: CustomAccount[];
  forceError: string | undefined;
}

/** Reads the JSON password of `user_custom`; what Plaid's format does not allow is INVALID_FIELD. */
export function parseCustomUser(password: string): CustomUser {
  let json: unknown;
  try {
    json = JSON.parse(password);
  } catch {
    throw new PlaidApiError('INVALID_FIELD', 'override_password of user_custom must be valid JSON');
  }
  if (Buffer.byteLength(JSON.stringify(json)) > MOST_BYTES) {
    throw new PlaidApiError(
      'INVALID_FIELD',
      `override_password is larger than ${MOST_BYTES} bytes, white space not counted`,
    );
  }
  const parsed = customUser.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.join('.') || 'the password';
    throw new PlaidApiError('INVALID_FIELD', `override_password: ${where}: ${issue?.message ?? 'invalid'}`);
  }
  return {
    seed: String(parsed.data.seed ?? ''),
    // Plaid's enums for subtypes and contact types may grow at any time: they are passed through as given.
    accounts: (parsed.data.override_accounts ?? []) as unknown as CustomAccount[],
    forceError: parsed.data.force_error || undefined,
  };
}

/**
 * A listed transaction of a custom user. `date` is the posting date, one in the future makes the row pending; `authorized_date` is
 * the transaction date even when that is later; amount and sign are as given; the row's currency wins over the account's.
 */
export function customTransactionRow(
  custom: CustomTransaction,
  account: WireAccount,
  today: string,
  transactionId: string,
): BankTransaction {
  const merchant = merchantNamed(custom.description);
  return draftTransaction({
    transactionId,
    account,
    amount: custom.amount,
    isoCurrency: custom.currency ?? account.balances.iso_currency_code,
    date: custom.date_posted,
    authorizedDate: custom.date_transacted,
    name: custom.description,
    originalDescription: custom.description,
    category: merchant?.category ?? 'OTHER_OTHER',
    confidence: merchant ? 'HIGH' : 'LOW',
    channel: merchant?.channel ?? 'other',
    pending: custom.date_posted > today,
    merchant,
  });
}
