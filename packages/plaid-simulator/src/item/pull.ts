import { daysGiven, hasPendingFeed } from '../bank/institutions.js';
import { sameRow, type Row } from '../bank/row.js';
import { addDays, civilDate } from '../calendar.js';
import type { Item } from './item.js';

/** What INITIAL_UPDATE makes readable. */
const INITIAL_DAYS = 30;

/** The oldest date that is readable at the Item's state; `null` when nothing is. */
function oldestReadable(item: Item): string | null {
  const created = civilDate(item.facts.createdAt);
  if (item.facts.status === 'NOT_READY') return null;
  const days = item.facts.status === 'INITIAL_UPDATE_COMPLETE' ? INITIAL_DAYS : item.facts.daysRequested;
  const asked = Math.min(days, item.facts.daysRequested);
  return addDays(created, -daysGiven(item.bankId, asked));
}

/** Not every bank reports to Plaid what is not booked yet. */
function isReported({ bankId }: Item, { pending }: Row): boolean {
  return !pending || hasPendingFeed(bankId);
}

/** Everything at the bank that has become readable and is not in Plaid's copy yet, oldest date first. */
export function pullReadable(item: Item): void {
  const oldest = oldestReadable(item);
  if (oldest === null) return;
  const seeded = freshSeeded(item, oldest);
  const fresh = [...item.bank.stored()]
    .filter(({ row }) => row.date >= oldest && isReported(item, row) && !item.log.knows(row.id))
    .sort((a, b) => (a.row.date === b.row.date ? a.place - b.place : a.row.date < b.row.date ? -1 : 1));
  for (const { row, place } of fresh) {
    appendUpTo(item, seeded, numberBehind(item, row, place));
    item.log.upsert(row);
  }
  appendUpTo(item, seeded, Infinity);
  pullChanges(item);
}

/** Numbers from and to (not included) of seeded transactions. */
interface Part {
  from: number;
  to: number;
}

/** Seeded transactions of this date or later that are as they were and were never given. */
function freshSeeded(item: Item, oldest: string): Part[] {
  if (!item.seeded) return [];
  const taken: Part[] = [
    ...item.log.seededParts(),
    ...item.bank.alteredNumbers().map((n) => ({ from: n, to: n + 1 })),
  ].sort((a, b) => a.from - b.from);
  const parts: Part[] = [];
  let from = item.seeded.firstOn(oldest);
  for (const part of taken) {
    if (part.from > from) parts.push({ from, to: part.from });
    from = Math.max(from, part.to);
  }
  parts.push({ from, to: item.seeded.count });
  return parts;
}

/** The first seeded number that comes behind a stored row: by date, and within a day by place. */
function numberBehind(item: Item, row: Row, place: number): number {
  if (!item.seeded) return 0;
  const first = item.seeded.firstOn(row.date);
  const next = item.seeded.firstOn(addDays(row.date, 1));
  return Math.min(Math.max(place, first), next);
}

/** Appends what is left of these parts below a number. */
function appendUpTo(item: Item, parts: Part[], end: number): void {
  for (let part = parts[0]; part && part.from < end; part = parts[0]) {
    const to = Math.min(part.to, end);
    item.log.appendSeeded(part.from, to - part.from);
    part.from = to;
    if (part.from >= part.to) parts.shift();
  }
}

/** Brings Plaid's copy up to what changed at the bank since the last pull, in the order in which it changed. */
export function pullChanges(item: Item): void {
  const oldest = oldestReadable(item);
  if (oldest !== null) {
    for (const id of item.unread) {
      const row = item.bank.get(id);
      const known = item.log.row(id);
      if (!row) {
        if (known) item.log.remove(id, known.accountId);
      } else if (
        isReported(item, row) &&
        !sameRow(known, row) &&
        (item.log.knows(id) || row.date >= oldest)
      ) {
        item.log.upsert(row);
      }
    }
  }
  item.unread.clear();
}
