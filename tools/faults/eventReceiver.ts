import { startEventReceiver } from '../local/eventReceiver.js';
import type { EventReceiver } from '../local/eventReceiver.js';
import type { System } from './system.js';

export interface ReceivingEndpoint extends EventReceiver {
  readonly endpointId: string;
  readonly secret: string;
}

/** What all of them answer from now on. */
export function answerWith(
  receivers: readonly ReceivingEndpoint[],
  status: EventReceiver['answer']['status'],
): void {
  for (const { answer } of receivers) answer.status = status;
}

/** An endpoint of the application `default` that listens in this process. `body`: fields of the endpoint besides its URL. */
export async function receiveEvents(
  system: System,
  body: Record<string, unknown> = {},
): Promise<ReceivingEndpoint> {
  const receiver = await startEventReceiver();
  const made = await system.api('POST', '/v1/endpoints', { url: receiver.url, ...body });
  if (made.status !== 201) throw new Error(`no endpoint: ${JSON.stringify(made.body)}`);
  const secret = String(made.body['secret']);
  receiver.trust(secret);
  return Object.assign(receiver, { endpointId: String(made.body['endpoint_id']), secret });
}
