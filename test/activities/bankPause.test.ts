import { askBank } from '../../activities/bankPause.js';
import { Failure } from '../../domain/failures.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());
afterEach(async () => {
  await world.sql`DELETE FROM bank_pauses`;
  world.plaid.calls.length = 0;
});

const down = new Failure('INSTITUTION_DOWN', 'the bank is down');
const dueAt = { complete: '2026-11-22T00:00:00.000Z', incomplete: '2026-11-21T00:00:00.000Z' };
const mine = (item: FakeItem, updateId: string) =>
  world.run.minePage({ itemId: item.itemId, updateId, page: 0, dueAt });
const asked = (): number => world.plaid.calls.filter((call) => call.startsWith('syncTransactions')).length;
const pauseIsOver = () => world.sql`UPDATE bank_pauses SET next_try_at = clock_timestamp()`;
const pauseOf = async (institutionId: string) =>
  (
    await world.sql<{ failures: number; seconds: number }[]>`
      SELECT failures, extract(epoch FROM next_try_at - clock_timestamp())::float8 AS seconds
      FROM bank_pauses WHERE institution_id = ${institutionId}`
  )[0];

async function items(count: number): Promise<FakeItem[]> {
  const made: FakeItem[] = [];
  for (let n = 0; n < count; n += 1) {
    const item = await world.linkedItem();
    item.page('', 'c1', {});
    made.push(item);
  }
  return made;
}

/** Two Items of it are refused: the bank is known to be down. */
async function takenDown(first: FakeItem, second: FakeItem): Promise<void> {
  for (const item of [first, second]) {
    world.plaid.failNext('syncTransactions', down);
    await expect(mine(item, 'down')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN', nonRetryable: true });
  }
}

describe('a bank that is down', () => {
  it('is asked for one of its Items, at once for no attempt more, and for those of other banks it changes nothing', async () => {
    const made = await items(4);
    const [first, second, third, other] = made as [FakeItem, FakeItem, FakeItem, FakeItem];
    await world.sql`UPDATE items SET institution_id = 'ins_other' WHERE item_id = ${other.itemId}`;
    await takenDown(first, second);
    expect(asked()).toBe(2);
    for (const item of [first, second, third])
      await expect(mine(item, 'u2')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN', nonRetryable: true });
    expect(asked()).toBe(2);
    expect(await mine(other, 'u3')).toMatchObject({ kind: 'applied' });
  });

  it('is asked by one of many when its pause is over; an answer ends the pause for all, a refusal doubles it', async () => {
    const made = await items(4);
    await takenDown(made[2] as FakeItem, made[3] as FakeItem);
    const before = await pauseOf('ins_1');
    await pauseIsOver();
    world.plaid.failNext('syncTransactions', down);
    const ends = await Promise.allSettled(made.map((item) => mine(item, 'u2')));
    expect(ends.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    expect(asked()).toBe(3);
    const after = await pauseOf('ins_1');
    expect([before?.failures, after?.failures]).toEqual([1, 2]);
    expect((after?.seconds ?? 0) / (before?.seconds ?? 1)).toBeGreaterThan(1.5);
    await pauseIsOver();
    expect(await mine(made[3] as FakeItem, 'u3')).toMatchObject({ kind: 'applied' });
    expect(await pauseOf('ins_1')).toBeUndefined();
    for (const item of made.slice(0, 3)) expect(await mine(item, 'u4')).toMatchObject({ kind: 'applied' });
  });

  it('is asked next by another Item than the one that was refused last; by that one after two pauses', async () => {
    const [first, second, third] = (await items(3)) as [FakeItem, FakeItem, FakeItem];
    await takenDown(first, second);
    await pauseIsOver();
    await expect(mine(second, 'u2')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    expect(asked()).toBe(2);
    expect(await mine(third, 'u2')).toMatchObject({ kind: 'applied' });
    await takenDown(first, second);
    await world.sql`UPDATE bank_pauses SET next_try_at = clock_timestamp() - interval '61 seconds'`;
    expect(await mine(second, 'u3')).toMatchObject({ kind: 'applied' });
  });

  it('is up by any word of it, also of a login that has ended; not by an outage of Plaid', async () => {
    const [first, second, third] = (await items(3)) as [FakeItem, FakeItem, FakeItem];
    await takenDown(second, third);
    await pauseIsOver();
    world.plaid.failNext('syncTransactions', new Failure('UPSTREAM_DOWN', 'Plaid is down'));
    await expect(mine(first, 'u2')).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await pauseOf('ins_1')).toBeDefined();
    await pauseIsOver();
    world.plaid.failNext('syncTransactions', new Failure('LOGIN_REQUIRED', 'its user is to log in'));
    expect(await mine(first, 'u3')).toMatchObject({ kind: 'doubted' });
    expect(await pauseOf('ins_1')).toBeUndefined();
    expect(await mine(second, 'u4')).toMatchObject({ kind: 'applied' });
  });

  it('is told down by thousands that had asked already, and waits no longer for it', async () => {
    const { banks } = world.stores;
    await Promise.all(Array.from({ length: 20 }, (_, n) => banks.noteDown('ins_many', `item-${n}`, false)));
    expect((await pauseOf('ins_many'))?.failures).toBe(1);
  });

  it('whose pause an operator ends, in a transaction that stays open, keeps no connection from the Items of other banks', async () => {
    const made = await items(12);
    const [first, second, other, ...many] = made as [FakeItem, FakeItem, FakeItem, ...FakeItem[]];
    await world.sql`UPDATE items SET institution_id = 'ins_other' WHERE item_id = ${other.itemId}`;
    await takenDown(first, second);
    await pauseIsOver();
    const { stores } = world;
    await world.sql.begin(async (tx) => {
      await tx`DELETE FROM bank_pauses`;
      const held = many.map((item) =>
        expect(mine(item, 'u1')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' }),
      );
      expect(await mine(other, 'u2')).toMatchObject({ kind: 'applied' });
      await Promise.all(held);
      const late = { type: 'UPSTREAM_DOWN', message: expect.stringContaining('55P03') as unknown };
      await expect(stores.banks.noteUp('ins_1')).rejects.toMatchObject(late);
      await expect(stores.banks.noteDown('ins_1', first.itemId, true)).rejects.toMatchObject(late);
    });
    for (const item of many) expect(await mine(item, 'u3')).toMatchObject({ kind: 'applied' });
  });

  it('whose pause somebody holds: what an Item was answered counts, and what it was refused for', async () => {
    const [odd, healthy, ended] = (await items(3)) as [FakeItem, FakeItem, FakeItem];
    world.plaid.failNext('syncTransactions', down);
    await expect(mine(odd, 'u1')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    await world.sql.begin(async (tx) => {
      await tx`DELETE FROM bank_pauses`;
      expect(await mine(healthy, 'u1')).toMatchObject({ kind: 'applied' });
      world.plaid.failNext('syncTransactions', new Failure('LOGIN_REQUIRED', 'its user is to log in'));
      expect(await mine(ended, 'u1')).toMatchObject({ kind: 'doubted' });
    });
    // What no waiting mends would keep the bank's Items in its pause, one at a time, for good.
    const noteUp = (): Promise<void> => Promise.reject(new Failure('MISCONFIGURED', 'no right to delete'));
    const run = world.runWith({ banks: { ...world.stores.banks, noteUp } });
    world.plaid.failNext('syncTransactions', down);
    await expect(mine(odd, 'u2')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    const late = { itemId: healthy.itemId, updateId: 'u2', page: 0, dueAt };
    await expect(run.minePage(late)).rejects.toMatchObject({ type: 'MISCONFIGURED' });
  });

  it('is asked anew when a probe was lost, and no pause is longer than half an hour', async () => {
    const { banks } = world.stores;
    await banks.noteDown('ins_long', 'item-1', true);
    await world.sql`UPDATE bank_pauses SET failures = 1000`;
    await pauseIsOver();
    const enter = () => banks.enter('ins_long', 'item-2');
    expect([await enter(), await enter()]).toEqual(['probe', 'paused']);
    await pauseIsOver();
    expect(await enter()).toBe('probe');
    await banks.noteDown('ins_long', 'item-2', false);
    expect((await pauseOf('ins_long'))?.seconds).toBeLessThanOrEqual(1_800);
  });

  it('has a rate limit of its own, of which one Item speaks for all', async () => {
    const [first, second] = (await items(2)) as [FakeItem, FakeItem];
    const upstream = {
      error_type: 'RATE_LIMIT_EXCEEDED',
      error_code: 'INSTITUTION_RATE_LIMIT',
      request_id: null,
    };
    world.plaid.failNext(
      'syncTransactions',
      new Failure('RATE_LIMITED', 'too many for the bank', { upstream, retryAfterMs: 900_000 }),
    );
    await expect(mine(first, 'u1')).rejects.toMatchObject({ type: 'RATE_LIMITED', nonRetryable: true });
    await expect(mine(second, 'u1')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    expect(asked()).toBe(1);
    // What Plaid asks one Item to wait for the bank the others wait, too.
    expect((await pauseOf('ins_1'))?.seconds).toBeGreaterThan(600);
  });

  it('is no matter of an Item without an institution', async () => {
    const item = { institutionId: null, itemId: 'item-1' };
    const call = (): Promise<never> => Promise.reject(down);
    for (let n = 0; n < 2; n += 1) await expect(askBank(world.stores.banks, item, call)).rejects.toBe(down);
  });
});

describe('one Item that is refused for its bank, again and again', () => {
  it('is a suspicion, and keeps no other Item waiting', async () => {
    const [odd, healthy] = (await items(2)) as [FakeItem, FakeItem];
    for (const update of ['u1', 'u2', 'u3']) {
      world.plaid.failNext('syncTransactions', down);
      await expect(mine(odd, update)).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
      expect((await pauseOf('ins_1'))?.failures).toBe(0);
    }
    expect(await mine(healthy, 'u1')).toMatchObject({ kind: 'applied' });
    expect(await pauseOf('ins_1')).toBeUndefined();
  });

  it('is forgotten after a while: two Items in a day are no outage', async () => {
    const [odd, other] = (await items(2)) as [FakeItem, FakeItem];
    world.plaid.failNext('syncTransactions', down);
    await expect(mine(odd, 'u1')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    await world.sql`UPDATE bank_pauses SET next_try_at = clock_timestamp() - interval '11 minutes'`;
    world.plaid.failNext('syncTransactions', down);
    await expect(mine(other, 'u1')).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    expect((await pauseOf('ins_1'))?.failures).toBe(0);
  });

  it('is refused its numbers only: what is asked for by `/auth/get` keeps nobody from transactions', async () => {
    const [odd, healthy] = (await items(2)) as [FakeItem, FakeItem];
    for (const { itemId } of [odd, healthy]) {
      world.plaid.failNext('getNumbers', down);
      await expect(world.run.saveNumbers({ itemId })).rejects.toMatchObject({ type: 'INSTITUTION_DOWN' });
    }
    expect(await pauseOf('ins_1')).toBeUndefined();
    expect(await mine(healthy, 'u1')).toMatchObject({ kind: 'applied' });
  });
});
