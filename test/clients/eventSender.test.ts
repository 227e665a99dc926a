import { createPublicKey, verify } from 'node:crypto';
import { createServer as createHttp } from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { createServer } from 'node:net';
import { newSigningSecret, publicKeyOf } from '../../api/signingSecrets.js';
import type { SendResult } from '../../domain/ports/eventSender.js';
import { createEventSender } from '../../src/clients/eventSender.js';
import type { EventSenderOptions } from '../../src/clients/eventSender.js';
import { signedHeaders } from '../../src/clients/eventSignature.js';
import { selfSigned } from './selfSigned.js';

const body = '{"test": 2432232314}';
const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const never = new AbortController().signal;

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function senderOf(options: Partial<EventSenderOptions> = {}) {
  const sender = createEventSender({
    allowed: ['127.0.0.0/8', '::1'],
    insecure: true,
    timeoutMs: 60_000,
    ...options,
  });
  closing.push(() => sender.close());
  const send = async (url: string, signal = never, secrets = [secret]): Promise<SendResult | null> =>
    sender.send({ url, id, body, secrets }, signal);
  return { send };
}

/** On a free port of the address; counts connections and what came over them. */
async function listen(server: Server, host = '127.0.0.1') {
  let connections = 0;
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  closing.push(() => {
    server.close();
    if ('closeAllConnections' in server)
      (server as unknown as { closeAllConnections(): void }).closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

/** A receiver that answers as it is asked to, and keeps what it got. */
async function receiver(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  secure = false,
) {
  const got: { headers: IncomingMessage['headers']; body: string; method: string; url: string }[] = [];
  const handle: RequestListener = (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      got.push({
        headers: request.headers,
        body: text,
        method: request.method ?? '',
        url: request.url ?? '',
      });
      answer(request, response);
    });
  };
  const server = secure ? createHttps(selfSigned, handle) : createHttp(handle);
  return { ...(await listen(server)), got };
}

const fine = (_request: IncomingMessage, response: ServerResponse): void =>
  void response.writeHead(204).end();

describe('a signature', () => {
  it("is that of Standard Webhooks' own example", () => {
    expect(signedHeaders(id, 1_614_265_330, body, [secret])['webhook-signature']).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });

  it('by ed25519 is checked by the public key that clients hold, and by no other', () => {
    const own = newSigningSecret('ed25519');
    const checks = (publicKey: string, signature: string): boolean => {
      const raw = Buffer.from(publicKey.replace('whpk_', ''), 'base64');
      expect(raw).toHaveLength(32);
      const key = createPublicKey({
        key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]),
        format: 'der',
        type: 'spki',
      });
      return verify(
        null,
        Buffer.from(`${id}.7.${body}`),
        key,
        Buffer.from(signature.replace('v1a,', ''), 'base64'),
      );
    };
    const signature = signedHeaders(id, 7, body, [own])['webhook-signature'];
    expect(signature).toMatch(/^v1a,/);
    expect(checks(publicKeyOf(own) ?? '', signature)).toBe(true);
    expect(checks(publicKeyOf(newSigningSecret('ed25519')) ?? '', signature)).toBe(false);
    expect(publicKeyOf(newSigningSecret('hmac'))).toBeNull();
  });

  it('is given by each of two secrets', () => {
    const both = signedHeaders(id, 7, body, [secret, newSigningSecret('hmac')])['webhook-signature'].split(
      ' ',
    );
    expect(both).toHaveLength(2);
    expect(both[0]).toBe(signedHeaders(id, 7, body, [secret])['webhook-signature']);
    expect(() => signedHeaders(id, 7, body, ['other_AAAA'])).toThrow('no known kind');
  });
});

describe('an attempt', () => {
  it('brings the event, signed, and says how it was answered', async () => {
    const { port, got } = await receiver((_request, response) => response.writeHead(202).end('thanks\0'));
    const { send } = senderOf();
    const result = await send(`http://127.0.0.1:${port}/a?b=c`);
    expect(result).toMatchObject({
      status: 202,
      failure: null,
      answer: 'thanks\u{fffd}',
      retryAfterMs: null,
    });
    expect(Date.parse(result?.at ?? '')).toBeLessThanOrEqual(Date.now());
    const [one] = got;
    expect(one).toMatchObject({ method: 'POST', url: '/a?b=c', body });
    const headers = one?.headers ?? {};
    expect(headers).toMatchObject({ 'content-type': 'application/json', host: `127.0.0.1:${port}` });
    const seconds = Number(headers['webhook-timestamp']);
    expect(headers).toMatchObject(signedHeaders(id, seconds, body, [secret]));
  });

  it('uses a connection once more', async () => {
    const server = await receiver(fine);
    const { send } = senderOf();
    for (let n = 0; n < 5; n += 1)
      expect(await send(`http://127.0.0.1:${server.port}/`)).toMatchObject({ status: 204 });
    expect(server.connections()).toBe(1);
  });

  it('has not failed because a connection that was kept has ended: it is sent by a new one', async () => {
    // It says nothing of that, as many do: whoever sends next at that moment finds it out.
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        if (chunk.toString().endsWith(body)) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK');
      });
    });
    const { port } = await listen(server);
    const { send } = senderOf();
    for (let n = 0; n < 3; n += 1) {
      const results = await Promise.all(Array.from({ length: 6 }, () => send(`http://127.0.0.1:${port}/`)));
      expect(results.map((result) => result?.status)).toEqual(Array(6).fill(200));
    }
  });

  it.each([
    [301, { location: '/elsewhere' }, null],
    [307, { location: '/elsewhere' }, null],
    [410, {}, null],
    [429, { 'retry-after': '120' }, 120_000],
    [503, { 'retry-after': 'soon' }, null],
    [500, { 'retry-after': new Date(Date.now() - 1_000).toUTCString() }, 0],
  ])('that is answered %d is told so, and goes nowhere else', async (status, headers, retryAfterMs) => {
    const server = await receiver((_request, response) => response.writeHead(status, headers).end());
    expect(await senderOf().send(`http://127.0.0.1:${server.port}/`)).toMatchObject({
      status,
      failure: null,
      retryAfterMs,
    });
    expect(server.got).toHaveLength(1);
  });

  it('keeps one KiB of an answer, and hangs up on one that has no end', async () => {
    let hungUp = false;
    const { port } = await receiver((_request, response) => {
      response.writeHead(200);
      const more = setInterval(() => response.write('x'.repeat(16_384)), 1);
      response.on('close', () => {
        clearInterval(more);
        hungUp = true;
      });
    });
    const result = await senderOf().send(`http://127.0.0.1:${port}/`);
    expect(result).toMatchObject({ status: 200, answer: 'x'.repeat(1_024) });
    while (!hungUp) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('is decided by the head of an answer whose body does not come', async () => {
    const { port } = await receiver((_request, response) => {
      response.writeHead(200).write('begun');
    });
    expect(await senderOf().send(`http://127.0.0.1:${port}/`)).toMatchObject({
      status: 200,
      answer: 'begun',
    });
  });

  it('without an answer ends by its own deadline', async () => {
    const { port } = await receiver(() => undefined);
    expect(await senderOf({ timeoutMs: 300 }).send(`http://127.0.0.1:${port}/`)).toMatchObject({
      status: null,
      failure: 'timed_out',
    });
  });

  it('to a name that takes for ever ends by it, too', async () => {
    const { send } = senderOf({ timeoutMs: 300, resolve: () => new Promise(() => undefined) });
    expect(await send('http://slow.test/')).toMatchObject({ status: null, failure: 'timed_out' });
  });

  it('takes with names whose servers are silent no more than one look-up from the rest of the process', async () => {
    const asked: string[] = [];
    const resolve = (host: string) => {
      asked.push(host);
      return new Promise<string[]>(() => undefined);
    };
    const { send } = senderOf({ timeoutMs: 300, resolve });
    const names = Array.from({ length: 16 }, (_, n) => `http://silent${n % 4}.test/`);
    const ends = await Promise.all(names.map((name) => send(name)));
    expect(ends.map((end) => end?.failure)).toEqual(names.map(() => 'timed_out'));
    expect(asked).toEqual(['silent0.test']);
  });

  it('is nothing that anybody knows of when it is called off', async () => {
    const calledOff = new AbortController();
    const { port } = await receiver(() => calledOff.abort());
    const { send } = senderOf();
    expect(await send(`http://127.0.0.1:${port}/`, calledOff.signal)).toBeNull();
    expect(await send(`http://127.0.0.1:${port}/`, calledOff.signal)).toBeNull();
  });

  it('names what went wrong', async () => {
    const { send } = senderOf();
    const gone = await listen(createServer());
    for (const close of closing.splice(1)) close();
    expect(await send(`http://127.0.0.1:${gone.port}/`)).toMatchObject({ failure: 'connection_failed' });
    const babbler = await listen(createServer((socket) => socket.end('hello\r\n\r\n')));
    expect(await send(`http://127.0.0.1:${babbler.port}/`)).toMatchObject({ failure: 'answer_broken' });
    const closer = await listen(createServer((socket) => socket.destroy()));
    expect(await send(`http://127.0.0.1:${closer.port}/`)).toMatchObject({ failure: 'connection_failed' });
    const nameless = senderOf({ resolve: () => Promise.reject(new Error('ENOTFOUND')) });
    expect(await nameless.send('http://nowhere.test/')).toMatchObject({ failure: 'name_not_found' });
    const upgrading = await receiver((_request, response) =>
      response.writeHead(101, { upgrade: 'x', connection: 'upgrade' }).end(),
    );
    expect(await senderOf().send(`http://127.0.0.1:${upgrading.port}/`)).toMatchObject({
      failure: 'answer_broken',
    });
  });

  it('takes no certificate but one that is trusted and of the name', async () => {
    const server = await receiver(fine, true);
    const resolve = async () => ['127.0.0.1'];
    const at = (name: string) => `https://${name}:${server.port}/`;
    expect(await senderOf({ resolve }).send(at('database.test'))).toMatchObject({ failure: 'tls_failed' });
    expect(server.got).toHaveLength(0);
    const { send } = senderOf({ resolve, ca: selfSigned.cert });
    expect(await send(at('database.test'))).toMatchObject({ status: 204 });
    expect(await send(at('other.test'))).toMatchObject({ failure: 'tls_failed' });
    expect(await send(at('127.0.0.1'))).toMatchObject({ failure: 'tls_failed' });
    expect(server.got).toHaveLength(1);
  });
});

describe('a place where no event may go', () => {
  const spellings = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[2002:7f00:1::]',
  ];

  it('gets no connection, in whatever spelling; one that is let in gets it', async () => {
    const hangUp = (): Server => createServer((socket) => socket.destroy());
    const v4 = await listen(hangUp());
    const v6 = await listen(hangUp(), '::1');
    const { send } = senderOf({ allowed: [] });
    for (const host of spellings) {
      for (const { port } of [v4, v6]) {
        expect([host, await send(`http://${host}:${port}/`)]).toMatchObject([
          host,
          { status: null, failure: 'address_refused' },
        ]);
      }
    }
    expect([v4.connections(), v6.connections()]).toEqual([0, 0]);
    const open = senderOf();
    await open.send(`http://127.1:${v4.port}/`);
    await open.send(`http://[::1]:${v6.port}/`);
    expect([v4.connections(), v6.connections()]).toEqual([1, 1]);
  });

  it('gets none by a name that leads there, nor by one that leads elsewhere at first', async () => {
    const inside = await listen(createServer());
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254']) {
      const { send } = senderOf({ allowed: [], resolve: async () => [address] });
      expect(await send(`http://evil.test:${inside.port}/`)).toMatchObject({ failure: 'address_refused' });
    }
    // Rebinding: every look-up is one connection's, and what it says is what is connected to.
    const answers: string[][] = [['192.0.2.1'], ['127.0.0.1']];
    let asked = 0;
    const { send } = senderOf({
      allowed: ['192.0.2.0/24'],
      timeoutMs: 400,
      resolve: async () => answers[Math.min(asked++, 1)] as string[],
    });
    await send(`http://rebinding.test:${inside.port}/`);
    expect(asked).toBe(1);
    expect(await send(`http://rebinding.test:${inside.port}/`)).toMatchObject({ failure: 'address_refused' });
    expect(inside.connections()).toBe(0);
  });

  it('is passed over among several addresses of a name', async () => {
    const server = await receiver(fine);
    const { send } = senderOf({ allowed: ['127.0.0.1'], resolve: async () => ['10.0.0.1', '127.0.0.1'] });
    expect(await send(`http://mixed.test:${server.port}/`)).toMatchObject({ status: 204 });
  });

  it('gets none by a redirect', async () => {
    const inside = await listen(createServer());
    const { port } = await receiver((_request, response) =>
      response.writeHead(302, { location: `http://127.0.0.1:${inside.port}/` }).end(),
    );
    expect(await senderOf().send(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 302 });
    expect(inside.connections()).toBe(0);
  });

  it('is whatever is not https where that is asked for', async () => {
    const server = await receiver(fine);
    const { send } = senderOf({ insecure: false });
    expect(await send(`http://127.0.0.1:${server.port}/`)).toMatchObject({ failure: 'address_refused' });
    expect(server.connections()).toBe(0);
  });
});
