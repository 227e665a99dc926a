import type { WebhookKey } from '../../domain/ports/webhookKeys.js';
import type { World } from './world.js';
import { exchangedItem, newId, openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const minute = 60_000;
const keyOf = (kid: string, expired_at: number | null = null): WebhookKey => ({
  kid,
  kty: 'EC',
  crv: 'P-256',
  alg: 'ES256',
  x: `x of ${kid}`,
  y: `y of ${kid}`,
  expired_at,
});
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

const storeOf = (plaid: string) => world.stores.webhookKeysOf(plaid);
const newStore = () => storeOf(`https://${newId('plaid')}.example`);
const kids = async (store: ReturnType<typeof newStore>) =>
  (await store.load()).keys.map(({ key }) => key.kid);

describe('a key', () => {
  it('is kept as Plaid told it, with its age, and for its own Plaid alone', async () => {
    const [production, simulator] = [newStore(), newStore()];
    const key = keyOf('k1', inSeconds(3_600));
    await production.save(key, 10 * minute);
    const { keys } = await production.load();
    expect(keys).toEqual([{ key, ageMs: expect.any(Number) }]);
    expect(keys[0]!.ageMs).toBeGreaterThanOrEqual(10 * minute);
    expect(await kids(simulator)).toEqual([]);
  });

  it('is as its newest word says, in whatever order the words come', async () => {
    const store = newStore();
    await store.save(keyOf('k1'), 5 * minute);
    await store.save(keyOf('k1', inSeconds(60)), 0);
    await store.save(keyOf('k1'), 4 * minute);
    await store.drop('k1', 3 * minute);
    const { keys } = await store.load();
    expect(keys.map(({ key }) => key.expired_at)).toEqual([expect.any(Number)]);
    expect(keys[0]!.ageMs).toBeLessThan(minute);
    await store.drop('k1', 0);
    expect(await kids(store)).toEqual([]);
  });

  it('that had ended when it was first met is not kept; one that ends is, behind the living ones', async () => {
    const store = newStore();
    await store.save(keyOf('long-ago', inSeconds(-60)), 0);
    expect(await kids(store)).toEqual([]);
    await store.save(keyOf('ends'), minute);
    await store.save(keyOf('ends', inSeconds(-1)), 0);
    await store.save(keyOf('lives'), 2 * minute);
    expect(await kids(store)).toEqual(['lives', 'ends']);
  });

  it('that ended long ago goes when another is kept', async () => {
    const store = newStore();
    await store.save(keyOf('ancient'), 0);
    await world.sql`UPDATE webhook_keys SET expired_at = clock_timestamp() - interval '91 days' WHERE kid = 'ancient'`;
    await store.save(keyOf('fresh'), 0);
    expect(await kids(store)).toEqual(['fresh']);
  });
});

describe('a sender', () => {
  it('is remembered for webhooks about Items of ours, and forgotten when it is silent for long', async () => {
    const store = newStore();
    const { itemId } = await exchangedItem(world);
    expect(await store.noteSender('192.0.2.1', newId('theirs'))).toBe(false);
    expect((await store.load()).senders).toEqual([]);
    expect(await store.noteSender('192.0.2.1', itemId)).toBe(true);
    expect(await store.noteSender('192.0.2.2', itemId)).toBe(true);
    expect(await store.noteSender('192.0.2.1', itemId)).toBe(true);
    // The latest comes last: it is the last to be forgotten.
    expect((await store.load()).senders).toEqual(['192.0.2.2', '192.0.2.1']);
    await world.sql`UPDATE webhook_senders SET seen_at = seen_at - interval '91 days' WHERE address = '192.0.2.2'`;
    await store.noteSender('192.0.2.1', itemId);
    expect((await store.load()).senders).toEqual(['192.0.2.1']);
  });
});
