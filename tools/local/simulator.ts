import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServiceSpec } from './service.js';
import { answersOk } from './service.js';

export interface SimulatorOptions {
  readonly dataDir: string;
  readonly logFile: string;
  readonly port: number;
  readonly ephemeral: boolean;
  readonly transactionsPerItem?: number | undefined;
  /** Further options of `npm run simulator`. */
  readonly args?: readonly string[] | undefined;
}

const MAIN = fileURLToPath(new URL('../../packages/plaid-simulator/src/main.ts', import.meta.url));

/** The Plaid simulator; its world is kept in `<dataDir>/simulator.json`. */
export function simulatorService(options: SimulatorOptions): ServiceSpec {
  const args = ['--import', import.meta.resolve('tsx'), MAIN, '--port', String(options.port)];
  if (!options.ephemeral) args.push('--state', path.join(options.dataDir, 'simulator.json'));
  if (options.transactionsPerItem !== undefined)
    args.push('--transactions-per-item', String(options.transactionsPerItem));
  args.push(...(options.args ?? []));
  return {
    name: 'simulator',
    launch: { name: 'simulator', command: process.execPath, args, logFile: options.logFile },
    isReady: () => answersOk(`http://127.0.0.1:${options.port}/_sim/items`),
    readyTimeoutMs: 60_000,
    stopSignal: 'SIGTERM',
    stopGraceMs: 10_000,
  };
}
