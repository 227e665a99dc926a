import { storable } from '../domain/mining/oddValues.js';

/** What jsonb refuses in a text: the NUL escape, and halves of surrogate pairs. */
const suspicious = /\\u0000|\\ud[89a-f]/i;

/** Whether a value's JSON text *may* hold what jsonb refuses. A doubled backslash before `u0000` is a false alarm. */
export const maySpoil = (jsonText: string): boolean =>
  // Nearly every text has no escape of the kind at all, which is seen much faster.
  jsonText.includes('\\u') && suspicious.test(jsonText);

/** A value's JSON text as jsonb takes it. Values are rebuilt only where their text may hold what it refuses. */
export function jsonbText(value: unknown): string {
  const text = JSON.stringify(value);
  return maySpoil(text) ? JSON.stringify(cleaned(value).value) : text;
}

/** The value with NULs and lone surrogates in texts and keys replaced by U+FFFD, and whether there were any. */
export function cleaned<T>(value: T): { value: T; sanitized: boolean } {
  let sanitized = false;
  const text = (dirty: string): string => {
    const clean = storable(dirty);
    if (clean !== dirty) sanitized = true;
    return clean;
  };
  const walk = (node: unknown): unknown => {
    if (typeof node === 'string') return text(node);
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, inner]) => [text(key), walk(inner)]));
  };
  return { value: walk(value) as T, sanitized };
}
