import type { Ended } from '../../../domain/exchange/ended.js';
import { endedLines, nothingEnded, readEnded } from '../../../domain/exchange/ended.js';
import { userErasedRecords } from '../../../domain/exchange/userErased.js';

function read(...values: unknown[]): Ended {
  const found = nothingEnded();
  for (const value of values) readEnded(value, found);
  return found;
}

const at = '2026-11-27T10:00:00.000Z';
const userHash = 'a'.repeat(64);
const forgotten = { erasureId: 'era_1', userHash, at };
const limit = {
  scopes: ['accounts' as const],
  account_ids: ['a'],
  new_accounts: true,
  withheld_accounts: ['b'],
  lookback_days: 30,
  expires_at: at,
};
const narrowed = { connectionId: 'con_3', at, ...limit, suspended: true };
const endless = { ...narrowed, account_ids: null, lookback_days: null, expires_at: null, suspended: false };

it('what is listed is read as it was', () => {
  const ended: Ended = {
    erasures: [forgotten],
    items: ['item-1'],
    connections: ['con_1', 'con_2'],
    keys: ['key_1'],
    endpoints: ['end_1'],
    applications: ['app_1'],
    narrowed: [narrowed, endless],
  };
  expect(read(...endedLines(ended).map((line) => JSON.parse(line)))).toEqual(ended);
});

it('an end that an earlier release has listed in the year 10000 is one that can be written', () => {
  const [line = ''] = endedLines({ ...nothingEnded(), narrowed: [narrowed] });
  const listed = JSON.parse(
    line.replace(`"expires_at":"${at}"`, '"expires_at":"+010000-01-01T04:59:59.000Z"'),
  );
  expect(read(listed).narrowed).toEqual([{ ...narrowed, expires_at: '9999-12-31T23:59:59.999Z' }]);
});

it('records of the streams and answers of the event feed tell the same', () => {
  const records = userErasedRecords(
    { erasureId: 'era_1', repeated: false, userId: 'user-1', userHash, itemIds: ['item-1'], requestedAt: at },
    '2030-01-01T00:00:00.000Z',
  );
  expect(read(...records.map(({ json }) => JSON.parse(json))).erasures).toEqual(records.map(() => forgotten));
  const event = {
    specversion: '1.0',
    id: 'evt_1',
    type: 'user.erased',
    time: at,
    data: { erasure_id: 'era_1', user_hash: userHash },
  };
  const revoked = {
    type: 'connection.revoked',
    time: at,
    data: { connection_id: 'con_1', item_id: 'item-1' },
  };
  expect(read({ data: [event, revoked], next: 'x', has_more: false })).toEqual({
    ...nothingEnded(),
    erasures: [forgotten],
    connections: ['con_1'],
  });
});

it('other events, and what is none, are left aside', () => {
  const others = [
    null,
    1,
    'text',
    [],
    {},
    { type: 'item.updated', data: { item_id: 'i' } },
    { type: 'user.erased' },
    { data: 1 },
  ];
  expect(read(...others)).toEqual(nothingEnded());
});

it.each([
  { type: 'user.erased', time: at, data: { erasure_id: 'era_1' } },
  { type: 'user.erased', data: { erasure_id: 'era_1', user_hash: userHash } },
  { type: 'user.erased', time: 'yesterday', data: { erasure_id: 'era_1', user_hash: userHash } },
  { type: 'item.removed', data: { item_id: '' } },
  { type: 'connection.revoked', data: {} },
  { type: 'key.revoked', data: { key_id: 7 } },
  { type: 'endpoint.deleted', data: {} },
  { type: 'application.connected', data: {} },
  { type: 'connection.narrowed', time: at, data: { ...limit, suspended: false } },
  { type: 'connection.narrowed', data: { connection_id: 'con_3', ...limit, suspended: false } },
  ...Object.keys(limit).map((field) => ({
    type: 'connection.narrowed',
    time: at,
    data: { connection_id: 'con_3', ...limit, suspended: false, [field]: {} },
  })),
  { type: 'connection.narrowed', time: at, data: { connection_id: 'con_3', ...limit } },
])('one that lacks what it needs is refused: %j', (value) => {
  expect(() => read(value)).toThrow('is missing');
});

it('an erasure that was forgotten tells the streams anew: what they were told of it before is no repeat', () => {
  const user = { erasureId: 'era_1', userId: 'user-1', userHash, itemIds: ['item-1'], requestedAt: at };
  const idsOf = (repeated: boolean) =>
    userErasedRecords({ ...user, repeated }, at).flatMap(({ json }) =>
      (JSON.parse(json) as { id: string }[]).map(({ id }) => id),
    );
  expect(new Set([...idsOf(false), ...idsOf(true)]).size).toBe(8);
  expect(idsOf(true)).toEqual(idsOf(true));
});
