import { instantOf, writtenBack } from '../../domain/instants.js';

describe('a time that a foreign system wrote', () => {
  it.each([
    null,
    undefined,
    1_700_000_000_000,
    '',
    'soon',
    '2026-13-45T00:00:00Z',
    // Times to JavaScript, and none that PostgreSQL stores.
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00+01:00',
    '-000001-01-01T00:00:00Z',
    '+010000-01-01T00:00:00Z',
    '9999-12-31T23:59:59-01:00',
    '2026-11-21T07:02:09Z\u0000',
  ])('is none: %p', (value) => {
    expect(instantOf(value)).toBeNull();
  });

  it.each(['2026-11-21T07:02:09Z', '2026-11-21T07:02:09.000000Z', '2026-11-21T08:02:09+01:00'])(
    'is the same however it is written: %s',
    (text) => {
      expect(instantOf(text)).toBe('2026-11-21T07:02:09.000Z');
    },
  );
});

it.each([
  ['2026-11-21T08:02:09+01:00', '2026-11-21T07:02:09.000Z'],
  ['10000-01-01T04:59:59+00:00', '9999-12-31T23:59:59.999Z'],
  ['+010000-01-01T04:59:59.000Z', '9999-12-31T23:59:59.999Z'],
])('a time that PostgreSQL wrote may be written back: %s', (text, back) => {
  expect(writtenBack(text)).toBe(back);
});
