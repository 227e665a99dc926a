import { ourselves } from '../../domain/exchange/viewer.js';
import type { FloatStatus } from '../../domain/ports/floats.js';
import type { World } from './world.js';
import { linkedItem, newId, openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const noon = '2026-11-21T12:00:00.000Z';
const later = '2026-11-21T12:00:00.001Z';
type Word = [status: FloatStatus, occurredAt: string];
const tell = async (
  float: { userId: string; floatId: string },
  status: FloatStatus,
  occurredAt: string | null,
) => {
  const told = await world.stores.floats.record({ ...float, status, occurredAt, by: null });
  if (told === null) throw new Error('the service itself is refused nothing');
  return told;
};
const newFloat = () => ({ userId: newId('user'), floatId: newId('float') });

describe('a float', () => {
  it('of which nobody told is not there; ids are told apart by case and by user', async () => {
    const float = newFloat();
    await world.sql`INSERT INTO users (user_id) VALUES (${float.userId})`;
    await tell(float, 'active', noon);
    expect(await world.stores.floats.get(ourselves, float.userId, float.floatId)).not.toBeNull();
    expect(await world.stores.floats.get(ourselves, float.userId, float.floatId.toUpperCase())).toBeNull();
    expect(await world.stores.floats.get(ourselves, newId('user'), float.floatId)).toBeNull();
  });

  it('is kept although its user is not known yet', async () => {
    const float = newFloat();
    expect(await tell(float, 'active', noon)).toEqual({
      user_id: float.userId,
      float_id: float.floatId,
      status: 'active',
      occurred_at: noon,
    });
    const [user] = await world.sql`SELECT 1 FROM users WHERE user_id = ${float.userId}`;
    expect(user).toBeUndefined();
  });

  it.each<[string, Word, Word, FloatStatus]>([
    ['in order', ['active', noon], ['closed', later], 'closed'],
    ['out of order', ['closed', later], ['active', noon], 'closed'],
    ['opened again', ['closed', noon], ['active', later], 'active'],
    ['of one moment, in order', ['active', noon], ['closed', noon], 'closed'],
    ['of one moment, out of order', ['closed', noon], ['active', noon], 'closed'],
  ])('is what its latest word says: %s', async (_name, first, second, status) => {
    const float = newFloat();
    await world.sql`INSERT INTO users (user_id) VALUES (${float.userId})`;
    await tell(float, ...first);
    expect((await tell(float, ...second)).status).toBe(status);
    expect((await world.stores.floats.get(ourselves, float.userId, float.floatId))?.status).toBe(status);
  });

  it.each<[FloatStatus, FloatStatus]>([
    ['active', 'closed'],
    ['closed', 'active'],
  ])(
    '%s as of a day that no clock can show, as older releases have kept it, is not so for good',
    async (...words) => {
      const [first, second] = words;
      const float = newFloat();
      await world.sql`INSERT INTO users (user_id) VALUES (${float.userId})`;
      expect((await tell(float, first, '2999-01-01T00:00:00.000Z')).status).toBe(first);
      expect((await tell(float, second, noon)).status).toBe(second);
      await tell(float, first, '2999-01-01T00:00:00.000Z');
      expect((await tell(float, second, null)).status).toBe(second);
    },
  );

  it('told of without a time becomes so now, and stays below a later word', async () => {
    const float = newFloat();
    await tell(float, 'active', noon);
    await world.sql`UPDATE floats SET occurred_at = clock_timestamp() - interval '1 hour'
      WHERE user_id = ${float.userId}`;
    expect((await tell(float, 'closed', null)).status).toBe('closed');
    expect((await tell(float, 'active', null)).status).toBe('active');
    const future = new Date(Date.now() + 3_600_000).toISOString();
    await tell(float, 'closed', future);
    expect(await tell(float, 'active', null)).toMatchObject({ status: 'closed', occurred_at: future });
  });

  it('waits for whoever holds its user, as removal does', async () => {
    const { userId } = await linkedItem(world);
    const order: string[] = [];
    let release = (): void => undefined;
    const held = world.sql.begin(async (tx) => {
      await tx`SELECT FROM users WHERE user_id = ${userId} FOR NO KEY UPDATE`;
      order.push('held');
      await new Promise<void>((resolve) => (release = resolve));
      order.push('released');
    });
    while (order.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // By REST: the listener waits for a second only.
    const float = { userId, floatId: 'f', status: 'active', occurredAt: noon, by: ourselves } as const;
    const told = world.stores.floats.record(float).then(() => order.push('told'));
    for (;;) {
      const [waiting] = await world.sql`
        SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE '%from users%'`;
      if (waiting !== undefined || order.includes('told')) break;
    }
    release();
    await Promise.all([held, told]);
    expect(order).toEqual(['held', 'released', 'told']);
  });
});
