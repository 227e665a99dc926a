/** A piece of JSON that is made where it is needed: it writes itself and answers where it ends. */
export interface LazyJson {
  /** It takes no more bytes than this. */
  most: number;
  write: (target: Uint8Array, at: number) => number;
}

export type JsonPart = Buffer | LazyJson;

function size(part: JsonPart): number {
  return 'most' in part ? part.most : part.length;
}

/** All parts one behind the other. */
export function joinParts(
  parts: readonly JsonPart[],
  take: (bytes: number) => Buffer = (bytes) => Buffer.allocUnsafeSlow(bytes),
): Buffer {
  const target = take(parts.reduce((sum, part) => sum + size(part), 0));
  let end = 0;
  for (const part of parts) {
    if ('most' in part) end = part.write(target, end);
    else {
      target.set(part, end);
      end += part.length;
    }
  }
  return target.subarray(0, end);
}

/** How many buffers wait to be used again, and how large a buffer may be to be one of them. */
const MOST_WAITING = 8;
const LARGEST_WAITING = 4 * 1024 * 1024;

/**
 * Buffers of answers, used again once an answer is sent: fresh memory for each page of some 700 kB would have the system map its
 * pages anew, which takes as long as filling it.
 */
export class AnswerBuffers {
  private readonly waiting: Buffer[] = [];

  join(parts: readonly JsonPart[]): Buffer {
    return joinParts(parts, (bytes) => this.take(bytes));
  }

  /** The answer that `join` gave has left the process: nobody reads its bytes any more. */
  sent(answer: Buffer): void {
    const whole = Buffer.from(answer.buffer, 0, answer.buffer.byteLength);
    if (this.waiting.length < MOST_WAITING && whole.length <= LARGEST_WAITING) this.waiting.push(whole);
  }

  private take(bytes: number): Buffer {
    const fits = this.waiting.findLastIndex(({ length }) => length >= bytes);
    return fits < 0
      ? Buffer.allocUnsafeSlow(bytes)
      : (this.waiting.splice(fits, 1)[0] ?? Buffer.alloc(bytes));
  }
}
