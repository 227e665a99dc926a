import { readFileSync } from 'node:fs';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { buildApp } from '../api/app.js';
import { loggedError } from '../api/errors.js';
import { promMetrics } from '../api/promMetrics.js';
import { createReadiness } from '../api/readiness.js';
import { createStores } from '../drizzle/index.js';
import { createPlaid } from './clients/plaid.js';
import { createWebhookVerifier, publishedSenders } from './clients/plaidWebhook.js';
import { forRequests, openDatabase } from './clients/postgres.js';
import { createSecretBox } from './clients/secrets.js';
import {
  ConfigError,
  isPlaidProduction,
  loadConfig,
  plaidBaseUrl,
  plaidOptions,
  plaidWebhookUrl,
  temporalOptions,
} from './config.js';
import { openKeys } from './keys.js';
import { readLogo } from './portalLogo.js';
import { grantByDefault } from '../domain/exchange/connection.js';
import { defaultPolicy } from '../domain/item/policy.js';
import { createLogger, warnOfOlderNames } from './logger.js';
import { serveMetrics } from './metricsServer.js';
import { runProcess } from './process.js';
import { openClient } from './temporal/connect.js';
import { createGateway } from './temporal/gateway.js';
import { checkTemporal } from './temporal/setUp.js';

/** For one probe of a dependency. */
const probeMs = 3_000;

/** The release that OpenAPI shows. */
function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const originOf = (url: string | undefined): string | null => (url === undefined ? null : new URL(url).origin);

/** The API process: REST for clients, webhooks from Plaid. */
await runProcess(
  'server',
  async () => {
    const config = loadConfig('server');
    const logger = createLogger('server', config.LOG_LEVEL);
    warnOfOlderNames(logger);
    const keys = await openKeys(config);
    const sql = openDatabase(config.DATABASE_URL, { max: config.DATABASE_CONNECTIONS, ...forRequests });
    const stores = createStores(sql);
    const temporal = temporalOptions(config);
    const { client, connection } = openClient(temporal);
    const gateway = createGateway(client);
    const webhookUrl =
      config.PUBLIC_URL === undefined ? null : plaidWebhookUrl({ PUBLIC_URL: config.PUBLIC_URL });
    const plaid = createPlaid({ ...plaidOptions(config), webhookUrl });
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const metrics = promMetrics(registry);
    const probes = [
      { name: 'postgresql', needed: true, check: () => stores.ping() },
      // Cached reads and webhooks go on without it: a balancer that took every server out would end those too.
      { name: 'temporal', needed: false, check: () => checkTemporal(connection, temporal.namespace) },
    ];
    const app = buildApp({
      plaid,
      webhookUrl,
      live: plaid.live,
      directory: plaid.directory,
      institutions: stores.institutions,
      secrets: createSecretBox(keys),
      links: stores.links,
      reads: stores.reads,
      connections: stores.connections,
      portal: stores.portal,
      portalPage: {
        url: originOf(config.PORTAL_URL ?? config.PUBLIC_URL),
        name: config.PORTAL_NAME ?? config.PLAID_CLIENT_NAME,
        accent: config.PORTAL_ACCENT,
        background: config.PORTAL_BACKGROUND,
        logo: config.PORTAL_LOGO === undefined ? null : readLogo(config.PORTAL_LOGO),
        renewalMs: config.PORTAL_RENEWAL,
      },
      items: stores.items,
      commands: stores.itemCommands,
      numbers: stores.numbers,
      events: stores.events,
      changes: stores.changes,
      floats: stores.floats,
      erasures: stores.erasures,
      exports: stores.exports,
      figures: stores.figures,
      webhooks: stores.webhooks,
      endpoints: stores.endpoints,
      deliveries: stores.deliveries,
      endpointRules: { allowed: config.ENDPOINTS_ALLOW, insecure: config.ENDPOINTS_INSECURE },
      applications: stores.applications,
      idempotency: stores.idempotency,
      gateway,
      alerts: stores.alerts,
      verifier: createWebhookVerifier({
        getKey: (kid) => plaid.getWebhookKey(kid),
        store: stores.webhookKeysOf(new URL(plaidBaseUrl(config)).origin),
        knownSenders: publishedSenders,
        onFailure: (error) => logger.warn(loggedError(error), 'webhook keys not kept'),
      }),
      probes,
      defaultGrant: grantByDefault(config.PLAID_PRODUCTS),
      sandbox: !isPlaidProduction(plaidBaseUrl(config)),
      eventsKeptMs: config.EVENTS_RETENTION,
      itemChangeCooldownMs: config.ITEM_CHANGE_COOLDOWN,
      brokenCheckMs: defaultPolicy.brokenCheck,
      logger,
      metrics,
      serveMetrics: config.METRICS_PORT === undefined,
      version: version(),
      trustedProxies: config.TRUSTED_PROXIES,
      limits: {
        liveReads: config.LIVE_READS,
        requestsPerMinute: config.RATE_LIMIT_PER_MINUTE,
        eventLoopDelayMs: config.SHED_LOAD_AFTER,
      },
    });
    const metricsServer =
      config.METRICS_PORT === undefined
        ? null
        : await serveMetrics({
            host: config.HOST,
            port: config.METRICS_PORT,
            metrics: () => metrics.text(),
            readiness: createReadiness(probes, probeMs, (dependency, error) =>
              logger.warn({ dependency, ...loggedError(error) }, 'a dependency is down'),
            ),
          });
    await app.listen({ host: config.HOST, port: config.PORT });
    logger.info({ port: config.PORT }, 'server ready');
    return {
      logger,
      async stop() {
        metricsServer?.close();
        await app.close();
        plaid.close();
        await connection.close();
        await sql.end({ timeout: 5 });
      },
    };
  },
  ConfigError,
);
