import { Big } from 'big.js';
import fc from 'fast-check';
import { decimal } from '../../../domain/mining/oddValues.js';
import { refineAccount, refineTransaction } from '../../../domain/mining/refine.js';
import type { PlaidAccount, PlaidTransaction } from '../../../domain/plaid.js';
import { amount, owner, plaidAccount, plaidTransaction } from './plaidObjects.js';

const someone = { item_id: 'item1', user_id: 'user1', institution_id: 'ins_1' };
const bare: PlaidTransaction = {
  transaction_id: 'tx1',
  account_id: 'acc1',
  amount: 5,
  iso_currency_code: null,
  unofficial_currency_code: null,
  date: '2026-11-01',
  pending: false,
};

describe('decimal text', () => {
  it.each([
    [1e-7, '0.0000001'],
    [5e-324, `0.${'0'.repeat(323)}5`],
    [1e21, '1000000000000000000000'],
    [0.1 + 0.2, '0.30000000000000004'],
    [12.345678, '12.345678'],
    [100.0, '100'],
    [0, '0'],
    [-0, '0'],
    [-2.5, '-2.5'],
  ])('%d is %s', (value, expected) => {
    expect(decimal(value)).toBe(expected);
  });

  it('is never an exponent and loses nothing', () => {
    fc.assert(
      fc.property(amount, (value) => {
        const written = decimal(value);
        expect(written).toMatch(/^-?(0|[1-9]\d*)(\.\d+)?$/);
        expect(new Big(written).eq(value)).toBe(true);
      }),
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('%d is refused', (value) => {
    expect(() => decimal(value)).toThrow('Invalid number');
  });
});

describe('a transaction', () => {
  it.each([
    [12.5, 'outflow', '12.5'],
    [-12.5, 'inflow', '12.5'],
    [0, 'outflow', '0'],
    [-0, 'outflow', '0'],
    [-1e-7, 'inflow', '0.0000001'],
  ])('of amount %d is %s of %s', (value, direction, text) => {
    expect(refineTransaction({ ...bare, amount: value }, someone)).toMatchObject({ direction, amount: text });
  });

  it('of which Plaid tells the least has nulls, and no field is missing', () => {
    expect(refineTransaction(bare, { ...someone, institution_id: null })).toEqual({
      id: 'tx1',
      item_id: 'item1',
      user_id: 'user1',
      account_id: 'acc1',
      institution_id: null,
      status: 'posted',
      direction: 'outflow',
      amount: '5',
      currency: null,
      date: '2026-11-01',
      authorized_date: null,
      datetime: null,
      authorized_datetime: null,
      description: null,
      merchant: { name: null, id: null, logo_url: null, website: null },
      category: null,
      channel: null,
      check_number: null,
      location: null,
      replaces: null,
    });
  });

  it("names what it replaces, prefers the bank's own words and the official currency", () => {
    const full: PlaidTransaction = {
      ...bare,
      pending_transaction_id: 'tx0',
      name: 'cleaned name',
      original_description: 'POS 1234 CLEANED NAME',
      iso_currency_code: 'USD',
      unofficial_currency_code: 'BTC',
      personal_finance_category: { primary: 'FOOD', detailed: 'FOOD_COFFEE', confidence_level: 'HIGH' },
    };
    expect(refineTransaction(full, someone)).toMatchObject({
      replaces: 'tx0',
      description: 'POS 1234 CLEANED NAME',
      currency: 'USD',
      category: { primary: 'FOOD', detailed: 'FOOD_COFFEE', confidence: 'HIGH' },
    });
    expect(refineTransaction({ ...full, original_description: null }, someone).description).toBe(
      'cleaned name',
    );
    expect(refineTransaction({ ...full, iso_currency_code: null }, someone).currency).toBe('BTC');
    expect(refineTransaction({ ...full, pending: true }, someone).status).toBe('pending');
  });

  it('survives JSON whole, whatever Plaid sent', () => {
    fc.assert(
      fc.property(plaidTransaction, owner, (raw, of) => {
        const refined = refineTransaction(raw, of);
        expect(Object.values(refined)).not.toContain(undefined);
        expect(new Big(refined.amount).eq(Math.abs(raw.amount))).toBe(true);
        expect(refined.direction).toBe(raw.amount < 0 ? 'inflow' : 'outflow');
      }),
    );
  });
});

describe('an account', () => {
  const account: PlaidAccount = {
    account_id: 'acc1',
    balances: {
      available: null,
      current: -20.25,
      limit: 1e-7,
      iso_currency_code: null,
      unofficial_currency_code: 'BTC',
    },
    mask: null,
    name: 'Card',
    official_name: null,
    type: 'credit',
    subtype: null,
  };
  const circumstances = {
    ...someone,
    status: 'open',
    is_main: true,
    as_of: '2026-11-21T10:00:00.000Z',
  } as const;

  it('keeps the sign of its balances and what is not told', () => {
    expect(refineAccount(account, circumstances)).toEqual({
      id: 'acc1',
      ...someone,
      name: 'Card',
      official_name: null,
      mask: null,
      type: 'credit',
      subtype: null,
      status: 'open',
      is_main: true,
      balances: {
        available: null,
        current: '-20.25',
        limit: '0.0000001',
        currency: 'BTC',
        as_of: circumstances.as_of,
      },
      persistent_id: null,
      holder_category: null,
      replaces: null,
      replaced_by: null,
    });
  });

  it('survives JSON whole, whatever Plaid sent', () => {
    fc.assert(
      fc.property(plaidAccount, (raw) => {
        const refined = refineAccount(raw, circumstances);
        expect(JSON.parse(JSON.stringify(refined))).toEqual(refined);
        expect(Object.values(refined)).not.toContain(undefined);
      }),
    );
  });
});
