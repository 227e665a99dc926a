import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import postgres from 'postgres';
import type { Sql, TransactionSql } from 'postgres';
import { assertDriverIsPatched, openDatabase } from '../../src/clients/postgres.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import type { TestDatabase } from '../stack/testDatabase.js';

type Asker = Sql | TransactionSql;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** As the processes open it: API (plans once, short statements), worker and listener, the one-shot commands. */
const kinds = {
  api: { max: 1, plansOnce: true },
  worker: { max: 1 },
  'one-shot command': { max: 1, applicationName: 'provision' },
};

const divisor = (n: number): number => n;

/** Statements that fail, by how many rows the server has sent before. Each is asked with and without parameters. */
const failing: Record<string, (sql: Asker) => Promise<unknown>> = {
  'before it is sent, of a value that is none': (sql) =>
    sql`SELECT ${undefined as unknown as string}::text AS x`,
  'before it is parsed': (sql) => sql`SELECT FROM no_such_table_here`,
  'before it is parsed, with a parameter': (sql) => sql`SELECT FROM no_such_table_here WHERE x = ${1}`,
  'before its first row': (sql) => sql`SELECT 1 / ${divisor(0)}::int AS x`,
  'between its rows': (sql) => sql`SELECT 1 / (3 - n) AS x FROM generate_series(1, 5) AS n`,
  'between its rows, with a parameter': (sql) =>
    sql`SELECT 1 / (${divisor(3)}::int - n) AS x FROM generate_series(1, 5) AS n`,
  'in the second branch of a union': (sql) =>
    sql`SELECT n::text AS x FROM generate_series(1, 4) n UNION ALL SELECT (1 / ${divisor(0)}::int)::text`,
  'by a cast of a value, in the second branch of a union': (sql) =>
    sql`SELECT n::date::text AS x FROM (VALUES ('2026-01-01'), ('0000-01-01')) AS v(n) WHERE n <> ${'x'}`,
  'after its last row, by a time limit': async (sql) => {
    await sql`SELECT set_config('statement_timeout', '150ms', false)`;
    try {
      return await sql`SELECT n, pg_sleep(CASE WHEN n = 3 THEN 60 ELSE 0 END) FROM generate_series(1, 3) n`;
    } finally {
      await sql`SELECT set_config('statement_timeout', '60s', false)`.catch(() => undefined);
    }
  },
  'after rows, of several statements at once': (sql) =>
    sql.unsafe('SELECT 1 AS x UNION ALL SELECT 2; SELECT 1 / (3 - n) FROM generate_series(1, 5) n'),
};

/** What must hold of every answer that follows: the rows that were asked for, all of them, from the first place on. */
async function asksRight(sql: Asker): Promise<void> {
  for (const asked of [1, 2, 0, 3]) {
    const rows = await sql<{ n: number }[]>`SELECT n FROM generate_series(1, ${asked}::int) AS n`;
    expect([...rows]).toEqual(Array.from({ length: asked }, (_, index) => ({ n: index + 1 })));
    expect(Object.keys(rows).slice(0, asked)).toEqual(Array.from({ length: asked }, (_, i) => String(i)));
  }
  const [first] = await sql`SELECT true AS found`;
  expect(first).toEqual({ found: true });
}

describe.each(Object.entries(kinds))('a connection of the %s', (_name, options) => {
  let sql: Sql;
  beforeAll(() => {
    sql = openDatabase(database.url, options);
  });
  afterAll(() => sql.end({ timeout: 5 }));

  describe.each(Object.entries(failing))('after a statement that fails %s', (_when, fail) => {
    it('answers the next ones of the pool', async () => {
      await expect(fail(sql)).rejects.toHaveProperty('code');
      await asksRight(sql);
    });

    it('answers those that were sent behind it', async () => {
      const failed = expect(fail(sql)).rejects.toHaveProperty('code');
      const behind = await Promise.all(
        [1, 2, 3].map((n) => sql<{ n: number }[]>`SELECT ${n}::int AS n, 'behind' AS what`),
      );
      await failed;
      expect(behind.map((rows) => [...rows])).toEqual([1, 2, 3].map((n) => [{ n, what: 'behind' }]));
    });

    it('answers those that were sent before it on the same connection', async () => {
      let before: Promise<PromiseSettledResult<unknown>[]> | undefined;
      const transaction = sql.begin(async (tx) => {
        const ask = (n: number) => tx<{ n: number }[]>`SELECT ${n}::int AS n, 'before' AS what`;
        // What is not prepared yet is sent alone.
        await ask(0);
        before = Promise.allSettled([1, 2].map(ask));
        await fail(tx);
      });
      await expect(transaction).rejects.toHaveProperty('code');
      const answers = [1, 2].map((n) => ({ status: 'fulfilled', value: [{ n, what: 'before' }] }));
      expect(await before).toEqual(answers);
      await asksRight(sql);
    });

    it('answers the next transaction', async () => {
      await expect(sql.begin((tx) => fail(tx))).rejects.toHaveProperty('code');
      await sql.begin(asksRight);
      await asksRight(sql);
    });

    it('answers behind a savepoint of the same transaction', async () => {
      await sql.begin(async (tx) => {
        await expect(tx.savepoint((inner) => fail(inner))).rejects.toHaveProperty('code');
        await asksRight(tx);
      });
      await asksRight(sql);
    });

    it('answers a reserved connection', async () => {
      const reserved = await sql.reserve();
      try {
        await expect(fail(reserved)).rejects.toHaveProperty('code');
        await asksRight(reserved);
      } finally {
        reserved.release();
      }
      await asksRight(sql);
    });
  });

  it('answers after a statement that was cancelled between its rows', async () => {
    const slow = sql`SELECT n, pg_sleep(CASE WHEN n = 3 THEN 60 ELSE 0 END) FROM generate_series(1, 3) n`;
    const ended = expect(slow).rejects.toMatchObject({ code: '57014' });
    const other = openDatabase(database.url, { max: 1 });
    await isRunning(other, 'pg_sleep');
    slow.cancel();
    await ended;
    await other.end({ timeout: 5 });
    await asksRight(sql);
  });

  it('answers after its connection was ended between rows', async () => {
    const other = openDatabase(database.url, { max: 1 });
    const slow = sql`SELECT n, pg_sleep(CASE WHEN n = 3 THEN 60 ELSE 0 END) FROM generate_series(1, 3) n`;
    const ended = expect(slow).rejects.toHaveProperty('code');
    const { pid } = await isRunning(other, 'pg_sleep');
    await other`SELECT pg_terminate_backend(${pid})`;
    await ended;
    await other.end({ timeout: 5 });
    await asksRight(sql);
  });
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

const isGone = (sql: Sql, pid: number): Promise<void> =>
  until(async () => (await sql`SELECT FROM pg_stat_activity WHERE pid = ${pid}`).length === 0);

/** The backend that runs a statement with this text, once there is one. */
async function isRunning(sql: Sql, text: string): Promise<{ pid: number }> {
  let found: { pid: number } | undefined;
  await until(async () => {
    [found] = await sql<{ pid: number }[]>`
      SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()
        AND datname = current_database() AND query LIKE ${`%${text}%`}`;
    return found !== undefined;
  });
  return found as unknown as { pid: number };
}

it('a statement whose plan fits its table no more takes no rows of those that are sent behind it', async () => {
  const sql = openDatabase(database.url, { max: 1 });
  try {
    await sql.unsafe('CREATE TABLE growing (n int); INSERT INTO growing VALUES (1), (2)');
    const own = await sql.reserve();
    const other = (n: number) => own<{ n: number; what: string }[]>`SELECT ${n}::int AS n, 'other' AS what`;
    await other(0);
    const ends = new Set<string>();
    // It is refused after so many ticks, and described anew until so many later; the last time nothing is sent before it has ended.
    for (const ticks of [...Array(40).keys(), Infinity]) {
      const ask = () => own<{ n: number }[]>`SELECT * FROM growing WHERE n = ${1}::int`;
      await ask();
      await own`ALTER TABLE growing ADD COLUMN ${own(`column_${ticks}`)} text`;
      const asked = ask().then(
        (rows) => JSON.stringify(rows.map(({ n }) => n)),
        (error: { code?: string }) => String(error.code),
      );
      let ended = false;
      void asked.then(() => (ended = true));
      for (let tick = 0; tick < ticks && !ended; tick += 1)
        await new Promise((resolve) => setImmediate(resolve));
      const others = await Promise.all([1, 2, 3].map(other));
      expect(others.map((rows) => [...rows])).toEqual([1, 2, 3].map((n) => [{ n, what: 'other' }]));
      ends.add(await asked);
    }
    // Behind a transaction's beginning it would run inside of that, so it fails where anything was sent behind it.
    expect([...ends].sort()).toEqual(['0A000', '[1]']);
    own.release();
  } finally {
    await sql.end({ timeout: 5 });
  }
});

it('a statement that is described anew is sent with the values that it was given', async () => {
  const sql = openDatabase(database.url, { max: 1 });
  try {
    await sql.unsafe('CREATE TABLE widening (n int); INSERT INTO widening VALUES (1)');
    const ask = () => sql<Record<string, unknown>[]>`
      SELECT w.*, ${true}::boolean AS yes, ${Buffer.from('bytes')}::bytea AS bytes, ${sql.json({ a: 'text' })}::jsonb AS object,
        ${sql.json('text')}::json AS text, ${7}::bigint AS big, ${['a', 'b"']}::text[] AS list, ${new Date(0)}::timestamptz AS at
      FROM widening w`;
    const [before] = await ask();
    expect(before).toMatchObject({ yes: true, object: { a: 'text' }, text: 'text', big: 7 });
    await sql`ALTER TABLE widening ADD COLUMN more text`;
    expect([...(await ask())]).toEqual([{ ...before, more: null }]);
  } finally {
    await sql.end({ timeout: 5 });
  }
});

it('a statement that is cancelled before it begins ends alone', async () => {
  const sql = openDatabase(database.url, { max: 1 });
  try {
    const own = await sql.reserve();
    const before = own`SELECT 1 AS n FROM pg_sleep(0.3)`.execute();
    const cancelled = own`SELECT 2 AS n FROM pg_sleep(2)`.execute();
    const behind = own`SELECT 3 AS n`.execute();
    await new Promise((resolve) => setImmediate(resolve));
    cancelled.cancel();
    // A server that hears of the cancel before it has begun the statement drops the cancel, and answers.
    const itself = cancelled.then(
      ([row]) => row,
      ({ code }: { code: string }) => (code === '57014' ? { n: 2 } : code),
    );
    const ended = await Promise.all([before, itself, behind]);
    expect(ended).toMatchObject([[{ n: 1 }], { n: 2 }, [{ n: 3 }]]);
    own.release();
  } finally {
    await sql.end({ timeout: 1 });
  }
});

describe('a connection that is lost', () => {
  it('between the statements of a transaction runs nothing of it outside of one', async () => {
    const sql = openDatabase(database.url, { max: 1 });
    const other = openDatabase(database.url, { max: 1 });
    await other`CREATE TABLE half_done (n int)`;
    try {
      let afterwards: PromiseSettledResult<unknown>[] = [];
      const transaction = sql.begin(async (tx) => {
        const [{ pid }] = await tx<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
        await tx`INSERT INTO half_done VALUES (1)`;
        await other`SELECT pg_terminate_backend(${pid})`;
        await isGone(other, pid);
        // The pool has the connection again, and a session behind it that knows of no transaction.
        await asksRight(sql);
        afterwards = await Promise.allSettled([
          tx`INSERT INTO half_done VALUES (2)`,
          tx`INSERT INTO half_done VALUES (3)`,
        ]);
      });
      await expect(transaction).rejects.toHaveProperty('code');
      await until(() => afterwards.length > 0);
      expect(afterwards.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      expect(await other`SELECT n FROM half_done`).toHaveLength(0);
      await asksRight(sql);
    } finally {
      await Promise.all([sql.end({ timeout: 5 }), other.end({ timeout: 5 })]);
    }
  });

  it('while it is reserved asks nothing more, and gives the pool nothing back', async () => {
    const sql = openDatabase(database.url, { max: 1 });
    const other = openDatabase(database.url, { max: 1 });
    try {
      const reserved = await sql.reserve();
      const [{ pid }] = await reserved<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
      await other`SELECT pg_terminate_backend(${pid})`;
      await isGone(other, pid);
      await asksRight(sql);
      await expect(reserved`SELECT 1`).rejects.toHaveProperty('code');
      reserved.release();
      await Promise.all([asksRight(sql), asksRight(sql)]);
    } finally {
      await Promise.all([sql.end({ timeout: 5 }), other.end({ timeout: 5 })]);
    }
  });

  it('behind a refusal does not give it to the next statement', async () => {
    const cut = await startCutter(database.url);
    const sql = openDatabase(cut.url, { max: 1 });
    try {
      await sql`SELECT 1`;
      cut.behindRefusals = true;
      await expect(sql`SELECT FROM no_such_table_here WHERE x = ${1}`).rejects.toHaveProperty('code');
      cut.behindRefusals = false;
      await asksRight(sql);
    } finally {
      await sql.end({ timeout: 5 });
      await cut.close();
    }
  });
});

describe('a connection that cannot be opened', () => {
  let cut: Cutter;
  let sql: Sql;
  beforeEach(async () => {
    cut = await startCutter(database.url);
    sql = openDatabase(cut.url, { max: 1 });
  });
  afterEach(async () => {
    await sql.end({ timeout: 5 });
    await cut.close();
  });

  it('for nobody is there is opened when somebody is', async () => {
    await cut.close();
    for (let n = 0; n < 3; n += 1) await expect(sql`SELECT 1`).rejects.toHaveProperty('code', 'ECONNREFUSED');
    await cut.listen();
    await asksRight(sql);
  });

  it('for it is closed at once fails, and is opened when it stays', async () => {
    cut.atOnce = true;
    for (let n = 0; n < 3; n += 1)
      await expect(sql`SELECT 1`).rejects.toHaveProperty('code', 'CONNECTION_CLOSED');
    cut.atOnce = false;
    await asksRight(sql);
  });

  const questions = {
    'the types of arrays': { text: 'typarray', url: '' },
    'whether it is a standby': { text: 'show transaction_read_only', url: '?target_session_attrs=primary' },
  };
  it.each(
    Object.entries(questions).flatMap(([what, { text, url }]) =>
      (['by a refusal', 'by the end of the connection'] as const).map(
        (how) => [what, how, text, url] as const,
      ),
    ),
  )('for %s is not answered, %s, fails alone', async (_what, how, text, more) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const one = openDatabase(cut.url + more, { max: 1 });
    try {
      cut.behind = { text, how };
      await expect(one`SELECT 1`).rejects.toHaveProperty('code');
      cut.behind = null;
      const [row] = await one<[{ n: string }]>`SELECT cardinality(${['a', 'b']}::text[])::text AS n`;
      expect(row.n).toBe('2');
      await asksRight(one);
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
      await one.end({ timeout: 5 });
    }
  });
});

it('sends nothing behind a statement that runs: what comes waits for whichever connection is free first', async () => {
  const sql = postgres(database.url, { max: 2, onnotice: () => undefined });
  const holder = openDatabase(database.url, { max: 1 });
  try {
    await asksRight(sql);
    await holder`SELECT pg_advisory_lock(77)`;
    const held = sql`SELECT pg_advisory_lock(77)`.execute();
    await isRunning(holder, 'SELECT pg_advisory_lock(77)');
    const short = sql`SELECT pg_sleep(0.2)`.execute();
    const waiting = [1, 2, 3, 4].map((n) => sql<[{ n: number }]>`SELECT ${n}::int AS n`.execute());
    await short;
    // Those that were sent behind the one that waits for the lock would never end.
    expect((await Promise.all(waiting)).map(([{ n }]) => n)).toEqual([1, 2, 3, 4]);
    await holder`SELECT pg_advisory_unlock(77)`;
    await held;
  } finally {
    await Promise.all([sql, holder].map((pool) => pool.end({ timeout: 1 })));
  }
}, 30_000);

it('what was about to be sent over a connection that is lost is not in the way of the next one', async () => {
  const cut = await startCutter(database.url);
  const sql = openDatabase(cut.url, { max: 4 });
  try {
    await Promise.all([1, 2, 3, 4].map(() => sql`SELECT pg_sleep(0.2)`));
    const lost = sql`SELECT pg_sleep(60)`.then(
      () => 'done',
      // The other connections are open still for all that is known, and their ends come in the same moment.
      () => Promise.allSettled([1, 2, 3].map(() => sql`SELECT 1`)),
    );
    const other = openDatabase(database.url, { max: 1 });
    await isRunning(other, 'pg_sleep(60)');
    await other.end({ timeout: 5 });
    cut.reset();
    expect(await lost).toHaveLength(3);
    await Promise.all([1, 2, 3, 4].map(() => asksRight(sql)));
  } finally {
    await sql.end({ timeout: 5 });
    await cut.close();
  }
});

it('what is asked in the moment in which a connection is lost fails, and takes no rows of the next', async () => {
  const cut = await startCutter(database.url);
  // A socket of Node tells of the error first, and of its end in a later moment.
  const sql = postgres(cut.url, { max: 1, onnotice: () => undefined });
  const other = openDatabase(database.url, { max: 1 });
  try {
    const transaction = sql.begin(async (tx) => {
      const asked = tx`SELECT pg_sleep(60) /* when it is lost */`.execute();
      await isRunning(other, 'when it is lost');
      cut.reset();
      await asked.catch(() => undefined);
      await tx`SELECT 'of the transaction' AS what`;
    });
    await expect(transaction).rejects.toHaveProperty('code');
    await Promise.all([asksRight(sql), asksRight(sql)]);
  } finally {
    await Promise.all([sql, other].map((pool) => pool.end({ timeout: 1 })));
    await cut.close();
  }
});

type Cutter = Awaited<ReturnType<typeof startCutter>>;

/** A proxy that cuts at what its properties say: behind a server's refusal, before it has said that it is ready again, say. */
async function startCutter(url: string) {
  const target = new URL(url);
  const open = new Set<Socket>();
  const nears = new Set<Socket>();
  const cutter = {
    behindRefusals: false,
    atOnce: false,
    behind: null as { text: string; how: 'by a refusal' | 'by the end of the connection' } | null,
  };
  const server = createServer((near) => {
    if (cutter.atOnce) return void near.destroy();
    nears.add(near);
    near.on('close', () => nears.delete(near));
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    }
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.on('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1');
      const { behind } = cutter;
      if (behind === null || !text.includes(behind.text)) far.write(bytes);
      else if (behind.how === 'by a refusal')
        far.write(text.replace(behind.text, 'x'.repeat(behind.text.length)), 'latin1');
      else near.resetAndDestroy();
    });
    far.on('data', (bytes: Buffer) => {
      // 'E' begins an ErrorResponse.
      if (cutter.behindRefusals && bytes[0] === 0x45) near.end(bytes);
      // As servers before 14, and most poolers, it does not say whether it is a standby.
      else near.write(bytes.toString('latin1').replace('in_hot_standby', 'no_hot_standby'), 'latin1');
    });
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const own = new URL(url);
  own.hostname = '127.0.0.1';
  own.port = String(port);
  return Object.assign(cutter, {
    url: own.href,
    listen: () => listen(port),
    /** Ends all connections in one moment, as a host does that is there and knows of none of them. */
    reset: () => {
      for (const near of nears) near.resetAndDestroy();
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

it('refuses a driver without the patch', () => {
  expect(() => assertDriverIsPatched(() => undefined)).toThrow(/patch/);
  expect(() => assertDriverIsPatched()).not.toThrow();
});
