import type { PastErasure } from '../ports/erasures.js';

/** What has ended for good, and must stay ended in a database that has forgotten it. It names no user. */
export interface Ended {
  erasures: PastErasure[];
  /** Ids of Items that were removed at Plaid. */
  items: string[];
  /** Ids of connections, and of API keys, that were revoked. */
  connections: string[];
  keys: string[];
}

const erasedOnStreams = 'sluice.user.erased.v1';

/** The same as lines of JSON, in the shape of events. */
export function endedLines({ erasures, items, connections, keys }: Ended): string[] {
  const lines = [
    ...erasures.map(({ erasureId, userHash, at }) => ({
      type: 'user.erased',
      time: at,
      data: { erasure_id: erasureId, user_hash: userHash },
    })),
    ...items.map((id) => ({ type: 'item.removed', data: { item_id: id } })),
    ...connections.map((id) => ({ type: 'connection.revoked', data: { connection_id: id } })),
    ...keys.map((id) => ({ type: 'key.revoked', data: { key_id: id } })),
  ];
  return lines.map((line) => JSON.stringify(line));
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

function text(of: Json, name: string): string {
  const value = of[name];
  if (typeof value !== 'string' || value === '') throw new Error(`${name} is missing`);
  return value;
}

/** An instant; throws at what is none. */
function instant(value: unknown): string {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw new Error('the time is missing');
  return new Date(at).toISOString();
}

/**
 * Adds to `found` what a JSON value tells of: a line of `endedLines`, an event, a record of a stream (a batch), or an answer of
 * `GET /v1/events`. Everything else in it is left aside. Throws, naming no value, where one of ours lacks what it needs.
 */
export function readEnded(value: unknown, found: Ended): void {
  if (Array.isArray(value)) {
    for (const one of value) readEnded(one, found);
    return;
  }
  if (!isObject(value)) return;
  const { type, time, data } = value;
  if (type === undefined && Array.isArray(data)) return readEnded(data, found);
  if (!isObject(data)) return;
  if (type === 'user.erased' || type === erasedOnStreams) {
    found.erasures.push({
      erasureId: text(data, 'erasure_id'),
      userHash: text(data, 'user_hash').toLowerCase(),
      at: instant(data['requested_at'] ?? time),
    });
  } else if (type === 'item.removed') {
    found.items.push(text(data, 'item_id'));
  } else if (type === 'connection.revoked') {
    found.connections.push(text(data, 'connection_id'));
  } else if (type === 'key.revoked') {
    found.keys.push(text(data, 'key_id'));
  }
}
