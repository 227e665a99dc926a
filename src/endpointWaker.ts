import { Failure } from '../domain/failures.js';
import type { DeliverySender, DueEndpoint } from '../domain/ports/deliveries.js';
import type { Gateway } from '../domain/ports/gateway.js';

export interface EndpointWakerOptions {
  sending: Pick<DeliverySender, 'dueEndpoints'>;
  gateway: Pick<Gateway, 'wakeEndpoint'>;
  onFailure: (error: unknown) => void;
  /** Between two questions to the database; default 300. */
  everyMs?: number;
}

export interface EndpointWaker {
  /** Resolves when the signal on its way has ended. */
  stop(): Promise<void>;
}

const endpointsAtOnce = 200;
/** One that has been woken and was not served since is woken once more after so long: its queue may be long. */
const patienceMs = 5_000;
/** After a failure of the database or of Temporal. */
const afterFailureMs = 3_000;

/**
 * Wakes the workflows of endpoints as soon as something is due there. Every worker process does: a workflow that is woken twice
 * sends nothing twice. What is missed is found by the sweep.
 */
export function startEndpointWaker(options: EndpointWakerOptions): EndpointWaker {
  const { sending, gateway, onFailure, everyMs = 300 } = options;
  /** Endpoints that were woken of late, as they were then. */
  let woken: (DueEndpoint & { at: number })[] = [];
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();

  /** Endpoints whose signal Temporal has not answered, the longest ago first. */
  const unanswered = new Map<string, DueEndpoint>();

  async function signal(endpoint: DueEndpoint): Promise<void> {
    const { endpointId } = endpoint;
    unanswered.delete(endpointId);
    try {
      await gateway.wakeEndpoint(endpointId);
    } catch (error) {
      if (!(error instanceof Failure) || error.type !== 'ORCHESTRATOR_REFUSED') {
        unanswered.set(endpointId, endpoint);
        // With Temporal away each further call waits for its deadline.
        throw error;
      }
      onFailure(error);
    }
    woken.push({ ...endpoint, at: performance.now() });
  }

  async function wake(): Promise<void> {
    const at = performance.now();
    woken = woken.filter((endpoint) => at - endpoint.at < patienceMs);
    const due = await sending.dueEndpoints(endpointsAtOnce, [...woken, ...unanswered.values()]);
    // Behind all others: where Temporal answers for these, each that it does not answer for would keep them waiting.
    for (const endpoint of [...due, ...unanswered.values()]) {
      // Each of them may take a slow Temporal seconds, and who waits for the end has half a minute.
      if (stopped) return;
      await signal(endpoint);
    }
  }

  function next(ms: number): void {
    if (stopped) return;
    timer = setTimeout(() => {
      round = wake().then(
        () => next(everyMs),
        (error: unknown) => {
          onFailure(error);
          next(afterFailureMs);
        },
      );
    }, ms);
  }
  next(0);

  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await round;
    },
  };
}
