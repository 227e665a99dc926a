import { z } from 'zod';
import type { NamedKey } from './clients/keyring.js';
import { parseEncryptionKeys } from './clients/keyring.js';
import type { Policy } from '../domain/item/policy.js';
import { defaultPolicy } from '../domain/item/policy.js';

/** The environment, parsed once and frozen. The only file of the production processes that reads `process.env`. */

const isoDuration = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** Milliseconds of an ISO 8601 duration in days, hours, minutes and seconds. */
export function parseDuration(text: string): number | null {
  const parts = isoDuration.exec(text);
  if (!parts || text === 'P' || text.endsWith('T')) return null;
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
  return ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1000;
}

const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms === null) {
    context.addIssue({ code: 'custom', message: 'must be an ISO 8601 duration such as PT36H or P1D' });
    return z.NEVER;
  }
  return ms;
});

/** A duration after which something is done again and again. */
const interval = duration.refine((ms) => ms >= 1_000, { error: 'must be at least PT1S' });

const day = 86_400_000;
/** How long something is kept. Repeats are answered for a day, so nothing goes sooner. */
const retention = duration.refine((ms) => ms >= day, { error: 'must be at least P1D' });

const list = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(z.string().min(1)).min(1));
const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
  error: 'must be addresses or networks such as 10.0.0.0/8, separated by commas',
});
const port = z.coerce.number().int().min(0).max(65_535);
const count = z.coerce.number().int().min(1);
/** As Temporal's own tools read one. */
const flag = z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1');

/** As PostgreSQL's own tools read one: several hosts with a port each are no URL for Node. */
function isDatabaseUrl(text: string): boolean {
  const parts = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/.exec(text);
  if (parts === null) return false;
  const [, start = '', hosts = '', end = ''] = parts;
  // The driver takes what stands in brackets apart at each colon.
  return hosts.split(',').every((host) => !host.startsWith('[') && URL.canParse(`${start}${host}${end}`));
}
const databaseUrl = z.string().refine(isDatabaseUrl, {
  error:
    'must be postgres://user:password@host:port/database, several hosts separated by commas, an IPv6 address by a name that leads to it',
});

const databaseSchema = {
  DATABASE_URL: databaseUrl,
  DATABASE_CONNECTIONS: count.default(10),
};
const temporalSchema = {
  TEMPORAL_ADDRESS: z.string().min(1),
  TEMPORAL_NAMESPACE: z.string().min(1).default('default'),
  TEMPORAL_API_KEY: z.string().min(1).optional(),
  TEMPORAL_TLS: flag.optional(),
  TEMPORAL_TLS_SERVER_NAME: z.string().min(1).optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: z.string().min(1).optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_DATA: z.string().min(1).optional(),
  TEMPORAL_TLS_CLIENT_CERT_PATH: z.string().min(1).optional(),
  TEMPORAL_TLS_CLIENT_CERT_DATA: z.string().min(1).optional(),
  TEMPORAL_TLS_CLIENT_KEY_PATH: z.string().min(1).optional(),
  TEMPORAL_TLS_CLIENT_KEY_DATA: z.string().min(1).optional(),
};
/** Names of ours from before, and those of `@temporalio/envconfig` that took their place. */
const olderNames: Readonly<Record<string, string>> = {
  TEMPORAL_TLS_CA_FILE: 'TEMPORAL_TLS_SERVER_CA_CERT_PATH',
  TEMPORAL_TLS_CERT_FILE: 'TEMPORAL_TLS_CLIENT_CERT_PATH',
  TEMPORAL_TLS_KEY_FILE: 'TEMPORAL_TLS_CLIENT_KEY_PATH',
};
const plaidSchema = {
  PLAID_ENV: z.enum(['sandbox', 'production']).optional(),
  PLAID_BASE_URL: z.url().optional(),
  PLAID_CLIENT_ID: z.string().min(1),
  PLAID_SECRET: z.string().min(1),
  PLAID_CLIENT_NAME: z.string().min(1).max(30).default('Sluice'),
  PLAID_PRODUCTS: list.default(['transactions']),
  PLAID_COUNTRY_CODES: list.default(['US']),
  PUBLIC_URL: z.url().optional(),
};
const secretsSchema = {
  ENCRYPTION_KEYS: z
    .string()
    .transform((text, context): NamedKey[] => {
      try {
        return parseEncryptionKeys(text);
      } catch (error) {
        // The parser's message names the position and never the key.
        context.addIssue({
          code: 'custom',
          message: error instanceof Error ? error.message : 'is not readable',
        });
        return z.NEVER;
      }
    })
    .optional(),
  /** Id, ARN or alias of a symmetric key of AWS KMS. */
  KMS_KEY_ID: z.string().min(1).optional(),
  KMS_ENDPOINT: z.url().optional(),
  AWS_REGION: z.string().min(1).optional(),
};
const streamsSchema = {
  AWS_REGION: z.string().min(1),
  KINESIS_ENDPOINT: z.url().optional(),
  STREAM_PREFIX: z
    .string()
    .regex(/^[a-zA-Z0-9_.-]*$/)
    .default('plaid-'),
  STREAM_SHARDS: count.default(1),
};
const processSchema = {
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  METRICS_PORT: port.optional(),
};
const ms = z.number().int().min(0);
/** The pace of Items: fields of `Policy`, in milliseconds. */
const pace = z.strictObject({
  updateTimeout: ms,
  updateTimeoutSpread: z.number().min(0).max(1),
  quiet: ms,
  quietDeadline: ms,
  betweenUpdates: ms,
  pollFirst: ms,
  pollLongest: ms,
  retryFirst: ms,
  retryLongest: ms,
  retryAsked: ms,
  retryBank: ms,
  brokenCheck: ms,
  numbersWait: ms,
  numbersAge: ms,
  doubtPause: ms,
  restarts: count,
  restartsInAll: count,
  emptyPages: count,
  pages: count,
  cursorRefusals: count,
  readings: count,
  cursorTries: count,
  doubts: count,
  inLine: ms,
  childCheck: ms,
  continueAfter: count,
  erasureFirst: ms,
  erasureLongest: ms,
  lateWriters: ms,
  limits: z.strictObject({ window: ms, sync: count, accounts: count }),
} satisfies Record<keyof Policy, z.ZodType>);
/** Where events may go besides public addresses, and whether without TLS: the server checks it early, the worker each time. */
const endpointSchema = {
  ENDPOINTS_ALLOW: list.pipe(z.array(network)).default([]),
  ENDPOINTS_INSECURE: flag.default(false),
};
/** Where the events of error episodes go; without a write key nowhere. */
const segmentSchema = {
  SEGMENT_WRITE_KEY: z.string().min(1).optional(),
  SEGMENT_HOST: z.url().optional(),
};
const crashPoint = z
  .string()
  .regex(/^[a-zA-Z.]+(:[1-9]\d*)?$/, { error: 'must be NAME or NAME:n' })
  .optional();
/** Temporal joins both by a dot or a colon and keeps names of its own that begin with two underscores. */
const deploymentName = z.string().regex(/^(?!__)[a-zA-Z0-9_-]{1,128}$/, {
  error: 'must be letters, digits, - and _, and not begin with __',
});
const buildId = z
  .string()
  .regex(/^(?!__)[a-zA-Z0-9_.+-]{1,128}$/, { error: 'must be letters, digits, -, _, + and dots' });
const workerSchema = {
  /** Where METRICS_PORT is served. */
  HOST: z.string().min(1).default('127.0.0.1'),
  /** A file with the bundled workflows, made before; else they are bundled at start, which takes seconds. */
  WORKFLOW_BUNDLE: z.string().min(1).optional(),
  /** Temporal's name for all our workers, and for what this one was built from: both, or workers are not versioned. */
  TEMPORAL_DEPLOYMENT_NAME: deploymentName.optional(),
  WORKER_BUILD_ID: buildId.optional(),
  WORKER_ROLES: list
    .default(['core', 'plaid'])
    .pipe(z.array(z.enum(['core', 'plaid']), { error: 'must be core, plaid or core,plaid' })),
  STALE_AFTER: duration.default(24 * 3_600_000),
  /** How long an Item stays that no application is connected with any more; 0 = for ever. */
  ITEM_GRACE: duration.default(7 * day),
  UPDATE_TIMEOUT: duration.default(defaultPolicy.updateTimeout),
  /** Calls a second that all workers together make to Plaid; 0 = no limit (for a simulator). */
  PLAID_CALLS_PER_SECOND: z.coerce.number().min(0).default(38),
  PLAID_FIRST_CALLS_PER_SECOND: z.coerce.number().min(0).default(7),
  PLAID_LINK_CALLS_PER_SECOND: z.coerce.number().min(0).default(100),
  /** Overrides of the pace of Items, as JSON. */
  PACE: z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'must be a JSON object' });
        return z.NEVER;
      }
    })
    .pipe(pace.partial())
    // JSON knows no undefined: what is there is a value.
    .transform((given) => given as Partial<Policy>)
    .default({}),
  SLUICE_CRASH_AT: crashPoint,
};
const color = z.string().regex(/^#[0-9a-fA-F]{6}$/, { error: 'must be a colour such as #0b5cad' });
/** How long events are kept: the API refuses cursors that are older, provisioning schedules their deletion. */
const eventsSchema = { EVENTS_RETENTION: retention.default(30 * day) };
const serverSchema = {
  ...eventsSchema,
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: port.default(8080),
  /** Live reads at Plaid that one process has on their way at once. */
  LIVE_READS: count.default(32),
  ADMIN_API_KEY: z.string().min(16),
  /** Where browsers reach the user's page; absent: PUBLIC_URL, else the address that a session was asked for at. */
  PORTAL_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** Who runs this, for users; absent: PLAID_CLIENT_NAME. */
  PORTAL_NAME: z.string().min(1).max(60).optional(),
  PORTAL_ACCENT: color.default('#0b5cad'),
  PORTAL_BACKGROUND: color.default('#f5f6f8'),
  /** Path of a picture. */
  PORTAL_LOGO: z.string().min(1).optional(),
  /** For how long a user renews an access by one press. */
  PORTAL_RENEWAL: duration
    .default(365 * day)
    .refine((renewalMs) => renewalMs >= day, { error: 'must be at least P1D' }),
  ITEM_CHANGE_COOLDOWN: duration.default(0),
  /** Requests a minute for one API key, in each API process; 0 = no limit. */
  RATE_LIMIT_PER_MINUTE: z.coerce.number().int().min(0).default(1_200),
  /** By how much the event loop may be late before requests of clients are refused; 0 = they never are. */
  SHED_LOAD_AFTER: duration.default(500),
  /** Proxies in front of the API whose X-Forwarded-For is believed. */
  TRUSTED_PROXIES: list.pipe(z.array(network)).optional(),
};
const streamName = z.string().regex(/^[a-zA-Z0-9_.-]{1,128}$/, { error: 'must be the name of a stream' });
const listenerSchema = {
  AWS_REGION: z.string().min(1),
  KINESIS_ENDPOINT: z.url().optional(),
  USER_EVENTS_STREAM: streamName,
  /** How long a shard stays with a listener that says nothing more. */
  USER_EVENTS_LEASE: duration
    .default(20_000)
    .refine((leaseMs) => leaseMs >= 1_000, { error: 'must be a second at least' }),
  /** Between two reads of a shard that had nothing new. Kinesis allows five reads a second, for all who read the shard. */
  USER_EVENTS_POLL: duration
    .default(1_000)
    .refine((pollMs) => pollMs >= 200, { error: 'must be at least PT0.2S' }),
  HOST: z.string().min(1).default('127.0.0.1'),
  SLUICE_CRASH_AT: crashPoint,
};
const provisionSchema = {
  USER_EVENTS_STREAM: streamName.optional(),
  ADMIN_API_KEY: z.string().min(16),
  SWEEP_EVERY: duration.default(60_000),
  SWEEP_GRACE: duration.default(180_000),
  INSTITUTION_SYNC_EVERY: interval.default(86_400_000),
  INSTITUTION_STATUS_EVERY: interval.default(3_600_000),
  /** Plaid's limit on calls of `/institutions/get`; 10 in its sandbox. */
  INSTITUTION_PAGES_PER_MINUTE: count.default(25),
  CLEAN_UP_EVERY: interval.default(day),
  RETAIN_OUTBOX: retention.default(30 * day),
  RETAIN_WEBHOOKS: retention.default(90 * day),
  RETAIN_LINKS: retention.default(30 * day),
  RETAIN_PARKED: retention.default(90 * day),
  RETAIN_SEGMENT: retention.default(90 * day),
  RETAIN_BALANCES: retention.default(90 * day),
  ...eventsSchema,
};

const schemas = {
  server: z.object({
    ...databaseSchema,
    ...temporalSchema,
    ...plaidSchema,
    ...secretsSchema,
    ...endpointSchema,
    ...processSchema,
    ...serverSchema,
  }),
  worker: z.object({
    ...databaseSchema,
    ...temporalSchema,
    ...plaidSchema,
    ...secretsSchema,
    ...streamsSchema,
    ...segmentSchema,
    ...endpointSchema,
    ...processSchema,
    ...workerSchema,
  }),
  listener: z.object({
    ...databaseSchema,
    ...temporalSchema,
    ...processSchema,
    ...listenerSchema,
  }),
  rewrap: z.object({ ...databaseSchema, ...secretsSchema, ...processSchema }),
  restored: z.object({ ...databaseSchema, ...processSchema }),
  listEnded: z.object({ ...databaseSchema, ...processSchema }),
  reapply: z.object({ ...databaseSchema, ...processSchema }),
  webhookAddress: z.object({
    ...databaseSchema,
    ...plaidSchema,
    ...secretsSchema,
    ...processSchema,
    PUBLIC_URL: z.url(),
  }),
  provision: z.object({
    ...databaseSchema,
    ...temporalSchema,
    ...streamsSchema,
    ...processSchema,
    ...provisionSchema,
  }),
};

export type ProcessName = keyof typeof schemas;
export type Config<Name extends ProcessName> = Readonly<z.output<(typeof schemas)[Name]>>;

export const processNames = Object.keys(schemas) as ProcessName[];

/** Every variable that a process reads. */
export const variablesOf = (name: ProcessName): string[] => Object.keys(schemas[name].shape);

/** Thrown when the environment does not do; the message lists every bad variable, and no value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Reads the configuration of one process. `environment` is given by tests only. */
export function loadConfig<Name extends ProcessName>(
  name: Name,
  environment: Record<string, string | undefined> = process.env,
): Config<Name> {
  const present = withNewNames(
    Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== '')),
  );
  const parsed = schemas[name].safeParse(present);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => {
        const variable = String(issue.path[0]);
        return `  ${variable}: ${present[variable] === undefined ? 'is missing' : issue.message}`;
      });
  if (name === 'server' || name === 'worker') problems.push(...plaidProblems(present));
  if (variablesOf(name).includes('TEMPORAL_ADDRESS')) problems.push(...temporalProblems(present));
  if (name === 'worker') problems.push(...versionProblems(present));
  if (variablesOf(name).includes('KMS_KEY_ID')) problems.push(...keyProblems(present));
  if (name !== 'provision' && present['SLUICE_CRASH_AT'] && present['PLAID_ENV'] === 'production') {
    problems.push('  SLUICE_CRASH_AT: is for tests and refused with PLAID_ENV=production');
  }
  if (problems.length > 0) {
    throw new ConfigError(
      `The environment of the ${name} process does not do:\n${[...new Set(problems)].join('\n')}\n` +
        'See docs/operations.md for every variable.',
    );
  }
  return Object.freeze(parsed.data) as Config<Name>;
}

function withNewNames(environment: Record<string, string | undefined>): Record<string, string | undefined> {
  const renamed = { ...environment };
  for (const [older, name] of Object.entries(olderNames)) renamed[name] ??= environment[older];
  return renamed;
}

/** Variables that are set by an older name: `[older, the name of today]`. `environment` is given by tests only. */
export function olderNamesIn(
  environment: Record<string, string | undefined> = process.env,
): [older: string, name: string][] {
  return Object.entries(olderNames).filter(([older]) => environment[older]);
}

/** Temporal's own tools refuse these too. */
function temporalProblems(environment: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  for (const what of ['SERVER_CA_CERT', 'CLIENT_CERT', 'CLIENT_KEY']) {
    if (environment[`TEMPORAL_TLS_${what}_PATH`] && environment[`TEMPORAL_TLS_${what}_DATA`]) {
      problems.push(`  TEMPORAL_TLS_${what}_DATA: give it or TEMPORAL_TLS_${what}_PATH, not both`);
    }
  }
  const given = (what: string): boolean =>
    Boolean(environment[`TEMPORAL_TLS_${what}_PATH`] ?? environment[`TEMPORAL_TLS_${what}_DATA`]);
  if (given('CLIENT_CERT') !== given('CLIENT_KEY')) {
    const missing = given('CLIENT_CERT') ? 'CLIENT_KEY' : 'CLIENT_CERT';
    problems.push(
      `  TEMPORAL_TLS_${missing}_PATH: is missing; a client's certificate and its key go together`,
    );
  }
  if (environment['TEMPORAL_TLS_DISABLE_HOST_VERIFICATION'] === 'true') {
    problems.push('  TEMPORAL_TLS_DISABLE_HOST_VERIFICATION: the host is always verified');
  }
  return problems;
}

/** One alone would start workers that no version is known of, and say nothing. */
function versionProblems(environment: Record<string, string | undefined>): string[] {
  const names = ['TEMPORAL_DEPLOYMENT_NAME', 'WORKER_BUILD_ID'];
  const missing = names.filter((name) => !environment[name]);
  if (missing.length !== 1) return [];
  return [`  ${missing[0]}: is missing; a deployment's name and a build's id go together`];
}

function plaidProblems(environment: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  if (!environment['PLAID_ENV'] && !environment['PLAID_BASE_URL']) {
    problems.push(
      '  PLAID_ENV: set it to sandbox or production, or set PLAID_BASE_URL (no base URL is guessed)',
    );
  }
  if (environment['PLAID_ENV'] && environment['PLAID_BASE_URL']) {
    problems.push('  PLAID_BASE_URL: give it or PLAID_ENV, not both');
  }
  return problems;
}

function keyProblems(environment: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  if (!environment['ENCRYPTION_KEYS'] && !environment['KMS_KEY_ID']) {
    problems.push('  ENCRYPTION_KEYS: is missing; set it, or KMS_KEY_ID');
  }
  if (environment['KMS_KEY_ID'] && !environment['AWS_REGION']) {
    problems.push('  AWS_REGION: is missing; KMS_KEY_ID needs it');
  }
  return problems;
}

const plaidHosts = {
  sandbox: 'https://sandbox.plaid.com',
  production: 'https://production.plaid.com',
} as const;

/** Plaid's base URL as configured; `loadConfig` has made sure that there is one. */
export function plaidBaseUrl(config: Pick<Config<'server'>, 'PLAID_ENV' | 'PLAID_BASE_URL'>): string {
  if (config.PLAID_BASE_URL) return config.PLAID_BASE_URL;
  return plaidHosts[config.PLAID_ENV ?? 'sandbox'];
}

/** The account at Plaid, and what its links are made with, as configured. */
export function plaidOptions(config: Config<'server' | 'worker' | 'webhookAddress'>) {
  return {
    baseUrl: plaidBaseUrl(config),
    clientId: config.PLAID_CLIENT_ID,
    secret: config.PLAID_SECRET,
    clientName: config.PLAID_CLIENT_NAME,
    products: config.PLAID_PRODUCTS,
    countryCodes: config.PLAID_COUNTRY_CODES,
  };
}

/** Where Plaid's webhooks reach us. */
export const plaidWebhookUrl = ({ PUBLIC_URL }: { PUBLIC_URL: string }): string =>
  `${PUBLIC_URL.replace(/\/+$/, '')}/webhooks/plaid`;

/** Whether these are Plaid's production servers, by whatever variable they were named. */
export const isPlaidProduction = (baseUrl: string): boolean =>
  new URL(baseUrl).hostname === new URL(plaidHosts.production).hostname;

/** Text of a certificate or key, or the file that has it. */
type Pem = { path: string } | { data: string };
const pem = (path: string | undefined, data: string | undefined): Pem | undefined => {
  if (path !== undefined) return { path };
  return data === undefined ? undefined : { data };
};

/** How to reach Temporal, as configured. */
export function temporalOptions(config: Config<'server' | 'worker' | 'listener' | 'provision'>) {
  return {
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
    apiKey: config.TEMPORAL_API_KEY,
    tls: config.TEMPORAL_TLS,
    tlsServerName: config.TEMPORAL_TLS_SERVER_NAME,
    serverCa: pem(config.TEMPORAL_TLS_SERVER_CA_CERT_PATH, config.TEMPORAL_TLS_SERVER_CA_CERT_DATA),
    clientCert: pem(config.TEMPORAL_TLS_CLIENT_CERT_PATH, config.TEMPORAL_TLS_CLIENT_CERT_DATA),
    clientKey: pem(config.TEMPORAL_TLS_CLIENT_KEY_PATH, config.TEMPORAL_TLS_CLIENT_KEY_DATA),
  };
}

/** The version of the worker as configured; undefined = workers are not versioned. */
export function workerVersion(
  config: Pick<Config<'worker'>, 'TEMPORAL_DEPLOYMENT_NAME' | 'WORKER_BUILD_ID'>,
): { deploymentName: string; buildId: string } | undefined {
  const { TEMPORAL_DEPLOYMENT_NAME: deploymentName, WORKER_BUILD_ID: buildId } = config;
  return deploymentName === undefined || buildId === undefined ? undefined : { deploymentName, buildId };
}
