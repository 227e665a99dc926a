import { createServer as createHttp2Server } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { createGateway } from '../../src/temporal/gateway.js';
import { testStack } from '../stack/testStack.js';

/** What the gateway makes of refusals: by a server that says a gRPC code, resets, is silent, or is the real one. */
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that does the same with every call. */
async function answering(answer: (stream: ServerHttp2Stream) => void): Promise<string> {
  const server = createHttp2Server();
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    answer(stream);
  });
  closing.push(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return listening(server);
}

const saying = (code: number, message = 'no') =>
  answering((stream) =>
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(code),
        'grpc-message': message,
      },
      { endStream: true },
    ),
  );

function gatewayTo(address: string, namespace = 'default') {
  const connection = Connection.lazy({ address });
  closing.unshift(() => connection.close());
  return createGateway(new Client({ connection, namespace }));
}
type Gateway = ReturnType<typeof gatewayTo>;

/** No deadline of ours comes before the server's word. */
const patienceMs = 60_000;

const calls: [string, (gateway: Gateway) => Promise<unknown>][] = [
  ['a signal', (gateway) => gateway.signalItem('item', 'user', { kind: 'foundDue' }, patienceMs)],
  ['a login of the stream', (gateway) => gateway.startCheck('event', 'user')],
  ['a login of the API', (gateway) => gateway.checkUser('user', patienceMs, 'request')],
  ['a link', (gateway) => gateway.link('hash', 'user', patienceMs)],
  ['the start of a link', (gateway) => gateway.startLink('hash', 'user')],
];

describe('a refusal that no waiting mends', () => {
  it.each([
    [3, 'ORCHESTRATOR_REFUSED'],
    [7, 'MISCONFIGURED'],
    [12, 'MISCONFIGURED'],
    [16, 'MISCONFIGURED'],
  ])('of code %i is %s, at once, for every call', async (code, type) => {
    const gateway = gatewayTo(await saying(code, 'secret text'));
    for (const [, call] of calls) {
      const error: unknown = await call(gateway).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: 'Failure', type });
      expect(String(error)).not.toContain('secret text');
    }
  });

  it('is an operator’s matter where the namespace lacks our search attributes', async () => {
    const gateway = gatewayTo(await saying(3, 'search attribute SluiceUser is not defined'));
    await expect(gateway.startCheck('event', 'user')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
  });
});

describe('an outage', () => {
  it.each([1, 2, 4, 8, 9, 10, 13, 14, 15])('is what a server means by code %i', async (code) => {
    const gateway = gatewayTo(await saying(code));
    await expect(gateway.signalItem('item', 'user', { kind: 'foundDue' }, 1_000)).rejects.toMatchObject({
      type: 'ORCHESTRATOR_DOWN',
    });
  });

  it('is a stream that a proxy on the way resets', async () => {
    // INTERNAL_ERROR, and CANCEL.
    for (const code of [2, 8]) {
      const gateway = gatewayTo(await answering((stream) => stream.close(code)));
      await expect(gateway.signalItem('item', 'user', { kind: 'foundDue' }, 1_000)).rejects.toMatchObject({
        type: 'ORCHESTRATOR_DOWN',
      });
    }
  });

  it('is a host that takes the connection and never says a word: the call ends by itself', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const server = createTcpServer((socket) => void sockets.add(socket));
    const gateway = gatewayTo(await listening(server));
    closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    const ends = [
      gateway.signalItem('item', 'user', { kind: 'foundDue' }, 300),
      gateway.startLink('hash', 'user'),
      gateway.startCheck('event', 'user'),
      gateway.ping(),
      gateway.itemStatus('item'),
      gateway.isHistoryRunning('item'),
    ];
    for (const end of await Promise.allSettled(ends)) {
      expect(end).toMatchObject({ status: 'rejected', reason: { type: 'ORCHESTRATOR_DOWN' } });
    }
  });

  it('is a port where nobody listens', async () => {
    const server = createTcpServer();
    const address = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    await expect(
      gatewayTo(address).signalItem('item', 'user', { kind: 'foundDue' }, 500),
    ).rejects.toMatchObject({ type: 'ORCHESTRATOR_DOWN' });
  });
});

describe('a real server', () => {
  const address = (): string => testStack().temporal_address;

  it('has no such namespace: an operator’s matter', async () => {
    const gateway = gatewayTo(address(), 'of-nobody');
    for (const [, call] of calls)
      await expect(call(gateway)).rejects.toMatchObject({ type: 'MISCONFIGURED' });
    await expect(gateway.itemStatus('item')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
    await expect(gateway.isHistoryRunning('item')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
  });

  it('lacks our search attributes there: an operator’s matter', async () => {
    const connection = await Connection.connect({ address: address() });
    closing.unshift(() => connection.close());
    const namespace = `bare-${Date.now()}`;
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
    });
    const gateway = createGateway(new Client({ connection, namespace }));
    // A new namespace is not known to every part of the server at once; what it says meanwhile is MISCONFIGURED too.
    await expect(gateway.startCheck('event', 'user')).rejects.toMatchObject({ type: 'MISCONFIGURED' });
  });

  it('will never take a workflow id of more than 1,000 bytes: our fault', async () => {
    const gateway = gatewayTo(address());
    await expect(gateway.startCheck('e'.repeat(1_001), 'user')).rejects.toMatchObject({
      type: 'ORCHESTRATOR_REFUSED',
    });
  });
});
