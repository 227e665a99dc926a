import { Failure } from '../../domain/failures.js';
import type { FailureOptions, FailureType } from '../../domain/failures.js';
import { createWorld, itemView, never, until } from './world.js';

const world = createWorld({ liveReads: 2, drainMs: 50 });
const { app, behave, keys } = world;
afterAll(() => app.close());

const routes = ['accounts', 'balances', 'transactions'] as const;
const get = (url: string, headers: Record<string, string> = keys.read) => app.inject({ url, headers });
const seen: string[] = [];
beforeEach(() => {
  seen.length = 0;
  behave.live = async (path, argument) => void seen.push(`${path} ${argument}`);
  behave.now = () => Date.parse('2026-11-21T23:30:00Z');
});

const error = (error_type: string, error_code: string): FailureOptions => ({
  upstream: { error_type, error_code, request_id: 'r9' },
});

describe('a live read', () => {
  it('is asked of nobody for an item that is absent or removed', async () => {
    for (const what of routes) {
      const [absent, removed] = await Promise.all(
        ['nobody', 'item-gone'].map((id) => get(`/v1/items/${id}/${what}/live`)),
      );
      expect([absent?.statusCode, absent?.json().code]).toEqual([404, 'not_found']);
      expect([removed?.statusCode, removed?.json().code]).toEqual([409, 'item_removed']);
    }
    expect(seen).toEqual([]);
  });

  // The contract's bullet on errors, line by line.
  const failures: [FailureType, FailureOptions, number, string][] = [
    ['LOGIN_REQUIRED', error('ITEM_ERROR', 'ITEM_LOGIN_REQUIRED'), 409, 'login_required'],
    ['UNKNOWN_INSTITUTION', error('INVALID_INPUT', 'INVALID_INSTITUTION'), 404, 'unknown_institution'],
    ['ITEM_GONE', error('ITEM_ERROR', 'ITEM_NOT_FOUND'), 424, 'plaid_refused'],
    ['TOKEN_REFUSED', error('INVALID_INPUT', 'INVALID_ACCESS_TOKEN'), 424, 'plaid_refused'],
    ['PERMISSION_REVOKED', error('INVALID_INPUT', 'USER_PERMISSION_REVOKED'), 424, 'plaid_refused'],
    ['BAD_REQUEST', error('INVALID_INPUT', 'INVALID_ACCOUNT_ID'), 424, 'plaid_refused'],
    ['PRODUCT_UNAVAILABLE', error('ITEM_ERROR', 'PRODUCTS_NOT_SUPPORTED'), 424, 'plaid_refused'],
    ['NOT_READY', error('ITEM_ERROR', 'PRODUCT_NOT_READY'), 424, 'product_not_ready'],
    ['INSTITUTION_DOWN', error('INSTITUTION_ERROR', 'INSTITUTION_DOWN'), 502, 'institution_unavailable'],
    [
      'PRODUCT_UNAVAILABLE',
      error('INSTITUTION_ERROR', 'INSTITUTION_NO_LONGER_SUPPORTED'),
      502,
      'institution_unavailable',
    ],
    ['MISCONFIGURED', error('INSTITUTION_ERROR', 'UNAUTHORIZED_INSTITUTION'), 424, 'plaid_refused'],
    ['MISCONFIGURED', error('INSTITUTION_ERROR', 'INSTITUTION_REGISTRATION_REQUIRED'), 424, 'plaid_refused'],
    ['MISCONFIGURED', error('RATE_LIMIT_EXCEEDED', 'CREDITS_EXHAUSTED'), 424, 'plaid_refused'],
    ['UPSTREAM_DOWN', {}, 502, 'plaid_unreachable'],
    ['UPSTREAM_DOWN', { timedOut: true }, 504, 'plaid_timeout'],
    ['MAINTENANCE', error('API_ERROR', 'PLANNED_MAINTENANCE'), 503, 'plaid_busy'],
    ['RATE_LIMITED', error('RATE_LIMIT_EXCEEDED', 'BALANCE_LIMIT'), 503, 'plaid_busy'],
  ];
  for (const [type, options, status, code] of failures) {
    it(`that fails with ${options.upstream?.error_code ?? JSON.stringify(options)} is ${status} ${code}`, async () => {
      behave.live = () => Promise.reject(new Failure(type, 'access-item-1', options));
      for (const what of routes) {
        const answer = await get(`/v1/items/item-1/${what}/live`);
        expect([what, answer.statusCode, answer.json().code]).toEqual([what, status, code]);
        expect(answer.json().plaid).toEqual(options.upstream);
        expect(answer.headers['retry-after']).toBe(
          code === 'plaid_busy' || code === 'product_not_ready' ? '60' : undefined,
        );
        expect(answer.body).not.toContain('access-item-1');
      }
    });
  }

  it('that fails has the item looked at, and is answered all the same', async () => {
    behave.live = () => Promise.reject(new Failure('ITEM_GONE', 'no'));
    world.items.set('item-lost', itemView('item-lost', 'user-1'));
    world.signals.length = 0;
    expect((await get('/v1/items/item-lost/accounts/live')).statusCode).toBe(424);
    await until(() => world.signals.length === 1, 'the signal');
    expect(world.signals).toEqual([{ itemId: 'item-lost', userId: 'user-1', webhook: 'update' }]);
  });

  it('passes the time on that Plaid asks to wait', async () => {
    behave.live = () => Promise.reject(new Failure('RATE_LIMITED', 'slow down', { retryAfterMs: 7_500 }));
    expect((await get('/v1/items/item-1/balances/live')).headers['retry-after']).toBe('8');
  });
});

describe('the range of live transactions', () => {
  const asked = async (query: string): Promise<string | undefined> => {
    await get(`/v1/items/item-1/transactions/live${query}`);
    return seen.pop();
  };

  it('is two years up to tomorrow where nothing is said, else what is said', async () => {
    const base = 'transactions access-item-1';
    expect(await asked('')).toBe(`${base} 2024-11-22 2026-11-22  100 0`);
    expect(await asked('?to=2026-03-01&account_id=a1&limit=500&offset=1000')).toBe(
      `${base} 2024-03-01 2026-03-01 a1 500 1000`,
    );
    expect(await asked('?from=2026-03-01')).toBe(`${base} 2026-03-01 2026-11-22  100 0`);
    expect(await asked('?from=2027-03-01')).toBe(`${base} 2027-03-01 2027-03-01  100 0`);
    expect(await asked('?to=0001-06-01')).toBe(`${base} 0001-01-01 0001-06-01  100 0`);
    expect(await asked('?from=9999-12-31')).toBe(`${base} 9999-12-31 9999-12-31  100 0`);
  });

  for (const query of ['from=2026-03-02&to=2026-03-01', 'offset=-1', 'offset=', 'limit=501', 'format=raw']) {
    it(`is refused: ${query}`, async () => {
      const answer = await get(`/v1/items/item-1/transactions/live?${query}`);
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request']);
      expect(answer.json().errors[0].in).toBe('query');
      expect(seen).toEqual([]);
    });
  }
});

describe('live reads that do not end', () => {
  it('take no more than their places, keep them until they end, and leave cached reads alone', async () => {
    const release: (() => void)[] = [];
    behave.live = () => new Promise((resolve) => void release.push(resolve));
    const slow = [1, 2].map(() => get('/v1/items/item-1/balances/live'));
    await until(() => release.length === 2, 'both are on their way');
    const refused = await get('/v1/items/item-2/accounts/live');
    expect([refused.statusCode, refused.json().code, refused.headers['retry-after']]).toEqual([
      503,
      'live_reads_busy',
      '5',
    ]);
    expect((await get('/v1/items/item-1/accounts')).statusCode).toBe(200);
    release.shift()?.();
    expect((await Promise.race(slow)).statusCode).toBe(200);
    behave.live = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'cut'));
    expect((await get('/v1/items/item-2/accounts/live')).statusCode).toBe(502);
    // A failure gives its place back too.
    behave.live = async () => undefined;
    expect((await get('/v1/items/item-2/accounts/live')).statusCode).toBe(200);
    release.shift()?.();
    await Promise.all(slow);
  });

  it('do not hold up the end of the process', async () => {
    const leaving = createWorld({ liveReads: 2, drainMs: 50 });
    let asked = 0;
    leaving.behave.live = () => {
      asked += 1;
      return never();
    };
    const slow = leaving.app.inject({ url: '/v1/items/item-1/balances/live', headers: leaving.keys.read });
    await until(() => asked === 1, 'it is on its way');
    await leaving.app.close();
    expect((await slow).json().code).toBe('live_reads_busy');
  });
});
