import { Failure } from '../../domain/failures.js';
import type { LinkOutcome, LinkRow } from '../../domain/ports/links.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import { askHastily, createWorld, down, impatient, itemView, never, sha256 } from './world.js';

describe('a link token', () => {
  const world = createWorld();
  const { app, keys, behave, plaidCalls } = world;
  afterAll(() => app.close());
  const ask = (userId: string, payload: object = {}) =>
    app.inject({ method: 'POST', url: `/v1/users/${userId}/link-token`, headers: keys.write, payload });
  beforeEach(() => {
    plaidCalls.length = 0;
    behave.pick = null;
    behave.nextPicks = [];
    world.alerts.length = 0;
    behave.linkToken = async () => undefined;
  });

  it('is refused for an item that is absent, of another user, or named in create mode', async () => {
    for (const item_id of ['absent', 'item-2']) {
      const answer = await ask('user-1', { item_id });
      expect([answer.statusCode, answer.json().code]).toEqual([404, 'not_found']);
    }
    const create = await ask('user-1', { mode: 'create', item_id: 'item-1' });
    expect([create.statusCode, create.json().code]).toEqual([422, 'item_id_not_allowed']);
    expect(plaidCalls).toEqual([]);
  });

  it('is refused in update mode when there is nothing to update, and the user stays unknown', async () => {
    for (const payload of [{ mode: 'update' }, { mode: 'update', item_id: 'item-gone' }]) {
      const answer = await ask('user-1', payload);
      expect([answer.statusCode, answer.json().code]).toEqual([409, 'no_item']);
    }
    await ask('user-9', { mode: 'update' });
    expect(world.users.has('user-9')).toBe(false);
    expect(plaidCalls).toEqual([]);
  });

  const failures: [Failure, number, string][] = [
    [new Failure('RATE_LIMITED', 'x', { retryAfterMs: 61_500 }), 503, 'plaid_busy'],
    [new Failure('MAINTENANCE', 'x'), 503, 'plaid_busy'],
    [new Failure('UPSTREAM_DOWN', 'x'), 502, 'plaid_unreachable'],
    [new Failure('INSTITUTION_DOWN', 'x'), 502, 'institution_unavailable'],
    [new Failure('MISCONFIGURED', 'x'), 424, 'plaid_refused'],
    [new Failure('BAD_REQUEST', 'x'), 424, 'plaid_refused'],
    [new Failure('ITEM_GONE', 'x'), 424, 'plaid_refused'],
    [new Failure('TOKEN_REFUSED', 'x'), 424, 'plaid_refused'],
    [new Failure('LOGIN_REQUIRED', 'x'), 409, 'login_required'],
    [new Failure('UNKNOWN_INSTITUTION', 'x'), 404, 'unknown_institution'],
  ];
  for (const [failure, status, code] of failures) {
    it(`that Plaid fails with ${failure.type} is ${status} ${code}`, async () => {
      behave.linkToken = () => Promise.reject(failure);
      const answer = await ask('user-1');
      expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
      if (failure.type === 'RATE_LIMITED') expect(answer.headers['retry-after']).toBe('62');
      if (failure.type === 'MAINTENANCE') expect(answer.headers['retry-after']).toBe('60');
    });
  }

  it.each([[new Failure('UPSTREAM_DOWN', 'no key service'), 503, 'unavailable']])(
    'whose access token does not open (%s) is our fault and not Plaid’s',
    async (failure, status, code) => {
      behave.pick = 'item-1';
      behave.keys = () => Promise.reject(failure);
      const answer = await ask('user-1');
      behave.keys = async () => undefined;
      expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
      expect(answer.body).not.toContain('canary');
      expect(plaidCalls).toEqual([]);
    },
  );

  it("carries Plaid's error, code by code, and no text of it", async () => {
    const upstream = { error_type: 'INVALID_INPUT', error_code: 'INVALID_API_KEYS', request_id: 'r1' };
    behave.linkToken = () =>
      Promise.reject(
        new Failure('MISCONFIGURED', 'canary-message', {
          upstream: { ...upstream, secret: 'canary' } as never,
        }),
      );
    const answer = await ask('user-1');
    expect(answer.json().plaid).toEqual(upstream);
    expect(answer.body).not.toContain('canary');
    expect(world.logged.join('')).not.toContain('canary');
  });

  it('that Plaid does not answer is 504', async () => {
    const answer = await askHastily({ linkToken: never }, ({ write }) => ({
      method: 'POST',
      url: '/v1/users/user-1/link-token',
      headers: write,
    }));
    expect([answer.statusCode, answer.json().code]).toEqual([504, 'plaid_timeout']);
  });

  it.each([
    [true, true],
    [false, false],
    [undefined, false],
  ])(
    'lets the user choose the accounts anew where the client asks for it (%s)',
    async (asked, accountSelection) => {
      behave.pick = 'item-1';
      const body = asked === undefined ? {} : { account_selection: asked };
      expect((await ask('user-1', body)).statusCode).toBe(200);
      expect(plaidCalls).toEqual([
        { userId: 'user-1', accessToken: 'access-item-1', accountSelection, asksConsent: false },
      ]);
    },
  );

  it('of an item that Plaid calls gone becomes one for a new item', async () => {
    for (const type of ['ITEM_GONE', 'PERMISSION_REVOKED'] as const) {
      plaidCalls.length = 0;
      behave.pick = 'item-1';
      behave.linkToken = async (accessToken) => {
        if (accessToken !== undefined) throw new Failure(type, 'gone');
      };
      expect((await ask('user-1')).json()).toEqual({
        link_token: 'link-sandbox-1',
        expiration: '2999-11-21T11:00:00Z',
        mode: 'create',
      });
      expect(plaidCalls).toEqual([
        { userId: 'user-1', accessToken: 'access-item-1', accountSelection: false, asksConsent: false },
        { userId: 'user-1' },
      ]);
    }
  });

  describe.each([
    ['INVALID_ACCESS_TOKEN', 'plaid_refused', [{ kind: 'token_refused', key: 'item-1' }]],
    ['A_CODE_OF_TOMORROW', 'plaid_unreachable', [{ kind: 'plaid_code_unknown', key: 'A_CODE_OF_TOMORROW' }]],
    ['ITEM_NOT_SUPPORTED', null, []],
    ['INVALID_FIELD', 'plaid_refused', []],
    ...(
      [
        'INSTITUTION_REGISTRATION_REQUIRED',
        'UNAUTHORIZED_INSTITUTION',
        'INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT',
      ] as const
    ).map((key) => [key, 'plaid_refused', [{ kind: 'plaid_misconfigured', key }]] as const),
    ['INSTITUTION_RATE_LIMIT', null, []],
  ] as const)('of an item that Plaid answers %s for', (error_code, code, alerts) => {
    const refuse = (refused: readonly string[]) => async (accessToken?: string) => {
      if (accessToken === undefined || !refused.includes(accessToken)) return;
      const error_type = error_code.includes('INSTITUTION') ? 'INSTITUTION_ERROR' : 'ITEM_ERROR';
      const body = { error_type, error_code, request_id: 'r1' };
      throw failureOfAnswer('/link/token/create', { status: 400, body, retryAfter: undefined }, 0);
    };
    beforeEach(() => {
      for (const id of ['item-1', 'item-a', 'item-b']) world.items.set(id, itemView(id, 'user-1'));
      behave.pick = 'item-1';
      behave.nextPicks = ['item-a', 'item-b'];
    });

    it('is one for the next item, and operators are told what is theirs', async () => {
      behave.linkToken = refuse(['access-item-1', 'access-item-a']);
      expect((await ask('user-1')).json()).toMatchObject({ mode: 'update', item_id: 'item-b' });
      expect(plaidCalls).toHaveLength(3);
      const keys = world.alerts.map(({ kind, key }) => ({ kind, key }));
      expect(keys).toEqual(expect.arrayContaining([...alerts]));
      if (alerts.length === 0) expect(keys).toEqual([]);
    });

    it('is one for a new item in the end, but in update mode', async () => {
      behave.linkToken = refuse(['access-item-1', 'access-item-a', 'access-item-b']);
      expect((await ask('user-1')).json()).toMatchObject({ mode: 'create' });
      const update = await ask('user-1', { mode: 'update' });
      expect(update.statusCode).toBeGreaterThanOrEqual(400);
      if (code !== null) expect(update.json().code).toBe(code);
    });

    it('is refused where the item is named', async () => {
      behave.linkToken = refuse(['access-item-1']);
      const answer = await ask('user-1', { item_id: 'item-1' });
      expect(answer.statusCode).toBeGreaterThanOrEqual(400);
      if (code !== null) expect(answer.json().code).toBe(code);
      expect(plaidCalls).toHaveLength(1);
    });
  });

  it('of an item whose stored access token does not open is one for the next item, and operators are told', async () => {
    for (const id of ['item-1', 'item-a']) world.items.set(id, itemView(id, 'user-1'));
    behave.pick = 'item-1';
    behave.nextPicks = ['item-a'];
    const { keys: usual } = behave;
    behave.keys = () => {
      behave.keys = usual;
      return Promise.reject(new Failure('SECRET_UNREADABLE', 'a key is missing'));
    };
    expect((await ask('user-1')).json()).toMatchObject({ mode: 'update', item_id: 'item-a' });
    expect(world.alerts).toMatchObject([{ kind: 'token_unreadable', key: 'item-1' }]);
    behave.keys = () => Promise.reject(new Failure('SECRET_UNREADABLE', 'canary'));
    const answer = await ask('user-1', { item_id: 'item-1' });
    behave.keys = usual;
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'internal_error']);
    expect(answer.body).not.toContain('canary');
  });

  it.each(['RATE_LIMITED', 'MAINTENANCE', 'MISCONFIGURED', 'UPSTREAM_DOWN'] as const)(
    'for which Plaid is %s is asked for once: the other items meet the same',
    async (type) => {
      behave.pick = 'item-1';
      behave.nextPicks = ['item-a'];
      behave.linkToken = () => Promise.reject(new Failure(type, 'x'));
      expect((await ask('user-1')).statusCode).toBeGreaterThanOrEqual(400);
      expect(plaidCalls).toHaveLength(1);
    },
  );

  it.each([
    [500, 'API_ERROR', 'INTERNAL_SERVER_ERROR'],
    [429, 'RATE_LIMIT_EXCEEDED', 'RATE_LIMIT'],
    [400, 'API_ERROR', 'PLANNED_MAINTENANCE'],
  ])(
    'for which Plaid answers %i %s/%s is not asked for another item',
    async (status, error_type, error_code) => {
      behave.pick = 'item-1';
      behave.nextPicks = ['item-a'];
      behave.linkToken = () => {
        const answer = { status, body: { error_type, error_code, request_id: 'r1' }, retryAfter: undefined };
        return Promise.reject(failureOfAnswer('/link/token/create', answer, 0));
      };
      expect((await ask('user-1')).statusCode).toBeGreaterThanOrEqual(400);
      expect(plaidCalls).toHaveLength(1);
    },
  );

  const errored = (error_code: string, update_mode: boolean): void => {
    const item = world.items.get('item-1');
    if (item === undefined) throw new Error('no such item');
    const error = { error_type: 'ITEM_ERROR', error_code, since: '2026-11-21T07:00:00.000Z', update_mode };
    world.items.set('item-1', { ...item, status: 'ERROR', error });
  };

  it('of an item that lacks consent asks for the products', async () => {
    errored('ADDITIONAL_CONSENT_REQUIRED', true);
    plaidCalls.length = 0;
    await ask('user-1', { mode: 'update', item_id: 'item-1' });
    expect(plaidCalls).toMatchObject([{ accessToken: 'access-item-1', asksConsent: true }]);
  });

  it('of an item whose bank Plaid has given up is refused with its error, and Plaid is asked nothing', async () => {
    errored('INSTITUTION_NO_LONGER_SUPPORTED', false);
    plaidCalls.length = 0;
    const answer = await ask('user-1', { mode: 'update', item_id: 'item-1' });
    expect([answer.statusCode, answer.json().code]).toEqual([409, 'update_mode_useless']);
    expect(answer.json().plaid).toMatchObject({ error_code: 'INSTITUTION_NO_LONGER_SUPPORTED' });
    expect(plaidCalls).toEqual([]);
  });

  it('of an item whose access token Plaid does not take is refused: the item may live', async () => {
    behave.pick = 'item-1';
    behave.linkToken = () => Promise.reject(new Failure('TOKEN_REFUSED', 'x'));
    expect((await ask('user-1')).json().code).toBe('plaid_refused');
  });

  it('updates the picked item, and makes the user known', async () => {
    behave.pick = 'item-1';
    expect((await ask('user-1')).json()).toMatchObject({ mode: 'update', item_id: 'item-1' });
    expect((await ask('user-1', { mode: 'create' })).json()).toMatchObject({ mode: 'create' });
    expect((await ask('user-1', { item_id: 'item-1' })).json()).toMatchObject({
      mode: 'update',
      item_id: 'item-1',
    });
    expect((await ask('user-10')).json()).toMatchObject({ mode: 'create' });
    expect(world.users.has('user-10')).toBe(true);
    expect(JSON.stringify(world.logged)).not.toContain('access-item-1');
  });
});

describe('linking', () => {
  const token = 'public-sandbox-canary';
  const hash = sha256(token);
  const plaid = { error_type: 'INVALID_INPUT', error_code: 'INVALID_PUBLIC_TOKEN', request_id: 'r1' };

  function started(limits = {}) {
    const world = createWorld(limits);
    const link = (userId = 'user-1', more: object = {}) =>
      world.app.inject({
        method: 'POST',
        url: `/v1/users/${userId}/items`,
        headers: world.keys.write,
        payload: { public_token: token, ...more },
      });
    return Object.assign(world, { link });
  }
  const finished = (outcome: LinkOutcome): LinkRow => ({
    token_hash: hash,
    user_id: 'user-1',
    application_id: 'app-1',
    state: 'finished',
    item_id: null,
    outcome,
    institution_id: null,
    accounts: [],
    main_account_id: null,
    allow_duplicate: false,
    connection: null,
  });

  const outcomes: [LinkOutcome, number, Record<string, unknown>][] = [
    [{ kind: 'duplicate', item_id: 'item-1' }, 409, { code: 'duplicate_item', item_id: 'item-1' }],
    [{ kind: 'invalid_public_token', plaid }, 422, { code: 'invalid_public_token', plaid }],
    [{ kind: 'outcome_unknown' }, 502, { code: 'link_outcome_unknown' }],
    [{ kind: 'refused', plaid: null }, 502, { code: 'plaid_unreachable' }],
    [
      { kind: 'refused', plaid: { ...plaid, error_code: 'INVALID_API_KEYS' } },
      424,
      { code: 'plaid_refused', plaid: { ...plaid, error_code: 'INVALID_API_KEYS' } },
    ],
    [
      { kind: 'refused', plaid: { ...plaid, error_type: 'INSTITUTION_ERROR' } },
      502,
      { code: 'institution_unavailable' },
    ],
    [
      { kind: 'refused', plaid: { ...plaid, error_type: 'RATE_LIMIT_EXCEEDED' } },
      503,
      { code: 'plaid_busy' },
    ],
    ...[
      { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_REGISTRATION_REQUIRED' },
      { error_type: 'RATE_LIMIT_EXCEEDED', error_code: 'TRIAL_CONNECTION_LIMIT' },
    ].map((error): [LinkOutcome, number, Record<string, unknown>] => [
      { kind: 'refused', plaid: { ...plaid, ...error } },
      424,
      { code: 'plaid_refused', plaid: { ...plaid, ...error } },
    ]),
    // By update mode: its item was removed, and its application was never connected with it.
    [
      { kind: 'linked', item_id: 'item-of-nobody', replaces: null, warnings: [] },
      409,
      { code: 'item_removed' },
    ],
    [{ kind: 'refused', plaid: { ...plaid, error_type: 'API_ERROR' } }, 502, { code: 'plaid_unreachable' }],
  ];
  for (const [outcome, status, members] of outcomes) {
    it(`that ends as ${JSON.stringify(outcome)} is ${status}, now and for every repeat`, async () => {
      const { app, behave, links, link } = started();
      behave.link = async () => outcome;
      const first = await link();
      expect(first.statusCode).toBe(status);
      expect(first.json()).toMatchObject(members);
      behave.link = () => Promise.reject(new Error('asked again'));
      links.set(hash, finished(outcome));
      const again = await link();
      expect(again.statusCode).toBe(status);
      expect(again.json()).toMatchObject(members);
      await app.close();
    });
  }

  it('keeps what the application is to be granted, with the deployment’s defaults for what it does not say', async () => {
    const { app, behave, links, link } = started();
    const joined = { connection_id: 'con_1', joined: true } as const;
    behave.link = async () => ({
      kind: 'linked',
      item_id: 'item-1',
      replaces: null,
      warnings: [],
      ...joined,
    });
    const evidence = { disclosure_id: 'v3', sha256: 'a'.repeat(64), at: '2026-11-21T10:00:00Z' };
    const expires_at = new Date(Date.now() + 86_400_000).toISOString();
    const said = { scopes: ['accounts'], account_ids: [], expires_at, evidence };
    const answer = await link('user-1', { connection: said });
    expect([answer.statusCode, answer.json()]).toMatchObject([201, joined]);
    const rest = { new_accounts: true, lookback_days: null, purpose: null };
    expect(links.get(hash)?.connection).toEqual({ ...said, ...rest });
    links.clear();
    await link();
    expect(links.get(hash)?.connection).toMatchObject({ scopes: ['accounts', 'balances', 'transactions'] });
    await app.close();
  });

  it('keeps the instant at which a grant is to end: what its text is the database may not take when the Item is there', async () => {
    const { app, links, link } = started();
    for (const expires_at of ['2999-01-31T00:00:00+23:59', `2999-01-30T00:01:00.${'0'.repeat(200)}Z`]) {
      links.clear();
      await link('user-1', { connection: { expires_at } });
      expect(links.get(hash)?.connection).toMatchObject({ expires_at: '2999-01-30T00:01:00.000Z' });
    }
    await app.close();
  });

  it.each([
    ['scopes', ['everything']],
    ['scopes', ['accounts', 'accounts']],
    ['account_ids', ['a', 'a']],
    ['account_ids', 'a'],
    ['account_ids', ['\ud800']],
    ['lookback_days', 0],
    ['lookback_days', 1.5],
    ['lookback_days', 100_000],
    ['expires_at', '2020-01-01T00:00:00Z'],
    ['expires_at', '2999-13-01T00:00:00Z'],
    ['expires_at', 'tomorrow'],
    ['purpose', 'x'.repeat(1_001)],
    ['purpose', 'a\u0000b'],
    ['evidence', { disclosure_id: 'v3', sha256: 'abc', at: '2026-11-21T10:00:00Z' }],
    ['evidence', { disclosure_id: 'v3', sha256: 'a'.repeat(64) }],
    ['new_accounts', null],
    ['unknown', 1],
  ])('refuses a grant whose %s is %j, before anything is stored', async (field, value) => {
    const { app, links, link } = started();
    const answer = await link('user-1', { connection: { [field]: value } });
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request']);
    expect(answer.json().errors[0].pointer).toContain('/connection');
    expect(links.size).toBe(0);
    await app.close();
  });

  it('with the token of another user is refused, before anything is started', async () => {
    const { app, behave, link } = started();
    await link('user-2');
    behave.link = () => Promise.reject(new Error('asked'));
    const answer = await link('user-1');
    expect([answer.statusCode, answer.json().code]).toEqual([409, 'public_token_used']);
    await app.close();
  });

  it('that takes too long is pending, and a repeat joins', async () => {
    const { app, behave, link } = started(impatient);
    behave.link = async () => null;
    const pending = await link();
    expect([pending.statusCode, pending.json().code]).toEqual([504, 'link_pending']);
    behave.link = never;
    expect((await link()).json().code).toBe('link_pending');
    behave.link = async () => ({ kind: 'linked', item_id: 'item-1', replaces: null, warnings: [] });
    expect((await link()).statusCode).toBe(201);
    await app.close();
  });

  it('without Temporal is 503, whether it says so or hangs', async () => {
    const { app, behave, link, links } = started(impatient);
    behave.link = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    expect((await link()).json().code).toBe('orchestrator_down');
    behave.link = never;
    behave.ping = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    const answer = await link();
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'orchestrator_down']);
    // Received all the same: `sweep` starts what nobody asks for again.
    expect(links.has(hash)).toBe(true);
    await app.close();
  });

  it('that Temporal refuses for good is 500 at once; for how we are set up, 503', async () => {
    const { app, behave, link } = started();
    for (const [type, status, code] of [
      ['ORCHESTRATOR_REFUSED', 500, 'internal_error'],
      ['MISCONFIGURED', 503, 'unavailable'],
    ] as const) {
      behave.link = () => Promise.reject(new Failure(type, 'refused'));
      const answer = await link();
      expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
    }
    await app.close();
  });

  it('is not harmed by a ping that fails beside it', async () => {
    const { app, behave, link } = started();
    behave.ping = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    expect((await link()).statusCode).toBe(201);
    await app.close();
  });

  it('without the database is 503, and nothing is started', async () => {
    const { app, behave, link } = started();
    behave.store = down;
    behave.link = () => Promise.reject(new Error('asked'));
    expect((await link()).statusCode).toBe(503);
    await app.close();
  });

  it('gives the item with 201, and the same item with 200 for the same token', async () => {
    const { app, behave, links, link, items } = started();
    const outcome: LinkOutcome = {
      kind: 'linked',
      item_id: 'item-new',
      replaces: 'item-1',
      warnings: ['main_account_unknown'],
    };
    behave.link = async () => outcome;
    items.set('item-new', itemView('item-new', 'user-1'));
    const first = await link('user-1', {
      main_account_id: 'account-9',
      institution_id: 'ins_1',
      accounts: [{ id: 'x', name: 'Checking', mask: '0000', type: 'depository', verification_status: null }],
    });
    expect([first.statusCode, first.headers['location']]).toEqual([201, '/v1/items/item-new']);
    expect(first.json()).toEqual({
      ...itemView('item-new', 'user-1'),
      replaces: 'item-1',
      warnings: ['main_account_unknown'],
    });
    expect(links.get(hash)).toMatchObject({
      main_account_id: 'account-9',
      institution_id: 'ins_1',
      accounts: [{ mask: '0000', name: 'Checking', type: 'depository', subtype: null }],
    });
    // One that the caller has nothing to do with is not named.
    behave.link = async () => ({
      ...outcome,
      replaces: 'item-of-others',
      dropped_accounts: ['account-of-others'],
    });
    const silent = await link('user-1', {});
    expect(JSON.stringify(silent.json())).not.toContain('of-others');
    // Those of the caller's own Link are its own.
    behave.link = async () => ({ ...outcome, replaces: null, joined: true, dropped_accounts: ['account-2'] });
    expect((await link('user-1', {})).json()).toMatchObject({
      joined: true,
      dropped_accounts: ['account-2'],
    });
    links.set(hash, finished(outcome));
    behave.link = () => Promise.reject(new Error('asked again'));
    const again = await link();
    expect([again.statusCode, again.json()]).toEqual([200, first.json()]);
    await app.close();
  });

  describe("takes Link's metadata as it is", () => {
    const checking = { mask: null, name: 'Checking', type: 'depository', subtype: null };
    const onAndroid = {
      id: 'x',
      mask: '',
      name: 'Checking',
      type: 'depository',
      subtype: '',
      verificationStatus: '',
      verification_status: null,
    };
    const onWeb = {
      institution: { name: 'First Platypus Bank', institution_id: 'ins_1' },
      account: onAndroid,
      account_id: 'x',
      accounts: [onAndroid],
      link_session_id: '79e772be',
      transfer_status: null,
    };
    const onPhone = {
      institution: { id: 'ins_1', name: 'Bank' },
      accounts: [onAndroid],
      linkSessionId: '79e772be',
    };
    it.each<[string, object, string | null]>([
      ['empty texts', { institution_id: '', main_account_id: '', accounts: [onAndroid] }, null],
      [
        'an id in one name and nothing in the other',
        { institution_id: '', institutionId: 'ins_1', accounts: [onAndroid] },
        'ins_1',
      ],
      ['the web kit, spread into the body', onWeb, 'ins_1'],
      ['the web kit, in a member', { metadata: { ...onWeb, of_tomorrow: {} } }, 'ins_1'],
      ['a phone kit, spread into the body', onPhone, 'ins_1'],
      ['a phone kit, in a member', { metadata: onPhone }, 'ins_1'],
      ['metadata with an institution that is none', { metadata: { ...onPhone, institution: '' } }, null],
      ['our own field before the metadata', { institution_id: 'ins_2', metadata: onWeb }, 'ins_2'],
    ])('%s', async (_name, body, institution_id) => {
      const { app, behave, link, links, items } = started();
      behave.link = async () => ({ kind: 'linked', item_id: 'item-new', replaces: null, warnings: [] });
      items.set('item-new', itemView('item-new', 'user-1'));
      expect((await link('user-1', body)).statusCode).toBe(201);
      expect(links.get(hash)).toMatchObject({ institution_id, main_account_id: null, accounts: [checking] });
      await app.close();
    });

    it.each([
      [256, true],
      [257, false],
    ])('a name of %i characters, whatever they are made of', async (count, kept) => {
      const { app, behave, link, links, items } = started();
      behave.link = async () => ({ kind: 'linked', item_id: 'item-new', replaces: null, warnings: [] });
      items.set('item-new', itemView('item-new', 'user-1'));
      const name = '🏦'.repeat(count);
      expect((await link('user-1', { metadata: { accounts: [{ name }] } })).statusCode).toBe(201);
      expect(links.get(hash)?.accounts).toMatchObject([{ name: kept ? name : null }]);
      await app.close();
    });

    it.each<[string, object]>([
      ['null in the place of everything', { institution: null, accounts: null, metadata: null }],
      [
        'accounts of no shape',
        { metadata: { accounts: [null, 'x', 7, { mask: 7, name: ['x'], type: 'a\u0000' }].slice(3) } },
      ],
    ])('%s', async (_name, body) => {
      const { app, behave, link, links, items } = started();
      behave.link = async () => ({ kind: 'linked', item_id: 'item-new', replaces: null, warnings: [] });
      items.set('item-new', itemView('item-new', 'user-1'));
      expect((await link('user-1', body)).statusCode).toBe(201);
      expect(links.get(hash)?.institution_id).toBeNull();
      for (const account of links.get(hash)?.accounts ?? []) {
        expect(account).toEqual({ mask: null, name: null, type: null, subtype: null });
      }
      await app.close();
    });
  });

  it('never lets the public token into a log, an answer or the workflow', async () => {
    const { app, behave, link, logged, links } = started();
    const asked: string[] = [];
    behave.link = async (tokenHash) => {
      asked.push(tokenHash);
      throw new Error(`failed with ${token}`);
    };
    const answer = await link();
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'internal_error']);
    expect(asked).toEqual([hash]);
    for (const text of [
      answer.body,
      JSON.stringify(answer.headers),
      logged.join(''),
      JSON.stringify([...links]),
    ]) {
      expect(text).not.toContain(token);
    }
    expect(logged.join('')).toContain('request failed');
    await app.close();
  });
});
