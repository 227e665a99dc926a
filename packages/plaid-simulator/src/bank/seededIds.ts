import { plaidId } from '../ids.js';
import { keyWords, randomKey } from '../random.js';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE = ALPHABET.length;
const CODES = Uint8Array.from(Buffer.from(ALPHABET));
/** A number of 32 bits takes six characters. */
const WORD = 6;
const ID_LENGTH = 37;

/** A bijection of 32-bit numbers (the finalizer of MurmurHash3). */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The inverses of the two factors of `mix`, modulo 2^32. */
function unmix(value: number): number {
  let x = value ^ (value >>> 16);
  x = Math.imul(x, 0x7ed1b41d);
  x ^= (x >>> 13) ^ (x >>> 26);
  x = Math.imul(x, 0xa5cb9243);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Six characters. */
function writeWord(value: number, target: Uint8Array, at: number): void {
  let rest = value;
  for (let k = WORD - 1; k >= 0; k -= 1) {
    const higher = Math.floor(rest / BASE);
    target[at + k] = CODES[rest - higher * BASE] ?? 0;
    rest = higher;
  }
}

/**
 * Ids of an Item's seeded transactions, of Plaid's form. They follow from the Item and the transaction's number, look like random
 * ones, and can be read back to the number, so that no table of them is needed.
 */
export class SeededIds {
  private readonly first: number;
  private readonly second: number;
  /** What all of this Item's share. */
  private readonly tail: string;

  constructor(itemId: string) {
    const [first = 0, second = 0] = keyWords(randomKey(itemId, 'transactions'));
    this.first = first;
    this.second = second;
    this.tail = plaidId(itemId, 'transactions').slice(0, ID_LENGTH - 2 * WORD);
  }

  /** Writes an id, of 37 characters. */
  write(n: number, target: Uint8Array, at: number): void {
    writeWord(mix(n ^ this.first), target, at);
    writeWord(mix(n ^ this.second), target, at + WORD);
    for (let k = 0; k < this.tail.length; k += 1) target[at + 2 * WORD + k] = this.tail.charCodeAt(k);
  }

  id(n: number): string {
    const bytes = Buffer.alloc(ID_LENGTH);
    this.write(n, bytes, 0);
    return bytes.toString('latin1');
  }

  /** The number below `count` that this is the id of; -1 when there is none. */
  number(id: string, count: number): number {
    if (id.length !== ID_LENGTH || !id.endsWith(this.tail)) return -1;
    let value = 0;
    for (let at = 0; at < WORD; at += 1) value = value * BASE + ALPHABET.indexOf(id.charAt(at));
    if (value < 0 || value > 0xffffffff) return -1;
    const n = (unmix(value) ^ this.first) >>> 0;
    return n < count && this.id(n) === id ? n : -1;
  }
}
