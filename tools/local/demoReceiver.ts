import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a client's backend does with events: it checks the signature of Standard Webhooks, keeps each id once, answers. */
export interface Receiver {
  readonly url: string;
  /** Types of the events that were taken, in order; repeats are not taken again. */
  readonly taken: readonly string[];
  /** How often it was asked while it was broken. */
  readonly refused: () => number;
  /** Without one it takes nothing. */
  trust(secret: string): void;
  breakDown(broken: boolean): void;
  close(): Promise<void>;
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
};

/** Whether one of the signatures is the one by `secret` (`whsec_…`). */
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

/** Starts a receiver on a free port of the loopback address. */
export async function startReceiver(): Promise<Receiver> {
  const taken: string[] = [];
  const known = new Set<string>();
  let secret: string | null = null;
  let broken = false;
  let refused = 0;
  const server = createServer((request, response) => {
    bodyOf(request).then(
      (body) => {
        if (broken) {
          refused += 1;
          return void response.writeHead(500).end();
        }
        if (secret === null || !isSigned(request, body, secret)) return void response.writeHead(401).end();
        const event = JSON.parse(body) as { id: string; type: string };
        if (!known.has(event.id)) taken.push(event.type);
        known.add(event.id);
        response.writeHead(204).end();
      },
      () => request.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    taken,
    refused: () => refused,
    trust: (given) => void (secret = given),
    breakDown: (now) => void (broken = now),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
