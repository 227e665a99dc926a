import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Transaction } from 'plaid';
import { refusalOf, Rig } from './rig.js';

/** Plaid's own published test users; real input, kept beside the project and not in it. */
const FOLDER = fileURLToPath(new URL('../../../../shared/custom-users', import.meta.url));
const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : [];
if (files.length === 0)
  process.stderr.write('customUser.test: Plaid’s custom users are not here; those tests are skipped\n');

interface Listed {
  date_transacted: string;
  date_posted: string;
  amount: number;
  description: string;
  currency?: string;
}

interface File {
  override_accounts: {
    type: string;
    subtype: string;
    starting_balance?: number;
    force_available_balance?: number;
    meta?: { name?: string; official_name?: string; limit?: number; mask?: string };
    numbers?: { account?: string; ach_routing?: string };
    transactions?: Listed[];
    identity?: { names: string[] };
  }[];
}

const NOW = Date.parse('2026-11-21T12:00:00Z');

describe('custom users', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ now: NOW });
  });
  afterAll(() => rig.close());

  const link = async (password: string) => {
    const item = await rig.link({ username: 'user_custom', password });
    await rig.control('POST', `/_sim/items/${item.itemId}/advance`, { to: 'historical' });
    return { ...item, token: { access_token: item.accessToken } };
  };
  const user = (...accounts: object[]) => JSON.stringify({ override_accounts: accounts });

  it('must be given as JSON of Plaid’s form', async () => {
    for (const password of [
      'pass_good',
      '[]',
      user({ subtype: 'checking' }),
      user({ type: 'depository', transactions: [{ amount: 1 }] }),
      user({
        type: 'depository',
        transactions: [
          { date_transacted: '2026-02-30', date_posted: '2026-03-01', amount: 1, description: 'x' },
        ],
      }),
      user(...Array.from({ length: 11 }, () => ({ type: 'depository' }))),
      ...[
        ...['01/05/2018', '2018-13-01', ''].map((origination_date) => ({ origination_date })),
        { expected_payoff_date: 'x' },
        { loan_status: { type: 'repayment', end_date: 'x' } },
        { repayment_model: { repayment_months: 1e15 } },
        { principal: '1' },
      ].map((liability) =>
        user({ type: 'loan', subtype: 'student', liability: { type: 'student', ...liability } }),
      ),
    ]) {
      const refusal = await refusalOf(rig.link({ username: 'user_custom', password }));
      expect({ password, ...refusal }).toMatchObject({ error_code: 'INVALID_FIELD', status: 400 });
    }
    expect(
      await refusalOf(
        rig.link({ username: 'user_custom', password: JSON.stringify({ force_error: 'ITEM_LOCKED' }) }),
      ),
    ).toMatchObject({ error_code: 'ITEM_LOCKED' });
  });

  it('keep dates, amounts, signs and currencies as given', async () => {
    const row = (date_transacted: string, date_posted: string, amount: number, currency?: string) => ({
      date_transacted,
      date_posted,
      amount,
      description: `row ${amount}`,
      ...(currency ? { currency } : {}),
    });
    const { accessToken, token } = await link(
      user(
        {
          type: 'depository',
          subtype: 'checking',
          transactions: [
            row('2026-11-01', '2026-11-02', -12.34567),
            row('2026-11-09', '2026-11-05', 0, 'EUR'),
            row('2026-11-20', '2026-11-25', 7),
            row('2024-11-20', '2024-11-20', 8),
          ],
        },
        { type: 'depository', subtype: 'savings', numbers: { bacs_sort_code: '601613' }, transactions: [] },
        {
          type: 'depository',
          subtype: 'checking',
          numbers: { eft_institution: '021' },
          transactions: [row('2026-11-01', '2026-11-01', 5)],
        },
        { type: 'credit', subtype: 'credit card', currency: 'JPY', transactions: [] },
      ),
    );
    const { accounts } = (await rig.api.accountsGet(token)).data;
    expect(accounts.map(({ balances }) => balances.iso_currency_code)).toEqual(['USD', 'GBP', 'CAD', 'JPY']);
    const { added } = await rig.run(accessToken);
    const seen = added.map((t: Transaction) => [
      accounts.findIndex(({ account_id }) => account_id === t.account_id),
      t.date,
      t.authorized_date,
      t.amount,
      t.iso_currency_code,
      t.pending,
      t.name,
      t.original_description,
    ]);
    expect(seen).toHaveLength(4);
    expect(seen).toEqual(
      expect.arrayContaining([
        [0, '2026-11-02', '2026-11-01', -12.34567, 'USD', false, 'row -12.34567', 'row -12.34567'],
        [0, '2026-11-05', '2026-11-09', 0, 'EUR', false, 'row 0', 'row 0'],
        [0, '2026-11-25', '2026-11-20', 7, 'USD', true, 'row 7', 'row 7'],
        [2, '2026-11-01', '2026-11-01', 5, 'CAD', false, 'row 5', 'row 5'],
      ]),
    );
    const { numbers } = (await rig.api.authGet(token)).data;
    expect([numbers.ach.length, numbers.eft.length, numbers.bacs.length]).toEqual([1, 1, 1]);
  });

  it('have balances as given, and what is left out made up', async () => {
    const { token } = await link(
      user(
        { type: 'depository', subtype: 'checking', starting_balance: 100, force_available_balance: 40 },
        { type: 'depository', subtype: 'savings', starting_balance: 0, has_null_available_balance: true },
        { type: 'credit', subtype: 'credit card', starting_balance: 50, meta: { limit: 500, mask: '9876' } },
        { type: 'investment', subtype: '401k' },
      ),
    );
    const { accounts } = (await rig.api.accountsGet(token)).data;
    expect(accounts.map(({ balances }) => [balances.current, balances.available, balances.limit])).toEqual([
      [100, 40, null],
      [0, null, null],
      [50, 450, 500],
      [expect.any(Number), null, null],
    ]);
    expect(accounts[2]?.mask).toBe('9876');
    expect(accounts.every(({ name, mask }) => name !== '' && mask?.length === 4)).toBe(true);
    const synced = await rig.run(token.access_token);
    expect(synced.added).toHaveLength(60);
    expect(synced.added.some(({ account_id }) => account_id === accounts[3]?.account_id)).toBe(false);
    const auth = (await rig.api.authGet(token)).data;
    expect(auth.accounts).toHaveLength(2);
  });

  it('may have 55,000 bytes; white space is none of them', async () => {
    const rows = (count: number, name: string) =>
      Array.from({ length: count }, (_, n) => ({
        date_transacted: '2026-03-01',
        date_posted: '2026-03-02',
        amount: n + 0.25,
        description: `${name} ${n}`,
        currency: 'USD',
      }));
    const file = { override_accounts: [{ type: 'depository', transactions: rows(223, 'Purchase') }] };
    const printed = JSON.stringify(file, null, 8);
    expect(printed.length).toBeGreaterThan(67_000);
    const { accessToken } = await link(printed);
    expect((await rig.run(accessToken)).added).toHaveLength(223);
    // In bytes, not in characters: two bytes each.
    const name = 'é'.repeat(100);
    const large = user({ type: 'depository', transactions: rows(200, name) });
    expect(large.length).toBeLessThan(55_000);
    expect(Buffer.byteLength(large)).toBeGreaterThan(55_000);
    expect(await refusalOf(link(large))).toMatchObject({ error_code: 'INVALID_FIELD' });
  });

  it('without a checking or savings account have no numbers', async () => {
    const { token } = await link(user({ type: 'credit', subtype: 'credit card', transactions: [] }));
    expect(await refusalOf(rig.api.authGet(token))).toMatchObject({ error_code: 'NO_AUTH_ACCOUNTS' });
  });

  it('get Plaid’s usual accounts when they list none', async () => {
    const { token } = await link(JSON.stringify({ seed: 'mine', version: '2' }));
    expect((await rig.api.accountsGet(token)).data.accounts.map(({ mask }) => mask)).toHaveLength(4);
  });

  (files.length > 0 ? it.each(files) : it.skip.each(['(no files)']))('takes Plaid’s own %s', async (name) => {
    const text = readFileSync(join(FOLDER, name), 'utf8');
    const file = JSON.parse(text) as File;
    const { token, accessToken, itemId } = await link(text);
    const { accounts } = (await rig.api.identityGet(token)).data;
    const { added } = await rig.run(accessToken);
    expect(accounts).toHaveLength(file.override_accounts.length);
    file.override_accounts.forEach((given, index) => {
      const account = accounts[index];
      if (!account) throw new Error('an account is missing');
      expect(account).toMatchObject({ type: given.type, subtype: given.subtype });
      if (given.starting_balance !== undefined) expect(account.balances.current).toBe(given.starting_balance);
      if (given.force_available_balance !== undefined) {
        expect(account.balances.available).toBe(given.force_available_balance);
      }
      if (given.meta?.name) expect(account.name).toBe(given.meta.name);
      if (given.meta?.official_name) expect(account.official_name).toBe(given.meta.official_name);
      if (given.meta?.limit) expect(account.balances.limit).toBe(given.meta.limit);
      if (given.numbers?.account) expect(account.mask).toBe(given.numbers.account.slice(-4));
      if (given.identity) expect(account.owners[0]?.names).toEqual(given.identity.names);
      if (!given.transactions) return;
      const seen = added
        .filter(({ account_id }) => account_id === account.account_id)
        .map((t) => [t.date, t.authorized_date, t.amount, t.iso_currency_code, t.name].join('|'));
      const wanted = given.transactions.map((t) =>
        [t.date_posted, t.date_transacted, t.amount, t.currency ?? 'USD', t.description].join('|'),
      );
      expect(seen.sort()).toEqual(wanted.sort());
    });
    const numbered = file.override_accounts.filter(({ numbers }) => numbers?.ach_routing);
    if (numbered.length > 0) {
      const { numbers } = (await rig.api.authGet(token)).data;
      expect(numbers.ach.map(({ account, routing }) => ({ account, ach_routing: routing }))).toEqual(
        numbered.map(({ numbers: given }) => given),
      );
    }
    expect((await rig.truth(itemId)).transactions).toHaveLength(added.length);
  });
});
