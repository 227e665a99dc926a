import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { callerDir } from './environment.mjs';
import { SetupFailure } from './setupFailure.mjs';

export interface CommandOptions {
  /** Absolute. Default `.sluice` in the clone. */
  readonly dataDir: string | undefined;
  readonly freePorts: boolean;
  readonly demo: boolean;
  readonly transactions: number | undefined;
  /** Absolute path of a file in Plaid's custom-user format. */
  readonly customUser: string | undefined;
}

export const DEFAULT_DATA_DIR = fileURLToPath(new URL('../../.sluice', import.meta.url));

/** Options of `npm start`, `npm run demo` and `npm run reset`; paths count from where npm was called. */
export function parseCommandOptions(args: readonly string[], allowed: readonly string[]): CommandOptions {
  const all = {
    'data-dir': { type: 'string' },
    'free-ports': { type: 'boolean', default: false },
    'no-demo': { type: 'boolean', default: false },
    transactions: { type: 'string' },
    'custom-user': { type: 'string' },
  } as const;
  const usage = `options: ${allowed.map((name) => `--${name}`).join(' ')}`;
  let values: ReturnType<typeof parseArgs<{ options: typeof all }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...args], options: all }));
  } catch (error) {
    throw new SetupFailure(`${(error as Error).message}\n${usage}`);
  }
  for (const [name, value] of Object.entries(values)) {
    if (value !== false && !allowed.includes(name))
      throw new SetupFailure(`--${name} is not an option here\n${usage}`);
  }
  const transactions = values.transactions === undefined ? undefined : Number(values.transactions);
  if (transactions !== undefined && !(Number.isSafeInteger(transactions) && transactions >= 0)) {
    throw new SetupFailure(`--transactions takes a number of transactions, not ${values.transactions}`);
  }
  const absolute = (file: string | undefined) =>
    file === undefined ? undefined : path.resolve(callerDir, file);
  return {
    dataDir: absolute(values['data-dir']),
    freePorts: values['free-ports'],
    demo: !values['no-demo'],
    transactions,
    customUser: absolute(values['custom-user']),
  };
}
