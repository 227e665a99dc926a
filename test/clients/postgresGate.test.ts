import { mock } from 'node:test';
import type postgres from 'postgres';
import { forRequests, openDatabase } from '../../src/clients/postgres.js';
import { activitiesFor } from '../../src/temporal/workers.js';
import { PostgresGate } from '../../src/clients/postgresGate.js';
import { until } from '../e2e/until.js';
import type { TestDatabase } from '../stack/testDatabase.js';
import { createTestDatabase } from '../stack/testDatabase.js';

describe('the line in front of a pool', () => {
  const gate = (options: Partial<ConstructorParameters<typeof PostgresGate>[0]> = {}): PostgresGate =>
    new PostgresGate({ atOnce: 2, waitMs: 60_000, slowAfterMs: null, ...options });

  it('admits as many as there are connections, the others in their order', async () => {
    const line = gate();
    const admitted: string[] = [];
    const first = await line.admitted(() => 'a');
    const second = await line.admitted(() => 'a');
    for (const name of ['third', 'fourth']) void line.admitted(() => 'a').then(() => admitted.push(name));
    await Promise.resolve();
    expect(admitted).toEqual([]);
    second();
    await until(() => admitted.length > 0);
    expect(admitted).toEqual(['third']);
    // Twice is once.
    second();
    first();
    await until(() => admitted.length > 1);
    expect(admitted).toEqual(['third', 'fourth']);
  });

  it('admits however many of those who leave at once', async () => {
    const line = gate({ atOnce: 1 });
    const leave = await line.admitted(() => 'a');
    let ended = 0;
    for (let n = 0; n < 5_000; n += 1) {
      line.enter(
        () => 'a',
        (leaveAtOnce) => {
          ended += 1;
          leaveAtOnce();
        },
        () => undefined,
      );
    }
    leave();
    expect(ended).toBe(5_000);
  });

  it('refuses who has waited too long, and forgets them', async () => {
    const line = gate({ atOnce: 1, waitMs: 50 });
    const leave = await line.admitted(() => 'a');
    await expect(line.admitted(() => 'a')).rejects.toMatchObject({ type: 'UPSTREAM_DOWN', retryable: true });
    leave();
    (await line.admitted(() => 'a'))();
  });

  it('leaves half of the connections to others while work of one kind is slow', async () => {
    const line = gate({ atOnce: 4, slowAfterMs: 1 });
    const slow = await Promise.all([line.admitted(() => 'slow'), line.admitted(() => 'slow')]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const more: (() => void)[] = [];
    const five = Array.from({ length: 5 }, () =>
      line.admitted(() => 'slow').then((leave) => more.push(leave)),
    );
    // Behind five that wait, and at once.
    const others = await Promise.all([line.admitted(() => 'quick'), line.admitted(() => 'other')]);
    expect(more).toEqual([]);
    for (const leave of others) leave();
    expect(more).toEqual([]);
    slow[0]?.();
    await until(() => more.length === 1);
    slow[1]?.();
    for (let left = 0; left < 5; left += 1) {
      await until(() => more.length > left);
      more[left]?.();
    }
    await Promise.all(five);
  });

  it('goes on to do so when all that were slow have ended, until one of their kind ends soon', async () => {
    const line = gate({ atOnce: 4, slowAfterMs: 200 });
    const running: (() => void)[] = [];
    const enter = (kind: string): void => void line.admitted(() => kind).then((leave) => running.push(leave));
    const admitted = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const leaveAll = (): void => running.splice(0).forEach((leave) => leave());
    for (let n = 0; n < 12; n += 1) enter('slow');
    await admitted();
    expect(running).toHaveLength(4);
    await new Promise((resolve) => setTimeout(resolve, 300));
    // As those do that wait for the same lock.
    leaveAll();
    await admitted();
    expect(running).toHaveLength(2);
    const others = await Promise.all([line.admitted(() => 'quick'), line.admitted(() => 'other')]);
    for (const leave of others) leave();
    expect(running).toHaveLength(2);
    leaveAll();
    await admitted();
    expect(running).toHaveLength(4);
    leaveAll();
  });
});

describe('a pool for requests', () => {
  let database: TestDatabase;
  let sql: postgres.Sql;
  let direct: postgres.Sql;
  beforeAll(async () => {
    database = await createTestDatabase();
    direct = openDatabase(database.url, { max: 2 });
    sql = openDatabase(database.url, { max: 4, ...forRequests });
    await direct.unsafe(
      'CREATE TABLE locked (n int); CREATE TABLE free (n int); INSERT INTO free VALUES (7)',
    );
  });
  afterAll(async () => {
    await Promise.all([sql.end({ timeout: 5 }), direct.end({ timeout: 5 })]);
    await database.drop();
  });

  it('goes on with the rest while a table is locked, however many ask for that one', async () => {
    const ends: unknown[] = [];
    let answered = 0;
    await direct.begin(async (tx) => {
      await tx`LOCK TABLE locked IN ACCESS EXCLUSIVE MODE`;
      const stuck = Array.from({ length: 40 }, () =>
        sql`SELECT n FROM locked`.then(
          () => ends.push('read'),
          (error: unknown) => ends.push(error),
        ),
      );
      // The lock is held until these are answered: whoever waits for it can never be.
      for (let n = 0; n < 50; n += 1) {
        const [row] = await sql<[{ n: number }]>`SELECT n FROM free`;
        expect(row.n).toBe(7);
        await sql.begin(async (inner) => inner`SELECT n FROM free`);
        answered += 1;
      }
      await Promise.all(stuck);
    });
    expect(answered).toBe(50);
    expect(ends).toHaveLength(40);
    expect(ends).not.toContain('read');
    const codes = new Set(
      ends.map(
        (error) => (error as { code?: string; type?: string }).code ?? (error as { type: string }).type,
      ),
    );
    // By the bound of locks, or by that of the line.
    for (const code of codes) expect(['55P03', 'UPSTREAM_DOWN']).toContain(code);
    expect(codes).toContain('55P03');
    expect(await sql`SELECT n FROM locked`).toHaveLength(0);
  });

  it('goes on with writing while long reads of one moment are passed on to slow clients', async () => {
    const four = openDatabase(database.url, { max: 4, ...forRequests, connectionWaitMs: 2_000 });
    let ended = (): void => undefined;
    const end = new Promise<void>((resolve) => (ended = resolve));
    try {
      let begun = 0;
      const exports = [1, 2].map(() =>
        four.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (tx) => {
          await tx`SELECT n FROM free`;
          begun += 1;
          await end;
        }),
      );
      await until(() => begun === 2);
      // By now they are slow.
      await new Promise((resolve) => setTimeout(resolve, forRequests.slowAfterMs + 200));
      expect(await four.begin((tx) => tx`SELECT n FROM free`)).toEqual([{ n: 7 }]);
      ended();
      await Promise.all(exports);
    } finally {
      ended();
      await four.end({ timeout: 5 });
    }
  });

  it('sends nothing behind a statement that still runs', async () => {
    const two = openDatabase(database.url, { max: 2 });
    const ends: string[] = [];
    const sleep = async (ms: number) => {
      await two`SELECT pg_sleep(${ms / 1000}::float8)`;
      ends.push(`${ms}`);
    };
    const free = async () => {
      await two`SELECT n FROM free`;
      ends.push('free');
    };
    try {
      // Prepared on both connections: what is not is sent alone.
      for (let n = 0; n < 2; n += 1) await Promise.all([sleep(50), sleep(50)]);
      for (let n = 0; n < 2; n += 1) await Promise.all([free(), free()]);
      ends.length = 0;
      await Promise.all([sleep(2_000), sleep(100), free(), free()]);
      expect(ends).toEqual(['100', 'free', 'free', '2000']);
    } finally {
      await two.end({ timeout: 5 });
    }
  });

  it('sends nothing behind a statement that still runs when another connection is refused', async () => {
    const own = await createTestDatabase();
    const two = openDatabase(own.url, { max: 2 });
    const admit = (allowed: boolean) =>
      sql.unsafe(`ALTER DATABASE ${new URL(own.url).pathname.slice(1)} ALLOW_CONNECTIONS ${allowed}`);
    try {
      await two`SELECT 1`;
      const slow = two`SELECT pg_sleep(3)`.execute();
      await admit(false);
      // One opens the second connection, the other waits for its place.
      const ends = await Promise.allSettled([two`SELECT 2`, two`SELECT 3`]);
      expect(ends).toMatchObject([1, 2].map(() => ({ status: 'rejected', reason: { code: '55000' } })));
      await admit(true);
      expect(await two`SELECT 4 AS n`).toEqual([{ n: 4 }]);
      await slow;
    } finally {
      await two.end({ timeout: 5 });
      await own.drop();
    }
  });

  it('runs nothing for whom it has refused', async () => {
    const short = openDatabase(database.url, { max: 1, connectionWaitMs: 100 });
    try {
      const slow = short`SELECT pg_sleep(2) /* in the way */`.then(() => 'done');
      await until(async () => {
        const [row] = await direct<[{ n: number }]>`
          SELECT count(*)::int AS n FROM pg_stat_activity
          WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(2) /* in%'`;
        return row.n === 1;
      });
      const refused = [
        short`INSERT INTO free VALUES (8)`.then(
          () => 'done',
          (error: unknown) => error,
        ),
        short
          .begin((tx) => tx`INSERT INTO free VALUES (9)`)
          .then(
            () => 'done',
            (error: unknown) => error,
          ),
      ];
      for (const end of await Promise.all(refused)) expect(end).toMatchObject({ type: 'UPSTREAM_DOWN' });
      expect(await slow).toBe('done');
      expect(await short`SELECT n FROM free ORDER BY n`).toEqual([{ n: 7 }]);
    } finally {
      await short.end({ timeout: 5 });
    }
  });
});

describe('the activities of a worker, each of which holds a connection for a second and a half', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  /** Of so many that begin at once on ten connections: how many are refused. */
  function refusedOf(activities: number): number {
    const gate = new PostgresGate({ atOnce: 10, waitMs: 30_000, slowAfterMs: null });
    let refused = 0;
    for (let n = 0; n < activities; n += 1) {
      gate.enter(
        () => 'transaction',
        (leave) => void setTimeout(leave, 1_500),
        () => (refused += 1),
      );
    }
    for (let ms = 0; ms < 120_000; ms += 100) mock.timers.tick(100);
    return refused;
  }

  it('are as many as ten connections serve: none waits until it fails', () => {
    const slots = Object.values(activitiesFor(10)).reduce((sum, n) => sum + n, 0);
    expect(refusedOf(slots)).toBe(0);
    // As many as Temporal takes by itself: a hundred for each queue.
    expect(refusedOf(400)).toBeGreaterThan(100);
  });
});
