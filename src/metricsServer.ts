import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { Registry } from 'prom-client';

/** Metrics on a port of their own, away from clients; `/livez` answers as long as the process does. */
export function serveMetrics(registry: Registry, host: string, port: number): Server {
  const server = createServer((request, response) => {
    if (request.url === '/livez') {
      response.setHeader('content-type', 'application/json').end('{"status":"up"}');
      return;
    }
    registry.metrics().then(
      (body) => response.setHeader('content-type', registry.contentType).end(body),
      () => response.writeHead(500).end(),
    );
  });
  return server.listen(port, host);
}
