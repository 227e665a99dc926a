import type { DeliverySender } from '../domain/ports/deliveries.js';
import type { Gateway } from '../domain/ports/gateway.js';

export interface EndpointWakerOptions {
  sending: Pick<DeliverySender, 'dueEndpoints'>;
  gateway: Pick<Gateway, 'wakeEndpoint'>;
  onFailure: (error: unknown) => void;
  /** Between two questions to the database; default 300. */
  everyMs?: number;
}

export interface EndpointWaker {
  /** Resolves when the round on its way has ended. */
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
  /** By endpoint: when it was woken, and what it had been served by then. */
  let woken = new Map<string, { at: number; servedAt: string | null }>();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();

  async function wake(): Promise<void> {
    const due = await sending.dueEndpoints(endpointsAtOnce);
    const now = performance.now();
    const before = woken;
    woken = new Map();
    for (const { endpointId, servedAt } of due) {
      const last = before.get(endpointId);
      if (last !== undefined && last.servedAt === servedAt && now - last.at < patienceMs) {
        woken.set(endpointId, last);
        continue;
      }
      await gateway.wakeEndpoint(endpointId);
      woken.set(endpointId, { at: now, servedAt });
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
