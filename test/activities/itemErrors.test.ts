import type { MinePageInput } from '../../activities/transactions.js';
import { wholeGrant } from '../../domain/exchange/connection.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import { Failure } from '../../domain/failures.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import { randomUUID } from 'node:crypto';
import type { FakeItem } from './fakePlaid.js';
import { account, transaction } from './fakePlaid.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import { shownItem } from '../drizzle/world.js';

/** What each kind of Plaid's errors makes of an Item, from the activities down to the rows. */
let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world.close());
afterEach(() => {
  for (const method of ['getItem', 'syncTransactions', 'getAccounts', 'getNumbers'] as const)
    world.plaid.refuse(method, null);
});

const dueAt = { complete: '2026-11-22T00:00:00.000Z', incomplete: '2026-11-21T00:00:00.000Z' };
const later = '2999-01-01T00:00:00.000Z';
const mine = (item: FakeItem, updateId: string, more: Partial<MinePageInput> = {}) =>
  world.run.minePage({ itemId: item.itemId, updateId, page: 0, dueAt, ...more });
const check = ({ itemId }: FakeItem) => world.run.checkItem({ itemId });

async function rowOf({ itemId }: FakeItem) {
  const [row] = await world.sql<
    { error_code: string | null; error_by_call: boolean; episode: number; consent: Date | null }[]
  >`
    SELECT error_code, error_by_call, error_episode AS episode, consent_expires_at AS consent
    FROM items WHERE item_id = ${itemId}`;
  if (row === undefined) throw new Error('no such row');
  return row;
}

async function toldOf({ itemId }: FakeItem): Promise<string[]> {
  const rows = await world.sql<{ event: string }[]>`
    SELECT event FROM segment_events WHERE item_id = ${itemId} ORDER BY created_at, message_id`;
  return rows.map(({ event }) => event);
}

async function alertsOf(kind: string): Promise<string[]> {
  const rows = await world.sql<{ key: string }[]>`SELECT key FROM alerts WHERE kind = ${kind} ORDER BY key`;
  return rows.map(({ key }) => key);
}

async function webhook({ itemId }: FakeItem, webhook_code: string, more: object = {}): Promise<string> {
  const body = Buffer.from(
    JSON.stringify({ webhook_type: 'ITEM', webhook_code, item_id: itemId, nonce: randomUUID(), ...more }),
  );
  const stored = await world.stores.webhooks.store({
    headers: {},
    body,
    verdict: 'accepted',
    source: 'plaid',
    reason: null,
    webhook_type: 'ITEM',
    webhook_code,
    item_id: itemId,
    kind: 'item',
    removed_ids: [],
  });
  return stored.webhookId;
}

async function outcomeOf(webhookId: string): Promise<[string, string | null]> {
  const [row] = await world.sql<[{ outcome: string; reason: string | null }]>`
    SELECT outcome, reason FROM webhooks WHERE webhook_id = ${webhookId}`;
  return [row.outcome, row.reason];
}

async function withAccounts(): Promise<FakeItem> {
  const item = await world.linkedItem();
  item.accounts = [account('account-1'), account('account-2')];
  item.page('', 'c1', { accounts: item.accounts });
  item.page('c1', 'c1', {});
  expect(await mine(item, 'u0')).toMatchObject({ kind: 'applied' });
  return item;
}

/** The id of a connection of an application with the Item. */
async function connected({ itemId }: FakeItem): Promise<string> {
  const applicationId = `app-${randomUUID()}`;
  await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${applicationId}, ${applicationId}, 'connected')`;
  const actor = { initiator: 'operator', applicationId: null, keyId: null, reason: null } as const;
  const granted = await world.stores.connections.grant(
    { itemId, applicationId, effectId: randomUUID() },
    wholeGrant,
    actor,
  );
  if (granted.kind !== 'done') throw new Error(granted.kind);
  return granted.connection.connection_id;
}

/** As an update ends that is refused again and again, while `/item/get` calls the Item healthy. */
async function believed(item: FakeItem, updateId: string): Promise<void> {
  expect(await mine(item, updateId)).toMatchObject({ kind: 'doubted' });
  expect(await mine(item, updateId, { believe: true })).toMatchObject({ kind: 'needsUser' });
}

describe("an outage of the Item's bank in item.error", () => {
  const outages = [
    ['INSTITUTION_ERROR', 'INSTITUTION_DOWN'],
    ['INSTITUTION_ERROR', 'INSTITUTION_NOT_RESPONDING'],
    ['INSTITUTION_ERROR', 'INSTITUTION_NOT_AVAILABLE'],
    ['INSTITUTION_ERROR', 'A_CODE_OF_TOMORROW'],
    ['ITEM_ERROR', 'ANOTHER_CODE_OF_TOMORROW'],
    ['API_ERROR', 'INTERNAL_SERVER_ERROR'],
    ['ITEM_ERROR', 'PRODUCT_NOT_READY'],
    ['ITEM_ERROR', 'PRODUCTS_NOT_SUPPORTED'],
  ] as const;

  it.each(outages)('%s/%s begins no episode and tells nobody', async (error_type, error_code) => {
    const item = await withAccounts();
    item.error = { error_type, error_code };
    const hook = await webhook(item, 'ERROR', { error: item.error });
    // An update shows what it meets, and goes on trying: nothing else would be due before the time-out of an Item that is well.
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({
      health: 'healthy',
      updateDue: true,
    });
    expect(await outcomeOf(hook)).toEqual(['ignored', 'item_is_healthy']);
    // Neither does an update that is refused meanwhile.
    world.plaid.refuse('syncTransactions', 'ITEM_LOGIN_REQUIRED');
    expect(await mine(item, 'u1')).toMatchObject({ kind: 'doubted' });
    world.plaid.refuse('syncTransactions', null);
    expect(await check(item)).toEqual({ result: 'healthy' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
    expect(await toldOf(item)).toEqual([]);
  });

  it('ends no episode either: nobody can tell', async () => {
    const item = await withAccounts();
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    expect(await check(item)).toEqual({ result: 'broken' });
    item.error = { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_DOWN' };
    world.plaid.refuse('syncTransactions', 'INSTITUTION_DOWN', 'INSTITUTION_ERROR');
    await expect(check(item)).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    const hook = await webhook(item, 'LOGIN_REPAIRED');
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({ health: 'unsure' });
    expect(await outcomeOf(hook)).toEqual(['ignored', 'item_is_broken']);
    expect(await rowOf(item)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED', episode: 1 });
    world.plaid.refuse('syncTransactions', null);
    // The products work: so does the login.
    expect(await check(item)).toEqual({ result: 'healthy' });
    expect(await toldOf(item)).toEqual(['item errored', 'item repaired']);
  });

  it('is told to operators where the code is not known, once a code', async () => {
    const item = await withAccounts();
    item.error = { error_type: 'ITEM_ERROR', error_code: 'A_THIRD_CODE_OF_TOMORROW' };
    await check(item);
    await check(item);
    world.plaid.refuse('syncTransactions', 'A_FOURTH_CODE', 'INVALID_INPUT');
    await expect(mine(item, 'u1')).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    world.plaid.refuse('syncTransactions', null);
    expect(await alertsOf('plaid_code_unknown')).toEqual(
      expect.arrayContaining(['A_THIRD_CODE_OF_TOMORROW', 'A_FOURTH_CODE']),
    );
    expect(await alertsOf('plaid_code_unknown')).not.toContain('INSTITUTION_DOWN');
  });

  it('makes no Item give way to a new link of its accounts', async () => {
    const user = `user-${randomUUID()}`;
    const item = await world.linkedItem(user);
    for (const error_code of ['INSTITUTION_DOWN', 'INSTITUTION_NO_LONGER_SUPPORTED']) {
      item.error = { error_type: 'INSTITUTION_ERROR', error_code };
      const next = await world.receive(user);
      await world.run.exchangePublicToken({ tokenHash: next.tokenHash });
      const admitted = await world.run.admitItem({ tokenHash: next.tokenHash });
      expect([error_code, admitted]).toEqual([error_code, { kind: 'duplicate', itemId: item.itemId }]);
    }
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    const next = await world.receive(user);
    await world.run.exchangePublicToken({ tokenHash: next.tokenHash });
    expect(await world.run.admitItem({ tokenHash: next.tokenHash })).toMatchObject({
      kind: 'admitted',
      replaced: [item.itemId],
    });
  });
});

describe('an update that is refused for want of the user while /item/get does not answer', () => {
  it.each([
    ['INTERNAL_SERVER_ERROR', 'API_ERROR'],
    ['INVALID_ACCESS_TOKEN', 'INVALID_INPUT'],
    ['RATE_LIMIT', 'RATE_LIMIT_EXCEEDED'],
  ])('has failed for that want, which is what is shown, and begins no episode (%s)', async (code, type) => {
    const item = await withAccounts();
    world.plaid.refuse('syncTransactions', 'ITEM_LOGIN_REQUIRED');
    world.plaid.refuse('getItem', code, type);
    for (const believe of [false, true])
      await expect(mine(item, 'u1', { believe })).rejects.toMatchObject({
        type: 'LOGIN_REQUIRED',
        nonRetryable: true,
        details: [{ error_code: 'ITEM_LOGIN_REQUIRED' }],
      });
    world.plaid.refuse('getItem', null);
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
    expect(await mine(item, 'u1', { believe: true })).toMatchObject({ kind: 'needsUser' });
  });
});

describe('a word of a repair that /item/get does not confirm', () => {
  it('is told to the workflow, so that it asks again soon', async () => {
    const item = await withAccounts();
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await webhook(item, 'ERROR');
    const settle = () => world.run.settleItemWebhooks({ itemId: item.itemId });
    expect(await settle()).not.toHaveProperty('repairSaid');
    await webhook(item, 'LOGIN_REPAIRED');
    expect(await settle()).toMatchObject({ health: 'broken', repairSaid: true });
    item.error = null;
    await webhook(item, 'LOGIN_REPAIRED');
    expect(await settle()).not.toHaveProperty('repairSaid');
  });
});

describe('a bank that Plaid has given up', () => {
  it('is an error of its own, told once, without update mode', async () => {
    const item = await withAccounts();
    const error = { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_NO_LONGER_SUPPORTED' };
    item.error = error;
    await webhook(item, 'ERROR', { error });
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({ health: 'broken' });
    for (let time = 0; time < 3; time += 1) expect(await check(item)).toEqual({ result: 'broken' });
    expect(await toldOf(item)).toEqual(['item errored']);
    const shown = await shownItem(world, item.itemId);
    expect(shown).toMatchObject({ status: 'ERROR', error: { ...error, update_mode: false } });
    const user = shown?.user_id ?? '';
    expect(await world.stores.reads.pickForUpdateMode(ourselves, user, item.itemId)).toBeNull();
    expect(await world.stores.reads.pickForUpdateMode(ourselves, user, null)).toBeNull();
  });

  it('is seen when a product call alone tells of it', async () => {
    const item = await withAccounts();
    world.plaid.refuse('syncTransactions', 'INSTITUTION_NO_LONGER_SUPPORTED', 'INSTITUTION_ERROR');
    await believed(item, 'u1');
    expect(await check(item)).toMatchObject({ result: 'unsure' });
    world.plaid.refuse('syncTransactions', null);
    expect(await rowOf(item)).toMatchObject({
      error_code: 'INSTITUTION_NO_LONGER_SUPPORTED',
      error_by_call: true,
      episode: 1,
    });
  });
});

describe.each([
  'ADDITIONAL_CONSENT_REQUIRED',
  'ACCESS_NOT_GRANTED',
  'PRODUCT_PERMISSIONS_REQUIRED',
  'NO_ACCOUNTS',
])('an update that is refused with %s while /item/get calls the Item healthy', (code) => {
  it('begins one episode with that code, which ends when the products work, and not before', async () => {
    const item = await withAccounts();
    world.plaid.refuse('syncTransactions', code);
    await believed(item, 'u1');
    expect(await rowOf(item)).toMatchObject({ error_code: code, error_by_call: true, episode: 1 });
    expect(await check(item)).toMatchObject({ result: 'unsure' });
    // Neither a word of a repair nor an outage of the product ends it.
    await webhook(item, 'LOGIN_REPAIRED');
    const settled = await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect(settled).toMatchObject({ health: 'unsure' });
    world.plaid.refuse('syncTransactions', 'INTERNAL_SERVER_ERROR', 'API_ERROR');
    await expect(check(item)).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    await webhook(item, 'LOGIN_REPAIRED');
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({ health: 'unsure' });
    expect(await rowOf(item)).toMatchObject({ error_code: code, episode: 1 });
    expect(await toldOf(item)).toEqual(['item errored']);
    const view = await shownItem(world, item.itemId);
    expect(view?.error).toMatchObject({ error_code: code, update_mode: true });
    const pick = await world.stores.reads.pickForUpdateMode(ourselves, view?.user_id ?? '', item.itemId);
    expect(pick).toMatchObject({ itemId: item.itemId, asksConsent: code !== 'NO_ACCOUNTS' });
    // It is back.
    world.plaid.refuse('syncTransactions', null);
    await webhook(item, 'LOGIN_REPAIRED');
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({ health: 'healthy' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, error_by_call: false, episode: 1 });
    expect(await toldOf(item)).toEqual(['item errored', 'item repaired']);
  });
});

describe('an episode of /accounts/get while Plaid takes the cursor no more', () => {
  const cursorRefusals = [
    ['INVALID_FIELD', 'INVALID_REQUEST'],
    ['TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION', 'TRANSACTIONS_ERROR'],
    ['TRANSACTIONS_SYNC_CURSOR_EXPIRED', 'TRANSACTIONS_ERROR'],
  ] as const;

  async function broken(): Promise<FakeItem> {
    const item = await withAccounts();
    world.plaid.refuse('getAccounts', 'NO_ACCOUNTS');
    await believed(item, 'u1');
    return item;
  }

  it.each(cursorRefusals)('is not ended by that (%s)', async (code, type) => {
    const item = await broken();
    world.plaid.refuse('syncTransactions', code, type);
    expect(await check(item)).toMatchObject({ result: 'unsure' });
    expect(await toldOf(item)).toEqual(['item errored']);
  });

  it.each(cursorRefusals)('ends when the accounts are there (%s)', async (code, type) => {
    const item = await broken();
    world.plaid.refuse('getAccounts', null);
    world.plaid.refuse('syncTransactions', code, type);
    expect(await check(item)).toMatchObject({ result: 'healthy' });
  });

  it('is one of /transactions/sync where that is refused from the start', async () => {
    const item = await broken();
    world.plaid.refuse('getAccounts', null);
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      syncTransactions: async (_token: string, cursor: string) => {
        if (cursor === '') throw new Failure('LOGIN_REQUIRED', 'as the test wants it');
        throw new Failure('BAD_REQUEST', 'a cursor that Plaid does not take');
      },
    });
    const run = world.runWith({ plaid });
    expect(await run.checkItem({ itemId: item.itemId })).toMatchObject({ result: 'unsure' });
  });
});

describe('a webhook of a revocation', () => {
  it.each([
    ['that the database does not take', 'USER_\ud800'],
    ['without an end', 'x'.repeat(50_000)],
    ['of another error', 'ITEM_LOGIN_REQUIRED'],
  ])('with a code %s withholds the Item, and holds up no other', async (_, error_code) => {
    const item = await withAccounts();
    world.plaid.refuse('getItem', 'USER_PERMISSION_REVOKED');
    const error = { error_type: '\udc00', error_code };
    const ids = [
      await webhook(item, 'USER_PERMISSION_REVOKED', { error }),
      await webhook(item, 'NEW_ACCOUNTS_AVAILABLE'),
    ];
    while ((await world.run.settleItemWebhooks({ itemId: item.itemId })).more);
    for (const id of ids) expect(await outcomeOf(id)).toEqual(['done', null]);
    expect(await rowOf(item)).toMatchObject({ error_code: 'USER_PERMISSION_REVOKED' });
    const [told] = await world.sql<{ properties: unknown }[]>`
      SELECT properties FROM segment_events WHERE item_id = ${item.itemId}`;
    expect(told?.properties).toMatchObject({
      error_type: 'ITEM_ERROR',
      error_code: 'USER_PERMISSION_REVOKED',
    });
  });
});

describe('an Item that /item/get calls broken while Plaid serves what it has, and whose webhook is lost', () => {
  const codes = ['INSTITUTION_NO_LONGER_SUPPORTED', 'ITEM_LOGIN_REQUIRED', 'USER_PERMISSION_REVOKED'];
  const ways: [string, (item: FakeItem, code: string) => Promise<unknown>][] = [
    ['a login', ({ itemId }) => world.run.checkStaleness({ itemId })],
    [
      'the reading of its numbers',
      async ({ itemId }, code) => {
        world.plaid.refuse('getNumbers', code);
        await expect(world.run.saveNumbers({ itemId })).rejects.toThrow();
      },
    ],
    [
      'the look-up of a named removal',
      async ({ itemId }, code) => {
        await world.stores.webhooks.store({
          ...{ headers: {}, body: Buffer.from('{}'), verdict: 'accepted', source: 'plaid', reason: null },
          ...{ webhook_type: 'TRANSACTIONS', webhook_code: 'TRANSACTIONS_REMOVED', item_id: itemId },
          ...{ kind: 'removals', removed_ids: ['t1'] },
        });
        world.plaid.refuse('getTransactions', code);
        await expect(world.run.settleRemovals({ itemId })).rejects.toThrow();
        world.plaid.refuse('getTransactions', null);
      },
    ],
    [
      'the time-out of a quiet Item',
      async (item) => {
        await world.sql`
          UPDATE items SET last_update_at = last_update_at - interval '25 hours' WHERE item_id = ${item.itemId}`;
        expect(await mine(item, 'u2')).toMatchObject({ kind: 'needsUser' });
      },
    ],
    [
      'a day of polls that bring nothing',
      async (item) => {
        expect(await mine(item, 'u2', { polls: 24 })).toMatchObject({ kind: 'needsUser' });
      },
    ],
    [
      'some of the tries of a page that fails',
      async (item) => {
        expect(await mine(item, 'u2', { failures: 16 })).toMatchObject({ kind: 'needsUser' });
      },
    ],
  ];

  it.each(ways.flatMap(([name, ask]) => codes.map((code) => [name, code, ask] as const)))(
    'is found by %s (%s), and checked at once',
    async (_name, code, ask) => {
      const item = await withAccounts();
      item.page('c1', 'c2', { added: [transaction('t1')] });
      item.page('c2', 'c2', {});
      await mine(item, 'u1');
      item.error = { error_type: 'ITEM_ERROR', error_code: code };
      await ask(item, code);
      expect(await rowOf(item)).toMatchObject({ error_code: code, error_by_call: false, episode: 1 });
      const snapshot = await world.stores.items.snapshot(item.itemId);
      expect(snapshot?.nextDueAt).toBeLessThanOrEqual(Date.now());
      expect(await toldOf(item)).toEqual(['item errored']);
    },
  );

  it('is left alone by a task that is refused while /item/get calls it healthy, or does not answer', async () => {
    const item = await withAccounts();
    const { itemId } = item;
    world.plaid.refuse('getNumbers', 'ITEM_LOGIN_REQUIRED');
    await expect(world.run.saveNumbers({ itemId })).rejects.toMatchObject({ type: 'LOGIN_REQUIRED' });
    world.plaid.refuse('getItem', 'INTERNAL_SERVER_ERROR', 'API_ERROR');
    await expect(world.run.saveNumbers({ itemId })).rejects.toMatchObject({ type: 'LOGIN_REQUIRED' });
    await world.sql`UPDATE items SET last_update_at = last_update_at - interval '25 hours' WHERE item_id = ${itemId}`;
    expect(await mine(item, 'u2')).toMatchObject({ kind: 'applied' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
  });

  it('is asked after by the first try of an update alone', async () => {
    const item = await withAccounts();
    const { itemId } = item;
    await world.sql`UPDATE items SET last_update_at = last_update_at - interval '25 hours' WHERE item_id = ${itemId}`;
    const before = world.plaid.count('getItem');
    world.plaid.failNext('syncTransactions', new Failure('UPSTREAM_DOWN', 'Plaid is down'));
    await expect(mine(item, 'u2')).rejects.toThrow();
    world.attempt = 2;
    expect(await mine(item, 'u2')).toMatchObject({ kind: 'applied' });
    world.attempt = 1;
    expect(world.plaid.count('getItem') - before).toBe(1);
  });

  it('is asked after by no update of an Item that was updated of late', async () => {
    const item = await withAccounts();
    const before = world.plaid.count('getItem');
    await mine(item, 'u2');
    expect(world.plaid.count('getItem')).toBe(before);
  });
});

describe('an Item without accounts', () => {
  it.each(['syncTransactions', 'getAccounts'] as const)(
    'is closed account by account, with its events, once: refused by %s',
    async (method) => {
      const item = await withAccounts();
      world.plaid.refuse(method, 'NO_ACCOUNTS');
      // A single refusal closes nothing.
      expect(await mine(item, 'u1')).toMatchObject({ kind: 'doubted' });
      const open = async () =>
        (
          await world.sql<{ status: string }[]>`
          SELECT DISTINCT status FROM accounts WHERE item_id = ${item.itemId}`
        ).map(({ status }) => status);
      expect(await open()).toEqual(['open']);
      expect(await mine(item, 'u1', { believe: true })).toMatchObject({ kind: 'needsUser' });
      expect(await open()).toEqual(['closed']);
      for (let time = 0; time < 3; time += 1) expect(await check(item)).toMatchObject({ result: 'unsure' });
      const events = await world.sql<{ subject: string; removed: boolean; sequence: string }[]>`
        SELECT subject, removed, sequence FROM outbox
        WHERE item_id = ${item.itemId} AND record = 'account' ORDER BY sequence`;
      expect(events.map(({ subject, removed }) => [subject, removed])).toEqual([
        ['account-1', false],
        ['account-2', false],
        ['account-1', true],
        ['account-2', true],
      ]);
      expect(events.map(({ sequence }) => Number(sequence))).toEqual([1, 2, 3, 4]);
      await world.run.publish({ itemId: item.itemId });
      expect((await world.stores.items.snapshot(item.itemId))?.due).not.toContain('publish');
      // The user shares one again: it is open again, and told so.
      world.plaid.refuse(method, null);
      expect(await check(item)).toEqual({ result: 'healthy' });
      expect(await mine(item, 'u2')).toMatchObject({ kind: 'applied', outcome: { accounts: 2 } });
      expect(await open()).toEqual(['open']);
      expect(await toldOf(item)).toEqual(['item errored', 'item repaired']);
    },
  );
});

describe('an answer of /item/get that would take something away', () => {
  const looks: [string, (item: FakeItem) => Promise<unknown>][] = [
    ['a check', check],
    ['a login', ({ itemId }) => world.run.checkStaleness({ itemId })],
    [
      'the time-out of a quiet Item',
      async (item) => {
        await world.sql`
          UPDATE items SET last_update_at = last_update_at - interval '25 hours' WHERE item_id = ${item.itemId}`;
        await mine(item, randomUUID());
      },
    ],
    [
      'a webhook',
      async (item) => {
        await webhook(item, 'ERROR');
        await world.run.settleItemWebhooks({ itemId: item.itemId });
      },
    ],
  ];
  const errors = [
    ['ITEM_ERROR', 'USER_PERMISSION_REVOKED'],
    ['ITEM_ERROR', 'NO_ACCOUNTS'],
    ['ITEM_ERROR', 'ITEM_NOT_FOUND'],
  ] as const;
  const cases = looks.flatMap(([name, look]) =>
    errors.flatMap(([type, code]) => {
      // What is no end of the Item itself /item/get names, and answers.
      const ways = code === 'NO_ACCOUNTS' ? (['named'] as const) : (['refused', 'named'] as const);
      return ways.map((how) => [name, code, how, type, look] as const);
    }),
  );

  it.each(cases)(
    'is believed when it is given twice: to %s (%s, %s)',
    async (_name, code, how, type, look) => {
      const item = await withAccounts();
      const connectionId = await connected(item);
      const state = async () => {
        const [row] = await world.sql<{ suspended: boolean; open: number }[]>`
        SELECT c.suspended_at IS NOT NULL AS suspended, (SELECT count(*)::int FROM accounts a
          WHERE a.item_id = c.item_id AND a.status = 'open') AS open
        FROM connections c WHERE c.connection_id = ${connectionId}`;
        return { ...row, error: (await rowOf(item)).error_code };
      };
      const says = (times: number): void => {
        let left = times;
        const whole = Object.getPrototypeOf(world.plaid) as typeof world.plaid;
        world.plaid.getItem = async (token) => {
          const view = await whole.getItem.call(world.plaid, token);
          left -= 1;
          if (left < 0) return view;
          const error = { error_type: type, error_code: code };
          if (how === 'named') return { ...view, error };
          throw failureOfAnswer(
            '/item/get',
            { status: 400, body: { ...error, request_id: 'r' }, retryAfter: undefined },
            0,
          );
        };
      };
      try {
        says(1);
        await look(item);
        expect(await state()).toEqual({ suspended: false, open: 2, error: null });
        expect(await toldOf(item)).toEqual([]);
        says(2);
        await look(item);
        expect(await state()).toEqual({
          suspended: code === 'USER_PERMISSION_REVOKED',
          open: code === 'NO_ACCOUNTS' ? 0 : 2,
          error: code,
        });
      } finally {
        delete (world.plaid as Partial<typeof world.plaid>).getItem;
      }
    },
  );
});

describe('a consent that ends at another time', () => {
  const renewed = '2027-05-01T00:00:00.000Z';

  it('is taken over by every look at the Item, null included', async () => {
    const item = await withAccounts();
    const taken = async (ask: () => Promise<unknown>): Promise<void> => {
      for (const expires of [renewed, null]) {
        item.consentExpires = expires;
        await ask();
        expect((await rowOf(item)).consent?.toISOString() ?? null).toBe(expires);
      }
    };
    // A check, with the Item healthy and broken.
    await taken(() => check(item));
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await taken(() => check(item));
    // An update that is refused.
    world.plaid.refuse('syncTransactions', 'ITEM_LOGIN_REQUIRED');
    let updates = 0;
    await taken(() => mine(item, `refused-${(updates += 1)}`, { believe: true }));
    world.plaid.refuse('syncTransactions', null);
    // Webhooks.
    await taken(async () => {
      await webhook(item, 'ERROR', { error: item.error });
      await world.run.settleItemWebhooks({ itemId: item.itemId });
    });
    item.error = null;
    await taken(async () => {
      await webhook(item, 'LOGIN_REPAIRED');
      // Older than the consent: what it says is no longer so.
      await webhook(item, 'PENDING_EXPIRATION', { consent_expiration_time: later });
      for (let more = true; more;) ({ more } = await world.run.settleItemWebhooks({ itemId: item.itemId }));
    });
    // One that does not say when.
    await taken(async () => {
      await webhook(item, 'PENDING_EXPIRATION', { consent_expiration_time: null });
      await world.run.settleItemWebhooks({ itemId: item.itemId });
    });
    // The user logs in.
    await taken(() => world.run.checkStaleness({ itemId: item.itemId }));
    // A refusal that /item/get does not bear out, of an update and of the numbers.
    world.plaid.refuse('syncTransactions', 'ITEM_LOGIN_REQUIRED');
    await taken(() => mine(item, `doubted-${(updates += 1)}`));
    world.plaid.refuse('syncTransactions', null);
    world.plaid.refuse('getNumbers', 'ITEM_LOGIN_REQUIRED');
    await taken(() => world.run.saveNumbers({ itemId: item.itemId }).catch(() => undefined));
    world.plaid.refuse('getNumbers', null);
    // The update of an Item that was quiet for a day.
    await taken(async () => {
      await world.sql`
        UPDATE items SET last_update_at = last_update_at - interval '25 hours' WHERE item_id = ${item.itemId}`;
      expect(await mine(item, `quiet-${(updates += 1)}`)).toMatchObject({ kind: 'applied' });
    });
  });

  it('is asked after by the next update once its time has come: it may have been renewed', async () => {
    const item = await withAccounts();
    item.consentExpires = '2026-01-01T00:00:00.000Z';
    await check(item);
    item.consentExpires = renewed;
    expect(await mine(item, 'after-its-time')).toMatchObject({ kind: 'applied' });
    expect((await rowOf(item)).consent?.toISOString()).toBe(renewed);
    const before = world.plaid.count('getItem');
    await mine(item, 'long-before-its-time');
    expect(world.plaid.count('getItem')).toBe(before);
  });

  it('is not taken from a look that is older than what was learned since', async () => {
    const item = await withAccounts();
    const credentials = await world.stores.items.credentials(item.itemId, { forRemoval: false });
    if (credentials === null) throw new Error('no credentials');
    item.consentExpires = renewed;
    await check(item);
    await world.stores.items.noteConsent(item.itemId, credentials.seen, {
      expiresAt: null,
      isConnected: true,
    });
    expect((await rowOf(item)).consent?.toISOString()).toBe(renewed);
  });
});

describe('a connection that its bank will end (PENDING_DISCONNECT)', () => {
  const ends = '2027-03-01T00:00:00.000Z';
  const shown = async ({ itemId }: FakeItem) => (await shownItem(world, itemId))?.consent_expires_at;
  const settle = async ({ itemId }: FakeItem): Promise<void> => {
    for (let more = true; more;) ({ more } = await world.run.settleItemWebhooks({ itemId }));
  };
  const announce = (item: FakeItem, disconnect_time = ends) =>
    webhook(item, 'PENDING_DISCONNECT', { reason: 'INSTITUTION_MIGRATION', disconnect_time });
  const announced = async (): Promise<FakeItem> => {
    const item = await withAccounts();
    await announce(item);
    await settle(item);
    expect(await shown(item)).toBe(ends);
    return item;
  };

  it('is shown whatever /item/get says of the consent, unless that ends before', async () => {
    const item = await announced();
    for (const [expires, seen] of [
      [null, ends],
      ['2027-05-01T00:00:00.000Z', ends],
      ['2027-02-01T00:00:00.000Z', '2027-02-01T00:00:00.000Z'],
      [null, ends],
    ] as const) {
      item.consentExpires = expires;
      await check(item);
      expect(await shown(item)).toBe(seen);
      await world.run.checkStaleness({ itemId: item.itemId });
      expect(await shown(item)).toBe(seen);
    }
  });

  it.each<[string, (item: FakeItem) => Promise<unknown>]>([
    [
      'the client says that the user was in update mode',
      ({ itemId }) => world.stores.itemCommands.noteRelinked(ourselves, itemId),
    ],
    [
      'an episode ends',
      async (item) => {
        item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
        await check(item);
        expect(await shown(item)).toBe(ends);
        item.error = null;
        await check(item);
      },
    ],
    [
      'Plaid tells of a repair of an Item that was healthy all along',
      async (item) => {
        await webhook(item, 'LOGIN_REPAIRED');
        await settle(item);
      },
    ],
    ['the Item is removed', ({ itemId }) => world.stores.items.finishRemoval(itemId)],
  ])('is so no more when %s', async (_name, end) => {
    const item = await announced();
    await end(item);
    expect(await shown(item)).toBeNull();
  });

  it('is so again when it is announced after the repair, and not by a replay', async () => {
    const item = await withAccounts();
    const first = await announce(item);
    await webhook(item, 'LOGIN_REPAIRED');
    await settle(item);
    expect(await shown(item)).toBeNull();
    await world.stores.webhooks.replay(ourselves, first, randomUUID());
    await settle(item);
    expect(await shown(item)).toBeNull();
    await webhook(item, 'LOGIN_REPAIRED');
    await announce(item);
    await settle(item);
    expect(await shown(item)).toBe(ends);
  });

  it('has not come true when /item/get calls the Item healthy after its time', async () => {
    const item = await withAccounts();
    const past = '2026-01-01T00:00:00.000Z';
    await announce(item, past);
    await settle(item);
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await world.run.checkStaleness({ itemId: item.itemId });
    expect(await shown(item)).toBe(past);
    item.error = null;
    await world.run.checkStaleness({ itemId: item.itemId });
    expect(await shown(item)).toBeNull();
  });

  it('has not come true when an Item is updated after its time, whatever nobody asks', async () => {
    const item = await withAccounts();
    await announce(item, '2026-01-01T00:00:00.000Z');
    await settle(item);
    expect(await mine(item, 'u1')).toMatchObject({ kind: 'applied' });
    expect(await shown(item)).toBeNull();
    await announce(item);
    await settle(item);
    expect(await mine(item, 'u2')).toMatchObject({ kind: 'applied' });
    expect(await shown(item)).toBe(ends);
  });
});

describe('a consent of which an operator replays an old word', () => {
  it('is what /item/get says now', async () => {
    const item = await withAccounts();
    const old = await webhook(item, 'PENDING_EXPIRATION', { consent_expiration_time: later });
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect((await rowOf(item)).consent?.toISOString()).toBe(later);
    const renewed = '2027-05-01T00:00:00.000Z';
    item.consentExpires = renewed;
    await check(item);
    await world.stores.webhooks.replay(ourselves, old, randomUUID());
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect((await rowOf(item)).consent?.toISOString()).toBe(renewed);
  });
});

describe('a login that has no transactions', () => {
  const balances = (current: number) => ({ ...account('account-1').balances, current });
  const shown = ({ itemId }: FakeItem) => shownItem(world, itemId);
  const balanceOf = async ({ itemId }: FakeItem) => {
    const [row] = await world.sql<[{ current: string }]>`
      SELECT refined->'balances'->>'current' AS current FROM accounts WHERE item_id = ${itemId} AND account_id = 'account-1'`;
    return row.current;
  };
  const dueOf = async ({ itemId }: FakeItem) => {
    const [row] = await world.sql<[{ due: Date; cursor: string }]>`
      SELECT next_due_at AS due, cursor FROM items WHERE item_id = ${itemId}`;
    return [row.due.toISOString(), row.cursor];
  };

  it.each([
    'PRODUCTS_NOT_SUPPORTED',
    'PRODUCT_NOT_ENABLED',
    'UNSUPPORTED_RESPONSE',
    'NO_INVESTMENT_ACCOUNTS',
  ])('has its accounts and balances kept up to date, says so, and is asked rarely (%s)', async (code) => {
    const item = await world.linkedItem();
    expect(await shown(item)).toMatchObject({ phase: 'created', transactions: 'available' });
    world.plaid.refuse('syncTransactions', code);
    const seen: { kind: string; transactionsUnavailable?: boolean }[] = [];
    for (const current of [110, 120]) {
      item.accounts = [account('account-1', { balances: balances(current) })];
      seen.push(await mine(item, `u${current}`));
      expect([await balanceOf(item), await dueOf(item)]).toEqual([String(current), [dueAt.complete, '']]);
      // An answer that was lost.
      expect(await mine(item, `u${current}`)).toMatchObject({
        kind: 'applied',
        transactionsUnavailable: true,
      });
    }
    expect(seen).toMatchObject([
      { kind: 'applied', transactionsUnavailable: true },
      { kind: 'applied', transactionsUnavailable: true },
    ]);
    const view = {
      status: 'ACTIVE',
      phase: 'idle',
      transactions: 'unavailable',
      history: 'none',
      error: null,
    };
    expect(await shown(item)).toMatchObject(view);
    expect(await world.stores.items.snapshot(item.itemId)).toMatchObject({
      hasCursor: false,
      transactionsUnavailable: true,
    });
    expect(await alertsOf('product_unavailable')).toContain(item.itemId);
    expect(await toldOf(item)).toEqual([]);
    // They are there, after all.
    world.plaid.refuse('syncTransactions', null);
    item.page('', 'c1', { added: [transaction('t1')] });
    expect(await mine(item, 'u3')).toMatchObject({
      kind: 'applied',
      outcome: { added: 1, history: 'complete' },
    });
    expect(await shown(item)).toMatchObject({ transactions: 'available', history: 'complete' });
    expect(await dueOf(item)).toEqual([dueAt.complete, 'c1']);
  });

  it('by one answer alone has some: nobody is told that the accounts are all, and its rows come at once', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('t1')] });
    world.plaid.failNext('syncTransactions', 'PRODUCT_UNAVAILABLE');
    expect(await mine(item, 'u1')).toMatchObject({ outcome: { added: 1, history: 'complete' } });
    expect(await shown(item)).toMatchObject({ transactions: 'available' });
    expect(await alertsOf('product_unavailable')).not.toContain(item.itemId);
  });

  it('is asked for them once an update where that is known', async () => {
    const item = await world.linkedItem();
    world.plaid.refuse('syncTransactions', 'PRODUCTS_NOT_SUPPORTED');
    const calls = async (updateId: string): Promise<number> => {
      const before = world.plaid.count('syncTransactions');
      expect(await mine(item, updateId)).toMatchObject({ transactionsUnavailable: true });
      return world.plaid.count('syncTransactions') - before;
    };
    expect([await calls('u1'), await calls('u2'), await calls('u3')]).toEqual([2, 1, 1]);
    world.plaid.refuse('syncTransactions', null);
  });

  it('and has given some before keeps them and its cursor, and is asked sooner', async () => {
    const item = await withAccounts();
    world.plaid.refuse('syncTransactions', 'PRODUCTS_NOT_SUPPORTED');
    item.accounts = [account('account-1', { balances: balances(77) })];
    expect(await mine(item, 'u1')).toMatchObject({ kind: 'applied', outcome: { removed: 0 } });
    expect([await balanceOf(item), await dueOf(item)]).toEqual(['77', [dueAt.incomplete, 'c1']]);
    expect(await shown(item)).toMatchObject({ transactions: 'unavailable', history: 'complete' });
    // A remine sets nothing to removed for it, and is still asked for: it has read nothing.
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    const remine = { itemId: item.itemId, updateId: 'r1', page: 0, dueAt, remine: true };
    expect(await world.run.minePage(remine)).toMatchObject({
      kind: 'applied',
      outcome: { removed: 0, unread: 'PRODUCT_UNAVAILABLE' },
    });
    expect(await dueOf(item)).toEqual([dueAt.incomplete, 'c1']);
    expect((await world.stores.items.snapshot(item.itemId))?.remineRequested).toBe(true);
  });

  it('in the middle of an update begins it again, and then has its accounts all the same', async () => {
    const item = await withAccounts();
    item.page('c1', 'c2', { has_more: true, added: [transaction('t9')] });
    const page = (updateId: string, number: number) =>
      world.run.minePage({ itemId: item.itemId, updateId, page: number, dueAt });
    expect(await page('u1', 0)).toMatchObject({ kind: 'staged' });
    world.plaid.refuse('syncTransactions', 'PRODUCTS_NOT_SUPPORTED');
    expect(await page('u1', 1)).toMatchObject({ kind: 'moved', atDurableCursor: false });
    expect(await page('u1.1', 0)).toMatchObject({ kind: 'applied', transactionsUnavailable: true });
    expect((await dueOf(item))[1]).toBe('c1');
  });

  it('and whose accounts want the user is broken until these work', async () => {
    const item = await world.linkedItem();
    world.plaid.refuse('syncTransactions', 'PRODUCTS_NOT_SUPPORTED');
    expect(await mine(item, 'u1')).toMatchObject({ kind: 'applied' });
    world.plaid.refuse('getAccounts', 'ACCESS_NOT_GRANTED');
    await believed(item, 'u2');
    for (let time = 0; time < 3; time += 1) expect(await check(item)).toMatchObject({ result: 'unsure' });
    expect(await toldOf(item)).toEqual(['item errored']);
    world.plaid.refuse('getAccounts', null);
    expect(await check(item)).toEqual({ result: 'healthy' });
    expect(await toldOf(item)).toEqual(['item errored', 'item repaired']);
  });
});

describe('what an operator alone can mend', () => {
  it('is told: transactions that there are none of once an Item, keys once a code', async () => {
    const before = await alertsOf('product_unavailable');
    const items = [await withAccounts(), await withAccounts()];
    for (const item of items) {
      world.plaid.refuse('syncTransactions', 'PRODUCTS_NOT_SUPPORTED');
      for (const update of ['u1', 'u1b']) expect(await mine(item, update)).toMatchObject({ kind: 'applied' });
      world.plaid.refuse('syncTransactions', 'INVALID_API_KEYS', 'INVALID_INPUT');
      await expect(mine(item, 'u2')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
      world.plaid.refuse('syncTransactions', null);
      expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
    }
    expect(await alertsOf('product_unavailable')).toEqual(
      [...before, ...items.map(({ itemId }) => itemId)].sort(),
    );
    expect(await alertsOf('plaid_misconfigured')).toEqual(['INVALID_API_KEYS']);
  });

  it.each(['UNAUTHORIZED_INSTITUTION', 'INSTITUTION_REGISTRATION_REQUIRED'])(
    'is told where /item/get alone names it (%s)',
    async (error_code) => {
      const item = await withAccounts();
      item.error = { error_type: 'INSTITUTION_ERROR', error_code };
      await webhook(item, 'ERROR', { error: item.error });
      await world.run.settleItemWebhooks({ itemId: item.itemId });
      expect(await alertsOf('plaid_misconfigured')).toContain(error_code);
      expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
    },
  );

  it('is told where Plaid gives no code: its base URL redirects, say', async () => {
    const item = await withAccounts();
    const answer = { status: 301, body: undefined, retryAfter: undefined };
    world.plaid.failNext('syncTransactions', failureOfAnswer('/transactions/sync', answer, 0));
    await expect(mine(item, 'u2')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
    expect(await alertsOf('plaid_misconfigured')).toContain('no_code');
    // A database that refuses us is another matter, of which its own words tell.
    await world.sql`DELETE FROM alerts WHERE key = 'no_code'`;
    const refusal = new Failure('MISCONFIGURED', 'the database refuses us', { retryable: true });
    world.plaid.failNext('syncTransactions', refusal);
    await expect(mine(item, 'u3')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
    expect(await alertsOf('plaid_misconfigured')).not.toContain('no_code');
  });

  it('is no moment in which the accounts are not ready, of an Item that is well without transactions', async () => {
    const item = await world.linkedItem();
    world.plaid.refuse('syncTransactions', 'PRODUCTS_NOT_SUPPORTED');
    const update = (updateId: string) =>
      world.run.minePage({
        itemId: item.itemId,
        updateId,
        page: 0,
        dueAt: { complete: later, incomplete: later },
      });
    expect(await update('u1')).toMatchObject({ kind: 'applied', transactionsUnavailable: true });
    await world.sql`
      UPDATE items SET admitted_at = admitted_at - interval '100 days' WHERE item_id = ${item.itemId}`;
    world.plaid.refuse('getAccounts', 'PRODUCT_NOT_READY');
    expect(await update('u2')).toMatchObject({ kind: 'notReady' });
    const stuck = `${item.itemId}/PRODUCT_NOT_READY`;
    expect(await alertsOf('update_stuck')).not.toContain(stuck);
    // A day after it was due it is.
    await world.sql`
      UPDATE items SET next_due_at = clock_timestamp() - interval '25 hours' WHERE item_id = ${item.itemId}`;
    expect(await update('u3')).toMatchObject({ kind: 'notReady' });
    expect(await alertsOf('update_stuck')).toContain(stuck);
  });

  it('keeps no numbers from an Item, and no Item from its numbers: consent for them alone is missing', async () => {
    const item = await withAccounts();
    world.plaid.refuse('getNumbers', 'ADDITIONAL_CONSENT_REQUIRED', 'INVALID_INPUT');
    expect(await world.run.saveNumbers({ itemId: item.itemId })).toEqual({ accounts: 0 });
    world.plaid.refuse('getNumbers', null);
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
  });
});
