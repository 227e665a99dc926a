import { hashKey } from '../../api/auth.js';
import { buildApp } from '../../api/app.js';
import { promMetrics } from '../../api/promMetrics.js';
import { Registry } from 'prom-client';
import type { World } from './world.js';
import { createWorld } from './world.js';

const worlds: World[] = [];
const limited = (requestsPerMinute: number): World => {
  const world = createWorld({ requestsPerMinute });
  world.behave.elapsed = () => performance.now() + ahead;
  worlds.push(world);
  return world;
};
afterAll(() => Promise.all(worlds.map(({ app }) => app.close())));

/** How far the tests' time is ahead of the machine's, in milliseconds. */
let ahead = 0;
const realNow = Date.now;
afterEach(() => {
  ahead = 0;
  Date.now = realNow;
});
const aMinuteLater = (): void => {
  ahead += 61_000;
};

type Headers = Record<string, string>;
const ask = ({ app }: Pick<World, 'app'>, headers: Headers, remoteAddress = '192.0.2.1') =>
  app.inject({ url: '/v1/users/user-1', headers, remoteAddress });
/** The fields of draft 11, taken apart by the grammar of Structured Fields. */
function limitOf(headers: Record<string, unknown>): {
  policy: unknown;
  remaining: string | undefined;
  reset: number;
} {
  const [, name, remaining, reset] = /^"(\w+)";r=(\d+);t=(\d+)$/.exec(String(headers['ratelimit'])) ?? [];
  expect(String(headers['ratelimit-policy'])).toMatch(new RegExp(`^"${name}";q=\\d+;w=\\d+$`));
  return { policy: headers['ratelimit-policy'], remaining, reset: Number(reset) };
}
const statuses = async (
  world: Pick<World, 'app'>,
  times: number,
  headers: Headers,
  remoteAddress?: string,
): Promise<number[]> => {
  const seen: number[] = [];
  for (let n = 0; n < times; n += 1) seen.push((await ask(world, headers, remoteAddress)).statusCode);
  return seen;
};

describe('a key that asks too often', () => {
  it('is told what is left, then to wait, as a problem; and may ask again in the next minute', async () => {
    const world = limited(3);
    const { keys } = world;
    for (const left of ['2', '1', '0']) {
      const answer = await ask(world, keys.read);
      const { policy, remaining, reset } = limitOf(answer.headers);
      expect([answer.statusCode, policy, remaining]).toEqual([200, '"key";q=3;w=60', left]);
      expect(reset > 0 && reset <= 60).toBe(true);
    }
    const refused = await ask(world, keys.read);
    expect([refused.statusCode, refused.headers['content-type'], refused.json().code]).toEqual([
      429,
      'application/problem+json; charset=utf-8',
      'rate_limited',
    ]);
    const wait = Number(refused.headers['retry-after']);
    expect(wait > 0 && wait <= 60).toBe(true);
    // The same moment, told twice.
    expect(limitOf(refused.headers)).toEqual({ policy: '"key";q=3;w=60', remaining: '0', reset: wait });
    for (const older of ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'x-ratelimit-limit']) {
      expect([older, refused.headers[older]]).toEqual([older, undefined]);
    }
    expect(refused.json().request_id).toBe(refused.headers['x-request-id']);
    // The count is the key's: not its application's, not its address's.
    expect(await statuses(world, 1, keys.all)).toEqual([200]);
    expect(await statuses(world, 1, keys.read, '192.0.2.2')).toEqual([429]);
    aMinuteLater();
    expect(await statuses(world, 4, keys.read)).toEqual([200, 200, 200, 429]);
  });

  it('has its refused requests counted too, whatever is wrong with them', async () => {
    const world = limited(2);
    const missing = await world.app.inject({ url: '/v1/items/none', headers: world.keys.read });
    expect([missing.statusCode, limitOf(missing.headers).remaining]).toEqual([404, '1']);
    const forbidden = await world.app.inject({ url: '/v1/webhooks', headers: world.keys.read });
    expect([forbidden.statusCode, limitOf(forbidden.headers).remaining]).toEqual([403, '0']);
    expect(await statuses(world, 1, world.keys.read)).toEqual([429]);
  });

  it('does not reach what machines ask, nor webhooks', async () => {
    const world = limited(1);
    for (let n = 0; n < 5; n += 1) {
      for (const url of ['/livez', '/readyz', '/metrics', '/openapi.json', '/problems/not_found']) {
        const answer = await world.app.inject({ url });
        expect([url, answer.statusCode, answer.headers['ratelimit']]).toEqual([url, 200, undefined]);
      }
      const webhook = await world.app.inject({ method: 'POST', url: '/webhooks/plaid', payload: '{}' });
      expect([webhook.statusCode, webhook.headers['ratelimit']]).toEqual([200, undefined]);
    }
  });
});

describe('an address that guesses keys', () => {
  it('is held up, and holds up no key that was in use, nor another address', async () => {
    const world = limited(40);
    const { keys } = world;
    expect(await statuses(world, 1, keys.read)).toEqual([200]);
    // A twentieth of the limit; without a key, or with a wrong one.
    expect(await statuses(world, 1, {})).toEqual([401]);
    expect(await statuses(world, 1, keys.unknown)).toEqual([401]);
    const counted = await ask(world, keys.unknown);
    expect([counted.statusCode, limitOf(counted.headers)]).toEqual([
      429,
      { policy: '"address";q=2;w=60', remaining: '0', reset: Number(counted.headers['retry-after']) },
    ]);
    expect(await statuses(world, 1, keys.unknown)).toEqual([429]);
    const refused = await ask(world, keys.unknown);
    expect([refused.json().code, Number(refused.headers['retry-after']) > 0]).toEqual(['rate_limited', true]);
    // The last try that was counted told of the address; this one was not even looked at.
    expect(refused.headers['ratelimit']).toBeUndefined();
    expect(await statuses(world, 1, {})).toEqual([429]);
    // A guess that is right is not told so.
    expect(await statuses(world, 1, keys.admin)).toEqual([429]);
    expect(await statuses(world, 1, keys.read)).toEqual([200]);
    expect(await statuses(world, 1, keys.admin, '192.0.2.2')).toEqual([200]);
    aMinuteLater();
    expect(await statuses(world, 1, keys.all)).toEqual([200]);
    expect(await statuses(world, 1, keys.unknown)).toEqual([401]);
  });

  it('is all of its network where addresses are handed out by the /64', async () => {
    const world = limited(40);
    expect(await statuses(world, 3, world.keys.unknown, '2001:db8:1:2::1')).toEqual([401, 401, 429]);
    expect(await statuses(world, 1, world.keys.unknown, '2001:db8:1:2:3:4:5:6')).toEqual([429]);
    expect(await statuses(world, 1, world.keys.unknown, '2001:db8:1:3::1')).toEqual([401]);
  });

  it('does not get by with a key that was revoked meanwhile', async () => {
    const world = limited(40);
    await world.deps.applications.addKey('app-1', 'short', hashKey('short-lived'), ['read']);
    const headers = { authorization: 'Bearer short-lived' };
    const { findKey } = world.deps.applications;
    let lookups = 0;
    world.deps.applications.findKey = (hash) => {
      lookups += 1;
      return findKey(hash);
    };
    expect(await statuses(world, 1, headers)).toEqual([200]);
    await world.deps.applications.revokeKey('key-2');
    expect(await statuses(world, 4, headers)).toEqual([401, 401, 429, 429]);
    // The last was not even looked up.
    expect(lookups).toBe(4);
  });

  it('is the one that a trusted proxy names, and that no other names', async () => {
    const world = limited(20);
    const app = buildApp({
      ...world.deps,
      metrics: promMetrics(new Registry()),
      trustedProxies: ['192.0.2.0/24'],
    });
    const from = (address: string) => ({ ...world.keys.unknown, 'x-forwarded-for': address });
    expect(await statuses({ app }, 2, from('198.51.100.1'))).toEqual([401, 429]);
    expect(await statuses({ app }, 1, from('198.51.100.2'))).toEqual([401]);
    // Some proxies name the port, too: another for each connection.
    for (const port of [50_001, 50_002])
      expect(await statuses({ app }, 1, from(`198.51.100.1:${port}`))).toEqual([429]);
    // Of two proxies the outer one is named so by the inner one.
    for (const outer of ['192.0.2.7:50001', '192.0.2.7', '[::ffff:192.0.2.7]:50002'])
      expect(await statuses({ app }, 1, from(`198.51.100.1, ${outer}`))).toEqual([429]);
    // One in brackets is the same with a port and without one, and another one has tries of its own.
    expect(await statuses({ app }, 1, from('[2001:db8:0:1::5]:50001'))).toEqual([401]);
    for (const same of ['[2001:db8:0:1::6]:50002', '[2001:db8:0:1::7]', '2001:db8:0:1::8'])
      expect(await statuses({ app }, 1, from(same))).toEqual([429]);
    expect(await statuses({ app }, 1, from('[2001:db8:0:2::5]:50001'))).toEqual([401]);
    // Not a proxy of ours: what it says of itself does not count.
    expect(await statuses({ app }, 1, from('198.51.100.3'), '203.0.113.1')).toEqual([401]);
    expect(await statuses({ app }, 1, from('198.51.100.4'), '203.0.113.1')).toEqual([429]);
    await app.close();
  });
});

describe("a step of the host's clock", () => {
  it.each([-3_600_000, 3_600_000])('of %i ms makes a minute neither longer nor shorter', async (step) => {
    const world = limited(40);
    const { keys } = world;
    expect(await statuses(world, 40, keys.read)).toEqual(Array.from({ length: 40 }, () => 200));
    expect(await statuses(world, 4, keys.unknown)).toEqual([401, 401, 429, 429]);
    Date.now = () => realNow() + step;
    expect(await statuses(world, 1, keys.read)).toEqual([429]);
    expect(await statuses(world, 1, keys.unknown)).toEqual([429]);
    aMinuteLater();
    expect(await statuses(world, 1, keys.read)).toEqual([200]);
    expect(await statuses(world, 1, keys.unknown)).toEqual([401]);
  });
});

describe('without a limit', () => {
  it('nobody is counted', async () => {
    const world = limited(0);
    const answer = await ask(world, world.keys.read);
    expect([answer.statusCode, answer.headers['ratelimit']]).toEqual([200, undefined]);
    expect(new Set(await statuses(world, 100, world.keys.unknown))).toEqual(new Set([401]));
  });
});
