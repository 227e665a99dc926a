import type { PlaidRemovedTransaction, PlaidSyncPage, PlaidTransaction } from '../plaid.js';
import { isCalendarDate, isObject, isTooDeep, shallow } from './oddValues.js';
import type { ParkedRecord } from './parked.js';
import { longestId, refusalOfId } from './recordId.js';
import type { RecordOwner, RefinedTransaction } from './refine.js';
import { refineTransaction } from './refine.js';

/** A transaction on its way into the database. */
export interface MinedTransaction {
  raw: PlaidTransaction;
  /** What is sent to consumers; made only of rows that are new, since most come again unchanged. */
  refine: () => RefinedTransaction;
  modified: boolean;
}

/** One page of an update, each transaction at most once. `cursor` is what it was asked with. */
export interface MinedPage {
  cursor: string;
  nextCursor: string;
  hasMore: boolean;
  transactions: MinedTransaction[];
  removed: PlaidRemovedTransaction[];
  parked: ParkedRecord[];
}

/** Of anything that stands in a list of rows. */
function refusalOfRow(raw: unknown): ParkedRecord['reason'] | null {
  return isObject(raw) ? refusalOfId(raw['transaction_id']) : 'not_an_object';
}

function refusal(raw: PlaidTransaction): ParkedRecord['reason'] | null {
  const ofRow = refusalOfRow(raw);
  if (ofRow !== null) return ofRow;
  if (refusalOfId(raw.account_id) !== null) return 'no_account';
  if (typeof raw.date !== 'string' || !isCalendarDate(raw.date)) return 'bad_date';
  if (typeof raw.amount !== 'number' || !Number.isFinite(raw.amount)) return 'bad_amount';
  return isTooDeep(raw) ? 'too_deep' : null;
}

/**
 * A page of Plaid's as it will be stored: checked, and folded to one state a transaction (removed before modified before
 * added; among equals the later). `modified` is Plaid's word; whether a row differs from ours is seen when it is applied.
 */
export function minedPage(cursor: string, answer: PlaidSyncPage, owner: RecordOwner): MinedPage {
  const kept = new Map<string, MinedTransaction>();
  const parked: ParkedRecord[] = [];
  const park = (reason: ParkedRecord['reason'], raw: unknown, list: string, place: number) => {
    const id = isObject(raw) ? raw['transaction_id'] : null;
    const named = typeof id === 'string' && id !== '' ? id : `${cursor}#${list}.${place}`;
    parked.push({ key: named.slice(0, longestId), reason, raw: isTooDeep(raw) ? shallow(raw) : raw });
  };
  const gone = new Map<string, PlaidRemovedTransaction>();
  for (const [place, row] of answer.removed.entries()) {
    const reason = refusalOfRow(row);
    if (reason === null) {
      const { transaction_id, account_id = null } = row;
      const account = refusalOfId(account_id) === null ? account_id : null;
      gone.set(transaction_id, { transaction_id, account_id: account });
    } else park(reason, row, 'removed', place);
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
    // An empty one would lose the place that the Item has, and with it every removal from there on.
    nextCursor: answer.next_cursor === '' ? cursor : answer.next_cursor,
    hasMore: answer.has_more,
    transactions: [...kept.values()],
    removed: [...gone.values()],
    parked,
  };
}

/** The page of an update of which Plaid says that there are no transactions. */
export const emptyPage = (cursor: string): MinedPage => ({
  cursor,
  nextCursor: cursor,
  hasMore: false,
  transactions: [],
  removed: [],
  parked: [],
});
