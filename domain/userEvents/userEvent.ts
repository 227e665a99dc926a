import { instantOf } from '../instants.js';
import type { FloatStatus } from '../ports/floats.js';

/** What other services say of users, by the stream of user events. */
export type UserEvent =
  | { kind: 'login'; eventId: string; userId: string }
  | {
      kind: 'float';
      eventId: string;
      userId: string;
      floatId: string;
      status: FloatStatus;
      /** As its sender wrote it, ISO 8601 with a zone (the digits below the millisecond count too), or when it arrived. */
      occurredAt: string;
      /** When the stream took it, ISO 8601; null = it does not say. */
      arrivedAt: string | null;
    };

/** Why a record is no user event. */
export type PoisonReason =
  | 'not_utf8'
  | 'not_json'
  | 'not_an_object'
  | 'unknown_type'
  | 'bad_event_id'
  | 'bad_user_id'
  | 'bad_float_id'
  | 'bad_occurred_at';

const floatStatuses: Readonly<Record<string, FloatStatus>> = {
  'float.opened': 'active',
  'float.closed': 'closed',
};

const utf8 = new TextDecoder('utf-8', { fatal: true });
const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
/** As the REST API takes ids: 1 to 128 characters, none of them a control character or half of one. */
const id = /^[^\u0000-\u001f\u007f\p{Cs}]{1,128}$/u;

const isId = (value: unknown): value is string => typeof value === 'string' && id.test(value);
const isMoment = (value: unknown): value is string =>
  typeof value === 'string' && moment.test(value) && instantOf(value) !== null;

/** Further ahead of the stream no clock is that is merely fast. */
export const plausiblyAheadMs = 86_400_000;

/**
 * A time that would win over every word that is still to come says nothing: then it occurred when it arrived, however often it is read.
 * By the reader's clock a repeat would win over what has come since.
 */
function occurredAtOf(said: string, arrivedAt: string | null): string {
  const isAhead = arrivedAt !== null && Date.parse(said) - Date.parse(arrivedAt) > plausiblyAheadMs;
  return isAhead ? arrivedAt : said;
}

/**
 * Reads the bytes of one record, which the stream took at `arrivedAt` (ISO 8601; null = it does not say). Total: any bytes have an answer.
 * Fields that are not known are left aside.
 */
export function readUserEvent(
  data: Uint8Array,
  arrivedAt: string | null,
): UserEvent | { kind: 'poison'; reason: PoisonReason } {
  const poison = (reason: PoisonReason) => ({ kind: 'poison' as const, reason });
  let text: string;
  try {
    text = utf8.decode(data);
  } catch {
    return poison('not_utf8');
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return poison('not_json');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return poison('not_an_object');
  const { type, event_id, user_id, float_id, occurred_at } = parsed as Record<string, unknown>;
  const status =
    typeof type === 'string' && Object.hasOwn(floatStatuses, type) ? floatStatuses[type] : undefined;
  if (type !== 'user.logged_in' && status === undefined) return poison('unknown_type');
  if (!isId(event_id)) return poison('bad_event_id');
  if (!isId(user_id)) return poison('bad_user_id');
  if (!isMoment(occurred_at)) return poison('bad_occurred_at');
  if (status === undefined) return { kind: 'login', eventId: event_id, userId: user_id };
  if (!isId(float_id)) return poison('bad_float_id');
  return {
    kind: 'float',
    eventId: event_id,
    userId: user_id,
    floatId: float_id,
    status,
    occurredAt: occurredAtOf(occurred_at, arrivedAt),
    arrivedAt,
  };
}
