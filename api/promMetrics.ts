import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { MetricsRegistry } from './metrics.js';

/** prom-client's registry as the API asks for it. */
export function promMetrics(registry: Registry): MetricsRegistry {
  const registers = [registry];
  return {
    counter(name, help, labels) {
      const counter = new Counter({ name, help, labelNames: [...labels], registers });
      return (values) => counter.inc(values);
    },
    histogram(name, help, labels, buckets) {
      const histogram = new Histogram({
        name,
        help,
        labelNames: [...labels],
        buckets: [...buckets],
        registers,
      });
      return (values, seconds) => histogram.observe(values, seconds);
    },
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    gauges(name, help, labels, read) {
      new Gauge({
        name,
        help,
        labelNames: [...labels],
        registers,
        async collect() {
          const samples = await read();
          this.reset();
          // A gauge without labels shows 0 after a reset, which would be taken for a figure.
          if (labels.length === 0 && samples.length === 0) this.remove();
          for (const { labels: values, value } of samples) this.set(values, value);
        },
      });
    },
    async text() {
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
