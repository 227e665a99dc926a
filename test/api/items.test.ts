import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { promMetrics } from '../../api/promMetrics.js';
import { Failure } from '../../domain/failures.js';
import { askHastily, createWorld, down, impatient, never } from './world.js';

const world = createWorld();
const { app, keys, behave } = world;
afterAll(() => app.close());
const get = (url: string) => app.inject({ url, headers: keys.read });

describe('what an item is doing', () => {
  it('is 404 for an absent item, without asking Temporal', async () => {
    behave.status = () => Promise.reject(new Error('asked'));
    expect((await get('/v1/items/absent/sync')).statusCode).toBe(404);
  });

  it('is 503 when Temporal is down or hangs', async () => {
    for (const status of [() => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down')), never]) {
      const answer = await askHastily({ status }, ({ read }) => ({
        url: '/v1/items/item-1/sync',
        headers: read,
      }));
      expect([answer.statusCode, answer.json().code, answer.headers['retry-after']]).toEqual([
        503,
        'orchestrator_down',
        '5',
      ]);
    }
  });

  it('comes from the workflow, and from the row when none runs', async () => {
    behave.status = async () => ({
      phase: 'updating',
      history: 'initial',
      progress: { pages: 3, rows: 1500, restarts: 1 },
      remine: null,
      next_due_at: '2026-11-22T07:00:00.000Z',
      last_update_at: null,
      last_failure: { step: 'update', type: 'RATE_LIMITED', at: '2026-11-21T07:00:00.000Z' },
      waiting_for_publish: true,
    });
    expect((await get('/v1/items/item-1/sync')).json()).toEqual({
      item_id: 'item-1',
      running: true,
      phase: 'updating',
      history: 'initial',
      progress: { pages: 3, rows: 1500, restarts: 1 },
      remine: null,
      next_due_at: '2026-11-22T07:00:00.000Z',
      last_update_at: null,
      last_failure: { step: 'update', type: 'RATE_LIMITED', at: '2026-11-21T07:00:00.000Z' },
      waiting_for_publish: true,
    });
    behave.status = async () => null;
    expect((await get('/v1/items/item-gone/sync')).json()).toMatchObject({
      running: false,
      phase: 'removed',
      progress: null,
    });
  });
});

describe('users and items', () => {
  it('absent are 404, whoever they belong to', async () => {
    const absent = await get('/v1/items/absent');
    expect([absent.statusCode, absent.json().code]).toEqual([404, 'not_found']);
    expect((await get('/v1/users/absent')).statusCode).toBe(404);
    expect((await get('/v1/items/ITEM-1')).statusCode).toBe(404);
  });

  it('are what the database says', async () => {
    expect((await get('/v1/items/item-1')).json()).toEqual(world.items.get('item-1'));
    expect((await get('/v1/users/user-1')).json()).toEqual({
      user_id: 'user-1',
      status: 'active',
      activated_at: '2026-11-20T07:00:00.000Z',
      items: 2,
    });
  });

  it('let nothing out that the schema does not name', async () => {
    const item = world.items.get('item-1')!;
    world.items.set('leaky', { ...item, item_id: 'leaky', access_token: 'canary' } as never);
    expect((await get('/v1/items/leaky')).body).not.toContain('canary');
  });

  it('answer HEAD without a body', async () => {
    const head = await app.inject({ method: 'HEAD', url: '/v1/items/item-1', headers: keys.read });
    expect([head.statusCode, head.body]).toEqual([200, '']);
    expect((await app.inject({ method: 'HEAD', url: '/v1/items/item-1' })).statusCode).toBe(401);
  });
});

describe('health', () => {
  it('names the dependency that is down, or hangs', async () => {
    for (const probe of [down, never]) {
      const hasty = createWorld(impatient);
      hasty.behave.probe = probe;
      const answer = await hasty.app.inject('/readyz');
      expect(answer.statusCode).toBe(503);
      expect(answer.json()).toMatchObject({
        code: 'not_ready',
        dependencies: { postgresql: { status: 'down' }, temporal: { status: 'up' } },
      });
      expect((await hasty.app.inject('/livez')).json()).toEqual({ status: 'up' });
      await hasty.app.close();
    }
  });

  it('tells that Temporal is down, and is ready all the same', async () => {
    for (const temporal of [down, never]) {
      const hasty = createWorld(impatient);
      hasty.behave.temporal = temporal;
      const answer = await hasty.app.inject('/readyz');
      expect([answer.statusCode, answer.json()]).toEqual([
        200,
        { status: 'ready', dependencies: { postgresql: { status: 'up' }, temporal: { status: 'down' } } },
      ]);
      await hasty.app.close();
    }
  });

  it('says in one line what an operator has to mend, and nothing of what others have said', async () => {
    const hasty = createWorld(impatient);
    hasty.behave.probe = () => Promise.reject(new Failure('MISCONFIGURED', 'the database lacks every table'));
    hasty.behave.temporal = () => Promise.reject(new Error('secret of others'));
    const answer = await hasty.app.inject('/readyz');
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({
      dependencies: {
        postgresql: { status: 'down', reason: 'the database lacks every table' },
        temporal: { status: 'down' },
      },
    });
    expect(answer.body).not.toContain('secret');
    await hasty.app.close();
  });

  it('asks each dependency once for many questions at once', async () => {
    let asked = 0;
    behave.probe = async () => {
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject('/readyz')));
    expect(new Set(answers.map((answer) => answer.statusCode))).toEqual(new Set([200]));
    expect(asked).toBe(1);
    await app.inject('/readyz');
    expect(asked).toBe(2);
  });
});

describe('figures of the database', () => {
  it('stand among the metrics, and are absent while it does not answer', async () => {
    const own = createWorld();
    let clock = 0;
    const metered = buildApp({ ...own.deps, elapsed: () => clock, metrics: promMetrics(new Registry()) });
    const shown = async (): Promise<string> => (await metered.inject('/metrics')).body;
    expect(await shown()).toContain('sluice_items{status="ACTIVE",history="complete"} 2');
    expect(await shown()).toContain('sluice_outbox_oldest_unsent_seconds 7');
    own.behave.reads = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'the database is away'));
    clock += 60_000;
    const away = await shown();
    expect(away).not.toMatch(/^sluice_items\{/m);
    expect(away).not.toMatch(/^sluice_webhooks_pending \d/m);
    await metered.close();
  });
});

describe('metrics', () => {
  it('count requests by pattern, never by id', async () => {
    await get('/v1/items/secret-item-id');
    await get('/never/heard/of');
    const { body, headers } = await app.inject('/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain/);
    expect(body).toContain('route="/v1/items/:itemId",status="404"');
    expect(body).toContain('method="other",route="unmatched",status="404"');
    expect(body).not.toContain('secret-item-id');
    expect(body).not.toContain('heard');
  });
});
