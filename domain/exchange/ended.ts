import { writtenBack } from '../instants.js';
import type { PastErasure } from '../ports/erasures.js';
import type { NarrowedConnection } from './connection.js';
import { inOrder } from './connection.js';

/** What has ended for good, or was taken back, and must stay so in a database that has forgotten it. It names no user. */
export interface Ended {
  erasures: PastErasure[];
  /** Ids of Items that were removed at Plaid. */
  items: string[];
  /** Ids of connections, and of API keys, that were revoked. */
  connections: string[];
  keys: string[];
  /** Ids of endpoints that were deleted. */
  endpoints: string[];
  /** Ids of applications that see only what they are connected with. */
  applications: string[];
  narrowed: NarrowedConnection[];
}

/** That nothing has ended. */
export const nothingEnded = (): Ended => ({
  erasures: [],
  items: [],
  connections: [],
  keys: [],
  endpoints: [],
  applications: [],
  narrowed: [],
});

const erasedOnStreams = 'sluice.user.erased.v1';

/** The same as lines of JSON, in the shape of events. */
export function endedLines({
  erasures,
  items,
  connections,
  keys,
  endpoints,
  applications,
  narrowed,
}: Ended): string[] {
  const lines = [
    ...erasures.map(({ erasureId, userHash, at }) => ({
      type: 'user.erased',
      time: at,
      data: { erasure_id: erasureId, user_hash: userHash },
    })),
    ...items.map((id) => ({ type: 'item.removed', data: { item_id: id } })),
    ...connections.map((id) => ({ type: 'connection.revoked', data: { connection_id: id } })),
    ...keys.map((id) => ({ type: 'key.revoked', data: { key_id: id } })),
    ...endpoints.map((id) => ({ type: 'endpoint.deleted', data: { endpoint_id: id } })),
    ...applications.map((id) => ({ type: 'application.connected', data: { application_id: id } })),
    ...narrowed.map(({ connectionId, at, ...limit }) => ({
      type: 'connection.narrowed',
      time: at,
      data: { connection_id: connectionId, ...limit },
    })),
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

/** An instant, as PostgreSQL takes it; throws at what is none. */
function instant(value: unknown): string {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw new Error('the time is missing');
  return writtenBack(new Date(at).toISOString());
}

/** The limits of a line of ours, which nobody else writes. */
function narrowedOf(data: Json, time: unknown): NarrowedConnection {
  const { scopes, account_ids, new_accounts, withheld_accounts, lookback_days, expires_at, suspended } = data;
  const isList = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((entry) => typeof entry === 'string');
  if (!isList(scopes)) throw new Error('scopes is missing');
  if (account_ids !== null && !isList(account_ids)) throw new Error('account_ids is missing');
  if (typeof new_accounts !== 'boolean') throw new Error('new_accounts is missing');
  if (!isList(withheld_accounts)) throw new Error('withheld_accounts is missing');
  if (lookback_days !== null && typeof lookback_days !== 'number')
    throw new Error('lookback_days is missing');
  if (typeof suspended !== 'boolean') throw new Error('suspended is missing');
  return {
    connectionId: text(data, 'connection_id'),
    at: instant(time),
    scopes: inOrder(scopes),
    account_ids,
    new_accounts,
    withheld_accounts,
    lookback_days,
    expires_at: expires_at === null ? null : instant(expires_at),
    suspended,
  };
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
  } else if (type === 'endpoint.deleted') {
    found.endpoints.push(text(data, 'endpoint_id'));
  } else if (type === 'application.connected') {
    found.applications.push(text(data, 'application_id'));
  } else if (type === 'connection.narrowed') {
    found.narrowed.push(narrowedOf(data, time));
  }
}

/** The newest of several lists' words on each connection: it may grant more than those before. */
export function newestOf(narrowed: readonly NarrowedConnection[]): NarrowedConnection[] {
  const newest = new Map<string, NarrowedConnection>();
  for (const one of narrowed) {
    if ((newest.get(one.connectionId)?.at ?? '') <= one.at) newest.set(one.connectionId, one);
  }
  return [...newest.values()];
}
