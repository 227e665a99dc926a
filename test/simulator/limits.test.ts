import { refusalOf, Rig } from './rig.js';

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
