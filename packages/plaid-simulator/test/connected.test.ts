import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Products, type PlaidApi } from 'plaid';
import { LINK_REQUEST, linkToken, PageWalk } from './linkRig.js';
import { clientFor, Rig } from './rig.js';

const CHASE = 'ins_56';

interface Linked {
  itemId: string;
  accessToken: string;
}

/** Where Link in the browser, several applications and what happens to accounts meet. */
describe('a login of several applications', () => {
  let folder: string;
  let state: string;
  let rig: Rig;
  let budget: PlaidApi;
  let taxes: PlaidApi;
  const start = async () => {
    rig = await Rig.start({ state, transactionsPerItem: 40 });
    budget = clientFor(rig.url, 'budget');
    taxes = clientFor(rig.url, 'taxes');
  };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    state = join(folder, 'state');
    await start();
  });
  afterEach(async () => {
    await rig.close();
    rmSync(folder, { recursive: true });
  });

  const exchanged = async (api: PlaidApi, publicToken: string | null | undefined): Promise<Linked> => {
    const { data } = await api.itemPublicTokenExchange({ public_token: publicToken ?? '' });
    return { itemId: data.item_id, accessToken: data.access_token };
  };
  /** Through Link without a browser, sharing the accounts of these masks. */
  const link = async (api: PlaidApi, institution_id: string, account_masks?: string[]): Promise<Linked> => {
    const { public_token } = await rig.control<{ public_token: string }>('POST', '/_sim/link', {
      link_token: await linkToken(api),
      institution_id,
      account_masks,
    });
    return exchanged(api, public_token);
  };
  const reselect = async (api: PlaidApi, { accessToken }: Linked, account_masks: string[]) =>
    rig.control('POST', '/_sim/link', {
      link_token: await linkToken(api, {
        access_token: accessToken,
        update: { account_selection_enabled: true },
      }),
      account_masks,
    });
  const accounts = async (api: PlaidApi, { accessToken }: Linked) =>
    (await api.accountsGet({ access_token: accessToken })).data.accounts;
  const masks = async (api: PlaidApi, item: Linked) =>
    (await accounts(api, item)).map(({ mask }) => mask).sort();
  const rows = async (api: PlaidApi, { accessToken }: Linked) =>
    (await api.transactionsSync({ access_token: accessToken, count: 500 })).data.added;
  /** What rows say, without ids. */
  const said = (list: Awaited<ReturnType<typeof rows>>) =>
    list.map(({ date, amount, name }) => `${date} ${amount} ${name}`).sort();
  const errorOf = async (api: PlaidApi, { accessToken }: Linked) =>
    (await api.itemGet({ access_token: accessToken })).data.item.error?.error_code ?? null;

  it('shows a second application the ids that its Item will have', async () => {
    const first = await link(budget, 'ins_109508');
    await rig.advance('PT2M');
    const walk = await PageWalk.open(rig.url, await linkToken(taxes));
    await walk.toBank();
    await walk.signIn();
    const shown = walk.view.accounts.map(({ id }) => id);
    await walk.finish(['0000', '3333']);
    const second = await exchanged(taxes, walk.view.success?.public_token);
    const own = await accounts(taxes, second);
    expect(own.map(({ mask }) => mask)).toEqual(['0000', '3333']);
    for (const { account_id } of own) expect(shown).toContain(account_id);
    const ids = (await accounts(budget, first)).map(({ account_id }) => account_id);
    expect(ids).toHaveLength(4);
    expect(shown.filter((id) => ids.includes(id))).toEqual([]);
    // The rows of what it does not share wait until it does.
    const all = said(await rows(budget, first));
    expect((await rows(taxes, second)).length).toBeLessThan(all.length);
    await reselect(taxes, second, ['0000', '1111', '3333', '4444']);
    expect(said(await rows(taxes, second))).toEqual(all);
  });

  it('finds what one did not share there for all, also after changes and a restart', async () => {
    const first = await link(budget, 'ins_109508', ['0000']);
    await rig.advance('PT2M');
    expect(await masks(budget, first)).toEqual(['0000']);
    const second = await link(taxes, 'ins_109508');
    expect(await masks(taxes, second)).toEqual(['0000', '1111', '3333', '4444']);
    const [checking, card] = ['0000', '3333'].map(
      (mask) => async () =>
        (await accounts(taxes, second)).find((account) => account.mask === mask)?.account_id ?? '',
    );
    const before = await rows(taxes, second);
    const cardId = (await card?.()) ?? '';
    const ofCard = before.filter(({ account_id }) => account_id === cardId);
    expect(ofCard.length).toBeGreaterThan(3);
    // The bank changes rows of an account that the first one does not see.
    await rig.change(second.itemId, {
      add: [{ account_id: cardId, amount: 7.25, name: 'Seen by one' }],
      modify: [{ transaction_id: ofCard[0]?.transaction_id, amount: 4321.5 }],
      remove: [ofCard[1]?.transaction_id],
    });
    const checkingId = await checking?.();
    const shared = (list: typeof before) => list.filter(({ account_id }) => account_id === checkingId);
    expect(said(await rows(budget, first))).toEqual(said(shared(await rows(taxes, second))));
    await rig.close();
    await start();
    await reselect(budget, first, ['0000', '3333']);
    const now = await rows(taxes, second);
    const both = now.filter(({ account_id }) => account_id === cardId || account_id === checkingId);
    expect(said(await rows(budget, first))).toEqual(said(both));
    expect(said(both)).toContainEqual(expect.stringContaining(' 4321.5 '));
    expect(both).toHaveLength(
      before.length - before.filter(({ account_id }) => ![cardId, checkingId].includes(account_id)).length,
    );
  });

  it('sees an account change its identity in every application, as much as each saw of it', async () => {
    const first = await link(budget, 'ins_109508');
    await rig.advance('PT2M');
    const second = await link(taxes, 'ins_109508', ['0000', '3333']);
    const third = await link(clientFor(rig.url, 'third'), 'ins_109508', ['1111']);
    const before = said(await rows(budget, first));
    const others = said(await rows(taxes, second));
    const old = (await accounts(budget, first)).find(({ mask }) => mask === '3333')?.account_id;
    const theirs = (await accounts(taxes, second)).find(({ mask }) => mask === '3333')?.account_id;
    const { churned } = await rig.control<{ churned: { new_account_id: string }[] }>(
      'POST',
      `/_sim/items/${first.itemId}/churn`,
      { account_ids: [old], notify: true },
    );
    const now = (await accounts(budget, first)).find(({ mask }) => mask === '3333')?.account_id;
    expect(now).toBe(churned[0]?.new_account_id);
    const their = (await accounts(taxes, second)).find(({ mask }) => mask === '3333')?.account_id;
    expect(their).toMatch(/^[0-9A-Za-z]{37}$/);
    expect([old, theirs, now]).not.toContain(their);
    expect(said(await rows(budget, first))).toEqual(before);
    expect(said(await rows(taxes, second))).toEqual(others);
    // Who did not share it is offered the new account, and the old one no more.
    const api = clientFor(rig.url, 'third');
    expect(await masks(api, third)).toEqual(['1111']);
    await reselect(api, third, ['0000', '1111', '3333', '4444']);
    expect(await masks(api, third)).toEqual(['0000', '1111', '3333', '4444']);
    expect(said(await rows(api, third))).toEqual(before);
  });

  it('keeps another application’s Item whole where a second link breaks one’s own', async () => {
    const own = await link(budget, CHASE, ['0000', '1111']);
    const foreign = await link(taxes, CHASE, ['0000', '1111']);
    await link(budget, CHASE, ['0000']);
    expect([await errorOf(budget, own), await errorOf(taxes, foreign)]).toEqual([
      'ITEM_LOGIN_REQUIRED',
      null,
    ]);
  });

  it('gets other numbers in place of revoked ones, by the bank’s hand too', async () => {
    const item = await link(budget, CHASE);
    const numbers = async () =>
      (await budget.authGet({ access_token: item.accessToken })).data.numbers.ach.map(
        ({ account }) => account,
      );
    const first = await numbers();
    const [checking] = await accounts(budget, item);
    const body = { account_ids: [checking?.account_id] };
    await rig.control('POST', `/_sim/items/${item.itemId}/revoke-numbers`, body);
    expect(await numbers()).toEqual(first.slice(1));
    await rig.control('POST', `/_sim/items/${item.itemId}/numbers`, body);
    const again = await numbers();
    expect(again.slice(1)).toEqual(first.slice(1));
    expect(again).toHaveLength(first.length);
    expect(first).not.toContain(again[0]);
  });

  it('lets another application in by consent alone, on Link’s page', async () => {
    const { access_token } = (
      await budget.itemImport({
        user_auth: { user_id: 'banking-9', auth_token: 'opaque' },
        products: [Products.Transactions],
      })
    ).data;
    await rig.advance('PT2M');
    const { link_token } = (
      await budget.linkTokenCreate({
        ...LINK_REQUEST,
        access_token,
        transactions: { days_requested: 730 },
        ...{ cross_app_item_add: { target_application_token: 'taxes' } },
      })
    ).data;
    const walk = await PageWalk.open(rig.url, link_token);
    expect(walk.view.pane).toBe('consent');
    await walk.act('continue');
    expect(walk.view.pane).toBe('connected');
    await walk.act('continue');
    expect(walk.events).toEqual(['OPEN', '→ CONSENT', '→ CONNECTED', 'HANDOFF']);
    const item = await exchanged(taxes, walk.view.success?.public_token);
    expect(walk.view.success?.metadata.accounts.map(({ id }) => id)).toEqual(
      (await accounts(taxes, item)).map(({ account_id }) => account_id),
    );
    const own = (await budget.transactionsSync({ access_token, count: 500 })).data.added;
    expect(said(await rows(taxes, item))).toEqual(said(own));
    // One that leaves at the consent has nothing.
    const other = await PageWalk.open(rig.url, link_token);
    await other.act('exit');
    expect(other.view.success).toBeNull();
  });

  it('is connected in an exported world, too, with its consent, Link sessions and what waits', async () => {
    const first = await link(budget, 'ins_116834', ['0000']);
    const second = await link(taxes, 'ins_116834');
    const token = await linkToken(budget);
    const walk = await PageWalk.open(rig.url, token);
    await walk.toBank();
    await rig.advance('PT2M');
    const before = await rows(taxes, second);
    const world = await rig.control<object>('GET', '/_sim/world');
    await rig.advance('P1D');
    await rig.control('POST', '/_sim/world', world);

    await rig.change(first.itemId, { add: [{ amount: 3.21, name: 'After the import' }], notify: true });
    const now = said(await rows(taxes, second));
    expect(now).toHaveLength(before.length + 1);
    expect(now).toContainEqual(expect.stringMatching(/ 3\.21 After the import$/));
    expect(new Set(now).size).toBe(now.length);
    const [session] = (await budget.linkTokenGet({ link_token: token })).data.link_sessions ?? [];
    expect(session?.link_session_id).toBe(walk.view.session_id);
    await reselect(budget, first, ['0000', '1111', '3333', '4444']);
    expect(said(await rows(budget, first))).toEqual(said(await rows(taxes, second)));
    await rig.advance('P181D');
    expect([await errorOf(budget, first), await errorOf(taxes, second)]).toEqual([
      'ITEM_LOGIN_REQUIRED',
      'ITEM_LOGIN_REQUIRED',
    ]);
  });
});
