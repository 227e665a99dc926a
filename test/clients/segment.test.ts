import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSegment } from '../../src/clients/segment.js';
import { caught } from './caught.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function segmentOf(answer: RequestListener) {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume().once('end', () => answer(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const segment = createSegment({ writeKey: 'key', host: `http://127.0.0.1:${port}` });
  closing.push(() => {
    server.closeAllConnections();
    server.close();
    return segment.close();
  });
  const track = () =>
    segment.track({
      messageId: 'item-1:errored:1',
      userId: 'user-1',
      event: 'item errored',
      properties: { item_id: 'item-1', institution_id: null, error_type: null, error_code: null },
      timestamp: '2026-11-28T12:00:00.000Z',
    });
  return { track, asked };
}

it('an event is taken where Segment says so', async () => {
  const { track, asked } = await segmentOf((_request, response) => response.end('{"success":true}'));
  await track();
  expect(asked).toEqual(['POST /v1/batch']);
});

it.each([301, 302, 303, 307, 308])(
  'a redirect (%i) is not followed: nothing took the event there',
  async (status) => {
    const { track, asked } = await segmentOf(({ url }, response) => {
      if (url === '/v1/batch') response.writeHead(status, { location: '/welcome' });
      response.end('Welcome');
    });
    expect(await caught(track())).toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(asked).toEqual(['POST /v1/batch']);
  },
);

it.each(['{"success":false,"message":"no"}', '{\n  "success": false\n}'])(
  'what says that it is none is none, with the status of one: %j',
  async (said) => {
    const { track } = await segmentOf((_request, response) => response.end(said));
    expect(await caught(track())).toMatchObject({ type: 'UPSTREAM_DOWN' });
  },
);

it.each(['', 'OK', '{"success":true}', '<html></html>', 'x'.repeat(3_000_000)])(
  'what says nothing of that is one (%#)',
  async (said) => {
    const { track } = await segmentOf((_request, response) => response.end(said));
    await track();
    await track();
  },
);

it('an answer that breaks off is none', async () => {
  const { track } = await segmentOf((_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{"succ');
    setImmediate(() => response.socket?.destroy());
  });
  expect(await caught(track())).toMatchObject({ type: 'UPSTREAM_DOWN' });
});

it('what is neither a redirect nor a success is none', async () => {
  const { track } = await segmentOf((_request, response) => response.writeHead(304).end());
  expect(await caught(track())).toMatchObject({ type: 'UPSTREAM_DOWN' });
});

it('a pause that Segment asks for is told at once, and nobody sends the event behind its back', async () => {
  const { track, asked } = await segmentOf((_request, response) =>
    response.writeHead(429, { 'retry-after': '1' }).end(),
  );
  expect(await caught(track())).toMatchObject({ type: 'UPSTREAM_DOWN' });
  expect(asked).toHaveLength(1);
  expect(await caught(track())).toMatchObject({ type: 'UPSTREAM_DOWN' });
  expect(asked).toHaveLength(2);
});
