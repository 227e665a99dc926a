import type { ChildProcessByStdio } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
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
const COMMAND = ['--import', import.meta.resolve('tsx'), MAIN];

/** The Plaid simulator; its world is kept in `<dataDir>/simulator.json`. */
export function simulatorService(options: SimulatorOptions): ServiceSpec {
  const args = [...COMMAND, '--port', String(options.port)];
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

/**
 * The simulator without a stack around it, with what it said of where it listens. Who started it ends it. `command`: how Node is told
 * to run it.
 */
export async function spawnSimulator(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  command: readonly string[] = COMMAND,
): Promise<{ child: ChildProcessByStdio<null, Readable, null>; url: string }> {
  const child = spawn(process.execPath, [...command, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return { child, url };
}
