/** What goes onto the streams: CloudEvents 1.0 in JSON, built from outbox rows. */

export type RecordKind = 'transaction' | 'account';
export type Form = 'raw' | 'refined';
export type StreamName = `${Form}-${'transactions' | 'accounts'}`;

export const streamOf = (record: RecordKind, form: Form): StreamName => `${form}-${record}s`;
export const streamNames: readonly StreamName[] = [
  'raw-transactions',
  'raw-accounts',
  'refined-transactions',
  'refined-accounts',
];

/** One change of one record, as it was committed. `raw` and `refined` are JSON texts, passed on untouched. */
export interface OutboxRow {
  id: string;
  item_id: string;
  user_id: string;
  record: RecordKind;
  removed: boolean;
  /** Transaction or account id. */
  subject: string;
  /** From 1 without gaps, per Item over transactions and accounts together. */
  sequence: number;
  /** When the change was committed, ISO 8601. */
  time: string;
  raw: string;
  refined: string;
}

export const eventType = (record: RecordKind, form: Form, removed: boolean): string =>
  `sluice.${record}.${form}${removed ? '.removed' : ''}.v1`;

/** Where the JSON Schema of an event's `data` stands in the repository, as a URI of our own. */
export const dataSchema = (record: RecordKind, form: Form, removed: boolean): string =>
  `urn:sluice:schema:${eventType(record, form, removed)}`;

/** One event as JSON text. Data are spliced in as text: they are by far the larger part and already serialized. */
export function cloudEvent(row: OutboxRow, form: Form): string {
  const head = JSON.stringify({
    specversion: '1.0',
    id: `${row.id}.${form}`,
    source: `/sluice/items/${row.item_id}`,
    type: eventType(row.record, form, row.removed),
    subject: row.subject,
    time: row.time,
    datacontenttype: 'application/json',
    dataschema: dataSchema(row.record, form, row.removed),
    itemid: row.item_id,
    userid: row.user_id,
    sequence: row.sequence,
  });
  return `${head.slice(0, -1)},"data":${form === 'raw' ? row.raw : row.refined}}`;
}
