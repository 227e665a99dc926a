import { createHash } from 'node:crypto';

const MIXING_ROUNDS = 10;

/** A key for `Random.restart` that follows from its parts. */
export function randomKey(...scope: (string | number)[]): string {
  return createHash('sha256').update(scope.join('\u0000')).digest('hex').slice(0, 32);
}

/** The words of a key. */
export function keyWords(key: string): Int32Array {
  const bytes = Buffer.from(key, 'hex');
  return Int32Array.from({ length: 4 }, (_, word) => bytes.readInt32LE(word * 4));
}

/**
 * A seeded stream of random numbers (sfc32 over a SHA-256 of the scope). The same scope gives the same stream on every
 * machine and run, which is what makes a world reproducible from its seed.
 */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor(...scope: (string | number)[]) {
    const digest = createHash('sha256').update(scope.join('\u0000')).digest();
    this.a = digest.readInt32LE(0);
    this.b = digest.readInt32LE(4);
    this.c = digest.readInt32LE(8);
    this.d = digest.readInt32LE(12);
  }

  /** Begins the stream of one numbered thing under a key of 128 bits: cheap enough for each row of a page. */
  restart(key: Int32Array, n: number): void {
    this.a = (key[0] ?? 0) ^ n;
    this.b = key[1] ?? 0;
    this.c = key[2] ?? 0;
    this.d = (key[3] ?? 0) + n;
    // Neighbouring numbers differ in a few bits only: these rounds spread them over the whole state.
    for (let round = 0; round < MIXING_ROUNDS; round += 1) this.next();
  }

  /** A number in [0, 1). */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return (t >>> 0) / 4294967296;
  }

  /** An integer in [min, max], both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[Math.floor(this.next() * list.length)];
    if (picked === undefined) throw new Error('Random.pick needs a list that is not empty');
    return picked;
  }

  /** One entry, drawn by its weight. */
  weighted<T extends { weight: number }>(list: readonly T[]): T {
    let rest = this.next() * list.reduce((sum, entry) => sum + entry.weight, 0);
    for (const entry of list) {
      rest -= entry.weight;
      if (rest < 0) return entry;
    }
    return this.pick(list);
  }

  digits(length: number): string {
    let text = '';
    while (text.length < length) text += String(this.integer(0, 9));
    return text;
  }
}
