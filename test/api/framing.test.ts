import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createWorld, until } from './world.js';

/**
 * Requests that a proxy in front and this server could cut at different places, byte by byte on a real connection: one that is not
 * clear is refused, none is answered twice, and what stands in a body is never taken for a request.
 */
const world = createWorld();
/** Loses patience soon. Only what never arrives is asked of it: no slow machine can make that come. */
const hasty = createWorld({ requestMs: 400 });
const portOf = ({ app }: typeof world): number => (app.server.address() as AddressInfo).port;
beforeAll(() => Promise.all([world, hasty].map(({ app }) => app.listen({ port: 0, host: '127.0.0.1' }))));
afterAll(() => Promise.all([world, hasty].map(({ app }) => app.close())));

const chunked = 'transfer-encoding: chunked';
const last = 'GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: last\r\nconnection: close\r\n\r\n';
let hiddenRequests = 0;
/** A request that is asked for in earnest only where the server has lost its place. */
const hide = (): { id: string; text: string } => {
  hiddenRequests += 1;
  const id = `hidden-${hiddenRequests}`;
  const { authorization } = world.keys.read;
  return {
    id,
    text: `GET /v1/institutions/${id}/live HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n\r\n`,
  };
};
const run: string[] = [];
world.behave.live = async (_path, institutionId) => void run.push(institutionId);

/** Sends bytes as they are. Once there is an answer it asks for one thing more, on the same connection, which is then closed. */
const send = (bytes: string, port: number = portOf(world)): Promise<string> =>
  new Promise((resolve) => {
    let said = '';
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from(bytes, 'latin1')));
    socket.on('data', (data) => {
      if (said === '' && socket.writable) socket.write(last);
      said += data.toString('latin1');
    });
    socket.on('close', () => resolve(said));
    socket.on('error', () => undefined);
  });

const statusesIn = (said: string): number[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)).filter((one) => one !== 100);
const post = (fields: string, body: string): string =>
  `POST /webhooks/plaid HTTP/1.1\r\nhost: x\r\n${fields}\r\n\r\n${body}`;
const get = (fields: string): string => `GET /livez HTTP/1.1\r\n${fields}\r\n\r\n`;
const line = (start: string): string => `${start}\r\nhost: x\r\n\r\n`;
const shownAs = (text: string): string => JSON.stringify(text.slice(0, 60));

/** `make` gets a request to hide. */
type Case = [name: string, make: (hidden: string) => string];

const encodings = [
  'transfer-encoding: xchunked',
  'transfer-encoding: identity',
  'transfer-encoding: gzip, chunked',
  'transfer-encoding: chunked, identity',
  'transfer-encoding: chunked;q=1',
  'transfer-encoding: "chunked"',
  'transfer-encoding:',
  'transfer-encoding:\x0bchunked',
  'transfer-encoding: chun\0ked',
  'transfer-encoding : chunked',
  'transfer_encoding: chunked',
  `${chunked}\r\n${chunked}`,
  `${chunked}\r\ntransfer-encoding: identity`,
  `${chunked}\r\ncontent-length: 0`,
  `content-length: 0\r\n${chunked}`,
  `x: y\r\n ${chunked}`,
  `x: y\n${chunked}`,
  `x: y\n ${chunked}`,
  `x: y\r${chunked}`,
];
const lengths = [
  'content-length: 2\r\ncontent-length: 40',
  'content-length: 2\r\ncontent-length: 2',
  'content-length: 2, 2',
  'content-length: 2, 40',
  'content-length: +2',
  'content-length: -2',
  'content-length: 0x2',
  'content-length: 1e1',
  'content-length: 2 2',
  'content-length: 2;',
  'content-length: \x0b2',
  'content-length:',
  'content-length : 2',
  'content-length: 2\r\n 40',
  'content-length: 18446744073709551618',
];
const chunks = [
  '2 \r\n{}\r\n0\r\n\r\n',
  '0x2\r\n{}\r\n0\r\n\r\n',
  '+2\r\n{}\r\n0\r\n\r\n',
  '-2\r\n{}\r\n0\r\n\r\n',
  '10000000000000002\r\n{}\r\n0\r\n\r\n',
  '\r\n2\r\n{}\r\n0\r\n\r\n',
  '2\n{}\r\n0\r\n\r\n',
  '2\r{}\r\n0\r\n\r\n',
  '2\r\n{}\n0\r\n\r\n',
  '2\r\n{}0\r\n\r\n',
  '2\r\n{}XX0\r\n\r\n',
  '2\r\n{}\r\n0\n\n',
  '2;a\n=b\r\n{}\r\n0\r\n\r\n',
  `2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
  '2\r\n{}\r\n0\r\ncontent-length: 5\r\n\r\n',
  `2\r\n{}\r\n0\r\n${chunked}\r\n\r\n`,
  '2\r\n{}\r\n0\r\n x\r\n\r\n',
];
const fields = [
  'host: x\r\nhost: y',
  'host: x\r\nhost: x',
  'host: x, y',
  'host: x y',
  'host: x/y',
  'host: x#y',
  'host: x?y',
  'host: y@x',
  ' host: x',
  'host: x\r\nno colon',
  'host: x\r\n: empty name',
  'host: x\r\na b: c',
  'host: x\r\na\0b: c',
  'host: x\r\na: b\0c',
  'host: x\r\na: b\rc',
  'host: x\r\na: \x7f',
  'host: x\na: b',
  'host: x\r\na: b\r\n c',
  'host: x\r\n\ta: b',
];
const starts = [
  'GET http://y/livez HTTP/1.1',
  'GET http://y@x/livez HTTP/1.1',
  'GET https://y/v1/items/item-1 HTTP/1.1',
  'GET ftp://x/livez HTTP/1.1',
  'GET livez HTTP/1.1',
  'GET \\livez HTTP/1.1',
  'GET /livez#a HTTP/1.1',
  'GET /live\0z HTTP/1.1',
  'GET /li vez HTTP/1.1',
  'GET /livez?\x80 HTTP/1.1',
  'GET /livez HTTP/1.1 x',
  'GET /livez HTTP/1.1\rx',
  'GET /livez\x0bHTTP/1.1',
  'GET\t/livez HTTP/1.1',
  'get /livez HTTP/1.1',
  ' GET /livez HTTP/1.1',
  'XYZ /livez HTTP/1.1',
  'GET /livez',
  'GET /livez HTTP/0.9',
  'GET /livez HTTP/1.2',
  'GET /livez HTTP/2.0',
  'PRI * HTTP/2.0',
  'CONNECT x:80 HTTP/1.1',
  'CONNECT /livez HTTP/1.1',
];

const refused: Case[] = [
  [
    'a length and chunks, the length the longer',
    (hidden) => post(`content-length: ${5 + hidden.length}\r\n${chunked}`, `0\r\n\r\n${hidden}`),
  ],
  [
    'a length and chunks, the length the shorter',
    (hidden) =>
      post(`${chunked}\r\ncontent-length: 4`, `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`),
  ],
  [
    'chunks under HTTP/1.0',
    (hidden) => `POST /webhooks/plaid HTTP/1.0\r\n${chunked}\r\n\r\n0\r\n\r\n${hidden}`,
  ],
  ...encodings.map((one): Case => [shownAs(one), (hidden) => post(one, `0\r\n\r\n${hidden}`)]),
  ...lengths.map((one): Case => [shownAs(one), (hidden) => post(one, `{}${hidden}`)]),
  ...chunks.map((one): Case => [`a chunk of ${shownAs(one)}`, (hidden) => post(chunked, `${one}${hidden}`)]),
  ...fields.map((one): Case => [shownAs(one), (hidden) => `${get(one)}${hidden}`]),
  ...starts.map((one): Case => [shownAs(one), (hidden) => `${line(one)}${hidden}`]),
  ['a head of 17 KB', (hidden) => `${get(`host: x\r\na: ${'a'.repeat(17_000)}`)}${hidden}`],
  ['a path of 17 KB', (hidden) => `${line(`GET /${'a'.repeat(17_000)} HTTP/1.1`)}${hidden}`],
];

const bodyOf = (hidden: string): string => `content-length: ${hidden.length}\r\n\r\n${hidden}`;
const chunkOf = (hidden: string): string =>
  `${chunked}\r\n\r\n${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`;
/** Clear, and answered before its body has come, or without looking at it. */
const answeredOnce: [...Case, number][] = [
  ['a GET with a body', (hidden) => `GET /livez HTTP/1.1\r\nhost: x\r\n${bodyOf(hidden)}`, 200],
  ['a GET with a chunk', (hidden) => `GET /livez HTTP/1.1\r\nhost: x\r\n${chunkOf(hidden)}`, 200],
  ['a webhook with a body', (hidden) => post(`content-length: ${hidden.length}`, hidden), 200],
  [
    'a webhook with a chunk',
    (hidden) => `POST /webhooks/plaid HTTP/1.1\r\nhost: x\r\n${chunkOf(hidden)}`,
    200,
  ],
  [
    'a body of a stranger',
    (hidden) => `POST /v1/users/u/items HTTP/1.1\r\nhost: x\r\n${bodyOf(hidden)}`,
    401,
  ],
  [
    'a chunk of a stranger',
    (hidden) => `POST /v1/users/u/items HTTP/1.1\r\nhost: x\r\n${chunkOf(hidden)}`,
    401,
  ],
  ['a body for nobody', (hidden) => `POST /nothing HTTP/1.1\r\nhost: x\r\n${bodyOf(hidden)}`, 404],
  [
    'a body with a method that is not taken',
    (hidden) => `POST /livez HTTP/1.1\r\nhost: x\r\n${bodyOf(hidden)}`,
    405,
  ],
  [
    'an expectation of ours',
    (hidden) => `POST /v1/users/u/items HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n${bodyOf(hidden)}`,
    401,
  ],
  [
    'an expectation of its own',
    (hidden) => `POST /v1/users/u/items HTTP/1.1\r\nhost: x\r\nexpect: miracles\r\n${bodyOf(hidden)}`,
    401,
  ],
  [
    'a target in its whole form',
    (hidden) => `GET http://x/livez HTTP/1.1\r\nhost: X\r\n${bodyOf(hidden)}`,
    200,
  ],
  [
    'a target without its host',
    (hidden) => `GET http:///livez HTTP/1.1\r\nhost: x\r\n${bodyOf(hidden)}`,
    400,
  ],
  [
    'an extension of a chunk',
    (hidden) =>
      `GET /livez HTTP/1.1\r\nhost: x\r\n${chunked}\r\n\r\n${hidden.length.toString(16)};a=b\r\n${hidden}\r\n0\r\n\r\n`,
    200,
  ],
];

describe('a request', () => {
  it.each(refused)('that is not clear is refused, and the connection ends: %s', async (_name, make) => {
    const { id, text } = hide();
    const said = await send(make(text));
    expect(statusesIn(said).filter((status) => ![400, 431].includes(status))).toEqual([]);
    expect(statusesIn(said).length).toBeLessThanOrEqual(1);
    expect(run).not.toContain(id);
  });

  it.each(answeredOnce)('with something in its body is answered once: %s', async (_name, make, status) => {
    const { id, text } = hide();
    const said = await send(make(text));
    expect(statusesIn(said)).toEqual([status, 200]);
    expect(said).toContain('x-request-id: last');
    expect(run).not.toContain(id);
  });

  // The control: what is no body is a request, and is done.
  it('behind another on the same connection is answered after it', async () => {
    const { id, text } = hide();
    expect(statusesIn(await send(`${get('host: x')}${text}`))).toEqual([200, 200, 200]);
    expect(run).toContain(id);
  });

  it('for another protocol is answered in this one', async () => {
    for (const protocol of ['h2c', 'websocket']) {
      const said = await send(get(`host: x\r\nconnection: upgrade, close\r\nupgrade: ${protocol}`));
      expect([protocol, statusesIn(said)]).toEqual([protocol, [200]]);
    }
  });

  it('has no field that is passed over, however many there are', async () => {
    const said = await send(get(`host: x\r\n${'a:b\r\n'.repeat(2_500)}x-request-id: the-last-field`));
    expect(said).toContain('x-request-id: the-last-field');
  });

  it.each([
    ['is broken', 'no size\r\n'],
    ['never comes', ''],
  ])('that was answered before its body has no second answer when that %s', async (_name, body) => {
    const said = await new Promise<string>((resolve) => {
      let all = '';
      const socket = connect(portOf(hasty), '127.0.0.1', () =>
        socket.write(`POST /v1/users/u/items HTTP/1.1\r\nhost: x\r\n${chunked}\r\n\r\n`),
      );
      socket.on('data', (data) => {
        if (all === '') socket.write(body);
        all += data.toString();
      });
      socket.on('close', () => resolve(all));
      socket.on('error', () => undefined);
    });
    expect(statusesIn(said)).toEqual([401]);
  });

  it('that is being worked on is not answered by what comes behind it', async () => {
    let release = (): void => undefined;
    let asked = false;
    world.behave.status = () => {
      asked = true;
      return new Promise((resolve) => (release = () => resolve(null)));
    };
    const said = new Promise<string>((resolve) => {
      let all = '';
      const socket = connect(portOf(world), '127.0.0.1', () =>
        socket.write(
          `GET /v1/items/item-1/sync HTTP/1.1\r\nhost: x\r\nauthorization: ${world.keys.read.authorization}\r\n\r\n`,
        ),
      );
      socket.on('data', (data) => (all += data.toString()));
      socket.on('close', () => resolve(all));
      socket.on('error', () => undefined);
      void until(() => asked, 'the first is worked on').then(() => socket.write('no request\r\n\r\n'));
    });
    expect(statusesIn(await said)).toEqual([]);
    release();
  });

  it.each([
    ['nothing at all', ''],
    ['half a line', 'GET /li'],
    ['half a head', 'GET /livez HTTP/1.1\r\nhost: x\r\na: '],
    ['half a body', 'POST /webhooks/plaid HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{'],
    ['half a chunk', `POST /webhooks/plaid HTTP/1.1\r\nhost: x\r\n${chunked}\r\n\r\na\r\n{`],
    ['no last chunk', `POST /webhooks/plaid HTTP/1.1\r\nhost: x\r\n${chunked}\r\n\r\n2\r\n{}\r\n`],
  ])('of which no more comes is told 408, and the connection ends: %s', async (_name, bytes) => {
    expect(statusesIn(await send(bytes, portOf(hasty)))).toEqual([408]);
  });
});
