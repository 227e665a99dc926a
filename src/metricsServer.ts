import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';

export interface MetricsServerOptions {
  host: string;
  port: number;
  metrics: () => Promise<{ contentType: string; body: string }>;
  /** Whether the process can do its work, and which of its dependencies answer. */
  readiness: () => Promise<{ ready: boolean; dependencies: object }>;
}

/**
 * A port away from clients: `/metrics` for Prometheus, `/livez` (200 as long as the process answers at all) and `/readyz` (200
 * or 503, naming each dependency). Resolves when it listens; rejects when the port is taken.
 */
export async function serveMetrics(options: MetricsServerOptions): Promise<Server> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return server;
}

async function answer(
  { metrics, readiness }: MetricsServerOptions,
  { url = '', method = '' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const json = (status: number, body: unknown): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  switch (url.split('?')[0]) {
    case '/livez':
      json(200, { status: 'up' });
      return;
    case '/readyz': {
      const { ready, dependencies } = await readiness();
      json(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready', dependencies });
      return;
    }
    case '/metrics': {
      const { contentType, body } = await metrics();
      response.writeHead(200, { 'content-type': contentType }).end(body);
      return;
    }
    default:
      response.writeHead(404).end();
  }
}
