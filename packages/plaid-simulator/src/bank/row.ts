import type { WireTransaction } from '../wire.js';
import { distort, type Distortion } from '../distortion.js';
import type { JsonPart, LazyJson } from '../jsonParts.js';
import { inTaxonomyV1 } from './categories.js';

/** A transaction as the bank has it: Plaid's object, and the bank's own text, which only some requests get. */
export interface BankTransaction {
  transaction: WireTransaction;
  originalDescription: string;
}

/** Makes a row's JSON when it is asked for. */
export interface SeededSource {
  n: number;
  /** Writes the row's JSON, which is ASCII; answers where it ends. `target` must have room for `MOST_SEEDED_BYTES`. */
  write: (target: Uint8Array, at: number, options: RenderOptions) => number;
}

/** No seeded row takes more bytes, a comma included. */
export const MOST_SEEDED_BYTES = 2_560;

/** One version of a transaction. A row never changes: a new version is a new row. */
export interface Row {
  readonly id: string;
  readonly accountId: string;
  readonly date: string;
  readonly pending: boolean;
  /** UTF-8 JSON with a comma before it: `,{"original_description":…,<the other members>}`. */
  readonly bytes: Buffer;
  /** Where the other members begin. */
  readonly othersAt: number;
  /** What a row that is not stored but follows from its number is made with. */
  readonly seeded?: SeededSource;
}

const ROW_START = ',{"original_description":';

/** A row that is kept as the bytes it is sent as: a page is a concatenation of these. */
export function rowOf({ transaction, originalDescription }: BankTransaction): Row {
  const description = JSON.stringify(originalDescription);
  return {
    id: transaction.transaction_id,
    accountId: transaction.account_id,
    date: transaction.date,
    pending: transaction.pending,
    bytes: Buffer.from(`${ROW_START}${description},${JSON.stringify(transaction).slice(1)}`),
    othersAt: ROW_START.length + Buffer.byteLength(description) + 1,
  };
}

/** Are these the same version of the same transaction? Rows that are not stored are made anew each time. */
export function sameRow(one: Row | null, other: Row | null): boolean {
  return (
    one === other || (one?.seeded !== undefined && other?.seeded?.n === one.seeded.n && one.id === other.id)
  );
}

/** How a request wants its transactions. */
export interface RenderOptions {
  originalDescription: boolean;
  categoryVersion: 'v1' | 'v2';
  /** What is sent distorted, by transaction id. */
  distortions?: Readonly<Record<string, Distortion>> | undefined;
}

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');
const COMMA = ','.charCodeAt(0);
const BRACE = Buffer.from('{');
const COMMA_BRACE = Buffer.from(',{');

/** The JSON array of these transactions, in parts to be joined. */
export function renderRows(rows: readonly Row[], options: RenderOptions): JsonPart[] {
  const parts: JsonPart[] = [OPEN];
  let run: SeededSource[] = [];
  const flush = () => {
    if (run.length > 0) parts.push(seededRun(run, options, parts.length > 1));
    run = [];
  };
  rows.forEach((row, index) => {
    const distortion = options.distortions?.[row.id];
    if (distortion) {
      flush();
      parts.push(
        Buffer.from(
          `${index === 0 ? '' : ','}${JSON.stringify(distort(objectOf(row, options), distortion))}`,
        ),
      );
      return;
    }
    if (row.seeded) {
      run.push(row.seeded);
      return;
    }
    flush();
    if (options.categoryVersion === 'v1') {
      parts.push(Buffer.from(`${index === 0 ? '' : ','}${JSON.stringify(objectOf(row, options))}`));
    } else if (options.originalDescription) {
      parts.push(index === 0 ? row.bytes.subarray(1) : row.bytes);
    } else {
      parts.push(index === 0 ? BRACE : COMMA_BRACE, row.bytes.subarray(row.othersAt));
    }
  });
  flush();
  parts.push(CLOSE);
  return parts;
}

/** Seeded rows one behind the other. */
function seededRun(rows: readonly SeededSource[], options: RenderOptions, comma: boolean): LazyJson {
  return {
    most: rows.length * MOST_SEEDED_BYTES,
    write: (target, at) => {
      let end = at;
      rows.forEach((row, index) => {
        if (comma || index > 0) target[end++] = COMMA;
        end = row.write(target, end, options);
      });
      return end;
    },
  };
}

/** A row as the object that is sent. */
function objectOf(row: Row, { originalDescription: described, categoryVersion }: RenderOptions): object {
  const { transaction, originalDescription } = parseRow(row);
  return {
    ...(described ? { original_description: originalDescription } : {}),
    ...(categoryVersion === 'v1' ? inTaxonomyV1(transaction) : transaction),
  };
}

export function parseRow(row: Row): BankTransaction {
  const { original_description: originalDescription, ...transaction } = JSON.parse(
    row.bytes.toString('utf8', 1),
  ) as WireTransaction & { original_description: string };
  return { transaction, originalDescription };
}
