import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CountryCode, Products, type PlaidApi, type Transaction } from 'plaid';
import { clientFor, Receiver, refusalOf, Rig, until } from './rig.js';

const clients = { budget: 's-budget', taxes: 's-taxes', bank: 's-bank' };

interface App {
  api: PlaidApi;
  receiver: Receiver;
  webhook: string;
}

interface Linked {
  itemId: string;
  accessToken: string;
}

/** A row without what is different for each Item. */
function content({ account_id, transaction_id, pending_transaction_id, ...rest }: Transaction) {
  return { ...rest, ids: [account_id, transaction_id].length, pending_of: pending_transaction_id !== null };
}

describe('applications of one user', () => {
  let folder: string;
  let rig: Rig;
  let budget: App;
  let taxes: App;
  let bank: PlaidApi;

  const appOf = async (id: 'budget' | 'taxes'): Promise<App> => {
    const receiver = new Receiver();
    const webhook = await receiver.start();
    return { api: clientFor(rig.url, id, clients[id]), receiver, webhook };
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    rig = await Rig.start({ clients, state: join(folder, 'world.jsonl') });
    budget = await appOf('budget');
    taxes = await appOf('taxes');
    bank = clientFor(rig.url, 'bank', clients.bank);
  });
  afterEach(async () => {
    await rig.close();
    await budget.receiver.stop();
    await taxes.receiver.stop();
    rmSync(folder, { recursive: true });
  });

  const link = async (
    { api, webhook }: App,
    options: { institution?: string; username?: string; products?: Products[]; days?: number } = {},
  ): Promise<Linked> => {
    const { public_token } = (
      await api.sandboxPublicTokenCreate({
        institution_id: options.institution ?? 'ins_109508',
        initial_products: options.products ?? [Products.Transactions],
        options: {
          webhook,
          override_username: options.username ?? 'user_good',
          transactions: { days_requested: options.days ?? 730 },
        },
      })
    ).data;
    const { data } = await api.itemPublicTokenExchange({ public_token });
    return { itemId: data.item_id, accessToken: data.access_token };
  };
  const rows = async ({ api }: App, { accessToken }: Linked): Promise<Transaction[]> => {
    const { data } = await api.transactionsSync({ access_token: accessToken, count: 500 });
    return data.added;
  };
  const sim = <T = Record<string, unknown>>({ itemId }: Linked, name: string, body: object) =>
    rig.control<T>('POST', `/_sim/items/${itemId}/${name}`, body);
  const settled = async (...items: Linked[]) => {
    await until(async () => {
      const truths = await Promise.all(items.map(({ itemId }) => rig.truth(itemId)));
      return truths.every(({ webhooks_due }) => webhooks_due === 0);
    });
  };
  const hush = () => {
    budget.receiver.received.length = 0;
    taxes.receiver.received.length = 0;
  };
  const both = async () => {
    const first = await link(budget);
    await rig.advance('PT2M');
    const second = await link(taxes);
    await until(() => taxes.receiver.received.length === 2);
    await settled(first, second);
    hush();
    return { first, second };
  };

  it('a second one has its data at once, under ids of its own', async () => {
    const first = await link(budget);
    await rig.advance('PT2M');
    expect(budget.receiver.codes()).toEqual(['INITIAL_UPDATE', 'HISTORICAL_UPDATE']);
    const second = await link(taxes);
    // No time passes on this clock unless it is moved.
    await until(() => taxes.receiver.received.length === 2);
    expect(taxes.receiver.codes().sort()).toEqual(['HISTORICAL_UPDATE', 'INITIAL_UPDATE']);
    expect(taxes.receiver.received.map(({ body }) => body['item_id'])).toEqual([
      second.itemId,
      second.itemId,
    ]);
    expect(budget.receiver.received).toHaveLength(2);
    const [mine, theirs] = [await rows(budget, first), await rows(taxes, second)];
    expect(theirs).toHaveLength(60);
    expect(theirs.map(content)).toEqual(mine.map(content));
    const ids = (list: Transaction[]) => new Set(list.flatMap((t) => [t.transaction_id, t.account_id]));
    const own = ids(mine);
    for (const id of ids(theirs)) {
      expect(own.has(id)).toBe(false);
      expect(id).toMatch(/^[0-9A-Za-z]{37}$/);
    }
    expect(ids(theirs).size).toBe(own.size);
    // Neither can use the other's token.
    expect((await refusalOf(taxes.api.accountsGet({ access_token: first.accessToken }))).error_code).toBe(
      'INVALID_ACCESS_TOKEN',
    );
  });

  it('nobody joins the session of the same application, of another user or at another bank', async () => {
    await link(budget);
    await rig.advance('PT2M');
    hush();
    await link(budget);
    await link(taxes, { username: 'somebody' });
    await link(taxes, { institution: 'ins_109509' });
    await rig.advance('PT9S');
    expect(budget.receiver.received).toEqual([]);
    expect(taxes.receiver.received).toEqual([]);
    const { items } = await rig.control<{ items: { connection_id: string }[] }>('GET', '/_sim/items');
    expect(new Set(items.map(({ connection_id }) => connection_id)).size).toBe(4);
  });

  it('one that links twice has two sessions, and others join the latest that they are not in', async () => {
    const { first, second } = await both();
    const third = await link(budget);
    await rig.advance('PT9S');
    expect(budget.receiver.received).toEqual([]);
    const fourth = await link(taxes);
    await rig.advance('PT1S');
    expect(budget.receiver.codes()).toEqual(['INITIAL_UPDATE']);
    expect(taxes.receiver.codes()).toEqual(['INITIAL_UPDATE']);
    const { items } = await rig.control<{ items: { item_id: string; connection_id: string }[] }>(
      'GET',
      '/_sim/items',
    );
    const connection = ({ itemId }: Linked) => items.find(({ item_id }) => item_id === itemId)?.connection_id;
    expect([first, second, third, fourth].map(connection)).toEqual([
      first.itemId,
      first.itemId,
      third.itemId,
      third.itemId,
    ]);
  });

  it('a fetch that was finished ahead of its time need not be made again either', async () => {
    const first = await link(budget);
    await sim(first, 'advance', { to: 'idle' });
    await link(taxes);
    await until(() => taxes.receiver.received.length === 2);
    expect(taxes.receiver.codes().sort()).toEqual(['HISTORICAL_UPDATE', 'INITIAL_UPDATE']);
  });

  it('a fetch that is still under way serves both', async () => {
    await link(budget);
    await rig.advance('PT8S');
    await link(taxes);
    await rig.advance('PT2S');
    expect(budget.receiver.codes()).toEqual(['INITIAL_UPDATE']);
    expect(taxes.receiver.codes()).toEqual(['INITIAL_UPDATE']);
  });

  it('what the bank books reaches both, each by its own webhooks and ids', async () => {
    const { first, second } = await both();
    const before = await rows(budget, first);
    await rows(taxes, second);
    const pending = before.find((row) => row.pending)?.transaction_id;
    const raised = before.find((row) => !row.pending)?.transaction_id;
    await rig.change(first.itemId, {
      add: [{ amount: 12.5, name: 'At the bank' }],
      modify: [{ transaction_id: raised, amount: 99.99 }],
      post: [{ transaction_id: pending, amount: 3 }],
      notify: true,
    });
    await settled(first, second);
    const expected = ['DEFAULT_UPDATE', 'SYNC_UPDATES_AVAILABLE', 'TRANSACTIONS_REMOVED'];
    for (const { receiver } of [budget, taxes]) expect(receiver.codes().sort()).toEqual(expected);
    const removed = ({ receiver }: App) =>
      receiver.received.find(({ body }) => body['webhook_code'] === 'TRANSACTIONS_REMOVED')?.body[
        'removed_transactions'
      ];
    expect(removed(budget)).toEqual([pending]);
    expect(removed(taxes)).not.toEqual([pending]);
    const [mine, theirs] = [await rows(budget, first), await rows(taxes, second)];
    expect(theirs.map(content)).toEqual(mine.map(content));
    expect(theirs.map(({ amount }) => amount)).toEqual(expect.arrayContaining([12.5, 99.99, 3]));
    const posted = theirs.find(({ amount }) => amount === 3);
    expect([posted?.pending_transaction_id]).toEqual(removed(taxes));
    // And the other way round, by the second one's ids.
    hush();
    await rig.change(second.itemId, { remove: [posted?.transaction_id] });
    expect((await rows(budget, first)).some(({ amount }) => amount === 3)).toBe(false);
    // Accounts, too.
    const accounts = async ({ api }: App, { accessToken }: Linked) =>
      (await api.accountsGet({ access_token: accessToken })).data.accounts;
    const theirAccount = (await accounts(taxes, second))[0]?.account_id;
    await sim(second, 'accounts', {
      modify: [{ account_id: theirAccount, name: 'Renamed' }],
      close: [(await accounts(taxes, second))[1]?.account_id],
    });
    expect((await accounts(budget, first)).map(({ name }) => name)).toEqual(
      (await accounts(taxes, second)).map(({ name }) => name),
    );
    expect((await accounts(budget, first))[0]?.name).toBe('Renamed');
    expect(await accounts(budget, first)).toHaveLength(3);
  });

  it('a refused token and its repair concern both; a broken login of one only that one', async () => {
    const { first, second } = await both();
    const error = async ({ api }: App, { accessToken }: Linked) =>
      (await api.itemGet({ access_token: accessToken })).data.item.error?.error_code ?? null;
    await sim(first, 'bank', { answer: 401, notify: true });
    await settled(first, second);
    for (const { receiver } of [budget, taxes]) expect(receiver.codes()).toEqual(['ERROR']);
    expect(await error(budget, first)).toBe('ITEM_LOGIN_REQUIRED');
    expect(await error(taxes, second)).toBe('ITEM_LOGIN_REQUIRED');
    hush();
    // The user goes through update mode with one; the other is told that it is whole again.
    await sim(first, 'repair', {});
    await settled(first, second);
    expect(budget.receiver.codes()).toEqual([]);
    expect(taxes.receiver.codes()).toEqual(['LOGIN_REPAIRED']);
    expect(await error(taxes, second)).toBeNull();
    hush();
    await taxes.api.sandboxItemResetLogin({ access_token: second.accessToken });
    await rig.change(first.itemId, { add: [{ amount: 1, name: 'For one' }], notify: true });
    await settled(first, second);
    expect(taxes.receiver.codes()).toEqual(['ERROR']);
    expect(budget.receiver.codes()).toEqual(['DEFAULT_UPDATE']);
    expect(await error(budget, first)).toBeNull();
  });

  it('one that removes its Item leaves the other alone, and can come back', async () => {
    const { first, second } = await both();
    await budget.api.itemRemove({ access_token: first.accessToken });
    await rig.change(second.itemId, { add: [{ amount: 1, name: 'Only one hears' }], notify: true });
    await settled(second);
    expect(taxes.receiver.codes()).toEqual(['DEFAULT_UPDATE']);
    expect(budget.receiver.codes()).toEqual([]);
    hush();
    const again = await link(budget);
    await until(() => budget.receiver.received.length === 2);
    // What the other has had told as a change is there from the beginning for the newcomer.
    const sorted = (list: Transaction[]) => list.map((row) => JSON.stringify(content(row))).sort();
    expect(sorted(await rows(budget, again))).toEqual(sorted(await rows(taxes, second)));
    expect((await rows(budget, again)).map(({ name }) => name)).toContain('Only one hears');
  });

  it('tokenised numbers are other ones for each, the persistent id is the same', async () => {
    const products = [Products.Auth];
    const first = await link(budget, { institution: 'ins_56', products });
    const second = await link(taxes, { institution: 'ins_56', products });
    const auth = async ({ api }: App, { accessToken }: Linked) =>
      (await api.authGet({ access_token: accessToken })).data;
    const [mine, theirs] = [await auth(budget, first), await auth(taxes, second)];
    const persistent = (data: typeof mine) => data.accounts.map((a) => a.persistent_account_id);
    const numbers = (data: typeof mine) => data.numbers.ach.map(({ account }) => account);
    expect(persistent(theirs)).toEqual(persistent(mine));
    expect(new Set([...numbers(mine), ...numbers(theirs)]).size).toBe(numbers(mine).length * 2);
    const masks = (data: typeof mine) =>
      data.numbers.ach.map(
        (ach) => data.accounts.find(({ account_id }) => account_id === ach.account_id)?.mask,
      );
    expect(masks(theirs)).toEqual(masks(mine));
    expect(masks(theirs)).not.toContain(undefined);
    expect(mine.accounts.some((a) => theirs.accounts.some((b) => b.account_id === a.account_id))).toBe(false);
  });

  it('the bank lists, restricts and unlinks them, each apart', async () => {
    const { first, second } = await both();
    const { access_token } = (await bank.itemImport({ user_auth: { user_id: 'user_good' } })).data;
    expect((await bank.itemImport({ user_auth: { user_id: 'user_good' } })).data.access_token).toBe(
      access_token,
    );
    const list = async () => (await bank.itemApplicationList({ access_token })).data;
    const { applications, disconnected_applications } = await list();
    expect(applications.map(({ application_id }) => application_id)).toEqual(['budget', 'taxes']);
    expect(disconnected_applications).toEqual([]);
    const scopes = applications[0]?.scopes;
    expect(scopes?.accounts).toHaveLength(4);
    expect(scopes?.product_access).toMatchObject({ auth: true, transactions: true, identity: true });
    expect(scopes?.new_accounts).toBe(true);
    // The bank knows an account by one id, whoever it is shared with.
    const shared = applications.map((a) => a.scopes?.accounts?.map(({ unique_id }) => unique_id));
    expect(shared[0]).toEqual(shared[1]);
    const update = (application_id: string, given: object, extra: object = {}) =>
      bank.itemApplicationScopesUpdate({
        access_token,
        application_id,
        scopes: given,
        context: 'PORTAL' as never,
        ...extra,
      });
    expect((await refusalOf(update('nobody', {}))).error_code).toBe('INVALID_FIELD');
    expect((await refusalOf(update('taxes', { accounts: [{ unique_id: 'none' }] }))).error_code).toBe(
      'INVALID_FIELD',
    );
    expect((await refusalOf(update('taxes', {}, { context: 'ENROLLMENT' }))).error_code).toBe(
      'MISSING_FIELDS',
    );
    expect((await refusalOf(update('taxes', { anything: true }))).error_code).toBe('UNKNOWN_FIELDS');

    await update('taxes', {
      accounts: [{ unique_id: shared[0]?.[0] ?? '', authorized: false }],
      product_access: { auth: false },
      new_accounts: false,
    });
    const seen = async ({ api }: App, { accessToken }: Linked) =>
      (await api.accountsGet({ access_token: accessToken })).data.accounts.map(({ mask }) => mask);
    expect(await seen(taxes, second)).toEqual(['1111', '3333', '4444']);
    expect(await seen(budget, first)).toEqual(['0000', '1111', '3333', '4444']);
    expect((await refusalOf(taxes.api.authGet({ access_token: second.accessToken }))).error_code).toBe(
      'ACCESS_NOT_GRANTED',
    );
    await budget.api.authGet({ access_token: first.accessToken });
    await sim(first, 'accounts', { open: [{ name: 'New' }], notify: true });
    await settled(first, second);
    expect(budget.receiver.codes()).toContain('NEW_ACCOUNTS_AVAILABLE');
    expect(taxes.receiver.codes()).not.toContain('NEW_ACCOUNTS_AVAILABLE');
    const restricted = (await list()).applications.find((a) => a.application_id === 'taxes')?.scopes;
    expect(restricted).toMatchObject({
      product_access: { auth: false, identity: true },
      new_accounts: false,
    });
    expect(restricted?.accounts?.filter(({ authorized }) => !authorized)).toEqual([
      { unique_id: shared[0]?.[0], authorized: false },
    ]);
    // What was booked meanwhile is there when the account is.
    await rig.change(first.itemId, { add: [{ amount: 42, name: 'While it was hidden' }], notify: true });
    expect((await rows(taxes, second)).some(({ amount }) => amount === 42)).toBe(false);
    await update('taxes', {
      accounts: [{ unique_id: shared[0]?.[0] ?? '' }],
      product_access: { auth: true },
    });
    expect((await rows(taxes, second)).some(({ amount }) => amount === 42)).toBe(true);
    expect((await rows(taxes, second)).map(content).length).toBe((await rows(budget, first)).length);
    await taxes.api.authGet({ access_token: second.accessToken });

    hush();
    await bank.itemApplicationUnlink({ access_token, application_id: 'budget' });
    expect((await refusalOf(budget.api.accountsGet({ access_token: first.accessToken }))).error_code).toBe(
      'USER_PERMISSION_REVOKED',
    );
    await settled(first, second);
    expect(budget.receiver.codes()).toEqual(['USER_PERMISSION_REVOKED']);
    expect(taxes.receiver.codes()).toEqual([]);
    await taxes.api.accountsGet({ access_token: second.accessToken });
    expect(
      (await refusalOf(bank.itemApplicationUnlink({ access_token, application_id: 'budget' }))).error_code,
    ).toBe('INVALID_FIELD');
    const after = await list();
    expect(after.applications.map(({ application_id }) => application_id)).toEqual(['taxes']);
    expect(after.disconnected_applications).toMatchObject([{ application_id: 'budget', name: 'budget' }]);
    // It must ask the user again, and is then connected anew.
    const again = await link(budget);
    expect(again.itemId).not.toBe(first.itemId);
    expect((await list()).applications.map(({ application_id }) => application_id).sort()).toEqual([
      'budget',
      'taxes',
    ]);
    expect((await list()).disconnected_applications).toEqual([]);
  });

  it('a bank gives its user to an application, which the user only has to consent to', async () => {
    const base = {
      client_name: 'Bank',
      language: 'en',
      country_codes: [CountryCode.Us],
      user: { client_user_id: 'u' },
    };
    const create = (api: PlaidApi, access_token: string, target: string, extra: object = {}) =>
      api.linkTokenCreate({
        ...base,
        access_token,
        ...{ cross_app_item_add: { target_application_token: target } },
        ...extra,
      });
    const { access_token } = (
      await bank.itemImport({
        user_auth: { user_id: 'banking-7', auth_token: 'opaque' },
        products: [Products.Transactions],
      })
    ).data;
    await rig.advance('PT2M');
    const plain = await link(budget);
    expect((await refusalOf(create(budget.api, plain.accessToken, 'taxes'))).error_code).toBe(
      'INVALID_FIELD',
    );
    expect((await refusalOf(create(bank, access_token, 'nobody'))).error_code).toBe('INVALID_FIELD');
    expect(
      (await refusalOf(bank.linkTokenCreate({ ...base, access_token, products: [Products.Transactions] })))
        .error_code,
    ).toBe('INVALID_FIELD');
    hush();
    const { link_token } = (
      await create(bank, access_token, 'taxes', {
        webhook: taxes.webhook,
        transactions: { days_requested: 730 },
      })
    ).data;
    const done = await rig.control<{ item_id: string; public_token: string }>('POST', '/_sim/link', {
      link_token,
    });
    expect(
      (await refusalOf(bank.itemPublicTokenExchange({ public_token: done.public_token }))).error_code,
    ).toBe('INVALID_PUBLIC_TOKEN');
    const { data } = await taxes.api.itemPublicTokenExchange({ public_token: done.public_token });
    await until(() => taxes.receiver.received.length === 2);
    const theirs = await rows(taxes, { itemId: data.item_id, accessToken: data.access_token });
    expect(theirs).toHaveLength(60);
    const own = (await bank.transactionsSync({ access_token, count: 500 })).data.added;
    expect(theirs.map(content)).toEqual(own.map(content));
    const { applications } = (await bank.itemApplicationList({ access_token })).data;
    expect(applications.map(({ application_id }) => application_id)).toEqual(['taxes']);
    await bank.itemApplicationUnlink({ access_token, application_id: 'taxes' });
    expect((await bank.itemGet({ access_token })).data.item.error).toBeNull();
  });

  it('the sandbox connects one with the user of a bank, in the session that the bank speaks of', async () => {
    const { first } = await both();
    const { access_token } = (
      await bank.itemImport({ products: [Products.Transactions], user_auth: { user_id: 'user_good' } })
    ).data;
    // A later session of the login, which the bank's Item is not of.
    await link(budget);
    await bank.itemApplicationUnlink({ access_token, application_id: 'taxes' });
    const seed = (application_id: string, token = access_token, api = bank) =>
      api.sandboxItemApplicationSeed({ access_token: token, application_id });
    const { item_id } = (await seed('taxes')).data;
    const list = async () => (await bank.itemApplicationList({ access_token })).data;
    expect((await list()).applications.map(({ application_id }) => application_id)).toEqual([
      'budget',
      'taxes',
    ]);
    expect((await list()).disconnected_applications).toEqual([]);
    await until(async () => (await rig.truth(item_id)).transactions.length > 0);
    const { transactions } = await rig.truth(item_id);
    expect(transactions.map(content)).toEqual((await rig.truth(first.itemId)).transactions.map(content));
    const described = (application_id: string) =>
      bank.applicationGet({ client_id: 'bank', secret: clients.bank, application_id });
    const { application } = (await described('taxes')).data;
    expect(application).toMatchObject({ application_id: 'taxes', name: 'taxes', use_case: null });
    expect((await refusalOf(described('nobody'))).error_code).toBe('INVALID_FIELD');
    // Once more it is the same one; it is disconnected as every other.
    expect((await seed('taxes')).data.item_id).toBe(item_id);
    await bank.itemApplicationUnlink({ access_token, application_id: 'taxes' });
    expect((await list()).disconnected_applications?.map(({ application_id }) => application_id)).toEqual([
      'taxes',
    ]);
    for (const refused of [seed('nobody'), seed('bank'), seed('taxes', first.accessToken, budget.api)]) {
      expect((await refusalOf(refused)).error_code).toBe('INVALID_FIELD');
    }
  });

  it('the history of a consent tells what was granted, narrowed and taken back', async () => {
    const { first } = await both();
    const { access_token } = (await bank.itemImport({ user_auth: { user_id: 'user_good' } })).data;
    const [application] = (await bank.itemApplicationList({ access_token })).data.applications;
    const unique_id = application?.scopes?.accounts?.[0]?.unique_id ?? '';
    await bank.itemApplicationScopesUpdate({
      access_token,
      application_id: 'budget',
      scopes: { accounts: [{ unique_id, authorized: false }] },
      context: 'PORTAL' as never,
    });
    await bank.itemApplicationScopesUpdate({
      access_token,
      application_id: 'budget',
      scopes: { product_access: { transactions: false } },
      context: 'PORTAL' as never,
    });
    await bank.itemApplicationUnlink({ access_token, application_id: 'budget' });
    const { consent_events } = (await budget.api.consentEventsGet({ access_token: first.accessToken })).data;
    const data = ['account_balance_info', 'transactions'];
    expect(
      consent_events.map((e) => [
        e.event_type,
        e.event_code,
        e.initiator,
        e.consented_accounts?.length,
        e.consented_data_scopes,
      ]),
    ).toEqual([
      ['CONSENT_GRANTED', 'USER_AGREEMENT', 'END_USER', 4, data],
      ['CONSENT_UPDATED', 'ACCOUNT_SCOPES', 'DATA_PROVIDER', 3, data],
      ['CONSENT_UPDATED', 'DATA_SCOPES', 'DATA_PROVIDER', 3, []],
      ['CONSENT_REVOKED', 'REVOCATION', 'DATA_PROVIDER', 0, []],
    ]);
    const [account] = consent_events[0]?.consented_accounts ?? [];
    expect(account).toMatchObject({ name: 'Plaid Checking', mask: '0000', subtype: 'checking' });
  });

  it('the history of activities tells a bank what was done through whom, and an application its own', async () => {
    const { first, second } = await both();
    const { access_token } = (await bank.itemImport({ user_auth: { user_id: 'user_good' } })).data;
    const list = async (api = bank, token = access_token, more: object = {}) =>
      (await api.itemActivityList({ access_token: token, ...more })).data;
    await budget.api.accountsGet({ access_token: first.accessToken });
    const readAt = Date.parse((await rig.control<{ now: string }>('GET', '/_sim/clock')).now);
    await rig.advance('P1D');
    await refusalOf(
      taxes.api.authGet({ access_token: second.accessToken, client_id: 'taxes', secret: 'no' }),
    );
    await taxes.api.authGet({ access_token: second.accessToken });
    await bank.itemApplicationScopesUpdate({
      access_token,
      application_id: 'budget',
      scopes: { product_access: { identity: false } },
      context: 'PORTAL' as never,
    });
    await rig.advance('P1D');
    await bank.itemApplicationUnlink({ access_token, application_id: 'budget' });
    await rig.advance('P1D');
    await taxes.api.itemRemove({ access_token: second.accessToken });
    const { activities, last_data_access_times, cursor } = await list();
    expect(cursor).toBeUndefined();
    expect(activities.map((a) => [a.activity, a.initiator, a.target_application_id, a.state])).toEqual([
      ['ITEM_CREATE', 'budget', 'budget', 'SUCCESS'],
      ['ITEM_CREATE', 'taxes', 'taxes', 'SUCCESS'],
      ['ITEM_IMPORT', 'bank', 'bank', 'SUCCESS'],
      ['SCOPES_UPDATE', 'bank', 'budget', 'SUCCESS'],
      ['ITEM_UNLINK', 'bank', 'budget', 'SUCCESS'],
      ['ITEM_REMOVE', 'taxes', 'taxes', 'SUCCESS'],
    ]);
    expect(activities[3]?.scopes?.product_access).toEqual({ identity: false });
    expect(new Set(activities.map(({ id }) => id)).size).toBe(activities.length);
    const minute = (at: number) => new Date(Math.floor(at / 60_000) * 60_000).toISOString();
    expect(last_data_access_times.map((times) => times.application_id)).toEqual(['budget', 'taxes']);
    expect(last_data_access_times[0]).toMatchObject({
      account_balance_info: minute(readAt),
      account_routing_number: null,
      contact_info: null,
    });
    expect(last_data_access_times[1]?.account_routing_number).toBe(minute(readAt + 24 * 3_600_000));
    // An application sees nothing of the others, and pages fit together.
    expect((await list(budget.api, first.accessToken)).activities.map(({ activity }) => activity)).toEqual([
      'ITEM_CREATE',
      'SCOPES_UPDATE',
      'ITEM_UNLINK',
    ]);
    const pages: string[] = [];
    for (let at: string | undefined, more = true; more;) {
      const page = await list(bank, access_token, { count: 4, ...(at === undefined ? {} : { cursor: at }) });
      pages.push(...page.activities.map(({ id }) => id));
      at = page.cursor;
      more = at !== undefined;
    }
    expect(pages).toEqual(activities.map(({ id }) => id));
    const refused = await refusalOf(bank.itemActivityList({ access_token, cursor: 'none' }));
    expect(refused.error_code).toBe('INVALID_FIELD');
    expect((await bank.itemActivityList({})).data.activities).toHaveLength(6);
    expect((await refusalOf(bank.itemActivityList({ access_token: first.accessToken }))).error_code).toBe(
      'INVALID_ACCESS_TOKEN',
    );
  });

  it('may be let see an account without its data, or be denied a product by a bank’s own name for it', async () => {
    const { second } = await both();
    const { access_token } = (await bank.itemImport({ user_auth: { user_id: 'user_good' } })).data;
    const scopes = async () =>
      (await bank.itemApplicationList({ access_token })).data.applications.find(
        ({ application_id }) => application_id === 'taxes',
      )?.scopes;
    const [unique_id = ''] = (await scopes())?.accounts?.map((account) => account.unique_id) ?? [];
    const update = (given: object) =>
      bank.itemApplicationScopesUpdate({
        access_token,
        application_id: 'taxes',
        scopes: given,
        context: 'PORTAL' as never,
      });
    const account = async () => (await scopes())?.accounts?.find((known) => known.unique_id === unique_id);
    const masks = async () =>
      (await taxes.api.accountsGet({ access_token: second.accessToken })).data.accounts.map(
        ({ mask }) => mask,
      );
    const all = ['0000', '1111', '3333', '4444'];
    expect(await account()).toEqual({ unique_id, authorized: true });
    for (const [access, code] of [
      [{ account_data: 'no' }, 'INVALID_FIELD'],
      [{ balances: true }, 'UNKNOWN_FIELDS'],
    ] as const) {
      const refused = update({ accounts: [{ unique_id, account_product_access: access }] });
      expect((await refusalOf(refused)).error_code).toBe(code);
    }

    await update({ accounts: [{ unique_id, account_product_access: { statements: false } }] });
    expect(await masks()).toEqual(all);
    const access = { account_data: true, statements: false, tax_documents: true };
    expect(await account()).toEqual({ unique_id, authorized: true, account_product_access: access });

    await update({ accounts: [{ unique_id, account_product_access: { account_data: false } }] });
    expect(await masks()).toEqual(all.slice(1));
    const none = { account_data: false, statements: true, tax_documents: true };
    expect(await account()).toEqual({ unique_id, authorized: true, account_product_access: none });
    // What is said of one account leaves the others as they are.
    const [another] = (await scopes())?.accounts ?? [];
    await update({ accounts: [{ unique_id: another?.unique_id, authorized: false }] });
    expect(await masks()).toEqual(all.slice(2));
    expect(await account()).toEqual({ unique_id, authorized: true, account_product_access: none });
    // The user shares it again.
    const { accounts } = await rig.truth(second.itemId);
    await sim(second, 'selection', { account_ids: accounts.map(({ account_id }) => account_id) });
    expect(await masks()).toEqual(all);
    expect((await account())?.account_product_access).toEqual({ ...none, account_data: true });
    await update({ accounts: [{ unique_id, authorized: false, account_product_access: {} }] });
    expect(await account()).toMatchObject({
      authorized: false,
      account_product_access: { account_data: true },
    });
    await update({ accounts: [{ unique_id }] });
    expect(await masks()).toEqual(all);
    expect(await account()).toEqual({ unique_id, authorized: true });

    const token = { access_token: second.accessToken };
    const codes = () =>
      Promise.all(
        [
          taxes.api.authGet(token),
          taxes.api.identityGet(token),
          taxes.api.transactionsSync(token),
          taxes.api.transactionsRefresh(token),
          taxes.api.transactionsRecurringGet(token),
        ].map((call) =>
          refusalOf(call).then(
            ({ error_code }) => error_code,
            () => null,
          ),
        ),
      );
    const denied = 'ACCESS_NOT_GRANTED';
    await update({ product_access: { accounts_routing_number: false } });
    expect(await codes()).toEqual([denied, null, null, null, null]);
    await update({ product_access: { accounts_routing_number: null, customers_profiles: false } });
    expect(await codes()).toEqual([null, denied, null, null, null]);
    await update({ product_access: { customers_profiles: true, accounts_details_transactions: false } });
    expect(await codes()).toEqual([null, null, denied, denied, denied]);
    await update({ product_access: { accounts_details_transactions: true, transactions: false } });
    expect(await codes()).toEqual([null, null, denied, denied, denied]);
  });

  it('stay connected over a restart, with all that was restricted', async () => {
    const { first, second } = await both();
    const { access_token } = (await bank.itemImport({ user_auth: { user_id: 'user_good' } })).data;
    const shared = (await bank.itemApplicationList({ access_token })).data.applications[1]?.scopes?.accounts;
    await bank.itemApplicationScopesUpdate({
      access_token,
      application_id: 'taxes',
      scopes: { accounts: [{ unique_id: shared?.[0]?.unique_id ?? '', authorized: false }] },
      context: 'PORTAL' as never,
    });
    await rig.change(first.itemId, { add: [{ amount: 42, name: 'Withheld' }] });
    await sim(first, 'consent', { expires_in: 'P10D' });
    const { opened } = await sim<{ opened: string[] }>(first, 'accounts', { open: [{ name: 'Opened' }] });
    await settled(first, second);
    const truths = [await rig.truth(first.itemId), await rig.truth(second.itemId)];
    const before = (await bank.itemApplicationList({ access_token })).data;
    await rig.close();
    rig = await Rig.start({ clients, state: join(folder, 'world.jsonl') });
    budget.api = clientFor(rig.url, 'budget', clients.budget);
    taxes.api = clientFor(rig.url, 'taxes', clients.taxes);
    bank = clientFor(rig.url, 'bank', clients.bank);
    expect([await rig.truth(first.itemId), await rig.truth(second.itemId)]).toEqual(truths);
    expect((await bank.itemApplicationList({ access_token })).data).toEqual({
      ...before,
      request_id: expect.any(String) as unknown,
    });
    hush();
    await rig.change(first.itemId, { add: [{ amount: 43, name: 'After' }], notify: true });
    await settled(first, second);
    expect(taxes.receiver.codes()).toEqual(['NEW_ACCOUNTS_AVAILABLE']);
    expect(budget.receiver.codes().sort()).toEqual(['DEFAULT_UPDATE', 'NEW_ACCOUNTS_AVAILABLE']);
    await bank.itemApplicationScopesUpdate({
      access_token,
      application_id: 'taxes',
      scopes: { accounts: [{ unique_id: shared?.[0]?.unique_id ?? '' }] },
      context: 'PORTAL' as never,
    });
    expect((await rows(taxes, second)).map(({ amount }) => amount)).toEqual(expect.arrayContaining([42, 43]));
    await sim(first, 'selection', {
      account_ids: [...truths[0]!.accounts.map(({ account_id }) => account_id), ...opened],
    });
    hush();
    await rig.advance('P4D');
    expect(budget.receiver.codes()).toContain('PENDING_DISCONNECT');
  });
});

describe('without clients of its own', () => {
  it('applications are told apart by the client id that they give', async () => {
    const rig = await Rig.start();
    try {
      await rig.link();
      await rig.advance('PT2M');
      const other = clientFor(rig.url, 'another');
      const { public_token } = (
        await other.sandboxPublicTokenCreate({
          institution_id: 'ins_109508',
          initial_products: [Products.Transactions],
        })
      ).data;
      const { access_token } = (await other.itemPublicTokenExchange({ public_token })).data;
      await until(async () => (await other.transactionsSync({ access_token })).data.added.length > 0);
      const { applications } = (await other.itemApplicationList({ access_token })).data;
      expect(applications.map(({ application_id }) => application_id)).toEqual(['client', 'another']);
    } finally {
      await rig.close();
    }
  });
});
