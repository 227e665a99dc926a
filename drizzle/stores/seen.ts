import type { Seen } from '../../domain/ports/items.js';
import { firstOf } from '../rows.js';
import type { Fragment, Sql, Tx } from '../rows.js';
import { items } from '../schema.js';
import { isSet, selection } from '../selection.js';
import type { Selected } from '../selection.js';

/**
 * The fence against late writers: what an Item's row says is read before anybody outside is asked, and compared under the
 * row's lock before the answer is written. Compared are ids and counters, not times: the clocks of two database hosts differ.
 */

/** What the row of an Item `i` says now, a `Seen`. */
export const seenOf = (sql: Sql | Tx): Fragment => sql`jsonb_build_object('at', clock_timestamp(),
    'update', i.last_update_id, 'rows', i.last_transaction_sequence, 'health', i.health_answers,
    'numbers', i.numbers_facts, 'remine', CASE WHEN i.remine_requested_at IS NOT NULL THEN i.remines END)`;

/** `unconnected`: nobody is connected with it any more; nothing is asked for it, and what comes late is not written. */
const locked = selection(items, [], {
  removed: isSet('removed_at'),
  unconnected: isSet('unconnected_since'),
});

interface LockedItem extends Selected<typeof locked> {
  seen: Seen;
  /** Removed, or its removal was asked for. */
  closed: boolean;
}

/** Locks the Item's row and reads what it says then; null when there is none. */
export async function lockSeen(tx: Tx, itemId: string): Promise<LockedItem | null> {
  const item = firstOf(
    await tx<LockedItem[]>`
    SELECT ${seenOf(tx)} AS seen, ${locked.list(tx, 'i')},
      i.removed_at IS NOT NULL OR i.removal_requested_at IS NOT NULL AS closed
    FROM items i WHERE i.item_id = ${itemId} FOR NO KEY UPDATE`,
  );
  return item ?? null;
}

/** Whether an answer about the Item's health is still the newest word: no other came, and no update went well meanwhile. */
export const sameHealth = (now: Seen, seen: Seen): boolean =>
  now.health === seen.health && now.update === seen.update;

/** Whether the Item's transactions are those from which an update or a look-up began. */
export const sameRows = (now: Seen, seen: Seen): boolean =>
  now.update === seen.update && now.rows === seen.rows;

/** Whether the remine that began then is still asked for: neither answered nor asked for anew. */
export const sameRemine = (now: Seen, seen: Seen): boolean =>
  seen.remine !== null && now.remine === seen.remine;
