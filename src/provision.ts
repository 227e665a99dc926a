import { hashKey } from '../api/auth.js';
import { createStores } from '../drizzle/index.js';
import { migrate } from '../drizzle/migrate.js';
import { openDatabase } from './clients/postgres.js';
import { ensureStreams } from './clients/streams.js';
import { ConfigError, loadConfig, temporalOptions } from './config.js';
import { streamNames } from '../domain/mining/events.js';
import { createLogger, warnOfOlderNames } from './logger.js';
import { patiently } from './patience.js';
import type { Patience } from './patience.js';
import { runJob } from './process.js';
import { provisionTemporal } from './temporal/provision.js';
import type { SchedulesOptions } from './temporal/schedules.js';

/** What starts beside us gets so long to come up. */
const patienceMs = 90_000;

type Config = ReturnType<typeof loadConfig<'provision'>>;

async function provisionDatabase(config: Config, onWait: (line: string) => void): Promise<void> {
  await migrate(config.DATABASE_URL, { onWait });
  const sql = openDatabase(config.DATABASE_URL, { max: 1 });
  try {
    await createStores(sql).applications.ensureAdmin(hashKey(config.ADMIN_API_KEY));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

const schedulesOf = (config: Config): SchedulesOptions => ({
  sweepEveryMs: config.SWEEP_EVERY,
  sweepGraceMs: config.SWEEP_GRACE,
  institutionsEveryMs: config.INSTITUTION_SYNC_EVERY,
  institutionPagesPerMinute: config.INSTITUTION_PAGES_PER_MINUTE,
  institutionStatusEveryMs: config.INSTITUTION_STATUS_EVERY,
  cleanUpEveryMs: config.CLEAN_UP_EVERY,
  keep: {
    outbox: config.RETAIN_OUTBOX,
    webhooks: config.RETAIN_WEBHOOKS,
    links: config.RETAIN_LINKS,
    parkedRows: config.RETAIN_PARKED,
    parkedEvents: config.RETAIN_PARKED,
    segmentEvents: config.RETAIN_SEGMENT,
    balances: config.RETAIN_BALANCES,
    events: config.EVENTS_RETENTION,
  },
});

const provisionStreams = (config: Config): Promise<void> =>
  ensureStreams(
    { region: config.AWS_REGION, endpoint: config.KINESIS_ENDPOINT, shards: config.STREAM_SHARDS },
    [
      ...streamNames.map((name) => `${config.STREAM_PREFIX}${name}`),
      ...(config.USER_EVENTS_STREAM === undefined ? [] : [config.USER_EVENTS_STREAM]),
    ],
  );

/** Makes everything that the other processes take for granted. One-shot and idempotent: run it before each release. */
async function provision(): Promise<boolean> {
  const config = loadConfig('provision');
  const logger = createLogger('provision', config.LOG_LEVEL);
  warnOfOlderNames(logger);
  const patience: Patience = {
    forMs: patienceMs,
    pauseMs: 1_000,
    onWait: (what) => logger.warn({ what }, 'does not answer yet, trying again'),
  };
  await patiently('database', () => provisionDatabase(config, (line) => logger.warn(line)), patience);
  logger.info('database ready');
  await patiently(
    'Temporal',
    () => provisionTemporal(temporalOptions(config), schedulesOf(config)),
    patience,
  );
  logger.info('Temporal ready');
  await patiently('Kinesis', () => provisionStreams(config), patience);
  logger.info('streams ready');
  return true;
}

await runJob('provision', provision, ConfigError);
