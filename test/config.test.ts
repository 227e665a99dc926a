import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ConfigError,
  loadConfig,
  olderNamesIn,
  parseDuration,
  plaidBaseUrl,
  temporalOptions,
  workerVersion,
} from '../src/config.js';
import { readLogo } from '../src/portalLogo.js';

const secret = 'canary-in-a-value';
const key = Buffer.alloc(32, 7).toString('base64');
const good: Record<string, string> = {
  DATABASE_URL: `postgres://sluice:${secret}@127.0.0.1/sluice`,
  TEMPORAL_ADDRESS: '127.0.0.1:7233',
  PLAID_ENV: 'sandbox',
  PLAID_CLIENT_ID: 'client',
  PLAID_SECRET: secret,
  AWS_REGION: 'us-east-1',
  ENCRYPTION_KEYS: `k1:${key}`,
  ADMIN_API_KEY: `${secret}-0123456789`,
};
const without = (...names: string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(good).filter(([name]) => !names.includes(name)));

/** The message with which the configuration refuses `environment`. */
function refusal(
  name: 'server' | 'worker' | 'listener' | 'provision' | 'rewrap',
  environment: Record<string, string>,
): string {
  try {
    loadConfig(name, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('the configuration was taken');
}

describe('a configuration that does not do', () => {
  it('is refused with one message that lists everything that is missing', () => {
    const message = refusal('server', {});
    for (const name of Object.keys(without('AWS_REGION'))) expect(message).toContain(`  ${name}: `);
    expect(message).not.toContain('AWS_REGION');
    expect(refusal('worker', {})).toContain('  AWS_REGION: is missing');
    expect(refusal('worker', {})).not.toContain('ADMIN_API_KEY');
    expect(refusal('provision', {})).toContain('  ADMIN_API_KEY: is missing');
    expect(refusal('provision', {})).not.toContain('PLAID');
  });

  it.each([
    ['DATABASE_URL', `mysql://root:${secret}@127.0.0.1/x`],
    ['DATABASE_URL', secret],
    ['DATABASE_URL', `postgres://sluice:${secret}@[::1]:5432/sluice`],
    ['DATABASE_URL', `postgres://sluice:${secret}@first:5432,second:x/sluice`],
    ['DATABASE_CONNECTIONS', '0'],
    ['PORT', '70000'],
    ['PORT', secret],
    ['HOST', ''],
    ['METRICS_PORT', '-1'],
    ['LOG_LEVEL', secret],
    ['PLAID_ENV', 'development'],
    ['PLAID_CLIENT_NAME', 'x'.repeat(31)],
    ['PLAID_PRODUCTS', 'transactions,,auth'],
    ['PUBLIC_URL', secret],
    ['TEMPORAL_TLS', 'yes'],
    ['RATE_LIMIT_PER_MINUTE', '-1'],
    ['SHED_LOAD_AFTER', '500'],
    ['TRUSTED_PROXIES', '10.0.0.0/8, everybody'],
    ['ADMIN_API_KEY', 'short'],
    ['LIVE_READS', '0'],
    ['PORTAL_URL', secret],
    ['PORTAL_NAME', 'x'.repeat(61)],
    ['PORTAL_ACCENT', 'red; } body { display: none'],
    ['PORTAL_BACKGROUND', '#fff'],
    ['PORTAL_RENEWAL', 'PT1H'],
    ['ENCRYPTION_KEYS', secret],
    ['ENCRYPTION_KEYS', `k1:${Buffer.alloc(31, 1).toString('base64')}`],
    ['ENCRYPTION_KEYS', `k1:${key},k1:${key}`],
  ])('names %s when its value is bad, and never shows it (%#)', (name, value) => {
    if (value === '') {
      // An empty variable is one that is not set.
      expect(loadConfig('server', { ...good, [name]: value }).HOST).toBe('127.0.0.1');
      return;
    }
    const message = refusal('server', { ...good, [name]: value });
    expect(message).toContain(`  ${name}: `);
    expect(message).not.toContain(value);
    expect(message).not.toContain(secret);
    expect(message.split('\n  ').length).toBe(2);
  });

  it.each([
    ['INSTITUTION_SYNC_EVERY', 'P0D'],
    ['INSTITUTION_STATUS_EVERY', 'daily'],
    ['INSTITUTION_PAGES_PER_MINUTE', '0'],
  ])('names %s of provisioning when its value is bad (%#)', (name, value) => {
    expect(refusal('provision', { ...good, [name]: value })).toContain(`  ${name}: `);
  });

  it.each([
    ['UPDATE_TIMEOUT', '36h'],
    ['UPDATE_TIMEOUT', 'P'],
    ['STALE_AFTER', '24h'],
    ['ITEM_GRACE', '7d'],
    ['PLAID_CALLS_PER_SECOND', '-1'],
    ['WORKER_ROLES', `core,${secret}`],
    ['PACE', '[]'],
    ['PACE', `{"quiet":${secret}`],
    ['SLUICE_CRASH_AT', 'page.beforeCall:0'],
    ['SLUICE_CRASH_AT', `${secret}!`],
    ['STREAM_PREFIX', 'no spaces'],
    ['KINESIS_ENDPOINT', secret],
  ])('of a worker: %s=%s', (name, value) => {
    const message = refusal('worker', { ...good, [name]: value });
    expect(message).toContain(`  ${name}: `);
    expect(message).not.toContain(secret);
  });

  it.each([
    ['USER_EVENTS_STREAM', ''],
    ['USER_EVENTS_STREAM', 'no spaces'],
    ['USER_EVENTS_STREAM', 's'.repeat(129)],
    ['USER_EVENTS_LEASE', 'PT0.5S'],
    ['USER_EVENTS_LEASE', '20'],
    ['USER_EVENTS_POLL', 'PT0.1S'],
    ['USER_EVENTS_POLL', '1'],
    ['AWS_REGION', ''],
  ])('of a listener: %s=%s', (name, value) => {
    const message = refusal('listener', { ...good, USER_EVENTS_STREAM: 'events', [name]: value });
    expect(message).toContain(`  ${name}: `);
    expect(message.split('\n  ').length).toBe(2);
  });

  it('guesses no base URL of Plaid, and takes only one', () => {
    expect(refusal('server', without('PLAID_ENV'))).toContain('no base URL is guessed');
    const both = refusal('server', { ...good, PLAID_BASE_URL: 'http://127.0.0.1:1' });
    expect(both).toContain('  PLAID_BASE_URL: give it or PLAID_ENV, not both');
  });

  it('would delete what is still needed', () => {
    for (const name of ['RETAIN_OUTBOX', 'RETAIN_WEBHOOKS', 'RETAIN_LINKS', 'RETAIN_PARKED']) {
      expect(refusal('provision', { ...good, [name]: 'PT23H' })).toContain(`  ${name}: must be at least P1D`);
    }
    expect(loadConfig('provision', { ...good, RETAIN_OUTBOX: 'P1D' }).RETAIN_OUTBOX).toBe(86_400_000);
  });

  it('asks for a crash point in production', () => {
    const crash = { ...good, SLUICE_CRASH_AT: 'apply.afterCommit:2' };
    expect(refusal('worker', { ...crash, PLAID_ENV: 'production' })).toContain('SLUICE_CRASH_AT');
    expect(loadConfig('worker', crash).SLUICE_CRASH_AT).toBe('apply.afterCommit:2');
    const listener = { ...crash, USER_EVENTS_STREAM: 'events' };
    expect(refusal('listener', { ...listener, PLAID_ENV: 'production' })).toContain('SLUICE_CRASH_AT');
    expect(loadConfig('listener', listener).SLUICE_CRASH_AT).toBe('apply.afterCommit:2');
  });
});

describe('a good configuration', () => {
  it('has defaults and is frozen', () => {
    const config = loadConfig('worker', good);
    expect(config).toMatchObject({
      TEMPORAL_NAMESPACE: 'default',
      STREAM_PREFIX: 'plaid-',
      UPDATE_TIMEOUT: 36 * 3_600_000,
      STALE_AFTER: 24 * 3_600_000,
      ITEM_GRACE: 7 * 24 * 3_600_000,
      PLAID_PRODUCTS: ['transactions'],
      PLAID_CALLS_PER_SECOND: 38,
      WORKER_ROLES: ['core', 'plaid'],
    });
    expect(Object.isFrozen(config)).toBe(true);
    expect(config.SLUICE_CRASH_AT).toBe(undefined);
  });

  it.each([
    'postgresql://sluice:p%40ss@first:5432,second:5433/sluice?target_session_attrs=read-write',
    'postgres://sluice:pass@first,second:6432/sluice',
    'postgres://first/sluice',
  ])('takes the address of a database as its own tools do: %s', (url) => {
    expect(loadConfig('server', { ...good, DATABASE_URL: url }).DATABASE_URL).toBe(url);
  });

  it('of a listener needs nothing of Plaid and no key', () => {
    const names = ['PLAID_ENV', 'PLAID_CLIENT_ID', 'PLAID_SECRET', 'ENCRYPTION_KEYS', 'ADMIN_API_KEY'];
    const config = loadConfig('listener', { ...without(...names), USER_EVENTS_STREAM: 'events' });
    expect(config).toMatchObject({
      USER_EVENTS_STREAM: 'events',
      USER_EVENTS_LEASE: 20_000,
      USER_EVENTS_POLL: 1_000,
    });
    expect(loadConfig('provision', good).USER_EVENTS_STREAM).toBe(undefined);
  });

  it('reads durations, lists and keys', () => {
    const config = loadConfig('worker', {
      ...good,
      UPDATE_TIMEOUT: 'PT90M',
      PLAID_PRODUCTS: 'transactions, auth',
      PACE: '{"quiet":5}',
      ENCRYPTION_KEYS: `new:${key},old:${Buffer.alloc(32, 8).toString('base64')}`,
    });
    expect(config.UPDATE_TIMEOUT).toBe(5_400_000);
    expect(config.PLAID_PRODUCTS).toEqual(['transactions', 'auth']);
    expect(config.PACE).toEqual({ quiet: 5 });
    expect(config.ENCRYPTION_KEYS?.map(({ id }) => id)).toEqual(['new', 'old']);
  });

  it('has its keys from a keyring, from AWS KMS or from both', () => {
    const rewrap = { DATABASE_URL: good['DATABASE_URL'] ?? '', AWS_REGION: 'us-east-1' };
    const keys = { ENCRYPTION_KEYS: good['ENCRYPTION_KEYS'] ?? '' };
    expect(loadConfig('rewrap', { ...rewrap, KMS_KEY_ID: 'alias/x' }).ENCRYPTION_KEYS).toBe(undefined);
    expect(loadConfig('rewrap', { ...rewrap, ...keys, KMS_KEY_ID: 'alias/x' }).ENCRYPTION_KEYS).toHaveLength(
      1,
    );
    for (const name of ['server', 'worker', 'rewrap'] as const) {
      const given = { ...without('AWS_REGION'), ...keys, KMS_KEY_ID: 'alias/x' };
      expect(refusal(name, given)).toContain('  AWS_REGION: is missing');
      expect(refusal(name, without('ENCRYPTION_KEYS'))).toContain('set it, or KMS_KEY_ID');
    }
  });

  it("names Temporal's connection as Temporal's own tools do, and takes the names of before", () => {
    const temporal = (more: Record<string, string>) =>
      temporalOptions(loadConfig('server', { ...good, ...more }));
    expect(temporal({})).toMatchObject({ tls: undefined, serverCa: undefined, clientKey: undefined });
    const named = {
      TEMPORAL_TLS_SERVER_CA_CERT_DATA: 'ca',
      TEMPORAL_TLS_CLIENT_CERT_DATA: 'cert',
      TEMPORAL_TLS_CLIENT_KEY_PATH: '/key.pem',
    };
    expect(temporal(named)).toMatchObject({
      serverCa: { data: 'ca' },
      clientCert: { data: 'cert' },
      clientKey: { path: '/key.pem' },
    });
    const older = {
      TEMPORAL_TLS_CA_FILE: '/ca.pem',
      TEMPORAL_TLS_CERT_FILE: '/cert.pem',
      TEMPORAL_TLS_KEY_FILE: '/key.pem',
    };
    expect(temporal(older)).toMatchObject({
      serverCa: { path: '/ca.pem' },
      clientCert: { path: '/cert.pem' },
      clientKey: { path: '/key.pem' },
    });
    expect(olderNamesIn(older)).toEqual([
      ['TEMPORAL_TLS_CA_FILE', 'TEMPORAL_TLS_SERVER_CA_CERT_PATH'],
      ['TEMPORAL_TLS_CERT_FILE', 'TEMPORAL_TLS_CLIENT_CERT_PATH'],
      ['TEMPORAL_TLS_KEY_FILE', 'TEMPORAL_TLS_CLIENT_KEY_PATH'],
    ]);
    expect(olderNamesIn(named)).toEqual([]);
    expect([temporal({ TEMPORAL_TLS: '1' }).tls, temporal({ TEMPORAL_TLS: 'false' }).tls]).toEqual([
      true,
      false,
    ]);
  });

  it.each([
    [
      'both a path and data',
      { CLIENT_CERT_PATH: '/c', CLIENT_CERT_DATA: secret, CLIENT_KEY_PATH: '/k' },
      'CLIENT_CERT_DATA',
    ],
    ['a certificate without its key', { CLIENT_CERT_PATH: '/c' }, 'CLIENT_KEY_PATH'],
    ['a key without its certificate', { CLIENT_KEY_DATA: secret }, 'CLIENT_CERT_PATH'],
    ['hosts that nobody verifies', { DISABLE_HOST_VERIFICATION: 'true' }, 'DISABLE_HOST_VERIFICATION'],
  ])("of Temporal's TLS, refuses %s", (_what, given, name) => {
    const environment = Object.entries(given).map(([key, value]) => [`TEMPORAL_TLS_${key}`, value]);
    for (const process of ['server', 'worker', 'provision'] as const) {
      const message = refusal(process, { ...good, ...Object.fromEntries(environment) });
      expect(message).toContain(`  TEMPORAL_TLS_${name}: `);
      expect(message).not.toContain(secret);
    }
  });

  it("knows Plaid's hosts, and takes another base URL as it is", () => {
    expect(plaidBaseUrl(loadConfig('server', good))).toBe('https://sandbox.plaid.com');
    const production = loadConfig('server', { ...good, PLAID_ENV: 'production' });
    expect(plaidBaseUrl(production)).toBe('https://production.plaid.com');
    const other = { ...without('PLAID_ENV'), PLAID_BASE_URL: 'http://127.0.0.1:8290' };
    expect(plaidBaseUrl(loadConfig('server', other))).toBe('http://127.0.0.1:8290');
  });
});

describe('a duration', () => {
  it.each([
    ['P1D', 86_400_000],
    ['PT36H', 129_600_000],
    ['P1DT1H1M1.5S', 90_061_500],
    ['PT0S', 0],
    ['P0D', 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', 'P', 'PT', 'P1DT', '1D', 'PT1D', 'P1Y', 'P1M', 'P1W', '-PT1S', 'PT1,5S', 'pt1s', 'PT1S '])(
    '"%s" is none',
    (text) => expect(parseDuration(text)).toBe(null),
  );
});

describe('the version of a worker', () => {
  it('is a deployment and a build, or none at all', () => {
    const both = { TEMPORAL_DEPLOYMENT_NAME: 'sluice', WORKER_BUILD_ID: '1.4.0+b5f2' };
    expect(workerVersion(loadConfig('worker', { ...good, ...both }))).toEqual({
      deploymentName: 'sluice',
      buildId: '1.4.0+b5f2',
    });
    expect(workerVersion(loadConfig('worker', good))).toBeUndefined();
    const empty = { TEMPORAL_DEPLOYMENT_NAME: '', WORKER_BUILD_ID: '' };
    expect(workerVersion(loadConfig('worker', { ...good, ...empty }))).toBeUndefined();
  });

  it.each([
    ['TEMPORAL_DEPLOYMENT_NAME', 'WORKER_BUILD_ID', 'sluice'],
    ['WORKER_BUILD_ID', 'TEMPORAL_DEPLOYMENT_NAME', '1'],
  ])('is refused with %s alone', (given, missing, value) => {
    expect(refusal('worker', { ...good, [given]: value })).toContain(
      `  ${missing}: is missing; a deployment's name and a build's id go together`,
    );
  });

  it.each([
    ['TEMPORAL_DEPLOYMENT_NAME', 'WORKER_BUILD_ID', 'sluice.eu'],
    ['TEMPORAL_DEPLOYMENT_NAME', 'WORKER_BUILD_ID', '__sluice'],
    ['WORKER_BUILD_ID', 'TEMPORAL_DEPLOYMENT_NAME', 'a b'],
    ['WORKER_BUILD_ID', 'TEMPORAL_DEPLOYMENT_NAME', '__unversioned__'],
  ])('is refused where Temporal would refuse it: %s beside %s, %s', (bad, other, value) => {
    expect(refusal('worker', { ...good, [other]: 'fine', [bad]: value })).toContain(`  ${bad}: must be`);
  });
});

describe("the logo of the user's page", () => {
  const directory = mkdtempSync(join(tmpdir(), 'logo-'));
  const file = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(directory, name), bytes);
    return join(directory, name);
  };
  afterAll(() => rmSync(directory, { recursive: true }));

  it('is read with its type, and refused by the name of its variable when it is none', () => {
    const bytes = Buffer.from('picture');
    expect(readLogo(file('a.PNG', bytes))).toEqual({ type: 'image/png', bytes });
    expect(readLogo(file('a.svg', bytes)).type).toBe('image/svg+xml');
    for (const bad of [
      join(directory, 'none.png'),
      file('a.html', bytes),
      file('b.png', Buffer.alloc(262_145)),
    ]) {
      expect(() => readLogo(bad)).toThrow(/^PORTAL_LOGO: /);
    }
  });
});
