import { createWebhookVerifier } from '../../src/clients/plaidWebhook.js';
import { Failure } from '../../domain/failures.js';
import type { WebhookKey, WebhookVerdict } from '../../domain/ports/webhookKeys.js';
import type { MemoryWebhookKeys } from './memoryWebhookKeys.js';
import { memoryWebhookKeys } from './memoryWebhookKeys.js';
import type { SigningKey } from './signedWebhook.js';
import { signWebhook, signingKey } from './signedWebhook.js';

const minute = 60_000;
const hour = 60 * minute;
const body = Buffer.from('{"item_id":"ours"}');
const plaid = '198.51.100.7';
const forger = '203.0.113.66';
const accepted: WebhookVerdict = { kind: 'accepted' };

/** Plaid's key endpoint, a clock, and processes that share a database. */
function bench(...published: SigningKey[]) {
  const world = {
    now: Date.parse('2026-11-21T10:00:00Z'),
    /** By how much the clock is off: somebody has set it. Time passes all the same. */
    setBy: 0,
    published: published.map((key) => key.published),
    asked: [] as string[],
    down: null as Failure | null,
    store: null as unknown as MemoryWebhookKeys,
  };
  world.store = memoryWebhookKeys(() => world.now);
  world.store.items.add('ours');
  const start = (hints: string[] = []) =>
    createWebhookVerifier({
      now: () => world.now + world.setBy,
      elapsed: () => world.now,
      store: world.store,
      knownSenders: hints,
      onFailure: () => undefined,
      async getKey(kid): Promise<WebhookKey | null> {
        world.asked.push(kid);
        if (world.down) throw world.down;
        return world.published.find((key) => key.kid === kid) ?? null;
      },
    });
  let verifier = start();
  const forgery = signingKey('made-up');
  let made = 0;
  const bench = {
    world,
    store: world.store,
    /** The process ends, and another begins. */
    restart: (hints: string[] = []) => void (verifier = start(hints)),
    verify: async (key: SigningKey, address = plaid) =>
      verifier.verify(await signWebhook(key, body, world.now + world.setBy), body, address),
    /** Plausible but for its key, whose id is a new one each time or the one given. */
    forge: async (address = forger, kid = `made-up-${(made += 1)}`) =>
      verifier.verify(await signWebhook(forgery, body, world.now + world.setBy, { kid }), body, address),
    /** A genuine webhook about an Item of ours has come from the address. */
    deliver: async (key: SigningKey, address = plaid): Promise<void> => {
      expect(await bench.verify(key, address)).toEqual(accepted);
      verifier.delivered(address, 'ours');
      await new Promise(setImmediate);
    },
    delivered: (address: string, itemId: string) => verifier.delivered(address, itemId),
    rotate: (key: SigningKey): void => {
      world.published = [...world.published, key.published];
    },
  };
  return bench;
}

const [first, second, third] = ['first', 'second', 'third'].map((kid) => signingKey(kid)) as [
  SigningKey,
  SigningKey,
  SigningKey,
];

describe('while others make key ids up', () => {
  it.each([
    ['from elsewhere', forger],
    ["from Plaid's own address (a proxy that is not configured)", plaid],
  ])('%s: fourteen of them, a rotation, and the genuine one is taken at once', async (_name, address) => {
    for (const known of [true, false]) {
      const { verify, deliver, forge, rotate } = bench(first);
      if (known) await deliver(first);
      for (let n = 0; n < 14; n += 1) await forge(address);
      rotate(second);
      expect(await verify(second)).toEqual(accepted);
    }
  });

  it('one every six seconds for an hour changes nothing', async () => {
    const { world, verify, forge, rotate, restart } = bench(first);
    for (let n = 0; n < 600; n += 1) {
      await forge();
      world.now += 6_000;
      if (n % 60 === 0) rotate(signingKey(`hourly-${n}`));
      if (n % 100 === 0) restart();
    }
    rotate(third);
    expect(await verify(first)).toEqual(accepted);
    expect(await verify(third)).toEqual(accepted);
  });

  it('two a second, through a restart and a rotation: every genuine one is taken', async () => {
    const { world, deliver, verify, forge, rotate, restart } = bench(first);
    await deliver(first);
    const genuine: WebhookVerdict[] = [];
    for (let second_ = 0; second_ < 180; second_ += 1) {
      if (second_ === 30) restart();
      if (second_ === 60) rotate(second);
      await forge();
      await forge();
      genuine.push(await verify(second_ < 60 ? first : second));
      world.now += 1_000;
    }
    expect(genuine).toEqual(Array(180).fill(accepted));
  });

  it('two a second through the same unnamed proxy: the new key is refused once at most', async () => {
    const { world, deliver, verify, forge, rotate } = bench(first);
    await deliver(first);
    for (let n = 0; n < 240; n += 1) {
      await forge(plaid);
      if (n % 2) world.now += 1_000;
    }
    rotate(second);
    const verdicts = [];
    for (let n = 0; n < 20; n += 1) {
      verdicts.push((await verify(second)).kind);
      await forge(plaid);
    }
    expect(verdicts.filter((kind) => kind !== 'accepted').length).toBeLessThanOrEqual(1);
    expect(verdicts.at(-1)).toBe('accepted');
  });

  it('one address spends its own budget and nobody else’s', async () => {
    const { world, verify, forge, rotate } = bench();
    const verdicts = [];
    for (let n = 0; n < 200; n += 1) verdicts.push(await forge());
    expect(verdicts[0]).toEqual({ kind: 'rejected', reason: 'unknown_key' });
    expect(verdicts.at(-1)).toEqual({
      kind: 'no_budget',
      lane: 'strangers',
      retryAfterMs: expect.any(Number),
    });
    expect(world.asked.length).toBeLessThanOrEqual(30);
    // A neighbour in its network is the same stranger.
    for (let n = 0; n < 40; n += 1) await forge('2001:db8:1:2::1');
    expect((await forge('2001:db8:1:2:ffff::9')).kind).toBe('no_budget');
    rotate(first);
    expect(await verify(first, '192.0.2.200')).toEqual(accepted);
  });

  it('comes free again after the time that it was told', async () => {
    const { world, forge } = bench();
    let last: WebhookVerdict = accepted;
    for (let n = 0; n < 100; n += 1) last = await forge();
    if (last.kind !== 'no_budget') throw new Error(last.kind);
    expect(last.retryAfterMs).toBeGreaterThan(0);
    expect(last.retryAfterMs).toBeLessThanOrEqual(minute);
    world.now += last.retryAfterMs;
    expect((await forge()).kind).toBe('rejected');
  });
});

describe('a flood from everywhere', () => {
  const flood = async (forge: (address: string) => Promise<WebhookVerdict>, times: number) => {
    for (let n = 0; n < times; n += 1) await forge(`10.${n >> 8}.${n & 255}.1`);
  };

  it('leaves Plaid in peace, and the lane of those who have delivered before', async () => {
    const { world, deliver, verify, forge, rotate, restart } = bench(first);
    await deliver(first);
    restart();
    for (let seconds = 0; seconds < 60; seconds += 1) {
      await flood(forge, 50);
      world.now += 1_000;
    }
    expect(world.asked.length).toBeLessThanOrEqual(2 * 90);
    rotate(second);
    expect(await verify(second)).toEqual(accepted);
  });

  it('leaves the addresses that Plaid has published, from the first webhook on', async () => {
    const { restart, verify, forge } = bench(first);
    restart([plaid]);
    await flood(forge, 200);
    expect(await verify(first)).toEqual(accepted);
  });

  it('does not keep out for long a sender that nobody has heard of', async () => {
    const { world, verify, forge } = bench(first);
    await flood(forge, 300);
    expect(await verify(first)).toMatchObject({ kind: 'no_budget', lane: 'strangers' });
    await flood(forge, 300);
    world.now += 1_000;
    // What made-up ids never do: it comes again.
    expect(await verify(first)).toEqual(accepted);
  });

  it('does not make a sender of who delivers webhooks about Items that are not ours', async () => {
    const { world, store, verify, forge, delivered, rotate } = bench(first);
    expect(await verify(first, forger)).toEqual(accepted);
    delivered(forger, 'theirs');
    await new Promise(setImmediate);
    expect(store.senders.size).toBe(0);
    for (let n = 0; n < 200; n += 1) await forge(forger);
    rotate(second);
    expect(await forge(forger)).toMatchObject({ lane: 'strangers' });
    expect(world.store.senders.size).toBe(0);
  });

  it('that makes Plaid ask to wait holds strangers back, and no sender', async () => {
    const { world, deliver, verify, forge, rotate } = bench(first);
    await deliver(first);
    world.down = new Failure('RATE_LIMITED', 'slow down', { retryAfterMs: 30_000 });
    expect(await forge()).toEqual({ kind: 'undecided', retryAfterMs: 30_000 });
    world.down = null;
    expect(await forge('192.0.2.9')).toMatchObject({ kind: 'no_budget', lane: 'strangers' });
    rotate(second);
    expect(await verify(second)).toEqual(accepted);
  });
});

describe('what a look-up costs', () => {
  it('nothing, when it finds a living key', async () => {
    const { world, verify, rotate } = bench();
    const keys = Array.from({ length: 80 }, (_, n) => signingKey(`key-${n}`));
    for (const key of keys) rotate(key);
    for (const key of keys) expect(await verify(key, forger)).toEqual(accepted);
    expect(world.asked).toHaveLength(80);
  });

  it('its share, when the key has ended: old ids are known to many', async () => {
    const { world, verify, rotate } = bench();
    const keys = Array.from({ length: 80 }, (_, n) => signingKey(`old-${n}`, world.now / 1000 - 60));
    for (const key of keys) rotate(key);
    const kinds = [];
    for (const key of keys) kinds.push((await verify(key, forger)).kind);
    expect(kinds[0]).toBe('rejected');
    expect(kinds.at(-1)).toBe('no_budget');
    expect(world.asked.length).toBeLessThanOrEqual(30);
  });

  it('nothing, when it is the daily look at a known key, also while Plaid does not answer', async () => {
    const { world, deliver, verify, forge } = bench(first);
    await deliver(first);
    world.now += 24 * hour;
    for (let n = 0; n < 100; n += 1) await forge(plaid);
    world.down = new Failure('UPSTREAM_DOWN', 'down');
    world.asked = [];
    for (let n = 0; n < 20; n += 1) expect(await verify(first)).toEqual(accepted);
    expect(world.asked).toEqual(['first']);
    world.now += 24 * hour;
    for (let n = 0; n < 20; n += 1) expect((await verify(first)).kind).toBe('undecided');
    expect(world.asked).toEqual(['first', 'first']);
    world.down = null;
    world.now += minute;
    expect(await verify(first)).toEqual(accepted);
  });
});

describe('keys in the database', () => {
  it('serve a process that has just started, without Plaid', async () => {
    const { world, verify, restart } = bench(first);
    expect(await verify(first)).toEqual(accepted);
    restart();
    world.asked = [];
    world.down = new Failure('UPSTREAM_DOWN', 'down');
    world.now += hour;
    expect(await verify(first)).toEqual(accepted);
    expect(world.asked).toEqual([]);
  });

  it('that another process has found are not asked for again', async () => {
    const { world, store, verify, forge, rotate } = bench(first);
    expect(await verify(first)).toEqual(accepted);
    for (let n = 0; n < 200; n += 1) await forge(plaid);
    rotate(second);
    await store.save(second.published, 0);
    world.now += 1_000;
    world.asked = [];
    expect(await verify(second)).toEqual(accepted);
    expect(world.asked).toEqual([]);
  });

  it('are looked at once a day all the same, by their age, and go when Plaid knows them no more', async () => {
    const { world, store, verify, restart } = bench(first);
    expect(await verify(first)).toEqual(accepted);
    world.now += 23 * hour;
    restart();
    expect(await verify(first)).toEqual(accepted);
    expect(world.asked).toHaveLength(1);
    world.published = [];
    world.now += hour;
    expect(await verify(first)).toEqual({ kind: 'rejected', reason: 'unknown_key' });
    expect(store.keys.size).toBe(0);
    restart();
    expect(await verify(first)).toEqual({ kind: 'rejected', reason: 'unknown_key' });
  });

  it('end when Plaid says so', async () => {
    const { world, verify, restart } = bench(first);
    expect(await verify(first)).toEqual(accepted);
    world.published = [{ ...first.published, expired_at: world.now / 1000 + 25 * 3600 }];
    world.now += 24 * hour;
    expect(await verify(first)).toEqual(accepted);
    restart();
    world.down = new Failure('UPSTREAM_DOWN', 'down');
    expect(await verify(first)).toEqual(accepted);
    world.now += hour;
    expect(await verify(first)).toEqual({ kind: 'rejected', reason: 'expired_key' });
  });

  it('that nobody can use are passed over', async () => {
    const { store, verify } = bench(first);
    await store.save({ ...first.published, x: 'AAAA' }, 0);
    await store.save({ ...second.published, crv: 'P-384' }, 0);
    expect(await verify(first)).toEqual(accepted);
    expect(await verify(second)).toEqual({ kind: 'rejected', reason: 'unknown_key' });
  });

  it('are read once a second at most, however many ids are made up', async () => {
    const { store, forge } = bench(first);
    for (let n = 0; n < 500; n += 1) await forge();
    expect(store.loads).toBe(1);
  });

  it.each([
    ['refuses', () => Promise.reject(new Failure('UPSTREAM_DOWN', 'down'))],
    ['does not answer', () => new Promise<never>(() => undefined)],
  ])('cannot be had while PostgreSQL %s: memory and Plaid go on', async (_name, down) => {
    const { world, store, verify, rotate, delivered } = bench(first);
    store.down = down;
    expect(await verify(first)).toEqual(accepted);
    delivered(plaid, 'ours');
    rotate(second);
    expect(await verify(second)).toEqual(accepted);
    expect(await verify(first)).toEqual(accepted);
    expect(world.asked).toEqual(['first', 'second']);
  });
});

describe('a clock that is set back by an hour', () => {
  it('keeps no id unknown for that hour, nor what other processes have found, nor strangers out', async () => {
    const { world, verify, forge, rotate, store } = bench();
    world.setBy = hour;
    // Plaid does not know it yet, and asks to wait.
    expect(await verify(first)).toEqual({ kind: 'rejected', reason: 'unknown_key' });
    world.down = new Failure('RATE_LIMITED', 'slower');
    await forge();
    world.down = null;
    world.setBy = 0;
    world.now += 2 * minute;
    rotate(first);
    expect(await verify(first)).toEqual(accepted);
    world.asked.length = 0;
    world.now += 2_000;
    await store.save(second.published, 0);
    expect([await verify(second), world.asked]).toEqual([accepted, []]);
    expect(await forge()).toEqual({ kind: 'rejected', reason: 'unknown_key' });
  });
});
