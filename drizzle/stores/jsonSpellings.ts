/** For a regular expression of PostgreSQL: the bytes as `encode(…, 'escape')` writes them. */
const bytes = (text: string): string =>
  [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      if (byte >= 0x80) return `\\\\${byte.toString(8)}`;
      if (character === '\\') return '\\\\\\\\';
      return /\w/.test(character) ? character : `\\${character}`;
    })
    .join('');

/** `\uXXXX` for each unit, in small or capital digits. */
const escapes = (character: string): string =>
  character
    .split('')
    .map((unit) => {
      const digits = unit.charCodeAt(0).toString(16).padStart(4, '0');
      return bytes('\\u') + digits.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
    })
    .join('');

/**
 * A regular expression of PostgreSQL by which bytes that `encode(…, 'escape')` has written hold `text` as a text of JSON, in which a sender may escape
 * any character: what is beyond ASCII (Python, PHP), slashes (PHP), or what means something in HTML (Go, .NET).
 */
export function jsonSpellings(text: string): string {
  const characters = Array.from(text, (character) => {
    const plainly = character === '"' || character === '\\' ? [] : [bytes(character)];
    const shortly = '"\\/'.includes(character) ? [bytes(`\\${character}`)] : [];
    return `(?:${[...plainly, ...shortly, escapes(character)].join('|')})`;
  });
  return `"${characters.join('')}"`;
}
