/** Types of what applications are told. Wire names. */
export const eventTypes = [
  'item.linked',
  'item.ready',
  'item.history_complete',
  'item.updated',
  'item.needs_relink',
  'item.repaired',
  'item.consent_expiring',
  'item.new_accounts',
  'item.removed',
  'connection.created',
  'connection.updated',
  'connection.renewed',
  'connection.expiring',
  'connection.expired',
  'connection.suspended',
  'connection.resumed',
  'connection.revoked',
  'user.erased',
  'endpoint.ping',
  'endpoint.failing',
  'endpoint.disabled',
  'endpoint.recovered',
] as const;
export type EventType = (typeof eventTypes)[number];

/** Ids, states and counts; never bank data. */
export type EventData = Record<string, string | number | boolean | null | string[]>;

/** An event to be written in the transaction of its change. */
export interface NewEvent {
  type: EventType;
  itemId?: string;
  userId?: string;
  connectionId?: string;
  endpointId?: string;
  /** The one application that it is for, besides endpoints of scope `consent`; absent = all that are connected with the Item. */
  applicationId?: string;
  data: EventData;
}
