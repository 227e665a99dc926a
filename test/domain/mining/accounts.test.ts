import fc from 'fast-check';
import type { AccountIdentity } from '../../../domain/mining/accounts.js';
import {
  defaultMainAccount,
  identityOf,
  isSameAccount,
  unionOfAccounts,
} from '../../../domain/mining/accounts.js';
import type { PlaidAccount } from '../../../domain/plaid.js';
import { plaidAccount } from './plaidObjects.js';

const known: AccountIdentity = {
  persistent_account_id: null,
  mask: '0000',
  name: 'Checking',
  type: 'depository',
  subtype: 'checking',
};
const account = (account_id: string, type: string, subtype: string | null): PlaidAccount => ({
  account_id,
  type,
  subtype,
  name: account_id,
  official_name: null,
  mask: null,
  balances: {
    available: null,
    current: null,
    limit: null,
    iso_currency_code: null,
    unofficial_currency_code: null,
  },
});

describe('whether two accounts are one', () => {
  it.each([
    ['mask', { mask: '1111' }],
    ['name', { name: 'Savings' }],
    ['type', { type: 'credit' }],
    ['subtype', { subtype: 'savings' }],
    ['a missing mask', { mask: null }],
  ])('another %s makes another account', (_name, change) => {
    expect(isSameAccount(known, { ...known, ...change })).toBe(false);
  });

  it('the persistent id decides where both have one', () => {
    const a = { ...known, persistent_account_id: 'p1' };
    expect(isSameAccount(a, { ...known, persistent_account_id: 'p2' })).toBe(false);
    expect(isSameAccount(a, { ...a, mask: '9999', name: 'renamed' })).toBe(true);
    expect(isSameAccount(a, known)).toBe(true);
  });

  it('is the same question both ways round', () => {
    const identity = plaidAccount.map(identityOf);
    fc.assert(
      fc.property(identity, identity, (a, b) => {
        expect(isSameAccount(a, b)).toBe(isSameAccount(b, a));
        expect(isSameAccount(a, { ...a })).toBe(true);
      }),
    );
  });

  it("reads Link's metadata and Plaid's accounts alike", () => {
    expect(identityOf({ mask: '0000', name: 'Checking', type: 'depository', subtype: 'checking' })).toEqual(
      known,
    );
    expect(identityOf({})).toEqual({
      persistent_account_id: null,
      mask: null,
      name: null,
      type: null,
      subtype: null,
    });
    expect(
      identityOf({ ...account('a', 'depository', 'checking'), persistent_account_id: 'p' }),
    ).toMatchObject({ persistent_account_id: 'p' });
  });
});

describe('the main account', () => {
  const credit = account('credit', 'credit', 'credit card');
  const savings = account('savings', 'depository', 'savings');
  const checking = account('checking', 'depository', 'checking');
  it.each<[string, PlaidAccount[], string | null]>([
    ['none', [], null],
    ['the first, when nothing is a deposit', [credit, account('loan', 'loan', null)], 'credit'],
    ['a deposit before a card', [credit, savings], 'savings'],
    ['checking before savings', [credit, savings, checking], 'checking'],
    ['a checking subtype of another type is none', [account('odd', 'other', 'checking'), savings], 'savings'],
  ])('%s', (_name, open, expected) => {
    expect(defaultMainAccount(open)).toBe(expected);
  });
});

describe('the accounts of an update', () => {
  it('are the union, and /accounts/get has the last word', () => {
    const early = { ...account('a', 'depository', 'checking'), name: 'early' };
    const late = { ...account('a', 'depository', 'checking'), name: 'late' };
    const other = account('b', 'credit', null);
    expect(unionOfAccounts([late], [early, other])).toEqual([late, other]);
    expect(unionOfAccounts([], [early])).toEqual([early]);
  });
});
