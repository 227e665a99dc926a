import { ourselves } from '../../domain/exchange/viewer.js';
import { createStores } from '../../drizzle/index.js';
import { openDatabase } from '../../src/clients/postgres.js';
import type { World } from './world.js';
import { linkedItem, newId, openWorld, pageOf, transaction, updateOf, prompt, seenNow } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

describe('what PostgreSQL refuses or cannot do', () => {
  it('is UPSTREAM_DOWN when nobody answers', async () => {
    const sql = openDatabase('postgres://u:canary-password@127.0.0.1:1/none', { max: 1 });
    try {
      const asked = createStores(sql).ping();
      await expect(asked).rejects.toMatchObject({ name: 'Failure', type: 'UPSTREAM_DOWN' });
      await expect(asked).rejects.not.toThrow(/canary/);
    } finally {
      await sql.end({ timeout: 1 });
    }
  });

  it('is UPSTREAM_DOWN when the connection is cut in the middle, and the pool recovers', async () => {
    const item = await linkedItem(world);
    await world.sql.unsafe(`
      CREATE OR REPLACE FUNCTION cut_connection() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
      CREATE TRIGGER cut_connection BEFORE INSERT ON transactions FOR EACH ROW
        WHEN (NEW.item_id = '${item.itemId}') EXECUTE FUNCTION cut_connection()`);
    const update = updateOf(item, 'u', pageOf(item, '', 'c', false, { added: [transaction('t')] }));
    await expect(world.stores.mining.apply(update)).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    await world.sql`DROP TRIGGER cut_connection ON transactions`;
    expect(await world.stores.mining.apply(update)).toMatchObject({ kind: 'applied', outcome: { added: 1 } });
  });

  it('is UPSTREAM_DOWN when a statement takes longer than it may', async () => {
    const item = await linkedItem(world);
    const sql = openDatabase(world.url, { max: 2, statementTimeoutMs: 200 });
    try {
      const { items } = createStores(sql);
      const seen = await seenNow(world, item.itemId);
      await world.sql.begin(async (tx) => {
        await tx`SELECT FROM items WHERE item_id = ${item.itemId} FOR UPDATE`;
        await expect(
          items.setBroken(
            item.itemId,
            seen,
            { error_type: 'a', error_code: 'b' },
            '2030-01-01T00:00:00.000Z',
          ),
        ).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      });
    } finally {
      await sql.end({ timeout: 5 });
    }
  });

  it('is a Failure that quotes neither rows nor parameters', async () => {
    const tries = [
      world.stores.reads.item(ourselves, 'canary\u0000', 'item'),
      world.stores.reads.ensureUser('canary\u0000'),
      prompt(world).setBroken(
        'x',
        { error_type: 'canary\u0000', error_code: 'b' },
        '2030-01-01T00:00:00.000Z',
      ),
      world.stores.reads.transactions(
        ourselves,
        { itemIds: ['x\u0000'], statuses: ['posted'], format: 'raw', from: 'canary' },
        1,
        null,
      ),
    ];
    for (const end of await Promise.allSettled(tries)) {
      expect(end).toMatchObject({ status: 'rejected', reason: { name: 'Failure', type: 'BAD_REQUEST' } });
      expect(end.status === 'rejected' && String((end.reason as Error).stack)).not.toMatch(/canary/);
    }
  });

  describe('because an operator has to act', () => {
    const role = newId('role').replaceAll('-', '_');
    let sql: ReturnType<typeof openDatabase>;
    let stores: ReturnType<typeof createStores>;

    beforeAll(async () => {
      await world.sql.unsafe(`
        CREATE ROLE ${role} LOGIN PASSWORD 'right';
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role};
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`);
      const url = new URL(world.url);
      url.username = role;
      url.password = 'right';
      sql = openDatabase(url.href, { max: 2 });
      stores = createStores(sql);
    });
    afterAll(async () => {
      await sql.end({ timeout: 5 });
      await world.sql.unsafe(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    });

    const told = () =>
      stores.floats.record({
        userId: 'u',
        floatId: newId('float'),
        status: 'active',
        occurredAt: null,
        by: null,
      });

    it('is MISCONFIGURED while a right is missing, and ready again with it', async () => {
      await stores.ping();
      expect(await told()).toMatchObject({ status: 'active' });
      await world.sql.unsafe(`REVOKE INSERT ON floats FROM ${role}`);
      await expect(told()).rejects.toMatchObject({ type: 'MISCONFIGURED', retryable: true });
      await expect(stores.ping()).rejects.toMatchObject({ type: 'MISCONFIGURED' });
      await world.sql.unsafe(`GRANT INSERT ON floats TO ${role}`);
      expect(await told()).toMatchObject({ status: 'active' });
      await stores.ping();
    });

    it('is MISCONFIGURED while a column is missing (the schema is an older one)', async () => {
      await world.sql.unsafe('ALTER TABLE floats RENAME COLUMN status TO state');
      await expect(told()).rejects.toMatchObject({ type: 'MISCONFIGURED' });
      await expect(stores.ping()).rejects.toMatchObject({ type: 'MISCONFIGURED' });
      await world.sql.unsafe('ALTER TABLE floats RENAME COLUMN state TO status');
      expect(await told()).toMatchObject({ status: 'active' });
      await stores.ping();
    });

    it('is MISCONFIGURED while a table is missing', async () => {
      await world.sql.unsafe('ALTER TABLE parked_events RENAME TO elsewhere');
      await expect(stores.ping()).rejects.toMatchObject({ type: 'MISCONFIGURED' });
      await world.sql.unsafe('ALTER TABLE elsewhere RENAME TO parked_events');
      await stores.ping();
    });

    it('is MISCONFIGURED with a database that is not there', async () => {
      const url = new URL(world.url);
      url.pathname = '/no_such_database';
      const lost = openDatabase(url.href, { max: 1 });
      try {
        await expect(createStores(lost).ping()).rejects.toMatchObject({ type: 'MISCONFIGURED' });
      } finally {
        await lost.end({ timeout: 1 });
      }
    });
  });

  it('is the same alert once', async () => {
    const key = newId('alert');
    const alert = { kind: 'record_parked' as const, key, item_id: null, detail: { code: 'a\u0000b' } };
    await Promise.all([1, 2, 3].map(() => world.stores.alerts.raise(alert)));
    const rows = await world.sql`SELECT detail FROM alerts WHERE key = ${key}`;
    expect(rows).toHaveLength(1);
  });
});
