import { ourselves } from '../../domain/exchange/viewer.js';
import { createSecureServer, createServer as createHttp2 } from 'node:http2';
import type { Http2Server, Http2Session, ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { createStores } from '../../drizzle/index.js';
import { createKinesis } from '../../src/clients/kinesis.js';
import { createKms } from '../../src/clients/kms.js';
import { createPlaid } from '../../src/clients/plaid.js';
import { openDatabase } from '../../src/clients/postgres.js';
import { createSegment } from '../../src/clients/segment.js';
import { ensureStreams } from '../../src/clients/streams.js';
import { createUserEvents } from '../../src/clients/userEvents.js';
import { openClient } from '../../src/temporal/connect.js';
import { connectWorker } from '../../src/temporal/connectWorker.js';
import { assertCurrentVersion } from '../../src/temporal/deploymentVersion.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { whenHung } from '../../src/temporal/hungConnection.js';
import { provisionTemporal } from '../../src/temporal/provision.js';
import { until } from '../e2e/until.js';
import { selfSigned, signed } from './selfSigned.js';

/** A host that takes every connection and never says a word. Whoever asks it must give up by itself. */
let server: Server;
let address: string;
const taken = new Set<Socket>();
beforeAll(async () => {
  server = createServer((socket) => {
    taken.add(socket);
    socket.on('error', () => undefined);
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterAll(async () => {
  for (const socket of taken) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

const givesUp = (type: string) => expect.objectContaining({ name: 'Failure', type });

/** The failures of calls that must end, by their names. */
async function endsOf(calls: Record<string, () => Promise<unknown>>): Promise<Record<string, unknown>> {
  const before = taken.size;
  const ends = await Promise.all(
    Object.entries(calls).map(async ([name, call]) => [
      name,
      await call().then(
        () => 'answered',
        (error: unknown) => error,
      ),
    ]),
  );
  // They have really asked, also where the server hears of it after they gave up.
  await until(() => taken.size > before);
  return Object.fromEntries(ends) as Record<string, unknown>;
}
const all = (calls: object, end: unknown): Record<string, unknown> =>
  Object.fromEntries(Object.keys(calls).map((name) => [name, end]));

it('PostgreSQL: queries, transactions and the check of readiness', async () => {
  const sql = openDatabase(`postgres://u:p@${address}/d`, { max: 4 });
  const stores = createStores(sql);
  const calls = {
    ping: () => stores.ping(),
    read: () => stores.reads.item(ourselves, 'item', 'item'),
    transaction: () =>
      stores.floats.record({
        userId: 'u',
        floatId: 'f',
        status: 'active' as const,
        occurredAt: null,
        by: null,
      }),
  };
  try {
    expect(await endsOf(calls)).toEqual(all(calls, givesUp('UPSTREAM_DOWN')));
  } finally {
    await sql.end({ timeout: 1 });
  }
});

it('Plaid: every call', async () => {
  const plaid = createPlaid({
    baseUrl: `http://${address}`,
    clientId: 'c',
    secret: 's',
    clientName: 'n',
    products: ['transactions'],
    countryCodes: ['US'],
    webhookUrl: null,
    timeoutMs: 1_000,
    slowTimeoutMs: 1_000,
    keyTimeoutMs: 1_000,
  });
  const window = { from: '2026-01-01', to: '2026-02-01', count: 1, offset: 0 };
  const calls = {
    createLinkToken: () => plaid.createLinkToken({ userId: 'u' }),
    exchangePublicToken: () => plaid.exchangePublicToken('p'),
    getItem: () => plaid.getItem('a'),
    resetLogin: () => plaid.resetLogin('a'),
    removeItem: () => plaid.removeItem('a'),
    getAccounts: () => plaid.getAccounts('a'),
    getNumbers: () => plaid.getNumbers('a'),
    syncTransactions: () => plaid.syncTransactions('a', ''),
    getTransactions: () => plaid.getTransactions('a', window),
    getWebhookKey: () => plaid.getWebhookKey('k'),
    accounts: () => plaid.live.accounts('a'),
    balances: () => plaid.live.balances('a'),
    transactions: () => plaid.live.transactions('a', window),
    institution: () => plaid.live.institution('ins_1'),
    list: () => plaid.directory.list(0),
    get: () => plaid.directory.get('ins_1'),
  };
  try {
    expect(await endsOf(calls)).toEqual(all(calls, givesUp('UPSTREAM_DOWN')));
  } finally {
    plaid.close();
  }
});

describe('AWS', () => {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const at = () => ({ region: 'us-east-1', endpoint: `http://${address}` });

  it('Kinesis and KMS: every call', async () => {
    const kinesis = createKinesis({
      ...at(),
      credentials,
      streamPrefix: '',
      requestTimeoutMs: 300,
      retryForMs: 300,
      pingTimeoutMs: 300,
    });
    const events = createUserEvents({
      ...at(),
      credentials,
      stream: 's',
      requestTimeoutMs: 300,
      onUnknownCheckpoint: () => undefined,
    });
    const kms = createKms({ ...at(), credentials, keyId: 'alias/k', timeoutMs: 300 });
    const blob = Buffer.from([0, 3, 1, 2, 3, 9, 9, 9]);
    const calls = {
      put: () => kinesis.put('raw-accounts', 'k', Buffer.from('[]')),
      ping: () => kinesis.ping(),
      shards: () => events.shards(),
      next: () => events.open('shard', null).next(),
      ensureStreams: () =>
        ensureStreams({ ...at(), credentials, timeoutMs: 300, requestTimeoutMs: 300 }, ['s']),
      wrap: () => kms.wrap(Buffer.alloc(32), 'c'),
      unwrap: () => kms.unwrap('arn:aws:kms:x', blob, 'c'),
      check: () => kms.check(),
    };
    try {
      expect(await endsOf(calls)).toEqual(all(calls, givesUp('UPSTREAM_DOWN')));
    } finally {
      events.close();
      await kinesis.close();
    }
  });

  it('the search for credentials', async () => {
    const names = [
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_PROFILE',
      'AWS_CONTAINER_CREDENTIALS_FULL_URI',
    ];
    const before = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) Reflect.deleteProperty(process.env, name);
    process.env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = `http://${address}/credentials`;
    const kinesis = createKinesis({
      ...at(),
      streamPrefix: '',
      requestTimeoutMs: 300,
      retryForMs: 300,
      pingTimeoutMs: 300,
    });
    const events = createUserEvents({
      ...at(),
      stream: 's',
      requestTimeoutMs: 300,
      onUnknownCheckpoint: () => undefined,
    });
    const calls = {
      put: () => kinesis.put('raw-accounts', 'k', Buffer.from('[]')),
      ping: () => kinesis.ping(),
      shards: () => events.shards(),
      ensureStreams: () => ensureStreams({ ...at(), timeoutMs: 300, requestTimeoutMs: 300 }, ['s']),
      wrap: () => createKms({ ...at(), keyId: 'alias/k', timeoutMs: 300 }).wrap(Buffer.alloc(32), 'c'),
    };
    try {
      expect(await endsOf(calls)).toEqual(all(calls, givesUp('UPSTREAM_DOWN')));
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = value;
      }
      events.close();
      await kinesis.close();
    }
  });
});

it('Segment', async () => {
  const segment = createSegment({ writeKey: 'w', host: `http://${address}`, timeoutMs: 300 });
  const event = { messageId: 'm', userId: 'u', event: 'e', properties: {}, timestamp: new Date(0) };
  const calls = { track: () => segment.track(event as never) };
  try {
    expect(await endsOf(calls)).toEqual(all(calls, givesUp('UPSTREAM_DOWN')));
  } finally {
    await segment.close();
  }
});

describe('Temporal', () => {
  const options = () => ({ address, namespace: 'default', tls: false });

  it('starts, signals, questions', async () => {
    const { client, connection } = openClient(options());
    const gateway = createGateway(client);
    const calls = {
      ping: () => gateway.ping(),
      link: () => gateway.link('h', 'u', 1_000),
      startLink: () => gateway.startLink('h', 'u'),
      signalItem: () => gateway.signalItem('i', 'u', { kind: 'foundDue' }, 500),
      startCheck: () => gateway.startCheck('e', 'u'),
      checkUser: () => gateway.checkUser('u', 1_000, 'request'),
      itemStatus: () => gateway.itemStatus('i'),
      isHistoryRunning: () => gateway.isHistoryRunning('i'),
      isRemineRunning: () => gateway.isRemineRunning('i', 1),
    };
    try {
      expect(await endsOf(calls)).toEqual(all(calls, givesUp('ORCHESTRATOR_DOWN')));
    } finally {
      await connection.close();
    }
  });

  it('questions that the server takes, says what it is, and never answers', async () => {
    const front = createHttp2();
    const sessions = new Set<Http2Session>();
    front.on('session', (session) => sessions.add(session));
    front.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      stream.resume();
      if (!String(headers[':path']).endsWith('/GetSystemInfo')) return;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      // An empty message.
      stream.end(Buffer.alloc(5));
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const { port } = front.address() as { port: number };
    const { client, connection } = openClient({ ...options(), address: `127.0.0.1:${port}` });
    const gateway = createGateway(client);
    const calls = {
      startLink: () => gateway.startLink('h', 'u'),
      signalItem: () => gateway.signalItem('i', 'u', { kind: 'foundDue' }),
      wakeEndpoint: () => gateway.wakeEndpoint('e'),
      startCheck: () => gateway.startCheck('e', 'u'),
      startErasure: () => gateway.startErasure('e'),
      deleteWorkflowsOf: () => gateway.deleteWorkflowsOf('u', [], 10),
      itemStatus: () => gateway.itemStatus('i'),
      isHistoryRunning: () => gateway.isHistoryRunning('i'),
      isRemineRunning: () => gateway.isRemineRunning('i', 1),
      currentVersion: () => assertCurrentVersion(client, { deploymentName: 'd', buildId: 'b' }),
    };
    try {
      await gateway.ping();
      const ends = await Promise.all(
        Object.entries(calls).map(async ([name, call]) => [
          name,
          await call().catch((error: unknown) => error),
        ]),
      );
      expect(Object.fromEntries(ends)).toEqual(all(calls, givesUp('ORCHESTRATOR_DOWN')));
    } finally {
      await connection.close();
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => front.close(resolve));
    }
  });

  /** A front end that says what it is, and nothing besides. */
  function answering(front: Http2Server): Http2Server {
    return front.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => undefined);
      stream.resume();
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.alloc(5));
    });
  }

  // Node's client of gRPC waits without end for the first word on a connection, and opens no other meanwhile.
  it.each(['before TLS', 'behind TLS', 'without TLS', 'behind a proxy'])(
    'is reached over another connection where the first ones were taken and nothing was said on them: %s',
    async (where) => {
      const { key, cert } = selfSigned;
      const tls = where.endsWith('TLS') && where !== 'without TLS';
      const proxied = where === 'behind a proxy';
      const front = answering(tls ? createSecureServer({ key, cert }) : createHttp2());
      const mute = createTls({ key, cert, ALPNProtocols: ['h2'] });
      const sockets = new Set<Socket>();
      let isMute = true;
      const host = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined);
        if (proxied) {
          // A proxy itself, which has an answer for every CONNECT.
          socket.once('data', () => {
            socket.write('HTTP/1.1 200 OK\r\n\r\n');
            if (!isMute) front.emit('connection', socket);
          });
        } else if (!isMute) front.emit('connection', socket);
        else if (where === 'behind TLS') mute.emit('connection', socket);
        else socket.resume();
      });
      await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
      const { port } = host.address() as { port: number };
      if (proxied) process.env['grpc_proxy'] = `http://127.0.0.1:${port}`;
      const { client, connection } = openClient(
        {
          ...{ address: proxied ? 'temporal.test:7233' : `127.0.0.1:${port}`, namespace: 'default', tls },
          ...(tls ? { serverCa: { data: cert }, tlsServerName: 'database.test' } : {}),
        },
        { silentMs: 500 },
      );
      Reflect.deleteProperty(process.env, 'grpc_proxy');
      const gateway = createGateway(client);
      try {
        await expect(gateway.ping()).rejects.toMatchObject({ type: 'ORCHESTRATOR_DOWN' });
        isMute = false;
        await until(() =>
          gateway.ping().then(
            () => true,
            () => false,
          ),
        );
        const reached = sockets.size;
        // One on which something was said stays.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await gateway.ping();
        expect(sockets.size).toBe(reached);
      } finally {
        await connection.close();
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => host.close(resolve));
      }
    },
  );

  it('what provision makes', async () => {
    const calls = { provision: () => provisionTemporal(options(), {} as never, 500) };
    const { provision } = await endsOf(calls);
    expect(provision).toMatchObject({
      type: 'ORCHESTRATOR_DOWN',
      message: expect.stringContaining('the namespace'),
    });
  });

  it("the worker's connection", async () => {
    const tls = () => ({ ...options(), tls: true, serverCa: { data: signed.authority } });
    const { connect, connectByTls } = await endsOf({
      connect: () => connectWorker(options()),
      connectByTls: () => connectWorker(tls(), 500),
    });
    expect(connect).toBeInstanceOf(Error);
    expect(connectByTls).toEqual(givesUp('ORCHESTRATOR_DOWN'));
  });

  // The SDK waits without end for TLS, also for its own polls.
  it("the worker's connection that was taken anew, and nothing was said on it, is noticed when Temporal answers others", async () => {
    const { key, cert, authority } = signed;
    const front = answering(createSecureServer({ key, cert }));
    const sockets = new Set<Socket>();
    let isMute = false;
    const host = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      if (isMute) socket.resume();
      else front.emit('connection', socket);
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    const { port } = host.address() as { port: number };
    const connection = await connectWorker({
      ...{ address: `127.0.0.1:${port}`, namespace: 'default', tlsServerName: 'temporal.test' },
      serverCa: { data: authority },
    });
    const watching = new AbortController();
    let isThere = true;
    let pings = 0;
    const ping = async (): Promise<void> => {
      pings += 1;
      if (!isThere) throw new Error('away');
    };
    let end: unknown = null;
    const watch = whenHung({ connection, ping, everyMs: 50, patienceMs: 300 }, watching.signal).catch(
      (error: unknown) => {
        end = error;
      },
    );
    try {
      await new Promise((resolve) => setTimeout(resolve, 500));
      // It works, so nobody else is asked.
      expect({ pings, end }).toEqual({ pings: 0, end: null });
      isThere = false;
      isMute = true;
      for (const socket of sockets) socket.destroy();
      await until(() => pings > 3);
      // Temporal may be away.
      expect(end).toBeNull();
      isThere = true;
      await watch;
      expect(end).toEqual(givesUp('ORCHESTRATOR_DOWN'));
    } finally {
      watching.abort();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => host.close(resolve));
      await connection.close();
    }
  });
});
