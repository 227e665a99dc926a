import type { LookupLane } from '../domain/ports/webhookKeys.js';

/** What the API asks of a metrics library: the entry point lends one. Labels are bounded: patterns, codes, never ids. */
export interface MetricsRegistry {
  counter(name: string, help: string, labels: readonly string[]): (values: Record<string, string>) => void;
  /** Observations are in seconds. */
  histogram(
    name: string,
    help: string,
    labels: readonly string[],
    buckets: readonly number[],
  ): (values: Record<string, string>, seconds: number) => void;
  /** `read` is asked at each scrape. */
  gauge(name: string, help: string, read: () => number): void;
  /** `read` is asked at each scrape; labels that it does not name any more are forgotten. */
  gauges(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Promise<{ labels: Record<string, string>; value: number }[]>,
  ): void;
  /** The text that Prometheus scrapes, and its content type. */
  text(): Promise<{ contentType: string; body: string }>;
}

export type WebhookMetricOutcome = 'stored' | 'refused' | 'retry' | 'failed';
export type SignalResult = 'delivered' | 'not_needed' | 'failed' | 'overflow';

export interface ApiMetrics {
  request(values: { method: string; route: string; status: string }, seconds: number): void;
  webhook(values: { verdict: string; outcome: WebhookMetricOutcome }): void;
  signal(values: { result: SignalResult }): void;
  /** A webhook was refused since its key could not be looked up for want of budget. */
  keyRefused(values: { lane: LookupLane }): void;
}

export function apiMetrics(registry: MetricsRegistry, waitingSignals: () => number): ApiMetrics {
  registry.gauge(
    'sluice_api_signals_waiting',
    'Stored webhooks whose signal waits in this process',
    waitingSignals,
  );
  return {
    request: registry.histogram(
      'sluice_api_request_seconds',
      'Time from the arrival of a request to the end of its answer',
      ['method', 'route', 'status'],
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    ),
    webhook: registry.counter('sluice_api_webhooks_total', 'Webhooks received from Plaid', [
      'verdict',
      'outcome',
    ]),
    signal: registry.counter('sluice_api_signals_total', 'Signals for stored webhooks', ['result']),
    keyRefused: registry.counter(
      'sluice_api_webhook_keys_refused_total',
      'Webhooks refused because too many unknown keys were asked for',
      ['lane'],
    ),
  };
}
