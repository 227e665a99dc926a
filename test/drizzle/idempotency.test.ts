import { createStores } from '../../drizzle/index.js';
import { openDatabase } from '../../src/clients/postgres.js';
import type { KeyedRequest, StoredAnswer } from '../../domain/ports/idempotency.js';
import type { World } from './world.js';
import { newId, openWorld, sealed } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const minute = 60_000;
const request = (changes: Partial<KeyedRequest> = {}): KeyedRequest => ({
  application_id: 'default',
  method: 'POST',
  path: '/v1/users/user-1/items',
  key: newId('key'),
  requestHash: 'hash-1',
  ...changes,
});
const answer = (text: string): StoredAnswer => ({
  status: 201,
  contentType: 'application/json; charset=utf-8',
  answer: sealed(text),
});
const endOf = async (column: 'leased_until' | 'expires_at', { key }: KeyedRequest): Promise<void> => {
  await world.sql`
    UPDATE idempotency_keys SET ${world.sql(column)} = clock_timestamp() - interval '1 second' WHERE key = ${key}`;
};

describe('a key that is free', () => {
  it('lets one of many run, over two processes', async () => {
    const other = openDatabase(world.url, { max: 12 });
    try {
      const stores = [world.stores, createStores(other)];
      for (let round = 0; round < 5; round += 1) {
        const keyed = request();
        const turns = await Promise.all(
          Array.from({ length: 16 }, (_, n) =>
            stores[n % 2]!.idempotency.begin(keyed, `runner-${n}`, minute),
          ),
        );
        expect(turns.filter(({ kind }) => kind === 'run').length).toBe(1);
        expect(turns.filter(({ kind }) => kind === 'running').length).toBe(15);
      }
    } finally {
      await other.end({ timeout: 5 });
    }
  });

  it('is one of its application, method and path alone, and case-sensitive', async () => {
    const { idempotency } = world.stores;
    const keyed = request({ key: newId('Key') });
    const others = [
      { application_id: 'other' },
      { method: 'DELETE' },
      { path: '/v1/users/user-2/items' },
      { key: keyed.key.toLowerCase() },
    ];
    for (const changes of [{}, ...others]) {
      expect(await idempotency.begin({ ...keyed, ...changes }, newId('runner'), minute)).toMatchObject({
        kind: 'run',
      });
    }
    const two = [keyed, { ...keyed, application_id: 'third' }];
    await idempotency.begin(two[1]!, 'third', minute);
    expect(await idempotency.finish(two[1]!, 'third', answer('of the third'), null)).toBe(true);
    expect(await Promise.all(two.map((one) => idempotency.begin(one, 'again', minute)))).toMatchObject([
      { kind: 'running' },
      { kind: 'replay' },
    ]);
  });
});

describe('a key that runs', () => {
  it('says how long, tells another request nothing, and is taken over once when the lease ends', async () => {
    const { idempotency } = world.stores;
    const keyed = request();
    await idempotency.begin(keyed, 'first', minute);
    const turn = await idempotency.begin(keyed, 'second', minute);
    expect(turn).toEqual({ kind: 'running', retryAfterMs: expect.any(Number) });
    const left = turn.kind === 'running' ? turn.retryAfterMs : -1;
    expect(left > 0 && left <= minute).toBe(true);
    expect(await idempotency.begin({ ...keyed, requestHash: 'hash-2' }, 'second', minute)).toEqual({
      kind: 'reused',
    });

    await endOf('leased_until', keyed);
    // What the first request did is unknown: its key stays its own.
    expect(await idempotency.begin({ ...keyed, requestHash: 'hash-2' }, 'second', minute)).toEqual({
      kind: 'reused',
    });
    const turns = await Promise.all(
      ['second', 'third', 'fourth'].map((runner) => idempotency.begin(keyed, runner, minute)),
    );
    expect(turns.map(({ kind }) => kind).sort()).toEqual(['run', 'running', 'running']);
    // The first wakes up after its time: the turn is another's.
    expect(await idempotency.finish(keyed, 'first', answer('late'), null)).toBe(false);
    await idempotency.release(keyed, 'first');
    expect((await idempotency.begin(keyed, 'fifth', minute)).kind).toBe('running');
  });

  it('may be given back, and then runs again', async () => {
    const { idempotency } = world.stores;
    const keyed = request();
    await idempotency.begin(keyed, 'first', minute);
    await idempotency.release(keyed, 'first');
    expect(await idempotency.begin({ ...keyed, requestHash: 'hash-2' }, 'second', minute)).toEqual({
      kind: 'reused',
    });
    expect(await idempotency.begin(keyed, 'second', minute)).toMatchObject({ kind: 'run' });
  });
});

describe('what a request makes', () => {
  const effectOf = async (keyed: KeyedRequest, runner: string) => {
    const turn = await world.stores.idempotency.begin(keyed, runner, minute);
    if (turn.kind !== 'run') throw new Error(turn.kind);
    return {
      effectId: turn.effectId,
      prepared: turn.prepared && Buffer.from(turn.prepared.ciphertext).toString(),
    };
  };

  it('has one name in every run of it, and keeps what was set down', async () => {
    const { idempotency } = world.stores;
    const keyed = request();
    const first = await effectOf(keyed, 'first');
    expect(first).toEqual({ effectId: expect.stringMatching(/^[0-9a-f-]{36}$/), prepared: null });
    expect((await effectOf(request(), 'other')).effectId).not.toBe(first.effectId);
    expect(await idempotency.prepare(keyed, 'first', sealed('secret'))).toBe(true);
    await endOf('leased_until', keyed);
    expect(await effectOf(keyed, 'second')).toEqual({ ...first, prepared: 'secret' });
    // Whoever has lost the turn has to leave it alone.
    expect(await idempotency.prepare(keyed, 'first', sealed('late'))).toBe(false);
    await idempotency.release(keyed, 'second');
    expect(await effectOf(keyed, 'third')).toEqual({ ...first, prepared: 'secret' });
    expect(await idempotency.finish(keyed, 'third', answer('yes'), null)).toBe(true);
    expect(await idempotency.prepare(keyed, 'third', sealed('late'))).toBe(false);
    const turn = await idempotency.begin(keyed, 'fourth', minute);
    expect(turn.kind === 'replay' && Buffer.from(turn.answer.answer.ciphertext).toString()).toBe('yes');
  });

  it('is another when the key has had its day, running or answered', async () => {
    const { idempotency } = world.stores;
    for (const answered of [false, true]) {
      const keyed = request();
      const first = await effectOf(keyed, 'first');
      await idempotency.prepare(keyed, 'first', sealed('secret'));
      if (answered) await idempotency.finish(keyed, 'first', answer('yes'), null);
      await world.sql`UPDATE idempotency_keys SET effect = 'done' WHERE key = ${keyed.key}`;
      await endOf('expires_at', keyed);
      const second = await effectOf(keyed, 'second');
      expect(second.prepared).toBeNull();
      expect(second.effectId).not.toBe(first.effectId);
      const [row] = await world.sql`SELECT effect FROM idempotency_keys WHERE key = ${keyed.key}`;
      expect(row).toEqual({ effect: null });
    }
  });

  it('gets a name when a process of the release before has begun it', async () => {
    const keyed = request();
    await effectOf(keyed, 'first');
    await world.sql`UPDATE idempotency_keys SET effect_id = NULL WHERE key = ${keyed.key}`;
    await endOf('leased_until', keyed);
    const { effectId } = await effectOf(keyed, 'second');
    await endOf('leased_until', keyed);
    expect((await effectOf(keyed, 'third')).effectId).toBe(effectId);
    expect(effectId).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('a key with an answer', () => {
  it('gives it to its own request, and cannot be given back', async () => {
    const { idempotency } = world.stores;
    const keyed = request();
    await idempotency.begin(keyed, 'first', minute);
    expect(await idempotency.finish(keyed, 'first', answer('yes'), null)).toBe(true);
    expect(await idempotency.finish(keyed, 'first', answer('no'), null)).toBe(false);
    await idempotency.release(keyed, 'first');
    await endOf('leased_until', keyed);
    const turn = await idempotency.begin(keyed, 'second', minute);
    expect(turn).toEqual({
      kind: 'replay',
      answer: expect.objectContaining({ status: 201, contentType: 'application/json; charset=utf-8' }),
    });
    const stored = turn.kind === 'replay' ? Buffer.from(turn.answer.answer.ciphertext).toString() : '';
    expect(stored).toBe('yes');
    expect(await idempotency.begin({ ...keyed, requestHash: 'hash-2' }, 'second', minute)).toEqual({
      kind: 'reused',
    });
  });

  it('is free again when its day is over, and before, when the answer says so', async () => {
    const { idempotency } = world.stores;
    const keyed = request();
    await idempotency.begin(keyed, 'first', minute);
    await idempotency.finish(keyed, 'first', answer('yes'), '2999-01-01T00:00:00Z');
    const [row] = await world.sql<[{ bounded: boolean }]>`
      SELECT expires_at <= clock_timestamp() + interval '24 hours' AS bounded FROM idempotency_keys
      WHERE key = ${keyed.key}`;
    expect(row.bounded).toBe(true);
    await endOf('expires_at', keyed);
    const turns = await Promise.all(
      ['second', 'third'].map((runner) =>
        idempotency.begin({ ...keyed, requestHash: `hash-${runner}` }, runner, minute),
      ),
    );
    expect(turns.map(({ kind }) => kind).sort()).toEqual(['reused', 'run']);

    const short = request();
    await idempotency.begin(short, 'first', minute);
    await idempotency.finish(short, 'first', answer('yes'), '2001-01-01T00:00:00Z');
    expect(await idempotency.begin(short, 'second', minute)).toMatchObject({ kind: 'run' });
  });

  it('is deleted when its time is over, so many at a time, and no other', async () => {
    const { idempotency } = world.stores;
    await world.sql`DELETE FROM idempotency_keys`;
    const keys = Array.from({ length: 5 }, () => request());
    for (const keyed of keys) await idempotency.begin(keyed, 'first', minute);
    for (const keyed of keys.slice(0, 3)) await endOf('expires_at', keyed);
    expect(await idempotency.deleteExpired(2)).toBe(2);
    expect(await idempotency.deleteExpired(2)).toBe(1);
    expect(await idempotency.deleteExpired(2)).toBe(0);
    const left = await world.sql<{ key: string }[]>`SELECT key FROM idempotency_keys`;
    expect(left.map(({ key }) => key).sort()).toEqual(
      keys
        .slice(3)
        .map(({ key }) => key)
        .sort(),
    );
  });
});
