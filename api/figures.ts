import type { Figures, FiguresStore } from '../domain/ports/figures.js';
import { within } from './deadline.js';
import type { MetricsRegistry } from './metrics.js';

/** Scrapes within this time share one read of the database, however many ask. */
const freshMs = 5_000;
const patienceMs = 3_000;

type Sample = { labels: Record<string, string>; value: number };

/** The figures that stand in the database, as gauges. While it does not answer they are absent, which is what it means. */
export function registerFigures(registry: MetricsRegistry, store: FiguresStore, elapsed: () => number): void {
  let latest: { at: number; figures: Promise<Figures | null> } | null = null;
  const read = (): Promise<Figures | null> => {
    if (latest === null || elapsed() - latest.at > freshMs) {
      const figures = within(store.read(), patienceMs, () => new Error('late')).catch(() => null);
      latest = { at: elapsed(), figures };
    }
    return latest.figures;
  };
  const gauge = (
    name: string,
    help: string,
    labels: readonly string[],
    of: (figures: Figures) => Sample[],
  ): void =>
    registry.gauges(name, help, labels, async () => {
      const figures = await read();
      return figures === null ? [] : of(figures);
    });
  const single = (value: number): Sample[] => [{ labels: {}, value }];

  gauge('sluice_items', 'Items by status and history', ['status', 'history'], ({ items }) =>
    items.map(({ status, history, count }) => ({ labels: { status, history }, value: count })),
  );
  gauge('sluice_items_overdue', 'Living Items whose update is more than 15 minutes late', [], (figures) =>
    single(figures.overdueItems),
  );
  gauge('sluice_outbox_unsent_items', 'Items with changes that the streams lack', [], (figures) =>
    single(figures.unsentItems),
  );
  gauge(
    'sluice_outbox_oldest_unsent_seconds',
    'Age of the oldest change that a stream lacks',
    [],
    (figures) => single(figures.oldestUnsentSeconds),
  );
  gauge('sluice_webhooks_pending', 'Accepted webhooks without an outcome', [], (figures) =>
    single(figures.pendingWebhooks),
  );
  gauge(
    'sluice_webhooks_oldest_pending_seconds',
    'Age of the oldest accepted webhook without an outcome',
    [],
    (figures) => single(figures.oldestPendingWebhookSeconds),
  );
  gauge('sluice_endpoints', 'Endpoints by state', ['state'], ({ endpoints }) =>
    endpoints.map(({ state, count }) => ({ labels: { state }, value: count })),
  );
  gauge('sluice_deliveries_pending', 'Deliveries that wait for endpoints that are sent to', [], (figures) =>
    single(figures.pendingDeliveries),
  );
  gauge(
    'sluice_deliveries_oldest_due_seconds',
    'How late the latest delivery is that could be sent',
    [],
    (figures) => single(figures.oldestDueDeliverySeconds),
  );
  gauge('sluice_alerts', 'Alert rows by kind', ['kind'], ({ alerts }) =>
    alerts.map(({ kind, count }) => ({ labels: { kind }, value: count })),
  );
}
