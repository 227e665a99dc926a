import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { System } from './system.js';

export interface EventReceiver {
  endpointId: string;
  /** Events in the order of their arrival, with every repeat. */
  received: { id: string; type: string; subject: string }[];
  /** What it answers; 204 by default. `hang`: nothing; `reset`: the connection breaks. */
  answer: { status: number | 'hang' | 'reset' };
  /** So many of the next events are answered as taken, and forgotten: to see that it is noticed. */
  swallow: number;
  /** Requests whose signature was not good. */
  forged: number;
  close(): void;
}

/** An endpoint of the application `default` that listens in this process and checks each signature. */
export async function receiveEvents(system: System, types: string[] = []): Promise<EventReceiver> {
  let secret = '';
  const receiver: Omit<EventReceiver, 'endpointId' | 'close'> = {
    received: [],
    answer: { status: 204 },
    forged: 0,
    swallow: 0,
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = request.headers;
      const good = createHmac('sha256', Buffer.from(secret.replace('whsec_', ''), 'base64'))
        .update(`${String(id)}.${String(time)}.${body}`)
        .digest('base64');
      if (!String(signature).split(' ').includes(`v1,${good}`)) receiver.forged += 1;
      const { status } = receiver.answer;
      if (status === 'hang') return;
      if (status === 'reset') return void request.socket.resetAndDestroy();
      const event = JSON.parse(body) as { id: string; type: string; subject: string };
      if (status < 300 && receiver.swallow > 0) receiver.swallow -= 1;
      else if (status < 300) {
        receiver.received.push({ id: event.id, type: event.type, subject: event.subject });
      }
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const made = await system.api('POST', '/v1/endpoints', { url: `http://127.0.0.1:${port}/hooks`, types });
  if (made.status !== 201) throw new Error(`no endpoint: ${JSON.stringify(made.body)}`);
  secret = String(made.body['secret']);
  return Object.assign(receiver, {
    endpointId: String(made.body['endpoint_id']),
    close() {
      server.close();
      server.closeAllConnections();
    },
  });
}
