import type { WireAccount } from '../wire.js';
import { inTaxonomyV1 } from './categories.js';
import { MOST_SEEDED_BYTES, type BankTransaction, type RenderOptions } from './row.js';

/** What differs between two rows of one stamp, each always of the same number of ASCII characters. */
const WIDTHS = {
  id: 37,
  account: 37,
  date: 10,
  authorizedDate: 10,
  /** `HH:MM`. */
  time: 5,
  store: 4,
  check: 4,
  /** Twelve digits of the bank's own text. */
  reference: 12,
  /** Eight of them. */
  shortReference: 8,
} as const;
export type Slot = keyof typeof WIDTHS;
const LONGEST_AMOUNT = 24;
const SLOTS = Object.keys(WIDTHS) as Slot[];

/** Characters that stand for a slot in JSON: private ones, which no text of ours has and JSON does not escape. */
const FIRST_PLACEHOLDER = 0xe000;
const AMOUNT_PLACEHOLDER = String.fromCharCode(FIRST_PLACEHOLDER + SLOTS.length);

/** Stands for a slot's value in the transaction that a stamp is made of. */
export function placeholder(slot: Slot): string {
  return String.fromCharCode(FIRST_PLACEHOLDER + SLOTS.indexOf(slot)).repeat(WIDTHS[slot]);
}

/** Stands for the amount, which alone has no fixed width. */
export const PLACEHOLDER_AMOUNT = AMOUNT_PLACEHOLDER as unknown as number;
/** An account of which only the id is known to be asked for. */
export const PLACEHOLDER_ACCOUNT = { account_id: placeholder('account') } as WireAccount;

/** Where the values of the row that is being made are put. */
export class StampValues {
  readonly bytes = new Uint8Array(Object.values(WIDTHS).reduce((sum, width) => sum + width, 0));
  amount = '';

  static at(slot: Slot): number {
    let at = 0;
    for (const before of SLOTS) {
      if (before === slot) return at;
      at += WIDTHS[before];
    }
    return at;
  }

  put(at: number, text: string): void {
    for (let k = 0; k < text.length; k += 1) this.bytes[at + k] = text.charCodeAt(k);
  }
}

/** Three numbers for each slot in a part: where it is in the part, where its value is, how wide it is. */
interface Part {
  bytes: Uint8Array;
  patches: number[];
}

/**
 * JSON of a kind of row, as bytes in which only some places differ from row to row: a page of rows is a few copies and patches,
 * which takes a fifth of the time that putting strings together does.
 */
export class RowStamp {
  private readonly head: Part;
  private readonly tail: Part;

  /** Of a transaction that has placeholders where rows differ; without `originalDescription` the bank's own text is left out. */
  constructor({ transaction, originalDescription }: BankTransaction, options: RenderOptions) {
    const json = JSON.stringify({
      ...(options.originalDescription ? { original_description: originalDescription } : {}),
      ...(options.categoryVersion === 'v1' ? inTaxonomyV1(transaction) : transaction),
    });
    const [head, tail] = json.split(`"${AMOUNT_PLACEHOLDER}"`);
    if (head === undefined || tail === undefined)
      throw new Error('a stamp needs the placeholder of the amount');
    if (json.length + LONGEST_AMOUNT > MOST_SEEDED_BYTES) throw new Error('a stamp is too long');
    this.head = partOf(head);
    this.tail = partOf(tail);
  }

  /** Writes a row; answers where it ends. */
  write(values: StampValues, target: Uint8Array, at: number): number {
    let end = writePart(this.head, values.bytes, target, at);
    for (let k = 0; k < values.amount.length; k += 1) target[end++] = values.amount.charCodeAt(k);
    return writePart(this.tail, values.bytes, target, end);
  }
}

function partOf(text: string): Part {
  const patches: number[] = [];
  SLOTS.forEach((slot, index) => {
    const sought = String.fromCharCode(FIRST_PLACEHOLDER + index).repeat(WIDTHS[slot]);
    for (let at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, at + 1)) {
      patches.push(at, StampValues.at(slot), WIDTHS[slot]);
    }
  });
  return { bytes: Uint8Array.from(Buffer.from(text, 'latin1')), patches };
}

function writePart({ bytes, patches }: Part, values: Uint8Array, target: Uint8Array, at: number): number {
  target.set(bytes, at);
  for (let p = 0; p < patches.length; p += 3) {
    const to = at + (patches[p] ?? 0);
    const from = patches[p + 1] ?? 0;
    const width = patches[p + 2] ?? 0;
    for (let k = 0; k < width; k += 1) target[to + k] = values[from + k] ?? 0;
  }
  return at + bytes.length;
}
