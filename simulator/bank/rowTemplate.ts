import type { WireAccount, WireTransaction } from '../wire.js';
import type { BankTransaction } from './row.js';
import { V1_NAMES } from './categories.js';

/** What differs between two rows of one template. Each value is JSON text: strings come with their quotes. */
export const SLOTS = [
  'id',
  'account',
  'amount',
  'authorizedDate',
  'authorizedDatetime',
  'date',
  'currency',
  'name',
  'description',
  'confidence',
  'store',
  'check',
] as const;
type Slot = (typeof SLOTS)[number];

/** The values of one row, in the order of `SLOTS`. */
export type SlotValues = Record<Slot, string>;

/** JSON of a kind of row as literals with slots between them: rendering a row is joining strings, and nothing but ASCII is in them. */
export interface RowTemplate {
  literals: string[];
  slots: Slot[];
}

const MARKER = /"⟦(\w+)⟧"/;

/** Stands for a slot's value in the transaction that a template is made of; the type is that of the field it is put in. */
export function marker<T = string>(slot: Slot): T {
  return `⟦${slot}⟧` as T;
}

/** An account of which only the id is known to be asked for. */
export const MARKED_ACCOUNT = { account_id: marker('account') } as WireAccount;

/** A template of a transaction that has markers for what differs. Without `originalDescription` the bank's own text is left out. */
export function rowTemplate(
  { transaction, originalDescription }: BankTransaction,
  options: { originalDescription: boolean; categoryVersion: 'v1' | 'v2' },
): RowTemplate {
  const json = JSON.stringify({
    ...(options.originalDescription ? { original_description: originalDescription } : {}),
    ...(options.categoryVersion === 'v1' ? inTaxonomyV1(transaction) : transaction),
  });
  const parts = json.split(MARKER);
  const literals = parts.filter((_, index) => index % 2 === 0);
  return { literals, slots: parts.filter((_, index) => index % 2 === 1) as Slot[] };
}

export function fillTemplate({ literals, slots }: RowTemplate, values: SlotValues): string {
  let text = literals[0] ?? '';
  for (let n = 0; n < slots.length; n += 1) text += values[slots[n] as Slot] + (literals[n + 1] ?? '');
  return text;
}

/** The same transaction under the names of the older taxonomy. */
export function inTaxonomyV1(transaction: WireTransaction): WireTransaction {
  const category = transaction.personal_finance_category;
  return {
    ...transaction,
    personal_finance_category: category && {
      ...category,
      detailed: V1_NAMES[category.detailed] ?? category.detailed,
      version: 'v1',
    },
  };
}
