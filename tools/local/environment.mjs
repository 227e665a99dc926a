// The one file of the bootstrap and of local/ that reads the environment of this process.
// Plain JavaScript on node built-ins: the bootstrap runs before anything is installed.
import { homedir } from 'node:os';
import path from 'node:path';

/** Exact copy for tools that must see what the caller sees (npm, go, the test runner). */
export const inherited = Object.freeze({ ...process.env });

export const temporalBinOverride = inherited.SLUICE_TEMPORAL_BIN || undefined;
export const searchPath = (inherited.PATH ?? '').split(path.delimiter).filter(Boolean);
/** Set by npm for its scripts; another package manager's own path is of no use for `npm ci`. */
export const npmCli = inherited.npm_execpath?.endsWith('npm-cli.js') ? inherited.npm_execpath : undefined;

/** Where the user stood: npm itself changes into the clone. */
export const callerDir = inherited.INIT_CWD || process.cwd();

/** Outside the clone, so that a second clone finds what the first one built. */
export const cacheDir = path.join(inherited.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'sluice');

/** `SLUICE_TEST_SERVICES=postgres,temporal` narrows what the test run starts; all three by default. */
export const testServices = (inherited.SLUICE_TEST_SERVICES || 'postgres,temporal,kinesis').split(',');

const MACHINE = ['PATH', 'HOME', 'USER', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'NODE_EXTRA_CA_CERTS'];
const TUNING = [
  'STALE_AFTER',
  'UPDATE_TIMEOUT',
  'ITEM_GRACE',
  'INSTITUTION_SYNC_EVERY',
  'ITEM_CHANGE_COOLDOWN',
  'PLAID_PRODUCTS',
  'PLAID_COUNTRY_CODES',
  'PACE',
  'RATE_LIMIT_PER_MINUTE',
  'USER_EVENTS_POLL',
];

/** What every child process gets: where programs and homes are. Nothing else of a developer's shell leaks into the stack. */
export const machineEnvironment = pick((name) => MACHINE.includes(name));

/**
 * What the developer may tune in the applications of the local stack from the shell. An allow-list: a `DATABASE_URL`, a
 * `PLAID_ENV=production` or AWS credentials left in the shell must never reach the local stack.
 */
export const tuningEnvironment = pick(
  (name) => TUNING.includes(name) || name.startsWith('OTEL_') || name === 'SLUICE_CRASH_AT',
);

/**
 * Plaid's own sandbox in place of the simulator: `PLAID_ENV=sandbox` with credentials of the developer's own. `PUBLIC_URL` is
 * where Plaid's webhooks can reach this machine (a tunnel, say).
 * @type {{ clientId: string | undefined, secret: string | undefined, publicUrl: string | undefined } | undefined}
 */
export const plaidSandbox =
  inherited.PLAID_ENV === 'sandbox'
    ? Object.freeze({
        clientId: inherited.PLAID_CLIENT_ID || undefined,
        secret: inherited.PLAID_SECRET || undefined,
        publicUrl: inherited.PUBLIC_URL || undefined,
      })
    : undefined;

// The AWS SDK prints a page about its plans for Node 20 into the progress of `npm start`; package.json's engines say what we support.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

/** @param {(name: string) => boolean} wanted */
function pick(wanted) {
  /** @type {Record<string, string>} */
  const picked = {};
  for (const [name, value] of Object.entries(inherited)) {
    if (value !== undefined && wanted(name)) picked[name] = value;
  }
  return Object.freeze(picked);
}
