import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { createReadiness } from '../api/readiness.js';
import { createStores } from '../drizzle/index.js';
import { openDatabase } from './clients/postgres.js';
import { createUserEvents } from './clients/userEvents.js';
import { ConfigError, loadConfig, temporalOptions } from './config.js';
import { createCrashPoint } from './crashPoint.js';
import type { Logger } from './logger.js';
import { Failure, isRetryable } from '../domain/failures.js';
import { createLogger, warnOfOlderNames } from './logger.js';
import { serveMetrics } from './metricsServer.js';
import { runProcess } from './process.js';
import { openClient } from './temporal/connect.js';
import { createGateway } from './temporal/gateway.js';
import { checkTemporal } from './temporal/setUp.js';
import type { UserEventObserver } from './userEventConsumer.js';
import { createUserEventConsumer } from './userEventConsumer.js';

/** For one probe of a dependency. */
const probeMs = 3_000;

/** For a lock that somebody else holds: many events of a shard may wait for one, and the leases of all are renewed by what is left. */
const lockTimeoutMs = 1_000;

/** What the consumer reports of itself, as log lines and metrics: ids of shards and counts. */
function observer(logger: Logger, registry: Registry): UserEventObserver {
  const registers = [registry];
  const actedOn = new Counter({
    name: 'sluice_user_events_total',
    help: 'Records of the stream of user events, by what was done with them',
    labelNames: ['result'],
    registers,
  });
  const shards = new Gauge({
    name: 'sluice_user_event_shards',
    help: 'Shards that this listener reads',
    registers,
  });
  const behind = new Gauge({
    name: 'sluice_user_events_behind_seconds',
    help: 'How far the reading of a shard is behind its newest record',
    labelNames: ['shard'],
    registers,
  });
  const failed = new Counter({
    name: 'sluice_user_event_failures_total',
    help: 'Tries that did not work and are repeated',
    labelNames: ['what'],
    registers,
  });
  return {
    actedOn: (result) => actedOn.inc({ result }),
    holding(shardIds) {
      shards.set(shardIds.length);
      // The shards of others are theirs to measure.
      behind.reset();
      logger.info({ shards: shardIds }, 'reading shards');
    },
    behind: (shard, ms) => behind.set({ shard }, ms / 1_000),
    failed(what, err) {
      failed.inc({ what });
      if (err instanceof Failure && !isRetryable(err.type)) {
        logger.error({ err, what }, 'trying again, but no waiting mends it: somebody has to act');
      } else logger.warn({ err, what }, 'trying again');
    },
    parked: (shard, sequenceNumber, reason) =>
      logger.error(
        { shard, sequence_number: sequenceNumber, reason },
        'a record is no user event, or will never be taken: parked',
      ),
    madeAnew: (shardIds) =>
      logger.error({ shards: shardIds }, 'the stream was made anew: reading from its oldest record'),
  };
}

/** The listener process: acts on the stream of user events, by which other services report logins and floats. */
await runProcess(
  'listener',
  async () => {
    const config = loadConfig('listener');
    const logger = createLogger('listener', config.LOG_LEVEL);
    warnOfOlderNames(logger);
    const sql = openDatabase(config.DATABASE_URL, { max: config.DATABASE_CONNECTIONS, lockTimeoutMs });
    const stores = createStores(sql);
    const temporal = temporalOptions(config);
    const { client, connection } = openClient(temporal);
    const gateway = createGateway(client);
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const events = createUserEvents({
      region: config.AWS_REGION,
      endpoint: config.KINESIS_ENDPOINT,
      stream: config.USER_EVENTS_STREAM,
      onUnknownCheckpoint: (shard) =>
        logger.error({ shard }, 'the stream does not know the checkpoint: reading from its oldest record'),
    });
    const consumer = createUserEventConsumer(
      {
        events,
        store: stores.userEvents,
        floats: stores.floats,
        gateway,
        crashPoint: createCrashPoint(config.SLUICE_CRASH_AT),
        observe: observer(logger, registry),
      },
      {
        stream: config.USER_EVENTS_STREAM,
        me: `${hostname()}/${process.pid}/${randomUUID()}`,
        leaseMs: config.USER_EVENTS_LEASE,
        pollMs: config.USER_EVENTS_POLL,
      },
    );
    const metricsServer =
      config.METRICS_PORT === undefined
        ? null
        : await serveMetrics({
            host: config.HOST,
            port: config.METRICS_PORT,
            metrics: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
            readiness: createReadiness(
              [
                { name: 'postgresql', needed: true, check: () => stores.ping() },
                {
                  name: 'temporal',
                  needed: true,
                  check: () => checkTemporal(connection, temporal.namespace),
                },
                { name: 'kinesis', needed: true, check: async () => void (await events.shards()) },
              ],
              probeMs,
              (dependency, err) => logger.warn({ dependency, err }, 'a dependency is down'),
            ),
          });
    const ended = consumer.run();
    logger.info({ stream: config.USER_EVENTS_STREAM }, 'listener ready');
    return {
      logger,
      ended,
      async stop() {
        metricsServer?.close();
        await consumer.stop();
        events.close();
        await connection.close();
        await sql.end({ timeout: 5 });
      },
    };
  },
  ConfigError,
);
