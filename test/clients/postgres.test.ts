import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type postgres from 'postgres';
import { openDatabase } from '../../src/clients/postgres.js';
import type { DatabaseOptions } from '../../src/clients/postgres.js';
import type { CuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { startCuttableProxy } from '../../tools/faults/cuttableProxy.js';
import { until } from '../e2e/until.js';
import type { TestDatabase } from '../stack/testDatabase.js';
import { createTestDatabase } from '../stack/testDatabase.js';

let database: TestDatabase;
let direct: postgres.Sql;
let proxy: CuttableProxy;
const opened: postgres.Sql[] = [];

/** The database of this file as it is reached through the proxy. */
function through(options: Partial<DatabaseOptions> = {}): postgres.Sql {
  const url = new URL(database.url);
  const [hostname, port] = proxy.address.split(':') as [string, string];
  url.hostname = hostname;
  url.port = port;
  const sql = openDatabase(url.href, { max: 1, answerTimeoutMs: 1_500, ...options });
  opened.push(sql);
  return sql;
}

beforeAll(async () => {
  database = await createTestDatabase();
  direct = openDatabase(database.url, { max: 2 });
});
beforeEach(async () => {
  const { host } = new URL(database.url);
  proxy = await startCuttableProxy(host);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sql) => sql.end({ timeout: 1 })));
  await proxy.close();
});
afterAll(async () => {
  await direct.end({ timeout: 5 });
  await database.drop();
});

const lost = expect.objectContaining({
  code: expect.stringMatching(/^(ETIMEDOUT|CONNECTION_CLOSED|CONNECT_TIMEOUT)$/),
});

async function isAnswered(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<[{ n: number }]>`SELECT 7 AS n`;
  return row.n === 7;
}

const settled = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  );

describe('a database host that goes silent', () => {
  it('ends the query that waits for it, and the next one takes a new connection', async () => {
    const sql = through();
    await isAnswered(sql);
    proxy.silence();
    expect(await settled(sql`SELECT 1`)).toEqual(lost);
    proxy.restore();
    expect(await isAnswered(sql)).toBe(true);
  });

  it('is noticed in the middle of an answer', async () => {
    const sql = through();
    const rows: unknown[] = [];
    const reading = settled(
      sql`SELECT n, repeat('x', 1000), pg_sleep(0.002) FROM generate_series(1, 5000) AS n`.forEach((row) => {
        rows.push(row);
        if (rows.length === 20) proxy.forget();
      }),
    );
    expect(await reading).toEqual(lost);
    expect(rows.length).toBeGreaterThanOrEqual(20);
    expect(await isAnswered(sql)).toBe(true);
  });

  it('ends a transaction, with all that it has sent at once', async () => {
    const sql = through();
    const queries: unknown[] = [];
    const transaction = sql.begin(async (tx) => {
      await tx`SELECT 1`;
      proxy.forget();
      queries.push(...(await Promise.all([tx`SELECT 2`, tx`SELECT 3`, tx`SELECT 4`].map(settled))));
    });
    expect(await settled(transaction)).toEqual(lost);
    expect(queries).toEqual([lost, lost, lost]);
    expect(await isAnswered(sql)).toBe(true);
  });

  it('ends a transaction between two statements, whatever that one does next', async () => {
    const sql = through();
    const after: unknown[] = [];
    let goneOn: () => void;
    const end = new Promise<void>((resolve) => (goneOn = resolve));
    const transaction = sql.begin(async (tx) => {
      const [row] = await tx<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
      await direct`SELECT pg_terminate_backend(${row.pid})`;
      await until(async () => {
        const [left] = await direct<[{ n: number }]>`
          SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = ${row.pid}`;
        return left.n === 0;
      });
      await new Promise((resolve) => setTimeout(resolve, 200));
      // On a connection that is gone the driver would write to no socket, where nobody can catch it.
      after.push(await settled(tx`SELECT 2`));
      after.push(await settled(tx.savepoint((inner) => inner`SELECT 3`)));
      goneOn();
      return 'committed';
    });
    expect(await settled(transaction)).toEqual(lost);
    await end;
    expect(after).toEqual([lost, lost]);
    expect(await isAnswered(sql)).toBe(true);
  });

  it('is noticed while connecting', async () => {
    const sql = through({ max: 2 });
    proxy.silence();
    const asked = await Promise.all([
      settled(sql`SELECT 1`),
      settled(sql.begin((tx) => tx`SELECT 1`)),
      settled(sql`SELECT 1`),
    ]);
    expect(asked).toEqual([lost, lost, lost]);
    proxy.restore();
    expect(await isAnswered(sql)).toBe(true);
  });

  it('is told to cancel where the connection was taken, not at the host that was asked first', async () => {
    let asked = 0;
    const first = createServer((near) => {
      asked += 1;
      near.resume();
    });
    const listen = (port: number): Promise<unknown> => once(first.listen(port, '127.0.0.1'), 'listening');
    await listen(0);
    const { port } = first.address() as AddressInfo;
    await new Promise((resolve) => first.close(resolve));
    const { host } = new URL(database.url);
    const url = database.url.replace(host, `127.0.0.1:${port},${proxy.address}`);
    const sql = openDatabase(url, { max: 1, answerTimeoutMs: 1_500 });
    opened.push(sql);
    const [{ pid }] = await sql<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
    await listen(port);
    const sleeping = settled(sql`SELECT pg_sleep(25)`);
    const isAsleep = async (): Promise<boolean> => {
      const [row] = await direct<[{ n: number }]>`
        SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = ${pid} AND query LIKE '%pg_sleep(25)%' AND state = 'active'`;
      return row.n > 0;
    };
    await until(isAsleep);
    proxy.forget();
    expect(await sleeping).toEqual(lost);
    await until(async () => !(await isAsleep()));
    expect(asked).toBe(0);
    first.close();
  });

  it('costs one deadline, not one a connection: idle ones are thrown away with the first that was found silent', async () => {
    const sql = through({ max: 4 });
    const ids = (): Promise<number[]> =>
      Promise.all(
        [1, 2, 3, 4].map(async () => {
          const [row] = await sql<[{ pid: number }]>`SELECT pg_backend_pid() AS pid, pg_sleep(0.2)`;
          return row.pid;
        }),
      );
    const before = new Set(await ids());
    expect(before.size).toBe(4);
    proxy.forget();
    expect(await settled(sql`SELECT 1`)).toEqual(lost);
    const after = await ids();
    expect(after.filter((pid) => before.has(pid))).toEqual([]);
  });

  it('is asked over another connection to end what nobody waits for any more', async () => {
    const sql = through();
    await isAnswered(sql);
    const sleeping = settled(sql`SELECT pg_sleep(50) /* nobody waits */`);
    const running = async (): Promise<number> => {
      const [row] = await direct<[{ n: number }]>`
        SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(50) /* nobody%'`;
      return row.n;
    };
    await until(async () => (await running()) === 1);
    proxy.forget();
    expect(await sleeping).toEqual(lost);
    await until(async () => (await running()) === 0);
  });

  it('does not hold up the end of the pool', async () => {
    const sql = through({ max: 3 });
    await Promise.all([1, 2].map(() => sql`SELECT pg_sleep(0.1)`));
    proxy.silence();
    const waiting = settled(sql`SELECT 1`);
    await sql.end({ timeout: 1 });
    expect(await waiting).toBeInstanceOf(Error);
  });

  it('is not taken for silent while it works, as long as bytes come', async () => {
    const sql = through();
    const rows = await sql`
      SELECT n, repeat('x', 9000), pg_sleep(0.1) FROM generate_series(1, 30) AS n`;
    expect(rows).toHaveLength(30);
  });
});

it('what a client held that went silent in the middle of a message is free after the limit of its transaction', async () => {
  await direct`CREATE TABLE held AS SELECT 1 AS n`;
  proxy.forgetAfter('half of a statement');
  const lost = through({ transactionMs: 3_000 }).begin(async (tx) => {
    await tx`SELECT n FROM held FOR UPDATE`;
    // The driver asks for the types of the parameter, and says nothing more before it knows them.
    await tx`SELECT ${1}::int AS "half of a statement"`;
  });
  await expect(lost).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  expect(
    await direct.begin(async (tx) => {
      await tx`SET LOCAL lock_timeout = '50s'`;
      return tx`SELECT n FROM held FOR UPDATE`;
    }),
  ).toHaveLength(1);
});
