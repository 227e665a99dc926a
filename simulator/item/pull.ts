import type { Row } from '../bank/row.js';
import { addDays, civilDate } from '../calendar.js';
import type { Item } from './item.js';

/** What INITIAL_UPDATE makes readable. */
const INITIAL_DAYS = 30;

/** The oldest date that is readable at the Item's state; `null` when nothing is. */
function oldestReadable(item: Item): string | null {
  const created = civilDate(item.facts.createdAt);
  if (item.facts.status === 'NOT_READY') return null;
  const days = item.facts.status === 'INITIAL_UPDATE_COMPLETE' ? INITIAL_DAYS : item.facts.daysRequested;
  return addDays(created, -Math.min(days, item.facts.daysRequested));
}

function byDate(a: Row, b: Row): number {
  return a.date < b.date ? -1 : a.date > b.date ? 1 : 0;
}

/** Everything at the bank that has become readable and is not in Plaid's copy yet, oldest date first. */
export function pullReadable(item: Item): void {
  const oldest = oldestReadable(item);
  if (oldest === null) return;
  const fresh = [...item.bank.values()].filter((row) => row.date >= oldest && !item.log.knows(row.id));
  for (const row of fresh.sort(byDate)) item.log.upsert(row);
  pullChanges(item);
}

/** Brings Plaid's copy up to what changed at the bank since the last look, in the order in which it changed. */
export function pullChanges(item: Item): void {
  const oldest = oldestReadable(item);
  if (oldest !== null) {
    for (const id of item.unread) {
      const row = item.bank.get(id);
      const told = item.log.row(id);
      if (!row) {
        if (told) item.log.remove(id, told.accountId);
      } else if (told !== row && (item.log.knows(id) || row.date >= oldest)) {
        item.log.upsert(row);
      }
    }
  }
  item.unread.clear();
}
