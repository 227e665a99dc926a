/** Years 1 to 9999: what ISO 8601 writes with four digits, and PostgreSQL takes as a time of our era. */
const first = Date.parse('0001-01-01T00:00:00.000Z');
const lastText = '9999-12-31T23:59:59.999Z';
const last = Date.parse(lastText);

/** A time that a foreign system wrote, as ISO 8601 in milliseconds; null when it is none, or in no year that can be stored. */
export function instantOf(value: unknown): string | null {
  const at = typeof value === 'string' && !value.includes('\u0000') ? Date.parse(value) : Number.NaN;
  return at >= first && at <= last ? new Date(at).toISOString() : null;
}

/** A time that PostgreSQL wrote, as ISO 8601: of one in a year that cannot be written so the last that can. It may be written back. */
export const writtenBack = (value: string): string => instantOf(value) ?? lastText;
