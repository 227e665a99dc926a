import { compareCustomUser, type CustomUserFile } from '../../../tools/local/compareCustomUser.js';

const row = (over: object = {}) => ({
  date_transacted: '2026-05-01',
  date_posted: '2026-05-02',
  amount: 10.5,
  description: 'Coffee',
  ...over,
});
const file = (transactions: ReturnType<typeof row>[], over: object = {}): CustomUserFile => ({
  override_accounts: [
    { type: 'depository', subtype: 'checking', starting_balance: 100, transactions, ...over },
  ],
});
const account = (over: object = {}) => ({
  id: 'acc1',
  live: true,
  refined: {},
  raw: {
    type: 'depository',
    subtype: 'checking',
    name: 'Checking',
    balances: { current: 100, available: 90, limit: null, iso_currency_code: 'USD' },
    ...over,
  },
});
const stored = (id: string, over: object = {}) => ({
  id,
  live: true,
  refined: {},
  raw: {
    transaction_id: id,
    account_id: 'acc1',
    date: '2026-05-02',
    authorized_date: '2026-05-01',
    amount: 10.5,
    iso_currency_code: 'USD',
    original_description: 'Coffee',
    ...over,
  },
});
const compare = (user: CustomUserFile, transactions: ReturnType<typeof stored>[], accounts = [account()]) =>
  compareCustomUser(user, ['acc1'], '2026-11-21T08:00:00Z', { accounts, transactions });

describe('the comparison with a custom user file', () => {
  it('counts equal rows: two in the file are two in the store', () => {
    const { differences } = compare(file([row(), row()]), [stored('t1')]);
    expect(differences).toEqual([
      {
        store: 'postgres',
        id: '',
        problem: 'account 0: missing: 2026-05-02 | 2026-05-01 | 10.5 | USD | Coffee (custom user file)',
      },
    ]);
  });

  it.each([
    ['sign', { amount: -10.5 }],
    ['date', { date: '2026-05-01' }],
    ['authorized date', { authorized_date: null }],
    ['description', { original_description: 'coffee' }],
    ['currency', { iso_currency_code: 'EUR' }],
  ])('sees another %s', (_field, over) => {
    const { differences } = compare(file([row()]), [stored('t1', over)]);
    expect(differences.map(({ id }) => id)).toEqual(['t1', '']);
  });

  it('names each given account field that differs and each row too old to be served', () => {
    const user = file([row({ date_posted: '2024-11-20' }), row({ date_posted: '2024-11-21' })], {
      starting_balance: 1,
      meta: { name: 'Mine' },
    });
    const result = compare(user, [stored('t1', { date: '2024-11-21' })]);
    expect(result.differences.map(({ problem }) => problem)).toEqual([
      'account 0: name is Checking, not Mine (custom user file)',
      'account 0: balances.current is 100, not 1 (custom user file)',
    ]);
    expect(result.cut).toEqual(['account 0: 2024-11-20 | 2026-05-01 | 10.5 | USD | Coffee']);
    expect(result.rows).toBe(1);
  });

  it('takes the currency of the row, else of the account, else of the kind of its numbers', () => {
    const one = (over: object, currency: string) =>
      compare(
        file([row()], over),
        [stored('t1', { iso_currency_code: currency })],
        [account({ balances: { current: 100, iso_currency_code: currency } })],
      ).differences;
    expect(one({ numbers: { bacs_sort_code: '1' } }, 'GBP')).toEqual([]);
    expect(one({ numbers: { eft_branch: '1' } }, 'CAD')).toEqual([]);
    expect(one({ currency: 'EUR', numbers: { eft_branch: '1' } }, 'EUR')).toEqual([]);
    expect(
      compare(file([row({ currency: 'JPY' })]), [stored('t1', { iso_currency_code: 'JPY' })]).differences,
    ).toEqual([]);
  });

  it('expects nothing of transactions where the file has no list', () => {
    const user: CustomUserFile = { override_accounts: [{ type: 'depository', subtype: 'checking' }] };
    expect(compare(user, [stored('t1')])).toEqual({ differences: [], cut: [], rows: 0 });
  });
});
