import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CountryCode, DepositoryAccountSubtype, Products } from 'plaid';
import { LINK_REQUEST, linkToken, PageWalk, sessionsOf } from './linkRig.js';
import { Receiver, refusalOf, Rig, until } from './rig.js';

const START = ['OPEN', '→ CONSENT', '→ SELECT_INSTITUTION', 'SELECT_INSTITUTION'];
const SIGNED_IN = [...START, '→ CREDENTIAL', 'SUBMIT_CREDENTIALS', '→ LOADING'];

describe('a Link session', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 20 });
  });
  afterAll(() => rig.close());

  const open = async (...args: Parameters<typeof linkToken> extends [unknown, ...infer R] ? R : never) =>
    PageWalk.open(rig.url, await linkToken(rig.api, ...args));
  const exchange = async (publicToken: string | null | undefined) =>
    (await rig.api.itemPublicTokenExchange({ public_token: publicToken ?? '' })).data;

  it('of an unknown token can only be left', async () => {
    const walk = await PageWalk.open(rig.url, 'link-sandbox-unknown');
    expect(walk.view).toMatchObject({ pane: 'error', can_retry: false });
    await expect(walk.act('retry')).rejects.toThrow('409');
    const left = await walk.act('exit');
    expect(left.exit?.error).toMatchObject({ error_type: 'INVALID_INPUT', error_code: 'INVALID_LINK_TOKEN' });
    expect(walk.events).toEqual(['OPEN', 'ERROR', '→ ERROR', 'EXIT']);
    await expect(walk.act('continue')).rejects.toThrow('the session is over');
  });

  it('answers only its own token, and only what is possible where it stands', async () => {
    const walk = await open();
    const other = await linkToken(rig.api);
    const act = (token: string, does: object) =>
      walk.post('/link/session/act', { session_id: walk.view.session_id, link_token: token, heard: 0, does });
    await expect(act(other, { action: 'continue' })).rejects.toThrow('there is no such session');
    await expect(walk.signIn()).rejects.toThrow('not possible at consent');
    await expect(walk.act('accounts', { account_ids: [] })).rejects.toThrow('409');
    await expect(walk.act('steal')).rejects.toThrow('400');
    await expect(act(walk.token, { action: 'continue', more: 1 })).rejects.toThrow('400');
    await expect(walk.act('retry')).rejects.toThrow('409');
  });

  it('lists the banks of the token’s countries that have its products, with logo and colour', async () => {
    const walk = await open({ products: [Products.Transactions], country_codes: [CountryCode.Gb] });
    await walk.act('continue');
    expect(walk.view.institutions.map(({ institution_id }) => institution_id)).toEqual([
      'ins_116834',
      'ins_117650',
      'ins_117181',
      'ins_190001',
      'ins_190002',
    ]);
    expect(walk.view.institutions[0]?.logo).toMatch(/^iVBOR/);
    expect(walk.view.institutions[0]?.primary_color).toMatch(/^#[0-9a-f]{6}$/);
    expect((await walk.act('search', { query: 'code  QR' })).institutions).toHaveLength(1);
    expect((await walk.act('search', { query: 'tartan' })).institutions).toEqual([]);
    expect((await walk.act('exit')).exit?.metadata.status).toBe('institution_not_found');
    const assets = await open({ products: [Products.Assets], country_codes: [CountryCode.Gb] });
    expect((await assets.act('continue')).institutions).toEqual([]);
  });

  it('is wrong, then right, then a connection with the accounts that were chosen', async () => {
    const walk = await open();
    await walk.toBank();
    for (const [password, username] of [
      ['pass_bad', 'user_good'],
      ['pass_good', ' '],
      ['mfa_questions_0_1', 'user_good'],
      ['', 'user_transactions_dynamic'],
    ] as const) {
      expect(await walk.signIn(password, username)).toMatchObject({
        pane: 'credentials',
        error: { error_code: 'INVALID_CREDENTIALS' },
      });
    }
    expect((await walk.signIn()).accounts.map(({ mask }) => mask)).toEqual(['0000', '1111', '3333', '4444']);
    await expect(walk.act('accounts', { account_ids: [] })).rejects.toThrow('409');
    await expect(walk.act('accounts', { account_ids: ['nobody'] })).rejects.toThrow('409');
    const done = await walk.finish(['0000', '3333']);
    expect(done.success?.metadata.accounts).toEqual([
      {
        id: expect.any(String),
        name: 'Plaid Checking',
        mask: '0000',
        type: 'depository',
        subtype: 'checking',
        verification_status: null,
        class_type: null,
      },
      expect.objectContaining({ mask: '3333', type: 'credit', subtype: 'credit card' }),
    ]);
    const { access_token, item_id } = await exchange(done.success?.public_token);
    const { accounts } = (await rig.api.accountsGet({ access_token })).data;
    expect(accounts.map(({ account_id }) => account_id)).toEqual(
      done.success?.metadata.accounts.map(({ id }) => id),
    );
    await rig.control('POST', `/_sim/items/${item_id}/advance`, { to: 'historical' });
    const rows = (await rig.run(access_token)).added;
    expect(rows.length).toBeGreaterThan(0);
    const shared = accounts.map(({ account_id }) => account_id);
    expect(rows.filter(({ account_id }) => !shared.includes(account_id))).toEqual([]);
  });

  it.each([
    ['mfa_device', [['Text message to •••• 0144'], ['1234']], 'device', [['Carrier pigeon'], ['']]],
    ['mfa_selections', [['Yes']], 'selections', [['No']]],
    ['mfa_questions_2_1', [['answer_0_0'], ['answer_1_0']], 'questions', [['answer_1_0'], ['answer_0_0']]],
    ['mfa_questions_1_2', [['answer_0_0', 'answer_0_1']], 'questions', [['answer_0_0']]],
    [
      'mfa_selections_1_2_3',
      [['answer_0_0_0', 'answer_0_1_0']],
      'selections',
      [['answer_0_0_0', 'answer_0_1_1']],
    ],
  ])('asks for a second factor: %s', async (password, answers, type, wrong) => {
    const walk = await open();
    await walk.toBank();
    expect(await walk.signIn(password)).toMatchObject({ pane: 'mfa', mfa: { type } });
    for (const [round, right] of answers.entries()) {
      const refused = await walk.act('mfa', { answers: wrong[round] });
      expect(refused).toMatchObject({ pane: 'mfa', error: { error_code: 'INVALID_MFA' } });
      await walk.act('mfa', { answers: right });
      expect(walk.view.error).toBeNull();
    }
    expect(walk.view.pane).toBe('accounts');
    expect(walk.events.filter((name) => name === 'SUBMIT_MFA')).toHaveLength(2 * answers.length);
    expect((await walk.finish()).success?.public_token).toMatch(/^public-sandbox-/);
  });

  it.each([
    ['pass_good', 'credentials', 'requires_credentials', false],
    ['mfa_device', 'mfa', 'choose_device', true],
    ['mfa_questions_1_1', 'mfa', 'requires_questions', true],
    ['mfa_selections', 'mfa', 'requires_selections', true],
    ['pass_good', 'accounts', 'requires_account_selection', true],
  ])('with %s is left at %s as %s', async (password, pane, status, signIn) => {
    const walk = await open();
    await walk.toBank();
    if (signIn) await walk.signIn(password);
    expect(walk.view.pane).toBe(pane);
    expect((await walk.act('exit')).pane).toBe('exit');
    expect((await walk.act('stay')).pane).toBe(pane);
    await walk.act('exit');
    const left = await walk.act('exit');
    expect(left.exit).toMatchObject({
      error: null,
      metadata: { status, institution: { institution_id: 'ins_109508' } },
    });
    expect(walk.view.events.at(-1)).toMatchObject({ name: 'EXIT', metadata: { exit_status: status } });
  });

  it('goes through to the events of Plaid, in order', async () => {
    const walk = await open();
    await walk.toBank();
    await walk.signIn('mfa_device');
    await walk.act('mfa', { answers: ['E-mail to u•••@example.com'] });
    await walk.act('mfa', { answers: ['1234'] });
    await walk.finish();
    const mfa = ['→ MFA', 'SUBMIT_MFA', '→ LOADING'];
    expect(walk.events).toEqual([...SIGNED_IN, ...mfa, ...mfa, '→ SELECT_ACCOUNT', '→ CONNECTED', 'HANDOFF']);
  });

  it.each([
    ['error_ITEM_LOCKED', 'ITEM_ERROR', 'credentials'],
    ['error_INSTITUTION_DOWN', 'INSTITUTION_ERROR', 'institutions'],
    ['error_INTERNAL_SERVER_ERROR', 'API_ERROR', 'credentials'],
  ])('fails as the password %s says, and can be tried again', async (password, type, after) => {
    const walk = await open();
    await walk.toBank();
    const code = password.slice('error_'.length);
    expect(await walk.signIn(password)).toMatchObject({
      pane: 'error',
      can_retry: true,
      error: { error_type: type, error_code: code },
    });
    expect(walk.events).toEqual([...SIGNED_IN, 'ERROR', '→ ERROR']);
    expect((await walk.act('retry')).pane).toBe(after);
    expect(walk.view.error).toBeNull();
  });

  it('knows which banks are down, degraded or gone', async () => {
    const walk = await open();
    expect(await walk.toBank('ins_132361')).toMatchObject({ error: { error_code: 'INSTITUTION_DOWN' } });
    await walk.act('retry');
    expect(await walk.act('institution', { institution_id: 'ins_133402' })).toMatchObject({
      error: { error_code: 'INSTITUTION_NO_LONGER_SUPPORTED' },
    });
    await walk.act('retry');
    expect((await walk.act('institution', { institution_id: 'ins_132363' })).pane).toBe('credentials');
    expect(walk.events.filter((name) => name.startsWith('SELECT_'))).toEqual([
      'SELECT_DOWN_INSTITUTION',
      'SELECT_INSTITUTION',
      'SELECT_DEGRADED_INSTITUTION',
    ]);
  });

  it('takes a custom user, and says what is wrong with one', async () => {
    const walk = await open();
    await walk.toBank();
    expect(await walk.signIn('{"override_accounts":[{"type":"gold"}]}', 'user_custom')).toMatchObject({
      pane: 'credentials',
      error: { error_code: 'INVALID_FIELD' },
    });
    const user = {
      override_accounts: [
        { type: 'depository', subtype: 'checking', meta: { name: 'House', mask: '4711' } },
        { type: 'loan', subtype: 'student', meta: { name: 'Studies', mask: '0815' } },
      ],
    };
    await walk.signIn(JSON.stringify(user), 'user_custom');
    expect(walk.view.accounts.map(({ name }) => name)).toEqual(['House', 'Studies']);
    const { access_token } = await exchange((await walk.finish(['0815'])).success?.public_token);
    const { accounts } = (await rig.api.accountsGet({ access_token })).data;
    expect(accounts.map(({ mask }) => mask)).toEqual(['0815']);
  });

  it('shows the accounts that the token’s filters let through', async () => {
    const filters = { depository: { account_subtypes: [DepositoryAccountSubtype.Savings] } };
    const walk = await open({ products: [Products.Transactions], account_filters: filters });
    await walk.toBank();
    expect((await walk.signIn()).accounts.map(({ mask }) => mask)).toEqual(['1111']);
    const got = (await rig.api.linkTokenGet({ link_token: walk.token })).data;
    expect(got.metadata.account_filters).toEqual(filters);
    const none = await open({
      products: [Products.Transactions],
      account_filters: { depository: { account_subtypes: [DepositoryAccountSubtype.Hsa] } },
    });
    await none.toBank();
    expect(await none.signIn()).toMatchObject({ pane: 'error', error: { error_code: 'NO_ACCOUNTS' } });
    const { data } = await rig.api.sandboxPublicTokenCreate({
      institution_id: 'ins_109508',
      initial_products: [Products.Transactions],
    });
    const { access_token } = await exchange(data.public_token);
    expect(
      await refusalOf(rig.api.linkTokenCreate({ ...LINK_REQUEST, access_token, account_filters: filters })),
    ).toMatchObject({ error_code: 'INVALID_FIELD' });
  });

  it('begins at the token’s institution', async () => {
    const unknown = { ...LINK_REQUEST, products: [Products.Transactions], institution_id: 'ins_0' };
    expect(await refusalOf(rig.api.linkTokenCreate(unknown))).toMatchObject({
      error_code: 'INVALID_INSTITUTION',
    });
    const walk = await open({ products: [Products.Transactions], institution_id: 'ins_109509' });
    expect((await walk.act('continue')).pane).toBe('credentials');
    await expect(walk.act('back')).rejects.toThrow('no way back');
  });

  it('is the same for the control and told by /link/token/get', async () => {
    const token = await linkToken(rig.api);
    await expect(
      rig.control('POST', '/_sim/link', { link_token: token, password: 'error_ITEM_LOCKED' }),
    ).rejects.toThrow('ITEM_LOCKED');
    await expect(
      rig.control('POST', '/_sim/link', {
        link_token: token,
        institution_id: 'ins_127287',
        password: 'wrong',
      }),
    ).rejects.toThrow('INVALID_CREDENTIALS');
    const made = await rig.control<{ public_token: string; item_id: string }>('POST', '/_sim/link', {
      link_token: token,
      password: 'mfa_questions_2_2',
      account_masks: ['1111'],
    });
    const oauth = await rig.control<{ public_token: string }>('POST', '/_sim/link', {
      link_token: token,
      institution_id: 'ins_127287',
    });
    const [locked, refused, done, atBank] = await sessionsOf(rig.api, token);
    expect(locked).toMatchObject({
      finished_at: expect.any(String),
      results: null,
      exit: {
        error: { error_code: 'ITEM_LOCKED' },
        metadata: { status: 'requires_credentials', institution: { name: 'First Platypus Bank' } },
      },
    });
    expect(refused?.exit).toMatchObject({
      error: { error_code: 'INVALID_CREDENTIALS' },
      metadata: { status: 'requires_oauth' },
    });
    expect(done).toMatchObject({
      exit: null,
      results: {
        item_add_results: [
          {
            public_token: made.public_token,
            accounts: [{ mask: '1111', subtype: 'savings' }],
            institution: { institution_id: 'ins_109508', name: 'First Platypus Bank' },
          },
        ],
      },
    });
    const names = (done?.events ?? []).map(({ event_name }) => event_name);
    expect(names.filter((name) => name === 'SUBMIT_MFA')).toHaveLength(2);
    expect(names.at(-1)).toBe('HANDOFF');
    expect(atBank?.results?.item_add_results[0]?.public_token).toBe(oauth.public_token);
    expect((await exchange(made.public_token)).item_id).toBe(made.item_id);
    await rig.advance('PT6H');
    expect(await sessionsOf(rig.api, token)).toEqual([]);
  });
});

describe('a bank with a page of its own', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 20 });
  });
  afterAll(() => rig.close());

  const redirect_uri = 'https://app.example.com/oauth';
  const toPage = async (surface = 'embedded', uri: string | null = null) => {
    const products = [Products.Transactions];
    const token = await linkToken(rig.api, uri === null ? { products } : { products, redirect_uri: uri });
    const walk = await PageWalk.open(rig.url, token, surface);
    await walk.toBank('ins_127287');
    expect(walk.view.pane).toBe('oauth');
    await walk.act('oauth_open');
    return walk;
  };

  it('refuses redirect URIs that no browser should follow', async () => {
    for (const uri of ['javascript:alert(1)', 'https://app.example.com/?a=1', 'app']) {
      const request = { ...LINK_REQUEST, products: [Products.Transactions], redirect_uri: uri };
      expect(await refusalOf(rig.api.linkTokenCreate(request))).toMatchObject({
        error_code: 'INVALID_FIELD',
      });
    }
    const hosted_link = { completion_redirect_uri: 'javascript:alert(1)' };
    const request = { ...LINK_REQUEST, products: [Products.Transactions], hosted_link };
    expect(await refusalOf(rig.api.linkTokenCreate(request))).toMatchObject({ error_code: 'INVALID_FIELD' });
  });

  it('waits until the user has decided there', async () => {
    const walk = await toPage();
    expect(await walk.act('oauth_check')).toMatchObject({ pane: 'oauth', events: [] });
    await expect(walk.atBank('decide', { account_ids: ['x'] })).rejects.toThrow('409');
    expect((await walk.atBank('sign-in', { username: 'user_good', password: 'no' })).step).toBe('open');
    const bank = await walk.atBank('sign-in', { username: 'user_good', password: 'pass_good' });
    expect(bank.step).toBe('signed_in');
    const accounts = bank['accounts'] as { id: string; mask: string }[];
    await expect(walk.atBank('decide', { account_ids: [] })).rejects.toThrow('409');
    const chosen = accounts.filter(({ mask }) => mask === '0000').map(({ id }) => id);
    expect(await walk.atBank('decide', { account_ids: chosen })).toMatchObject({
      step: 'done',
      return_to: null,
    });
    await expect(walk.atBank('decide', { account_ids: null })).rejects.toThrow('409');
    await walk.act('oauth_check');
    const done = await walk.act('continue');
    expect(done.success?.metadata.accounts).toMatchObject([{ mask: '0000' }]);
    expect(walk.events.slice(4)).toEqual(['→ OAUTH', 'OPEN_OAUTH', '→ CONNECTED', 'HANDOFF']);
  });

  it('can say no, and its window can be closed', async () => {
    const walk = await toPage();
    expect((await walk.act('oauth_closed')).pane).toBe('oauth');
    await walk.act('oauth_open');
    await walk.atBank('decide', { account_ids: null });
    expect(await walk.act('oauth_check')).toMatchObject({
      pane: 'error',
      error: { error_code: 'INSUFFICIENT_CREDENTIALS' },
    });
    expect(walk.events.slice(4)).toEqual([
      ...['→ OAUTH', 'OPEN_OAUTH', 'CLOSE_OAUTH', 'OPEN_OAUTH'],
      ...['FAIL_OAUTH', 'ERROR', '→ ERROR'],
    ]);
    expect((await walk.act('retry')).pane).toBe('oauth');
  });

  it('sends the user back by the redirect URI, which Link is told', async () => {
    const walk = await toPage('embedded', redirect_uri);
    const bank = await walk.atBank('sign-in', { username: 'user_good', password: 'pass_good' });
    const ids = (bank['accounts'] as { id: string }[]).map(({ id }) => id);
    const { return_to } = await walk.atBank('decide', { account_ids: ids });
    expect(return_to).toMatch(/^https:\/\/app\.example\.com\/oauth\?oauth_state_id=[0-9a-f-]{36}$/);
    const stranger = await PageWalk.open(rig.url, walk.token, 'embedded', `${redirect_uri}?oauth_state_id=x`);
    expect(stranger.view.error?.error_code).toBe('INVALID_FIELD');
    const back = await PageWalk.open(rig.url, walk.token, 'embedded', String(return_to));
    expect(back.view).toMatchObject({ pane: 'connected', session_id: walk.view.session_id });
    expect(back.events).toEqual(['→ CONNECTED']);
    expect((await back.act('continue')).success?.public_token).toMatch(/^public-/);
  });

  it('goes back to a hosted page', async () => {
    const walk = await toPage('hosted', redirect_uri);
    const { return_to } = await walk.atBank('decide', { account_ids: null });
    expect(return_to).toMatch(/^\/link\?token=link-sandbox-.*&oauth_state_id=/);
  });
});

describe('update mode', () => {
  let rig: Rig;
  const receiver = new Receiver();
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 40 });
  });
  afterAll(async () => {
    await rig.close();
    await receiver.stop();
  });

  const item = async (masks: string[], webhook?: string) => {
    const token = await linkToken(rig.api, {
      products: [Products.Transactions],
      ...(webhook ? { webhook } : {}),
    });
    const walk = await PageWalk.open(rig.url, token);
    await walk.toBank();
    await walk.signIn();
    const done = await walk.finish(masks);
    const made = (await rig.api.itemPublicTokenExchange({ public_token: done.success?.public_token ?? '' }))
      .data;
    await rig.control('POST', `/_sim/items/${made.item_id}/advance`, { to: 'historical' });
    return { accessToken: made.access_token, itemId: made.item_id };
  };

  it('asks for the sign-in only, mends the Item, and gives nothing to exchange', async () => {
    const { accessToken } = await item(['0000', '1111']);
    await rig.api.sandboxItemResetLogin({ access_token: accessToken });
    const token = await linkToken(rig.api, { access_token: accessToken });
    const walk = await PageWalk.open(rig.url, token);
    expect(walk.view.pane).toBe('credentials');
    await expect(walk.act('back')).rejects.toThrow('409');
    expect(await walk.signIn('pass_good', 'user_other')).toMatchObject({
      error: { error_code: 'INVALID_UPDATED_USERNAME' },
    });
    expect((await rig.api.itemGet({ access_token: accessToken })).data.item.error).not.toBeNull();
    expect((await walk.signIn()).pane).toBe('connected');
    expect((await rig.api.itemGet({ access_token: accessToken })).data.item.error).toBeNull();
    const done = await walk.act('continue');
    expect(done.success).toMatchObject({
      public_token: null,
      metadata: { accounts: [{ mask: '0000' }, { mask: '1111' }] },
    });
    expect(walk.view.events.at(-1)?.metadata['is_update_mode']).toBe('true');
    const [session] = await sessionsOf(rig.api, token);
    expect(session?.results?.item_add_results).toEqual([]);
  });

  it('can change what is shared, and the first two webhooks come again for new accounts', async () => {
    const webhook = await receiver.start();
    const { accessToken, itemId } = await item(['0000', '1111'], webhook);
    const before = await rig.run(accessToken);
    await until(() => receiver.received.length === 2);
    const update = { access_token: accessToken, update: { account_selection_enabled: true } };
    const choose = async (masks: string[]) => {
      const walk = await PageWalk.open(rig.url, await linkToken(rig.api, update));
      await walk.signIn();
      const shared = walk.view.accounts.filter((account) => account.shared).map(({ mask }) => mask);
      await walk.finish(masks);
      return shared;
    };
    const masks = async () =>
      (await rig.api.accountsGet({ access_token: accessToken })).data.accounts.map(({ mask }) => mask);

    expect(await choose(['0000', '3333'])).toEqual(['0000', '1111']);
    expect(await masks()).toEqual(['0000', '3333']);
    const delta = await rig.run(accessToken, before.cursor);
    const added = [...new Set(delta.added.map(({ account_id }) => account_id))];
    const card = (await rig.truth(itemId)).accounts.find(({ name }) => name === 'Plaid Credit Card');
    expect(added).toEqual([card?.account_id]);
    const known = new Set(before.added.map(({ transaction_id }) => transaction_id));
    expect(delta.added.filter(({ transaction_id }) => known.has(transaction_id))).toEqual([]);
    await until(() => receiver.received.length === 5);
    expect(receiver.codes().slice(2)).toEqual([
      'INITIAL_UPDATE',
      'HISTORICAL_UPDATE',
      'SYNC_UPDATES_AVAILABLE',
    ]);
    const told = receiver.received.slice(2, 4).map(({ body }) => Number(body['new_transactions']));
    expect((told[0] ?? 0) + (told[1] ?? 0)).toBe(delta.added.length);

    expect(await choose(['0000', '1111'])).toEqual(['0000', '3333']);
    expect(await masks()).toEqual(['0000', '1111']);
    const live = (await rig.truth(itemId)).transactions.map(({ transaction_id }) => transaction_id);
    const again = await rig.run(accessToken);
    expect(again.added.map(({ transaction_id }) => transaction_id).sort()).toEqual(live.sort());
  });
});

describe('a Hosted Link', () => {
  let rig: Rig;
  const receiver = new Receiver();
  beforeEach(async () => {
    rig = await Rig.start({ transactionsPerItem: 20 });
  });
  afterEach(async () => {
    await rig.close();
    await receiver.stop();
  });

  it('tells by webhook how it ended, also when its user walks away', async () => {
    const webhook = await receiver.start();
    const created = (
      await rig.api.linkTokenCreate({
        ...LINK_REQUEST,
        products: [Products.Transactions],
        webhook,
        hosted_link: { url_lifetime_seconds: 600 },
      })
    ).data;
    expect(created.hosted_link_url).toBe(`${rig.url}/link?token=${created.link_token}`);
    expect(Date.parse(created.expiration)).toBeLessThan(Date.now() + 601_000);
    const walk = await PageWalk.open(rig.url, created.link_token, 'hosted');
    await walk.toBank();
    await walk.signIn();
    const done = await walk.finish();
    await until(() => receiver.received.length === 3);
    for (const received of receiver.received) await rig.verify(received);
    const common = {
      webhook_type: 'LINK',
      environment: 'sandbox',
      link_session_id: walk.view.session_id,
      link_token: created.link_token,
    };
    const publicToken = done.success?.public_token;
    expect(receiver.received.map(({ body }) => body)).toEqual(
      expect.arrayContaining([
        { ...common, webhook_code: 'ITEM_ADD_RESULT', public_token: publicToken },
        {
          ...common,
          webhook_code: 'SESSION_FINISHED',
          status: 'SUCCESS',
          public_token: publicToken,
          public_tokens: [publicToken],
        },
        {
          ...common,
          webhook_code: 'EVENTS',
          events: (await sessionsOf(rig.api, created.link_token))[0]?.events,
        },
      ]),
    );
    const away = await PageWalk.open(rig.url, created.link_token, 'hosted');
    await away.toBank();
    await rig.advance('PT9M');
    expect((await sessionsOf(rig.api, created.link_token))[1]?.finished_at).toBeNull();
    await rig.advance('PT1M');
    await until(() => receiver.received.some(({ body }) => body['status'] === 'EXITED'));
    expect((await sessionsOf(rig.api, created.link_token))[1]?.exit?.metadata?.status).toBe(
      'requires_credentials',
    );
  });

  it('has the address at which browsers find the simulator', async () => {
    await rig.close();
    rig = await Rig.start({ publicUrl: 'https://link.example.com' });
    const request = { ...LINK_REQUEST, products: [Products.Transactions], hosted_link: {} };
    expect((await rig.api.linkTokenCreate(request)).data.hosted_link_url).toMatch(
      /^https:\/\/link\.example\.com\/link\?token=link-sandbox-/,
    );
  });

  it('is kept in the state file, sessions included', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    const state = join(folder, 'world.jsonl');
    await rig.close();
    rig = await Rig.start({ state });
    const token = await linkToken(rig.api, { products: [Products.Transactions], hosted_link: {} });
    const walk = await PageWalk.open(rig.url, token, 'hosted');
    await walk.toBank();
    await walk.signIn();
    const told = await sessionsOf(rig.api, token);
    // As a kill -9 would leave it: a stop writes everything anew.
    const killed = join(folder, 'killed.jsonl');
    copyFileSync(state, killed);
    await rig.close();
    rig = await Rig.start({ state: killed });
    expect(await sessionsOf(rig.api, token)).toEqual(told);
    await rig.advance('PT10M');
    expect((await sessionsOf(rig.api, token))[0]?.exit?.metadata?.status).toBe('requires_account_selection');
    await rig.close();
    rmSync(folder, { recursive: true });
  });
});

describe('the pages of Link', () => {
  it('speak to their own origin only and are framed by the page that they are for', async () => {
    const rig = await Rig.start();
    const policy = async (path: string) =>
      (await fetch(`${rig.url}${path}`)).headers.get('content-security-policy') ?? '';
    const framed = await policy('/link?token=t&origin=https%3A%2F%2Fapp.example.com');
    expect(framed).toContain("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");
    expect(framed).toMatch(/frame-ancestors https:\/\/app\.example\.com$/);
    for (const path of [
      '/link?token=t',
      '/link?token=t&origin=*',
      '/link?token=t&origin=https%3A%2F%2Fa.example%2F%20https%3A%2F%2Fb.example',
      '/link?token=t&origin=https%3A%2F%2Fa.example&origin=https%3A%2F%2Fb.example',
      '/link/oauth?state=s',
    ]) {
      expect(await policy(path)).toMatch(/frame-ancestors 'none'$/);
    }
    const script = await fetch(`${rig.url}/link/v2/stable/link-initialize.js`);
    expect(script.headers.get('content-type')).toContain('javascript');
    expect(script.headers.get('x-content-type-options')).toBe('nosniff');
    const page = await fetch(`${rig.url}/link?token=%22%3E%3Cscript%3E`);
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    expect(await page.text()).not.toContain('"><script>');
    await rig.close();
  });
});
