import fc from 'fast-check';
import type { PlaidAccount, PlaidTransaction } from '../../../domain/plaid.js';
import type { RecordOwner } from '../../../domain/mining/refine.js';

/** Plaid's objects as they may come: every nullable field null at times, unknown fields, any text. */
const text = fc.string({ unit: 'grapheme' });
const id = fc.string({ minLength: 1, maxLength: 40 });
const nullable = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null });
const date = fc
  .date({ min: new Date('1990-01-01'), max: new Date('2090-01-01'), noInvalidDate: true })
  .map((at) => at.toISOString().slice(0, 10));
export const amount = fc.oneof(
  fc.integer({ min: -1_000_000, max: 1_000_000 }).map((cents) => cents / 100),
  fc.double({ min: -1e9, max: 1e9, noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1e-7, -1e-7, 5e-324, 1e21, -12.345678, 0.1 + 0.2),
);
const unknownFields = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 2 });

export const plaidTransaction: fc.Arbitrary<PlaidTransaction> = fc
  .tuple(
    unknownFields,
    fc.record(
      {
        transaction_id: id,
        account_id: id,
        amount,
        iso_currency_code: nullable(fc.constantFrom('USD', 'GBP')),
        unofficial_currency_code: nullable(fc.constantFrom('BTC')),
        date,
        authorized_date: nullable(date),
        datetime: nullable(date.map((day) => `${day}T00:00:00Z`)),
        authorized_datetime: nullable(date.map((day) => `${day}T00:00:00Z`)),
        name: nullable(text),
        original_description: nullable(text),
        merchant_name: nullable(text),
        merchant_entity_id: nullable(id),
        logo_url: nullable(text),
        website: nullable(text),
        pending: fc.boolean(),
        pending_transaction_id: nullable(id),
        payment_channel: nullable(fc.constantFrom('online', 'in store', 'a channel of tomorrow')),
        check_number: nullable(text),
        personal_finance_category: nullable(
          fc.record({ primary: text, detailed: text, confidence_level: nullable(text) }),
        ),
        location: nullable(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 })),
      },
      {
        requiredKeys: [
          'transaction_id',
          'account_id',
          'amount',
          'iso_currency_code',
          'unofficial_currency_code',
          'date',
          'pending',
        ],
      },
    ),
  )
  .map(([extra, known]) => ({ ...extra, ...known }));

export const plaidAccount: fc.Arbitrary<PlaidAccount> = fc
  .tuple(
    unknownFields,
    fc.record(
      {
        account_id: id,
        balances: fc.record({
          available: nullable(amount),
          current: nullable(amount),
          limit: nullable(amount),
          iso_currency_code: nullable(fc.constantFrom('USD')),
          unofficial_currency_code: nullable(fc.constantFrom('BTC')),
        }),
        mask: nullable(text),
        name: text,
        official_name: nullable(text),
        type: fc.constantFrom('depository', 'credit', 'a type of tomorrow'),
        subtype: nullable(text),
        persistent_account_id: nullable(id),
        holder_category: nullable(text),
      },
      {
        requiredKeys: ['account_id', 'balances', 'mask', 'name', 'official_name', 'type', 'subtype'],
      },
    ),
  )
  .map(([extra, known]) => ({ ...extra, ...known }));

export const owner: fc.Arbitrary<RecordOwner> = fc.record({
  item_id: fc.stringMatching(/^[A-Za-z0-9]{37}$/),
  user_id: id,
  institution_id: nullable(id),
});

/** Any JSON, and what is odd in ways that are known. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    null,
    '',
    ' ',
    0,
    -0,
    -1.5,
    1234,
    1e21,
    5e-324,
    true,
    false,
    [],
    {},
    [null],
    '0',
    'null',
  ),
  fc.constantFrom(
    '0000-00-00',
    '2026-02-31',
    '2026-11-01T00:00:00Z',
    '2026-11-01',
    '12.50',
    '1e3',
    'a\u0000',
    '\ud83d',
  ),
);

/** Parts of the objects within Plaid's: each may be odd while its neighbours are not. */
const parts: Readonly<Record<string, readonly string[]>> = {
  balances: ['available', 'current', 'limit', 'iso_currency_code', 'unofficial_currency_code'],
  personal_finance_category: ['primary', 'detailed', 'confidence_level'],
  location: ['city', 'lat'],
};

/** One of Plaid's objects with some fields missing or anything at all, nested ones too. `kept`: fields that stay as they are. */
export const distorted = <T extends object>(
  sound: fc.Arbitrary<T>,
  kept: readonly string[] = [],
): fc.Arbitrary<unknown> =>
  fc
    .tuple(sound, fc.infiniteStream(fc.noBias(fc.nat(99))), fc.infiniteStream(oddValue))
    .map(([object, chances, oddValues]) => {
      const chance = (): number => (chances.next().value as number) / 100;
      const maybeOdd = (value: unknown, part: string): unknown => {
        if (chance() < 0.15) return oddValues.next().value;
        const names = Object.hasOwn(parts, part) ? parts[part] : undefined;
        if (names === undefined || typeof value !== 'object' || value === null) return value;
        return Object.fromEntries([
          ...Object.entries(value),
          ...names.filter(() => chance() < 0.25).map((name) => [name, oddValues.next().value]),
        ]);
      };
      return Object.fromEntries(
        Object.entries(object)
          .filter(([field]) => kept.includes(field) || chance() > 0.1)
          .map(([field, value]) => [field, kept.includes(field) ? value : maybeOdd(value, field)]),
      );
    });
