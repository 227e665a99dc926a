import fc from 'fast-check';
import { readUserEvent } from '../../../domain/userEvents/userEvent.js';

const login = {
  type: 'user.logged_in',
  user_id: 'user-1',
  occurred_at: '2026-11-21T07:02:09Z',
  event_id: 'event-1',
};
const opened = { ...login, type: 'float.opened', float_id: 'float-1' };
const arrived = '2026-11-21T07:02:10.123Z';
const read = (value: unknown, arrivedAt: string | null = arrived) =>
  readUserEvent(Buffer.from(JSON.stringify(value)), arrivedAt);

describe('a record that is no user event', () => {
  it.each([
    ['not_utf8', Buffer.from([0xff, 0xfe, 0x7b])],
    ['not_json', Buffer.from('')],
    ['not_json', Buffer.from('{"type":')],
    ['not_an_object', Buffer.from('null')],
    ['not_an_object', Buffer.from('[{}]')],
    ['not_an_object', Buffer.from('"user.logged_in"')],
  ])('is %s: %p', (reason, data) => {
    expect(readUserEvent(data, arrived)).toEqual({ kind: 'poison', reason });
  });

  it.each([
    ['unknown_type', { ...login, type: 'user.logged_out' }],
    ['unknown_type', { ...login, type: 'toString' }],
    ['unknown_type', { ...login, type: undefined }],
    ['bad_event_id', { ...login, event_id: undefined }],
    ['bad_event_id', { ...login, event_id: 7 }],
    ['bad_event_id', { ...login, event_id: 'e'.repeat(129) }],
    ['bad_user_id', { ...login, user_id: '' }],
    ['bad_user_id', { ...login, user_id: 'u'.repeat(129) }],
    ['bad_user_id', { ...login, user_id: 'a\u0000b' }],
    ['bad_user_id', { ...login, user_id: 'a\ud800b' }],
    ['bad_occurred_at', { ...login, occurred_at: undefined }],
    ['bad_occurred_at', { ...login, occurred_at: 1_763_708_529 }],
    ['bad_occurred_at', { ...login, occurred_at: '2026-11-21' }],
    ['bad_occurred_at', { ...login, occurred_at: '2026-11-21T07:02:09' }],
    ['bad_occurred_at', { ...login, occurred_at: '2026-11-21T27:02:09Z' }],
    ['bad_occurred_at', { ...login, occurred_at: 'infinity' }],
    ['bad_float_id', { ...opened, float_id: undefined }],
    ['bad_float_id', { ...opened, float_id: 'f'.repeat(129) }],
  ])('is %s: %j', (reason, event) => {
    expect(read(event)).toEqual({ kind: 'poison', reason });
  });
});

describe('a user event', () => {
  it('is read with what it needs, whatever else it carries', () => {
    expect(read({ ...login, float_id: 7, more: {} })).toEqual({
      kind: 'login',
      eventId: 'event-1',
      userId: 'user-1',
    });
    for (const [type, status] of [
      ['float.opened', 'active'],
      ['float.closed', 'closed'],
    ]) {
      expect(read({ ...opened, type, occurred_at: '2026-11-21T07:02:09.123456+01:00' })).toEqual({
        kind: 'float',
        eventId: 'event-1',
        userId: 'user-1',
        floatId: 'float-1',
        status,
        occurredAt: '2026-11-21T07:02:09.123456+01:00',
        arrivedAt: arrived,
      });
    }
  });

  it.each([
    ['2999-01-01T00:00:00Z', arrived, arrived],
    ['2026-11-22T09:02:10.123Z', arrived, arrived],
    ['2026-11-22T07:02:10.123Z', arrived, '2026-11-22T07:02:10.123Z'],
    ['2026-11-22T08:02:10.123+01:00', arrived, '2026-11-22T08:02:10.123+01:00'],
    ['2013-01-01T00:00:00Z', arrived, '2013-01-01T00:00:00Z'],
    ['2999-01-01T00:00:00Z', null, '2999-01-01T00:00:00Z'],
  ])('that says %s, and arrived at %s, occurred at %s', (occurred_at, arrivedAt, occurredAt) => {
    expect(read({ ...opened, type: 'float.opened', occurred_at }, arrivedAt)).toMatchObject({ occurredAt });
  });

  it('may have ids of 128 characters, of whatever script', () => {
    const id = '🚰'.repeat(128);
    expect(read({ ...login, user_id: id, event_id: id })).toMatchObject({ userId: id, eventId: id });
  });

  it('reading never throws', () => {
    fc.assert(fc.property(fc.uint8Array(), (data) => void readUserEvent(data, arrived)));
    fc.assert(fc.property(fc.json(), (text) => void readUserEvent(Buffer.from(text), arrived)));
  });
});
