import fc from 'fast-check';
import type { AccountIdentity } from '../../../domain/mining/accounts.js';
import {
  counterpartOf,
  defaultMainAccount,
  goneOf,
  identityOf,
  isSameAccount,
  unionOfAccounts,
} from '../../../domain/mining/accounts.js';
import { listedAccounts } from '../../../domain/mining/listedAccounts.js';
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

describe('the accounts that an answer lacks', () => {
  const lacking = [
    { id: 'a', as_of: '2026-11-20T00:00:00.000Z' },
    { id: 'b', as_of: '2026-11-22T00:00:00.000Z' },
    { id: 'c', as_of: '2026-11-21T00:00:00.000Z' },
  ];
  const gone = (unreadable: number, of = lacking, day = '23', before = '23') =>
    goneOf(of, unreadable, {
      asOf: `2026-11-${day}T00:00:00.000Z`,
      before: `2026-11-${before}T00:00:00.000Z`,
    }).map(({ id }) => id);

  it('are gone but for those that have been missing the longest, one for each entry that cannot be read', () => {
    expect([0, 1, 2, 3, Infinity].map((unreadable) => gone(unreadable))).toEqual([
      ['a', 'b', 'c'],
      ['b', 'c'],
      ['b'],
      [],
      [],
    ]);
  });

  it('are none of those of which nobody can tell who went first', () => {
    const together = lacking.map((one) => ({ ...one, as_of: '2026-11-20T00:00:00.000Z' }));
    expect([gone(1, together), gone(0, together)]).toEqual([[], ['a', 'b', 'c']]);
  });

  it('are gone once they have been missing for days, but for an answer that says nothing of any', () => {
    expect(['24', '25', '26', '27'].map((day) => gone(9, lacking, day))).toEqual([
      [],
      ['a'],
      ['a', 'c'],
      ['a', 'b', 'c'],
    ]);
    expect(gone(Infinity, lacking, '27')).toEqual([]);
  });

  it('are not gone by the first answer after an outage of days', () => {
    expect(gone(9, lacking, '30', '22')).toEqual(['a', 'c']);
    const together = lacking.map((one) => ({ ...one, as_of: '2026-11-22T00:00:00.000Z' }));
    expect([gone(1, together, '30', '22'), gone(1, together, '30', '29')]).toEqual([[], ['a', 'b', 'c']]);
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

describe('entries of a list of accounts that cannot be read', () => {
  const [a, b] = [{ account_id: 'a' }, { account_id: 'b' }];
  const unreadable = (later: unknown[], earlier: unknown[] = []) => listedAccounts(later, earlier).unreadable;

  it('may each be an account that the other list does not name either', () => {
    expect(unreadable([a, b])).toBe(0);
    expect(unreadable([a, null, {}])).toBe(2);
    expect(unreadable([a, null], [b])).toBe(0);
    expect(unreadable([a, null], [a])).toBe(1);
    // What the earlier list has of them says nothing: the later one can be read.
    expect(unreadable([a], [null, 3])).toBe(0);
  });

  it('say nothing of anybody where none of the list can be read', () => {
    expect([unreadable([]), unreadable([null]), unreadable([null], [a])]).toEqual([
      Infinity,
      Infinity,
      Infinity,
    ]);
  });
});

describe('the accounts of an update', () => {
  it('are each there once, whatever a list names twice', () => {
    const [first, second] = ['first', 'second'].map((name) => ({ account_id: 'a', name }));
    const lists = listedAccounts([first, null, second], [second, { account_id: 'b' }]);
    expect(lists.accounts).toEqual([second, { account_id: 'b' }]);
    expect(lists.unreadable).toBe(0);
  });

  it('are the union, and /accounts/get has the last word', () => {
    const early = { ...account('a', 'depository', 'checking'), name: 'early' };
    const late = { ...account('a', 'depository', 'checking'), name: 'late' };
    const other = account('b', 'credit', null);
    expect(unionOfAccounts([late], [early, other])).toEqual([late, other]);
    expect(unionOfAccounts([], [early])).toEqual([early]);
  });
});

describe('the counterpart of an account in another Item', () => {
  const named = (mask: string | null, id: string | null = null): AccountIdentity => ({
    ...{ persistent_account_id: id, mask, name: 'Checking', type: 'depository', subtype: 'checking' },
  });
  const [plain, twin] = [named('1'), named('1')];
  const other = { ...named('1'), at: 'other' };

  it.each<[string, AccountIdentity, AccountIdentity[], (AccountIdentity & { at?: string })[], string | null]>(
    [
      ['the only one that is called so', plain, [plain], [other], 'other'],
      ['none where two there are called so', plain, [plain], [other, { ...other, at: 'second' }], null],
      ['none where two here are called so', plain, [plain, twin], [other], null],
      [
        'the one of its persistent id beside others that are called so',
        named('1', 'p'),
        [named('1', 'p'), named('1')],
        [
          { ...named('1'), at: 'second' },
          { ...named('1', 'p'), at: 'same' },
        ],
        'same',
      ],
      [
        'none where its persistent id stands there twice',
        named('1', 'p'),
        [named('1', 'p')],
        [
          { ...named('1', 'p'), at: 'a' },
          { ...named('2', 'p'), at: 'b' },
        ],
        null,
      ],
      ['none where there is none', plain, [plain], [{ ...named('2'), at: 'third' }], null],
    ],
  )('is %s', (_name, mine, own, others, found) => {
    expect(counterpartOf(mine, own, others)?.at ?? null).toBe(found);
  });
});
