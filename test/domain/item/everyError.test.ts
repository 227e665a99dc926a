import fc from 'fast-check';
import type { FailureType } from '../../../domain/failures.js';
import { beginsEpisode, failureTypeOf, plaidErrors } from '../../../domain/plaidErrors.js';
import { Life } from '../../../tools/faults/core/life.js';
import type { Call } from '../../../tools/faults/core/memoryItem.js';
import { itemId, MemoryItem, MoodyPlaid } from '../../../tools/faults/core/memoryItem.js';

/**
 * The rule: an Item is at any time either healthy, or shows clients and operators why not and what ends it; and whatever an
 * operator does by the runbook frees it. The reducer, the next step, the activities and the table of codes are the real ones;
 * Plaid refuses any call with any code, the row is in memory, and time is a number.
 */

const t0 = Date.UTC(2026, 0, 1);
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const realNow = Date.now;
const clock = { now: t0 };
beforeAll(() => {
  Date.now = () => clock.now;
});
afterAll(() => {
  Date.now = realNow;
});

function begin(mined: boolean): Life {
  clock.now = t0;
  const row = new MemoryItem(() => clock.now);
  if (mined) Object.assign(row, { cursor: 'c1', history: 'complete', lastUpdateAt: t0 });
  return new Life(clock, new MoodyPlaid(), row);
}

const typeOfCode: Record<string, string> = {
  ITEM_LOGIN_REQUIRED: 'ITEM_ERROR',
  INSTITUTION_DOWN: 'INSTITUTION_ERROR',
};
const error = fc
  .constantFrom(...Object.keys(plaidErrors), 'A_CODE_OF_TOMORROW')
  .map((error_code) => ({ error_type: typeOfCode[error_code] ?? 'ITEM_ERROR', error_code }));
const calls: Call[] = ['item', 'getItem', 'sync', 'accounts', 'auth', 'transactions', 'remove'];
/** Most calls go well, else no answer would ever depend on two of them. */
const mood = fc
  .tuple(...calls.map(() => fc.option(error, { freq: 3, nil: null })))
  .map((errors) => calls.flatMap((call, at) => (errors[at] ? [[call, errors[at]] as const] : [])));

type Act =
  | 'relinked'
  | 'remine'
  | 'terminate'
  | 'remove'
  | 'login'
  | 'update'
  | 'history'
  | 'removals'
  | 'errored'
  | 'repaired'
  | 'revoked'
  | 'numbersChanged'
  | 'linked'
  | 'update, unheard'
  | 'errored, unheard'
  | 'remine, unheard'
  | 'connected'
  | 'disconnected'
  | 'child ended';

function act(life: Life, name: Act): void {
  const item = (webhook_code: string, more: object = {}): void =>
    life.webhook('item', { webhook_type: 'ITEM', webhook_code, item_id: itemId, ...more });
  switch (name) {
    case 'relinked':
      return life.relinked();
    case 'remine':
      return life.remine();
    case 'terminate':
      return life.terminate();
    case 'remove':
      return life.remove();
    case 'login':
    case 'update':
      return life.webhook('update');
    case 'history':
      return life.webhook('history');
    case 'removals':
      return life.webhook('removals');
    case 'update, unheard':
      return life.lose('update');
    case 'errored, unheard':
      return life.lose('item', { webhook_type: 'ITEM', webhook_code: 'ERROR', item_id: itemId });
    case 'remine, unheard':
      return life.row.askForRemine();
    case 'connected':
      return life.row.connect();
    case 'disconnected':
      life.row.unconnected = true;
      return life.hear({ kind: 'foundDue' });
    case 'child ended':
      return life.endChild();
    case 'errored':
      return item('ERROR', { error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' } });
    case 'repaired':
      return item('LOGIN_REPAIRED');
    case 'revoked':
      return item('USER_PERMISSION_REVOKED');
    case 'numbersChanged':
      return life.webhook('item', {
        webhook_type: 'AUTH',
        webhook_code: 'DEFAULT_UPDATE',
        item_id: itemId,
        account_ids_with_updated_auth: { 'account-1': ['ACCOUNT_NUMBER'] },
      });
    case 'linked':
      return life.hear({ kind: 'linked' });
  }
}

const anyAct = fc.constantFrom<Act>(
  'relinked',
  'remine',
  'terminate',
  'login',
  'update',
  'removals',
  'errored',
  'repaired',
  'revoked',
  'numbersChanged',
  'linked',
  'history',
  'update, unheard',
  'errored, unheard',
  'remine, unheard',
  'connected',
  'disconnected',
  'child ended',
);
const happenings = fc.array(
  fc.record({
    mood: fc.option(mood, { nil: null }),
    acts: fc.array(anyAct, { maxLength: 3 }),
    lasts: fc.constantFrom(1_000, minute, hour, day),
  }),
  { maxLength: 5 },
);

type Story = typeof happenings extends fc.Arbitrary<infer Told> ? Told : never;

async function through(life: Life, story: Story): Promise<void> {
  for (const { mood: next, acts, lasts } of story) {
    if (next !== null) {
      life.plaid.mood.clear();
      for (const [call, said] of next) life.plaid.mood.set(call, said);
    }
    for (const name of acts) act(life, name);
    await life.until(clock.now + lasts);
  }
}

/** What neither waiting nor a user mends is told to operators. */
const alerts: Partial<Record<FailureType, string>> = {
  PRODUCT_UNAVAILABLE: 'product_unavailable',
  MISCONFIGURED: 'plaid_misconfigured',
  TOKEN_REFUSED: 'token_refused',
  BAD_REQUEST: 'update_stuck',
};

/** That an Item whose updates Plaid refuses shows it, by the table of codes. */
function isShown(life: Life): void {
  const { plaid, row, state } = life;
  // The row and the working copy agree.
  expect(state.phase === 'needs_relink').toBe(row.error !== null);
  const [sync, accounts] = [plaid.mood.get('sync'), plaid.mood.get('accounts')];
  // Without transactions the accounts are asked for all the same.
  const goesOn = sync === undefined || failureTypeOf(sync) === 'PRODUCT_UNAVAILABLE';
  const said = goesOn ? (accounts ?? sync) : sync;
  const type = said === undefined ? null : (failureTypeOf(said) ?? 'UPSTREAM_DOWN');
  const { clients, operators } = life.shown();
  expect(clients).toBe(operators);
  // Its webhook was lost, and Plaid goes on serving what it has: the time-out finds it.
  const ended = failureTypeOf(plaid.mood.get('item') ?? { error_type: '', error_code: '' });
  if (ended !== null && beginsEpisode(ended) && plaid.mood.get('getItem') === undefined)
    expect([plaid.mood, row.error]).not.toEqual([plaid.mood, null]);
  if (type === null || (type === 'NOT_READY' && !state.hasCursor)) return;
  expect([said, clients, operators]).toEqual([said, true, true]);
  // A login, or a consent, is asked for where one helps; an outage sends nobody to Link.
  if (beginsEpisode(type) && plaid.mood.get('getItem') === undefined) expect(row.error).not.toBeNull();
  const alert = alerts[type];
  if (alert !== undefined && row.error === null && state.hasCursor) {
    expect([said, [...row.alerts]]).toEqual([said, expect.arrayContaining([alert])]);
  }
  if (goesOn && accounts === undefined && row.error === null) expect(row.accountsOpen).toBe(true);
}

/** Longer than the longest pause, and than the time-out of an idle Item. */
const bound = 3 * day;

describe('an Item, whatever Plaid answers', () => {
  it('is healthy, or shows why not, and is told of once, for as long as Plaid is the same', async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), happenings, mood, async (mined, story, last) => {
        const life = begin(mined);
        await through(life, story);
        act(life, 'connected');
        life.plaid.mood.clear();
        for (const [call, said] of last) life.plaid.mood.set(call, said);
        await life.until(clock.now + bound);
        const { length: told } = life.row.announced;
        const before = life.steps;
        for (let time = 0; time < 16; time += 1) {
          await life.until(clock.now + 6 * hour);
          isShown(life);
        }
        // One lasting state: neither pairs of errored and repaired, nor circles.
        expect(life.row.announced.length).toBe(told);
        expect(life.steps - before).toBeLessThan(4_000);
        expect(life.row.announced).toEqual(
          life.row.announced.map((_, at) => (at % 2 === 0 ? 'errored' : 'repaired')),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('is asked after once a day while its updates and a remine that is repeated bring nothing by turns', async () => {
    const life = begin(false);
    life.remine();
    await life.until(clock.now + 1);
    // Plaid has no transactions of it any more, and the webhook of its login's end is lost.
    life.plaid.mood.set('sync', { error_type: 'ITEM_ERROR', error_code: 'PRODUCTS_NOT_SUPPORTED' });
    life.plaid.mood.set('item', { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' });
    await life.until(clock.now + 7 * day);
    expect(life.row.error).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED' });
  });

  it('is freed by whatever an operator does, and by time alone, once Plaid is well again', async () => {
    const ways = fc.constantFrom<Act | 'nothing'>(
      ...([
        'relinked',
        'remine',
        'remine, unheard',
        'terminate',
        'login',
        'update, unheard',
        'nothing',
      ] as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.boolean(), happenings, ways, async (mined, story, way) => {
        const life = begin(mined);
        await through(life, story);
        act(life, 'connected');
        life.plaid.mood.clear();
        if (way !== 'nothing') act(life, way);
        await life.until(clock.now + bound);
        expect(life.row.error).toBeNull();
        expect(life.state).toMatchObject({ phase: 'idle', run: null, child: null, failing: {} });
        expect(life.row).toMatchObject({ webhooks: [], remineRequested: false, history: 'complete' });
        expect([...life.row.due]).toEqual([]);
        expect(life.row.announced.length % 2).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('is removed once Plaid lets it, and shows till then why it is not', async () => {
    await fc.assert(
      fc.asyncProperty(happenings, fc.option(error, { nil: null }), async (story, refused) => {
        const life = begin(true);
        await through(life, story);
        act(life, 'connected');
        life.plaid.mood.clear();
        if (refused !== null) life.plaid.mood.set('remove', refused);
        act(life, 'remove');
        await life.until(clock.now + bound);
        if (!life.row.removed) expect(life.shown()).toEqual({ clients: true, operators: true });
        life.plaid.mood.clear();
        await life.until(clock.now + bound);
        expect([life.row.removed, life.state.phase]).toEqual([true, 'removed']);
      }),
      { numRuns: 40 },
    );
  });
});
