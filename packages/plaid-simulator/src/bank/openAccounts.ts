import { plaidId } from '../ids.js';
import { Random } from '../random.js';
import type { WireAccount } from '../wire.js';
import type { BankAccount } from './account.js';
import { NO_NUMBERS } from './account.js';
import { accountNumbers, type GivenNumbers } from './accountNumbers.js';
import type { CustomAccount } from './customUser.js';
import type { SimulatedInstitution } from './institutions.js';
import { SANDBOX_OWNER } from './owners.js';

type AccountType = WireAccount['type'];
type Subtype = WireAccount['subtype'];

/** Whose accounts these are, and on which Item. */
export interface Holder {
  seed: string;
  institution: SimulatedInstitution;
  username: string;
  itemId: string;
}

interface Plan {
  type: AccountType;
  subtype: Subtype;
  name: string;
  officialName: string | null;
  mask: string;
  number: string;
  current: number | null;
  available: number | null;
  limit: number | null;
  currency: string;
  given: GivenNumbers;
  owner: BankAccount['owners'][number];
  portfolio?: BankAccount['portfolio'] | undefined;
  liability?: BankAccount['liability'] | undefined;
}

/** Plaid's sandbox user whose accounts are verified by micro-deposits. */
const MICRODEPOSITS_USER = 'microdeposits_good';

const COUNTRY_CURRENCY: Record<string, string> = { US: 'USD', CA: 'CAD', GB: 'GBP' };

function currencyOf(institution: SimulatedInstitution): string {
  return COUNTRY_CURRENCY[institution.countries[0] ?? 'US'] ?? 'EUR';
}

/**
 * What accounts are like follows from institution and username alone, so that a second link shows the same accounts (name, mask,
 * type, persistent id) under new ids: that is what a guard against duplicates has to notice.
 */
function open(holder: Holder, plans: readonly Plan[]): BankAccount[] {
  return plans.map((plan, index) => {
    const accountId = plaidId(holder.itemId, 'account', index);
    const debitable = plan.type === 'depository';
    const account: WireAccount = {
      account_id: accountId,
      balances: {
        available: plan.available,
        current: plan.current,
        iso_currency_code: plan.currency,
        limit: plan.limit,
        unofficial_currency_code: null,
      },
      holder_category: 'personal',
      mask: plan.mask,
      name: plan.name,
      official_name: plan.officialName,
      ...(holder.institution.tokenizesNumbers && debitable
        ? {
            persistent_account_id: plaidId(
              holder.seed,
              holder.institution.bankId,
              holder.username,
              'persistent',
              index,
            ),
          }
        : {}),
      subtype: plan.subtype,
      type: plan.type,
      ...(debitable && holder.username === MICRODEPOSITS_USER
        ? { verification_status: 'pending_automatic_verification' as const }
        : {}),
    };
    return {
      account,
      owners: [plan.owner],
      numbers: debitable
        ? accountNumbers(accountId, plan.number, plan.given, holder.institution, [holder.seed, holder.itemId])
        : NO_NUMBERS,
      ...(plan.portfolio ? { portfolio: plan.portfolio } : {}),
      ...(plan.liability ? { liability: plan.liability } : {}),
      closedAt: null,
    };
  });
}

/** Plaid's `user_good` has these masks at every institution; other names get masks of their own. */
function defaultPlans(holder: Holder, products: readonly string[]): Plan[] {
  const random = new Random(holder.seed, holder.institution.bankId, holder.username, 'accounts');
  const good = holder.username === 'user_good';
  const currency = currencyOf(holder.institution);
  const mask = (fixed: string) => (good ? fixed : random.digits(4));
  const plan = (
    masked: string,
    part: Pick<Plan, 'type' | 'subtype' | 'name' | 'officialName' | 'current' | 'available'> & Partial<Plan>,
  ): Plan => ({
    mask: masked,
    number: `111122223333${masked}`,
    limit: null,
    currency,
    given: {},
    owner: SANDBOX_OWNER,
    ...part,
  });
  /** An account that only those see who ask for its product: its mask is the same with and without the others. */
  const further = (product: string, fixed: string, part: Parameters<typeof plan>[1]): Plan[] => {
    if (!products.includes(product)) return [];
    const own = new Random(holder.seed, holder.institution.bankId, holder.username, 'account', fixed);
    return [plan(good ? fixed : own.digits(4), part)];
  };
  return [
    plan(mask('0000'), {
      type: 'depository',
      subtype: 'checking',
      name: 'Plaid Checking',
      officialName: 'Plaid Gold Standard 0% Interest Checking',
      available: 100,
      current: 110,
    }),
    plan(mask('1111'), {
      type: 'depository',
      subtype: 'savings',
      name: 'Plaid Saving',
      officialName: 'Plaid Silver Standard 0.1% Interest Saving',
      available: 200,
      current: 210,
    }),
    plan(mask('3333'), {
      type: 'credit',
      subtype: 'credit card',
      name: 'Plaid Credit Card',
      officialName: 'Plaid Diamond 12.5% APR Interest Credit Card',
      available: null,
      current: 410,
      limit: 2000,
    }),
    plan(mask('4444'), {
      type: 'depository',
      subtype: 'checking',
      name: 'Plaid Foreign Currency Checking',
      officialName: 'Plaid Foreign Currency Account',
      available: 300,
      current: 320.5,
      currency: currency === 'CAD' ? 'USD' : 'CAD',
      given: { eft_institution: '021', eft_branch: '01140' },
    }),
    ...further('investments', '5555', {
      type: 'investment',
      subtype: 'ira',
      name: 'Plaid IRA',
      officialName: null,
      available: null,
      current: 320.76,
    }),
    ...further('investments', '6666', {
      type: 'investment',
      subtype: '401k',
      name: 'Plaid 401k',
      officialName: null,
      available: null,
      current: 23631.98,
    }),
    ...further('liabilities', '7777', {
      type: 'loan',
      subtype: 'student',
      name: 'Plaid Student Loan',
      officialName: null,
      available: null,
      current: 65262,
    }),
    ...further('liabilities', '8888', {
      type: 'loan',
      subtype: 'mortgage',
      name: 'Plaid Mortgage',
      officialName: null,
      available: null,
      current: 56302.06,
    }),
  ];
}

/**
 * The accounts of a user of the sandbox: checking, savings, a credit card, and a checking account in another currency; for who asks
 * for Investments an IRA and a 401k, for who asks for Liabilities a student loan and a mortgage.
 */
export function defaultAccounts(holder: Holder, products: readonly string[]): BankAccount[] {
  return open(holder, defaultPlans(holder, products));
}

function customCurrency(custom: CustomAccount): string {
  if (custom.currency !== undefined) return custom.currency;
  if (custom.numbers?.bacs_sort_code !== undefined) return 'GBP';
  if (custom.numbers?.eft_institution !== undefined || custom.numbers?.eft_branch !== undefined) return 'CAD';
  return 'USD';
}

function givenPortfolio(
  { holdings, investment_transactions: trades }: CustomAccount,
  base: number,
): BankAccount['portfolio'] {
  return holdings || trades ? { base, given: { holdings, trades }, trades: [], prices: {} } : undefined;
}

function titled(text: string): string {
  return text.replace(/(^|\s)\S/g, (start) => start.toUpperCase());
}

/** The accounts of a custom user, in the order of the file; what the file leaves out is generated. */
export function customAccounts(holder: Holder, customs: readonly CustomAccount[]): BankAccount[] {
  return open(
    holder,
    customs.map((custom, index): Plan => {
      const random = new Random(holder.seed, holder.institution.bankId, holder.username, 'custom', index);
      const number = custom.numbers?.account ?? `111122223333${random.digits(4)}`;
      const kind = custom.subtype ?? custom.type;
      const current = custom.starting_balance ?? Number((random.next() * 5000).toFixed(2));
      const limit = custom.meta?.limit ?? null;
      const usual =
        custom.type === 'credit'
          ? limit === null
            ? null
            : Number((limit - current).toFixed(2))
          : custom.type === 'depository'
            ? current
            : null;
      const available = custom.has_null_available_balance ? null : (custom.force_available_balance ?? usual);
      return {
        type: custom.type === 'payroll' ? 'other' : custom.type,
        subtype: custom.subtype ?? null,
        name: custom.meta?.name ?? `Plaid ${titled(kind)}`,
        officialName: custom.meta?.official_name ?? `Plaid Standard ${titled(kind)} Account`,
        mask: custom.meta?.mask ?? number.slice(-4),
        number,
        current,
        available,
        limit,
        currency: customCurrency(custom),
        given: custom.numbers ?? {},
        portfolio: givenPortfolio(custom, current),
        liability: custom.liability ? { given: custom.liability, changed: {} } : undefined,
        owner: custom.identity
          ? {
              names: custom.identity.names,
              phone_numbers: custom.identity.phone_numbers ?? [],
              emails: custom.identity.emails ?? [],
              addresses: custom.identity.addresses ?? [],
            }
          : SANDBOX_OWNER,
      };
    }),
  );
}
