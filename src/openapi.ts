import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { buildApp } from '../api/app.js';
import type { ApiDeps } from '../api/deps.js';
import { promMetrics } from '../api/promMetrics.js';
import { eventSchema } from '../api/schemas/events.js';
import { eventTypes } from '../domain/exchange/event.js';
import { createLogger } from './logger.js';

/**
 * Writes `docs/openapi.json`, what `/openapi.json` of a server answers, and `schemas/exchange/`, the schemas of `/v1/event-types`. Routes
 * are described, and none is called.
 */
const root = new URL('../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { version: string };
const needed: Partial<ApiDeps> = {
  logger: createLogger('openapi', 'silent'),
  metrics: promMetrics(new Registry()),
  serveMetrics: true,
  version,
};
const app = buildApp(needed as ApiDeps);
await app.ready();
const write = (path: string, document: object): void =>
  writeFileSync(new URL(path, root), `${JSON.stringify(document, null, 2)}\n`);
write('docs/openapi.json', app.swagger());
mkdirSync(new URL('schemas/exchange/', root), { recursive: true });
for (const type of eventTypes) write(`schemas/exchange/${type}.json`, eventSchema(type));
await app.close();
