import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { promMetrics } from '../../api/promMetrics.js';
import { createSignalQueue } from '../../api/signalQueue.js';
import { Failure } from '../../domain/failures.js';
import { createWorld, down, impatient, itemView, never, until } from './world.js';

const update = {
  item_id: 'item-1',
  webhook_code: 'SYNC_UPDATES_AVAILABLE',
  webhook_type: 'TRANSACTIONS',
};

function start(limits = {}) {
  const world = createWorld(limits);
  const send = (payload: string | Buffer, headers: Record<string, string> = {}) =>
    world.app.inject({
      method: 'POST',
      url: '/webhooks/plaid',
      headers: { 'content-type': 'application/json', 'plaid-verification': 'jwt', ...headers },
      payload,
    });
  const metricsText = async () => (await world.app.inject('/metrics')).body;
  return { ...world, world, send, metricsText };
}
type Started = ReturnType<typeof start>;

/** An update of each of `n` Items. */
function updatesOf({ items }: Pick<Started, 'items'>, n: number): string[] {
  return Array.from({ length: n }, (_, at) => {
    const itemId = `many-${at}`;
    items.set(itemId, itemView(itemId, 'user-1'));
    return JSON.stringify({ ...update, item_id: itemId });
  });
}

async function withIntake(run: (started: Started) => Promise<void>, limits = {}): Promise<void> {
  const started = start(limits);
  try {
    await run(started);
  } finally {
    await started.app.close();
  }
}

describe('a webhook that is not stored', () => {
  it('is forged: 401, never parsed, kept only in bounded form and without secrets', async () => {
    await withIntake(async ({ send, behave, webhooks, rejected, signals }) => {
      behave.verdict = async () => ({ kind: 'rejected', reason: 'body_changed' });
      const body = `{"item_id":"item-1","webhook_type":"TRANSACTIONS","webhook_code":"DEFAULT_UPDATE","x":"${'x'.repeat(9_000)}"}`;
      const answer = await send(body, {
        authorization: 'Bearer canary',
        cookie: 'canary',
        'x-anything': 'canary',
        'plaid-verification': 'j'.repeat(9_000),
      });
      expect([answer.statusCode, answer.json().code]).toEqual([401, 'webhook_rejected']);
      // The reason helps a forger and nobody else.
      expect(answer.body).not.toContain('body_changed');
      await until(() => rejected.length === 1, 'the rejected webhook is kept');
      expect(rejected[0]).toMatchObject({
        verdict: 'rejected',
        reason: 'body_changed',
        item_id: null,
        kind: null,
      });
      expect(rejected[0]!.body.byteLength).toBe(4_096);
      expect(rejected[0]!.body.buffer.byteLength).toBe(4_096);
      expect(JSON.stringify(rejected[0]!.headers)).not.toContain('canary');
      expect(rejected[0]!.headers['plaid-verification']?.length).toBe(2_048);
      expect([webhooks.size, signals.length]).toEqual([0, 0]);
    });
  });

  it('is one of a flood of forgeries: at most ten a second are kept, and none waits for the database', async () => {
    await withIntake(async ({ send, behave, rejected }) => {
      behave.verdict = async () => ({ kind: 'rejected', reason: 'no_header' });
      let now = 1_000_000;
      behave.elapsed = () => now;
      for (let n = 0; n < 100; n += 1) expect((await send('{}')).statusCode).toBe(401);
      expect(rejected.length).toBe(10);
      now += 1_000;
      for (let n = 0; n < 100; n += 1) expect((await send('{}')).statusCode).toBe(401);
      expect(rejected.length).toBe(20);
      now += 1_000;
      // With a database that does not answer, no more than ten are held in memory, however long it lasts.
      let held = 0;
      behave.store = () => {
        held += 1;
        return never();
      };
      for (let n = 0; n < 40; n += 1) {
        now += n % 20 === 0 ? 1_000 : 0;
        expect((await send('{}')).statusCode).toBe(401);
      }
      expect(held).toBe(10);
    }, impatient);
  });

  it('cannot be verified: 503, or 429 with Retry-After when the budget of keys is spent', async () => {
    await withIntake(async ({ send, behave, webhooks, rejected }) => {
      behave.verdict = async () => ({ kind: 'undecided', retryAfterMs: null });
      const undecided = await send('{}');
      expect([undecided.statusCode, undecided.json().code]).toEqual([503, 'webhook_undecided']);
      behave.verdict = async () => ({ kind: 'undecided', retryAfterMs: 1_001 });
      const busy = await send('{}');
      expect([busy.statusCode, busy.json().code, busy.headers['retry-after']]).toEqual([
        429,
        'webhook_keys_busy',
        '2',
      ]);
      expect([webhooks.size, rejected.length]).toEqual([0, 0]);
    });
  });

  it('finds the look-ups of keys spent: 429, counted, and an alert a lane, however many are refused', async () => {
    await withIntake(async ({ app, send, behave, alerts, webhooks, rejected, metricsText }) => {
      let now = 1_000_000;
      behave.elapsed = () => now;
      behave.verdict = async () => ({ kind: 'no_budget', lane: 'strangers', retryAfterMs: 1_001 });
      for (let n = 0; n < 20; n += 1) {
        const busy = await send('{}');
        expect([busy.statusCode, busy.json().code, busy.headers['retry-after']]).toEqual([
          429,
          'webhook_keys_busy',
          '2',
        ]);
      }
      behave.verdict = async () => ({ kind: 'no_budget', lane: 'senders', retryAfterMs: 7 });
      await send('{}');
      await until(() => alerts.length === 2, 'both lanes are told of');
      expect(alerts).toEqual([
        { kind: 'webhook_keys_busy', key: 'strangers', detail: { lane: 'strangers', retry_after_ms: 1_001 } },
        { kind: 'webhook_keys_busy', key: 'senders', detail: { lane: 'senders', retry_after_ms: 7 } },
      ]);
      now += 61_000;
      await send('{}');
      await until(() => alerts.length === 3, 'it is told again, in case that somebody has settled it');
      const metrics = await metricsText();
      expect(metrics).toContain('sluice_api_webhook_keys_refused_total{lane="strangers"} 20');
      expect(metrics).toContain('sluice_api_webhook_keys_refused_total{lane="senders"} 2');
      expect([webhooks.size, rejected.length]).toEqual([0, 0]);
      // With a database that does not take the alert, the answer is the same.
      now += 61_000;
      behave.store = down;
      expect((await send('{}')).statusCode).toBe(429);
      await app.close();
    });
  });

  it('is counted as the address that a trusted proxy names', async () => {
    await withIntake(async ({ world, send, behave, delivered }) => {
      const seen: string[] = [];
      behave.verdict = async (_header, _body, address) => {
        seen.push(address);
        return { kind: 'accepted' };
      };
      await send(JSON.stringify(update), { 'x-forwarded-for': '198.51.100.1' });
      const app = buildApp({
        ...world.deps,
        metrics: promMetrics(new Registry()),
        trustedProxies: ['127.0.0.1'],
      });
      await app.inject({
        method: 'POST',
        url: '/webhooks/plaid',
        headers: { 'x-forwarded-for': '198.51.100.1' },
        payload: JSON.stringify(update),
      });
      await app.close();
      expect(seen).toEqual(['127.0.0.1', '198.51.100.1']);
      expect(delivered).toEqual(seen.map((address) => ({ address, itemId: 'item-1' })));
    });
  });

  it('meets a fault of ours before the commit: 503, so that Plaid delivers again', async () => {
    await withIntake(async ({ send, behave, signals }) => {
      const faults: (() => void)[] = [
        () => (behave.verdict = () => Promise.reject(new Error('verifier'))),
        () => (behave.verdict = never),
        () => (behave.store = down),
        () => (behave.store = () => Promise.reject(new Failure('BAD_REQUEST', 'odd'))),
        () => (behave.store = never),
      ];
      for (const fault of faults) {
        behave.verdict = async () => ({ kind: 'accepted' });
        behave.store = async () => undefined;
        fault();
        const answer = await send(JSON.stringify(update));
        expect([answer.statusCode, answer.json().code]).toEqual([503, 'unavailable']);
      }
      expect(signals).toEqual([]);
    }, impatient);
  });

  it('is larger than 1 MiB: 413, and exactly 1 MiB is not', async () => {
    await withIntake(async ({ send, webhooks }) => {
      const large = await send(Buffer.alloc(1024 * 1024 + 1, 0x20));
      expect([large.statusCode, large.json().code]).toEqual([413, 'payload_too_large']);
      expect((await send(Buffer.alloc(1024 * 1024, 0x20))).statusCode).toBe(200);
      expect([...webhooks.values()][0]).toMatchObject({ reason: 'malformed_body' });
    });
  });
});

describe('a webhook that is stored', () => {
  it('is verified on the bytes as they came, whatever they are called', async () => {
    await withIntake(async ({ send, app, behave, webhooks }) => {
      const seen: [string | undefined, Buffer][] = [];
      behave.verdict = async (header, body) => {
        seen.push([header, Buffer.from(body)]);
        return { kind: 'accepted' };
      };
      const bytes = Buffer.from([0x7b, 0xff, 0x00, 0x22, 0x7d]);
      for (const type of ['application/json', 'text/plain', 'application/json; charset=utf-16', 'nonsense']) {
        expect((await send(bytes, { 'content-type': type })).statusCode).toBe(200);
      }
      const bare = await app.inject({ method: 'POST', url: '/webhooks/plaid', payload: bytes });
      const empty = await app.inject({ method: 'POST', url: '/webhooks/plaid' });
      expect([bare.statusCode, empty.statusCode]).toEqual([200, 200]);
      expect([...webhooks.values()].map((webhook) => webhook.headers['content-type']).slice(2, 5)).toEqual([
        'application/json; charset=utf-16',
        'nonsense',
        undefined,
      ]);
      expect(seen.slice(0, 4).every(([header, body]) => header === 'jwt' && body.equals(bytes))).toBe(true);
      expect(seen[4]).toEqual([undefined, bytes]);
      expect(seen[5]).toEqual([undefined, Buffer.alloc(0)]);
      expect([...webhooks.values()].map((webhook) => Buffer.from(webhook.body).toString('hex'))).toEqual([
        ...Array.from({ length: 5 }, () => bytes.toString('hex')),
        '',
      ]);
    });
  });

  it('is answered 200 with {}, and its item is told', async () => {
    await withIntake(async ({ send, webhooks, signals, released }) => {
      const answer = await send(JSON.stringify(update), { authorization: 'Bearer canary', cookie: 'canary' });
      expect([answer.statusCode, answer.json()]).toEqual([200, {}]);
      expect([...webhooks.values()][0]).toMatchObject({
        source: 'plaid',
        verdict: 'accepted',
        kind: 'update',
        reason: null,
        ...update,
      });
      expect(JSON.stringify([...webhooks.values()][0]!.headers)).not.toContain('canary');
      await until(() => signals.length === 1, 'the signal');
      expect(signals).toEqual([{ itemId: 'item-1', userId: 'user-1', webhook: 'update' }]);
      expect(released).toEqual([]);
    });
  });

  it('is kept though nothing is done for it, with the reason', async () => {
    await withIntake(async ({ send, webhooks, signals, app }) => {
      const bodies = [
        'no json',
        '[]',
        '{"webhook_type":"ITEM","webhook_code":"WEBHOOK_UPDATE_ACKNOWLEDGED","item_id":"item-1"}',
        '{"webhook_type":"NEW","webhook_code":"THING","item_id":"item-1"}',
        '{"webhook_type":"TRANSACTIONS","webhook_code":"DEFAULT_UPDATE"}',
        '{"__proto__":{"item_id":"item-1"},"webhook_type":"TRANSACTIONS","webhook_code":"DEFAULT_UPDATE"}',
        JSON.stringify({ ...update, item_id: 'unknown-item' }),
      ];
      for (const body of bodies) expect((await send(body)).statusCode).toBe(200);
      await app.close();
      expect([...webhooks.values()].map((webhook) => webhook.reason)).toEqual([
        'malformed_body',
        'malformed_body',
        'logged_only',
        'not_handled',
        'no_item_id',
        'no_item_id',
        // Pending: it may be adopted by the link that is on its way.
        null,
      ]);
      expect(signals).toEqual([]);
    });
  });

  it('is answered while Temporal hangs, and released for the sweep', async () => {
    await withIntake(async ({ send, behave, released, logged }) => {
      behave.signal = never;
      expect((await send(JSON.stringify(update))).statusCode).toBe(200);
      await until(() => released.length === 1, 'the release');
      expect(released).toEqual(['webhook-1']);
      expect(logged.join('')).toContain('ORCHESTRATOR_DOWN');
    }, impatient);
  });

  it('is answered while Temporal refuses, and released for the sweep', async () => {
    await withIntake(async ({ send, behave, released }) => {
      behave.signal = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
      expect((await send(JSON.stringify(update))).statusCode).toBe(200);
      await until(() => released.length === 1, 'the release');
    });
  });

  it('is answered when too many signals wait; those are left to the sweep, unclaimed', async () => {
    await withIntake(
      async ({ send, behave, webhooks, signals, released, app, items }) => {
        let open = (): void => undefined;
        behave.signal = () => new Promise((resolve) => (open = resolve));
        for (const body of updatesOf({ items }, 5)) expect((await send(body)).statusCode).toBe(200);
        expect(webhooks.size).toBe(5);
        expect((await app.inject('/metrics')).body).toMatch(
          /sluice_api_signals_total\{result="overflow"\} 2/,
        );
        expect((await app.inject('/metrics')).body).toMatch(/sluice_api_signals_waiting 3/);
        behave.signal = async () => undefined;
        open();
        await until(() => signals.length === 3, 'the signals that waited');
        expect(released).toEqual([]);
      },
      { signalsWaiting: 2, signalsAtOnce: 1, signalMs: 10_000 },
    );
  });

  it('waits once for its Item and kind, however often it came; the newest speaks for all', async () => {
    await withIntake(
      async ({ send, behave, webhooks, signals, claims, app }) => {
        let open = (): void => undefined;
        behave.signal = () => new Promise((resolve) => (open = resolve));
        for (let n = 0; n < 5; n += 1) await send(JSON.stringify(update));
        for (let n = 0; n < 5; n += 1) {
          await send(JSON.stringify({ ...update, webhook_code: 'HISTORICAL_UPDATE' }));
        }
        expect(webhooks.size).toBe(10);
        expect((await app.inject('/metrics')).body).toMatch(/sluice_api_signals_waiting 3/);
        expect((await app.inject('/metrics')).body).not.toMatch(/result="overflow"/);
        behave.signal = async () => undefined;
        open();
        await until(() => signals.length === 3, 'the signals that waited');
        expect(signals.map(({ webhook }) => webhook)).toEqual(['update', 'update', 'history']);
        expect(claims).toEqual(['webhook-1', 'webhook-5', 'webhook-10']);
      },
      { signalsWaiting: 2, signalsAtOnce: 1, signalMs: 10_000 },
    );
  });

  it('is signalled before the process ends, or left to the sweep', async () => {
    // Long enough that a slow machine drains all the same.
    const { app, send, behave, signals, items } = start({ signalMs: 60_000, drainMs: 60_000 });
    behave.signal = () => new Promise((resolve) => setTimeout(resolve, 30));
    for (const body of updatesOf({ items }, 20)) await send(body);
    await app.close();
    expect(signals.length).toBe(20);

    const stuck = start({ ...impatient, signalsAtOnce: 2 });
    stuck.behave.signal = never;
    for (const body of updatesOf(stuck, 20)) await stuck.send(body);
    await stuck.app.close();
    expect(stuck.signals).toEqual([]);
    const released = stuck.released.length;
    expect(released).toBeGreaterThan(0);
    // Nothing goes on behind a closed app.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(stuck.released.length).toBe(released);
  });

  it('is left to the sweep, unclaimed, when it waits or comes while the process ends', async () => {
    const [claims, results]: [string[], string[]] = [[], []];
    const queue = createSignalQueue(
      {
        webhooks: {
          acquireSignal: async (webhookId) => {
            claims.push(webhookId);
            return { webhookId, itemId: webhookId, userId: 'user-1', kind: 'update' };
          },
          releaseSignal: async () => undefined,
        },
        gateway: { signalItem: never },
        metrics: { signal: ({ result }) => void results.push(result) },
        onFailure: () => undefined,
      },
      { capacity: 10, concurrency: 1, deadlineMs: 20 },
    );
    for (const id of ['runs', 'waits']) queue.offer({ webhookId: id, itemId: id, kind: 'update' });
    await queue.drain(1);
    queue.offer({ webhookId: 'late', itemId: 'late', kind: 'update' });
    await until(() => queue.waiting() === 0, 'the end of the one that ran');
    expect([claims, results]).toEqual([['runs'], ['failed', 'overflow']]);
  });

  it('leaves nothing of its body or headers in a log', async () => {
    await withIntake(async ({ send, logged, behave }) => {
      const body = JSON.stringify({ ...update, note: 'canary-body' });
      await send(body, { 'x-note': 'canary-header', 'plaid-verification': 'canary-jwt' });
      behave.store = () => Promise.reject(new Error('canary-error'));
      await send(body);
      behave.verdict = async () => ({ kind: 'rejected', reason: 'too_old' });
      await send(body);
      expect(logged.length).toBeGreaterThan(0);
      expect(logged.join('')).not.toContain('canary');
    });
  });
});

describe('stored webhooks', () => {
  it('are for admins, by id and in pages', async () => {
    await withIntake(async ({ send, app, keys }) => {
      for (let n = 0; n < 3; n += 1) await send(JSON.stringify(update));
      const get = (url: string) => app.inject({ url, headers: keys.admin });
      expect((await get('/v1/webhooks/absent')).statusCode).toBe(404);
      expect((await get('/v1/webhooks/webhook-1')).json()).toMatchObject({
        webhook_id: 'webhook-1',
        verdict: 'accepted',
        outcome: { state: 'pending', reason: null },
        body: JSON.stringify(update),
      });
      const page = (await get('/v1/webhooks?limit=2&verdict=accepted')).json();
      expect([page.data.length, page.has_more, page.meta]).toEqual([2, true, {}]);
      const rest = (await get(`/v1/webhooks?verdict=accepted&cursor=${page.next_cursor}`)).json();
      expect([rest.data.length, rest.next_cursor]).toEqual([1, null]);
    });
  });

  it('are replayed as a copy that is told to its Item, unless the store refuses', async () => {
    await withIntake(async ({ send, app, keys, signals, deps }) => {
      await send(JSON.stringify(update));
      await until(() => signals.length === 1, 'the first signal');
      const replay = (id: string) =>
        app.inject({ method: 'POST', url: `/v1/webhooks/${id}/replay`, headers: keys.admin });
      const copy = await replay('webhook-1');
      expect([copy.statusCode, copy.json()]).toMatchObject([
        202,
        { webhook_id: 'webhook-2', source: 'replay' },
      ]);
      await until(() => signals.length === 2, 'the signal of the copy');
      expect(signals[1]).toEqual({ itemId: 'item-1', userId: 'user-1', webhook: 'update' });
      expect((await replay('absent')).statusCode).toBe(404);
      for (const refusal of ['rejected', 'acted_on'] as const) {
        deps.webhooks.replay = async () => refusal;
        const refused = await replay('webhook-1');
        expect([refused.statusCode, refused.json().code]).toEqual([409, 'replay_refused']);
      }
    });
  });
});
