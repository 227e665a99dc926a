import path from 'node:path';
import { readJsonFile, writeFileAtomic } from './atomicFile.js';
import type { StackFile } from './deployment.js';
import { startEventReceiver, type EventReceiver } from './eventReceiver.js';
import { HttpProblem, requestJson } from './httpJson.js';
import { say } from './progress.mjs';

interface Kept {
  readonly endpoint_id: string;
  readonly secret: string;
}

/**
 * A receiver beside the local stack, and the endpoint of the application `default` that leads to it: what happens is said and shown
 * at its URL. The endpoint is kept in `<dataDir>/endpoint.json` (mode 0600), and led here again at each start.
 */
export async function receiveEventsHere(
  stack: StackFile,
  dataDir: string,
  signal: AbortSignal,
): Promise<EventReceiver> {
  const receiver = await startEventReceiver({
    port: Number(new URL(stack.event_receiver_url).port),
    onEvent: ({ type, subject, repeat }) => {
      if (!repeat) say(`event ${type} about ${subject}`);
    },
  });
  try {
    const ask = (method: 'POST' | 'PATCH', route: string, body: object): Promise<unknown> =>
      requestJson(method, `${stack.api_url}/v1/endpoints${route}`, {
        headers: { authorization: `Bearer ${stack.admin_api_key}` },
        body,
        signal,
      });
    const file = path.join(dataDir, 'endpoint.json');
    const kept = readJsonFile(file) as Kept | undefined;
    // Before it is led here again, what has waited may come at once.
    if (kept) receiver.trust(kept.secret);
    const isThere =
      kept !== undefined &&
      (await ask('PATCH', `/${kept.endpoint_id}`, { url: receiver.url, state: 'enabled' }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof HttpProblem && error.status === 404) return false;
          throw error;
        },
      ));
    if (!isThere) {
      const { endpoint_id, secret } = (await ask('POST', '', { url: receiver.url })) as Kept;
      receiver.trust(secret);
      writeFileAtomic(file, JSON.stringify({ endpoint_id, secret }, null, 2), 0o600);
    }
    return receiver;
  } catch (error) {
    await receiver.close();
    throw error;
  }
}
