import { call } from './endpoints.js';
import { refusalOf, Rig } from './rig.js';

/** Calls a minute for one Item, and the code of one more. */
const PRODUCTION: Record<string, [perItem: number, code: string]> = {
  '/transactions/get': [30, 'TRANSACTIONS_LIMIT'],
  '/transactions/sync': [50, 'TRANSACTIONS_SYNC_LIMIT'],
  '/transactions/refresh': [2, 'TRANSACTIONS_REFRESH_LIMIT'],
  '/transactions/recurring/get': [20, 'RATE_LIMIT'],
  '/accounts/get': [15, 'ACCOUNTS_LIMIT'],
  '/accounts/balance/get': [5, 'BALANCE_LIMIT'],
  '/auth/get': [15, 'AUTH_LIMIT'],
  '/identity/get': [15, 'IDENTITY_LIMIT'],
  '/item/get': [15, 'ITEM_GET_LIMIT'],
  '/item/remove': [20, 'RATE_LIMIT'],
};
const SANDBOX: typeof PRODUCTION = {
  '/transactions/get': [80, 'TRANSACTIONS_LIMIT'],
  '/transactions/sync': [50, 'TRANSACTIONS_SYNC_LIMIT'],
  '/transactions/refresh': [2, 'TRANSACTIONS_REFRESH_LIMIT'],
  '/transactions/recurring/get': [20, 'RATE_LIMIT'],
  '/accounts/get': [100, 'ACCOUNTS_LIMIT'],
  '/accounts/balance/get': [25, 'BALANCE_LIMIT'],
  '/auth/get': [100, 'AUTH_LIMIT'],
  '/identity/get': [100, 'IDENTITY_LIMIT'],
  '/item/get': [40, 'ITEM_GET_LIMIT'],
  '/item/remove': [100, 'RATE_LIMIT'],
  '/sandbox/transactions/create': [2, 'SANDBOX_TRANSACTIONS_CREATE_LIMIT'],
};

interface Calls {
  calls: { path: string; item_id: string | null; count: number }[];
  violations: { path: string; item_id: string | null; limit: number; count: number }[];
}

describe('rate limits', () => {
  const times = async (count: number, call: () => Promise<unknown>) => {
    for (let n = 0; n < count; n += 1) await call();
  };

  it('are enforced per Item over a minute of simulated time when asked for', async () => {
    const rig = await Rig.start({ limits: 'production' });
    try {
      const { accessToken, itemId } = await rig.link();
      const other = await rig.link();
      const sync = () => rig.sync(accessToken);
      await times(50, sync);
      for (let attempt = 0; attempt < 3; attempt += 1) {
        expect(await refusalOf(sync())).toMatchObject({
          status: 429,
          error_type: 'RATE_LIMIT_EXCEEDED',
          error_code: 'TRANSACTIONS_SYNC_LIMIT',
        });
      }
      await rig.sync(other.accessToken);
      await rig.advance('PT59S');
      expect((await refusalOf(sync())).status).toBe(429);
      await rig.advance('PT1S');
      await times(50, sync);
      const { violations } = await rig.control<Calls>('GET', '/_sim/calls');
      expect(violations).toEqual([
        expect.objectContaining({ path: '/transactions/sync', item_id: itemId, limit: 50, count: 4 }),
      ]);
      await times(15, () => rig.api.accountsGet({ access_token: accessToken }));
      expect(await refusalOf(rig.api.accountsGet({ access_token: accessToken }))).toMatchObject({
        error_code: 'ACCOUNTS_LIMIT',
      });
    } finally {
      await rig.close();
    }
  });

  it('hold for the whole client too', async () => {
    const rig = await Rig.start({ limits: 'sandbox' });
    try {
      const get = () => rig.api.institutionsGet({ count: 1, offset: 0, country_codes: ['US' as never] });
      await times(10, get);
      expect(await refusalOf(get())).toMatchObject({ error_code: 'INSTITUTIONS_GET_LIMIT', status: 429 });
    } finally {
      await rig.close();
    }
  });

  it('hold for hours and days where Plaid publishes such caps', async () => {
    const rig = await Rig.start({ limits: 'production' });
    try {
      const { accessToken, itemId } = await rig.link();
      const balance = () => rig.api.accountsBalanceGet({ access_token: accessToken });
      for (let minute = 0; minute < 6; minute += 1) {
        await times(5, balance);
        await rig.advance('PT1M');
      }
      expect(await refusalOf(balance())).toMatchObject({ error_code: 'BALANCE_LIMIT', status: 429 });
      await rig.advance('PT54M');
      await times(5, balance);
      const { violations } = await rig.control<Calls>('GET', '/_sim/calls');
      expect(violations).toEqual([
        expect.objectContaining({ path: '/accounts/balance/get', item_id: itemId, per: 'hour', limit: 30 }),
      ]);
    } finally {
      await rig.close();
    }
  });

  it('hold for calls of one client that start from the empty cursor', async () => {
    const rig = await Rig.start({ limits: 'production', transactionsPerItem: 1 });
    try {
      for (let item = 0; item < 10; item += 1) {
        const { accessToken } = await rig.link();
        await times(50, () => rig.sync(accessToken));
      }
      const last = await rig.link();
      expect((await refusalOf(rig.sync(last.accessToken))).error_code).toBe('TRANSACTIONS_SYNC_LIMIT');
      expect((await refusalOf(rig.sync(last.accessToken, null as never))).error_code).toBe(
        'TRANSACTIONS_SYNC_LIMIT',
      );
      expect((await refusalOf(rig.sync(last.accessToken, 'AAAA'))).error_code).toBe('INVALID_FIELD');
      const { violations } = await rig.control<Calls>('GET', '/_sim/calls');
      expect(violations).toEqual([
        expect.objectContaining({ path: '/transactions/sync', item_id: null, limit: 500, count: 2 }),
      ]);
    } finally {
      await rig.close();
    }
  });

  it('cover each endpoint of the published table, and no more', async () => {
    for (const [limits, table] of [
      ['production', PRODUCTION],
      ['sandbox', SANDBOX],
    ] as const) {
      const rig = await Rig.start({ limits });
      try {
        for (const [path, [perItem, code]] of Object.entries(table)) {
          const { accessToken, itemId } = await rig.link();
          // Limits come before the body is looked at: an Item is all that a call must name.
          const one = () => call(rig, path, { access_token: accessToken, unheard_of: 1 });
          for (let n = 0; n < perItem; n += 1) {
            expect((await one()).status).toBe(400);
          }
          const refused = await one();
          expect({ path, itemId, status: refused.status, code: refused.body.error_code }).toEqual({
            path,
            itemId,
            status: 429,
            code,
          });
        }
      } finally {
        await rig.close();
      }
    }
  });

  it('are counted though nothing is refused when off', async () => {
    const rig = await Rig.start();
    try {
      const { accessToken, itemId } = await rig.link();
      await times(17, () => rig.api.itemGet({ access_token: accessToken }));
      const { calls, violations } = await rig.control<Calls>('GET', '/_sim/calls');
      expect(calls).toContainEqual({ path: '/item/get', item_id: itemId, count: 17 });
      expect(violations).toEqual([
        expect.objectContaining({ path: '/item/get', item_id: itemId, limit: 15, count: 2 }),
      ]);
    } finally {
      await rig.close();
    }
  });
});
