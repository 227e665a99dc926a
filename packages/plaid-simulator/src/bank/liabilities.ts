import { addDays } from '../calendar.js';
import { Random } from '../random.js';
import type { WireAccount, WireCreditLiability, WireMortgage, WireStudentLoan } from '../wire.js';

/** What a custom user's file says of a credit card or student loan; the names are Plaid's. */
export interface GivenLiability {
  type?: string | undefined;
  purchase_apr?: number | undefined;
  cash_apr?: number | undefined;
  balance_transfer_apr?: number | undefined;
  special_apr?: number | undefined;
  last_payment_amount?: number | undefined;
  minimum_payment_amount?: number | undefined;
  is_overdue?: boolean | undefined;
  origination_date?: string | undefined;
  principal?: number | undefined;
  nominal_apr?: number | undefined;
  repayment_model?: { repayment_months?: number | undefined } | undefined;
  expected_payoff_date?: string | undefined;
  guarantor?: string | undefined;
  loan_name?: string | undefined;
  loan_status?: WireStudentLoan['loan_status'] | undefined;
  payment_reference_number?: string | undefined;
  pslf_status?: WireStudentLoan['pslf_status'] | undefined;
  repayment_plan_description?: string | undefined;
  repayment_plan_type?: WireStudentLoan['repayment_plan']['type'] | undefined;
  sequence_number?: string | undefined;
}

/** What is known of what is owed on an account, beyond what follows from the seed. */
export interface LiabilityFacts {
  given?: GivenLiability | undefined;
  /** Fields that have changed since the account was opened, as Plaid sends them. */
  changed: Record<string, unknown>;
}

export type LiabilityKind = 'credit' | 'mortgage' | 'student';

/** Which of Plaid's lists an account's liability is in; `null`: it has none. */
export function liabilityKind({ type, subtype }: WireAccount): LiabilityKind | null {
  if (type === 'credit') return 'credit';
  if (type !== 'loan') return null;
  return subtype === 'student' || subtype === 'mortgage' ? subtype : null;
}

const MONTH_DAYS = 30;
const YEAR_DAYS = 365;

/** When what is due was last paid and billed, and is due next, as seen from the day on which the account was opened. */
function billing(random: Random, opened: string) {
  const billed = random.integer(8, 25);
  return {
    last_payment_date: addDays(opened, -billed + 3),
    last_statement_issue_date: addDays(opened, -billed),
    next_payment_due_date: addDays(opened, MONTH_DAYS - billed),
  };
}

type Kept = LiabilityFacts | undefined;

export function creditLiability(
  scope: readonly string[],
  { account_id, balances }: WireAccount,
  kept: Kept,
  opened: string,
): WireCreditLiability {
  const random = new Random(...scope, 'liability');
  const given = kept?.given ?? {};
  const owed = balances.current ?? 0;
  const aprs = (
    [
      ['balance_transfer_apr', given.balance_transfer_apr, 15.24],
      ['cash_apr', given.cash_apr, 27.95],
      ['purchase_apr', given.purchase_apr, 12.5],
      ['special', given.special_apr, 0],
    ] as const
  ).map(([apr_type, apr, usual]) => ({
    apr_type,
    apr_percentage: apr ?? usual,
    balance_subject_to_apr: apr_type === 'purchase_apr' ? owed : 0,
    interest_charge_amount: apr_type === 'purchase_apr' ? cents((owed * (apr ?? usual)) / 1200) : 0,
  }));
  return {
    account_id,
    aprs,
    is_overdue: given.is_overdue ?? false,
    last_payment_amount: given.last_payment_amount ?? cents(20 + random.next() * 200),
    last_statement_balance: owed,
    minimum_payment_amount: given.minimum_payment_amount ?? 20,
    ...billing(random, opened),
    ...kept?.changed,
  };
}

const ADDRESS = {
  city: 'Malakoff',
  country: 'US',
  postal_code: '14236',
  region: 'NY',
  street: '2992 Cameron Road',
};

export function mortgageLiability(
  scope: readonly string[],
  { account_id, balances, mask }: WireAccount,
  kept: Kept,
  opened: string,
): WireMortgage {
  const random = new Random(...scope, 'liability');
  const owed = balances.current ?? 0;
  const { last_payment_date, next_payment_due_date } = billing(random, opened);
  const age = random.integer(4, 12);
  return {
    account_id,
    account_number: `31200${random.digits(3)}${mask ?? ''}`,
    current_late_fee: 25,
    escrow_balance: cents(1000 + random.next() * 3000),
    has_pmi: true,
    has_prepayment_penalty: true,
    interest_rate: { percentage: 3.99, type: 'fixed' },
    last_payment_amount: cents(owed / 360 + owed * 0.0033),
    loan_type_description: 'conventional',
    loan_term: '30 year',
    maturity_date: addDays(opened, (30 - age) * YEAR_DAYS),
    next_monthly_payment: cents(owed / 360 + owed * 0.0033),
    origination_date: addDays(opened, -age * YEAR_DAYS),
    origination_principal_amount: cents(owed * 1.4),
    past_due_amount: 0,
    property_address: ADDRESS,
    ytd_interest_paid: cents(owed * 0.02),
    ytd_principal_paid: cents(owed * 0.015),
    last_payment_date,
    next_payment_due_date,
    ...kept?.changed,
  };
}

export function studentLoan(
  scope: readonly string[],
  { account_id, balances, mask }: WireAccount,
  kept: Kept,
  opened: string,
): WireStudentLoan {
  const random = new Random(...scope, 'liability');
  const given = kept?.given ?? {};
  const principal = given.principal ?? balances.current ?? 0;
  const originated = given.origination_date ?? addDays(opened, -random.integer(3, 8) * YEAR_DAYS);
  const months = given.repayment_model?.repayment_months ?? 120;
  const monthly = cents(principal / months);
  return {
    account_id,
    account_number: `427722${random.digits(2)}${mask ?? ''}`,
    disbursement_dates: [originated],
    expected_payoff_date: given.expected_payoff_date ?? addDays(originated, months * MONTH_DAYS),
    guarantor: given.guarantor ?? 'DEPT OF ED',
    interest_rate_percentage: given.nominal_apr ?? 5.25,
    is_overdue: given.is_overdue ?? false,
    last_payment_amount: given.last_payment_amount ?? monthly,
    last_statement_balance: balances.current ?? principal,
    loan_name: given.loan_name ?? 'Consolidation',
    loan_status: given.loan_status ?? {
      end_date: addDays(originated, months * MONTH_DAYS),
      type: 'repayment',
    },
    minimum_payment_amount: given.minimum_payment_amount ?? monthly,
    origination_date: originated,
    origination_principal_amount: principal,
    outstanding_interest_amount: cents(principal * 0.05),
    payment_reference_number: given.payment_reference_number ?? `427722${random.digits(4)}`,
    pslf_status: given.pslf_status ?? {
      estimated_eligibility_date: addDays(opened, 4 * YEAR_DAYS),
      payments_made: 200,
      payments_remaining: 160,
    },
    repayment_plan: {
      description: given.repayment_plan_description ?? 'Standard Repayment',
      type: given.repayment_plan_type ?? 'standard',
    },
    sequence_number: given.sequence_number ?? '1',
    servicer_address: {
      ...ADDRESS,
      city: 'San Matias',
      postal_code: '99415',
      region: 'CA',
      street: '123 Relaxation Road',
    },
    ytd_interest_paid: cents(principal * 0.01),
    ytd_principal_paid: cents(principal * 0.02),
    ...billing(random, opened),
    ...kept?.changed,
  };
}

function cents(amount: number): number {
  return Math.round(amount * 100) / 100;
}
