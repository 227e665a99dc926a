import { parseArgs } from 'node:util';

export type LimitTable = 'off' | 'production' | 'sandbox';

/** How a simulator behaves; what `--help` lists. Durations in milliseconds. */
export interface SimulatorOptions {
  /** 0: a free one. */
  port: number;
  host: string;
  /** File that keeps the world over a restart; `null`: nothing is kept. */
  state: string | null;
  /** File with an exported world to begin with; it replaces what `state` has kept. */
  import: string | null;
  transactionsPerItem: number;
  institutions: number;
  /** Real time added to each answer. */
  latencyMs: number;
  limits: LimitTable;
  webhookTarget: string | null;
  /** Origin at which browsers reach this simulator, for `hosted_link_url`; `null`: as the request names it. */
  publicUrl: string | null;
  clockScale: number;
  /** Where simulated time starts (epoch ms); `null`: now. */
  now: number | null;
  seed: string;
  /** Accepted credentials, id to secret; empty: any that are not empty. */
  clients: Record<string, string>;
  /** Simulated time from an Item's creation until INITIAL_UPDATE and HISTORICAL_UPDATE. */
  initialAfterMs: number;
  historicalAfterMs: number;
  /** Days after which an Item asks for a new login, as in Plaid's sandbox (30 there); 0: never. */
  loginExpiresAfterDays: number;
}

export const DEFAULT_OPTIONS: SimulatorOptions = {
  port: 0,
  host: '127.0.0.1',
  state: null,
  import: null,
  transactionsPerItem: 1_500,
  institutions: 300,
  latencyMs: 0,
  limits: 'off',
  webhookTarget: null,
  publicUrl: null,
  clockScale: 1,
  now: null,
  seed: 'sluice',
  clients: {},
  initialAfterMs: 10_000,
  historicalAfterMs: 60_000,
  loginExpiresAfterDays: 0,
};

export const USAGE = `A Plaid to develop and test against: give a Plaid client its URL and any client id and secret.

plaid-simulator [options]

  --port N                     port to listen on (0 or absent: a free one)
  --host ADDRESS               default 127.0.0.1
  --state FILE                 keep world, keys, clock and pending webhooks in this file
  --import FILE                begin with a world that GET /_sim/world has exported
  --transactions-per-item N    default 1500
  --institutions N             how many institutions there are, default 300
  --latency-ms N               added to every answer
  --limits off|production|sandbox   enforce Plaid's published rate limits (counted all the same)
  --webhook-target URL         send all webhooks here (an origin keeps their paths)
  --public-url URL             where browsers find this simulator, for hosted_link_url
  --clock-scale N              simulated time runs N times as fast; 0 stands still
  --now TIME                   where simulated time starts (ISO 8601)
  --seed TEXT                  what all data follow from
  --client ID:SECRET           accept only these credentials (repeatable); tokens are then bound to their client
  --initial-after-ms N         simulated time until INITIAL_UPDATE, default 10000
  --historical-after-ms N      simulated time until HISTORICAL_UPDATE, default 60000
  --login-expires-after-days N as Plaid's sandbox does after 30; default 0 (never)
  --version
  --help
`;

/** Command-line arguments that make no sense; the message lists all of them. */
export class BadOptions extends Error {}

/** Parses the command line; or what was asked about the program instead. */
export function parseOptions(args: readonly string[]): SimulatorOptions | 'help' | 'version' {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        state: { type: 'string' },
        import: { type: 'string' },
        'transactions-per-item': { type: 'string' },
        institutions: { type: 'string' },
        'latency-ms': { type: 'string' },
        limits: { type: 'string' },
        'webhook-target': { type: 'string' },
        'public-url': { type: 'string' },
        'clock-scale': { type: 'string' },
        now: { type: 'string' },
        seed: { type: 'string' },
        client: { type: 'string', multiple: true },
        'initial-after-ms': { type: 'string' },
        'historical-after-ms': { type: 'string' },
        'login-expires-after-days': { type: 'string' },
        version: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new BadOptions(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return 'help';
  if (values.version) return 'version';
  const bad: string[] = [];
  const number = (name: string, text: string | undefined, fallback: number, whole = true): number => {
    if (text === undefined) return fallback;
    const value = text.trim() === '' ? NaN : Number(text);
    if (!Number.isFinite(value) || value < 0 || (whole && !Number.isInteger(value))) {
      bad.push(`--${name} must be a ${whole ? 'whole ' : ''}number, 0 or more`);
    }
    return value;
  };
  const defaults = DEFAULT_OPTIONS;
  const limits = values.limits ?? defaults.limits;
  if (limits !== 'off' && limits !== 'production' && limits !== 'sandbox') {
    bad.push('--limits must be off, production or sandbox');
  }
  const now = values.now === undefined ? null : Date.parse(values.now);
  if (now !== null && Number.isNaN(now)) bad.push('--now must be an ISO 8601 time');
  const target = values['webhook-target'] ?? null;
  if (target !== null && !isHttpUrl(target)) bad.push('--webhook-target must be an http or https URL');
  const publicUrl = values['public-url'] ?? null;
  if (publicUrl !== null && !isHttpUrl(publicUrl)) bad.push('--public-url must be an http or https URL');
  const clients: Record<string, string> = {};
  for (const pair of values.client ?? []) {
    const colon = pair.indexOf(':');
    if (colon < 1 || colon === pair.length - 1) bad.push('--client must be ID:SECRET');
    else clients[pair.slice(0, colon)] = pair.slice(colon + 1);
  }
  const options: SimulatorOptions = {
    port: number('port', values.port, defaults.port),
    host: values.host ?? defaults.host,
    state: values.state ?? null,
    import: values.import ?? null,
    transactionsPerItem: number(
      'transactions-per-item',
      values['transactions-per-item'],
      defaults.transactionsPerItem,
    ),
    institutions: number('institutions', values.institutions, defaults.institutions),
    latencyMs: number('latency-ms', values['latency-ms'], defaults.latencyMs),
    limits: limits as LimitTable,
    webhookTarget: target,
    publicUrl,
    clockScale: number('clock-scale', values['clock-scale'], defaults.clockScale, false),
    now,
    seed: values.seed ?? defaults.seed,
    clients,
    initialAfterMs: number('initial-after-ms', values['initial-after-ms'], defaults.initialAfterMs),
    historicalAfterMs: number(
      'historical-after-ms',
      values['historical-after-ms'],
      defaults.historicalAfterMs,
    ),
    loginExpiresAfterDays: number(
      'login-expires-after-days',
      values['login-expires-after-days'],
      defaults.loginExpiresAfterDays,
    ),
  };
  if (options.port > 65_535) bad.push('--port must be at most 65535');
  if (bad.length > 0) throw new BadOptions(bad.join('\n'));
  return options;
}

export function isHttpUrl(text: string): boolean {
  try {
    const { protocol } = new URL(text);
    return protocol === 'http:' || protocol === 'https:';
  } catch {
    return false;
  }
}
