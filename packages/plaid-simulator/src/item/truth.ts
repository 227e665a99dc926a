import { joinNumbers } from '../bank/account.js';
import { renderRows } from '../bank/row.js';
import { joinParts } from '../jsonParts.js';
import { trueAccountView } from './accountView.js';
import { distortedIds } from './distortions.js';
import type { Item } from './item.js';

const AS_SYNC_SENDS = { originalDescription: true, categoryVersion: 'v2' } as const;

/**
 * What a client that has read everything must hold, as JSON. Removals count from the point where the client's first complete
 * read ended: what was removed before that was never given to anybody. That point moves with each complete run from the empty
 * cursor until the client presents a cursor (storing the cursor is its acknowledgement), and stays then.
 */
export function renderTruth(item: Item, webhooksDue: number): Buffer {
  const { facts, log } = item;
  const head = {
    item_id: item.id,
    phase: facts.phase,
    item_removed: facts.removedAt !== null,
    transactions_update_status: facts.status,
    accounts: item.accounts.map((known) => ({
      ...trueAccountView(item, known),
      closed: known.closedAt !== null,
    })),
    removed: facts.removalsFrom === null ? [] : log.removedSince(facts.removalsFrom),
    closed_account_transactions: log.liveHidden().map(({ id }) => id),
    // They may have been given as removed or not, by when the client last read: nobody will say it again.
    closed_account_removed: log.removedHidden(),
    // What is sent of them is not what is true: whatever a client has made of it, or not, is right.
    distorted_accounts: distortedIds(item, 'accounts'),
    distorted_transactions: distortedIds(item, 'transactions'),
    numbers: joinNumbers(item.openAccounts),
    webhooks_due: webhooksDue,
  };
  return joinParts([
    Buffer.from(`${JSON.stringify(head).slice(0, -1)},"transactions":`),
    ...renderRows(log.live(), AS_SYNC_SENDS),
    Buffer.from('}'),
  ]);
}

/** A run of `/transactions/sync` that began at the empty cursor was given to its end. */
export function completeReadAt(item: Item, position: number): void {
  if (!item.facts.removalsFrozen) item.facts.removalsFrom = position;
}

/** The client came back with a cursor that ended a run: it has stored what was given until then. */
export function cursorPresented(item: Item, position: number): void {
  if (item.facts.removalsFrozen) return;
  item.facts.removalsFrom = position;
  item.facts.removalsFrozen = true;
}
