import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Whether its id has come before. */
  readonly repeat: boolean;
}

/**
 * What a client's backend does with events: it checks the signature of Standard Webhooks, keeps what came, answers. Shows the latest
 * at `GET /events`.
 */
export interface EventReceiver {
  readonly url: string;
  /** Events that were taken, in the order of their arrival, with every repeat. */
  readonly received: readonly ReceivedEvent[];
  /**
   * What a request with a good signature is answered with, and after what; what is no 2xx takes nothing. `hang`: nothing; `reset`: the
   * connection breaks.
   */
  answer: { status: number | 'hang' | 'reset'; headers?: Record<string, string>; after?: Promise<unknown> };
  /** So many of the next events are answered as taken, and forgotten: to see that somebody notices. */
  swallow: number;
  /** Requests that were answered otherwise than with a 2xx, or not at all. */
  refusals(): number;
  /** Requests that no secret of ours had signed, once there was one. */
  forged(): number;
  /** Secrets (`whsec_…`), each of which will do from now on. Without one it takes nothing. */
  trust(...secrets: string[]): void;
  close(): Promise<void>;
}

export interface EventReceiverOptions {
  /** Default: one that is free. */
  readonly port?: number;
  readonly onEvent?: (event: ReceivedEvent) => void;
}

/** So many are shown. */
const shown = 500;
const largestBytes = 1_000_000;

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > largestBytes) throw new Error('too large');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Whether one of the signatures is the one by `secret`. */
function isSigned(request: IncomingMessage, body: string, secret: string): boolean {
  const header = (name: string): string => String(request.headers[name] ?? '');
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const content = `${header('webhook-id')}.${header('webhook-timestamp')}.${body}`;
  const expected = Buffer.from(`v1,${createHmac('sha256', key).update(content).digest('base64')}`);
  return header('webhook-signature')
    .split(' ')
    .map((signature) => Buffer.from(signature))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected));
}

/** Starts a receiver on the loopback address. */
export async function startEventReceiver({
  port = 0,
  onEvent,
}: EventReceiverOptions = {}): Promise<EventReceiver> {
  const received: ReceivedEvent[] = [];
  const known = new Set<string>();
  let secrets: readonly string[] = [];
  let refusals = 0;
  let forged = 0;

  function take(request: IncomingMessage, response: ServerResponse, body: string): void {
    const end = (status: number, headers: Record<string, string> = {}): void => {
      if (status >= 300) refusals += 1;
      response.writeHead(status, headers).end();
    };
    if (secrets.length === 0) return end(503);
    if (!secrets.some((secret) => isSigned(request, body, secret))) {
      forged += 1;
      return end(401);
    }
    const { status, headers, after } = receiver.answer;
    if (status === 'hang' || status === 'reset') {
      refusals += 1;
      if (status === 'reset') request.socket.resetAndDestroy();
      return;
    }
    if (status < 300 && receiver.swallow > 0) receiver.swallow -= 1;
    else if (status < 300) {
      const { id, type, subject, data } = JSON.parse(body) as Omit<ReceivedEvent, 'repeat'>;
      const event = { id, type, subject, data, repeat: known.has(id) };
      known.add(id);
      received.push(event);
      onEvent?.(event);
    }
    if (after === undefined) return end(status, headers);
    void after.then(() => end(status, headers));
  }

  const server = createServer((request, response) => {
    if (request.method === 'GET') {
      const events = received.slice(-shown);
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ events }));
    }
    bodyOf(request).then(
      (body) => take(request, response, body),
      () => request.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const receiver: EventReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    received,
    answer: { status: 204 },
    swallow: 0,
    refusals: () => refusals,
    forged: () => forged,
    trust: (...given) => void (secrets = given),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
}
