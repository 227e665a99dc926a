import type { WireTransaction } from '../wire.js';
import { V1_NAMES } from './categories.js';

/** A transaction as the bank has it: Plaid's object, and the bank's own text, which only some requests get. */
export interface BankTransaction {
  transaction: WireTransaction;
  originalDescription: string;
}

/**
 * One version of a transaction, rendered once: a page of 500 is a concatenation of these bytes. A row never changes: a new version
 * is a new row.
 */
export interface Row {
  id: string;
  accountId: string;
  date: string;
  pending: boolean;
  /** UTF-8 JSON with a comma before it: `,{"original_description":…,<the other members>}`. */
  bytes: Buffer;
  /** Where the other members begin. */
  othersAt: number;
}

const START = ',{"original_description":';

export function rowOf({ transaction, originalDescription }: BankTransaction): Row {
  const description = JSON.stringify(originalDescription);
  return {
    id: transaction.transaction_id,
    accountId: transaction.account_id,
    date: transaction.date,
    pending: transaction.pending,
    bytes: Buffer.from(`${START}${description},${JSON.stringify(transaction).slice(1)}`),
    othersAt: START.length + Buffer.byteLength(description) + 1,
  };
}

/** How a request wants its transactions. */
export interface RenderOptions {
  originalDescription: boolean;
  categoryVersion: 'v1' | 'v2';
}

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');
const COMMA_BRACE = Buffer.from(',{');
const BRACE = Buffer.from('{');

/** The JSON array of these transactions, in parts to be concatenated. */
export function renderRows(rows: readonly Row[], options: RenderOptions): Buffer[] {
  const parts: Buffer[] = [OPEN];
  rows.forEach((row, index) => {
    if (options.categoryVersion === 'v1') {
      parts.push(Buffer.from(`${index === 0 ? '' : ','}${renderV1(row, options)}`));
    } else if (options.originalDescription) {
      parts.push(index === 0 ? row.bytes.subarray(1) : row.bytes);
    } else {
      parts.push(index === 0 ? BRACE : COMMA_BRACE, row.bytes.subarray(row.othersAt));
    }
  });
  parts.push(CLOSE);
  return parts;
}

function renderV1(row: Row, options: RenderOptions): string {
  const { transaction, originalDescription } = parseRow(row);
  const category = transaction.personal_finance_category;
  return JSON.stringify({
    ...(options.originalDescription ? { original_description: originalDescription } : {}),
    ...transaction,
    personal_finance_category: category && {
      ...category,
      detailed: V1_NAMES[category.detailed] ?? category.detailed,
      version: 'v1',
    },
  });
}

export function parseRow(row: Row): BankTransaction {
  const { original_description: originalDescription, ...transaction } = JSON.parse(
    row.bytes.toString('utf8', 1),
  ) as WireTransaction & { original_description: string };
  return { transaction, originalDescription };
}
