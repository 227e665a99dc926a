import { createHash, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PLAID_ID_LENGTH = 37;
const REQUEST_ID_LENGTH = 15;

function base62(bytes: Uint8Array, length: number): string {
  let text = '';
  for (let i = 0; i < length; i += 1) text += ALPHABET[(bytes[i] ?? 0) % 62];
  return text;
}

function digest(...parts: (string | number)[]): Buffer {
  return createHash('sha512').update(parts.join('\u0000')).digest();
}

/** An id of Plaid's form (37 case-sensitive letters and digits) that follows from its parts alone. */
export function plaidId(...parts: (string | number)[]): string {
  return base62(digest(...parts), PLAID_ID_LENGTH);
}

/** A UUID that follows from its parts alone. */
export function derivedUuid(...parts: (string | number)[]): string {
  const bytes = digest(...parts).subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [8, 12, 16, 20, 32].map((end, i, ends) => hex.slice(i ? ends[i - 1] : 0, end)).join('-');
}

/** Plaid's `request_id`: 15 case-sensitive characters, never repeated. */
export function requestId(): string {
  return base62(randomBytes(REQUEST_ID_LENGTH), REQUEST_ID_LENGTH);
}

/** Numbers the things of one world, so that their ids follow from the world's seed and the order of creation. */
export class IdFactory {
  constructor(
    readonly seed: string,
    private counter = 0,
  ) {}

  get issued(): number {
    return this.counter;
  }

  id(kind: string): string {
    return plaidId(this.seed, kind, this.counter++);
  }

  uuid(kind: string): string {
    return derivedUuid(this.seed, kind, this.counter++);
  }
}
