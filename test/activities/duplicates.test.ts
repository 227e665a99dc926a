import { grantByDefault } from '../../domain/exchange/connection.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { LinkOutcome, NewLink } from '../../domain/ports/links.js';
import type { PlaidPort } from '../../domain/ports/plaid.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import { whileRefused } from '../stack/refusedRows.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import { institution } from './fakeDirectory.js';
import type { FakeItem } from './fakePlaid.js';
import { account } from './fakePlaid.js';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());
afterEach(() => expect(world.unexpected).toEqual([]));

const dueAt = { complete: '2030-01-02T00:00:00.000Z', incomplete: '2030-01-01T00:00:00.000Z' };
const broken = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };

let users = 0;
const newUser = (): string => `holder-${(users += 1)}`;

interface Linking {
  accounts?: PlaidAccount[];
  bank?: string;
  more?: Partial<NewLink>;
}

/** The link of a new Item with these accounts, up to where it is admitted or not. */
async function link(user: string, { accounts = [account('a')], bank = 'ins_1', more = {} }: Linking = {}) {
  const { tokenHash, item } = await world.receive(user, { institution_id: bank, ...more });
  item.accounts = accounts;
  item.institution_id = bank;
  const { duplicateOf } = await world.run.guardLink({ tokenHash });
  await world.run.exchangePublicToken({ tokenHash });
  const admitted = await world.run.admitItem({ tokenHash });
  return { tokenHash, item, duplicateOf, admitted };
}

/** The first update of an Item: from here on its accounts are known by their ids. */
async function mine(item: FakeItem): Promise<void> {
  item.page('', 'c1', {});
  const result = await world.run.minePage({
    itemId: item.itemId,
    updateId: `u-${item.itemId}`,
    page: 0,
    dueAt,
  });
  expect(result.kind).toBe('applied');
}

const maskless = (prefix: string, ...names: string[]): PlaidAccount[] =>
  names.map((name) => account(`${prefix}-${name}`, { name, mask: null }));

describe('accounts without mask and persistent id', () => {
  it('of the same name are not known to be one: two logins at one bank are linked', async () => {
    const user = newUser();
    const first = await link(user, { accounts: maskless('first', 'Checking', 'Holidays') });
    const second = await link(user, { accounts: maskless('second', 'Checking', 'House') });
    expect([first.admitted.kind, second.admitted.kind]).toEqual(['admitted', 'admitted']);
    expect(second.admitted).toMatchObject({ replaced: [] });
    expect(second.item.removed).toBe(false);
  });

  it('are one login when more than one agrees', async () => {
    const user = newUser();
    const { item } = await link(user, { accounts: maskless('first', 'Checking', 'Savings', 'House') });
    const again = await link(user, { accounts: maskless('again', 'Savings', 'Checking') });
    expect(again.admitted).toEqual({ kind: 'duplicate', itemId: item.itemId });
  });

  it('that are called the same twice on one side agree with one only', async () => {
    const user = newUser();
    await link(user, { accounts: maskless('first', 'Checking') });
    const twins = [account('t1', { mask: null }), account('t2', { mask: '' })];
    expect((await link(user, { accounts: twins })).admitted.kind).toBe('admitted');
  });

  it('and without a name agree with nothing', async () => {
    const user = newUser();
    const nameless = (prefix: string) =>
      [1, 2].map((n) =>
        account(`${prefix}${n}`, { name: null as unknown as string, mask: null, subtype: null }),
      );
    await link(user, { accounts: nameless('a') });
    expect((await link(user, { accounts: nameless('b') })).admitted.kind).toBe('admitted');
  });

  it('are asked after in Link’s metadata, too', async () => {
    const user = newUser();
    const accounts = [{ name: 'Checking', mask: null, type: 'depository', subtype: 'checking' }];
    await link(user, { accounts: maskless('first', 'Checking') });
    const second = await link(user, { accounts: maskless('second', 'Checking'), more: { accounts } });
    expect([second.duplicateOf, second.admitted.kind]).toEqual([null, 'admitted']);
  });

  it.each(['Che\u0000cking', 'Half \ud83d of it'])(
    'are known once more by a name that no database takes as it is (%j)',
    async (name) => {
      const user = newUser();
      const { item } = await link(user, { accounts: [account('a', { name })] });
      const again = await link(user, { accounts: [account('b', { name })] });
      expect(again.admitted).toEqual({ kind: 'duplicate', itemId: item.itemId });
    },
  );

  it('but with a mask, or a persistent id, one is enough', async () => {
    for (const known of [{ mask: '1234' }, { mask: null, persistent_account_id: 'p-1' }]) {
      const user = newUser();
      const { item } = await link(user, { accounts: [account('a', known), ...maskless('a', 'House')] });
      const again = await link(user, { accounts: [account('b', known), ...maskless('b', 'Holidays')] });
      expect(again.admitted).toEqual({ kind: 'duplicate', itemId: item.itemId });
    }
  });
});

/** Activities for which Plaid refuses calls with this Item's token: the next ones, or all of them. */
function refusing(
  item: FakeItem,
  methods: readonly (keyof PlaidPort)[],
  error_code: string,
  times = Infinity,
) {
  const body = { error_type: 'INVALID_INPUT', error_code, request_id: 'r1' };
  let left = times;
  const refused = methods.map((method) => [
    method,
    async (token: string, ...more: never[]) => {
      if (token === item.accessToken && (left -= 1) >= 0)
        throw failureOfAnswer(`/${method}`, { status: 400, body, retryAfter: undefined }, 0);
      return (world.plaid[method] as (...given: unknown[]) => Promise<unknown>)(token, ...more);
    },
  ]);
  const plaid = Object.assign(
    Object.create(world.plaid) as typeof world.plaid,
    Object.fromEntries(refused) as object,
  );
  return world.runWith({ plaid });
}

const toRemove = async ({ itemId }: FakeItem): Promise<boolean> => {
  const rows =
    await world.sql`SELECT FROM items WHERE item_id = ${itemId} AND removal_requested_at IS NOT NULL`;
  return rows.length > 0;
};

/** As if its link had waited for so long. */
const hasWaited = (tokenHash: string, time: string) => world.sql`
  UPDATE links SET created_at = now() - ${time}::interval, updated_at = now() - ${time}::interval
  WHERE token_hash = ${tokenHash}`;

describe('an older Item with the same accounts', () => {
  const metadata = [{ name: 'Checking', mask: '0000', type: 'depository', subtype: 'checking' }];
  const exchanged = async (user: string, more: Partial<NewLink> = {}) => {
    const next = await world.receive(user, more);
    await world.run.exchangePublicToken({ tokenHash: next.tokenHash });
    return next;
  };

  it.each(['INVALID_ACCESS_TOKEN', 'ITEM_NOT_FOUND', 'USER_PERMISSION_REVOKED', 'ITEM_LOGIN_REQUIRED'])(
    'is not taken away for one answer %s',
    async (code) => {
      const user = newUser();
      const old = await world.linkedItem(user);
      const { tokenHash } = await exchanged(user);
      const run = refusing(old, ['getItem'], code, 1);
      expect(await run.admitItem({ tokenHash })).toEqual({ kind: 'duplicate', itemId: old.itemId });
      expect(await toRemove(old)).toBe(false);
      const { tokenHash: next } = await world.receive(user, { institution_id: 'ins_1', accounts: metadata });
      expect(await refusing(old, ['getItem'], code, 1).guardLink({ tokenHash: next })).toEqual({
        duplicateOf: old.itemId,
      });
    },
  );

  it.each([
    ['UNAUTHORIZED_INSTITUTION', '0 s'],
    ['INSTITUTION_REGISTRATION_REQUIRED', '0 s'],
    ['INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT', '0 s'],
    ['INSTITUTION_DOWN', '20 s'],
    ['INSTITUTION_NOT_RESPONDING', '20 s'],
    ['INSTITUTION_NOT_AVAILABLE', '20 s'],
  ])('holds no link whose own Item Plaid answers %s for: the Item shows it', async (code, waited) => {
    const user = newUser();
    const { tokenHash, item } = await exchanged(user, { institution_id: 'ins_1', accounts: metadata });
    const run = refusing(item, ['getItem', 'getAccounts', 'syncTransactions'], code);
    await hasWaited(tokenHash, waited);
    expect(await run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted' });
    const [row] = await world.sql`SELECT institution_id FROM items WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ institution_id: 'ins_1' });
  });

  it.each(['INSTITUTION_DOWN', 'INTERNAL_SERVER_ERROR', 'INVALID_API_KEYS'])(
    'waits where Plaid answers %s for the own Item of a link, and may answer soon',
    async (code) => {
      const { tokenHash, item } = await exchanged(newUser());
      const run = refusing(item, ['getItem'], code);
      await expect(run.admitItem({ tokenHash })).rejects.toThrow();
      await hasWaited(tokenHash, '20 s');
      if (code !== 'INSTITUTION_DOWN') await expect(run.admitItem({ tokenHash })).rejects.toThrow();
    },
  );

  it('is not taken away for one answer that calls its login broken', async () => {
    const user = newUser();
    const old = await world.linkedItem(user);
    const { tokenHash } = await exchanged(user);
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getItem: async (token: string) => {
        const view = await world.plaid.getItem(token);
        if (token === old.accessToken) old.error = null;
        return view;
      },
    });
    old.error = broken;
    expect(await world.runWith({ plaid }).admitItem({ tokenHash })).toEqual({
      kind: 'duplicate',
      itemId: old.itemId,
    });
  });

  it.each([
    ['ITEM_NOT_FOUND', ['getItem'], 'duplicate'],
    ['USER_PERMISSION_REVOKED', ['getItem', 'getAccounts'], 'admitted'],
    ['ITEM_NOT_FOUND', ['getItem', 'getAccounts'], 'admitted'],
    ['ITEM_LOGIN_REQUIRED', ['getItem'], 'admitted'],
    ['INVALID_ACCESS_TOKEN', ['getItem', 'getAccounts', 'syncTransactions'], 'duplicate'],
    ['INSTITUTION_NO_LONGER_SUPPORTED', ['getItem'], 'duplicate'],
  ] as const)('that Plaid answers %s for, whenever %j is called: %s', async (code, methods, kind) => {
    const user = newUser();
    const old = await world.linkedItem(user);
    const { tokenHash } = await exchanged(user);
    const admitted = await refusing(old, methods, code).admitItem({ tokenHash });
    expect(admitted).toMatchObject(
      kind === 'admitted' ? { kind, replaced: [old.itemId] } : { kind, itemId: old.itemId },
    );
    expect(await toRemove(old)).toBe(kind === 'admitted');
  });

  it('that cannot be asked about holds up neither the exchange nor, for long, the end: it counts as healthy', async () => {
    for (const code of ['INTERNAL_SERVER_ERROR', 'A_CODE_OF_TOMORROW', 'INSTITUTION_DOWN', 'INVALID_FIELD']) {
      const user = newUser();
      const old = await world.linkedItem(user);
      const { tokenHash } = await world.receive(user, { institution_id: 'ins_1', accounts: metadata });
      const run = refusing(old, ['getItem'], code);
      expect(await run.guardLink({ tokenHash })).toEqual({ duplicateOf: null });
      await run.exchangePublicToken({ tokenHash });
      // It may be answered the next moment.
      await expect(run.admitItem({ tokenHash })).rejects.toThrow();
      await hasWaited(tokenHash, '20 s');
      expect(await run.admitItem({ tokenHash })).toEqual({ kind: 'duplicate', itemId: old.itemId });
      expect(await toRemove(old)).toBe(false);
    }
  });
});

describe('a link that goes on failing', () => {
  const alerts = (tokenHash: string) =>
    world.sql`SELECT detail FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash}`;

  it('is told to operators after a while, until it ends', async () => {
    const user = newUser();
    const { tokenHash, item } = await world.receive(user);
    await world.run.exchangePublicToken({ tokenHash });
    const run = refusing(item, ['getItem'], 'INVALID_ACCESS_TOKEN');
    await expect(run.admitItem({ tokenHash })).rejects.toThrow();
    expect(await alerts(tokenHash)).toHaveLength(0);
    await hasWaited(tokenHash, '11 minutes');
    for (let time = 0; time < 2; time += 1) await expect(run.admitItem({ tokenHash })).rejects.toThrow();
    expect(await alerts(tokenHash)).toEqual([
      { detail: { type: 'TOKEN_REFUSED', error_type: 'INVALID_INPUT', error_code: 'INVALID_ACCESS_TOKEN' } },
    ]);
    const admitted = await world.run.admitItem({ tokenHash });
    expect(admitted.kind).toBe('admitted');
    const outcome = { kind: 'linked' as const, item_id: item.itemId, replaces: null, warnings: [] };
    await world.run.finishLink({ tokenHash, outcome });
    expect(await alerts(tokenHash)).toHaveLength(0);
  });

  it('since keys, rights or quotas are wrong, keeps its public token, and is told at once', async () => {
    for (const code of ['INVALID_API_KEYS', 'UNAUTHORIZED_ENVIRONMENT', 'TRIAL_CONNECTION_LIMIT']) {
      const { tokenHash, item } = await world.receive(newUser());
      const body = { error_type: 'INVALID_INPUT', error_code: code, request_id: 'r1' };
      world.plaid.failNext(
        'exchangePublicToken',
        failureOfAnswer('/exchange', { status: 400, body, retryAfter: undefined }, 0),
      );
      expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({
        kind: 'misconfigured',
        plaid: body,
      });
      expect((await world.run.loadLink({ tokenHash })).state).toBe('received');
      expect(
        await world.sql`SELECT FROM alerts WHERE kind = 'plaid_misconfigured' AND key = ${code}`,
      ).toHaveLength(1);
      expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({
        kind: 'exchanged',
        itemId: item.itemId,
      });
    }
  });
});

describe('an exchanged Item of which Plaid does not give what is needed', () => {
  const exchanged = async (user: string) => {
    const next = await world.receive(user);
    await world.run.exchangePublicToken({ tokenHash: next.tokenHash });
    return next;
  };

  it('is the user’s without its accounts, at once where no waiting mends that, else after some seconds', async () => {
    for (const [code, lasting] of [
      ['USER_PERMISSION_REVOKED', true],
      ['ITEM_NOT_FOUND', true],
      ['NO_ACCOUNTS', true],
      ['INSTITUTION_DOWN', false],
      ['INVALID_FIELD', false],
      ['A_CODE_OF_TOMORROW', false],
      ['INVALID_ACCESS_TOKEN', false],
    ] as const) {
      const { tokenHash, item } = await exchanged(newUser());
      const run = refusing(item, ['getAccounts'], code);
      if (!lasting) {
        await expect(run.admitItem({ tokenHash })).rejects.toThrow();
        await hasWaited(tokenHash, '20 s');
      }
      expect([code, await run.admitItem({ tokenHash })]).toMatchObject([
        code,
        { kind: 'admitted', warnings: [] },
      ]);
    }
  });

  const refusalOf = (error_code: string) =>
    failureOfAnswer(
      '/item',
      { status: 400, body: { error_type: 'ITEM_ERROR', error_code }, retryAfter: undefined },
      0,
    );
  it.each<[string, (item: FakeItem) => unknown]>([
    ['a list that is null', (item) => [[null], item.accounts]],
    ['a list of none', (item) => [[], item.accounts]],
    [
      'a list with an entry that cannot be read',
      (item) => [[account('b', { mask: '7' }), null], item.accounts],
    ],
    ...['PRODUCTS_NOT_SUPPORTED', 'PRODUCT_NOT_READY', 'ITEM_LOGIN_REQUIRED', 'ITEM_NOT_FOUND'].map(
      (code): [string, () => unknown] => [
        `${code} for a list`,
        () => world.plaid.failNext('getAccounts', refusalOf(code)),
      ],
    ),
    ...['ITEM_LOGIN_REQUIRED', 'INSTITUTION_NO_LONGER_SUPPORTED', 'UNAUTHORIZED_INSTITUTION'].map(
      (code): [string, () => unknown] => [
        `${code} for the Item`,
        () => world.plaid.failNext('getItem', refusalOf(code)),
      ],
    ),
  ])('is known for a duplicate also after one odd answer: %s', async (_name, answer) => {
    const user = newUser();
    const { item: old } = await link(user);
    const { tokenHash, item } = await exchanged(user);
    item.accounts = [account('a')];
    const lists = answer(item);
    if (Array.isArray(lists))
      Object.defineProperty(item, 'accounts', { get: () => (lists.length > 1 ? lists.shift() : lists[0]) });
    expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'duplicate', itemId: old.itemId });
  });

  it.each([
    ['null', [null]],
    ['none', []],
  ])(
    'is known for a duplicate also after four lists of %s, and the user’s where they stay so',
    async (_name, list) => {
      const user = newUser();
      const { item: old } = await link(user);
      const [doubled, alone] = [await exchanged(user), await exchanged(newUser())];
      for (const { tokenHash, item } of [doubled, alone]) {
        item.accounts = list as unknown as FakeItem['accounts'];
        for (let time = 0; time < 2; time += 1)
          await expect(world.run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      }
      doubled.item.accounts = [account('a')];
      expect(await world.run.admitItem(doubled)).toEqual({ kind: 'duplicate', itemId: old.itemId });
      await hasWaited(alone.tokenHash, '20 s');
      expect(await world.run.admitItem(alone)).toMatchObject({ kind: 'admitted' });
    },
  );

  it('is the user’s where its login has ended already', async () => {
    const { tokenHash, item } = await exchanged(newUser());
    const run = refusing(item, ['getItem', 'getAccounts'], 'ITEM_LOGIN_REQUIRED');
    expect(await run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted' });
  });

  it.each(['USER_PERMISSION_REVOKED', 'ITEM_NOT_FOUND'])('is gone when Plaid says %s twice', async (code) => {
    const { tokenHash, item } = await exchanged(newUser());
    expect(await refusing(item, ['getItem', 'getAccounts'], code).admitItem({ tokenHash })).toMatchObject({
      kind: 'gone',
      plaid: { error_code: code },
    });
    expect(await refusing(item, ['getItem'], code, 1).admitItem({ tokenHash })).toMatchObject({
      kind: 'admitted',
    });
  });

  it('is not admitted, whatever Plaid says of it, when its user is being erased', async () => {
    for (const code of ['USER_PERMISSION_REVOKED', 'A_CODE_OF_TOMORROW', 'INVALID_ACCESS_TOKEN']) {
      const user = newUser();
      const { tokenHash, item } = await exchanged(user);
      const by = { erasureId: `era-${user}`, force: false, applicationId: 'default', keyId: 'key' };
      await world.stores.erasures.request(user, by);
      const run = refusing(item, ['getItem', 'getAccounts'], code);
      expect(await run.admitItem({ tokenHash })).toEqual({ kind: 'user_being_erased' });
    }
  });
});

describe('accounts that are only called the same', () => {
  const names = ['Checking', 'Savings'];

  it('take nobody’s login away: a broken one stays, and the way in is open', async () => {
    const user = newUser();
    const { item } = await link(user, { accounts: maskless('hers', ...names) });
    item.error = broken;
    const his = await link(user, { accounts: maskless('his', ...names) });
    expect(his.admitted).toEqual({ kind: 'duplicate', itemId: item.itemId });
    expect(await toRemove(item)).toBe(false);
    const allowed = await link(user, {
      accounts: maskless('his', ...names),
      more: { allow_duplicate: true },
    });
    expect(allowed.admitted).toMatchObject({ kind: 'admitted', replaced: [] });
    expect(await toRemove(item)).toBe(false);
  });

  it('of an Item that is gone keep nobody out, and that Item stays as it is', async () => {
    const user = newUser();
    const { item } = await link(user, { accounts: maskless('hers', ...names) });
    item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    const getAccounts = world.plaid.getAccounts.bind(world.plaid);
    world.plaid.getAccounts = async (token) => {
      if (token === item.accessToken) throw new Failure('PERMISSION_REVOKED', 'no');
      return getAccounts(token);
    };
    const his = await link(user, { accounts: maskless('his', ...names) });
    world.plaid.getAccounts = getAccounts;
    expect(his.admitted).toMatchObject({ kind: 'admitted', replaced: [] });
    expect(await toRemove(item)).toBe(false);
  });
});

describe('a duplicate that the client allows', () => {
  it('is linked, and replaces nothing', async () => {
    const user = newUser();
    const { item } = await link(user);
    const metadata = [{ name: 'Checking', mask: '0000', type: 'depository', subtype: 'checking' }];
    expect((await link(user, { more: { accounts: metadata } })).duplicateOf).toBe(item.itemId);
    item.error = broken;
    const joint = await link(user, { more: { accounts: metadata, allow_duplicate: true } });
    expect([joint.duplicateOf, joint.admitted]).toEqual([
      null,
      { kind: 'admitted', replaced: [], dropped: [], warnings: [] },
    ]);
    const [old] = await world.sql`
      SELECT removal_requested_at AS asked, replaced_by FROM items WHERE item_id = ${item.itemId}`;
    expect(old).toEqual({ asked: null, replaced_by: null });
  });

  it('is received anew with the same token where it was refused before its exchange', async () => {
    const user = newUser();
    const { item } = await link(user);
    const { tokenHash } = await world.receive(user);
    const sealed = { keyId: 'k', dataKey: new Uint8Array([1]), ciphertext: new Uint8Array([2]) };
    const again = (allow_duplicate: boolean, user_id = user) =>
      world.stores.links.receive({
        token_hash: tokenHash,
        user_id,
        application_id: 'default',
        publicToken: sealed,
        institution_id: null,
        accounts: [],
        main_account_id: null,
        allow_duplicate,
      });
    await world.run.finishLink({ tokenHash, outcome: { kind: 'duplicate', item_id: item.itemId } });
    expect((await again(false))?.state).toBe('finished');
    expect(await again(true, newUser())).toBeNull();
    expect(await again(true)).toMatchObject({ state: 'received', outcome: null, allow_duplicate: true });
    expect(await world.stores.links.beginExchange(tokenHash)).toMatchObject({ publicToken: { keyId: 'k' } });
    expect((await again(true))?.state).toBe('exchanging');
  });

  it('is received anew unasked once the Item that it is one of is removed, or about to be', async () => {
    const user = newUser();
    const { item } = await link(user);
    const accounts = [{ name: 'Checking', mask: '0000', type: 'depository', subtype: 'checking' }];
    const more = { institution_id: 'ins_1', accounts };
    const { tokenHash, item: next } = await world.receive(user, more);
    const { duplicateOf } = await world.run.guardLink({ tokenHash });
    const outcome = { kind: 'duplicate' as const, item_id: String(duplicateOf) };
    await world.run.finishLink({ tokenHash, outcome });
    const row = await world.stores.links.get(tokenHash);
    const [token = ''] = [...world.plaid.linkable].find(([, its]) => its === next) ?? [];
    const publicToken = await world.secrets.seal(token, secretContext.publicToken(tokenHash));
    const again = () => world.stores.links.receive({ ...more, ...row!, publicToken, allow_duplicate: false });
    expect(await again()).toMatchObject({ state: 'finished', outcome });
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    expect(await again()).toMatchObject({ state: 'received', outcome: null, allow_duplicate: false });
    await world.run.finishLink({ tokenHash, outcome });
    await world.run.removeItem({ itemId: item.itemId });
    expect(await again()).toMatchObject({ state: 'received', outcome: null });
    expect(await world.run.guardLink({ tokenHash })).toEqual({ duplicateOf: null });
    expect((await world.run.exchangePublicToken({ tokenHash })).kind).toBe('exchanged');
  });

  it('is not received anew where the Item was exchanged and removed at Plaid', async () => {
    const user = newUser();
    const { item } = await link(user);
    const second = await link(user);
    await world.run.discardItem({ tokenHash: second.tokenHash });
    const outcome = { kind: 'duplicate' as const, item_id: item.itemId };
    await world.run.finishLink({ tokenHash: second.tokenHash, outcome });
    const row = await world.stores.links.receive({
      token_hash: second.tokenHash,
      user_id: user,
      application_id: 'default',
      publicToken: { keyId: 'k', dataKey: new Uint8Array([1]), ciphertext: new Uint8Array([2]) },
      institution_id: null,
      accounts: [],
      main_account_id: null,
      allow_duplicate: true,
    });
    expect(row).toMatchObject({ state: 'finished', outcome });
  });
});

describe('an application that sees only what it is connected with', () => {
  const metadata = [{ name: 'Checking', mask: '0000', type: 'depository', subtype: 'checking' }];
  let applications = 0;
  async function newApplication(): Promise<Partial<NewLink>> {
    const application_id = `app-${(applications += 1)}`;
    await world.sql`
      INSERT INTO applications (application_id, name, access) VALUES (${application_id}, 'x', 'connected')`;
    return { application_id, connection: grantByDefault(['transactions']) };
  }
  const connections = (itemId: string) => world.sql`
    SELECT application_id FROM connections WHERE item_id = ${itemId} AND revoked_at IS NULL ORDER BY created_at`;

  it.each([
    ['USER_PERMISSION_REVOKED', true],
    ['ITEM_NOT_FOUND', false],
    ['ITEM_LOGIN_REQUIRED', false],
  ] as const)(
    'goes on, after %s, with the Item that another one links anew: suspended where the user has taken the permission back, though nobody has heard of it before',
    async (code, suspended) => {
      const user = newUser();
      const [linker, other] = [await newApplication(), await newApplication()];
      const { item } = await link(user, { more: linker });
      const joining = await world.receive(user, { institution_id: 'ins_1', accounts: metadata, ...other });
      await world.run.guardLink({ tokenHash: joining.tokenHash });
      const next = await world.receive(user, linker);
      await world.run.exchangePublicToken({ tokenHash: next.tokenHash });
      const run = refusing(item, ['getItem', 'getAccounts'], code);
      expect(await run.admitItem({ tokenHash: next.tokenHash })).toMatchObject({ replaced: [item.itemId] });
      const rows = await world.sql`
        SELECT application_id, suspended_at IS NOT NULL AS suspended FROM connections
        WHERE item_id = ${next.item.itemId} ORDER BY created_at`;
      expect([...rows]).toEqual([
        { application_id: linker.application_id, suspended: false },
        { application_id: other.application_id, suspended },
      ]);
    },
  );

  it('joins by Link’s metadata: nothing is exchanged, nothing of the bank is asked for, and a repeat finds it done', async () => {
    const user = newUser();
    const { item } = await link(user, { more: await newApplication() });
    const more = await newApplication();
    const { tokenHash } = await world.receive(user, { institution_id: 'ins_1', accounts: metadata, ...more });
    const before = [...world.plaid.calls];
    world.signals.length = 0;
    expect(await world.run.guardLink({ tokenHash })).toEqual({ duplicateOf: null, ended: true });
    expect(world.plaid.calls.slice(before.length)).toEqual(['getItem']);
    const after = await world.dump();
    expect(await world.run.guardLink({ tokenHash })).toEqual({ duplicateOf: null, ended: true });
    expect(await world.dump()).toEqual(after);
    expect((await world.run.loadLink({ tokenHash })).outcome).toMatchObject({
      item_id: item.itemId,
      joined: true,
    });
    // Its workflow reads the row, and finds nothing to be done.
    expect(world.signals).toEqual(Array(2).fill({ itemId: item.itemId, signal: 'foundDue' }));
    expect([...(await connections(item.itemId))]).toHaveLength(2);
    const again = await world.receive(user, { institution_id: 'ins_1', accounts: metadata, ...more });
    expect(await world.run.guardLink({ tokenHash: again.tokenHash })).toEqual({ duplicateOf: item.itemId });
  });

  it('joins after the exchange, and the Item that was made for it is removed at Plaid', async () => {
    const user = newUser();
    const { item } = await link(user, { more: await newApplication() });
    const second = await link(user, { more: await newApplication() });
    expect(second.admitted).toMatchObject({ kind: 'joined', itemId: item.itemId });
    const after = await world.dump();
    expect(await world.run.admitItem({ tokenHash: second.tokenHash })).toEqual(second.admitted);
    expect(await world.dump()).toEqual(after);
    for (let time = 0; time < 2; time += 1) await world.run.discardItem({ tokenHash: second.tokenHash });
    expect([second.item.removed, item.removed]).toEqual([true, false]);
    expect([...(await connections(item.itemId))]).toHaveLength(2);
  });

  it('is not joined with an Item whose accounts are only called the same, nor kept out by it', async () => {
    const user = newUser();
    const names = ['Checking', 'Savings'];
    const { item } = await link(user, { accounts: maskless('hers', ...names), more: await newApplication() });
    const mine = await newApplication();
    const accounts = names.map((name) => ({ name, mask: null, type: 'depository', subtype: 'checking' }));
    const his = await link(user, { accounts: maskless('his', ...names), more: { ...mine, accounts } });
    expect([his.duplicateOf, his.admitted]).toMatchObject([null, { kind: 'admitted', replaced: [] }]);
    expect([...(await connections(item.itemId))]).toHaveLength(1);
    const again = await link(user, { accounts: maskless('again', ...names), more: mine });
    expect(again.admitted).toEqual({ kind: 'duplicate', itemId: his.item.itemId });
  });

  it('is not joined with an Item that is broken: the new one takes its place', async () => {
    const user = newUser();
    const more = await newApplication();
    const { item } = await link(user, { more });
    item.error = broken;
    const { tokenHash } = await world.receive(user, {
      ...{ institution_id: 'ins_1', accounts: metadata },
      ...(await newApplication()),
    });
    expect(await world.run.guardLink({ tokenHash })).toEqual({ duplicateOf: null });
    const second = await link(user, { more: await newApplication() });
    expect(second.admitted).toMatchObject({ kind: 'admitted', replaced: [item.itemId] });
    // Who was connected with the old one is connected with the new one.
    expect([...(await connections(second.item.itemId))]).toHaveLength(2);
  });
});

describe('an exchanged Item whose accounts are known by the word of its application alone', () => {
  const metadata = [
    { name: 'Checking', mask: '0000', type: 'depository', subtype: 'checking' },
    { name: 'A guess', mask: '1111', type: 'depository', subtype: 'savings' },
  ];
  async function newApplication(name: string): Promise<Partial<NewLink>> {
    const application_id = `${name}-${newUser()}`;
    await world.sql`
      INSERT INTO applications (application_id, name, access) VALUES (${application_id}, 'x', 'connected')`;
    return { application_id, connection: grantByDefault(['transactions']) };
  }
  const connected = (itemId: string) => world.sql`
    SELECT application_id FROM connections WHERE item_id = ${itemId} AND revoked_at IS NULL`;
  /** Another Item of the user, and a link with it that says which accounts it has. */
  async function told(more: Partial<NewLink>, isBroken = false) {
    const user = newUser();
    const hers = await newApplication('hers');
    const { item: other } = await link(user, { more: hers });
    if (isBroken) other.error = broken;
    const next = await world.receive(user, { institution_id: 'ins_1', accounts: metadata, ...hers, ...more });
    await world.run.exchangePublicToken({ tokenHash: next.tokenHash });
    return { ...next, user, other };
  }

  it.each([false, true])(
    'neither joins nor replaces one that the application does not see (broken: %s)',
    async (isBroken) => {
      const { tokenHash, item, other } = await told(await newApplication('his'), isBroken);
      const before = await connected(other.itemId);
      const lasting = refusing(item, ['getItem', 'getAccounts'], 'ITEM_LOGIN_REQUIRED');
      const plaid = { error_code: 'ITEM_LOGIN_REQUIRED' };
      for (let time = 0; time < 2; time += 1)
        expect(await lasting.admitItem({ tokenHash })).toMatchObject({ kind: 'gone', plaid });
      expect([await toRemove(other), await connected(other.itemId)]).toEqual([false, before]);
      await world.run.finishLink({ tokenHash, outcome: { kind: 'refused', plaid: null } });
      await world.run.discardItem({ tokenHash });
      expect([item.removed, other.removed]).toEqual([true, false]);
    },
  );

  it('waits for Plaid’s, for however long that is silent', async () => {
    const { tokenHash, item, other } = await told(await newApplication('his'));
    const silent = refusing(item, ['getAccounts'], 'INTERNAL_SERVER_ERROR');
    await hasWaited(tokenHash, '20 s');
    await expect(silent.admitItem({ tokenHash })).rejects.toThrow();
    expect(await connected(other.itemId)).toHaveLength(1);
    item.accounts = [];
    await expect(world.run.admitItem({ tokenHash })).rejects.toThrow();
    item.accounts = [account('b', { name: 'Another', mask: '2222' })];
    expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted', replaced: [] });
    expect(await connected(other.itemId)).toHaveLength(1);
  });

  it('is a duplicate of one that the application sees, and replaces that where it is broken', async () => {
    for (const isBroken of [false, true]) {
      const { tokenHash, item, other } = await told({}, isBroken);
      const run = refusing(item, ['getAccounts'], 'NO_ACCOUNTS');
      expect(await run.admitItem({ tokenHash })).toMatchObject(
        isBroken
          ? { kind: 'admitted', replaced: [other.itemId] }
          : { kind: 'duplicate', itemId: other.itemId },
      );
    }
  });
});

describe('connections that end', () => {
  it('by time, and Items that nobody is connected with, are told to their workflows, twice at once too', async () => {
    const user = newUser();
    const application_id = 'app-ending';
    await world.sql`
      INSERT INTO applications (application_id, name, access) VALUES (${application_id}, 'x', 'connected')`;
    const { item } = await link(user, { more: { application_id, connection: grantByDefault([]) } });
    await world.sql`UPDATE connections SET expires_at = now() - interval '1 s' WHERE item_id = ${item.itemId}`;
    world.signals.length = 0;
    const ends = await Promise.all([world.run.endConnections(), world.run.endConnections()]);
    expect(ends.map(({ ended }) => ended).sort()).toEqual([0, 1]);
    expect(world.signals).toEqual([{ itemId: item.itemId, signal: 'foundDue' }]);
    const after = await world.dump();
    expect(await world.run.endConnections()).toEqual({ ended: 0, expiring: 0, removed: 0, kept: 0 });
    expect(await world.dump()).toEqual(after);

    await world.sql`UPDATE items SET unconnected_since = now() - interval '8 days' WHERE item_id = ${item.itemId}`;
    const { floats } = world.stores;
    await floats.record({ userId: user, floatId: 'f', status: 'active', occurredAt: null, by: null });
    expect(await world.runWith({ itemGraceMs: 0 }).endConnections()).toMatchObject({ removed: 0, kept: 0 });
    expect(await world.run.endConnections()).toMatchObject({ removed: 0, kept: 1 });
    const [alert] = await world.sql`SELECT item_id FROM alerts WHERE kind = 'removal_waits_for_float'`;
    expect(alert).toEqual({ item_id: item.itemId });
    await floats.record({ userId: user, floatId: 'f', status: 'closed', occurredAt: null, by: null });
    world.signals.length = 0;
    expect(await world.run.endConnections()).toMatchObject({ removed: 1, kept: 0 });
    expect(await world.run.endConnections()).toMatchObject({ removed: 0, kept: 0 });
    expect(world.signals).toEqual([{ itemId: item.itemId, signal: 'removalRequested' }]);
    await world.run.removeItem({ itemId: item.itemId });
    expect(item.removed).toBe(true);
  });

  it('are told of where the database refuses another one, each time and for good', async () => {
    const [bad, owing, going] = [newUser(), newUser(), newUser()];
    const application_id = 'app-refused';
    await world.sql`
      INSERT INTO applications (application_id, name, access) VALUES (${application_id}, 'x', 'connected')`;
    const more = { application_id, connection: grantByDefault([]) };
    const [refused, owes, goes] = [
      (await link(bad, { more })).item,
      (await link(owing, { more })).item,
      (await link(going, { more })).item,
    ];
    const own = [refused, owes, goes].map(({ itemId }) => itemId);
    await world.sql`UPDATE connections SET expires_at = now() - interval '9 days' WHERE item_id = ANY(${own})`;
    await world.run.endConnections();
    await world.sql`UPDATE items SET unconnected_since = now() - interval '8 days' WHERE item_id = ANY(${own})`;
    const { floats } = world.stores;
    await floats.record({ userId: owing, floatId: 'f', status: 'active', occurredAt: null, by: null });
    world.signals.length = 0;
    const rows = `NEW.item_id = '${refused.itemId}'`;
    await whileRefused(world.sql, { statements: ['UPDATE ON items'], rows }, async () => {
      await expect(world.run.endConnections()).rejects.toMatchObject({ type: 'BAD_REQUEST' });
      await expect(world.run.endConnections()).rejects.toMatchObject({ type: 'BAD_REQUEST' });
    });
    const alerts = await world.sql<{ item_id: string }[]>`
      SELECT item_id FROM alerts WHERE kind = 'removal_waits_for_float' AND item_id = ANY(${own})`;
    expect(alerts.map(({ item_id }) => item_id)).toEqual([owes.itemId]);
    expect(world.signals).toEqual([{ itemId: goes.itemId, signal: 'removalRequested' }]);
  });
});

describe('a bank that got another id', () => {
  const renamed = (old: string, now: string) => {
    world.directory.all = [institution(now)];
    const get = world.directory.get.bind(world.directory);
    world.directory.get = (id) => get(id === old ? now : id);
    return () => {
      world.directory.get = get;
    };
  };

  it('is known by both: the same accounts are a duplicate, and a broken old Item is replaced', async () => {
    const user = newUser();
    const { item } = await link(user, { bank: 'ins_3' });
    const end = renamed('ins_3', 'ins_56');
    const again = await link(user, { bank: 'ins_56' });
    expect(again.admitted).toEqual({ kind: 'duplicate', itemId: item.itemId });
    end();
    // It is remembered: Plaid is not asked for it again.
    world.directory.asked.length = 0;
    item.error = broken;
    const next = await link(user, { bank: 'ins_56' });
    expect(next.admitted).toMatchObject({ kind: 'admitted', replaced: [item.itemId] });
    expect(world.directory.asked).toEqual([]);
  });

  it('is found by the scheduled look at its status, over more than one change, either way round', async () => {
    const user = newUser();
    const { item } = await link(user, { bank: 'ins_c' });
    for (const [old, now] of [
      ['ins_a', 'ins_b'],
      ['ins_b', 'ins_c'],
    ] as const) {
      await world.stores.institutions.save(old, await world.stores.institutions.now(), institution(now));
    }
    expect((await link(user, { bank: 'ins_a' })).admitted).toEqual({
      kind: 'duplicate',
      itemId: item.itemId,
    });
    expect((await link(user, { bank: 'ins_d' })).admitted.kind).toBe('admitted');
  });

  it('is not assumed: the same accounts at another bank, or when Plaid cannot tell, are linked', async () => {
    const user = newUser();
    await link(user, { bank: 'ins_7' });
    world.directory.all = [institution('ins_7')];
    expect((await link(user, { bank: 'ins_8' })).admitted.kind).toBe('admitted');
    world.directory.asked.length = 0;
    expect(
      (await link(user, { bank: 'ins_9', accounts: [account('x', { mask: '9999' })] })).admitted.kind,
    ).toBe('admitted');
    // Nothing looks the same: there is nothing to be asked.
    expect(world.directory.asked).toEqual([]);
  });
});

describe('a bank that Plaid does not tell at once', () => {
  const unplaced = async (user: string) => {
    const { tokenHash, item } = await world.receive(user);
    item.institution_id = null;
    await world.run.exchangePublicToken({ tokenHash });
    expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted' });
    item.institution_id = 'ins_late';
    return item;
  };
  const bankOf = async ({ itemId }: FakeItem) => {
    const [row] = await world.sql`
      SELECT institution_id, institution_name FROM items WHERE item_id = ${itemId}`;
    return row;
  };

  it('is asked for by the next link of the same accounts: that is a duplicate', async () => {
    const user = newUser();
    const item = await unplaced(user);
    const again = await link(user, { bank: 'ins_late' });
    expect(again.admitted).toEqual({ kind: 'duplicate', itemId: item.itemId });
    expect(await bankOf(item)).toEqual({ institution_id: 'ins_late', institution_name: 'ins_late' });
  });

  it('is asked for twice of a new Item', async () => {
    const user = newUser();
    const { item } = await link(user);
    const { tokenHash, item: next } = await world.receive(user);
    next.institution_id = null;
    await world.run.exchangePublicToken({ tokenHash });
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getItem: async (token: string) => {
        const view = await world.plaid.getItem(token);
        next.institution_id = 'ins_1';
        return view;
      },
    });
    expect(await world.runWith({ plaid }).admitItem({ tokenHash })).toEqual({
      kind: 'duplicate',
      itemId: item.itemId,
    });
  });

  it('is taken over by every look at the Item, and so is another id; what Plaid leaves out stays', async () => {
    const item = await unplaced(newUser());
    const { itemId } = item;
    await world.run.checkStaleness({ itemId });
    expect(await bankOf(item)).toEqual({ institution_id: 'ins_late', institution_name: 'ins_late' });
    item.institution_id = 'ins_moved';
    item.error = broken;
    await world.run.checkItem({ itemId });
    expect(await bankOf(item)).toMatchObject({ institution_id: 'ins_moved' });
    item.institution_id = null;
    item.error = null;
    item.page('', 'c1', {});
    await world.run.checkItem({ itemId });
    expect(await bankOf(item)).toEqual({ institution_id: 'ins_moved', institution_name: 'ins_moved' });
    // A look that is older than what was learned since changes nothing.
    const credentials = await world.stores.items.credentials(itemId, { forRemoval: false });
    if (credentials === null) throw new Error('no credentials');
    await world.run.checkItem({ itemId });
    await world.stores.items.noteConsent(itemId, credentials.seen, {
      expiresAt: null,
      isConnected: true,
      institution: { id: 'ins_old', name: null },
    });
    expect(await bankOf(item)).toMatchObject({ institution_id: 'ins_moved' });
  });
});

describe('linking anew with fewer accounts', () => {
  const checking = account('old-1', { mask: '0001' });
  const savings = account('old-2', { mask: '0002', name: 'Savings', subtype: 'savings' });
  const card = account('old-3', { mask: '0003', name: 'Card', type: 'credit', subtype: 'credit card' });

  it('names the accounts that end with the replaced Item, also when the answer is asked for again', async () => {
    const user = newUser();
    const old = await link(user, { accounts: [checking, savings, card] });
    await mine(old.item);
    old.item.error = broken;
    const fresh = { ...checking, account_id: 'new-1' };
    const { tokenHash, admitted, item } = await link(user, { accounts: [fresh] });
    const expected = {
      kind: 'admitted',
      replaced: [old.item.itemId],
      dropped: ['old-2', 'old-3'],
      warnings: ['accounts_dropped'],
    };
    expect(admitted).toEqual(expected);
    await world.run.removeItem({ itemId: old.item.itemId });
    expect(await world.run.admitItem({ tokenHash })).toEqual(expected);
    item.removed = true;
    expect(await world.run.admitItem({ tokenHash })).toEqual(expected);
  });

  it('warns of nothing when all of them are there, whatever else is new', async () => {
    const user = newUser();
    const old = await link(user, { accounts: [checking, savings] });
    await mine(old.item);
    old.item.error = broken;
    const all = [savings, checking, card].map((one) => ({ ...one, account_id: `new-${one.account_id}` }));
    expect((await link(user, { accounts: all })).admitted).toMatchObject({ dropped: [], warnings: [] });
  });
});

describe('an Item whose workflow takes no signal any more', () => {
  const refusals = (itemId: string) =>
    world.sql`SELECT detail FROM alerts WHERE kind = 'signal_refused' AND item_id = ${itemId}`;
  const deaf = (itemId: string, signalled: string[], type: 'ORCHESTRATOR_REFUSED' | 'ORCHESTRATOR_DOWN') =>
    world.runWith({
      gateway: {
        ...world.gateway,
        async signalItem(to) {
          if (to === itemId) throw new Failure(type, 'its history is full');
          signalled.push(to);
        },
      },
    });

  it('keeps no link from its end: what was asked for stands in its row, and operators are told', async () => {
    const signalled: string[] = [];
    const input = { tokenHash: 'no link', itemId: 'new', userId: newUser(), replaced: ['deaf', 'old'] };
    await deaf('deaf', signalled, 'ORCHESTRATOR_REFUSED').startItem(input);
    await deaf('new', signalled, 'ORCHESTRATOR_REFUSED').startItem(input);
    expect(signalled).toEqual(['new', 'old', 'deaf', 'old']);
    expect([...(await refusals('deaf')), ...(await refusals('new'))]).toEqual(
      Array(2).fill({ detail: { kinds: ['link'] } }),
    );
    await expect(deaf('old', signalled, 'ORCHESTRATOR_DOWN').startItem(input)).rejects.toThrow();
    expect(world.unexpected.splice(0)).toHaveLength(2);
  });

  it('is joined all the same', async () => {
    const user = newUser();
    const newApplication = async (): Promise<Partial<NewLink>> => {
      const application_id = `app-${newUser()}`;
      await world.sql`
        INSERT INTO applications (application_id, name, access) VALUES (${application_id}, 'x', 'connected')`;
      return { application_id, connection: grantByDefault(['transactions']) };
    };
    const { item } = await link(user, { more: await newApplication() });
    const { tokenHash } = await world.receive(user, await newApplication());
    await world.run.exchangePublicToken({ tokenHash });
    const joined = { kind: 'joined', itemId: item.itemId };
    expect(await deaf(item.itemId, [], 'ORCHESTRATOR_REFUSED').admitItem({ tokenHash })).toMatchObject(
      joined,
    );
    expect(await refusals(item.itemId)).toHaveLength(1);
    expect(world.unexpected.splice(0)).toHaveLength(1);
  });
});

describe('a link that has joined an Item and lost that connection before its answer', () => {
  it('ends, and the Item that it had made is removed at Plaid', async () => {
    const { tokenHash, item } = await world.receive(newUser());
    await world.run.exchangePublicToken({ tokenHash });
    // As it stands after a killed worker: joined, and what it was joined with is gone since.
    await world.sql`
      UPDATE items SET removal_requested_at = clock_timestamp(), replaced_by = 'another' WHERE item_id = ${item.itemId}`;
    const gone = { kind: 'gone', plaid: null };
    expect(await world.run.admitItem({ tokenHash })).toEqual(gone);
    const refused = { kind: 'refused', plaid: null } as const;
    expect(await world.run.finishLink({ tokenHash, outcome: refused })).toEqual(refused);
    await world.run.discardItem({ tokenHash });
    expect(item.removed).toBe(true);
  });
});

describe('an older Item that the bank has revoked', () => {
  it.each(['guardLink', 'admitItem'] as const)(
    'is joined by nobody where one answer calls it healthy (%s)',
    async (step) => {
      const user = newUser();
      const joiner = `joiner-${user}`;
      await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${joiner}, 'joiner', 'connected')`;
      const { item: old } = await link(user);
      old.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
      await world.run.checkItem({ itemId: old.itemId });
      const [offered = account('a')] = old.accounts;
      const { tokenHash, item } = await world.receive(user, {
        application_id: joiner,
        connection: grantByDefault(['transactions']),
        ...(step === 'guardLink'
          ? { institution_id: 'ins_1', accounts: [{ ...offered, id: offered.account_id }] }
          : {}),
      });
      item.accounts = old.accounts;
      if (step === 'admitItem') await world.run.exchangePublicToken({ tokenHash });
      const { plaid } = world;
      let odd = true;
      const run = world.runWith({
        plaid: Object.assign(Object.create(plaid) as PlaidPort, {
          getItem: async (token: string) => {
            const view = await plaid.getItem(token);
            if (token !== old.accessToken || !odd) return view;
            odd = false;
            return { ...view, error: null };
          },
          getAccounts: (token: string) =>
            token === old.accessToken
              ? Promise.reject(new Failure('PERMISSION_REVOKED', 'no'))
              : plaid.getAccounts(token),
        }),
      });
      if (step === 'guardLink') expect(await run.guardLink({ tokenHash })).toEqual({ duplicateOf: null });
      else {
        await expect(run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
        expect(await run.admitItem({ tokenHash })).toMatchObject({
          kind: 'admitted',
          replaced: [old.itemId],
        });
      }
      expect(odd).toBe(false);
      const joined = await world.sql`
      SELECT FROM connections WHERE item_id = ${old.itemId} AND application_id = ${joiner}`;
      expect(joined).toHaveLength(0);
    },
  );
});

describe('an older Item of which Plaid does not say how it is', () => {
  it.each([
    ['USER_PERMISSION_REVOKED', true],
    ['ITEM_LOGIN_REQUIRED', false],
  ])('is joined as its row has it: %s', async (error_code, isSuspended) => {
    const user = newUser();
    const joiner = `joiner-${user}`;
    await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${joiner}, 'joiner', 'connected')`;
    const { item: old } = await link(user);
    old.error = { error_type: 'ITEM_ERROR', error_code };
    await world.run.checkItem({ itemId: old.itemId });
    const connection = grantByDefault(['transactions']);
    const { tokenHash, item } = await world.receive(user, { application_id: joiner, connection });
    item.accounts = old.accounts;
    await world.run.exchangePublicToken({ tokenHash });
    const { plaid } = world;
    const run = world.runWith({
      plaid: Object.assign(Object.create(plaid) as PlaidPort, {
        getItem: (token: string) =>
          token === old.accessToken
            ? Promise.reject(new Failure('UPSTREAM_DOWN', 'no'))
            : plaid.getItem(token),
      }),
    });
    await hasWaited(tokenHash, '20 s');
    expect(await run.admitItem({ tokenHash })).toMatchObject({ kind: 'joined', itemId: old.itemId });
    const connections = await world.sql`
      SELECT suspended_at IS NOT NULL AS suspended FROM connections
      WHERE item_id = ${old.itemId} AND application_id = ${joiner}`;
    expect([...connections]).toEqual([{ suspended: isSuspended }]);
  });
});

describe('a link by a public token of update mode', () => {
  /** Its Item lives, and is exchanged for a second time. */
  async function updated(user: string, more: Partial<NewLink> = {}) {
    const item = await world.linkedItem(user);
    const { tokenHash, item: unused } = await world.receive(user, more);
    for (const [token, its] of world.plaid.linkable)
      if (its === unused) world.plaid.linkable.set(token, item);
    expect(await world.run.exchangePublicToken({ tokenHash })).toMatchObject({ kind: 'exchanged' });
    return { tokenHash, item };
  }
  const linked = (item: FakeItem): LinkOutcome => ({
    kind: 'linked',
    item_id: item.itemId,
    replaces: null,
    warnings: [],
  });
  const statuses = async ({ itemId }: FakeItem, application: string): Promise<unknown[]> => {
    const rows = await world.sql`
      SELECT CASE WHEN expires_at <= clock_timestamp() THEN 'expired' WHEN suspended_at IS NULL THEN 'active' ELSE 'suspended' END AS status
      FROM connections WHERE item_id = ${itemId} AND application_id = ${application} AND revoked_at IS NULL`;
    return rows.map(({ status }) => status as unknown);
  };
  const admitted = { kind: 'admitted', replaced: [], warnings: [] };

  it('ends as linked when its Item is removed before it is admitted, at any moment', async () => {
    const { tokenHash, item } = await updated(newUser());
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    expect(await world.run.admitItem({ tokenHash })).toMatchObject(admitted);
    const { stores } = world;
    // The removal ends between the two questions of one attempt.
    const run = world.runWith({
      links: {
        ...stores.links,
        admit: async (admission) => {
          await world.run.removeItem({ itemId: item.itemId });
          return stores.links.admit(admission);
        },
      },
    });
    expect(await run.admitItem({ tokenHash })).toMatchObject(admitted);
    expect(await world.run.admitItem({ tokenHash })).toMatchObject(admitted);
    expect(await world.run.finishLink({ tokenHash, outcome: linked(item) })).toEqual(linked(item));
  });

  it('tells its Item that the user has been through update mode, and a new one that it is linked', async () => {
    const { tokenHash, item } = await updated(newUser());
    const told = async (hash: string, itemId: string): Promise<string[]> => {
      const answer = await world.run.admitItem({ tokenHash: hash });
      if (answer.kind !== 'admitted') throw new Error(answer.kind);
      const { replaced, updated: visited } = answer;
      const before = world.signals.length;
      await world.run.startItem({
        ...{ tokenHash: hash, itemId, userId: 'user', replaced },
        ...(visited === undefined ? {} : { updated: visited }),
      });
      return world.signals.slice(before).map(({ signal }) => signal);
    };
    expect(await told(tokenHash, item.itemId)).toEqual(['relinked']);
    const fresh = await world.receive(newUser());
    await world.run.exchangePublicToken({ tokenHash: fresh.tokenHash });
    for (let time = 0; time < 2; time += 1)
      expect(await told(fresh.tokenHash, fresh.item.itemId)).toEqual(['linked']);
  });

  it.each([
    ['all along', 'suspended'],
    ['since Plaid was asked', 'suspended'],
    ['as its accounts say', 'suspended'],
    ['no more', 'active'],
  ])('of an Item that the bank has revoked (%s) leaves its application %s', async (when, expected) => {
    const application = `joiner-${newUser()}`;
    await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${application}, 'joiner', 'connected')`;
    const connection = grantByDefault(['transactions']);
    const { tokenHash, item } = await updated(newUser(), { application_id: application, connection });
    const revoke = async () => {
      item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
      await world.run.checkItem({ itemId: item.itemId });
    };
    if (when !== 'since Plaid was asked') await revoke();
    if (when === 'no more' || when === 'as its accounts say') item.error = null;
    const { plaid } = world;
    const run = world.runWith({
      plaid: Object.assign(Object.create(plaid) as PlaidPort, {
        getAccounts: async (token: string) => {
          if (when === 'since Plaid was asked') await revoke();
          if (when !== 'as its accounts say') return plaid.getAccounts(token);
          throw new Failure('PERMISSION_REVOKED', 'no');
        },
      }),
    });
    if (when === 'since Plaid was asked') {
      await expect(run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    }
    expect(await run.admitItem({ tokenHash })).toMatchObject({ ...admitted, joined: true });
    expect(await statuses(item, application)).toEqual([expected]);
  });

  it.each(['relinked', 'consent', 'nothing', 'its connection was over'])(
    'of an Item that the bank gives once more suspends nobody for what its row has not heard (meanwhile: %s)',
    async (what) => {
      const application = `joiner-${newUser()}`;
      await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${application}, 'joiner', 'connected')`;
      const connection = grantByDefault(['transactions']);
      const { tokenHash, item } = await updated(newUser(), { application_id: application, connection });
      const { itemId } = item;
      if (what === 'its connection was over')
        await world.sql`
          INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts, created_at, expires_at)
          SELECT ${`con-${application}`}, ${application}, item_id, user_id, '{transactions}', true,
            clock_timestamp() - interval '2 hours', clock_timestamp() - interval '1 hour'
          FROM items WHERE item_id = ${itemId}`;
      item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
      await world.run.checkItem({ itemId });
      item.error = null;
      const { plaid, stores } = world;
      let asked = 0;
      const run = world.runWith({
        plaid: Object.assign(Object.create(plaid) as PlaidPort, {
          getAccounts: async (token: string) => {
            asked += 1;
            if (asked === 1 && what === 'relinked') await stores.itemCommands.noteRelinked(ourselves, itemId);
            if (asked === 1 && what === 'consent') {
              const { seen } = (await stores.items.credentials(itemId, { forRemoval: true })) ?? {};
              const consent = { expiresAt: '2030-05-05T00:00:00.000Z', isConnected: true };
              if (seen !== undefined) await stores.items.noteConsent(itemId, seen, consent);
            }
            return plaid.getAccounts(token);
          },
        }),
      });
      const first = run.admitItem({ tokenHash });
      if (what === 'relinked' || what === 'consent') {
        await expect(first).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      }
      await first.catch(() => undefined);
      expect(await run.admitItem({ tokenHash })).toMatchObject(admitted);
      expect(await statuses(item, application)).toEqual(['active']);
    },
  );

  it.each([
    ['lists none', 'PERMISSION_REVOKED'],
    ['PERMISSION_REVOKED', 'lists none'],
    ['NOT_READY', 'PERMISSION_REVOKED'],
    ['PERMISSION_REVOKED', 'LOGIN_REQUIRED'],
  ] as const)(
    'suspends nobody while its accounts are revoked by one answer alone (%s, %s)',
    async (...says) => {
      const application = `joiner-${newUser()}`;
      await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${application}, 'joiner', 'connected')`;
      const connection = grantByDefault(['transactions']);
      const { tokenHash, item } = await updated(newUser(), { application_id: application, connection });
      let asked = 0;
      const run = world.runWith({
        plaid: Object.assign(Object.create(world.plaid) as PlaidPort, {
          getAccounts: async () => {
            const said = says[asked % 2] ?? 'lists none';
            asked += 1;
            if (said === 'lists none') return [];
            throw new Failure(said, 'no');
          },
        }),
      });
      await expect(run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      expect(await statuses(item, application)).toEqual([]);
      await hasWaited(tokenHash, '20 s');
      expect(await run.admitItem({ tokenHash })).toMatchObject({ ...admitted, joined: true });
      expect(await statuses(item, application)).toEqual(['active']);
    },
  );

  it('holds up no erasure of its user', async () => {
    const user = newUser();
    const { tokenHash, item } = await updated(user);
    const erasureId = `era-${user}`;
    const by = { erasureId, force: true, applicationId: 'default', keyId: 'key' };
    await world.stores.erasures.request(user, by);
    await world.run.removeItem({ itemId: item.itemId });
    expect(await world.run.stopUser({ erasureId })).toEqual({ items: 0, links: 1 });
    expect(await world.run.admitItem({ tokenHash })).toMatchObject(admitted);
    await world.run.finishLink({ tokenHash, outcome: linked(item) });
    expect(await world.run.stopUser({ erasureId })).toEqual({ items: 0, links: 0 });
  });

  // Many links at once would hold every connection of a worker.
  it('waits not long while an operator holds the row that says it is stuck, and ends afterwards', async () => {
    const { tokenHash, item } = await updated(newUser());
    await world.sql`
      INSERT INTO alerts (kind, key, detail) SELECT 'link_stuck', token_hash, '{}'
      FROM links WHERE item_id = ${item.itemId}`;
    const refused = { type: 'UPSTREAM_DOWN', message: expect.stringContaining('55P03') as unknown };
    await world.sql.begin(async (tx) => {
      await tx`
        DELETE FROM alerts WHERE kind = 'link_stuck'
          AND key IN (SELECT token_hash FROM links WHERE item_id = ${item.itemId})`;
      await expect(world.stores.links.raiseStuck(tokenHash, 0, {})).rejects.toMatchObject(refused);
      await expect(world.run.finishLink({ tokenHash, outcome: linked(item) })).rejects.toMatchObject(refused);
      await expect(world.stores.links.discardItem(item.itemId)).rejects.toMatchObject(refused);
    });
    expect(await world.run.finishLink({ tokenHash, outcome: linked(item) })).toEqual(linked(item));
  });

  it('may end as refused, too, once its Item is removed, and is told when no end fits for long', async () => {
    const { tokenHash, item } = await updated(newUser());
    const outcome = { kind: 'refused', plaid: null } as const;
    await hasWaited(tokenHash, '11 minutes');
    const alerts = () => world.sql`SELECT FROM alerts WHERE kind = 'link_stuck' AND key = ${tokenHash}`;
    await expect(world.run.finishLink({ tokenHash, outcome })).rejects.toThrow();
    expect(await alerts()).toHaveLength(1);
    await world.stores.items.finishRemoval(item.itemId);
    expect(await world.run.finishLink({ tokenHash, outcome })).toEqual(outcome);
    expect(await alerts()).toHaveLength(0);
    // The answer of that end was lost, and it is told once more that the link is stuck.
    await world.sql`INSERT INTO alerts (kind, key, detail) VALUES ('link_stuck', ${tokenHash}, '{}')`;
    expect(await world.run.finishLink({ tokenHash, outcome })).toEqual(outcome);
    expect(await alerts()).toHaveLength(0);
  });
});
