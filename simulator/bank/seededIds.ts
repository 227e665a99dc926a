import { keyWords, randomKey } from '../random.js';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE = ALPHABET.length;
/** All texts of two characters, by number. */
const PAIRS = Array.from(
  { length: BASE * BASE },
  (_, n) => `${ALPHABET.charAt(Math.floor(n / BASE))}${ALPHABET.charAt(n % BASE)}`,
);
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

function wordText(value: number): string {
  const high = Math.floor(value / (BASE * BASE * BASE * BASE));
  const middle = Math.floor(value / (BASE * BASE)) % (BASE * BASE);
  return `${PAIRS[high] ?? ''}${PAIRS[middle] ?? ''}${PAIRS[value % (BASE * BASE)] ?? ''}`;
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
    const words = keyWords(randomKey(itemId, 'transactions', 'tail'));
    const more = keyWords(randomKey(itemId, 'transactions', 'more'));
    this.tail = [...words, ...more]
      .map((word) => wordText(word >>> 0))
      .join('')
      .slice(0, ID_LENGTH - 2 * WORD);
  }

  id(n: number): string {
    return `${wordText(mix(n ^ this.first))}${wordText(mix(n ^ this.second))}${this.tail}`;
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
