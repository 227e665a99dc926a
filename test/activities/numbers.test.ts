import { ourselves } from '../../domain/exchange/viewer.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import { shownItem, unrefused } from '../drizzle/world.js';
import type { FakeItem } from './fakePlaid.js';
import { account } from './fakePlaid.js';
import { givenOf, heardOf, numbersOf, reader } from './numbersWorld.js';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());
afterEach(() => expect(world.unexpected).toEqual([]));

const day = 24 * 3_600_000;
const dueAt = { complete: '2030-01-02T00:00:00.000Z', incomplete: '2030-01-01T00:00:00.000Z' };
const ids = ['account-1', 'account-2', 'account-3'];

let updates = 0;
/** An update whose answer lists these accounts. */
async function update(item: FakeItem, accounts: PlaidAccount[]): Promise<void> {
  updates += 1;
  const cursor = updates === 1 ? '' : `c${updates}`;
  const [row] = await world.sql<
    [{ cursor: string }]
  >`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
  item.accounts = accounts;
  item.page(row.cursor, `${cursor}+${updates}`, {});
  const result = await world.run.minePage({ itemId: item.itemId, updateId: `u${updates}`, page: 0, dueAt });
  expect(result.kind).toBe('applied');
}

/** An Item with three accounts and their numbers. */
async function itemWithNumbers(): Promise<FakeItem> {
  const item = await world.linkedItem();
  await update(
    item,
    ids.map((id, index) => account(id, { mask: `000${index}` })),
  );
  item.numbers = numbersOf(ids);
  await save(item);
  return item;
}

const save = (item: FakeItem) => world.run.saveNumbers({ itemId: item.itemId });

/** As if the answers had begun to lack numbers so long before. */
const sooner = (item: FakeItem, interval: string) => world.sql`
  UPDATE items SET numbers_lacking_since = numbers_lacking_since - ${interval}::interval WHERE item_id = ${item.itemId}`;

const received = (item: FakeItem, name: string, more: Record<string, unknown>): Promise<string> =>
  heardOf(world, item, name, more);

/** And acted on. */
async function told(item: FakeItem, name: string, more: Record<string, unknown>): Promise<string> {
  const webhookId = await received(item, name, more);
  await world.run.settleItemWebhooks({ itemId: item.itemId });
  return webhookId;
}

async function replayed(item: FakeItem, webhookId: string): Promise<void> {
  await world.stores.webhooks.replay(ourselves, webhookId, crypto.randomUUID());
  await world.run.settleItemWebhooks({ itemId: item.itemId });
}

const given = (item: FakeItem): Promise<Record<string, string>> => givenOf(world, item);

const good = Object.fromEntries(ids.map((id) => [id, `good ${id}`]));

/** When numbers are due: `now`, `later` (about a day), or null. */
async function numbersDue(item: FakeItem): Promise<'now' | 'later' | null> {
  const [row] = await world.sql<[{ at: Date | null; now: Date }]>`
    SELECT numbers_due_at AS at, clock_timestamp() AS now FROM items WHERE item_id = ${item.itemId}`;
  const [inHours] = [row.at === null ? null : (row.at.getTime() - row.now.getTime()) / 3_600_000];
  if (inHours === null) return null;
  expect(inHours <= 0 || (inHours > 23 && inHours <= 24)).toBe(true);
  const snapshot = await world.stores.items.snapshot(item.itemId);
  expect(snapshot?.due.includes('numbers')).toBe(inHours <= 0);
  return inHours <= 0 ? 'now' : 'later';
}

async function updateDue(item: FakeItem): Promise<boolean> {
  const [row] = await world.sql<[{ due: boolean }]>`
    SELECT next_due_at <= clock_timestamp() AS due FROM items WHERE item_id = ${item.itemId}`;
  return row.due;
}

describe('numbers that come days after the link', () => {
  it('are waited for with pauses of a day', async () => {
    const item = await world.linkedItem();
    world.plaid.failNext('getNumbers', 'NOT_READY');
    const { accounts, nextDueAt } = await save(item);
    expect(accounts).toBe(0);
    expect(nextDueAt).toBeGreaterThan(Date.now() + day - 600_000);
    expect(await numbersDue(item)).toBe('later');
    item.numbers = numbersOf(['account-1']);
    expect(await save(item)).toEqual({ accounts: 1 });
    expect(await numbersDue(item)).toBeNull();
  });

  it.each([
    ['AUTH/AUTOMATICALLY_VERIFIED', { account_id: 'account-2' }],
    ['AUTH/MANUALLY_VERIFIED', { account_id: 'account-2' }],
    ['AUTH/SMS_MICRODEPOSITS_VERIFICATION', { account_id: 'account-2', status: 'MANUALLY_VERIFIED' }],
    ['AUTH/SMS_MICRODEPOSITS_VERIFICATION', { account_id: 'account-2', status: 'SOMETHING_NEW' }],
  ])('are due at once with %s', async (name, body) => {
    const item = await world.linkedItem();
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    const webhookId = await told(item, name, body);
    expect((await world.stores.webhooks.get(ourselves, webhookId))?.outcome.state).toBe('done');
    expect([await numbersDue(item), await updateDue(item)]).toEqual(['now', true]);
  });

  it.each([
    ['AUTH/VERIFICATION_EXPIRED', {}, 'verification_expired'],
    ['AUTH/VERIFICATION_FAILED', {}, 'verification_failed'],
    ['AUTH/SMS_MICRODEPOSITS_VERIFICATION', { status: 'VERIFICATION_FAILED' }, 'verification_failed'],
  ])('%s ends the wait, and says so', async (name, more, reason) => {
    const item = await world.linkedItem();
    const pending = account('account-1', { verification_status: 'pending_automatic_verification' });
    await update(item, [pending]);
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    expect(await given(item)).toEqual({ 'account-1': 'verification_pending' });
    await told(item, name, { account_id: 'account-1', ...more });
    expect(await given(item)).toEqual({ 'account-1': reason });
    // Asked once more, since others of the Item's accounts may have been held up by this one.
    expect(await numbersDue(item)).toBe('now');
    world.plaid.failNext('getNumbers', 'NOT_READY');
    expect(await save(item)).toEqual({ accounts: 0 });
    expect(await numbersDue(item)).toBeNull();
    expect(unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader))).toMatchObject({
      nextReadAt: null,
    });

    // The user has been through Link once more: what an answer says that is newer counts.
    await update(item, [pending]);
    expect(await given(item)).toEqual({ 'account-1': 'verification_pending' });
  });

  it('are waited for as long as one account is being verified', async () => {
    const item = await world.linkedItem();
    await update(item, [
      account('account-1', { mask: '1', verification_status: 'pending_automatic_verification' }),
      account('account-2', { mask: '2', verification_status: 'pending_manual_verification' }),
    ]);
    await told(item, 'AUTH/VERIFICATION_EXPIRED', { account_id: 'account-1' });
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    expect(await numbersDue(item)).toBe('later');
    expect(await given(item)).toEqual({
      'account-1': 'verification_expired',
      'account-2': 'verification_pending',
    });
  });

  it('are read, too, where only an update tells that the verification has ended', async () => {
    const item = await world.linkedItem();
    await update(item, [account('account-1', { verification_status: 'pending_automatic_verification' })]);
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    await update(item, [account('account-1', { verification_status: 'automatically_verified' })]);
    expect(await numbersDue(item)).toBe('now');
  });

  it('are read of an account that comes later', async () => {
    const item = await itemWithNumbers();
    expect(await numbersDue(item)).toBeNull();
    await update(item, [...item.accounts, account('account-4', { mask: '4444' })]);
    expect(await numbersDue(item)).toBe('now');
  });
});

describe('accounts of which one is being verified', () => {
  const verifying = account('account-2', {
    mask: '2',
    verification_status: 'pending_automatic_verification',
  });
  const siblings = [account('account-1', { mask: '1' }), verifying];
  const notReady = () => world.plaid.failNext('getNumbers', 'NOT_READY');

  it('give the numbers of the others at once, and are asked for all of them again in a day', async () => {
    const item = await world.linkedItem();
    await update(item, [...siblings, account('card', { type: 'credit', subtype: 'credit card', mask: '3' })]);
    item.numbers = numbersOf(['account-1', 'card']);
    notReady();
    const { accounts, nextDueAt } = await save(item);
    expect(accounts).toBe(1);
    expect(nextDueAt).toBeGreaterThan(Date.now() + day - 600_000);
    // A card has none, and Plaid would refuse the question.
    expect(await given(item)).toEqual({ 'account-1': 'good account-1', 'account-2': 'verification_pending' });
    expect(await numbersDue(item)).toBe('later');
    // Nothing new of the others: what is stored stays.
    notReady();
    notReady();
    expect((await save(item)).accounts).toBe(0);
    expect(await given(item)).toEqual({ 'account-1': 'good account-1', 'account-2': 'verification_pending' });
    item.numbers = numbersOf(['account-1', 'account-2'], 'newer');
    expect(await save(item)).toEqual({ accounts: 2 });
    expect(await given(item)).toEqual({ 'account-1': 'newer account-1', 'account-2': 'newer account-2' });
    expect(await numbersDue(item)).toBeNull();
  });

  it('are asked for anew when a newborn Item, of which nobody knew that, gets its accounts', async () => {
    const item = await world.linkedItem();
    notReady();
    await save(item);
    expect(await numbersDue(item)).toBe('later');
    await update(item, siblings);
    expect(await numbersDue(item)).toBe('now');
  });

  it('are waited for together where Plaid refuses the question for the others: one was closed since', async () => {
    const item = await world.linkedItem();
    await update(item, siblings);
    notReady();
    world.plaid.failNext('getNumbers', 'BAD_REQUEST');
    expect((await save(item)).accounts).toBe(0);
    expect(await numbersDue(item)).toBe('later');
  });

  it.each(['verification_expired', 'verification_failed', 'verification_pending'])(
    'give the numbers of the others when it is %s, also those that are read anew',
    async (reason) => {
      const status = reason === 'verification_pending' ? 'pending_manual_verification' : reason;
      const item = await world.linkedItem();
      await update(item, [
        account('account-1', { mask: '1' }),
        account('account-2', { mask: '2', verification_status: status }),
      ]);
      const isPending = reason === 'verification_pending';
      for (const number of ['good', 'newer']) {
        item.numbers = numbersOf(['account-1'], number);
        notReady();
        expect((await save(item)).accounts).toBe(1);
        expect(await given(item)).toEqual({ 'account-1': `${number} account-1`, 'account-2': reason });
        expect(await numbersDue(item)).toBe(isPending ? 'later' : null);
        await told(item, 'AUTH/DEFAULT_UPDATE', { account_ids_with_updated_auth: { 'account-1': [] } });
        expect(await given(item)).toEqual({ 'account-2': reason });
        expect(await numbersDue(item)).toBe('now');
      }
      // The others are not ready themselves.
      notReady();
      notReady();
      expect((await save(item)).accounts).toBe(0);
      expect(await numbersDue(item)).toBe('later');
      // The others have none.
      await told(item, 'AUTH/DEFAULT_UPDATE', { account_ids_with_updated_auth: { 'account-1': [] } });
      notReady();
      world.plaid.failNext('getNumbers', 'PRODUCT_UNAVAILABLE');
      expect((await save(item)).accounts).toBe(0);
      expect(await numbersDue(item)).toBe(isPending ? 'later' : null);
    },
  );

  it('keep no number of another one that two answers to the question for the others lack', async () => {
    const item = await world.linkedItem();
    const others = ['account-1', 'account-3'];
    await update(item, [...siblings, account('account-3', { mask: '3' })]);
    const asked = async (accountIds: readonly string[], number?: string) => {
      item.numbers = numbersOf(accountIds, number);
      notReady();
      await save(item);
      return given(item);
    };
    const pending = { 'account-2': 'verification_pending' };
    const all = { 'account-1': 'good account-1', 'account-3': 'good account-3', ...pending };
    expect(await asked(others)).toEqual(all);
    const withheld = { 'account-1': 'newer account-1', 'account-3': 'account_revoked', ...pending };
    expect(await asked(['account-1'], 'newer')).toEqual(withheld);
    // It was a passing thing.
    expect(await asked(others)).toEqual(all);
    expect(await asked(['account-1'], 'newer')).toEqual(withheld);
    expect(await asked(['account-1'], 'newer')).toEqual({ 'account-1': 'newer account-1', ...pending });
    expect(await numbersDue(item)).toBe('later');
    // One that names none is asked for once more.
    expect(await asked([])).toEqual({ 'account-1': 'newer account-1', ...pending });
    await sooner(item, '40 seconds');
    expect(await asked([])).toEqual(pending);
    expect(await numbersDue(item)).toBe('later');
  });

  it('are not asked for one by one where there are no others', async () => {
    const item = await world.linkedItem();
    await update(item, [verifying]);
    notReady();
    const before = world.plaid.count('getNumbers');
    await save(item);
    expect(world.plaid.count('getNumbers')).toBe(before + 1);
  });
});

describe('an answer in which something cannot be read', () => {
  const alertsOf = async ({ itemId }: FakeItem): Promise<string[]> =>
    (await world.sql<{ kind: string }[]>`SELECT kind FROM alerts WHERE item_id = ${itemId}`).map(
      ({ kind }) => kind,
    );

  it('is told to operators, also where it has numbers of no form; that Plaid is not ready is not', async () => {
    const item = await itemWithNumbers();
    world.plaid.refuse('getNumbers', 'PRODUCT_NOT_READY');
    await save(item);
    world.plaid.refuse('getNumbers', null);
    expect(await alertsOf(item)).toEqual([]);
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    expect(await alertsOf(item)).toEqual(['numbers_unreadable']);
  });

  it('takes no number from the accounts that it does not name, and is asked for again in a day', async () => {
    const item = await itemWithNumbers();
    item.numbers = numbersOf(['account-1'], 'newer');
    item.oddNumbers = true;
    const { accounts, nextDueAt } = await save(item);
    expect([accounts, (nextDueAt ?? 0) > Date.now()]).toEqual([1, true]);
    expect(await alertsOf(item)).toEqual(['numbers_unreadable']);
    expect(await given(item)).toEqual({ ...good, 'account-1': 'newer account-1' });
    expect(await numbersDue(item)).toBe('later');
    item.oddNumbers = false;
    // One that can be read whole, and another that says the same.
    await save(item);
    expect(await save(item)).toEqual({ accounts: 1 });
    expect(await given(item)).toEqual({ 'account-1': 'newer account-1' });
    expect(await numbersDue(item)).toBeNull();
  });

  it('ends no doubt about the numbers of an account that it does not name', async () => {
    const item = await itemWithNumbers();
    await told(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: 'account-2' });
    await update(item, item.accounts);
    item.numbers = numbersOf(['account-1', 'account-3'], 'newer');
    item.oddNumbers = true;
    await save(item);
    expect((await given(item))['account-2']).toBe('account_revoked');
  });
});

describe('numbers that Plaid refuses', () => {
  const missing = async (item: FakeItem) =>
    unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader))?.missing;

  it.each([
    ['ADDITIONAL_CONSENT_REQUIRED', 'INVALID_INPUT', 'consent_required'],
    ['PRODUCT_PERMISSIONS_REQUIRED', 'ITEM_ERROR', 'consent_required'],
    ['PRODUCT_NOT_ENABLED', 'ITEM_ERROR', 'not_available'],
    ['NO_AUTH_ACCOUNTS', 'ITEM_ERROR', 'not_available'],
  ])(
    'are missing for a reason that is shown, and asked for in update mode (%s)',
    async (code, type, reason) => {
      const item = await world.linkedItem();
      await update(item, [account('account-1'), account('card', { type: 'credit', subtype: 'credit card' })]);
      const { user_id } = (await shownItem(world, item.itemId)) ?? { user_id: '' };
      const picked = async () => {
        const pick = await world.stores.reads.pickForUpdateMode(ourselves, user_id, item.itemId);
        return [pick?.asksConsent, pick?.asksNumbers];
      };
      expect([await missing(item), await picked()]).toEqual([[], [false, undefined]]);
      world.plaid.refuse('getNumbers', code, type);
      await save(item);
      world.plaid.refuse('getNumbers', null);
      expect(await missing(item)).toEqual([{ accountId: 'account-1', reason, errorCode: code }]);
      expect(await picked()).toEqual([false, reason === 'consent_required' ? true : undefined]);
      // Plaid says that something is missing, or that it is not any more: it is asked.
      await told(item, 'AUTH/PRODUCT_PERMISSIONS_REQUIRED', {});
      expect(await numbersDue(item)).toBe('now');
      item.numbers = numbersOf(['account-1']);
      await save(item);
      expect([await missing(item), await picked()]).toEqual([[], [false, undefined]]);
      expect(await given(item)).toEqual({ 'account-1': 'good account-1' });
    },
  );

  it('are shown as being verified where that is known of an account', async () => {
    const item = await world.linkedItem();
    await update(item, [account('account-1', { verification_status: 'pending_automatic_verification' })]);
    world.plaid.failNext('getNumbers', 'PRODUCT_UNAVAILABLE');
    await save(item);
    expect(await missing(item)).toEqual([
      { accountId: 'account-1', reason: 'verification_pending', errorCode: null },
    ]);
  });
});

describe('numbers that were asked for before the first update', () => {
  it.each<[string, string | null]>([
    ['an answer that names none', null],
    ['NO_AUTH_ACCOUNTS', 'NO_AUTH_ACCOUNTS'],
    ['PRODUCT_NOT_READY', 'PRODUCT_NOT_READY'],
  ])('are asked for again with the accounts that it brings, after %s', async (_name, code) => {
    const item = await world.linkedItem();
    if (code !== null) world.plaid.refuse('getNumbers', code);
    await save(item);
    world.plaid.refuse('getNumbers', null);
    item.numbers = numbersOf(['account-1']);
    await update(item, [account('account-1')]);
    expect(await numbersDue(item)).toBe('now');
  });

  it('are not where no account has some', async () => {
    const item = await world.linkedItem();
    expect(await save(item)).toEqual({ accounts: 0 });
    await update(item, [account('card', { type: 'credit', subtype: 'credit card' })]);
    expect(await numbersDue(item)).toBeNull();
  });
});

describe('numbers that are stored', () => {
  it.each(['NOT_READY', 'PRODUCT_UNAVAILABLE'] as const)('stay when Plaid says %s', async (type) => {
    const item = await itemWithNumbers();
    world.plaid.failNext('getNumbers', type);
    expect((await save(item)).accounts).toBe(0);
    expect(await given(item)).toEqual(good);
    expect(await numbersDue(item)).toBe(type === 'NOT_READY' ? 'later' : null);
  });

  it('stay when one answer names no account at all, and go when the answers go on like that', async () => {
    const item = await itemWithNumbers();
    item.numbers = [];
    const { accounts, nextDueAt } = await save(item);
    expect([accounts, (nextDueAt ?? 0) > Date.now()]).toEqual([0, true]);
    expect(await given(item)).toEqual(good);
    const read = async () => unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader));
    expect((await read())?.nextReadAt).not.toBeNull();
    // However often it is asked for at once.
    await save(item);
    expect(await given(item)).toEqual(good);
    // It was a passing thing.
    item.numbers = numbersOf(ids, 'newer');
    expect(await save(item)).toEqual({ accounts: 3 });
    expect((await given(item))['account-1']).toBe('newer account-1');
    expect(await numbersDue(item)).toBeNull();
    // It is not.
    item.numbers = [];
    expect(await save(item)).toMatchObject({ nextDueAt: expect.any(Number) as unknown });
    await sooner(item, '1 minute');
    expect(await save(item)).toEqual({ accounts: 0 });
    expect([await given(item), await numbersDue(item)]).toEqual([{}, null]);
  });

  it('are none of an Item that has no account to have some', async () => {
    const item = await world.linkedItem();
    await update(item, [account('card', { type: 'credit', subtype: 'credit card' })]);
    item.numbers = [];
    expect(await save(item)).toEqual({ accounts: 0 });
    expect(await numbersDue(item)).toBeNull();
  });

  it('are withheld while Plaid refuses them for want of consent, and asked for with pauses that grow', async () => {
    const item = await itemWithNumbers();
    const withheld = Object.fromEntries(ids.map((id) => [id, 'permission_revoked']));
    world.plaid.refuse('getNumbers', 'ACCESS_NOT_GRANTED', 'ITEM_ERROR');
    const { nextDueAt = 0 } = await save(item);
    expect(await given(item)).toEqual(withheld);
    await sooner(item, '1 hour');
    expect((await save(item)).nextDueAt).toBeGreaterThan(nextDueAt + 1_800_000);
    expect(await given(item)).toEqual(withheld);
    world.plaid.refuse('getNumbers', null);
    expect(await save(item)).toEqual({ accounts: 3 });
    expect([await given(item), await numbersDue(item)]).toEqual([good, null]);
  });

  it.each(['PRODUCT_NOT_READY', 'NO_AUTH_ACCOUNTS'])(
    'stay withheld after a refusal for want of consent until an answer lists them: %s does not',
    async (code) => {
      const item = await itemWithNumbers();
      world.plaid.refuse('getNumbers', 'ADDITIONAL_CONSENT_REQUIRED', 'INVALID_INPUT');
      await save(item);
      world.plaid.refuse('getNumbers', code, 'ITEM_ERROR');
      await save(item);
      expect(Object.values(await given(item)).filter((text) => text.startsWith('good'))).toEqual([]);
      world.plaid.refuse('getNumbers', null);
      expect(await save(item)).toEqual({ accounts: 3 });
      expect([await given(item), await numbersDue(item)]).toEqual([good, null]);
    },
  );

  it.each(['UNSUPPORTED_RESPONSE', 'NO_AUTH_ACCOUNTS', 'PRODUCT_NOT_READY'])(
    'are asked for as long as they are withheld, though Plaid says %s meanwhile',
    async (code) => {
      const refusals: ((item: FakeItem) => Promise<unknown>)[] = [
        async (item) => {
          world.plaid.refuse('getNumbers', 'ADDITIONAL_CONSENT_REQUIRED', 'INVALID_INPUT');
          await save(item);
        },
        async (item) =>
          world.sql`UPDATE account_numbers SET doubted_at = now() WHERE item_id = ${item.itemId}`,
      ];
      for (const refusal of refusals) {
        const item = await itemWithNumbers();
        await refusal(item);
        world.plaid.refuse('getNumbers', code, 'ITEM_ERROR');
        await update(
          item,
          ids.map((id, n) => account(id, { mask: `000${n}`, verification_status: 'verification_expired' })),
        );
        expect((await save(item)).nextDueAt).toBeGreaterThan(Date.now());
        world.plaid.refuse('getNumbers', null);
        await save(item);
        expect([await given(item), await numbersDue(item)]).toEqual([good, null]);
      }
    },
  );

  it.each(['NO_AUTH_ACCOUNTS', 'PRODUCT_NOT_READY'])(
    'are not asked for as long as they are those of closed accounts, and Plaid says %s',
    async (code) => {
      const item = await itemWithNumbers();
      await world.sql`UPDATE account_numbers SET doubted_at = now() WHERE item_id = ${item.itemId}`;
      const left = account('account-3', { mask: '0002', verification_status: 'verification_expired' });
      item.numbers = numbersOf(['account-1', 'account-2']);
      await save(item);
      await save(item);
      await world.sql`UPDATE account_numbers SET doubted_at = now() WHERE item_id = ${item.itemId}`;
      await update(item, [left]);
      world.plaid.refuse('getNumbers', code, 'ITEM_ERROR');
      await save(item);
      expect(await numbersDue(item)).toBeNull();
      world.plaid.refuse('getNumbers', null);
      await update(item, [account('account-1', { mask: '0000' }), left]);
      expect(await numbersDue(item)).toBe('now');
      await save(item);
      expect(await given(item)).toMatchObject({ 'account-1': 'good account-1' });
    },
  );

  it.each([[[]], [['account-1', 'account-3']]])(
    'are not taken by one short answer (%j) after days of refusals for want of consent, and are asked for soon',
    async (left) => {
      const item = await itemWithNumbers();
      world.plaid.refuse('getNumbers', 'ACCESS_NOT_GRANTED', 'ITEM_ERROR');
      await save(item);
      await sooner(item, '3 days');
      await save(item);
      world.plaid.refuse('getNumbers', null);
      item.numbers = numbersOf(left, 'newer');
      expect((await save(item)).nextDueAt).toBeLessThan(Date.now() + 3_600_000);
      expect(await given(item)).toEqual({
        ...Object.fromEntries(ids.map((id) => [id, 'account_revoked'])),
        ...Object.fromEntries(left.map((id) => [id, `newer ${id}`])),
      });
      // The second one takes them.
      await sooner(item, '1 minute');
      await save(item);
      expect(await given(item)).toEqual(Object.fromEntries(left.map((id) => [id, `newer ${id}`])));
      expect(await numbersDue(item)).toBeNull();
    },
  );

  it('go when two answers lack their account; after the first they are withheld, and asked for once more', async () => {
    const item = await itemWithNumbers();
    item.numbers = numbersOf(['account-1', 'account-3'], 'newer');
    const some = { 'account-1': 'newer account-1', 'account-3': 'newer account-3' };
    const soon = { nextDueAt: expect.any(Number) as unknown };
    expect(await save(item)).toMatchObject(soon);
    expect(await given(item)).toEqual({ ...some, 'account-2': 'account_revoked' });
    const read = unrefused(await world.stores.numbers.read(ourselves, item.itemId, reader));
    expect(read?.nextReadAt).not.toBeNull();
    // It was a passing thing.
    item.numbers = numbersOf(ids);
    expect(await save(item)).toEqual({ accounts: 3 });
    expect([await given(item), await numbersDue(item)]).toEqual([good, null]);
    // It is not; and what the second answer is the first to lack is doubted in its turn.
    item.numbers = numbersOf(['account-1', 'account-3'], 'newer');
    expect(await save(item)).toMatchObject(soon);
    item.numbers = numbersOf(['account-1'], 'newer');
    // Not for ever every half a minute.
    await sooner(item, '1 hour');
    expect((await save(item)).nextDueAt).toBeGreaterThan(Date.now() + 1_800_000);
    expect(await given(item)).toEqual({ 'account-1': 'newer account-1', 'account-3': 'account_revoked' });
    item.numbers = numbersOf(['account-1', 'account-3'], 'newer');
    expect(await save(item)).toEqual({ accounts: 2 });
    expect(await given(item)).toEqual(some);
  });

  it.each([false, true])(
    'stay when one answer names none after the account that answers lacked was closed (revoked before: %s)',
    async (revoked) => {
      const item = await itemWithNumbers();
      if (revoked) await told(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: 'account-2' });
      item.numbers = numbersOf(['account-1', 'account-3']);
      await save(item);
      const left = ['account-1', 'account-3'].map((id) => account(id, { mask: `000${ids.indexOf(id)}` }));
      await update(item, left);
      await sooner(item, '40 seconds');
      item.numbers = [];
      await save(item);
      item.numbers = numbersOf(['account-1', 'account-3']);
      await save(item);
      expect(await given(item)).toEqual({ 'account-1': 'good account-1', 'account-3': 'good account-3' });
      expect(await world.sql`SELECT FROM account_numbers WHERE item_id = ${item.itemId}`).toHaveLength(2);
    },
  );

  it('stay when an answer that names none comes after one that lacked some: each has to be twice', async () => {
    const item = await itemWithNumbers();
    item.numbers = numbersOf(['account-1', 'account-3']);
    await save(item);
    await sooner(item, '1 minute');
    item.numbers = [];
    expect(await save(item)).toMatchObject({ nextDueAt: expect.any(Number) as unknown });
    expect(await given(item)).toEqual({ 'account-1': 'account_revoked', 'account-3': 'account_revoked' });
    item.numbers = numbersOf(ids);
    expect(await save(item)).toEqual({ accounts: 3 });
    expect([await given(item), await numbersDue(item)]).toEqual([good, null]);
    // Nor is one that lacks some the second of those that named none.
    item.numbers = [];
    await save(item);
    await sooner(item, '1 minute');
    item.numbers = numbersOf(['account-1']);
    expect(await save(item)).toMatchObject({ nextDueAt: expect.any(Number) as unknown });
    item.numbers = numbersOf(ids);
    expect(await save(item)).toEqual({ accounts: 3 });
    expect(await given(item)).toEqual(good);
  });

  it.each<[string, (item: FakeItem) => Promise<unknown>]>([
    [
      'a revocation that names no account',
      (item) => told(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: null }),
    ],
    ['a revocation of one', (item) => told(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: 'account-2' })],
    [
      'a revocation of an Item that is broken for another reason',
      async (item) => {
        item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
        await told(item, 'ITEM/USER_PERMISSION_REVOKED', {});
        await world.run.settleItemWebhooks({ itemId: item.itemId });
        item.error = null;
        await world.run.checkItem({ itemId: item.itemId });
      },
    ],
    [
      'an answer that lacked it before a revocation',
      async (item) => {
        item.numbers = numbersOf(['account-1', 'account-3']);
        await save(item);
        await told(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: null });
      },
    ],
  ])('are not taken by one short answer after %s', async (_name, doubt) => {
    const item = await itemWithNumbers();
    await doubt(item);
    item.numbers = numbersOf(['account-1', 'account-3'], 'newer');
    expect(await save(item)).toMatchObject({ nextDueAt: expect.any(Number) as unknown });
    expect((await given(item))['account-2']).toBe('account_revoked');
    item.numbers = numbersOf(ids);
    expect(await save(item)).toEqual({ accounts: 3 });
    expect([await given(item), await numbersDue(item)]).toEqual([good, null]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['no list', {}],
    ['null', { account_ids_with_updated_auth: null, account_ids_with_new_auth: null }],
    ['empty lists', { account_ids_with_updated_auth: {}, account_ids_with_new_auth: [] }],
    ['a list in the place of an object', { account_ids_with_updated_auth: ['account-1'] }],
    ['a text in the place of a list', { account_ids_with_new_auth: 'account-1' }],
    ['a list of objects', { account_ids_with_new_auth: [{ account_id: 'account-1' }] }],
  ])('are withheld, all of them, when Plaid forbids some without naming them (%s)', async (_name, body) => {
    const item = await itemWithNumbers();
    const webhookId = await told(item, 'AUTH/DEFAULT_UPDATE', body);
    expect(new Set(Object.values(await given(item)))).toEqual(new Set(['account_revoked']));
    expect(await numbersDue(item)).toBe('now');
    await save(item);
    expect(await given(item)).toEqual(good);
    await replayed(item, webhookId);
    expect(await given(item)).toEqual(good);
  });

  it('go when Plaid says that they must not be used, but not for what an operator replays', async () => {
    const item = await itemWithNumbers();
    const webhookId = await told(item, 'AUTH/DEFAULT_UPDATE', { account_ids_with_new_auth: ['account-1'] });
    expect(Object.keys(await given(item))).toEqual(['account-2', 'account-3']);
    await save(item);
    expect(await given(item)).toEqual(good);
    await replayed(item, webhookId);
    expect([await given(item), await numbersDue(item)]).toEqual([good, 'now']);
  });

  it('are not given out where /item/get does not answer, which another webhook waits for', async () => {
    const item = await itemWithNumbers();
    world.plaid.refuse('getItem', 'INVALID_ACCESS_TOKEN', 'INVALID_INPUT');
    await received(item, 'ITEM/ERROR', {});
    await received(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: 'account-2' });
    await told(item, 'AUTH/DEFAULT_UPDATE', { account_ids_with_new_auth: ['account-1'] });
    expect(await given(item)).toEqual({ 'account-2': 'account_revoked', 'account-3': 'good account-3' });
    expect(await numbersDue(item)).toBe('now');
    await expect(world.run.settleItemWebhooks({ itemId: item.itemId })).rejects.toMatchObject({
      type: 'TOKEN_REFUSED',
    });
    world.plaid.refuse('getItem', null);
  });

  it.each([
    'ITEM/USER_ACCOUNT_REVOKED',
    'AUTH/AUTOMATICALLY_VERIFIED',
    'AUTH/VERIFICATION_EXPIRED',
    'AUTH/SMS_MICRODEPOSITS_VERIFICATION',
  ])('are asked for, and the accounts with them, where %s does not say of which', async (name) => {
    const item = await itemWithNumbers();
    const webhookId = await told(item, name, { account_id: null });
    expect((await world.stores.webhooks.get(ourselves, webhookId))?.outcome.state).toBe('done');
    expect([await numbersDue(item), await updateDue(item)]).toEqual(['now', true]);
    if (name === 'ITEM/USER_ACCOUNT_REVOKED') {
      // It may be any of them, till Plaid says whose numbers there are.
      expect(await given(item)).toEqual(Object.fromEntries(ids.map((id) => [id, 'account_revoked'])));
      await save(item);
    }
    expect(await given(item)).toEqual(good);
  });

  it('are not given out once the removal of their Item was asked for', async () => {
    const item = await itemWithNumbers();
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: true });
    expect(await given(item)).toEqual(Object.fromEntries(ids.map((id) => [id, 'item_removed'])));
  });
});

describe('an account that the user revoked', () => {
  const revoke = (item: FakeItem) => told(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: 'account-1' });
  const revoked = async (item: FakeItem): Promise<string[]> => {
    const rows = await world.sql<{ id: string }[]>`
      SELECT account_id AS id FROM accounts WHERE item_id = ${item.itemId} AND revoked_at IS NOT NULL`;
    return rows.map(({ id }) => id);
  };

  it('gives no numbers, and an update is due; they go with the answer that lacks it', async () => {
    const item = await itemWithNumbers();
    await revoke(item);
    expect(await given(item)).toEqual({ ...good, 'account-1': 'account_revoked' });
    expect([await updateDue(item), await numbersDue(item)]).toEqual([true, 'now']);
    await update(item, item.accounts.slice(1));
    expect(Object.keys(await given(item))).toEqual(['account-2', 'account-3']);
    expect(await revoked(item)).toEqual(['account-1']);
  });

  it('is revoked no more when an answer lists it that was asked for after; its numbers are read anew', async () => {
    const item = await itemWithNumbers();
    await revoke(item);
    await update(item, item.accounts.slice(1));
    await update(item, [account('account-1'), ...item.accounts]);
    expect([await revoked(item), await numbersDue(item)]).toEqual([[], 'now']);
    item.numbers = numbersOf(ids, 'new');
    await save(item);
    expect((await given(item))['account-1']).toBe('new account-1');
  });

  it('stays so when an answer lists it that was asked for before, and another update is due', async () => {
    const item = await itemWithNumbers();
    await revoke(item);
    // The update began before the webhook came.
    await world.sql`UPDATE accounts SET revoked_at = clock_timestamp() + interval '1 hour' WHERE item_id = ${item.itemId} AND revoked_at IS NOT NULL`;
    await update(item, item.accounts);
    expect([await revoked(item), await updateDue(item)]).toEqual([['account-1'], true]);
  });

  it('numbers of before are not given out until they are read again, whatever an update lists', async () => {
    const item = await itemWithNumbers();
    await revoke(item);
    await update(item, item.accounts);
    expect(await revoked(item)).toEqual([]);
    expect((await given(item))['account-1']).toBe('account_revoked');
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    expect((await given(item))['account-1']).toBe('account_revoked');
    await save(item);
    expect(await given(item)).toEqual(good);
  });

  it('a replay of the webhook takes nothing, and has Plaid asked', async () => {
    const item = await itemWithNumbers();
    const webhookId = await revoke(item);
    await update(item, item.accounts);
    await save(item);
    await world.sql`UPDATE items SET next_due_at = '2030-01-01' WHERE item_id = ${item.itemId}`;
    await replayed(item, webhookId);
    expect([await given(item), await revoked(item)]).toEqual([good, []]);
    expect([await updateDue(item), await numbersDue(item)]).toEqual([true, 'now']);
  });

  it('a late delivery of the webhook ends with the next answer, and deletes nothing', async () => {
    const item = await itemWithNumbers();
    await revoke(item);
    await update(item, item.accounts);
    await save(item);
    await revoke(item);
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    await update(item, item.accounts);
    await save(item);
    expect([await given(item), await revoked(item)]).toEqual([good, []]);
  });

  it('numbers that were read after the webhook came and before it was acted on stay', async () => {
    const item = await itemWithNumbers();
    await received(item, 'ITEM/USER_ACCOUNT_REVOKED', { account_id: 'account-1' });
    await update(item, item.accounts);
    item.numbers = numbersOf(ids, 'new');
    await save(item);
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect([(await given(item))['account-1'], await revoked(item)]).toEqual(['new account-1', []]);
  });
});

describe('numbers of which nobody says that they are others', () => {
  const asked = (item: FakeItem, ago: string) => world.sql`
    UPDATE items SET numbers_asked_at = clock_timestamp() - ${ago}::interval WHERE item_id = ${item.itemId}`;

  it('are read anew with an update once they are a day old', async () => {
    const item = await itemWithNumbers();
    item.numbers = numbersOf(ids, 'new');
    await asked(item, '23 hours');
    await update(item, item.accounts);
    expect(await numbersDue(item)).toBeNull();
    await asked(item, '25 hours');
    await update(item, item.accounts);
    expect([await numbersDue(item), await given(item)]).toEqual(['now', good]);
    await save(item);
    expect((await given(item))['account-1']).toBe('new account-1');
    await update(item, item.accounts);
    expect(await numbersDue(item)).toBeNull();
  });

  it('are read anew where it is not known when they were read', async () => {
    const item = await itemWithNumbers();
    await world.sql`UPDATE items SET numbers_asked_at = NULL WHERE item_id = ${item.itemId}`;
    await update(item, item.accounts);
    expect(await numbersDue(item)).toBe('now');
  });

  it.each(['PRODUCT_UNAVAILABLE', 'CONSENT_REQUIRED'] as const)(
    'are asked for anew a day after Plaid had none to give (%s)',
    async (refusal) => {
      const item = await world.linkedItem();
      await update(item, [account('account-1', {})]);
      world.plaid.failNext('getNumbers', refusal);
      await save(item);
      await update(item, item.accounts);
      expect(await numbersDue(item)).toBeNull();
      await asked(item, '25 hours');
      await update(item, item.accounts);
      expect(await numbersDue(item)).toBe('now');
      item.numbers = numbersOf(['account-1']);
      await save(item);
      expect(await given(item)).toEqual({ 'account-1': 'good account-1' });
    },
  );

  it('that wait for their time are not asked for sooner', async () => {
    const item = await itemWithNumbers();
    world.plaid.failNext('getNumbers', 'NOT_READY');
    await save(item);
    await asked(item, '25 hours');
    await update(item, item.accounts);
    expect(await numbersDue(item)).toBe('later');
  });
});
