import { ourselves } from '../../domain/exchange/viewer.js';
import { grantByDefault } from '../../domain/exchange/connection.js';
import { Failure } from '../../domain/failures.js';
import type { ActivityDeps } from '../../activities/deps.js';
import type { Activities } from '../../activities/index.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import { lockWaiters, webhook } from '../drizzle/world.js';
import { institution } from './fakeDirectory.js';
import type { FakeItem, FakePlaid } from './fakePlaid.js';
import { account, transaction } from './fakePlaid.js';
import { holdAnswer } from './heldPlaid.js';

/**
 * An attempt that Temporal has given up still runs: its worker was cut off with Plaid's answer in hand. Meanwhile another
 * worker does the work, newer facts come, and then the late attempt writes. Nothing newer may be lost by it.
 */
let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());
afterEach(() => expect(world.unexpected).toEqual([]));

const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
const dueAt = { complete: '2030-11-22T00:00:00.000Z', incomplete: '2030-11-21T00:00:00.000Z' };
const mine = (item: FakeItem, updateId: string, more: { page?: number; remine?: boolean } = {}) => ({
  itemId: item.itemId,
  updateId,
  page: more.page ?? 0,
  dueAt,
  ...(more.remine ? { remine: true } : {}),
});

/** An attempt with Plaid's answer in hand; `end` lets it come to its end, minutes too late. */
async function cutOff<T>(
  methods: (keyof FakePlaid)[],
  attempt: (run: Activities) => Promise<T>,
  more: Partial<ActivityDeps> = {},
): Promise<{ end: () => Promise<T> }> {
  const held = holdAnswer(world.plaid, methods);
  const running = attempt(world.runWith({ ...more, plaid: held.plaid }));
  await Promise.race([held.answered, running]);
  return {
    end() {
      held.release();
      return running;
    },
  };
}

async function minedItem(): Promise<FakeItem> {
  const item = await world.linkedItem();
  item.page('', 'c1', { added: [transaction('a'), transaction('b')] });
  expect(await world.run.minePage(mine(item, `${item.itemId}-u0`))).toMatchObject({ kind: 'applied' });
  return item;
}

const rowOf = async ({ itemId }: FakeItem) => {
  const [row] = await world.sql`
    SELECT cursor, error_code, error_episode AS episode, revoked_at IS NOT NULL AS revoked, update_started_at AS busy,
      next_due_at <= clock_timestamp() AS due, numbers_due_at IS NOT NULL AS "numbersDue", removed_at IS NOT NULL AS removed,
      removal_requested_at IS NOT NULL AS "toRemove", plaid_updated_at AS "plaidUpdatedAt",
      consent_expires_at AS "consentEnds", disconnects_at IS NOT NULL AS disconnects,
      new_accounts_available AS "newAccounts"
    FROM items WHERE item_id = ${itemId}`;
  return row ?? {};
};
const live = async ({ itemId }: FakeItem): Promise<string[]> => {
  const rows = await world.sql<{ row: string }[]>`
    SELECT transaction_id || ' ' || amount::float8 AS row FROM transactions
    WHERE item_id = ${itemId} AND status <> 'removed' ORDER BY 1`;
  return rows.map(({ row }) => row);
};
const gapless = async ({ itemId }: FakeItem): Promise<void> => {
  const rows = await world.sql<{ sequence: number }[]>`
    SELECT sequence FROM outbox WHERE item_id = ${itemId} ORDER BY sequence`;
  expect(rows.map((row) => Number(row.sequence))).toEqual(rows.map((_, n) => n + 1));
};
const staged = async ({ itemId }: FakeItem): Promise<number> =>
  (await world.sql`SELECT FROM staged_pages WHERE item_id = ${itemId}`).length;
const episodes = async ({ itemId }: FakeItem): Promise<string[]> => {
  const rows = await world.sql<{ event: string }[]>`
    SELECT event FROM segment_events WHERE item_id = ${itemId} ORDER BY created_at`;
  return rows.map(({ event }) => event);
};
async function told(item: FakeItem, body: Record<string, unknown>): Promise<string> {
  const stored = await world.stores.webhooks.store(webhook(item.itemId, String(body['webhook_code']), body));
  return stored.webhookId;
}
const errored = { webhook_type: 'ITEM', webhook_code: 'ERROR', error: { error_code: 'ITEM_LOGIN_REQUIRED' } };

/** Holds the Item's accounts, so that an update which is being applied waits in its midst. */
async function lockedAccounts({ itemId }: FakeItem): Promise<{ release: () => Promise<void> }> {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  let tell = (): void => undefined;
  const locked = new Promise<void>((resolve) => (tell = resolve));
  const holding = world.sql.begin(async (tx) => {
    await tx`SELECT FROM accounts WHERE item_id = ${itemId} FOR UPDATE`;
    tell();
    await gate;
  });
  await locked;
  return { release: async () => (release(), void (await holding)) };
}

describe('a late remine', () => {
  /** A remine is cut off with its answer in hand; another worker's ended; then an ordinary update brought news. */
  async function overtaken(pages: 'last' | 'first') {
    const item = await minedItem();
    const { itemCommands } = world.stores;
    await itemCommands.requestRemine(ourselves, item.itemId);
    const old = [transaction('a'), transaction('b')];
    if (pages === 'last') item.page('', 'c1', { added: old });
    else item.page('', 'r', { added: [transaction('a')], has_more: true });
    item.page('r', 'c1', { added: [transaction('b')] });
    const method = pages === 'last' ? ('getAccounts' as const) : ('syncTransactions' as const);
    const late = await cutOff([method], (run) => run.minePage(mine(item, 'r1', { remine: true })));
    item.page('', 'c1', { added: old });
    expect(await world.run.minePage(mine(item, 'r1.1', { remine: true }))).toMatchObject({ kind: 'applied' });
    item.page('c1', 'c2', {
      added: [transaction('c')],
      modified: [transaction('a', { amount: 9 })],
      removed: [{ transaction_id: 'b', account_id: 'account-1' }],
    });
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({ kind: 'applied' });
    return { item, late };
  }
  const newest = ['a 9', 'c 4.33'];

  it('does not apply over newer data', async () => {
    const { item, late } = await overtaken('last');
    expect(await late.end()).toMatchObject({ kind: 'gone' });
    expect(await live(item)).toEqual(newest);
    expect(await rowOf(item)).toMatchObject({ cursor: 'c2' });
    await gapless(item);
  });

  it('does not answer the request of another remine, which is open', async () => {
    const { item, late } = await overtaken('last');
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    expect(await late.end()).toMatchObject({ kind: 'gone' });
    expect(await live(item)).toEqual(newest);
    expect(await world.stores.items.snapshot(item.itemId)).toMatchObject({
      remineRequested: true,
      remines: 2,
    });
  });

  it('stages nothing, and the Item does not look busy', async () => {
    const { item, late } = await overtaken('first');
    expect(await late.end()).toMatchObject({ kind: 'gone' });
    expect([await staged(item), (await rowOf(item))['busy']]).toEqual([0, null]);
  });

  it('begins nothing that nobody asks for', async () => {
    const item = await minedItem();
    world.plaid.calls.length = 0;
    expect(await world.run.minePage(mine(item, 'r1', { remine: true }))).toMatchObject({ kind: 'gone' });
    expect(world.plaid.calls).toEqual([]);
  });

  it('whose request is open still gives way to an update that was applied meanwhile', async () => {
    const item = await minedItem();
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    const late = await cutOff(['getAccounts'], (run) => run.minePage(mine(item, 'r1', { remine: true })));
    item.page('c1', 'c2', { removed: [{ transaction_id: 'b', account_id: 'account-1' }] });
    await world.run.minePage(mine(item, 'u2'));
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    expect(await live(item)).toEqual(['a 4.33']);
    expect(await world.stores.items.snapshot(item.itemId)).toMatchObject({ remineRequested: true });
  });
});

describe('a late update', () => {
  it('does not put older accounts over newer ones where the cursor has not moved', async () => {
    const item = await minedItem();
    item.page('c1', 'c1', {});
    item.accounts = [account('account-1', { name: 'Before' })];
    const late = await cutOff(['getAccounts'], (run) => run.minePage(mine(item, 'u1')));
    item.accounts = [account('account-1', { name: 'Now' })];
    await world.run.minePage(mine(item, 'u2'));
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    const [row] = await world.sql`SELECT raw ->> 'name' AS name FROM accounts WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ name: 'Now' });
  });

  it('brings no row back that a look-up has found removed since', async () => {
    const item = await minedItem();
    item.page('c1', 'c2', { modified: [transaction('b', { amount: 7 })] });
    const late = await cutOff(['getAccounts'], (run) => run.minePage(mine(item, 'u1')));
    await told(item, {
      webhook_type: 'TRANSACTIONS',
      webhook_code: 'TRANSACTIONS_REMOVED',
      removed_transactions: ['b'],
    });
    item.listed = [transaction('a')];
    expect(await world.run.settleRemovals({ itemId: item.itemId })).toEqual({ changes: 1, more: false });
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    expect(await live(item)).toEqual(['a 4.33']);
  });

  it('stages no page beside the update that has taken its place, and drops none of it', async () => {
    const item = await minedItem();
    item.page('c1', 'c2', { added: [transaction('c')], has_more: true });
    item.page('c2', 'c3', { added: [transaction('d')], has_more: true });
    const late = await cutOff(['syncTransactions'], (run) => run.minePage(mine(item, 'u1')));
    item.page('c1', 'c4', { added: [transaction('c')] });
    await world.run.minePage(mine(item, 'u2'));
    item.page('c4', 'c5', { added: [transaction('e')], has_more: true });
    expect(await world.run.minePage(mine(item, 'u3'))).toMatchObject({ kind: 'staged' });
    const busy = (await rowOf(item))['busy'];
    expect(busy).not.toBeNull();
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    expect([await staged(item), (await rowOf(item))['busy']]).toEqual([1, busy]);
  });

  it('that drops its pages while they are being applied takes none of them away', async () => {
    const item = await minedItem();
    const { itemId } = item;
    item.page('c1', 'p1', { added: [transaction('c')], has_more: true });
    item.page('p1', 'p2', { added: [transaction('d')], has_more: true });
    item.page('p2', 'c2', { added: [transaction('e')] });
    await world.run.minePage(mine(item, 'u1'));
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    const late = await cutOff(['syncTransactions'], (run) => run.minePage(mine(item, 'u1', { page: 1 })));
    await world.run.minePage(mine(item, 'u1', { page: 1 }));
    // From here on the Item is broken, and not busy.
    await told(item, errored);
    item.error = loginRequired;
    await world.run.settleItemWebhooks({ itemId });
    const accounts = await lockedAccounts(item);
    const applying = world.run.minePage(mine(item, 'u1', { page: 2 }));
    await lockWaiters(world, 1);
    let isDropped = false;
    const dropping = late.end().finally(() => (isDropped = true));
    await lockWaiters(world, () => (isDropped ? 0 : 2));
    await accounts.release();
    expect(await dropping).toMatchObject({ kind: 'moved' });
    expect(await applying).toMatchObject({ kind: 'applied', outcome: { added: 3 } });
    expect(await live(item)).toEqual(['a 4.33', 'b 4.33', 'c 4.33', 'd 4.33', 'e 4.33']);
    await gapless(item);
  });

  it('leaves it told that there are new accounts, which was said after its question', async () => {
    const item = await minedItem();
    const { itemId } = item;
    const more = account('account-2', { mask: '2222', name: 'Second' });
    item.accounts = [account('account-1'), more];
    item.page('c1', 'c2', {});
    const late = await cutOff(['getAccounts'], (run) => run.minePage(mine(item, 'u1')));
    await told(item, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    await world.run.settleItemWebhooks({ itemId });
    expect(await late.end()).toMatchObject({ kind: 'applied', outcome: { accounts: 1 } });
    expect(await rowOf(item)).toMatchObject({ newAccounts: true });
  });

  it.each([
    ['of a healthy Item', null, false],
    ['in an episode that had begun before', loginRequired, false],
    ['and who was repaired since', null, true],
  ])('opens no account that Plaid has called gone since, %s', async (_name, before, isRepaired) => {
    const item = await minedItem();
    const { itemId } = item;
    item.error = before;
    await world.run.checkItem({ itemId });
    item.page('c1', 'c2', {});
    const late = await cutOff(['getAccounts'], (run) => run.minePage(mine(item, 'u1')));
    item.error = { error_type: 'ITEM_ERROR', error_code: 'NO_ACCOUNTS' };
    await world.run.checkItem({ itemId });
    if (isRepaired) {
      item.error = null;
      await world.run.checkItem({ itemId });
    }
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    expect(await world.sql`SELECT status FROM accounts WHERE item_id = ${itemId}`).toEqual([
      { status: 'closed' },
    ]);
    // Whoever asks now is heard.
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({ kind: 'applied' });
    expect(await world.sql`SELECT status FROM accounts WHERE item_id = ${itemId}`).toEqual([
      { status: 'open' },
    ]);
  });

  it('asks for no further page once another was applied', async () => {
    const item = await minedItem();
    item.page('c1', 'p', { added: [transaction('c')], has_more: true });
    const first = await world.run.minePage(mine(item, 'u1'));
    item.page('c1', 'c2', { added: [transaction('d')] });
    await world.run.minePage(mine(item, 'u2'));
    world.plaid.calls.length = 0;
    const second = await world.run.minePage(mine(item, 'u1', { page: 1 }));
    expect([first.kind, second.kind, world.plaid.calls]).toEqual(['staged', 'moved', []]);
  });

  it('does not break an Item of which Plaid has answered better since', async () => {
    const item = await minedItem();
    world.plaid.failNext('syncTransactions', 'LOGIN_REQUIRED');
    const late = await cutOff(['syncTransactions'], (run) =>
      run.minePage({ ...mine(item, 'u1'), believe: true }),
    );
    item.page('c1', 'c2', { added: [transaction('c')] });
    await world.run.minePage(mine(item, 'u2'));
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0, due: false });
    expect(await episodes(item)).toEqual([]);
  });

  it('does not break an Item that was repaired since', async () => {
    const item = await minedItem();
    world.plaid.failNext('syncTransactions', 'LOGIN_REQUIRED');
    const late = await cutOff(['syncTransactions'], (run) =>
      run.minePage({ ...mine(item, 'u1'), believe: true }),
    );
    item.error = loginRequired;
    await world.run.checkItem({ itemId: item.itemId });
    item.error = null;
    await world.run.checkItem({ itemId: item.itemId });
    expect(await late.end()).toMatchObject({ kind: 'moved' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 1 });
    expect(await episodes(item)).toEqual(['item errored', 'item repaired']);
  });

  it('that goes well on an Item which is called broken makes a look at it due at once', async () => {
    const item = await minedItem();
    item.error = loginRequired;
    for (let look = 0; look < 2; look += 1) await world.run.checkItem({ itemId: item.itemId });
    expect(await rowOf(item)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED', due: false });
    item.page('c1', 'c2', {});
    await world.run.minePage(mine(item, 'u1'));
    expect(await rowOf(item)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED', due: true });
  });
});

describe('a late look at the health of an Item', () => {
  const check = (item: FakeItem) => world.run.checkItem({ itemId: item.itemId });

  it('does not break one that was repaired since', async () => {
    const item = await world.linkedItem();
    item.error = loginRequired;
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId: item.itemId }));
    await check(item);
    item.error = null;
    await check(item);
    expect(await late.end()).toEqual({ result: 'healthy' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 1 });
    expect(await episodes(item)).toEqual(['item errored', 'item repaired']);
  });

  it('does not break one that was found healthy since, and was so before', async () => {
    const item = await world.linkedItem();
    item.error = loginRequired;
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId: item.itemId }));
    item.error = null;
    await check(item);
    expect(await late.end()).toEqual({ result: 'healthy' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
  });

  it('does not end an episode that began since', async () => {
    const item = await world.linkedItem();
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId: item.itemId }));
    item.error = loginRequired;
    await check(item);
    expect(await late.end()).toEqual({ result: 'broken' });
    expect(await rowOf(item)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED', episode: 1 });
    expect(await episodes(item)).toEqual(['item errored']);
  });

  it('does not break one whose user has been through update mode since', async () => {
    const item = await world.linkedItem();
    item.error = loginRequired;
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId: item.itemId }));
    item.error = null;
    await world.stores.itemCommands.noteRelinked(ourselves, item.itemId);
    expect(await late.end()).toEqual({ result: 'healthy' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
  });

  it('gives out no numbers of one whose user has taken the permission back since', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.error = loginRequired;
    await check(item);
    item.error = null;
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId }));
    await told(item, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    const revoked = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    // First without a question.
    const settling = await cutOff(['getItem'], (run) => run.settleItemWebhooks({ itemId }));
    await settling.end();
    expect(await rowOf(item)).toMatchObject({ revoked: true });
    item.error = revoked;
    await late.end();
    expect(await rowOf(item)).toMatchObject({ revoked: true });
  });

  it.each(['of the webhook before', 'of the end of an episode'])(
    'that comes %s gives out no numbers while another revocation waits',
    async (which) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      const revoke = () =>
        told(item, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
      if (which === 'of the end of an episode') {
        item.error = loginRequired;
        await check(item);
        item.error = null;
      }
      const first = await revoke();
      await world.run.settleItemWebhooks({ itemId });
      const late = await cutOff(['getItem'], async (run) =>
        which === 'of the webhook before' ? run.settleItemWebhooks({ itemId }) : run.checkItem({ itemId }),
      );
      await revoke();
      await late.end();
      expect(await rowOf(item)).toMatchObject({ error_code: null, revoked: true });
      while ((await world.run.settleItemWebhooks({ itemId })).more);
      expect(await rowOf(item)).toMatchObject({ revoked: false });
      expect((await world.stores.webhooks.get(ourselves, first))?.outcome.state).toBe('ignored');
    },
  );

  it('does not put an older end of the consent over that of a webhook', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId }));
    item.consentExpires = '2030-01-01T00:00:00Z';
    await told(item, {
      webhook_type: 'ITEM',
      webhook_code: 'PENDING_EXPIRATION',
      consent_expiration_time: item.consentExpires,
    });
    await world.run.settleItemWebhooks({ itemId });
    await late.end();
    expect(await rowOf(item)).toMatchObject({ consentEnds: new Date(item.consentExpires) });
  });

  it('does not put an older end of the consent, or an older bank, over those of a later look', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const late = await cutOff(['getItem'], (run) => run.checkStaleness({ itemId }));
    item.consentExpires = '2030-01-01T00:00:00Z';
    item.institution_id = 'ins_moved';
    await world.run.checkStaleness({ itemId });
    await late.end();
    expect(await rowOf(item)).toMatchObject({ consentEnds: new Date(item.consentExpires) });
    expect(await world.stores.items.snapshot(itemId)).toMatchObject({ institutionId: 'ins_moved' });
  });

  it.each(['announced', 'reached'])('forgets no end of the connection that was %s since', async (what) => {
    const item = await world.linkedItem();
    const { itemId } = item;
    if (what === 'announced') {
      item.error = loginRequired;
      await check(item);
      item.error = null;
    }
    const late = await cutOff(['getItem'], (run) => run.checkItem({ itemId }));
    await told(item, { webhook_type: 'ITEM', webhook_code: 'PENDING_DISCONNECT' });
    await world.run.settleItemWebhooks({ itemId });
    if (what === 'reached')
      await world.sql`UPDATE items SET disconnects_at = clock_timestamp() WHERE item_id = ${itemId}`;
    expect(await late.end()).toEqual({ result: 'healthy' });
    expect(await rowOf(item)).toMatchObject({ error_code: null, disconnects: true });
  });

  it('that begins an episode is followed by another at once: nobody may have heard of the first', async () => {
    const item = await world.linkedItem();
    item.error = loginRequired;
    await check(item);
    expect(await rowOf(item)).toMatchObject({ due: true });
    await check(item);
    expect(await rowOf(item)).toMatchObject({ due: false, episode: 1 });
  });

  it.each([
    ['broken, and the Item is healthy now', loginRequired, null, null],
    ['healthy, and the Item is broken now', null, loginRequired, 'ITEM_LOGIN_REQUIRED'],
  ])('on the word of a webhook: %s', async (_name, before, now, expected) => {
    const item = await world.linkedItem();
    const { itemId } = item;
    await told(item, errored);
    item.error = before;
    const late = await cutOff(['getItem'], (run) => run.settleItemWebhooks({ itemId }));
    item.error = now;
    await world.run.settleItemWebhooks({ itemId });
    await late.end();
    expect(await rowOf(item)).toMatchObject({ error_code: expected, episode: now === null ? 0 : 1 });
  });

  it('on the word of a webhook that nobody has settled, asks once more', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const webhookId = await told(item, errored);
    item.error = loginRequired;
    const late = await cutOff(['getItem'], (run) => run.settleItemWebhooks({ itemId }));
    item.error = null;
    await check(item);
    expect(await late.end()).toEqual({ health: 'healthy', numbersDue: false, more: false });
    expect(await rowOf(item)).toMatchObject({ error_code: null, episode: 0 });
    expect((await world.stores.webhooks.get(ourselves, webhookId))?.outcome).toEqual({
      state: 'ignored',
      reason: 'item_is_healthy',
    });
  });

  it('takes no permission back that the user has given again', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    await told(item, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    // Its worker is cut off from the database with the webhooks in hand.
    const items = holdAnswer(world.stores.items, ['itemWebhooks']);
    const late = world.runWith({ items: items.plaid }).settleItemWebhooks({ itemId });
    await items.answered;
    await world.run.settleItemWebhooks({ itemId });
    item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    await world.run.settleItemWebhooks({ itemId });
    expect(await rowOf(item)).toMatchObject({ revoked: true, episode: 1 });
    item.error = null;
    await check(item);
    items.release();
    await late;
    expect(await rowOf(item)).toMatchObject({ revoked: false, error_code: null, episode: 1 });
  });
});

describe('a late answer of /auth/get', () => {
  const numbers = (text: string) => [
    {
      account_id: 'account-1',
      ach: [{ account: text, routing: '011401533' }],
      eft: [],
      international: [],
      bacs: [],
    },
  ];
  const stored = async (item: FakeItem): Promise<string[]> => {
    const rows = await world.sql<
      { account_id: string; keyId: string; dataKey: Uint8Array; ciphertext: Uint8Array }[]
    >`
      SELECT account_id, numbers_key_id AS "keyId", numbers_data_key AS "dataKey", numbers_ciphertext AS ciphertext
      FROM account_numbers WHERE item_id = ${item.itemId}`;
    return Promise.all(
      rows.map(async ({ account_id, ...sealed }) => {
        const context = `account_numbers/${item.itemId}/${account_id}`;
        const text = await world.secrets.open(sealed, context).catch(() => 'unreadable');
        return (JSON.parse(text) as { ach: { account: string }[] }).ach[0]?.account ?? '';
      }),
    );
  };
  const save = (item: FakeItem) => world.run.saveNumbers({ itemId: item.itemId });
  async function late(item: FakeItem) {
    item.numbers = numbers('old');
    const attempt = await cutOff(['getNumbers'], (run) => run.saveNumbers({ itemId: item.itemId }));
    item.numbers = numbers('new');
    return attempt;
  }

  it('does not put old numbers over newer ones', async () => {
    const item = await world.linkedItem();
    const attempt = await late(item);
    await save(item);
    await attempt.end();
    expect(await stored(item)).toEqual(['new']);
    expect(await rowOf(item)).toMatchObject({ numbersDue: false });
  });

  it('that there are none does not delete those that came since', async () => {
    const item = await world.linkedItem();
    world.plaid.failNext('getNumbers', 'NOT_READY');
    const attempt = await late(item);
    await save(item);
    await attempt.end();
    expect(await stored(item)).toEqual(['new']);
  });

  it.each([
    ['AUTH DEFAULT_UPDATE', { webhook_code: 'DEFAULT_UPDATE', account_ids_with_new_auth: ['account-1'] }],
    [
      'USER_ACCOUNT_REVOKED',
      { webhook_type: 'ITEM', webhook_code: 'USER_ACCOUNT_REVOKED', account_id: 'account-1' },
    ],
  ])('asked before %s is not kept', async (_name, body) => {
    const item = await world.linkedItem();
    const attempt = await late(item);
    await told(item, { webhook_type: 'AUTH', ...body });
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    await attempt.end();
    expect(await stored(item)).toEqual(['new']);
  });

  it.each(['a repair', 'update mode'])('asked before %s is not kept', async (what) => {
    const item = await world.linkedItem();
    await save(item);
    item.error = loginRequired;
    await world.run.checkItem({ itemId: item.itemId });
    const attempt = await late(item);
    item.error = null;
    if (what === 'a repair') await world.run.checkItem({ itemId: item.itemId });
    else await world.stores.itemCommands.noteRelinked(ourselves, item.itemId);
    await attempt.end();
    expect(await stored(item)).toEqual(['new']);
    expect(await rowOf(item)).toMatchObject({ numbersDue: false });
  });

  it('leaves numbers due that were made due since, when it cannot ask again', async () => {
    const item = await world.linkedItem();
    const attempt = await late(item);
    await world.stores.itemCommands.noteRelinked(ourselves, item.itemId);
    world.plaid.failNext('getNumbers', 'UPSTREAM_DOWN');
    await expect(attempt.end()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await stored(item)).toEqual([]);
    expect(await rowOf(item)).toMatchObject({ numbersDue: true });
  });

  it('is as of the question', async () => {
    const item = await world.linkedItem();
    const attempt = await late(item);
    const [asked] = await world.sql`SELECT clock_timestamp()::text AS at`;
    await attempt.end();
    const [row] = await world.sql`
      SELECT as_of < ${asked?.['at']}::text::timestamptz AS before FROM account_numbers WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ before: true });
  });
});

describe('a late look-up of named removals', () => {
  const named = (item: FakeItem, ids: string[]) =>
    told(item, {
      webhook_type: 'TRANSACTIONS',
      webhook_code: 'TRANSACTIONS_REMOVED',
      removed_transactions: ids,
    });

  it('does not remove what an update has brought back since', async () => {
    const item = await minedItem();
    const { itemId } = item;
    await named(item, ['b']);
    item.listed = [transaction('a')];
    const late = await cutOff(['getTransactions'], (run) => run.settleRemovals({ itemId }));
    item.page('c1', 'c2', { modified: [transaction('b', { amount: 5 })] });
    item.listed = [transaction('a'), transaction('b', { amount: 5 })];
    await world.run.minePage(mine(item, 'u1'));
    expect(await late.end()).toEqual({ changes: 0, more: false });
    expect(await live(item)).toEqual(['a 4.33', 'b 5']);
  });

  it('does not end a webhook that came after the question', async () => {
    const item = await minedItem();
    const { itemId } = item;
    await named(item, ['a', 'b']);
    item.listed = [transaction('a')];
    const late = await cutOff(['getTransactions'], (run) => run.settleRemovals({ itemId }));
    item.listed = [];
    const webhookId = await named(item, ['a']);
    // Nobody is told of it but by this: those that it came behind seemed to be on their way.
    expect(await late.end()).toEqual({ changes: 1, more: true });
    expect((await world.stores.webhooks.get(ourselves, webhookId))?.outcome.state).toBe('pending');
    expect(await world.run.settleRemovals({ itemId })).toEqual({ changes: 1, more: false });
    expect(await live(item)).toEqual([]);
    await gapless(item);
  });
});

describe('a late check of staleness', () => {
  it('neither takes back what Plaid told since nor asks for another update', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.lastSuccessfulUpdate = '2026-11-21T11:00:00Z';
    await world.run.checkStaleness({ itemId });
    item.lastSuccessfulUpdate = '2026-11-21T12:00:00Z';
    const late = await cutOff(['getItem'], (run) => run.checkStaleness({ itemId }));
    item.lastSuccessfulUpdate = '2026-11-21T13:00:00Z';
    expect(await world.run.checkStaleness({ itemId })).toMatchObject({ stale: true });
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE item_id = ${itemId}`;
    expect(await late.end()).toMatchObject({ stale: false });
    expect(await rowOf(item)).toMatchObject({ plaidUpdatedAt: new Date('2026-11-21T13:00:00Z') });
    expect(await world.sql`SELECT FROM webhooks WHERE item_id = ${itemId}`).toHaveLength(1);
  });
});

describe('a late removal', () => {
  it('changes nothing of an Item that another has removed', async () => {
    const item = await minedItem();
    const { itemId } = item;
    await world.stores.itemCommands.requestRemoval(itemId, { force: false });
    const late = await cutOff(['removeItem'], (run) => run.removeItem({ itemId }));
    await world.run.removeItem({ itemId });
    const before = await world.dump();
    await late.end();
    expect(await world.dump()).toEqual(before);
    await gapless(item);
  });
});

describe('a late attempt to link', () => {
  it('does not replace an Item that was repaired since it was asked after', async () => {
    const old = await world.linkedItem('repaired-meanwhile');
    const { tokenHash, item } = await world.receive('repaired-meanwhile');
    await world.run.exchangePublicToken({ tokenHash });
    old.error = loginRequired;
    let asked = 0;
    const held = holdAnswer(world.plaid, ['getItem'], () => (asked += 1) === 2);
    const late = world.runWith({ plaid: held.plaid }).admitItem({ tokenHash });
    await held.answered;
    await world.run.checkItem({ itemId: old.itemId });
    old.error = null;
    await world.run.checkItem({ itemId: old.itemId });
    held.release();
    expect(await late).toEqual({ kind: 'duplicate', itemId: old.itemId });
    expect(await rowOf(old)).toMatchObject({ toRemove: false });
    expect(await world.stores.items.snapshot(item.itemId)).toBeNull();
  });

  it.each(['guardLink', 'admitItem'] as const)(
    'joins no Item that was revoked at the bank since it was asked after (%s)',
    async (step) => {
      const [linker, joiner] = [`${step}-linker`, `${step}-joiner`];
      await world.sql`
        INSERT INTO applications (application_id, name, access)
        VALUES (${linker}, 'linker', 'connected'), (${joiner}, 'joiner', 'connected')`;
      const user = `revoked-meanwhile-${step}`;
      const connection = grantByDefault(['transactions']);
      const first = await world.receive(user, { application_id: linker, connection });
      await world.run.exchangePublicToken(first);
      await world.run.admitItem(first);
      const old = first.item;
      const { account_id: id, name, mask, type, subtype } = account('account-1');
      const chosen = { institution_id: 'ins_1', accounts: [{ id, name, mask, type, subtype }] };
      const { tokenHash } = await world.receive(user, {
        ...{ application_id: joiner, connection },
        ...(step === 'guardLink' ? chosen : {}),
      });
      if (step === 'admitItem') await world.run.exchangePublicToken({ tokenHash });
      let asked = 0;
      const held = holdAnswer(
        world.plaid,
        ['getItem'],
        () => (asked += 1) === (step === 'guardLink' ? 1 : 2),
      );
      const getAccounts = (token: string) =>
        token === old.accessToken
          ? Promise.reject(new Failure('PERMISSION_REVOKED', 'no'))
          : world.plaid.getAccounts(token);
      const plaid = Object.assign(held.plaid, { getAccounts });
      const late = world.runWith({ plaid })[step]({ tokenHash });
      await held.answered;
      old.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
      await world.run.checkItem({ itemId: old.itemId });
      held.release();
      expect(await late).toMatchObject(
        step === 'guardLink' ? { duplicateOf: null } : { kind: 'admitted', replaced: [old.itemId] },
      );
      const connections = await world.sql`
        SELECT application_id FROM connections WHERE item_id = ${old.itemId} AND revoked_at IS NULL AND suspended_at IS NULL`;
      expect(connections).toEqual([]);
    },
  );

  it('is a duplicate of no Item whose accounts are only called the same, and that was revoked since it was asked after', async () => {
    const named = (prefix: string) =>
      ['Checking', 'Savings'].map((name) => account(`${prefix} ${name}`, { name, mask: null }));
    const exchanged = async () => {
      const link = await world.receive('named-meanwhile');
      link.item.accounts = named(link.item.itemId);
      await world.run.exchangePublicToken(link);
      return link;
    };
    const { tokenHash: first, item: old } = await exchanged();
    await world.run.admitItem({ tokenHash: first });
    const { tokenHash } = await exchanged();
    let asked = 0;
    const held = holdAnswer(world.plaid, ['getItem'], () => (asked += 1) === 2);
    const getAccounts = (token: string) =>
      token === old.accessToken
        ? Promise.reject(new Failure('PERMISSION_REVOKED', 'no'))
        : world.plaid.getAccounts(token);
    const plaid = Object.assign(held.plaid, { getAccounts });
    const late = world.runWith({ plaid }).admitItem({ tokenHash });
    await held.answered;
    old.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    await world.run.checkItem({ itemId: old.itemId });
    held.release();
    expect(await late).toMatchObject({ kind: 'admitted', replaced: [] });
  });

  it('does not admit an Item that is being discarded', async () => {
    const old = await world.linkedItem('discarding');
    const { tokenHash, item } = await world.receive('discarding');
    await world.run.exchangePublicToken({ tokenHash });
    old.error = loginRequired;
    let asked = 0;
    const late = holdAnswer(world.plaid, ['getItem'], () => (asked += 1) === 2);
    const admitting = world.runWith({ plaid: late.plaid }).admitItem({ tokenHash });
    await late.answered;
    const discarding = await cutOff(['removeItem'], (run) => run.discardItem({ tokenHash }));
    late.release();
    expect(await admitting).toEqual({ kind: 'gone', plaid: null });
    await discarding.end();
    expect([await rowOf(old), await rowOf(item)]).toMatchObject([{ toRemove: false }, { removed: true }]);
  });

  it('does not remove an Item at Plaid that is the user’s by now', async () => {
    const { tokenHash, item } = await world.receive('admitted-meanwhile');
    await world.run.exchangePublicToken({ tokenHash });
    expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted' });
    await world.run.discardItem({ tokenHash });
    expect(item.removed).toBe(false);
    expect(await rowOf(item)).toMatchObject({ removed: false, toRemove: false });
  });

  it('is still the user’s link when the Item has gone at Plaid before its end was written down', async () => {
    const { tokenHash, item } = await world.receive('gone-meanwhile');
    await world.run.exchangePublicToken({ tokenHash });
    await world.run.admitItem({ tokenHash });
    item.removed = true;
    expect(await world.run.admitItem({ tokenHash })).toEqual({
      kind: 'admitted',
      replaced: [],
      dropped: [],
      warnings: [],
    });
  });

  it('is not reported as lost when its answer was stored meanwhile', async () => {
    const { tokenHash, item } = await world.receive('not-lost');
    await world.run.exchangePublicToken({ tokenHash });
    expect(await world.run.reportLostExchange({ tokenHash })).toBeNull();
    expect(await world.run.loadLink({ tokenHash })).toMatchObject({
      state: 'exchanged',
      itemId: item.itemId,
      outcome: null,
    });
    expect(await world.sql`SELECT FROM alerts WHERE key = ${tokenHash}`).toHaveLength(0);
  });

  it('that is reported as lost keeps no Item, at Plaid neither', async () => {
    const { tokenHash, item } = await world.receive('lost');
    const late = await cutOff(['exchangePublicToken'], (run) => run.exchangePublicToken({ tokenHash }));
    const unknown = { kind: 'outcome_unknown' };
    expect(await world.run.reportLostExchange({ tokenHash })).toEqual(unknown);
    await expect(late.end()).rejects.toMatchObject({ type: 'BAD_REQUEST' });
    expect(item.removed).toBe(true);
    expect(await world.run.loadLink({ tokenHash })).toMatchObject({ state: 'finished', outcome: unknown });
  });

  it.each(['duplicate', 'refused'] as const)('does not end as %s what was linked', async (kind) => {
    const { tokenHash, item } = await world.receive(`ends-${kind}`);
    await world.run.exchangePublicToken({ tokenHash });
    await world.run.admitItem({ tokenHash });
    const outcome = kind === 'duplicate' ? { kind, item_id: 'another' } : { kind, plaid: null };
    await expect(world.run.finishLink({ tokenHash, outcome })).rejects.toMatchObject({ type: 'BAD_REQUEST' });
    const linked = { kind: 'linked' as const, item_id: item.itemId, replaces: null, warnings: [] };
    expect(await world.run.finishLink({ tokenHash, outcome: linked })).toEqual(linked);
  });

  it('is not called stuck when another attempt has ended it', async () => {
    const { tokenHash, item } = await world.receive('stuck-no-more');
    await world.run.exchangePublicToken({ tokenHash });
    await world.sql`UPDATE links SET created_at = created_at - interval '1 hour' WHERE token_hash = ${tokenHash}`;
    const stuck = () => world.sql`SELECT kind FROM alerts WHERE key = ${tokenHash}`;
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    const late = await cutOff(['getItem'], (run) => run.admitItem({ tokenHash }));
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(world.run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await stuck()).toEqual([{ kind: 'link_stuck' }]);
    await world.run.admitItem({ tokenHash });
    const outcome = { kind: 'linked' as const, item_id: item.itemId, replaces: null, warnings: [] };
    await world.run.finishLink({ tokenHash, outcome });
    await expect(late.end()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await stuck()).toEqual([]);
  });

  it('does not end as linked what was never admitted', async () => {
    const { tokenHash, item } = await world.receive('never-admitted');
    const linked = { kind: 'linked' as const, item_id: item.itemId, replaces: null, warnings: [] };
    for (const step of ['received', 'exchanged']) {
      if (step === 'exchanged') await world.run.exchangePublicToken({ tokenHash });
      await expect(world.run.finishLink({ tokenHash, outcome: linked })).rejects.toMatchObject({
        type: 'BAD_REQUEST',
      });
    }
  });
});

describe('a late answer about institutions', () => {
  async function page(syncId: string) {
    const held = holdAnswer(world.directory, ['list']);
    const running = world.runWith({ directory: held.plaid }).saveInstitutionPage({ syncId, offset: 0 });
    await held.answered;
    return () => (held.release(), running);
  }
  const get = (id: string) => world.stores.institutions.get(id);
  beforeEach(() => world.sql`DELETE FROM institutions`);

  it('of an older sync changes nothing that a newer one has saved, and counts for neither', async () => {
    world.directory.all = [institution('ins_1', { name: 'Old name' }), institution('ins_2')];
    const late = await page('old');
    world.directory.all = [institution('ins_1', { name: 'New name' })];
    await world.run.saveInstitutionPage({ syncId: 'older still', offset: 0 });
    await world.run.saveInstitutionPage({ syncId: 'new', offset: 0 });
    await late();
    expect((await get('ins_1'))?.name).toBe('New name');
    expect(await world.run.finishInstitutionSync({ syncId: 'new', expected: 1 })).toMatchObject({
      complete: true,
    });
    expect(await world.run.finishInstitutionSync({ syncId: 'old', expected: 2 })).toEqual({
      complete: false,
      vanished: 0,
    });
  });

  it('brings nothing back that a newer sync has found vanished', async () => {
    world.directory.all = [institution('ins_1'), institution('ins_2')];
    await world.run.saveInstitutionPage({ syncId: 'first', offset: 0 });
    const late = await page('old');
    world.directory.all = [institution('ins_1')];
    await world.run.saveInstitutionPage({ syncId: 'new', offset: 0 });
    await world.run.finishInstitutionSync({ syncId: 'new', expected: 1 });
    await late();
    expect((await get('ins_2'))?.vanished_at).not.toBeNull();
  });

  it('does not put an older status or name over a newer one', async () => {
    world.directory.all = [institution('ins_late', { name: 'Old name' })];
    await world.run.saveInstitutionPage({ syncId: 'first', offset: 0 });
    const item = await world.linkedItem('of-ins-late');
    await world.sql`UPDATE items SET institution_id = 'ins_late' WHERE item_id = ${item.itemId}`;
    const round = { start: null, after: 'ins_lat', wrapped: false };
    const ask = { since: '2999-01-01T00:00:00Z', round, limit: 1 };
    const statusOf = (status: string, name: string) => ({
      ...institution('ins_late', { name }),
      status: { item_logins: { status } },
    });
    const answers = [statusOf('DEGRADED', 'Old name'), statusOf('HEALTHY', 'New name')];
    const directory = Object.assign(Object.create(world.directory) as typeof world.directory, {
      get: () => Promise.resolve(answers.shift()),
    });
    const held = holdAnswer(directory, ['get']);
    const late = world.runWith({ directory: held.plaid }).saveInstitutionStatuses(ask);
    await held.answered;
    await world.runWith({ directory }).saveInstitutionStatuses(ask);
    const newest = await get('ins_late');
    held.release();
    await late;
    expect(newest).toMatchObject({ name: 'New name', status: { item_logins: { status: 'HEALTHY' } } });
    expect(await get('ins_late')).toEqual(newest);
  });
});

describe('a late sender', () => {
  it('moves no mark of the streams back, and leaves nothing unsent', async () => {
    const item = await minedItem();
    const { itemId } = item;
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let taken = (): void => undefined;
    const inHand = new Promise<void>((resolve) => (taken = resolve));
    const streams = {
      put: async () => {
        taken();
        await gate;
      },
    };
    const late = world.runWith({ streams }).publish({ itemId });
    await inHand;
    await world.run.publish({ itemId });
    item.page('c1', 'c2', { added: [transaction('c')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.run.publish({ itemId });
    const marks = () => world.sql`
      SELECT record, form, sent FROM outbox_marks WHERE item_id = ${itemId} ORDER BY 1, 2`;
    const before = await marks();
    release();
    expect(await late).toEqual({ done: false });
    expect(await marks()).toEqual(before);
    expect(await world.stores.items.snapshot(itemId)).toMatchObject({ due: ['numbers'] });
  });

  it('to Segment hides no event that was told meanwhile', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.error = loginRequired;
    await world.run.checkItem({ itemId });
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let taken = (): void => undefined;
    const inHand = new Promise<void>((resolve) => (taken = resolve));
    const segment = {
      track: async () => {
        taken();
        await gate;
      },
    };
    const late = world.runWith({ segment }).sendSegmentEvents({ itemId });
    await inHand;
    await world.run.sendSegmentEvents({ itemId });
    item.error = null;
    await world.run.checkItem({ itemId });
    release();
    await late;
    expect(await world.stores.items.snapshot(itemId)).toMatchObject({ due: ['segment', 'numbers'] });
  });
});

it('an erasure that has ended meanwhile is not called late', async () => {
  const { erasures } = world.stores;
  await world.receive('erased-in-time');
  const erasureId = 'era_late';
  await erasures.request('erased-in-time', { erasureId, force: false, applicationId: 'default', keyId: 'k' });
  await world.sql`UPDATE erasures SET requested_at = requested_at - interval '2 days' WHERE erasure_id = ${erasureId}`;
  const held = holdAnswer(erasures, ['open']);
  const late = world.runWith({ erasures: held.plaid }).sweepErasures({ graceMs: 0 });
  await held.answered;
  await world.run.stopUser({ erasureId });
  while (!(await world.run.deleteUserRows({ erasureId })).done);
  expect(await world.run.finishErasure({ erasureId })).toEqual({ ended: true });
  held.release();
  await late;
  expect(await world.sql`SELECT FROM alerts WHERE key = ${erasureId}`).toHaveLength(0);
});
