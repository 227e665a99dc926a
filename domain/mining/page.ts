import type { PlaidRemovedTransaction, PlaidSyncPage, PlaidTransaction } from '../plaid.js';
import type { RecordOwner, RefinedTransaction } from './refine.js';
import { refineTransaction } from './refine.js';

/** A transaction on its way into the database. */
export interface MinedTransaction {
  raw: PlaidTransaction;
  /** What is sent to consumers; made only of rows that are new, since most come again unchanged. */
  refine: () => RefinedTransaction;
  modified: boolean;
}

/** A row that cannot be kept as a transaction. It never blocks the others: it is kept apart and reported. */
export interface ParkedRow {
  transactionId: string;
  reason: 'no_id' | 'id_too_long' | 'bad_id' | 'no_account' | 'bad_date' | 'bad_amount';
  raw: unknown;
}

/** One page of an update, each transaction at most once. `cursor` is what it was asked with. */
export interface MinedPage {
  cursor: string;
  nextCursor: string;
  hasMore: boolean;
  transactions: MinedTransaction[];
  removed: PlaidRemovedTransaction[];
  parked: ParkedRow[];
}

/** Plaid's ids are about 37 characters; an index entry takes 2,704 bytes. */
const longestId = 512;
const calendarDate = /^(\d{4})-(\d{2})-(\d{2})$/;
const daysOfMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Whether the text names a day that exists; `Date.parse` takes 2026-02-31 for a day in March, and knows a year 0. */
export function isCalendarDate(text: string): boolean {
  const match = calendarDate.exec(text);
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leapDay = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  return year > 0 && day > 0 && day <= (daysOfMonth[month - 1] ?? 0) + leapDay;
}

function refusalOfId(id: unknown): ParkedRow['reason'] | null {
  if (typeof id !== 'string' || id === '') return 'no_id';
  if (id.length > longestId) return 'id_too_long';
  // Such an id cannot be stored as it is, and mended it could be another row's.
  return id.isWellFormed() && !id.includes('\u0000') ? null : 'bad_id';
}

function refusal(raw: PlaidTransaction): ParkedRow['reason'] | null {
  const ofId = refusalOfId(raw.transaction_id);
  if (ofId !== null) return ofId;
  if (refusalOfId(raw.account_id) !== null) return 'no_account';
  if (typeof raw.date !== 'string' || !isCalendarDate(raw.date)) return 'bad_date';
  if (typeof raw.amount !== 'number' || !Number.isFinite(raw.amount)) return 'bad_amount';
  return null;
}

/**
 * A page of Plaid's as it will be stored: checked, and folded to one state a transaction (removed before modified before
 * added; among equals the later). `modified` is Plaid's word; whether a row differs from ours is seen when it is applied.
 */
export function minedPage(cursor: string, answer: PlaidSyncPage, owner: RecordOwner): MinedPage {
  const kept = new Map<string, MinedTransaction>();
  const parked: ParkedRow[] = [];
  const park = (
    reason: ParkedRow['reason'],
    raw: { transaction_id: string },
    list: string,
    place: number,
  ) => {
    const named = reason === 'no_id' ? `${cursor}#${list}.${place}` : raw.transaction_id;
    parked.push({ transactionId: named.slice(0, longestId), reason, raw });
  };
  const gone = new Map<string, PlaidRemovedTransaction>();
  for (const [place, row] of answer.removed.entries()) {
    const reason = refusalOfId(row.transaction_id);
    if (reason === null) gone.set(row.transaction_id, row);
    else park(reason, row, 'removed', place);
  }
  const take = (modified: boolean) => (raw: PlaidTransaction, place: number) => {
    const reason = refusal(raw);
    if (reason !== null) {
      park(reason, raw, modified ? 'modified' : 'added', place);
    } else if (!gone.has(raw.transaction_id)) {
      // Deleted first, so that the later state also takes the later place.
      kept.delete(raw.transaction_id);
      kept.set(raw.transaction_id, { raw, refine: () => refineTransaction(raw, owner), modified });
    }
  };
  answer.added.forEach(take(false));
  answer.modified.forEach(take(true));
  return {
    cursor,
    nextCursor: answer.next_cursor,
    hasMore: answer.has_more,
    transactions: [...kept.values()],
    removed: [...gone.values()],
    parked,
  };
}
