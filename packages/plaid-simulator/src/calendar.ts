export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const CIVIL_DATE = /^\d{4}-\d{2}-\d{2}$/;

/** The UTC calendar day of an instant, `YYYY-MM-DD`. Dates of transactions carry no time zone. */
export function civilDate(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}

/** Is this a day that exists, written `YYYY-MM-DD`? */
export function isCivilDate(text: string): boolean {
  if (!CIVIL_DATE.test(text)) return false;
  const epochMs = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(epochMs) && civilDate(epochMs) === text;
}

export function addDays(date: string, days: number): string {
  return civilDate(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS);
}

/** Days from one date to another; negative when that one is earlier. */
export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS);
}

/** The last instant that is written with a year of four digits, as everywhere at Plaid. */
export const LAST_INSTANT_MS = Date.parse('9999-12-31T23:59:59.999Z');

export function instant(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

const DURATION =
  /^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** An ISO 8601 duration of weeks, days, hours, minutes and seconds (`PT36H`) in milliseconds; `null` when it is none. */
export function durationMs(text: string): number | null {
  const match = DURATION.exec(text);
  if (!match || text === 'P' || text.endsWith('T')) return null;
  const [weeks, days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return (
    ((weeks ?? 0) * 7 + (days ?? 0)) * DAY_MS +
    (hours ?? 0) * HOUR_MS +
    (minutes ?? 0) * MINUTE_MS +
    (seconds ?? 0) * 1000
  );
}
