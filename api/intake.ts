import type { IncomingHttpHeaders } from 'node:http';
import type { AlertStore } from '../domain/ports/alerts.js';
import type { LookupLane, WebhookVerifier } from '../domain/ports/webhookKeys.js';
import type { NewWebhook, WebhookStore } from '../domain/ports/webhooks.js';
import { Failure } from '../domain/failures.js';
import { readWebhook } from '../domain/webhooks/webhook.js';
import { within } from './deadline.js';
import type { ApiMetrics } from './metrics.js';
import type { SignalQueue } from './signalQueue.js';

export interface IntakeDeps {
  verifier: WebhookVerifier;
  webhooks: Pick<WebhookStore, 'store' | 'storeRejected'>;
  signals: Pick<SignalQueue, 'offer'>;
  alerts: Pick<AlertStore, 'raise'>;
  metrics: Pick<ApiMetrics, 'webhook' | 'keyRefused'>;
  /** A rejected webhook could not be kept, or an alert not be raised. */
  onFailure: (error: unknown) => void;
  /** Milliseconds, by a clock that takes no step. */
  elapsed: () => number;
}

export interface IntakeLimits {
  /** For the verification and for the commit, each, in milliseconds; Plaid waits 10 s for both. */
  stepMs: number;
  /** Rejected webhooks kept in a second. */
  rejectedPerSecond: number;
}

export type IntakeAnswer =
  | { kind: 'stored'; webhookId: string }
  | { kind: 'rejected' }
  /** The key could not be looked up. */
  | { kind: 'undecided'; retryAfterMs: number | null };

export interface Intake {
  /**
   * Verifies the bytes before anything reads them, then stores and commits. Rejects when the commit is not certain: Plaid
   * delivers again. The signal follows in the background. `address` is that of the client.
   */
  receive(headers: IncomingHttpHeaders, body: Uint8Array, address: string): Promise<IntakeAnswer>;
  /** Resolves when no rejected webhook and no alert is on its way to the database any more. */
  settled(): Promise<void>;
}

const bodyKept = 4_096;
const headerKept = 2_048;
/** The alert is one row: it need not be written more often, however many are refused. */
const alertEveryMs = 60_000;

/** Headers that prove who a caller is to somebody else: they are not ours to keep. */
const secretHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
]);
/** All that is kept of a stranger's request. */
const diagnosticHeaders: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'plaid-verification',
  'user-agent',
  'x-forwarded-for',
]);

function headersOf(headers: IncomingHttpHeaders, keep: (name: string) => boolean): Record<string, string> {
  const kept = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined || !keep(name)
      ? []
      : [[name, (Array.isArray(value) ? value.join(', ') : value).slice(0, headerKept)]],
  );
  return Object.fromEntries(kept);
}

export function createIntake(deps: IntakeDeps, limits: IntakeLimits): Intake {
  const keeping = new Set<Promise<void>>();
  let second = 0;
  let keptInSecond = 0;
  const alertedUntil: Record<LookupLane, number> = {
    senders: Number.NEGATIVE_INFINITY,
    strangers: Number.NEGATIVE_INFINITY,
  };

  /** Off the request's path. */
  function inBackground(work: Promise<void>): void {
    const kept = work.catch(deps.onFailure).finally(() => keeping.delete(kept));
    keeping.add(kept);
  }

  function reportRefusal(lane: LookupLane, retryAfterMs: number): void {
    deps.metrics.keyRefused({ lane });
    if (deps.elapsed() < alertedUntil[lane]) return;
    alertedUntil[lane] = deps.elapsed() + alertEveryMs;
    inBackground(
      deps.alerts.raise({
        kind: 'webhook_keys_busy',
        key: lane,
        item_id: null,
        detail: { lane, retry_after_ms: retryAfterMs },
      }),
    );
  }

  /** Off the request's path, and few: a flood of forgeries must cost the database nothing. */
  function keepRejected(headers: IncomingHttpHeaders, body: Uint8Array, reason: string): void {
    const current = Math.floor(deps.elapsed() / 1000);
    if (current !== second) {
      second = current;
      keptInSecond = 0;
    }
    if (keptInSecond >= limits.rejectedPerSecond || keeping.size >= limits.rejectedPerSecond) return;
    keptInSecond += 1;
    const webhook: NewWebhook = {
      source: 'plaid',
      verdict: 'rejected',
      // Copied: a slice would hold the whole body in memory.
      body: Uint8Array.from(body.subarray(0, bodyKept)),
      headers: headersOf(headers, (name) => diagnosticHeaders.has(name)),
      // The body of a stranger is never parsed.
      webhook_type: null,
      webhook_code: null,
      item_id: null,
      kind: null,
      removed_ids: [],
      reason,
    };
    inBackground(deps.webhooks.storeRejected(webhook));
  }

  async function verdictOf(headers: IncomingHttpHeaders, body: Uint8Array, address: string) {
    const header = headers['plaid-verification'];
    return within(
      deps.verifier.verify(Array.isArray(header) ? header.join(', ') : header, body, address),
      limits.stepMs,
      () => new Failure('UPSTREAM_DOWN', 'the verification took too long'),
    );
  }

  async function receive(
    headers: IncomingHttpHeaders,
    body: Uint8Array,
    address: string,
  ): Promise<IntakeAnswer> {
    const verdict = await verdictOf(headers, body, address);
    if (verdict.kind === 'rejected') {
      deps.metrics.webhook({ verdict: 'rejected', outcome: 'refused' });
      keepRejected(headers, body, verdict.reason);
      return { kind: 'rejected' };
    }
    if (verdict.kind === 'undecided') {
      deps.metrics.webhook({ verdict: 'undecided', outcome: 'retry' });
      return verdict;
    }
    if (verdict.kind === 'no_budget') {
      deps.metrics.webhook({ verdict: 'undecided', outcome: 'retry' });
      reportRefusal(verdict.lane, verdict.retryAfterMs);
      return { kind: 'undecided', retryAfterMs: verdict.retryAfterMs };
    }
    const read = readWebhook(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
    const { webhookId } = await within(
      deps.webhooks.store({
        source: 'plaid',
        verdict: 'accepted',
        body,
        headers: headersOf(headers, (name) => !secretHeaders.has(name)),
        webhook_type: read.webhook_type,
        webhook_code: read.webhook_code,
        item_id: read.item_id,
        kind: read.kind,
        removed_ids: read.removed_ids,
        reason: read.ignored,
      }),
      limits.stepMs,
      () => new Failure('UPSTREAM_DOWN', 'the commit took too long'),
    );
    deps.metrics.webhook({ verdict: 'accepted', outcome: 'stored' });
    if (read.item_id !== null) deps.verifier.delivered(address, read.item_id);
    if (read.kind !== null && read.item_id !== null) {
      deps.signals.offer({ webhookId, itemId: read.item_id, kind: read.kind });
    }
    return { kind: 'stored', webhookId };
  }

  return {
    async receive(headers, body, address) {
      try {
        return await receive(headers, body, address);
      } catch (error) {
        deps.metrics.webhook({ verdict: 'unknown', outcome: 'failed' });
        throw error;
      }
    },
    async settled() {
      while (keeping.size > 0) await Promise.allSettled(keeping);
    },
  };
}
