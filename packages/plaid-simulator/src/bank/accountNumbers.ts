import { Random } from '../random.js';
import type { WireNumbers } from '../wire.js';
import { NO_NUMBERS } from './account.js';
import type { SimulatedInstitution } from './institutions.js';

/** What a user (a custom one, or the seeded data) says about an account's numbers. */
export interface GivenNumbers {
  account?: string;
  ach_routing?: string;
  ach_wire_routing?: string;
  eft_institution?: string;
  eft_branch?: string;
  international_bic?: string;
  international_iban?: string;
  bacs_sort_code?: string;
}

/** The routing numbers of Plaid's sandbox. */
const ACH_ROUTING = '011401533';
const WIRE_ROUTING = '021000021';

/** The same numbers under another account id. */
export function withAccountId(numbers: WireNumbers, accountId: string): WireNumbers {
  return {
    ach: numbers.ach.map((ach) => ({ ...ach, account_id: accountId })),
    eft: numbers.eft.map((eft) => ({ ...eft, account_id: accountId })),
    international: numbers.international.map((iban) => ({ ...iban, account_id: accountId })),
    bacs: numbers.bacs.map((bacs) => ({ ...bacs, account_id: accountId })),
  };
}

/** The tokenised number that the bank gives out in place of a revoked one; it follows from that one. */
export function renewedNumbers(numbers: WireNumbers): WireNumbers {
  return {
    ...numbers,
    ach: numbers.ach.map((ach) => ({
      ...ach,
      account: new Random('renewed', ach.account_id, ach.account).digits(ach.account.length),
    })),
  };
}

/**
 * The numbers of one account. Which kinds there are follows from what is given, else from the institution's country.
 * A tokenised number is another one for each Item, though the account is the same.
 */
export function accountNumbers(
  accountId: string,
  plain: string,
  given: GivenNumbers,
  institution: SimulatedInstitution,
  itemScope: readonly (string | number)[],
): WireNumbers {
  const country = institution.countries[0];
  const says = (...keys: (keyof GivenNumbers)[]) => keys.some((key) => given[key] !== undefined);
  const ach = says('ach_routing', 'ach_wire_routing');
  const eft = says('eft_institution', 'eft_branch');
  const bacs = says('bacs_sort_code');
  const international = says('international_bic', 'international_iban');
  const unsaid = !ach && !eft && !bacs && !international;
  const numbers: WireNumbers = { ...NO_NUMBERS };
  const random = new Random(...itemScope, 'number', plain);
  const account = institution.tokenizesNumbers ? random.digits(16) : plain;
  if (ach || (unsaid && country === 'US')) {
    numbers.ach = [
      {
        account,
        account_id: accountId,
        can_transfer_in: true,
        can_transfer_out: true,
        is_tokenized_account_number: institution.tokenizesNumbers,
        routing: given.ach_routing ?? institution.routingNumbers[0] ?? ACH_ROUTING,
        wire_routing: institution.tokenizesNumbers ? null : (given.ach_wire_routing ?? WIRE_ROUTING),
      },
    ];
  }
  if (eft || (unsaid && country === 'CA')) {
    numbers.eft = [
      {
        account: plain.slice(0, 12),
        account_id: accountId,
        branch: given.eft_branch ?? '01140',
        institution: given.eft_institution ?? '021',
      },
    ];
  }
  if (bacs || (unsaid && country === 'GB')) {
    numbers.bacs = [
      { account: plain.slice(-8), account_id: accountId, sort_code: given.bacs_sort_code ?? '601613' },
    ];
  }
  if (international || (unsaid && country === 'GB')) {
    numbers.international = [
      {
        account_id: accountId,
        bic: given.international_bic ?? 'NWBKGB21',
        iban: given.international_iban ?? `GB29NWBK601613${plain.slice(-8)}`,
      },
    ];
  }
  return numbers;
}
