import { randomUUID } from 'node:crypto';
import { wholeGrant } from '../../domain/exchange/connection.js';
import type { NewEvent } from '../../domain/exchange/event.js';
import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import { grantConnection } from '../../drizzle/stores/connectionWrites.js';
import { putAside } from '../../drizzle/stores/heldDeliveries.js';
import { writeEvents } from '../../drizzle/stores/writeEvents.js';
import { anyActor } from '../drizzle/granting.js';
import { newborn } from '../drizzle/world.js';
import { sendingRate } from '../../activities/sendingRate.js';
import { mulberry32 } from '../../tools/faults/chance.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world.close());
beforeEach(() => {
  world.sent.length = 0;
  world.answer = () => ({});
});

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

interface Endpoint {
  id: string;
  application: string;
}

/** What an answer waits for. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

/** What the row of an endpoint says against which nothing is held. */
const untroubled = { state: 'enabled', failures: 0, failing_since: null, rests_until: null };

/** An endpoint of an application of its own. */
async function endpoint(access = 'all', more: Record<string, unknown> = {}): Promise<Endpoint> {
  const { sql, stores, secrets } = world;
  const application = `app_${randomUUID()}`;
  await sql`INSERT INTO applications (application_id, name, access) VALUES (${application}, 'hooks', ${access})`;
  const id = `end_${randomUUID()}`;
  await stores.endpoints.create({
    endpointId: id,
    applicationId: application,
    url: `https://hooks.example/${id}`,
    types: [],
    signature: 'hmac',
    ratePerSecond: null,
    consent: false,
    secret: { sealed: await secrets.seal(secret, secretContext.endpointSecret(id)), publicKey: null },
    ...more,
  });
  return { id, application };
}

/** Events of lanes of one endpoint alone: about nothing that any other is told of. */
async function events(
  { application }: Endpoint,
  lanes: readonly string[],
  more: Partial<NewEvent> = {},
): Promise<void> {
  for (const lane of lanes) {
    await world.sql.begin((tx) =>
      writeEvents(tx, [
        {
          type: 'item.updated',
          itemId: lane,
          applicationId: application,
          data: { lane, item_id: lane },
          ...more,
        },
      ]),
    );
  }
}

const drain = ({ id }: Endpoint) => world.run.drainEndpoint({ endpointId: id });

interface Stored {
  delivery_id: string;
  event_id: string;
  lane: string;
  state: string;
  attempts: number;
  next_attempt_at: Date;
  scheduled_at: Date | null;
  last_status: number | null;
}
const stored = ({ id }: Endpoint) =>
  world.sql<Stored[]>`
    SELECT delivery_id, event_id, lane, state, attempts, next_attempt_at, scheduled_at, last_status FROM deliveries
    WHERE endpoint_id = ${id} ORDER BY position`;
const states = async (of: Endpoint): Promise<string[]> => (await stored(of)).map(({ state }) => state);
const sentTo = ({ id }: Endpoint) =>
  world.sent.filter(({ url }) => url.endsWith(id)).map((event) => event.id);
const row = async ({ id }: Endpoint) => {
  const [found] = await world.sql`SELECT * FROM endpoints WHERE endpoint_id = ${id}`;
  return found ?? {};
};
/** As if the time had come. */
const timePasses = async ({ id }: Endpoint): Promise<void> => {
  await world.sql`
    UPDATE deliveries SET next_attempt_at = next_attempt_at - interval '5 days', scheduled_at = scheduled_at - interval '5 days'
    WHERE endpoint_id = ${id} AND state = 'pending'`;
  await world.sql`UPDATE endpoints SET rests_until = NULL WHERE endpoint_id = ${id}`;
};

describe('what is due at an endpoint', () => {
  it('is sent, signed by its secret, under the id of its event, in the order of its lane', async () => {
    const to = await endpoint();
    await events(to, ['i1', 'i2', 'i1', 'i3', 'i1', 'i2']);
    expect(await drain(to)).toEqual({ nextAt: null, attempts: 6 });
    const rows = await stored(to);
    expect(rows.map(({ state, attempts, last_status }) => [state, attempts, last_status])).toEqual(
      Array(6).fill(['delivered', 1, 200]),
    );
    for (const lane of ['i1', 'i2', 'i3']) {
      const ids = rows.filter((one) => one.lane === lane).map(({ event_id }) => event_id);
      expect(sentTo(to).filter((id) => ids.includes(id))).toEqual(ids);
    }
    const [first] = world.sent;
    expect(first?.secrets).toEqual([secret]);
    expect(JSON.parse(first?.body ?? '')).toMatchObject({
      specversion: '1.0',
      id: first?.id,
      type: 'item.updated',
      source: '/sluice/items/i1',
      data: { lane: 'i1' },
    });
    expect(await drain(to)).toEqual({ nextAt: null, attempts: 0 });
    expect(world.sent).toHaveLength(6);
  });

  it('waits behind what fails in its lane, and behind nothing else', async () => {
    const to = await endpoint();
    await events(to, ['dead', 'dead', 'dead', 'alive', 'alive']);
    const [head] = await stored(to);
    world.answer = ({ id }) => (id === head?.event_id ? { status: 500, answer: 'no' } : {});
    const { nextAt, attempts } = await drain(to);
    expect(attempts).toBe(3);
    expect(await states(to)).toEqual(['pending', 'pending', 'pending', 'delivered', 'delivered']);
    const rows = await stored(to);
    expect(rows.map(({ attempts: n }) => n)).toEqual([1, 0, 0, 1, 1]);
    // Those behind are put off with their head: nothing looks due that cannot be sent.
    expect(nextAt).toBe(rows[0]?.next_attempt_at.toISOString());
    expect(new Set(rows.slice(0, 3).map(({ next_attempt_at }) => next_attempt_at.getTime())).size).toBe(1);
    // On a busy machine its pause could else be over before the next line is.
    await world.sql`
      UPDATE deliveries SET next_attempt_at = next_attempt_at + interval '1 hour'
      WHERE endpoint_id = ${to.id} AND state = 'pending'`;
    const later = (await stored(to))[0]?.next_attempt_at.toISOString();
    expect(await world.stores.sending.dueEndpoints(100)).not.toContainEqual(
      expect.objectContaining({ endpointId: to.id }),
    );
    // One that comes meanwhile is put off as well, though it looks due at first.
    await events(to, ['dead']);
    expect(await drain(to)).toEqual({ nextAt: later, attempts: 0 });
    expect(await world.stores.sending.dueEndpoints(100)).not.toContainEqual(
      expect.objectContaining({ endpointId: to.id }),
    );
    await timePasses(to);
    world.answer = () => ({});
    world.sent.length = 0;
    expect(await drain(to)).toMatchObject({ nextAt: null, attempts: 4 });
    expect(sentTo(to)).toEqual(
      (await stored(to)).filter(({ lane }) => lane === 'dead').map(({ event_id }) => event_id),
    );
    const { tries } = (await world.stores.deliveries.get(to.application, head?.delivery_id ?? '')) ?? {
      tries: [],
    };
    expect(tries.map(({ number, status, answer }) => [number, status, answer])).toEqual([
      [1, 500, 'no'],
      [2, 200, null],
    ]);
  });

  it('waits for nothing where it is about nobody that has a name: two erasures at once have no order', async () => {
    const to = await endpoint();
    for (const n of ['first', 'second']) {
      const data = { erasure_id: n, user_hash: n };
      await world.sql.begin((tx) =>
        writeEvents(tx, [{ type: 'user.erased', applicationId: to.application, data }]),
      );
    }
    const [first, second] = await stored(to);
    world.answer = ({ id }) => (id === first?.event_id ? { status: 500 } : {});
    await drain(to);
    expect(sentTo(to)).toContain(second?.event_id);
    expect(await states(to)).toEqual(['pending', 'delivered']);
  });

  it('has failed after ten attempts, and what was behind it goes', async () => {
    const to = await endpoint();
    await events(to, ['one', 'one']);
    const [head, next] = await stored(to);
    let others = 0;
    // Another lane answers well, so that the endpoint itself does not rest.
    world.answer = ({ id }) => (id === head?.event_id ? { status: 500 } : ((others += 1), {}));
    for (let n = 0; n < 10; n += 1) {
      await events(to, [`other${n}`]);
      await drain(to);
      await timePasses(to);
    }
    expect((await stored(to))[0]).toMatchObject({ state: 'failed', attempts: 10, last_status: 500 });
    await drain(to);
    expect((await stored(to))[1]).toMatchObject({ delivery_id: next?.delivery_id, state: 'delivered' });
    // Asked for once more, it has its whole schedule.
    const all = { since: '2000-01-01T00:00:00Z', until: null };
    expect(await world.stores.deliveries.recover(to.application, to.id, all, null)).toBe(1);
    await drain(to);
    expect((await stored(to))[0]).toMatchObject({ state: 'pending', attempts: 11 });
    expect(await world.stores.deliveries.resend(to.application, head?.delivery_id ?? '', null)).toBe(true);
    world.answer = () => ({});
    await drain(to);
    expect((await stored(to))[0]).toMatchObject({ state: 'delivered', attempts: 12 });
    expect(others).toBeGreaterThan(9);
  });
});

describe('an endpoint', () => {
  it('that fails five times in a row is left alone, asked one thing, and gets everything in order when it answers', async () => {
    const to = await endpoint();
    await events(
      to,
      Array.from({ length: 40 }, (_, n) => `i${n % 20}`),
    );
    world.answer = () => ({ status: null, failure: 'connection_failed' });
    const { nextAt, attempts } = await drain(to);
    expect(attempts).toBeGreaterThanOrEqual(5);
    expect(attempts).toBeLessThanOrEqual(21);
    expect(await row(to)).toMatchObject({ state: 'failing', state_reason: 'no_success' });
    expect(Date.parse(nextAt ?? '')).toBeGreaterThan(Date.now() + 30_000);
    expect(await drain(to)).toMatchObject({ attempts: 0, nextAt: expect.any(String) });
    await timePasses(to);
    expect(await drain(to)).toMatchObject({ attempts: 1 });
    await timePasses(to);
    world.answer = () => ({});
    world.sent.length = 0;
    await drain(to);
    expect(await row(to)).toMatchObject(untroubled);
    const rows = await stored(to);
    const told = rows.filter(({ lane }) => lane === to.id);
    // It is told of itself, too: that it failed, and that it has recovered.
    expect(told).toHaveLength(2);
    expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['delivered']));
    for (let n = 0; n < 20; n += 1) {
      const ids = rows.filter(({ lane }) => lane === `i${n}`).map(({ event_id }) => event_id);
      expect(sentTo(to).filter((id) => ids.includes(id))).toEqual(ids);
    }
  });

  it('that answers now and then, for a moment, uses up nobody’s schedule, and keeps nobody from its end', async () => {
    const to = await endpoint();
    await events(to, ['a', 'b', 'c', 'd', 'e']);
    const refused = new Set((await stored(to)).map(({ event_id }) => event_id));
    const waiting = async () => (await stored(to)).filter(({ event_id }) => refused.has(event_id));
    const moment = () => world.sql`UPDATE endpoints SET rests_until = NULL WHERE endpoint_id = ${to.id}`;
    world.answer = ({ id }) => (refused.has(id) ? { status: 500 } : {});
    // As if they had had three attempts.
    await world.sql`
      UPDATE deliveries SET attempts = 3, next_attempt_at = now() + interval '30 minutes' WHERE endpoint_id = ${to.id}`;
    await world.sql`UPDATE endpoints SET state = 'failing', failures = 5, failing_since = now() WHERE endpoint_id = ${to.id}`;
    const times = (await waiting()).map(({ next_attempt_at }) => next_attempt_at);
    const answersForAMoment = async (n: number) => {
      await events(to, [`other${n}`]);
      await moment();
      await drain(to);
    };
    for (let n = 0; n < 5; n += 1) await answersForAMoment(n);
    const soon = await waiting();
    expect(soon.map(({ attempts }) => attempts)).toEqual(Array(5).fill(4));
    for (const { next_attempt_at: at } of soon) expect(at.getTime()).toBeLessThan(Date.now() + 300_000);
    for (let n = 5; n < 20; n += 1) {
      await world.sql`
        UPDATE deliveries SET next_attempt_at = now() WHERE endpoint_id = ${to.id} AND attempts = ${n - 1} AND state = 'pending'`;
      await answersForAMoment(n);
      await moment();
      await drain(to);
    }
    const later = await waiting();
    expect(later.map(({ state }) => state)).toEqual(Array(5).fill('pending'));
    expect(Math.max(...later.map(({ attempts }) => attempts))).toBeGreaterThan(10);
    expect(later.map(({ scheduled_at }) => scheduled_at)).toEqual(times);
    for (let n = 0; n < 9; n += 1) {
      await timePasses(to);
      await events(to, [`later${n}`]);
      await drain(to);
      await moment();
      await drain(to);
    }
    expect((await waiting()).map(({ state }) => state)).toEqual(Array(5).fill('failed'));
  });

  it('that answers now and then, and asks each time to be left for long, keeps nobody from its end', async () => {
    const to = await endpoint();
    await events(to, ['a']);
    const [head] = await stored(to);
    world.answer = ({ id }) => (id === head?.event_id ? { status: 503, retryAfterMs: 86_400_000 } : {});
    const now = async () => (await stored(to)).find(({ delivery_id }) => delivery_id === head?.delivery_id);
    await world.sql`
      UPDATE deliveries SET attempts = 9, next_attempt_at = now() - interval '1 second', scheduled_at = now() + interval '10 minutes'
      WHERE endpoint_id = ${to.id}`;
    await drain(to);
    expect(await now()).toMatchObject({ state: 'pending', attempts: 10 });
    // Its time has passed before the endpoint answers anew.
    await world.sql`
      UPDATE deliveries SET next_attempt_at = next_attempt_at - interval '1 hour', scheduled_at = scheduled_at - interval '1 hour'
      WHERE endpoint_id = ${to.id}`;
    await world.sql`
      UPDATE endpoints SET state = 'failing', failures = 5, failing_since = now(), rests_until = NULL WHERE endpoint_id = ${to.id}`;
    await events(to, ['other']);
    await drain(to);
    await world.sql`
      UPDATE deliveries SET next_attempt_at = least(next_attempt_at, next_attempt_at - interval '5 minutes')
      WHERE endpoint_id = ${to.id} AND state = 'pending'`;
    await drain(to);
    expect(await now()).toMatchObject({ state: 'failed', attempts: 11 });
  });

  it('is asked by the pauses of the schedule for what an API of the release before has asked for once more', async () => {
    const to = await endpoint();
    await events(to, ['a']);
    const [head] = await stored(to);
    world.answer = ({ id }) => (id === head?.event_id ? { status: 500 } : {});
    // It knows nothing of `scheduled_at`.
    await world.sql`
      UPDATE deliveries SET attempts = 4, attempts_before = 4, next_attempt_at = now(), scheduled_at = now() + interval '1 hour'
      WHERE endpoint_id = ${to.id}`;
    await drain(to);
    await drain(to);
    expect((await stored(to))[0]).toMatchObject({ state: 'pending', attempts: 5, scheduled_at: null });
  });

  it('that is sent an older one once more uses up nobody’s schedule behind it', async () => {
    const to = await endpoint();
    await events(to, ['a', 'a']);
    const [older, head] = await stored(to);
    world.answer = ({ id }) => (id === head?.event_id ? { status: 500 } : {});
    await drain(to);
    const own = async () => (await stored(to))[1];
    await world.sql`
      UPDATE deliveries SET attempts = 9, next_attempt_at = now() + interval '20 hours' WHERE delivery_id = ${head?.delivery_id ?? ''}`;
    for (let n = 0; n < 2; n += 1) {
      await world.stores.deliveries.resend(to.application, older?.delivery_id ?? '', null);
      await drain(to);
    }
    expect((await stored(to))[0]).toMatchObject({ state: 'delivered', attempts: 3 });
    expect(await own()).toMatchObject({ state: 'pending', attempts: 10 });
  });

  it('that is sent once more what is on its way there for the last time gets it with its whole schedule', async () => {
    const to = await endpoint();
    await events(to, ['a']);
    const [head] = await stored(to);
    await world.sql`UPDATE deliveries SET attempts = 9 WHERE endpoint_id = ${to.id}`;
    world.answer = async () => {
      await world.stores.deliveries.resend(to.application, head?.delivery_id ?? '', null);
      return { status: 500 };
    };
    await drain(to);
    expect((await stored(to))[0]).toMatchObject({ state: 'pending', attempts: 10 });
    expect(sentTo(to)).toHaveLength(1);
    world.answer = () => ({});
    await timePasses(to);
    await drain(to);
    expect((await stored(to))[0]).toMatchObject({ state: 'delivered', attempts: 11 });
  });

  it.each<[string, number, Record<string, unknown>]>([
    ['to one that is asked by single requests, since it has failed', 1, { failures: 5 }],
    ['to one that takes few of them', 1, { rate_per_second: 1 }],
    ['to any', 16, {}],
  ])('whose first lanes somebody holds is sent what is in the others: %s', async (_, held, columns) => {
    const to = await endpoint();
    if (Object.keys(columns).length > 0)
      await world.sql`UPDATE endpoints SET ${world.sql(columns)} WHERE endpoint_id = ${to.id}`;
    await events(
      to,
      Array.from({ length: held + 1 }, (_, n) => `lane ${n + 10}`),
    );
    const ids = (await stored(to)).map(({ delivery_id }) => delivery_id);
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM deliveries WHERE delivery_id = ANY(${ids.slice(0, held)}) FOR UPDATE`;
      expect(await drain(to)).toMatchObject({ attempts: 1 });
      expect(await states(to)).toEqual([...Array<string>(held).fill('pending'), 'delivered']);
    });
    await drain(to);
    expect(await states(to)).toEqual(Array(held + 1).fill('delivered'));
  });

  it('that is gone is off; what waits is held, and goes when it is enabled', async () => {
    const to = await endpoint();
    await events(to, ['a', 'b']);
    world.answer = () => ({ status: 410 });
    await drain(to);
    expect(await row(to)).toMatchObject({ state: 'disabled', state_reason: 'gone' });
    world.answer = () => ({});
    world.sent.length = 0;
    await events(to, ['c']);
    expect(await drain(to)).toEqual({ nextAt: null, attempts: 0 });
    const page = await world.stores.deliveries.page(to.application, to.id, { state: 'held' }, 10, null);
    expect(page?.rows.map(({ type, state, next_attempt_at }) => [type, state, next_attempt_at])).toEqual([
      ['item.updated', 'held', null],
      ['endpoint.disabled', 'held', null],
      ['item.updated', 'held', null],
      ['item.updated', 'held', null],
    ]);
    expect(await world.stores.endpoints.change(to.application, to.id, { state: 'enabled' })).toMatchObject({
      state: 'enabled',
      reason: null,
    });
    expect(await drain(to)).toEqual({ nextAt: null, attempts: 4 });
  });

  it('that has moved is asked at once, whatever its older address has answered', async () => {
    const to = await endpoint();
    await events(
      to,
      Array.from({ length: 20 }, (_, n) => `o${n}`),
    );
    const move = (url: string) => world.stores.endpoints.change(to.application, to.id, { url });
    world.answer = ({ url }) =>
      url === 'https://new.example/' ? {} : { status: 503, retryAfterMs: 86_400_000 };
    await drain(to);
    expect(await row(to)).toMatchObject({ state: 'failing', rests_until: expect.any(Date) });
    // The same address is no other one.
    await move(`https://hooks.example/${to.id}`);
    expect(await drain(to)).toMatchObject({ attempts: 0 });
    await move('https://new.example/');
    await drain(to);
    await drain(to);
    expect(await row(to)).toMatchObject({ state: 'enabled', failures: 0, failing_since: null });
    expect(new Set(await states(to))).toEqual(new Set(['delivered']));
  });

  it('that has moved is judged by no answer of its older address', async () => {
    for (const late of [
      { status: 410 },
      { status: 429, retryAfterMs: 3_600_000 },
      { status: null, failure: 'timed_out' as const },
    ]) {
      const to = await endpoint();
      await events(
        to,
        Array.from({ length: 10 }, (_, n) => `m${n}`),
      );
      let moved: Promise<unknown> | null = null;
      const moves = () =>
        world.stores.endpoints.change(to.application, to.id, { url: 'https://new.example/' });
      world.answer = async ({ url }) => {
        if (url === 'https://new.example/') return {};
        await (moved ??= moves());
        return late;
      };
      await drain(to);
      expect(await row(to)).toMatchObject(untroubled);
      await timePasses(to);
      await drain(to);
      expect(new Set(await states(to))).toEqual(new Set(['delivered']));
    }
  });

  /** Ten deliveries are on their way, and answered `late`, when trouble comes and the application enables the endpoint anew. */
  async function enabledMeanwhile(late: object, trouble: (endpointId: string) => Promise<unknown>) {
    const to = await endpoint();
    await events(
      to,
      Array.from({ length: 10 }, (_, n) => `e${n}`),
    );
    let enabled: Promise<unknown> | null = null;
    const enable = async () => {
      await trouble(to.id);
      await world.stores.endpoints.change(to.application, to.id, { state: 'enabled' });
    };
    world.answer = async () => {
      await (enabled ??= enable());
      return late;
    };
    await drain(to);
    expect(await row(to)).toMatchObject({ ...untroubled, state_reason: null });
    return to;
  }

  it.each<[string, object, string]>([
    ['410', { status: 410 }, 'disabled'],
    ['429', { status: 429, retryAfterMs: 3_600_000 }, 'paused'],
    ['no answer', { status: null, failure: 'timed_out' as const }, 'disabled'],
  ])('that was enabled anew is judged by no answer of before: %s', async (_name, late, off) => {
    const to = await enabledMeanwhile(
      late,
      (id) => world.sql`UPDATE endpoints SET state = ${off}, state_reason = 'gone' WHERE endpoint_id = ${id}`,
    );
    world.answer = () => ({});
    await timePasses(to);
    await drain(to);
    expect(new Set(await states(to))).toEqual(new Set(['delivered']));
  });

  it.each<[string, object]>([
    ['410', { status: 410 }],
    ['429', { status: 429, retryAfterMs: 3_600_000 }],
    ['no answer', { status: null, failure: 'timed_out' as const }],
  ])('whose pause its application has ended is judged by no answer of before: %s', async (_name, late) => {
    const to = await enabledMeanwhile(
      late,
      (id) => world.sql`
        UPDATE endpoints SET failures = 1, failing_since = now(), rests_until = now() + interval '1 day' WHERE endpoint_id = ${id}`,
    );
    // Nor does what was on its way wait for longer than the schedule says.
    const waits = (await stored(to)).map(({ next_attempt_at }) => next_attempt_at.getTime() - Date.now());
    expect(Math.max(...waits)).toBeLessThan(600_000);
  });

  it('that was enabled anew, and fails anew, is judged by no answer of before all the same', async () => {
    const to = await endpoint();
    await events(to, ['gone', 'a', 'b', 'c', 'd', 'e']);
    const late = gate();
    let sent = 0;
    world.answer = async () => {
      sent += 1;
      if (sent > 1) return { status: 500 };
      await late.opened;
      return { status: 410 };
    };
    const draining = drain(to);
    const isFailing = async () => (await row(to))['state'] === 'failing';
    while (!(await isFailing())) await new Promise((resolve) => setTimeout(resolve, 10));
    await world.stores.endpoints.change(to.application, to.id, { state: 'enabled' });
    await timePasses(to);
    await drain(to);
    expect(await isFailing()).toBe(true);
    late.open();
    await draining;
    expect(await row(to)).toMatchObject({ state: 'failing', state_reason: 'no_success' });
  });

  it.each([{ status: 410 }, { status: 429, retryAfterMs: 3_600_000 }])(
    'that has moved and come back is judged by no answer of before: %j',
    async (late) => {
      const to = await endpoint();
      await events(
        to,
        Array.from({ length: 10 }, (_, n) => `b${n}`),
      );
      const move = (url: string) => world.stores.endpoints.change(to.application, to.id, { url });
      let moved: Promise<unknown> | null = null;
      const moves = async () => {
        await move('https://new.example/');
        await move(`https://hooks.example/${to.id}`);
      };
      world.answer = async () => {
        await (moved ??= moves());
        return late;
      };
      await drain(to);
      expect(await row(to)).toMatchObject(untroubled);
      world.answer = () => ({});
      await timePasses(to);
      await drain(to);
      expect(new Set(await states(to))).toEqual(new Set(['delivered']));
    },
  );

  it('has not recovered by an answer that another sender has waited for since', async () => {
    const to = await endpoint();
    await events(to, ['late']);
    const late = gate();
    world.answer = async () => {
      await late.opened;
      return {};
    };
    const draining = drain(to);
    while (sentTo(to).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await world.sql`UPDATE deliveries SET claimed_until = clock_timestamp() WHERE endpoint_id = ${to.id}`;
    world.answer = () => ({});
    await drain(to);
    world.answer = () => ({ status: 500 });
    await events(to, ['a', 'b', 'c', 'd', 'e']);
    await drain(to);
    late.open();
    await draining;
    expect(await row(to)).toMatchObject({ state: 'failing', failures: 5 });
  });

  it('that has moved is sent at once what was on its way to its older address, also what failed there for the last time', async () => {
    const to = await endpoint();
    await events(to, ['first', 'last']);
    await world.sql`UPDATE deliveries SET attempts = 9 WHERE endpoint_id = ${to.id} AND lane = 'last'`;
    await timePasses(to);
    let moved: Promise<unknown> | null = null;
    world.answer = async ({ url }) => {
      if (url === 'https://new.example/') return {};
      await (moved ??= world.stores.endpoints.change(to.application, to.id, { url: 'https://new.example/' }));
      return { status: 503, retryAfterMs: 86_400_000 };
    };
    await drain(to);
    await drain(to);
    expect((await stored(to)).map(({ state, attempts }) => [state, attempts])).toEqual([
      ['delivered', 2],
      ['delivered', 11],
    ]);
  });

  it('that has moved is sent what its older address did not take with all attempts of the schedule', async () => {
    const to = await endpoint();
    await events(to, ['tried', 'on its way']);
    await world.sql`UPDATE deliveries SET attempts = 9 WHERE endpoint_id = ${to.id}`;
    await world.sql`
      UPDATE deliveries SET next_attempt_at = now() + interval '1 day' WHERE endpoint_id = ${to.id} AND lane = 'tried'`;
    let moved: Promise<unknown> | null = null;
    world.answer = async ({ url }) => {
      if (url !== 'https://new.example/')
        await (moved ??= world.stores.endpoints.change(to.application, to.id, {
          url: 'https://new.example/',
        }));
      return { status: 503 };
    };
    await drain(to);
    await drain(to);
    expect((await stored(to)).map(({ state, attempts }) => [state, attempts])).toEqual([
      ['pending', 10],
      ['pending', 11],
    ]);
    world.answer = () => ({});
    await timePasses(to);
    await drain(to);
    expect(new Set(await states(to))).toEqual(new Set(['delivered']));
  });

  it('has no more sent to it by who has been told that it is paused, or that asks to be slowed', async () => {
    const to = await endpoint();
    await events(
      to,
      Array.from({ length: 60 }, (_, n) => `p${n}`),
    );
    let answered = 0;
    world.answer = async () => {
      answered += 1;
      if (answered === 5) await world.stores.endpoints.change(to.application, to.id, { state: 'paused' });
      return {};
    };
    await drain(to);
    expect(world.sent.length).toBeLessThan(60);
    expect(new Set(await states(to))).toEqual(new Set(['delivered', 'pending']));
    await world.stores.endpoints.change(to.application, to.id, { state: 'enabled' });
    world.answer = () => ({ status: 429, retryAfterMs: 3_600_000 });
    const { nextAt } = await drain(to);
    expect(Date.parse(nextAt ?? '')).toBeGreaterThan(Date.now() + 3_000_000);
  });

  it('of a rotated secret is signed to by both, until the older one ends', async () => {
    const to = await endpoint();
    const { secrets, stores } = world;
    const newer = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
    const newest = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
    const rotate = async (text: string, overlapMs: number) =>
      stores.endpoints.rotate(
        to.application,
        to.id,
        { sealed: await secrets.seal(text, secretContext.endpointSecret(to.id)), publicKey: null },
        overlapMs,
        null,
      );
    const signing = async (): Promise<readonly string[] | undefined> => {
      await stores.endpoints.ping(to.application, to.id, null);
      await drain(to);
      return world.sent.at(-1)?.secrets;
    };
    expect(await signing()).toEqual([secret]);
    await rotate(newer, 3_600_000);
    expect(await signing()).toEqual([newer, secret]);
    await rotate(newest, 3_600_000);
    expect(await signing()).toEqual([newest, newer]);
    await rotate(secret, 0);
    expect(await signing()).toEqual([secret]);
  });

  it('of whose two secrets one does not open is signed to by the other, and an operator is told', async () => {
    const to = await endpoint();
    const newer = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
    const sealed = await world.secrets.seal(newer, secretContext.endpointSecret(to.id));
    await world.stores.endpoints.rotate(to.application, to.id, { sealed, publicKey: null }, 3_600_000, null);
    await world.sql`UPDATE endpoints SET previous_key_id = 'lost' WHERE endpoint_id = ${to.id}`;
    await events(to, ['a']);
    await drain(to);
    expect(await states(to)).toEqual(['delivered']);
    expect(world.sent.at(-1)?.secrets).toEqual([newer]);
    await world.sql`UPDATE endpoints SET secret_key_id = 'lost' WHERE endpoint_id = ${to.id}`;
    await events(to, ['a']);
    await expect(drain(to)).rejects.toThrow();
    expect(await states(to)).toEqual(['delivered', 'pending']);
    const alerts =
      await world.sql`SELECT key FROM alerts WHERE kind = 'endpoint_unreadable' AND key = ${to.id}`;
    expect(alerts).toHaveLength(1);
  });
});

describe('the sweep over endpoints', () => {
  const woken = async (
    limit: number,
    wakeEndpoint: (id: string) => Promise<void> = async () => undefined,
  ): Promise<string[]> => {
    const asked: string[] = [];
    const gateway = {
      ...world.gateway,
      wakeEndpoint: async (id: string) => {
        asked.push(id);
        await wakeEndpoint(id);
      },
    };
    await world.runWith({ gateway }).wakeEndpoints({ limit });
    return asked;
  };

  it('wakes the others where Temporal takes the signal of one for nothing, and tells an operator of that one', async () => {
    await world.sql`UPDATE endpoints SET state = 'paused'`;
    const [deaf, ...others] = [await endpoint(), await endpoint(), await endpoint()];
    for (const to of [deaf, ...others]) await events(to, ['a']);
    for (const type of ['ORCHESTRATOR_REFUSED', 'ORCHESTRATOR_DOWN'] as const) {
      const asked = await woken(10, async (id) => {
        if (id === deaf.id) throw new Failure(type, 'no');
      });
      expect(asked.sort()).toEqual([deaf, ...others].map(({ id }) => id).sort());
    }
    const alerts =
      await world.sql`SELECT detail FROM alerts WHERE kind = 'signal_refused' AND key = ${deaf.id}`;
    expect(alerts).toEqual([{ detail: { kinds: ['endpoint'] } }]);
    expect(world.unexpected.splice(0)).toHaveLength(1);
  });

  it('begins with others than those that it has woken in vain, and so does whoever passes over them', async () => {
    await world.sql`UPDATE endpoints SET state = 'paused'`;
    const stuck = [await endpoint(), await endpoint(), await endpoint()];
    for (const to of stuck) await events(to, ['a']);
    const ids = stuck.map(({ id }) => id).sort();
    const { sending } = world.stores;
    const [first] = await sending.dueEndpoints(1);
    const [second] = await sending.dueEndpoints(1, first === undefined ? [] : [first]);
    expect(second?.endpointId).not.toBe(first?.endpointId);
    const rounds = [await woken(1), await woken(1), await woken(1)];
    expect(rounds.flat().sort()).toEqual(ids);
    // One that was served since is due as any other.
    const all = await sending.dueEndpoints(10);
    const served = stuck[0] as Endpoint;
    await world.stores.sending.lease(served.id, 0);
    expect((await sending.dueEndpoints(10, all)).map(({ endpointId }) => endpointId)).toEqual([served.id]);
  });
});

describe('an endpoint under load', () => {
  const lanes = (count: number, of: number): string[] =>
    Array.from({ length: count }, (_, n) => `l${n % of}`);

  it('whose secret is rotated again and again is refused by no receiver that knows one of the two', async () => {
    const to = await endpoint();
    const { secrets, stores } = world;
    await world.sql.begin((tx) =>
      writeEvents(
        tx,
        lanes(900, 60).map((lane) => ({
          type: 'item.updated' as const,
          itemId: lane,
          applicationId: to.application,
          data: { lane },
        })),
      ),
    );
    const every = 150;
    // Rotated at every 150th delivery; the receiver takes the new one over 75 later, and never knows more than one.
    let [known, next] = [secret, secret];
    let refused = 0;
    let rotations = 0;
    world.answer = async ({ secrets: signing }) => {
      const taken = world.sent.length;
      if (taken % every === 0) {
        rotations += 1;
        next = `whsec_${Buffer.alloc(32, 100 + rotations).toString('base64')}`;
        const sealed = await secrets.seal(next, secretContext.endpointSecret(to.id));
        await stores.endpoints.rotate(to.application, to.id, { sealed, publicKey: null }, 3_600_000, null);
      }
      if (taken % every === every / 2) known = next;
      if (signing.includes(known)) return {};
      refused += 1;
      return { status: 401 };
    };
    await drain(to);
    expect(world.sent).toHaveLength(900);
    expect([refused, rotations]).toEqual([0, 6]);
    expect(new Set(await states(to))).toEqual(new Set(['delivered']));
  });

  it('of 40 a second is sent no more in any second, but for what may go at once', async () => {
    const perSecond = 40;
    const to = await endpoint('all', { ratePerSecond: perSecond });
    await events(to, lanes(90, 30));
    const begun: number[] = [];
    world.answer = () => {
      begun.push(performance.now());
      return {};
    };
    await drain(to);
    expect(begun).toHaveLength(90);
    // A quarter of a second's share at once, and once more where one was held up on a busy machine.
    const most = perSecond + 2 * (perSecond / 4);
    const inASecondFrom = (from: number): number =>
      begun.filter((at) => at >= from && at < from + 1_000).length;
    expect(Math.max(...begun.map(inASecondFrom))).toBeLessThanOrEqual(most);
  });
});

describe('the rate of an endpoint', () => {
  it('holds in every window, however irregularly it is asked', () => {
    let now = 0;
    const rate = sendingRate(() => now);
    const chance = mulberry32(7);
    const begun: number[] = [];
    for (let n = 0; n < 5_000; n += 1) {
      const free = rate.free(20);
      const used = Math.floor(free * chance());
      rate.use(20, used);
      for (let one = 0; one < used; one += 1) begun.push(now);
      now += chance() < 0.05 ? 3_000 * chance() : 40 * chance();
    }
    expect(begun.length).toBeGreaterThan(1_000);
    for (const windowMs of [100, 1_000, 10_000]) {
      let from = 0;
      begun.forEach((at, place) => {
        while ((begun[from] ?? 0) <= at - windowMs) from += 1;
        expect(place - from + 1).toBeLessThanOrEqual((windowMs / 1_000) * 20 + 5);
      });
    }
  });

  it('gives nothing at its beginning, says when the next may go, and lets all go where there is none', () => {
    let now = 1_000;
    const rate = sendingRate(() => now);
    expect(rate.free(10)).toBe(0);
    const wait = rate.nextMs(10);
    now += wait - 1;
    expect(rate.free(10)).toBe(0);
    now += 1;
    expect(rate.free(10)).toBe(1);
    expect([rate.free(null), rate.nextMs(null)]).toEqual([Number.POSITIVE_INFINITY, 0]);
  });
});

describe('what an application may not be told now', () => {
  const typesSent = () => world.sent.map(({ body }) => (JSON.parse(body) as { type: string }).type);

  it('is held, what happens meanwhile too, and goes in its order when it may; after a revocation nothing goes', async () => {
    const to = await endpoint('connected');
    const { sql, stores } = world;
    const item = await world.linkedItem();
    const [{ userId }] = await sql<[{ userId: string }]>`
      SELECT user_id AS "userId" FROM items WHERE item_id = ${item.itemId}`;
    const applicationId = to.application;
    const connectionId = await sql.begin((tx) =>
      grantConnection(tx, { itemId: item.itemId, userId, applicationId }, wholeGrant, anyActor),
    );
    await drain(to);
    const gone = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    const health = async (write: 'setBroken' | 'setHealthy') => {
      const { seen } = (await stores.items.credentials(item.itemId, { forRemoval: true })) ?? {
        seen: newborn,
      };
      if (write === 'setHealthy') await stores.items.setHealthy(item.itemId, seen);
      else await stores.items.setBroken(item.itemId, seen, gone, '2030-01-01T00:00:00Z');
    };
    const sight = { applicationId, access: 'all' } as const;
    const missed = async () => {
      await health('setBroken');
      world.sent.length = 0;
      await drain(to);
      await health('setHealthy');
      expect(await drain(to)).toEqual({ nextAt: null, attempts: 0 });
      expect(typesSent()).toEqual(['connection.suspended']);
      const held = await stores.deliveries.page(applicationId, to.id, { state: 'held' }, 10, null);
      expect(
        held?.rows.map(({ type, ended_at, next_attempt_at }) => [type, ended_at, next_attempt_at]),
      ).toEqual([
        ['item.repaired', null, null],
        ['item.needs_relink', null, null],
      ]);
    };
    await missed();
    // Nor by asking for it once more.
    const all = { since: '2000-01-01T00:00:00Z', until: null, types: [], missingOnly: false };
    for (const { delivery_id, state } of await stored(to)) {
      if (state === 'held') await stores.deliveries.resend(applicationId, delivery_id, null);
    }
    await drain(to);
    expect(typesSent()).toEqual(['connection.suspended']);
    // Of the connection alone: that it was made, and that it is suspended.
    expect((await stores.deliveries.replay(applicationId, to.id, all, null))?.queued).toBe(2);
    await drain(to);
    world.sent.length = 0;
    await stores.connections.renew(sight, connectionId, null, { actor: anyActor });
    await drain(to);
    expect(typesSent()).toEqual([
      ...['item.needs_relink', 'item.repaired', 'connection.renewed', 'connection.resumed'],
    ]);

    await missed();
    await stores.connections.revoke(sight, connectionId, { actor: anyActor });
    world.sent.length = 0;
    await drain(to);
    expect(typesSent()).toEqual(['connection.revoked']);
    expect((await states(to)).filter((state) => state !== 'delivered')).toEqual(['cancelled', 'cancelled']);
  });

  it('is asked about later where somebody holds its Item, and keeps back nothing of other Items', async () => {
    const to = await endpoint('connected', { types: ['item.updated'] });
    const items = [await world.linkedItem(), await world.linkedItem()].map(({ itemId }) => itemId);
    for (const itemId of items) {
      const ids = { itemId, userId: 'u', applicationId: to.application };
      await world.sql.begin((tx) => grantConnection(tx, ids, wholeGrant, anyActor));
      for (const n of [1, 2]) {
        const data = { item_id: itemId, user_id: 'u', from_sequence: n, to_sequence: n };
        await events(to, [itemId], { data });
      }
    }
    const [held = '', free = ''] = items;
    await world.sql`UPDATE connections SET suspended_at = clock_timestamp() WHERE item_id = ${held}`;
    const statesOf = async (lane: string) =>
      (await stored(to)).filter((one) => one.lane === lane).map(({ state }) => state);
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${held} FOR NO KEY UPDATE`;
      expect(await drain(to)).toMatchObject({ attempts: 2 });
      expect([await statesOf(free), await statesOf(held)]).toEqual([
        ['delivered', 'delivered'],
        ['pending', 'pending'],
      ]);
    });
    await world.sql`UPDATE deliveries SET claimed_until = clock_timestamp() WHERE claimed_until IS NOT NULL`;
    expect(await drain(to)).toEqual({ nextAt: null, attempts: 0 });
    expect(await statesOf(held)).toEqual(['held', 'held']);
  });

  it('is locked in one order, whether or not somebody holds its Item, so that nobody waits in a circle', async () => {
    const to = await endpoint('connected', { types: ['item.updated'] });
    for (const item of [await world.linkedItem(), await world.linkedItem()]) {
      const { itemId } = item;
      const ids = { itemId, userId: 'u', applicationId: to.application };
      await world.sql.begin((tx) => grantConnection(tx, ids, wholeGrant, anyActor));
      await events(to, [itemId], { data: { item_id: itemId, user_id: 'u' } });
    }
    const taken = await world.sql<{ delivery_id: string; lane: string }[]>`
      WITH taken AS (UPDATE deliveries SET claim = 'me' WHERE endpoint_id = ${to.id} RETURNING delivery_id, lane)
      SELECT * FROM taken ORDER BY delivery_id`;
    const [first, last] = taken.map(({ delivery_id }) => delivery_id);
    const heldItem = taken[1]?.lane;
    const waits = async () =>
      (
        await world.sql`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
      ).length > 0;
    let aside: Promise<void> | undefined;
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${heldItem ?? ''} FOR NO KEY UPDATE`;
      await tx`SELECT FROM deliveries WHERE delivery_id = ${first ?? ''} FOR UPDATE`;
      aside = putAside(world.sql, 'me', [first ?? '', last ?? '']);
      while (!(await waits())) await new Promise((resolve) => setTimeout(resolve, 10));
      await tx`SELECT FROM deliveries WHERE delivery_id = ${last ?? ''} FOR UPDATE`;
    });
    await aside;
    expect(await states(to)).toEqual(['pending', 'pending']);
    const left = await world.sql`
      SELECT FROM deliveries WHERE endpoint_id = ${to.id} AND claim IS NULL AND claimed_until IS NOT NULL`;
    expect(left).toHaveLength(1);
  });

  it('is cancelled with its connection, and keeps back nothing that was put off with it', async () => {
    const to = await endpoint('connected', { types: ['item.updated', 'connection.updated'] });
    const { stores } = world;
    const item = await world.linkedItem();
    const ids = { itemId: item.itemId, userId: 'u', applicationId: to.application };
    const connectionId = await world.sql.begin((tx) => grantConnection(tx, ids, wholeGrant, anyActor));
    world.answer = () => ({ status: 500 });
    const data = { item_id: item.itemId, user_id: 'u', from_sequence: 1, to_sequence: 1 };
    await events(to, [item.itemId], { data });
    await drain(to);
    const sight = { applicationId: to.application, access: 'all' } as const;
    const may = { mayWiden: true, actor: anyActor };
    await stores.connections.change(sight, connectionId, { scopes: ['accounts'] }, may);
    // Its next attempt is far off.
    await world.sql`
      UPDATE deliveries SET next_attempt_at = clock_timestamp() + interval '5 hours' WHERE endpoint_id = ${to.id}`;
    const isDue = async () =>
      (await stores.sending.dueEndpoints(100)).some(({ endpointId }) => endpointId === to.id);
    await drain(to);
    expect([await states(to), await isDue()]).toEqual([['pending', 'pending'], false]);
    await stores.connections.revoke(sight, connectionId, { actor: anyActor });
    expect([await states(to), await isDue()]).toEqual([['cancelled', 'pending'], true]);
    world.answer = () => ({});
    world.sent.length = 0;
    await drain(to);
    expect([typesSent(), await states(to)]).toEqual([['connection.updated'], ['cancelled', 'delivered']]);
  });

  it('goes when its application may see every Item', async () => {
    const to = await endpoint('connected');
    const { sql, stores } = world;
    const item = await world.linkedItem();
    await sql`
      INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts, expires_at)
      VALUES (${`con_${randomUUID()}`}, ${to.application}, ${item.itemId}, 'u', '{accounts}', true, clock_timestamp())`;
    const data = { item_id: item.itemId, user_id: 'u', added: 1, from_sequence: 1, to_sequence: 1 };
    await events(to, [item.itemId], { data });
    await drain(to);
    expect(await states(to)).toEqual(['held']);
    await stores.applications.change(to.application, { access: 'all' });
    await drain(to);
    expect(await states(to)).toEqual(['delivered']);
  });

  it('is held while its connection is over by time; that this ended is told', async () => {
    const to = await endpoint('connected');
    const { sql, stores } = world;
    const item = await world.linkedItem();
    const connection_id = `con_${randomUUID()}`;
    await sql`
      INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts)
      VALUES (${connection_id}, ${to.application}, ${item.itemId}, 'u', '{accounts}', true)`;
    const changed = (from: number) =>
      events(to, [item.itemId], {
        data: { item_id: item.itemId, user_id: 'u', added: 7, from_sequence: from, to_sequence: from },
      });
    await changed(1);
    await drain(to);
    // It sees less than all of the Item: it is told that something has changed, and not how much.
    expect(JSON.parse(world.sent.at(-1)?.body ?? '')).toMatchObject({ data: { from_sequence: 1 } });
    expect(world.sent.at(-1)?.body).not.toContain('added');
    await changed(2);
    await changed(3);
    await sql`
      UPDATE connections SET expires_at = clock_timestamp(), expired_noted_at = clock_timestamp()
      WHERE connection_id = ${connection_id}`;
    await events(to, [item.itemId], { type: 'connection.expired', connectionId: connection_id, data: {} });
    world.sent.length = 0;
    await drain(to);
    expect(await states(to)).toEqual(['delivered', 'held', 'held', 'delivered']);
    expect(typesSent()).toEqual(['connection.expired']);
    // Narrowed to nothing is no better; granted something once more it is told what it has missed.
    const sight = { applicationId: to.application, access: 'all' } as const;
    const may = { mayWiden: true, actor: anyActor };
    world.sent.length = 0;
    await stores.connections.change(sight, connection_id, { expires_at: null, scopes: [] }, may);
    await drain(to);
    expect(typesSent()).toEqual(['connection.updated', 'connection.renewed']);
    world.sent.length = 0;
    await stores.connections.change(sight, connection_id, { scopes: ['accounts'] }, may);
    await drain(to);
    expect(typesSent()).toEqual(['item.updated', 'item.updated', 'connection.updated']);
  });

  it('is no foreign endpoint’s, and no delivery of one', async () => {
    const [mine, other] = [await endpoint(), await endpoint()];
    const { endpoints, deliveries } = world.stores;
    const all = { since: '2000-01-01T00:00:00Z', until: null, types: [], missingOnly: false };
    await events(mine, ['x']);
    const [{ delivery_id = '' } = {}] = await stored(mine);
    const { application } = other;
    expect(await endpoints.get(application, mine.id)).toBeNull();
    expect(await endpoints.change(application, mine.id, { state: 'paused' })).toBeNull();
    expect(await endpoints.remove(application, mine.id)).toBe(false);
    expect(await endpoints.ping(application, mine.id, null)).toBeNull();
    expect(await deliveries.page(application, mine.id, {}, 10, null)).toBeNull();
    expect(await deliveries.get(application, delivery_id)).toBeNull();
    expect(await deliveries.resend(application, delivery_id, null)).toBe(false);
    expect(await deliveries.recover(application, mine.id, all, null)).toBeNull();
    expect(await deliveries.replay(application, mine.id, all, null)).toBeNull();
    expect(await stored(other)).toHaveLength(0);
    const mineOnly = await endpoints.page(mine.application, 10, null);
    expect(mineOnly.rows.map(({ endpoint_id }) => endpoint_id)).toEqual([mine.id]);
    expect(await endpoints.remove(mine.application, mine.id)).toBe(true);
    expect(await drain(mine)).toEqual({ nextAt: null, attempts: 0 });
    expect((await deliveries.get(mine.application, delivery_id))?.delivery.state).toBe('cancelled');
  });
});

describe('deliveries', () => {
  const range = (from: number, to: number): Partial<NewEvent> => ({
    data: { from_sequence: from, to_sequence: to },
  });

  it('of an item.updated that a newer one covers are superseded; of no other', async () => {
    const to = await endpoint();
    for (const data of [range(1, 4), range(5, 5), range(1, 5), range(6, 6)]) await events(to, ['i'], data);
    await events(to, ['j'], range(1, 9));
    await drain(to);
    expect(await states(to)).toEqual(['superseded', 'superseded', 'delivered', 'delivered', 'delivered']);
  });

  it.each(['deliver.beforeSend', 'deliver.afterSend', 'deliver.afterRecord'] as const)(
    'of a worker that died at %s are sent by the next one, and all are accounted for',
    async (point) => {
      const to = await endpoint();
      await events(to, ['a', 'b', 'a', 'c', 'b', 'a']);
      world.crashAt = point;
      await expect(drain(to)).rejects.toThrow();
      await world.sql`UPDATE deliveries SET claimed_until = clock_timestamp() WHERE endpoint_id = ${to.id}`;
      // One call goes on for seconds only: what it leaves on a busy machine is the next one's.
      while ((await drain(to)).nextAt !== null);
      const rows = await stored(to);
      expect(rows.map(({ state }) => state)).toEqual(Array(6).fill('delivered'));
      const arrivals = [...new Set(sentTo(to))];
      for (const lane of ['a', 'b', 'c']) {
        const ids = rows.filter((one) => one.lane === lane).map(({ event_id }) => event_id);
        expect(arrivals.filter((id) => ids.includes(id))).toEqual(ids);
      }
      expect(sentTo(to).length - arrivals.length).toBe(point === 'deliver.afterSend' ? 1 : 0);
    },
  );

  it('that another has taken are left to it, and are due when it says nothing more', async () => {
    const to = await endpoint();
    await events(to, ['a', 'a', 'b']);
    const { sending } = world.stores;
    const take = (holder: string) => sending.take(to.id, holder, { limit: 10, after: '', ms: 60_000 });
    const [first, second] = await Promise.all([take('one'), take('other')]);
    expect(first.deliveries.length + second.deliveries.length).toBe(2);
    const { nextAt, attempts } = await drain(to);
    expect(attempts).toBe(0);
    expect(Date.parse(nextAt ?? '')).toBeGreaterThan(Date.now() + 20_000);
    expect(await sending.dueEndpoints(100)).not.toContainEqual(
      expect.objectContaining({ endpointId: to.id }),
    );
    const late = {
      at: new Date().toISOString(),
      durationMs: 1,
      status: 200,
      failure: null,
      retryAfterMs: null,
      answer: null,
    };
    // Whoever took nothing records nothing.
    await sending.record(to.id, 'nobody', [
      {
        deliveryId: first.deliveries[0]?.deliveryId ?? '',
        url: `https://hooks.example/${to.id}`,
        judgedSince: (await sending.target(to.id))?.judgedSince ?? null,
        result: late,
      },
    ]);
    expect(await states(to)).toEqual(['pending', 'pending', 'pending']);
    await world.sql`
      UPDATE deliveries SET claimed_until = clock_timestamp(), next_attempt_at = clock_timestamp() WHERE endpoint_id = ${to.id}`;
    expect((await sending.dueEndpoints(100)).map(({ endpointId }) => endpointId)).toContain(to.id);
    await world.run.wakeEndpoints({ limit: 100 });
    expect(world.wokenEndpoints).toContain(to.id);
    expect(await drain(to)).toEqual({ nextAt: null, attempts: 3 });
  });

  it('of 10,000 events for an endpoint that was down a day are all there when it is back, in the order of their lanes', async () => {
    const to = await endpoint();
    const write = (n: number, from: number) =>
      world.sql.begin((tx) =>
        writeEvents(
          tx,
          Array.from({ length: n }, (_, more) => ({
            type: 'item.updated' as const,
            itemId: `lane-${((from + more) * 7_919) % 500}`,
            applicationId: to.application,
            data: { n: from + more },
          })),
        ),
      );
    world.answer = () => ({ status: null, failure: 'connection_failed' });
    const rounds = 8;
    for (let round = 0; round < rounds; round += 1) {
      await write(10_000 / rounds, round * 1_000);
      const { attempts } = await drain(to);
      // One asks whether it is back, on a slow machine once more before the round is over, and the others wait.
      if (round > 0) expect(attempts).toBeLessThan(50);
      await world.sql`
        UPDATE deliveries SET next_attempt_at = next_attempt_at - interval '3 hours' WHERE endpoint_id = ${to.id} AND state = 'pending'`;
      await world.sql`
        UPDATE endpoints SET failing_since = failing_since - interval '3 hours', rests_until = NULL WHERE endpoint_id = ${to.id}`;
    }
    expect(await row(to)).toMatchObject({ state: 'failing', state_reason: 'no_success' });
    world.answer = () => ({});
    world.sent.length = 0;
    for (let attempts = 1; attempts > 0;) ({ attempts } = await drain(to));
    expect(await row(to)).toMatchObject({ state: 'enabled', failures: 0 });
    const rows = await stored(to);
    expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['delivered']));
    const lanes = rows.filter(({ lane }) => lane.startsWith('lane-'));
    expect(lanes).toHaveLength(10_000);
    // Of itself it is told as well: that it failed, and that it is back.
    expect(rows).toHaveLength(10_002);
    // On a machine that stands still for half a minute one may come twice.
    const arrivals = [...new Set(sentTo(to))];
    expect(arrivals).toHaveLength(10_002);
    const place = new Map(arrivals.map((id, index) => [id, index]));
    const last = new Map<string, number>();
    for (const { lane, event_id } of lanes) {
      const at = place.get(event_id) ?? -1;
      expect(at).toBeGreaterThan(last.get(lane) ?? -1);
      last.set(lane, at);
    }
  }, 300_000);

  it('of events from before are made by a replay, once each', async () => {
    const to = await endpoint();
    await events(to, ['a', 'b']);
    await drain(to);
    const newer = `end_${randomUUID()}`;
    const { secrets, stores } = world;
    const sealed = await secrets.seal(secret, secretContext.endpointSecret(newer));
    await stores.endpoints.create({
      endpointId: newer,
      applicationId: to.application,
      url: `https://hooks.example/${newer}`,
      types: ['item.updated'],
      signature: 'hmac',
      ratePerSecond: 50,
      consent: false,
      secret: { sealed, publicKey: null },
    });
    const [first] = await stored(to);
    const [{ time }] = await world.sql<
      [{ time: Date }]
    >`SELECT time FROM events WHERE event_id = ${first?.event_id ?? ''}`;
    const since = time.toISOString();
    const replay = (missingOnly: boolean) =>
      stores.deliveries.replay(to.application, newer, { since, until: null, types: [], missingOnly }, null);
    expect(await replay(true)).toEqual({ queued: 2, nextSince: null });
    expect(await replay(true)).toEqual({ queued: 0, nextSince: null });
    expect(await drain({ id: newer, application: to.application })).toEqual({ nextAt: null, attempts: 2 });
    expect(await replay(false)).toEqual({ queued: 2, nextSince: null });
  });
});
