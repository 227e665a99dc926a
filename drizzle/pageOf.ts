import type { Page, PageKey } from '../domain/ports/pages.js';

/** A page of rows that were asked for with one more than `limit`: that one says that there are more, and is not shown. */
export function pageOf<Row, Shown>(
  rows: readonly Row[],
  limit: number,
  viewOf: (row: Row) => Shown,
  keyOf: (last: Row) => PageKey,
): Page<Shown> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    rows: shown.map((row) => viewOf(row)),
    next: rows.length > limit && last !== undefined ? keyOf(last) : null,
  };
}
