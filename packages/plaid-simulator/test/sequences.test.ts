import { byId, refusalOf, Rig, type SentDelivery } from './rig.js';

const CHASE = 'ins_56';
const PNC = 'ins_13';
const PLATYPUS = 'ins_109508';

describe('sequences', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ loginExpiresAfterDays: 30 });
  });
  afterAll(() => rig.close());

  const ready = async (options: Parameters<Rig['link']>[0] = {}) => {
    const linked = await rig.link(options);
    await rig.control('POST', `/_sim/items/${linked.itemId}/advance`, { to: 'idle' });
    return linked;
  };
  const accounts = (itemId: string, body: object) =>
    rig.control('POST', `/_sim/items/${itemId}/accounts`, body);
  const churn = (itemId: string, ids: (string | undefined)[], notify = false) =>
    rig.control<{ churned: { account_id: string; new_account_id: string }[] }>(
      'POST',
      `/_sim/items/${itemId}/churn`,
      { account_ids: ids, notify },
    );
  const errorOf = async (accessToken: string) =>
    (await rig.api.itemGet({ access_token: accessToken })).data.item.error?.error_code ?? null;
  const openIds = async (accessToken: string) =>
    (await rig.api.accountsGet({ access_token: accessToken })).data.accounts.map(
      ({ account_id }) => account_id,
    );

  describe('a pending transaction that posts', () => {
    it.each([
      ['removed', ['removed', 'added']],
      ['added', ['added', 'removed']],
    ] as const)('is a removal and an insert, %s first, on different pages', async (first, expected) => {
      const { accessToken, itemId } = await ready();
      const [held] = (await rig.change(itemId, { add: [{ amount: 20, name: 'Dinner', pending: true }] }))
        .added;
      let { cursor } = await rig.run(accessToken);
      await rig.change(itemId, { post: [{ transaction_id: held, amount: 24, first }] });
      const told: string[] = [];
      for (let more = true; more;) {
        const page = await rig.sync(accessToken, cursor, 1);
        for (const { transaction_id } of page.removed) {
          expect(transaction_id).toBe(held);
          told.push('removed');
        }
        for (const transaction of page.added) {
          expect(transaction).toMatchObject({ amount: 24, pending: false, pending_transaction_id: held });
          expect(transaction.transaction_id).not.toBe(held);
          told.push('added');
        }
        expect(page.modified).toEqual([]);
        cursor = page.next_cursor;
        more = page.has_more;
      }
      expect(told).toEqual(expected);
    });

    it('keeps the total of /transactions/get while the pages move', async () => {
      const { accessToken, itemId } = await ready();
      const [held] = (await rig.change(itemId, { add: [{ amount: 20, name: 'Dinner', pending: true }] }))
        .added;
      const get = async () =>
        (
          await rig.api.transactionsGet({
            access_token: accessToken,
            start_date: '2020-01-01',
            end_date: '2040-01-01',
            options: { count: 500 },
          })
        ).data;
      const before = await get();
      await rig.change(itemId, { post: [{ transaction_id: held }] });
      const after = await get();
      expect(after.total_transactions).toBe(before.total_transactions);
      expect(byId(after.transactions).has(held ?? '')).toBe(false);
    });
  });

  it('a row that is told as modified may be unchanged, to the last byte', async () => {
    const { accessToken, itemId } = await ready();
    const { added, cursor } = await rig.run(accessToken);
    const one = added[7];
    await rig.change(itemId, { modify: [{ transaction_id: one?.transaction_id }] });
    const { modified, ...rest } = await rig.run(accessToken, cursor);
    expect(rest).toMatchObject({ added: [], removed: [] });
    expect(JSON.stringify(modified)).toBe(JSON.stringify([one]));
  });

  it('an account that closes takes its transactions with it, without a word', async () => {
    const { accessToken, itemId } = await ready();
    const { cursor, added } = await rig.run(accessToken);
    const closing = added[0]?.account_id ?? '';
    await accounts(itemId, { close: [closing] });
    expect(await openIds(accessToken)).not.toContain(closing);
    const next = await rig.run(accessToken, cursor);
    expect(next).toMatchObject({ added: [], modified: [], removed: [] });
    const all = await rig.run(accessToken);
    expect(all.added.some(({ account_id }) => account_id === closing)).toBe(false);
    expect(all.added.length).toBeLessThan(added.length);
    const options = { account_ids: [closing] };
    expect((await refusalOf(rig.api.accountsGet({ access_token: accessToken, options }))).error_code).toBe(
      'INVALID_ACCOUNT_ID',
    );
  });

  describe('account churn', () => {
    it('puts another account in the place of one, with the same transactions under other ids', async () => {
      const { accessToken, itemId } = await ready({ institution: CHASE, webhook: 'http://127.0.0.1:9/hook' });
      const { cursor, added } = await rig.run(accessToken);
      const before = (await rig.api.accountsGet({ access_token: accessToken })).data.accounts;
      const old = before[0]?.account_id ?? '';
      const { churned } = await churn(itemId, [old], true);
      const fresh = churned[0]?.new_account_id ?? '';
      expect(churned).toEqual([{ account_id: old, new_account_id: fresh }]);
      const after = (await rig.api.accountsGet({ access_token: accessToken })).data.accounts;
      expect(after).toEqual(
        before.map((account) => (account.account_id === old ? { ...account, account_id: fresh } : account)),
      );
      const next = await rig.run(accessToken, cursor);
      expect(next).toMatchObject({ modified: [], removed: [] });
      const was = added.filter(({ account_id }) => account_id === old);
      const content = (list: typeof added) =>
        list
          .map(({ amount, date, name, original_description }) => [amount, date, name, original_description])
          .map((row) => JSON.stringify(row))
          .sort();
      expect(was.length).toBeGreaterThan(0);
      expect(content(next.added)).toEqual(content(was));
      const known = byId(was);
      for (const { transaction_id, account_id } of next.added) {
        expect(account_id).toBe(fresh);
        expect(known.has(transaction_id)).toBe(false);
      }
      const truth = await rig.truth(itemId);
      expect(truth.closed_account_transactions.sort()).toEqual([...known.keys()].sort());
      expect(truth.transactions).toHaveLength(added.length);
      const codes = (await rig.deliveries(itemId)).map(({ webhook_code }: SentDelivery) => webhook_code);
      expect(codes.slice(-2)).toEqual(['DEFAULT_UPDATE', 'SYNC_UPDATES_AVAILABLE']);
      const { ach } = (await rig.api.authGet({ access_token: accessToken })).data.numbers;
      expect(ach.map(({ account_id }) => account_id)).toContain(fresh);
    });

    it('interrupts a run of pages, and cannot happen to an account that is closed', async () => {
      const { accessToken, itemId } = await ready();
      const page = await rig.sync(accessToken, '', 10);
      const [first, second] = await openIds(accessToken);
      await churn(itemId, [first]);
      expect((await refusalOf(rig.sync(accessToken, page.next_cursor, 10))).error_code).toBe(
        'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION',
      );
      await expect(churn(itemId, [first])).rejects.toMatchObject({ status: 400 });
      await expect(churn(itemId, [second, second])).rejects.toMatchObject({
        status: 400,
      });
      expect(await openIds(accessToken)).toContain(second);
    });
  });

  describe('a login', () => {
    it('is asked for again after reset_login, and 30 days after the Item was made', async () => {
      const { accessToken, itemId } = await ready();
      await rig.api.sandboxItemResetLogin({ access_token: accessToken });
      expect(await errorOf(accessToken)).toBe('ITEM_LOGIN_REQUIRED');
      await rig.control('POST', `/_sim/items/${itemId}/repair`);
      expect(await errorOf(accessToken)).toBeNull();
      await rig.advance('P29D');
      expect(await errorOf(accessToken)).toBeNull();
      await rig.advance('P1D');
      expect(await errorOf(accessToken)).toBe('ITEM_LOGIN_REQUIRED');
      expect((await refusalOf(rig.sync(accessToken))).error_code).toBe('ITEM_LOGIN_REQUIRED');
      await rig.control('POST', `/_sim/items/${itemId}/repair`);
      expect(await errorOf(accessToken)).toBeNull();
    });

    it('anew gives the same accounts and transactions under ids of which none is known', async () => {
      const one = await ready({ username: 'user_relink' });
      const two = await ready({ username: 'user_relink' });
      const [a, b] = [await rig.truth(one.itemId), await rig.truth(two.itemId)];
      expect(b.accounts.map(({ name }) => name)).toEqual(a.accounts.map(({ name }) => name));
      expect(b.transactions.map(({ name, amount }) => [name, amount])).toEqual(
        a.transactions.map(({ name, amount }) => [name, amount]),
      );
      const ids = (truth: typeof a) => [
        truth.item_id,
        ...truth.accounts.map(({ account_id }) => account_id),
        ...truth.transactions.map(({ transaction_id }) => transaction_id),
      ];
      expect(ids(a).filter((id) => ids(b).includes(id))).toEqual([]);
    });
  });

  describe('a second link of the same user', () => {
    const relink = async (institution: string, username: string, change: boolean) => {
      const one = await rig.link({ institution, username, webhook: 'http://127.0.0.1:9/hook' });
      const [first] = await openIds(one.accessToken);
      if (change) await accounts(one.itemId, { close: [first] });
      const two = await rig.link({ institution, username });
      return { one, two };
    };

    it.each([[CHASE], [PNC]])('at %s ends the older Item whose accounts are others', async (institution) => {
      const { one, two } = await relink(institution, 'user_twice', true);
      expect(await errorOf(one.accessToken)).toBe('ITEM_LOGIN_REQUIRED');
      expect(await errorOf(two.accessToken)).toBeNull();
      expect((await rig.deliveries(one.itemId)).map(({ webhook_code }) => webhook_code)).toEqual(['ERROR']);
    });

    it('leaves it alone when the accounts are the same, the user another, or the bank another', async () => {
      const same = await relink(CHASE, 'user_same', false);
      const elsewhere = await relink(PLATYPUS, 'user_elsewhere', true);
      const other = await rig.link({ institution: CHASE, username: 'user_other' });
      await accounts(other.itemId, { close: (await openIds(other.accessToken)).slice(0, 1) });
      await rig.link({ institution: CHASE, username: 'user_somebody' });
      for (const { accessToken } of [same.one, elsewhere.one, other]) {
        expect(await errorOf(accessToken)).toBeNull();
      }
    });
  });
});
