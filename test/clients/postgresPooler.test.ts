import { ourselves } from '../../domain/exchange/viewer.js';
import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { createStores } from '../../drizzle/index.js';
import { migrate } from '../../drizzle/migrate.js';
import { forRequests, openDatabase } from '../../src/clients/postgres.js';
import type { DatabaseOptions } from '../../src/clients/postgres.js';
import type { TestDatabase } from '../stack/testDatabase.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import type { Pgbouncer } from './pgbouncer.js';
import { pgbouncerProgram, startPgbouncer } from './pgbouncer.js';

let database: TestDatabase;
let pooler: Pgbouncer | null = null;
const opened: postgres.Sql[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sql) => sql.end({ timeout: 5 })));
  await pooler?.close();
  pooler = null;
});
afterAll(() => database.drop());

async function behind(mode: 'session' | 'transaction', more = {}): Promise<string> {
  pooler = await startPgbouncer(database.url, mode, more);
  return pooler.url(database.url);
}

function open(url: string, options: Partial<DatabaseOptions> = {}): postgres.Sql {
  const sql = openDatabase(url, { max: 2, ...options });
  opened.push(sql);
  return sql;
}

/** A database without anything. */
async function emptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `pooled_${randomUUID().replaceAll('-', '')}`;
  const admin = postgres(database.url, { max: 1, onnotice: () => undefined });
  await admin.unsafe(`CREATE DATABASE ${name}`);
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async drop() {
      await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
      await admin.end({ timeout: 5 });
    },
  };
}

/** What a process tells of itself, or why it cannot work. */
const readiness = (sql: postgres.Sql): Promise<unknown> =>
  createStores(sql)
    .ping()
    .then(
      () => 'ready',
      (error: unknown) => error,
    );

const refused = {
  name: 'Failure',
  type: 'MISCONFIGURED',
  message: expect.stringMatching(
    /^the pooler in front of the database gives each transaction .*DATABASE_URL/,
  ),
};

describe('a parameter of DATABASE_URL that nobody knows', () => {
  it('is named', async () => {
    expect(await readiness(open(`${database.url}?schema=public`))).toMatchObject({
      type: 'MISCONFIGURED',
      message: expect.stringContaining('the setting schema of DATABASE_URL'),
    });
  });
});

// Not every machine has one: `apt-get install pgbouncer`.
(pgbouncerProgram === null ? describe.skip : describe)('behind PgBouncer', () => {
  describe('by session', () => {
    it.each([
      ['the API', { ...forRequests, max: 4 }, { statement_timeout: '10s', lock_timeout: '2s' }],
      ['a worker', { max: 4 }, { statement_timeout: '1min', lock_timeout: '0' }],
    ])('%s has its settings on every connection', async (_who, options, wanted) => {
      const sql = open(await behind('session'), options);
      expect(await readiness(sql)).toBe('ready');
      const settings = await Promise.all(
        Array.from({ length: 4 }, async () => {
          const [row] = await sql`
            SELECT current_setting('statement_timeout') AS statement_timeout,
              current_setting('lock_timeout') AS lock_timeout,
              current_setting('enable_bitmapscan') AS bitmapscan, pg_sleep(0.1)::text`;
          return row;
        }),
      );
      for (const row of settings) expect(row).toMatchObject({ ...wanted, bitmapscan: 'off' });
    });

    it('a session that others have used before is ours as a new one', async () => {
      const url = await behind('session', { default_pool_size: 3 });
      const first = open(url, { max: 1, statementTimeoutMs: 5_000 });
      await first`SELECT 1`;
      await first`SET search_path = pg_catalog`;
      await first.end({ timeout: 5 });
      expect(await readiness(open(url, { max: 1 }))).toBe('ready');
    });

    it('migrators take turns, and all succeed', async () => {
      const url = await behind('session');
      const empty = await emptyDatabase();
      const through = pooler?.url(empty.url) ?? url;
      await Promise.all([1, 2, 3].map(() => migrate(through)));
      expect(await readiness(open(through))).toBe('ready');
      await Promise.all(opened.splice(0).map((sql) => sql.end({ timeout: 5 })));
      await empty.drop();
    });

    it('a parameter that it does not take is named', async () => {
      const url = await behind('session');
      expect(await readiness(open(`${url}?statement_timeout=5000`))).toMatchObject({
        type: 'MISCONFIGURED',
        message: expect.stringContaining('the setting statement_timeout of DATABASE_URL'),
      });
    });

    it('one without a session to spare is an outage, not another kind of pooler', async () => {
      const url = await behind('session', { default_pool_size: 1 });
      expect(await readiness(open(url, { max: 1 }))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    });
  });

  describe.each([
    ['with one session', { default_pool_size: 1 }],
    ['with many sessions', { default_pool_size: 20 }],
    ['that gives them in turn', { default_pool_size: 2, server_round_robin: 1 }],
    [
      'that takes every parameter',
      { ignore_startup_parameters: 'statement_timeout,lock_timeout,search_path' },
    ],
  ])('by transaction, %s', (_name, more) => {
    it('nobody works half: every query and the migrator say why', async () => {
      const url = await behind('transaction', more);
      const sql = open(url);
      expect(await readiness(sql)).toMatchObject(refused);
      const asked = await createStores(sql)
        .reads.item(ourselves, 'item', 'item')
        .catch((error: unknown) => error);
      expect(asked).toMatchObject(refused);
      expect(await migrate(url).catch((error: unknown) => error)).toMatchObject(refused);
    });

    it('also while others keep its sessions busy', async () => {
      const url = await behind('transaction', more);
      let busy = true;
      const others = Array.from({ length: 3 }, async () => {
        const sql = postgres(url, { max: 1, fetch_types: false, prepare: false });
        opened.push(sql);
        while (busy) await sql.unsafe('SELECT pg_sleep(0.002)');
      });
      try {
        expect(await readiness(open(url))).toMatchObject(refused);
      } finally {
        busy = false;
        await Promise.all(others);
      }
    });
  });
});
