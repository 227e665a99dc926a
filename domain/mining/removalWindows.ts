/** How far around a named transaction's date it is looked for: posting may have moved it. */
const marginDays = 3;
/** Between the first and the last date that are looked up together: a long window has many pages, of which Plaid gives few a minute. */
const spanDays = 7;
const dayMs = 86_400_000;

/** The dates that Plaid takes are those of four digits. */
const earliest = Date.parse('0001-01-01T00:00:00Z');
const latest = Date.parse('9999-12-31T00:00:00Z');

/** Transactions whose dates lie near each other, and the dates (YYYY-MM-DD, both inclusive) within which Plaid lists them. */
export interface RemovalWindow {
  from: string;
  to: string;
  ids: string[];
}

const timeOf = (date: string): number => Date.parse(`${date}T00:00:00Z`);

const dateOf = (time: number): string =>
  new Date(Math.min(Math.max(time, earliest), latest)).toISOString().slice(0, 10);

/** Few small windows instead of one: two names may lie two years apart, and one odd date (the year 9999, say) is no matter of the others. */
export function removalWindows(named: readonly { transactionId: string; date: string }[]): RemovalWindow[] {
  const sorted = [...named].sort((a, b) => timeOf(a.date) - timeOf(b.date));
  const groups: { first: number; last: number; ids: string[] }[] = [];
  for (const { transactionId, date } of sorted) {
    const at = timeOf(date);
    const group = groups.at(-1);
    if (group === undefined || at - group.first > spanDays * dayMs)
      groups.push({ first: at, last: at, ids: [transactionId] });
    else {
      group.last = at;
      group.ids.push(transactionId);
    }
  }
  return groups.map(({ first, last, ids }) => ({
    from: dateOf(first - marginDays * dayMs),
    to: dateOf(last + marginDays * dayMs),
    ids,
  }));
}
