import { Big } from 'big.js';

/** Readers of single values of Plaid's: whatever JSON stands there, what is given is of the promised type or null. */

export type JsonObject = Record<string, unknown>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Plaid's JSON number as a plain decimal string: 1e-7 becomes 0.0000001, nothing is rounded. */
export function decimal(value: number): string {
  return new Big(value).toFixed();
}

/** As the database keeps a text: it takes neither NUL nor half of a surrogate pair. */
export const storable = (text: string): string => text.toWellFormed().replaceAll('\u0000', '\uFFFD');

/** A text as it is, a number as its decimal text. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isFinite(value) ? decimal(value) : null;
}

/** The same, where an empty text says nothing. */
export const wordOf = (value: unknown): string | null => textOf(value) || null;

const decimalText = /^-?(0|[1-9]\d{0,30})(\.\d{1,30})?$/;

/** A number, or a text that is one, as a plain decimal string. */
export function moneyOf(value: unknown): string | null {
  if (typeof value === 'string') return decimalText.test(value) ? value : null;
  return textOf(value);
}

const calendarDate = /^\d{4}-\d{2}-\d{2}$/;
const daysOfMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Whether the text names a day that exists; `Date.parse` takes 2026-02-31 for a day in March, and knows a year 0. */
export function isCalendarDate(text: string): boolean {
  if (!calendarDate.test(text)) return false;
  const year = Number(text.slice(0, 4));
  const month = Number(text.slice(5, 7));
  const day = Number(text.slice(8));
  const leapDay = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  return year > 0 && day > 0 && day <= (daysOfMonth[month - 1] ?? 0) + leapDay;
}

export const dateOf = (value: unknown): string | null =>
  typeof value === 'string' && isCalendarDate(value) ? value : null;

const moment = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** A time of a day that exists, with its zone, as RFC 3339 writes it. */
export function momentOf(value: unknown): string | null {
  const day = typeof value === 'string' ? moment.exec(value)?.[1] : undefined;
  return day !== undefined && isCalendarDate(day) ? (value as string) : null;
}

/** What Plaid sends nests four levels deep; what nests without end overflows every stack on its way, PostgreSQL's too. */
const deepest = 64;

export function isTooDeep(value: unknown, levels = deepest): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  // Asked of every row: to go through the values costs a third of going through the keys.
  const inner: unknown[] = Array.isArray(value) ? value : Object.values(value);
  for (const one of inner) {
    if (typeof one === 'object' && one !== null && isTooDeep(one, levels - 1)) return true;
  }
  return false;
}

/** The value with null in the place of what is too deep. */
export function shallow(value: unknown, levels = deepest): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (levels === 0) return null;
  if (Array.isArray(value)) return value.map((inner) => shallow(inner, levels - 1));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shallow(inner, levels - 1)]));
}
