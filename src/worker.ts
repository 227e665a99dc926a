import type { Worker } from '@temporalio/worker';
import { createReadiness } from '../api/readiness.js';
import { createActivities } from '../activities/index.js';
import { createStores } from '../drizzle/index.js';
import { createEventSender } from './clients/eventSender.js';
import { createKinesis } from './clients/kinesis.js';
import { createPlaid } from './clients/plaid.js';
import { openDatabase } from './clients/postgres.js';
import { createSecretBox } from './clients/secrets.js';
import { createSegment } from './clients/segment.js';
import {
  ConfigError,
  loadConfig,
  plaidOptions,
  plaidWebhookUrl,
  temporalOptions,
  workerVersion,
} from './config.js';
import { startEndpointWaker } from './endpointWaker.js';
import { openKeys } from './keys.js';
import { createCrashPoint } from './crashPoint.js';
import { defaultPolicy } from '../domain/item/policy.js';
import { createLogger, warnOfOlderNames } from './logger.js';
import { serveMetrics } from './metricsServer.js';
import { runProcess } from './process.js';
import { bundleWorkflows } from './temporal/bundle.js';
import { openClient } from './temporal/connect.js';
import { connectWorker } from './temporal/connectWorker.js';
import { assertCurrentVersion } from './temporal/deploymentVersion.js';
import { createGateway } from './temporal/gateway.js';
import { whenHung } from './temporal/hungConnection.js';
import { assertNamespace, checkTemporal } from './temporal/setUp.js';
import { activitiesFor, assertPolling, createWorkers, runWorkers, stopWorkers } from './temporal/workers.js';
import { installRuntime } from './workerRuntime.js';

/** For one probe of a dependency. */
const probeMs = 3_000;

/** The worker process: runs workflows (role `core`) and Plaid's rate-limited activities (role `plaid`). */
await runProcess(
  'worker',
  async () => {
    const config = loadConfig('worker');
    const logger = createLogger('worker', config.LOG_LEVEL);
    warnOfOlderNames(logger);
    const metrics = await installRuntime(logger);
    const keys = await openKeys(config);
    const sql = openDatabase(config.DATABASE_URL, { max: config.DATABASE_CONNECTIONS });
    const stores = createStores(sql);
    const kinesis = createKinesis({
      region: config.AWS_REGION,
      endpoint: config.KINESIS_ENDPOINT,
      streamPrefix: config.STREAM_PREFIX,
    });
    const plaid = createPlaid({
      ...plaidOptions(config),
      webhookUrl: null,
    });
    const segment =
      config.SEGMENT_WRITE_KEY === undefined
        ? null
        : createSegment({ writeKey: config.SEGMENT_WRITE_KEY, host: config.SEGMENT_HOST });
    const sender = createEventSender({
      allowed: config.ENDPOINTS_ALLOW,
      insecure: config.ENDPOINTS_INSECURE,
    });
    const temporal = temporalOptions(config);
    const { client, connection: clientConnection } = openClient(temporal);
    const gateway = createGateway(client);
    const version = workerVersion(config);
    let workers: Worker[] = [];
    const metricsServer =
      config.METRICS_PORT === undefined
        ? null
        : await serveMetrics({
            host: config.HOST,
            port: config.METRICS_PORT,
            metrics,
            readiness: createReadiness(
              [
                { name: 'postgresql', needed: true, check: () => stores.ping() },
                {
                  name: 'temporal',
                  needed: true,
                  check: () => checkTemporal(clientConnection, temporal.namespace),
                },
                // Mining goes on without the streams: what they lack waits.
                { name: 'kinesis', needed: false, check: () => kinesis.ping() },
                { name: 'polling', needed: true, check: async () => assertPolling(workers) },
                // Not needed: a new version has to run before an operator can make it current.
                ...(version === undefined
                  ? []
                  : [
                      {
                        name: 'current_version',
                        needed: false,
                        check: () => assertCurrentVersion(client, version),
                      },
                    ]),
              ],
              probeMs,
              (dependency, err) => logger.warn({ dependency, err }, 'not ready'),
            ),
          });
    const connection = await connectWorker(temporal);
    const watching = new AbortController();
    const hung = whenHung({ connection, ping: () => gateway.ping() }, watching.signal);
    // The SDK would end, too, in words that name nothing.
    await assertNamespace(clientConnection, temporal.namespace);
    const created = createWorkers({
      connection,
      namespace: temporal.namespace,
      roles: config.WORKER_ROLES,
      activitiesAtOnce: activitiesFor(config.DATABASE_CONNECTIONS),
      version,
      workflowBundle:
        config.WORKFLOW_BUNDLE === undefined ? await bundleWorkflows() : { codePath: config.WORKFLOW_BUNDLE },
      callsPerSecond: {
        plaid: config.PLAID_CALLS_PER_SECOND,
        plaidFirst: config.PLAID_FIRST_CALLS_PER_SECOND,
        plaidLink: config.PLAID_LINK_CALLS_PER_SECOND,
      },
      activities: createActivities({
        plaid,
        directory: plaid.directory,
        institutions: stores.institutions,
        secrets: createSecretBox(keys),
        links: stores.links,
        items: stores.items,
        mining: stores.mining,
        commands: stores.itemCommands,
        outbox: stores.outbox,
        alerts: stores.alerts,
        sweeps: stores.sweep,
        connectionEnds: stores.connectionEnds,
        retention: stores.retention,
        idempotency: stores.idempotency,
        sending: stores.sending,
        sender,
        segments: stores.segment,
        segment,
        banks: stores.banks,
        logins: stores.logins,
        webhooks: stores.webhooks,
        erasures: stores.erasures,
        streams: kinesis,
        gateway,
        policy: { ...defaultPolicy, updateTimeout: config.UPDATE_TIMEOUT, ...config.PACE },
        webhookUrl:
          config.PUBLIC_URL === undefined ? null : plaidWebhookUrl({ PUBLIC_URL: config.PUBLIC_URL }),
        staleAfterMs: config.STALE_AFTER,
        itemGraceMs: config.ITEM_GRACE,
        plaidEnvironment: config.PLAID_ENV ?? 'sandbox',
        crashPoint: createCrashPoint(config.SLUICE_CRASH_AT),
        reportUnexpected: (activity, err) =>
          logger.error({ activity, err }, 'unexpected error in an activity'),
      }),
    });
    // What they ask for at their start has no other end.
    workers = await Promise.race([created, hung]);
    const running = runWorkers(workers);
    const waker = config.WORKER_ROLES.includes('core')
      ? startEndpointWaker({
          sending: stores.sending,
          gateway,
          onFailure: (err) => logger.warn({ err }, 'endpoints were not woken'),
        })
      : null;
    logger.info({ roles: config.WORKER_ROLES, ...version }, 'worker ready');
    return {
      logger,
      ended: Promise.race([running, hung]),
      async stop() {
        watching.abort();
        metricsServer?.close();
        stopWorkers(workers);
        await Promise.allSettled([waker?.stop(), running]);
        await Promise.allSettled([
          connection.close(),
          clientConnection.close(),
          kinesis.close(),
          segment?.close(),
        ]);
        sender.close();
        await sql.end({ timeout: 5 });
      },
    };
  },
  ConfigError,
);
