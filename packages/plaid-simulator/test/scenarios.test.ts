import { Recorder } from './recorder.js';

const PLATYPUS = 'ins_109508';
const CHASE = 'ins_56';
const BRITISH = 'ins_116834';

interface Linked {
  access_token: string;
  item_id: string;
}

const request = (webhook?: string) => ({
  client_name: 'Harbor Budget',
  country_codes: ['US', 'GB'],
  language: 'en',
  user: { client_user_id: 'user-1' },
  ...(webhook === undefined ? {} : { webhook }),
});

/** A user links an Item through Link. */
async function link(
  play: Recorder,
  by = 'budget',
  {
    institution = PLATYPUS,
    masks,
    products = ['transactions'],
  }: {
    institution?: string;
    masks?: string[];
    products?: string[];
  } = {},
): Promise<Linked> {
  const { link_token } = await play.call(by, '/link/token/create', {
    ...request(await play.webhook(by)),
    products,
    transactions: { days_requested: 730 },
  });
  const { public_token } = await play.control('/link', {
    link_token,
    institution_id: institution,
    ...(masks ? { account_masks: masks } : {}),
  });
  return (await play.call(by, '/item/public_token/exchange', { public_token })) as unknown as Linked;
}

/** The user goes through update mode. */
async function update(play: Recorder, by: string, access_token: string, masks?: string[]): Promise<void> {
  const { link_token } = await play.call(by, '/link/token/create', {
    ...request(),
    access_token,
    ...(masks ? { update: { account_selection_enabled: true } } : {}),
  });
  await play.control('/link', { link_token, ...(masks ? { account_masks: masks } : {}) });
}

const idle = (play: Recorder) => play.control('/clock', { advance: 'PT2M' });

/** Played against a simulator, and compared with what is in `recordings/`: calls, answers and webhooks. */
describe('the recorded scenario', () => {
  it('life of an Item', async () => {
    await Recorder.play('life', async (play) => {
      const { access_token, item_id } = await link(play);
      const token = { access_token };
      const days = { start_date: '2026-01-01', end_date: '2026-12-31' };
      const change = (changes: object) => play.control(`/items/${item_id}/transactions`, { ...changes });
      await play.call('budget', '/item/get', token);
      await play.call('budget', '/accounts/get', token);
      await play.call('budget', '/transactions/sync', token);
      await play.call('budget', '/transactions/get', { ...token, ...days });
      await play.control('/clock', { advance: 'PT10S' });
      let { next_cursor: cursor } = await play.call('budget', '/transactions/sync', token);
      await play.control('/clock', { advance: 'PT1M' });
      ({ next_cursor: cursor } = await play.call('budget', '/transactions/sync', { ...token, cursor }));
      const held = await change({
        add: [{ amount: 20, name: 'Trattoria Vecchia', pending: true }],
        notify: true,
      });
      ({ next_cursor: cursor } = await play.call('budget', '/transactions/sync', { ...token, cursor }));
      await play.control('/clock', { advance: 'P1D' });
      const [pending] = held['added'] as string[];
      const { added } = await change({ post: [{ transaction_id: pending, amount: 23.5 }], notify: true });
      ({ next_cursor: cursor } = await play.call('budget', '/transactions/sync', { ...token, cursor }));
      const [posted] = added as string[];
      await change({ modify: [{ transaction_id: posted, name: 'TRATTORIA' }] });
      ({ next_cursor: cursor } = await play.call('budget', '/transactions/sync', { ...token, cursor }));
      await change({ remove: [posted], notify: true });
      await play.call('budget', '/transactions/sync', { ...token, cursor });
      await play.call('budget', '/transactions/get', { ...token, ...days, options: { count: 2, offset: 1 } });
      await play.call('budget', '/auth/get', token);
      await play.call('budget', '/identity/get', token);
      await play.call('budget', '/transactions/refresh', token);
      const { new_access_token } = await play.call('budget', '/item/access_token/invalidate', token);
      await play.call('budget', '/item/get', token);
      await play.call('budget', '/item/get', { access_token: new_access_token });
    });
  });

  it('break and repair', async () => {
    await Recorder.play('break-and-repair', async (play) => {
      const { access_token, item_id } = await link(play);
      const token = { access_token };
      await idle(play);
      const { next_cursor: cursor } = await play.call('budget', '/transactions/sync', token);
      await play.call('budget', '/sandbox/item/reset_login', token);
      await play.control(`/items/${item_id}/transactions`, {
        add: [{ amount: 9.5, name: 'Missed meanwhile' }],
        notify: true,
      });
      await play.call('budget', '/transactions/sync', { ...token, cursor });
      await play.call('budget', '/accounts/balance/get', token);
      await play.call('budget', '/item/get', token);
      await update(play, 'budget', access_token);
      await play.call('budget', '/item/get', token);
      await play.call('budget', '/transactions/sync', { ...token, cursor });
      await play.control(`/items/${item_id}/break`, { error_code: 'INSUFFICIENT_CREDENTIALS' });
      await play.call('budget', '/auth/get', token);
      await play.control(`/items/${item_id}/repair`, { webhook: true });
      await play.call('budget', '/auth/get', token);
    });
  });

  it('removal', async () => {
    await Recorder.play('removal', async (play) => {
      const { access_token, item_id } = await link(play);
      const token = { access_token };
      await idle(play);
      await play.call('budget', '/item/remove', { ...token, reason_code: 'OTHER' });
      await play.call('budget', '/item/remove', token);
      await play.call('budget', '/transactions/sync', token);
      await play.control(`/items/${item_id}/transactions`, { add: [{ amount: 1, name: 'Too late' }] });
      await play.control('/clock', { advance: 'P3D' });
    });
  });

  it('consent that ends', async () => {
    await Recorder.play('consent', async (play) => {
      const british = await link(play, 'budget', { institution: BRITISH });
      const american = await link(play);
      await idle(play);
      await play.control(`/items/${american.item_id}/consent`, {
        expires_in: 'P8D',
        reason: 'INSTITUTION_MIGRATION',
      });
      await play.control('/clock', { advance: 'P2D' });
      await play.call('budget', '/item/get', { access_token: american.access_token });
      await play.control('/clock', { advance: 'P7D' });
      await play.call('budget', '/accounts/get', { access_token: american.access_token });
      await update(play, 'budget', american.access_token);
      await play.call('budget', '/item/get', { access_token: american.access_token });
      await play.control('/clock', { advance: 'P165D' });
      await play.call('budget', '/item/get', { access_token: british.access_token });
      await play.control('/clock', { advance: 'P8D' });
      await play.call('budget', '/item/get', { access_token: british.access_token });
      await update(play, 'budget', british.access_token);
      await play.call('budget', '/item/get', { access_token: british.access_token });
    });
  });

  it('permission that is revoked', async () => {
    await Recorder.play('revocation', async (play) => {
      const { access_token, item_id } = await link(play, 'budget', { institution: CHASE });
      const token = { access_token };
      await idle(play);
      const { accounts } = await play.call('budget', '/accounts/get', token);
      const [checking, savings] = accounts as { account_id: string }[];
      await play.control(`/items/${item_id}/revoke-numbers`, { account_ids: [savings?.account_id] });
      await play.call('budget', '/auth/get', token);
      await play.control(`/items/${item_id}/revoke`, { account_id: checking?.account_id });
      await play.call('budget', '/accounts/get', token);
      await play.call('budget', '/transactions/sync', token);
      await play.control(`/items/${item_id}/revoke`);
      await play.call('budget', '/transactions/sync', token);
      await play.call('budget', '/item/get', token);
      await update(play, 'budget', access_token);
      await play.call('budget', '/item/remove', token);
    });
  });

  it('two applications, and their bank', async () => {
    await Recorder.play('applications', async (play) => {
      const first = await link(play);
      await idle(play);
      const second = await link(play, 'taxes', { products: ['transactions', 'auth'] });
      await play.call('taxes', '/transactions/sync', { access_token: second.access_token });
      await play.control(`/items/${second.item_id}/transactions`, {
        add: [{ amount: 12.34, name: 'Seen by both' }],
        notify: true,
      });
      await play.call('budget', '/transactions/sync', { access_token: first.access_token });
      const { access_token } = await play.call('bank', '/item/import', {
        institution_id: PLATYPUS,
        products: ['transactions'],
        user_auth: { user_id: 'user_good', auth_token: 'opaque' },
      });
      await play.call('bank', '/item/application/list', { access_token });
      await play.call('bank', '/item/application/scopes/update', {
        access_token,
        application_id: 'taxes',
        scopes: { product_access: { auth: false } },
        context: 'PORTAL',
      });
      await play.call('taxes', '/auth/get', { access_token: second.access_token });
      await play.control(`/items/${first.item_id}/bank`, { answer: 401, notify: true });
      await play.call('taxes', '/transactions/sync', { access_token: second.access_token });
      await play.control(`/items/${first.item_id}/bank`, { answer: 200 });
      await update(play, 'budget', first.access_token);
      await play.call('bank', '/item/application/unlink', { access_token, application_id: 'taxes' });
      await play.call('taxes', '/item/get', { access_token: second.access_token });
      await play.call('budget', '/item/get', { access_token: first.access_token });
      const { link_token } = await play.call('bank', '/link/token/create', {
        ...request(await play.webhook('savings')),
        access_token,
        cross_app_item_add: { target_application_token: 'savings' },
      });
      const { public_token } = await play.control('/link', { link_token });
      const third = await play.call('savings', '/item/public_token/exchange', { public_token });
      await play.call('savings', '/transactions/sync', { access_token: third['access_token'] });
      await play.call('bank', '/item/application/list', { access_token });
    });
  });

  it('update mode with another choice of accounts', async () => {
    await Recorder.play('account-selection', async (play) => {
      const { access_token, item_id } = await link(play, 'budget', {
        masks: ['0000'],
        products: ['transactions', 'auth'],
      });
      const token = { access_token };
      await idle(play);
      let { next_cursor: cursor } = await play.call('budget', '/transactions/sync', token);
      await update(play, 'budget', access_token, ['0000', '1111', '3333']);
      await play.call('budget', '/accounts/get', token);
      ({ next_cursor: cursor } = await play.call('budget', '/transactions/sync', { ...token, cursor }));
      await play.control(`/items/${item_id}/accounts`, {
        open: [{ name: 'Rainy Day', subtype: 'savings', mask: '7777' }],
        notify: true,
      });
      await play.call('budget', '/accounts/get', token);
      await update(play, 'budget', access_token, ['3333', '7777']);
      await play.call('budget', '/accounts/get', token);
      await play.call('budget', '/transactions/sync', { ...token, cursor });
    });
  });

  it('accounts that change', async () => {
    await Recorder.play('account-changes', async (play) => {
      const { access_token, item_id } = await link(play, 'budget', {
        products: ['transactions', 'auth', 'identity'],
      });
      const token = { access_token };
      await idle(play);
      const { next_cursor: cursor } = await play.call('budget', '/transactions/sync', token);
      const { accounts } = await play.call('budget', '/accounts/get', token);
      const [checking, savings] = accounts as { account_id: string }[];
      await play.control(`/items/${item_id}/churn`, { account_ids: [checking?.account_id], notify: true });
      await play.call('budget', '/transactions/sync', { ...token, cursor });
      await play.control(`/items/${item_id}/accounts`, { close: [savings?.account_id], notify: true });
      await play.control(`/items/${item_id}/numbers`);
      await play.control(`/items/${item_id}/identity`, { names: ['Another Name'] });
      await play.call('budget', '/auth/get', token);
      await play.call('budget', '/identity/get', token);
    });
  });

  it('failures on demand, and limits', async () => {
    await Recorder.play(
      'faults',
      async (play) => {
        const { access_token, item_id } = await link(play);
        const token = { access_token };
        await idle(play);
        const path = '/accounts/get';
        await play.control('/faults', {
          match: { path, call: 2 },
          fault: { error_code: 'INSTITUTION_DOWN' },
        });
        await play.call('budget', path, token);
        await play.call('budget', path, token);
        await play.call('budget', path, token);
        await play.control('/faults', { match: { item_id }, fault: { status: 503 } });
        await play.call('budget', '/item/get', token);
        await play.control('/faults', {
          match: { path: '/transactions/sync' },
          fault: { mutate_during_pagination: { after_page: 1 } },
        });
        const page = await play.call('budget', '/transactions/sync', { ...token, count: 3 });
        const cursor = page['next_cursor'];
        await play.call('budget', '/transactions/sync', { ...token, cursor, count: 3 });
        for (let call = 0; call < 3; call += 1) await play.call('budget', '/transactions/refresh', token);
        await play.control('/clock', { advance: 'PT1M' });
        await play.call('budget', '/transactions/refresh', token);
      },
      { limits: 'sandbox' },
    );
  });
});
