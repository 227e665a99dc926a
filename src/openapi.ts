import { readFileSync, writeFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { buildApp } from '../api/app.js';
import type { ApiDeps } from '../api/deps.js';
import { promMetrics } from '../api/promMetrics.js';
import { createLogger } from './logger.js';

/** Writes `docs/openapi.json`: what `/openapi.json` of a server answers. Routes are described, and none is called. */
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
writeFileSync(new URL('docs/openapi.json', root), `${JSON.stringify(app.swagger(), null, 2)}\n`);
await app.close();
