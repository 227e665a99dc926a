import { AccountType, Products } from 'plaid';
import { Rig } from './rig.js';

const CAPITAL_ONE = 'ins_128026';
const ELSEWHERE = 'ins_109508';
const TODAY = '2026-07-01';
/** 90 days before it. */
const OLDEST = '2026-04-02';

const row = (date: string, description: string) => ({
  date_transacted: date,
  date_posted: date,
  amount: 10,
  description,
  currency: 'USD',
});

/** What is different at Capital One, and at no other bank. */
describe('Capital One', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ now: Date.parse(`${TODAY}T12:00:00Z`) });
  });
  afterAll(() => rig.close());

  const idle = async (itemId: string) => {
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    return (await rig.truth(itemId)).transactions;
  };
  const dates = (rows: { date: string }[]) => rows.map(({ date }) => date).sort();
  /** Days from the oldest row to today. */
  const depth = (rows: { date: string }[]) =>
    (Date.parse(TODAY) - Date.parse(dates(rows)[0] ?? '')) / 86_400_000;

  it('gives 90 days of history, whatever is asked for', async () => {
    const seeded = await idle((await rig.link({ institution: CAPITAL_ONE, days: 730 })).itemId);
    expect(seeded).toHaveLength(60);
    expect(depth(seeded)).toBeLessThanOrEqual(90);
    expect(depth(await idle((await rig.link({ institution: ELSEWHERE, days: 730 })).itemId))).toBeGreaterThan(
      90,
    );
    expect(
      depth(await idle((await rig.link({ institution: CAPITAL_ONE, days: 30 })).itemId)),
    ).toBeLessThanOrEqual(30);

    const late = await rig.link({ institution: CAPITAL_ONE, products: [Products.Auth] });
    await rig.api.transactionsSync({ access_token: late.accessToken, options: { days_requested: 730 } });
    expect(depth(await idle(late.itemId))).toBeLessThanOrEqual(90);

    const transactions = [row('2026-04-01', 'TOO OLD'), row(OLDEST, 'OLD ENOUGH')];
    const accounts = [{ type: 'depository', subtype: 'checking', transactions }];
    const listed = (institution: string) =>
      rig.link({
        institution,
        username: 'user_custom',
        password: JSON.stringify({ version: 2, override_accounts: accounts }),
      });
    expect(dates(await idle((await listed(CAPITAL_ONE)).itemId))).toEqual([OLDEST]);
    expect(dates(await idle((await listed(ELSEWHERE)).itemId))).toEqual(['2026-04-01', OLDEST]);
  });

  it('tells of no payment that is pending, and names none in what is booked', async () => {
    expect((await idle((await rig.link()).itemId)).some(({ pending }) => pending)).toBe(true);
    const { itemId, accessToken } = await rig.link({ institution: CAPITAL_ONE });
    expect((await idle(itemId)).some(({ pending }) => pending)).toBe(false);
    const { cursor } = await rig.run(accessToken);
    const { added } = await rig.change(itemId, {
      add: [{ amount: 5, name: 'Fuel', pending: true }],
      notify: true,
    });
    const told = (await rig.deliveries(itemId)).length;
    expect((await rig.run(accessToken, cursor)).added).toEqual([]);
    await rig.change(itemId, { modify: [{ transaction_id: added[0], amount: 6 }], notify: true });
    expect((await rig.run(accessToken, cursor)).added).toEqual([]);
    expect(await rig.deliveries(itemId)).toHaveLength(told);
    await rig.change(itemId, { post: [{ transaction_id: added[0], amount: 7 }], notify: true });
    const after = await rig.run(accessToken, cursor);
    expect(after.removed).toEqual([]);
    expect(after.added).toMatchObject([
      { name: 'Fuel', amount: 7, pending: false, pending_transaction_id: null },
    ]);
  });

  it('has nothing pending before the first pull either, nor for a user whose bank moves', async () => {
    const { itemId, accessToken } = await rig.link({
      institution: CAPITAL_ONE,
      username: 'user_transactions_dynamic',
    });
    await rig.change(itemId, { add: [{ amount: 5, name: 'Early', pending: true }] });
    await idle(itemId);
    const first = await rig.run(accessToken);
    expect(first.added.map(({ name }) => name)).not.toContain('Early');
    const refresh = () => rig.api.transactionsRefresh({ access_token: accessToken });
    await refresh();
    const second = await rig.run(accessToken, first.cursor);
    await refresh();
    const third = await rig.run(accessToken, second.cursor);
    const all = [...second.added, ...third.added];
    expect(second.added.map(({ name }) => name)).toEqual(['Early']);
    expect(third.added).toHaveLength(2);
    expect([...second.removed, ...third.removed]).toEqual([]);
    for (const { pending, pending_transaction_id } of all) {
      expect([pending, pending_transaction_id]).toEqual([false, null]);
    }
  });

  it('says with each balance of a card from when it is', async () => {
    const times = async (institution: string) => {
      const { itemId, accessToken } = await rig.link({
        institution,
        products: [Products.Transactions, Products.Auth],
      });
      await idle(itemId);
      const access_token = accessToken;
      const answers = [
        rig.api.accountsGet({ access_token }),
        rig.api.accountsBalanceGet({
          access_token,
          options: { min_last_updated_datetime: '2026-01-01T00:00:00Z' },
        }),
        rig.api.identityGet({ access_token }),
        rig.api.transactionsSync({ access_token, count: 500 }),
        rig.api.transactionsGet({ access_token, start_date: '2026-01-01', end_date: TODAY }),
        rig.api.authGet({ access_token }),
      ];
      const lists = (await Promise.all(answers)).map(({ data }) => data.accounts);
      for (const account of lists.flat()) {
        if (account.type === AccountType.Depository) {
          expect(account.balances.last_updated_datetime).toBeUndefined();
        }
      }
      return lists.map((accounts) =>
        accounts
          .filter(({ type }) => type === AccountType.Credit)
          .map(({ balances }) => balances.last_updated_datetime),
      );
    };
    const now = `${TODAY}T12:00:00.000Z`;
    expect(await times(CAPITAL_ONE)).toEqual([[now], [now], [now], [now], [now], []]);
    const none = [undefined];
    expect(await times(ELSEWHERE)).toEqual([none, none, none, none, none, []]);
  });

  it('asks how old a balance may be only where a card is among what is asked for', async () => {
    const { accessToken } = await rig.link({ institution: CAPITAL_ONE });
    const { accounts } = (await rig.api.accountsGet({ access_token: accessToken })).data;
    const balance = (wanted: AccountType, oldest?: string) =>
      rig.api.accountsBalanceGet({
        access_token: accessToken,
        options: {
          account_ids: accounts.filter(({ type }) => type === wanted).map(({ account_id }) => account_id),
          ...(oldest === undefined ? {} : { min_last_updated_datetime: oldest }),
        },
      });
    const future = '2030-01-01T00:00:00Z';
    await expect(balance(AccountType.Credit)).rejects.toThrow('400');
    await expect(balance(AccountType.Credit, future)).rejects.toThrow('400');
    expect((await balance(AccountType.Depository)).status).toBe(200);
    expect((await balance(AccountType.Depository, future)).status).toBe(200);
  });
});
