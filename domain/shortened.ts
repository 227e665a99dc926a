import { fnv1a } from './fnv1a.js';

function bytesOf(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x1_0000 ? 3 : 4;
}

/** How many bytes the text has in UTF-8. */
function utf8Bytes(text: string): number {
  let bytes = 0;
  for (const character of text) bytes += bytesOf(character);
  return bytes;
}

/**
 * The text where it has at most `limit` bytes in UTF-8; else its beginning, `~` and its hash within as many. The same text
 * gives always the same, and in practice every other text another. `limit` is at least 17.
 */
export function shortened(text: string, limit: number): string {
  if (utf8Bytes(text) <= limit) return text;
  const tail = `~${fnv1a(text)}`;
  let head = '';
  let left = limit - tail.length;
  for (const character of text) {
    left -= bytesOf(character);
    if (left < 0) break;
    head += character;
  }
  return head + tail;
}
