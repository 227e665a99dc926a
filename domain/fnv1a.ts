const offset = 0xcbf29ce484222325n;
const prime = 0x100000001b3n;

/**
 * FNV-1a, 64 bits, as 16 hexadecimal digits. Workflow code needs a hash that is pure and the same for ever, and has no
 * `node:crypto`. It spreads ids and keeps no secret: whoever wants two texts with one hash can find them.
 *
 * A character beyond ASCII goes in by the two bytes of each of its UTF-16 units.
 */
export function fnv1a(text: string): string {
  let hash = offset;
  const take = (byte: number): void => {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * prime);
  };
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    take(unit & 0xff);
    if (unit > 0x7f) take(unit >> 8);
  }
  return hash.toString(16).padStart(16, '0');
}
