import type { WireLegacyCategory, WireTransaction } from '../wire.js';

/**
 * Personal finance categories (detailed → the legacy category id and path that Plaid still sends beside them). Names are those
 * of Plaid's taxonomy v2; `V1_NAMES` gives the older name where v1 calls it otherwise.
 */
const LEGACY: Record<string, readonly [id: string, ...path: string[]]> = {
  BANK_FEES_FOREIGN_TRANSACTION_FEES: ['10005000', 'Bank Fees', 'Foreign Transaction'],
  ENTERTAINMENT_MUSIC_AND_AUDIO: ['17001000', 'Recreation', 'Arts and Entertainment'],
  ENTERTAINMENT_TV_AND_MOVIES: ['17001009', 'Recreation', 'Arts and Entertainment', 'Movie Theatres'],
  FOOD_AND_DRINK_COFFEE: ['13005043', 'Food and Drink', 'Restaurants', 'Coffee Shop'],
  FOOD_AND_DRINK_FAST_FOOD: ['13005032', 'Food and Drink', 'Restaurants', 'Fast Food'],
  FOOD_AND_DRINK_GROCERIES: ['19047000', 'Shops', 'Supermarkets and Groceries'],
  FOOD_AND_DRINK_RESTAURANT: ['13005000', 'Food and Drink', 'Restaurants'],
  GENERAL_MERCHANDISE_BOOKSTORES_AND_NEWSSTANDS: ['19004000', 'Shops', 'Bookstores'],
  GENERAL_MERCHANDISE_CLOTHING_AND_ACCESSORIES: ['19012000', 'Shops', 'Clothing and Accessories'],
  GENERAL_MERCHANDISE_ELECTRONICS: ['19013000', 'Shops', 'Computers and Electronics'],
  GENERAL_MERCHANDISE_ONLINE_MARKETPLACES: ['19019000', 'Shops', 'Digital Purchase'],
  GENERAL_MERCHANDISE_SUPERSTORES: ['19046000', 'Shops', 'Superstores'],
  GENERAL_SERVICES_INSURANCE: ['18030000', 'Service', 'Insurance'],
  HOME_IMPROVEMENT_HARDWARE: ['19025000', 'Shops', 'Hardware Store'],
  INCOME_INTEREST_EARNED: ['15001000', 'Interest', 'Interest Earned'],
  INCOME_SALARY: ['21009000', 'Transfer', 'Payroll'],
  LOAN_PAYMENTS_CREDIT_CARD_PAYMENT: ['16001000', 'Payment', 'Credit Card'],
  MEDICAL_PHARMACIES_AND_SUPPLEMENTS: ['19043000', 'Shops', 'Pharmacies'],
  OTHER_OTHER: ['18000000', 'Service'],
  PERSONAL_CARE_GYMS_AND_FITNESS_CENTERS: ['17018000', 'Recreation', 'Gyms and Fitness Centers'],
  RENT_AND_UTILITIES_GAS_AND_ELECTRICITY: ['18068000', 'Service', 'Utilities'],
  RENT_AND_UTILITIES_INTERNET_AND_CABLE: ['18031000', 'Service', 'Internet Services'],
  RENT_AND_UTILITIES_RENT: ['16002000', 'Payment', 'Rent'],
  RENT_AND_UTILITIES_TELEPHONE: ['18063000', 'Service', 'Telecommunication Services'],
  TRANSFER_IN_ACCOUNT_TRANSFER: ['21001000', 'Transfer', 'Internal Account Transfer'],
  TRANSFER_OUT_ACCOUNT_TRANSFER: ['21001000', 'Transfer', 'Internal Account Transfer'],
  TRANSFER_OUT_WITHDRAWAL: ['21012000', 'Transfer', 'Withdrawal'],
  TRANSPORTATION_GAS: ['22009000', 'Travel', 'Gas Stations'],
  TRANSPORTATION_PUBLIC_TRANSIT: ['22014000', 'Travel', 'Public Transportation Services'],
  TRANSPORTATION_TAXIS_AND_RIDE_SHARES: ['22016000', 'Travel', 'Taxi'],
  TRAVEL_FLIGHTS: ['22001000', 'Travel', 'Airlines and Aviation Services'],
  TRAVEL_LODGING: ['22012000', 'Travel', 'Lodging'],
};

const PRIMARIES = [
  'BANK_FEES',
  'ENTERTAINMENT',
  'FOOD_AND_DRINK',
  'GENERAL_MERCHANDISE',
  'GENERAL_SERVICES',
  'HOME_IMPROVEMENT',
  'INCOME',
  'LOAN_PAYMENTS',
  'MEDICAL',
  'OTHER',
  'PERSONAL_CARE',
  'RENT_AND_UTILITIES',
  'TRANSFER_IN',
  'TRANSFER_OUT',
  'TRANSPORTATION',
  'TRAVEL',
];

/** Groups of legacy categories that happen at a place; all others are `special`. */
const PLACE_GROUPS = new Set(['Food and Drink', 'Recreation', 'Service', 'Shops', 'Travel']);

/** Plaid's legacy categories in the order of their ids: those that a transaction here can bear. */
export function legacyCategories(): WireLegacyCategory[] {
  const known = new Map(Object.values(LEGACY).map(([id, ...hierarchy]) => [id, hierarchy]));
  return [...known]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([category_id, hierarchy]) => ({
      category_id,
      group: PLACE_GROUPS.has(hierarchy[0] ?? '') ? 'place' : 'special',
      hierarchy,
    }));
}

export type TaxonomyVersion = 'v1' | 'v2';

/** A category of v2 by the names of the version that a request asks for. */
export function inVersion(
  category: WireTransaction['personal_finance_category'],
  version: TaxonomyVersion,
): WireTransaction['personal_finance_category'] {
  if (!category || version === 'v2') return category;
  return { ...category, detailed: V1_NAMES[category.detailed] ?? category.detailed, version };
}

/** What taxonomy v1 calls a category that v2 has renamed. */
const V1_NAMES: Record<string, string> = { INCOME_SALARY: 'INCOME_WAGES' };

export type DetailedCategory = keyof typeof LEGACY;

export interface Category {
  primary: string;
  detailed: string;
  iconUrl: string;
  legacyId: string;
  legacyPath: string[];
}

/** The category of this detailed name; one that the table does not know keeps its name under the primary it starts with. */
export function categoryOf(detailed: DetailedCategory): Category {
  const [legacyId, ...legacyPath] = LEGACY[detailed] ?? LEGACY['OTHER_OTHER'] ?? ['18000000', 'Service'];
  const primary = PRIMARIES.find((name) => detailed.startsWith(`${name}_`)) ?? 'OTHER';
  return {
    primary,
    detailed,
    iconUrl: `https://plaid-category-icons.plaid.com/PFC_${primary}.png`,
    legacyId,
    legacyPath,
  };
}

/** The same transaction under the names of the older taxonomy. */
export function inTaxonomyV1(transaction: WireTransaction): WireTransaction {
  return {
    ...transaction,
    personal_finance_category: inVersion(transaction.personal_finance_category, 'v1'),
  };
}
