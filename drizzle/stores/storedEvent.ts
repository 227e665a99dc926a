import type { StoredEvent } from '../../domain/exchange/eventBody.js';
import type { events } from '../schema.js';
import type { RowOf } from '../selection.js';

type EventRow = Pick<
  RowOf<typeof events>,
  'event_id' | 'type' | 'time' | 'item_id' | 'user_id' | 'connection_id' | 'endpoint_id' | 'data'
>;

/** A row of an event as the domain knows it. */
export const storedEvent = (row: EventRow): StoredEvent => ({
  eventId: row.event_id,
  type: row.type,
  time: row.time.toISOString(),
  itemId: row.item_id,
  userId: row.user_id,
  connectionId: row.connection_id,
  endpointId: row.endpoint_id,
  data: row.data,
});
