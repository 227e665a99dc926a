import type { EventData, EventType } from './event.js';

/** An event as it is stored. */
export interface StoredEvent {
  eventId: string;
  type: EventType;
  /** When its change was written, ISO 8601. */
  time: string;
  itemId: string | null;
  userId: string | null;
  connectionId: string | null;
  endpointId: string | null;
  data: EventData;
}

/** What applications are given of an event: a CloudEvents 1.0 event, and the payload of a Standard Webhook. */
export interface EventBody {
  specversion: '1.0';
  id: string;
  type: EventType;
  source: string;
  time: string;
  /** The connection, endpoint, Item or user that it is about. */
  subject: string;
  data: EventData;
}

/** How much has changed. Who does not see all of it is not told. */
const counts: ReadonlySet<string> = new Set(['added', 'modified', 'removed', 'accounts']);

function sourceOf({ itemId, userId, endpointId }: StoredEvent): string {
  if (itemId !== null) return `/sluice/items/${itemId}`;
  if (endpointId !== null) return `/sluice/endpoints/${endpointId}`;
  return userId === null ? '/sluice' : `/sluice/users/${userId}`;
}

/**
 * The body of an event. `counted`: its reader may see every account and transaction of the Item; any other is told that
 * something has changed, and not how much.
 */
export function eventBody(event: StoredEvent, { counted }: { counted: boolean }): EventBody {
  const { eventId, type, time, itemId, userId, connectionId, endpointId, data } = event;
  return {
    specversion: '1.0',
    id: eventId,
    type,
    source: sourceOf(event),
    time,
    subject: connectionId ?? endpointId ?? itemId ?? userId ?? eventId,
    data: counted ? data : Object.fromEntries(Object.entries(data).filter(([name]) => !counts.has(name))),
  };
}
