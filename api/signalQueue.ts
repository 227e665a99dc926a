import { setTimeout as sleep } from 'node:timers/promises';
import type { Gateway } from '../domain/ports/gateway.js';
import type { AcquiredSignal, WebhookStore } from '../domain/ports/webhooks.js';
import { Failure } from '../domain/failures.js';
import type { WebhookKind } from '../domain/webhooks/webhookKind.js';
import { within } from './deadline.js';
import type { ApiMetrics } from './metrics.js';

export interface SignalQueueDeps {
  webhooks: Pick<WebhookStore, 'acquireSignal' | 'releaseSignal'>;
  gateway: Pick<Gateway, 'signalItem'>;
  metrics: Pick<ApiMetrics, 'signal'>;
  /** Called for each signal that could not be sent; the webhook itself is safe in the database. */
  onFailure: (error: unknown) => void;
}

export interface SignalQueueLimits {
  /** Items that may wait, each once for a kind. One more is left to `sweep`. */
  capacity: number;
  /** Signals on their way at the same time. */
  concurrency: number;
  /** For one signal, in milliseconds: with Temporal down a call would hang for 20 s. */
  deadlineMs: number;
}

export interface OfferedWebhook {
  webhookId: string;
  itemId: string;
  kind: WebhookKind;
}

export interface SignalQueue {
  /**
   * Takes a stored webhook whose Item may have to be signalled. Never waits, never throws. Of those of one Item and kind that wait
   * only the newest is kept: it is acquired after all of them were committed, so it stands for them all.
   */
  offer(webhook: OfferedWebhook): void;
  waiting(): number;
  /** Takes nothing more and waits for what is on its way, for about `ms` at most. What is left stays for `sweep`. */
  drain(ms: number): Promise<void>;
}

/**
 * Sends the signals of stored webhooks behind the answers to Plaid. Losing one is harmless: a webhook that was never
 * acquired, or was released, is found by `sweep`.
 */
export function createSignalQueue(deps: SignalQueueDeps, limits: SignalQueueLimits): SignalQueue {
  /** By Item and kind, in the order in which they came. */
  const queue = new Map<string, string>();
  const running = new Set<Promise<void>>();
  let closed = false;

  async function send(webhookId: string): Promise<void> {
    const { webhooks, gateway, metrics, onFailure } = deps;
    let acquired: AcquiredSignal | null = null;
    try {
      acquired = await webhooks.acquireSignal(webhookId);
      if (acquired === null) return metrics.signal({ result: 'not_needed' });
      const { itemId, userId, kind } = acquired;
      await within(
        gateway.signalItem(itemId, userId, { kind: 'webhookReceived', webhook: kind }, limits.deadlineMs),
        limits.deadlineMs + 250,
        () => new Failure('ORCHESTRATOR_DOWN', 'the signal took too long'),
      );
      metrics.signal({ result: 'delivered' });
    } catch (error) {
      metrics.signal({ result: 'failed' });
      onFailure(error);
      // Fails only when the database is down as well; then the time of the signal ages and `sweep` finds the webhook all the same.
      if (acquired !== null) await webhooks.releaseSignal(acquired.webhookId).catch(onFailure);
    }
  }

  function next(): void {
    while (running.size < limits.concurrency) {
      const [first] = queue;
      if (first === undefined) return;
      const [key, webhookId] = first;
      queue.delete(key);
      const work = send(webhookId).finally(() => {
        running.delete(work);
        next();
      });
      running.add(work);
    }
  }

  return {
    offer({ webhookId, itemId, kind }) {
      const key = `${kind}/${itemId}`;
      if (closed || (queue.size >= limits.capacity && !queue.has(key))) {
        return deps.metrics.signal({ result: 'overflow' });
      }
      queue.set(key, webhookId);
      next();
    },
    waiting: () => queue.size + running.size,
    async drain(ms) {
      closed = true;
      const cut = new AbortController();
      const idle = async (): Promise<void> => {
        while (running.size > 0) await Promise.race(running);
      };
      await Promise.race([idle(), sleep(ms, undefined, { signal: cut.signal }).catch(() => undefined)]);
      cut.abort();
      // Nothing was acquired for these. What still runs ends within its own deadline and releases what it acquired.
      queue.clear();
      await Promise.race([
        Promise.allSettled(running),
        sleep(limits.deadlineMs + 500, undefined, { ref: false }),
      ]);
    },
  };
}
