import { Failure } from '../../domain/failures.js';
import type { World } from './world.js';
import { newId, openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const minute = 60_000;
const madeAt = '2026-11-20T10:00:00.123Z';
const store = () => world.stores.userEvents;
/** A stream with one shard that `owner` has a lease of. */
async function leased(owner = 'me') {
  const stream = newId('stream');
  await store().note(stream, [{ shardId: 's', parents: [] }], madeAt);
  expect(await store().acquire(stream, { shardId: 's', from: null }, owner, minute)).toEqual({
    checkpoint: null,
  });
  return stream;
}
const end = (stream: string) =>
  world.sql`UPDATE user_event_shards SET leased_until = clock_timestamp() WHERE stream = ${stream}`;
const checkpointOf = async (stream: string) =>
  (await world.sql`SELECT checkpoint FROM user_event_shards WHERE stream = ${stream}`)[0]?.['checkpoint'];

describe('a shard', () => {
  it('is noted once, and its parents with it', async () => {
    const stream = newId('stream');
    const child = { shardId: 'child', parents: ['a', 'b'] };
    await store().note(stream, [child], madeAt);
    await store().note(stream, [{ shardId: 'a', parents: [] }, child], madeAt);
    expect(await store().leases(stream)).toEqual([
      { shardId: 'a', parents: [], finished: false, owner: null, live: false },
      { ...child, finished: false, owner: null, live: false },
    ]);
    expect(await store().leases(newId('stream'))).toEqual([]);
  });

  it('is had by one of many who claim it at once', async () => {
    const stream = newId('stream');
    await store().note(stream, [{ shardId: 's', parents: [] }], madeAt);
    const claims = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        store().acquire(stream, { shardId: 's', from: null }, `l${n}`, minute),
      ),
    );
    expect(claims.filter((claim) => claim !== null)).toEqual([{ checkpoint: null }]);
  });

  it('is not taken while its lease runs, unless from the owner that was seen', async () => {
    const stream = await leased();
    expect(await store().acquire(stream, { shardId: 's', from: null }, 'me', minute)).not.toBeNull();
    const claim = (from: string | null) => store().acquire(stream, { shardId: 's', from }, 'other', minute);
    expect(await claim(null)).toBeNull();
    expect(await claim('somebody')).toBeNull();
    await store().checkpoint(stream, 's', 'me', null, '7');
    expect(await claim('me')).toEqual({ checkpoint: '7' });
    expect(await store().renew(stream, ['s'], 'me', minute)).toEqual([]);
    expect(await store().renew(stream, ['s', 'absent'], 'other', minute)).toEqual(['s']);
  });

  it('is free when its lease has ended or was given up', async () => {
    const stream = await leased();
    await end(stream);
    expect(await store().leases(stream)).toMatchObject([{ owner: 'me', live: false }]);
    expect(await store().acquire(stream, { shardId: 's', from: null }, 'other', minute)).not.toBeNull();
    await store().release(stream, 'me');
    expect(await store().leases(stream)).toMatchObject([{ owner: 'other', live: true }]);
    await store().release(stream, 'other');
    expect(await store().leases(stream)).toMatchObject([{ owner: null, live: false }]);
  });
});

describe('a checkpoint', () => {
  it('moves only while the lease runs, for its owner, and from where it stands', async () => {
    const stream = await leased();
    const move = (owner: string, from: string | null, to: string) =>
      store().checkpoint(stream, 's', owner, from, to);
    expect(await move('other', null, '5')).toBe(false);
    expect(await move('me', '4', '5')).toBe(false);
    expect(await move('me', null, '5')).toBe(true);
    expect(await move('me', null, '3')).toBe(false);
    expect(await move('me', '5', '6')).toBe(true);
    await end(stream);
    expect(await move('me', '6', '7')).toBe(false);
    expect(await store().finish(stream, 's', 'me')).toBe(false);
    expect(await checkpointOf(stream)).toBe('6');
  });

  it('is the last of a shard that is finished: nobody claims or renews it', async () => {
    const stream = await leased();
    expect(await store().finish(stream, 's', 'other')).toBe(false);
    expect(await store().finish(stream, 's', 'me')).toBe(true);
    expect(await store().leases(stream)).toMatchObject([{ finished: true, owner: null }]);
    expect(await store().acquire(stream, { shardId: 's', from: null }, 'me', minute)).toBeNull();
    expect(await store().renew(stream, ['s'], 'me', minute)).toEqual([]);
  });
});

describe('a record that is no event', () => {
  it('is parked once, cut, with one alert that quotes nothing of it', async () => {
    const stream = newId('stream');
    const data = Buffer.concat([Buffer.from('canary'), Buffer.alloc(10_000, 0)]);
    for (let time = 0; time < 2; time += 1) {
      await store().park(stream, 's', { sequenceNumber: '7', arrivedAt: null, data }, 'not_json');
    }
    const parked = await world.sql`SELECT shard_id, sequence_number, data, reason FROM parked_events
      WHERE stream = ${stream}`;
    expect(parked).toEqual([
      { shard_id: 's', sequence_number: '7', data: data.subarray(0, 4_096), reason: 'not_json' },
    ]);
    const alerts = await world.sql`SELECT item_id, detail FROM alerts
      WHERE kind = 'event_parked' AND key = ${`${stream}/s/7`}`;
    expect(alerts).toEqual([
      { item_id: null, detail: { stream, shard_id: 's', sequence_number: '7', reason: 'not_json' } },
    ]);
  });
});

it('what the calendar refuses is told as something that no repeat will mend', async () => {
  const float = { userId: newId('user'), floatId: 'f', status: 'active' as const };
  const told = world.stores.floats.record({ ...float, occurredAt: '2026-02-30T00:00:00Z', by: null });
  await expect(told).rejects.toBeInstanceOf(Failure);
  await expect(told).rejects.toMatchObject({ type: 'BAD_REQUEST' });
});

describe('a stream that was deleted and made again', () => {
  const later = '2026-11-20T10:00:00.124Z';
  const row = async (stream: string) =>
    (
      await world.sql`SELECT checkpoint, owner, finished_at, parents FROM user_event_shards WHERE stream = ${stream}`
    )[0];
  const note = (stream: string, at: string, parents: string[] = []) =>
    store().note(stream, [{ shardId: 's', parents }], at);

  it('is read from the beginning: what was known of its shards is forgotten, and its reader loses the lease', async () => {
    const stream = await leased();
    await store().checkpoint(stream, 's', 'me', null, '7');
    expect(await note(stream, madeAt)).toEqual([]);
    expect(await row(stream)).toMatchObject({ checkpoint: '7', owner: 'me' });
    expect(await note(stream, later)).toEqual(['s']);
    expect(await row(stream)).toMatchObject({ checkpoint: null, owner: null });
    expect(await store().renew(stream, ['s'], 'me', minute)).toEqual([]);
    expect(await store().checkpoint(stream, 's', 'me', '7', '8')).toBe(false);
    expect(await store().finish(stream, 's', 'me')).toBe(false);
    expect(await store().acquire(stream, { shardId: 's', from: null }, 'other', minute)).toEqual({
      checkpoint: null,
    });
  });

  it('has its finished shards read, too, with the parents that they have now', async () => {
    const stream = newId('stream');
    await note(stream, madeAt, ['p']);
    await store().acquire(stream, { shardId: 's', from: null }, 'me', minute);
    await store().finish(stream, 's', 'me');
    expect(await note(stream, later)).toEqual(['s']);
    expect(await row(stream)).toMatchObject({ finished_at: null, parents: [] });
  });

  it('is not undone by one who has looked before', async () => {
    const stream = newId('stream');
    await note(stream, later);
    await store().acquire(stream, { shardId: 's', from: null }, 'me', minute);
    await store().checkpoint(stream, 's', 'me', null, '7');
    expect(await note(stream, madeAt)).toEqual([]);
    expect(await note(stream, later)).toEqual([]);
    expect(await row(stream)).toMatchObject({ checkpoint: '7', owner: 'me' });
  });

  it('is not taken for one where nobody has written down when it was made', async () => {
    const stream = await leased();
    await store().checkpoint(stream, 's', 'me', null, '7');
    await world.sql`UPDATE user_event_shards SET stream_created_at = NULL WHERE stream = ${stream}`;
    expect(await note(stream, madeAt)).toEqual([]);
    expect(await row(stream)).toMatchObject({ checkpoint: '7', owner: 'me' });
    expect(await note(stream, later)).toEqual(['s']);
  });
});
