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
