import type { History, UpdateOutcome, UserActionError } from '../mining/run.js';
import type { EventType, NewEvent } from './event.js';

/** The Item that an event is about, under its columns' names. */
export interface EventOwner {
  item_id: string;
  user_id: string;
}

/** How many records a change of an Item has changed, and the numbers of their outbox rows, both inclusive. */
export interface RecordChanges {
  /** Transactions; absent = none. */
  added?: number;
  modified?: number;
  removed?: number;
  accounts?: number;
  fromSequence: number;
  toSequence: number;
}

function aboutItem(type: EventType, { item_id, user_id }: EventOwner, data: NewEvent['data'] = {}): NewEvent {
  return { type, itemId: item_id, userId: user_id, data: { item_id, user_id, ...data } };
}

export const linkedEvent = (owner: EventOwner): NewEvent => aboutItem('item.linked', owner);

export const removedEvent = (owner: EventOwner): NewEvent => aboutItem('item.removed', owner);

export const newAccountsEvent = (owner: EventOwner): NewEvent => aboutItem('item.new_accounts', owner);

export const needsRelinkEvent = (owner: EventOwner, { error_type, error_code }: UserActionError): NewEvent =>
  aboutItem('item.needs_relink', owner, { error_type, error_code });

export const repairedEvent = (owner: EventOwner): NewEvent => aboutItem('item.repaired', owner);

/** `at` (ISO 8601): from then on the Item needs its user. */
export const consentExpiringEvent = (owner: EventOwner, at: string): NewEvent =>
  aboutItem('item.consent_expiring', owner, { expires_at: at });

/** That records of the Item have changed; nothing where none has. */
export function updatedEvents(owner: EventOwner, changes: RecordChanges): NewEvent[] {
  const { fromSequence, toSequence, added = 0, modified = 0, removed = 0, accounts = 0 } = changes;
  if (toSequence < fromSequence) return [];
  const range = { from_sequence: fromSequence, to_sequence: toSequence };
  return [aboutItem('item.updated', owner, { added, modified, removed, accounts, ...range })];
}

/** What an Item's row says of what can be read of it. */
export interface Readable {
  history: History;
  withoutTransactions: boolean;
  last_update_outcome: Pick<UpdateOutcome, 'unlisted'> | null;
}

/** A login without transactions has no history: its accounts are all that there is. */
const isReadable = ({ history, withoutTransactions, last_update_outcome }: Readable): boolean =>
  history !== 'none' || (withoutTransactions && last_update_outcome?.unlisted !== true);

/** The first accounts and transactions can be read. */
const readyEvent = (owner: EventOwner, { history }: Readable): NewEvent =>
  aboutItem('item.ready', owner, { history });

/** The same to one application alone, which has just been connected with an Item that can be read already. */
export function readyForEvents(owner: EventOwner, now: Readable, applicationId: string): NewEvent[] {
  return isReadable(now) ? [{ ...readyEvent(owner, now), applicationId }] : [];
}

/**
 * What an update has brought besides its changes: the Item's first data, and the last of its history. Of a login that gets its first
 * transactions later than its accounts both are told.
 */
export function historyEvents(
  owner: EventOwner,
  { before, after }: { before: Readable; after: Readable },
): NewEvent[] {
  const isFirst =
    (!isReadable(before) && isReadable(after)) || (before.history === 'none' && after.history !== 'none');
  return [
    ...(isFirst ? [readyEvent(owner, after)] : []),
    ...(before.history !== 'complete' && after.history === 'complete'
      ? [aboutItem('item.history_complete', owner)]
      : []),
  ];
}
