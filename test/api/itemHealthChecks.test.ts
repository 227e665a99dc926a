import { ourselves } from '../../domain/exchange/viewer.js';
import { createItemHealthChecks } from '../../api/itemHealthChecks.js';
import { Failure } from '../../domain/failures.js';
import type { FailureType } from '../../domain/failures.js';
import type { ItemSignal } from '../../domain/ports/gateway.js';
import { createWorld, itemView, until } from './world.js';

const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };

async function start(error: typeof loginRequired | null = loginRequired) {
  const world = createWorld();
  const { deps } = world;
  const view = await deps.plaid.getItem('token');
  const seen = {
    asked: [] as string[],
    marked: [] as unknown[],
    told: [] as ItemSignal[],
    now: Date.parse('2026-11-21T10:00:00Z'),
    elapsed: 0,
  };
  deps.plaid.getItem = async (token) => (seen.asked.push(token), { ...view, error });
  deps.items.setBroken = async (...given) => seen.marked.push(given) > 0;
  deps.gateway.signalItem = async (_itemId, _userId, signal) => void seen.told.push(signal);
  const looks = createItemHealthChecks(
    deps,
    { signalMs: 1_000 },
    { now: () => seen.now, elapsed: () => seen.elapsed },
  );
  const fail = (type: FailureType, item = itemView('item-1', 'user-1')): void =>
    looks.after(new Failure(type, 'x'), ourselves, item, 'access-1');
  return {
    ...seen,
    seen,
    deps,
    fail,
    looks,
    alerts: world.alerts,
    logged: world.logged,
    close: () => world.app.close(),
  };
}

describe('an item of which a read at Plaid says that its user must act', () => {
  it('is broken when /item/get says so, and its workflow is told', async () => {
    const { seen, fail, close } = await start();
    fail('LOGIN_REQUIRED');
    await until(() => seen.told.length === 1, 'the signal');
    expect(seen.asked).toEqual(['access-1']);
    expect(seen.marked).toEqual([
      [
        'item-1',
        expect.objectContaining({ health: 0 }),
        loginRequired,
        '2026-11-21T11:00:00.000Z',
        { consent: { expiresAt: null, isConnected: false } },
      ],
    ]);
    expect(seen.told).toEqual([{ kind: 'foundDue' }]);
    await close();
  });

  it.each(['UNAUTHORIZED_ROUTE_ACCESS', 'UNAUTHORIZED_INSTITUTION'])(
    'has operators told of what they alone mend: a read that is refused for it, or /item/get that names it (%s)',
    async (error_code) => {
      const named = { error_type: 'INVALID_INPUT', error_code };
      const { looks, alerts, fail, close } = await start(named);
      const told = () => alerts.map(({ kind, key }) => [kind, key]);
      fail('LOGIN_REQUIRED');
      await until(() => alerts.length === 1, 'the alert of what /item/get names');
      expect(told()).toEqual([['plaid_misconfigured', error_code]]);
      alerts.length = 0;
      const upstream = { ...named, request_id: null };
      const item = itemView('item-2', 'user-2');
      looks.after(new Failure('MISCONFIGURED', 'x', { upstream }), ourselves, item, 'access-2');
      await until(() => alerts.length === 1, 'the alert of the read');
      expect(told()).toEqual([['plaid_misconfigured', error_code]]);
      await close();
    },
  );

  it('has its webhooks sent to us, where Plaid sends them elsewhere', async () => {
    const { deps, fail, close } = await start(null);
    const moved: string[] = [];
    deps.plaid.updateWebhook = async (token, url) => void moved.push(`${token} ${url}`);
    fail('LOGIN_REQUIRED');
    await until(() => moved.length === 1, 'the address');
    expect(moved).toEqual(['access-1 https://sluice.example/webhooks/plaid']);
    await close();
  });

  it('is left alone when /item/get knows nothing of it', async () => {
    const { seen, fail, close } = await start(null);
    fail('LOGIN_REQUIRED');
    await until(() => seen.asked.length === 1, 'the question');
    await new Promise((resolve) => setImmediate(resolve));
    expect([seen.marked, seen.told]).toEqual([[], []]);
    await close();
  });

  it.each(['PERMISSION_REVOKED', 'ITEM_GONE', 'TOKEN_REFUSED'] as const)(
    'or that says %s is left to an update at once',
    async (type) => {
      const { seen, fail, close } = await start();
      fail(type);
      await until(() => seen.told.length === 1, 'the signal');
      expect([seen.asked, seen.marked]).toEqual([[], []]);
      expect(seen.told).toEqual([{ kind: 'webhookReceived', webhook: 'update' }]);
      await close();
    },
  );

  it('is left as it is when something newer was learned of it meanwhile', async () => {
    const { seen, deps, fail, close } = await start();
    const marked = new Promise<void>((resolve) => {
      deps.items.setBroken = async () => (resolve(), false);
    });
    fail('LOGIN_REQUIRED');
    await marked;
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen.told).toEqual([]);
    await close();
  });

  it('and that was removed meanwhile is not asked after', async () => {
    const { seen, deps, fail, close } = await start();
    const looked = new Promise<void>((resolve) => {
      deps.reads.asking = async () => (resolve(), null);
    });
    fail('LOGIN_REQUIRED');
    await looked;
    await new Promise((resolve) => setImmediate(resolve));
    expect([seen.asked, seen.marked, seen.told]).toEqual([[], [], []]);
    await close();
  });

  it('is looked at once in five minutes, however many reads fail', async () => {
    const { seen, fail, close } = await start();
    for (let n = 0; n < 50; n += 1) fail('LOGIN_REQUIRED');
    fail('LOGIN_REQUIRED', itemView('item-2', 'user-1'));
    seen.elapsed += 299_999;
    fail('LOGIN_REQUIRED');
    await until(() => seen.told.length === 2, 'the signals');
    expect(seen.asked).toHaveLength(2);
    seen.elapsed += 1;
    fail('LOGIN_REQUIRED');
    await until(() => seen.told.length === 3, 'the next signal');
    await close();
  });

  it('is not looked at when it is known to be broken, or for any other failure', async () => {
    const { seen, fail, close } = await start();
    fail('LOGIN_REQUIRED', itemView('item-1', 'user-1', { status: 'ERROR' }));
    for (const type of ['INSTITUTION_DOWN', 'NOT_READY', 'UPSTREAM_DOWN', 'RATE_LIMITED'] as const)
      fail(type);
    await new Promise((resolve) => setImmediate(resolve));
    expect([seen.asked, seen.told]).toEqual([[], []]);
    await close();
  });

  it('is left to its next update when Plaid, the database or Temporal does not answer', async () => {
    const { deps, fail, logged, close } = await start();
    deps.gateway.signalItem = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'canary'));
    fail('LOGIN_REQUIRED');
    await until(() => logged.join('').includes('left to the next update'), 'the line in the log');
    expect(logged.join('')).not.toContain('canary');
    expect(logged.join('')).not.toContain('access-1');
    await close();
  });
});
