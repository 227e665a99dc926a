import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TLSSocket } from 'node:tls';
import type postgres from 'postgres';
import { forRequests, openDatabase } from '../../src/clients/postgres.js';
import type { TestDatabase } from '../stack/testDatabase.js';
import { createTestDatabase } from '../stack/testDatabase.js';
import { selfSigned } from './selfSigned.js';

let database: TestDatabase;
const opened: postgres.Sql[] = [];
const servers: Server[] = [];
const sockets = new Set<Socket>();

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sql) => sql.end({ timeout: 1 })));
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});
afterAll(() => database.drop());

/** Listens and leaves each connection to `take`. */
async function listen(take: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    take(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

function forward(near: Socket): void {
  const { hostname, port } = new URL(database.url);
  const far = connect(Number(port), hostname);
  sockets.add(far);
  far.on('error', () => near.destroy());
  near.on('error', () => far.destroy());
  near.pipe(far).pipe(near);
}

/** The server's word of a setting. */
function parameterStatus(name: string, value: string): string {
  const text = `${name}\0${value}\0`;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + text.length);
  return `S${length.toString('latin1')}${text}`;
}

/** The server's word that ends a login. */
function refusal(code: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mnot now\0\0`);
  const head = Buffer.from('E....');
  head.writeUInt32BE(4 + fields.length, 1);
  return Buffer.concat([head, fields]);
}

/** In front of the database: says that it is a standby. `onStatement`: one with our comment was sent. */
function asStandby(near: Socket, onStatement: () => void): void {
  const { hostname, port } = new URL(database.url);
  const far = connect(Number(port), hostname);
  sockets.add(far);
  far.on('error', () => near.destroy());
  near.on('error', () => far.destroy());
  near.on('close', () => far.destroy());
  far.on('close', () => near.destroy());
  near.on('data', (bytes: Buffer) => {
    if (bytes.toString('latin1').includes('a statement of ours')) onStatement();
    far.write(bytes);
  });
  const [is, isNot] = ['on', 'off'].map((value) => parameterStatus('in_hot_standby', value)) as [
    string,
    string,
  ];
  // As the server says it by itself, and when it is asked.
  const [yes, no] = ['\0\0\0\x01t', '\0\0\0\x01f'] as [string, string];
  far.on('data', (bytes: Buffer) =>
    near.write(bytes.toString('latin1').replace(isNot, is).replace(no, yes), 'latin1'),
  );
}

/** In front of the database: answers the question for TLS, and speaks it when the answer was yes. */
const withTls =
  (answer: string, options: { direct?: boolean; onServerName?: (name: string) => void } = {}) =>
  (socket: Socket): void => {
    const secure = (): void => {
      const tls = new TLSSocket(socket, {
        isServer: true,
        ...selfSigned,
        ...(options.direct ? { ALPNProtocols: ['postgresql'] } : {}),
        SNICallback: (name, done) => {
          options.onServerName?.(name);
          done(null);
        },
      });
      forward(tls);
    };
    if (options.direct) return secure();
    socket.once('data', (asked: Buffer) => {
      expect(asked.toString('hex')).toBe('0000000804d2162f');
      socket.pause();
      socket.write(answer);
      if (answer === 'S') secure();
      else forward(socket.resume());
    });
  };

function at(hosts: string, query = ''): postgres.Sql {
  const { username, password, pathname } = new URL(database.url);
  const sql = openDatabase(`postgres://${username}:${password}@${hosts}${pathname}${query}`, { max: 2 });
  opened.push(sql);
  return sql;
}

async function isAnswered(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<[{ n: number }]>`SELECT ${7}::int AS n`;
  await sql.begin(async (tx) => tx`SELECT 1`);
  return row.n === 7;
}

describe('a database is reached', () => {
  it('through TLS, whoever answers, with sslmode=require', async () => {
    const names: string[] = [];
    const port = await listen(withTls('S', { onServerName: (name) => names.push(name) }));
    expect(await isAnswered(at(`localhost:${port}`, '?sslmode=require'))).toBe(true);
    expect(names).toContain('localhost');
  });

  it('through TLS from the first byte on', async () => {
    const port = await listen(withTls('', { direct: true }));
    expect(await isAnswered(at(`127.0.0.1:${port}`, '?sslmode=require&sslnegotiation=direct'))).toBe(true);
  });

  it('not by a certificate that nobody vouches for, with sslmode=verify-full', async () => {
    const port = await listen(withTls('S'));
    await expect(isAnswered(at(`localhost:${port}`, '?sslmode=verify-full'))).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });

  it('without TLS where it is only preferred and there is none', async () => {
    const port = await listen(withTls('N'));
    expect(await isAnswered(at(`127.0.0.1:${port}`, '?sslmode=prefer'))).toBe(true);
  });

  it('not without TLS where it is required', async () => {
    const port = await listen(withTls('N'));
    await expect(isAnswered(at(`127.0.0.1:${port}`, '?sslmode=require'))).rejects.toMatchObject({
      code: 'TLS_REFUSED',
    });
  });

  it('at the second host when the first refuses', async () => {
    const { host } = new URL(database.url);
    const sql = at(`127.0.0.1:1,${host}`);
    expect(await isAnswered(sql)).toBe(true);
    expect((await Promise.all([1, 2, 3, 4].map(() => isAnswered(sql)))).every(Boolean)).toBe(true);
  });

  it('at the host that may be written to, wherever it stands', async () => {
    const { host } = new URL(database.url);
    const second = await listen(forward);
    const sql = at(`${host},127.0.0.1:${second}`, '?target_session_attrs=read-write');
    expect((await Promise.all([1, 2, 3, 4].map(() => isAnswered(sql)))).every(Boolean)).toBe(true);
  });

  it.each(['primary', 'read-write'])(
    'past a host that is a standby, where %s is asked for: no statement and no transaction fails for it, or is sent there',
    async (kind) => {
      const { host } = new URL(database.url);
      const said = { logins: 0, statements: 0 };
      const standby = await listen((near) => {
        said.logins += 1;
        asStandby(near, () => (said.statements += 1));
      });
      const url = database.url.replace(host, `127.0.0.1:${standby},${host}`);
      const sql = openDatabase(`${url}?target_session_attrs=${kind}`, { max: 6 });
      opened.push(sql);
      const asked = Array.from({ length: 12 }, async (_, n) => {
        const ask = (db: postgres.Sql | postgres.TransactionSql) =>
          db<{ n: number }[]>`SELECT ${n}::int AS n, pg_sleep(0.05) /* a statement of ours */`;
        const [row] = n % 2 === 0 ? await ask(sql) : await sql.begin((tx) => ask(tx));
        return row?.n;
      });
      expect(await Promise.all(asked)).toEqual(asked.map((_, n) => n));
      expect(said.logins).toBeGreaterThan(0);
      expect(said.statements).toBe(0);
    },
  );

  it.each([
    ['takes nobody just now', (near: Socket) => near.once('data', () => near.end(refusal('57P03')))],
    ['closes each connection, as a balancer without a server', (near: Socket) => near.destroy()],
    ['closes it in the midst of the login', (near: Socket) => near.once('data', () => near.end())],
    ['says nothing', (near: Socket) => near.resume()],
  ])('past a host that %s: no statement and no transaction fails for it', async (_, take) => {
    const { host } = new URL(database.url);
    let logins = 0;
    const other = await listen((near) => {
      logins += 1;
      take(near);
    });
    const sql = openDatabase(database.url.replace(host, `127.0.0.1:${other},${host}`), { max: 6 });
    opened.push(sql);
    const asked = Array.from({ length: 12 }, async (__, n) => {
      const ask = (db: postgres.Sql | postgres.TransactionSql) =>
        db<{ n: number }[]>`SELECT ${n}::int AS n, pg_sleep(0.05)`;
      const [row] = n % 2 === 0 ? await ask(sql) : await sql.begin((tx) => ask(tx));
      return row?.n;
    });
    expect(await Promise.all(asked)).toEqual(asked.map((__, n) => n));
    expect(logins).toBeGreaterThan(0);
  });

  it('past a host that says nothing, also where clients wait: nobody fails for it', async () => {
    const { host } = new URL(database.url);
    let logins = 0;
    const silent = await listen((near) => {
      logins += 1;
      near.resume();
    });
    const sql = openDatabase(database.url.replace(host, `127.0.0.1:${silent},${host}`), {
      ...forRequests,
      max: 2,
    });
    opened.push(sql);
    expect(await Promise.all([isAnswered(sql), isAnswered(sql), isAnswered(sql)])).toEqual([
      true,
      true,
      true,
    ]);
    expect(logins).toBeGreaterThan(0);
  });

  it.each([
    ['one that says nothing, while the others of many connections that are opened at once are busy', 1, 6],
    ['two that say nothing', 2, 1],
    ['two that say nothing, by many connections that are opened at once', 2, 6],
  ])('past %s: nobody fails for it where clients wait', async (_, silentHosts, max) => {
    const { host } = new URL(database.url);
    const silent = await listen((near) => near.resume());
    const hosts = [...Array.from({ length: silentHosts }, () => `127.0.0.1:${silent}`), host];
    const sql = openDatabase(database.url.replace(host, hosts.join()), { ...forRequests, max });
    opened.push(sql);
    const asked = Array.from({ length: max }, () =>
      sql`SELECT pg_sleep(${max > 1 ? 3 : 0})`.then(() => true),
    );
    expect(await Promise.all(asked)).toEqual(asked.map(() => true));
  });

  it('where a standby is left once it is one no more, and is read by who only reads: a name may lead to the former primary for a while', async () => {
    const world = { promoted: false };
    const server = await listen((near) =>
      world.promoted ? forward(near) : asStandby(near, () => undefined),
    );
    const host = `127.0.0.1:${server}`;
    const sql = at(host);
    for (let n = 0; n < 3; n += 1)
      await expect(isAnswered(sql)).rejects.toMatchObject({ code: 'SERVER_IS_STANDBY' });
    const reader = openDatabase(database.url.replace(new URL(database.url).host, host), {
      max: 1,
      readsOnly: true,
    });
    opened.push(reader);
    expect(await isAnswered(reader)).toBe(true);
    world.promoted = true;
    expect(await isAnswered(sql)).toBe(true);
  });

  it('nowhere when all take nobody just now, nor past one that knows us not, and that is told', async () => {
    const refusing = async (code: string) => {
      const port = await listen((near) => near.once('data', () => near.end(refusal(code))));
      return `127.0.0.1:${port}`;
    };
    const starting = await refusing('57P03');
    await expect(isAnswered(at(`${starting},${starting}`))).rejects.toMatchObject({ code: '57P03' });
    const unknown = await refusing('28P01');
    await expect(isAnswered(at(`${unknown},${new URL(database.url).host}`))).rejects.toMatchObject({
      code: '28P01',
    });
  });

  it('past the primary, where who only reads asks for a standby', async () => {
    const { host } = new URL(database.url);
    let statements = 0;
    const standby = await listen((near) => asStandby(near, () => (statements += 1)));
    const url = database.url.replace(host, `${host},127.0.0.1:${standby}`);
    const sql = openDatabase(`${url}?target_session_attrs=standby`, { max: 2, readsOnly: true });
    opened.push(sql);
    const asked = [1, 2, 3, 4].map(() => sql.unsafe('SELECT pg_sleep(0.05) /* a statement of ours */'));
    expect(await Promise.all(asked)).toHaveLength(statements);
  });

  it('nowhere when all are standbys, and that is told', async () => {
    const standby = await listen((near) => asStandby(near, () => undefined));
    const sql = at(`127.0.0.1:${standby},127.0.0.1:${standby}`, '?target_session_attrs=primary');
    await expect(isAnswered(sql)).rejects.toMatchObject({ code: 'SERVER_IS_STANDBY' });
    await expect(sql.begin((tx) => tx`SELECT 1`)).rejects.toMatchObject({ code: 'SERVER_IS_STANDBY' });
  });

  it('nowhere when all are standbys that take their time, and that is told before they were all asked eight times', async () => {
    let logins = 0;
    const standby = await listen((near) => {
      logins += 1;
      setTimeout(() => asStandby(near, () => undefined), 800);
    });
    const { username, password, pathname } = new URL(database.url);
    const host = `127.0.0.1:${standby}`;
    const url = `postgres://${username}:${password}@${host},${host}${pathname}?target_session_attrs=primary`;
    const sql = openDatabase(url, { max: 1, connectionWaitMs: 2_000 });
    opened.push(sql);
    await expect(sql`SELECT 1`).rejects.toMatchObject({ code: 'SERVER_IS_STANDBY' });
    await expect(sql.begin((tx) => tx`SELECT 1`)).rejects.toMatchObject({ code: 'SERVER_IS_STANDBY' });
    expect(logins).toBeLessThanOrEqual(2 * 3);
  });

  it('nowhere when every host refuses, and that is told', async () => {
    const sql = at('127.0.0.1:1,127.0.0.1:2');
    for (let n = 0; n < 5; n += 1) {
      await expect(isAnswered(sql)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
  });

  it('through a Unix socket', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'sluice-'));
    const { port, username, password, pathname } = new URL(database.url);
    // The one way in which the driver is told of a directory.
    const env = { PGHOST: dir, PGPORT: port, PGUSER: username, PGPASSWORD: password };
    const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, env);
    try {
      let taken = 0;
      const server = createServer((socket) => {
        taken += 1;
        sockets.add(socket);
        forward(socket);
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(path.join(dir, `.s.PGSQL.${port}`), resolve));
      const sql = openDatabase(`postgres://${pathname}`, { max: 2 });
      opened.push(sql);
      expect(await isAnswered(sql)).toBe(true);
      expect(taken).toBe(1);
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      await rm(dir, { recursive: true });
    }
  });
});
