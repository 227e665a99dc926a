import { randomInt } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { SetupFailure } from './setupFailure.mjs';

/** The fixed ports of `npm start`, all on 127.0.0.1. */
export const FIXED_PORTS = {
  api: 8080,
  temporal: 7233,
  temporalUi: 8233,
  postgres: 5433,
  kinesis: 4567,
  kinesisTls: 4568,
  simulator: 8290,
  segment: 8291,
  events: 8292,
  apiMetrics: 9464,
  workerMetrics: 9465,
  listenerMetrics: 9466,
} as const;

type PortName = keyof typeof FIXED_PORTS;
export type Ports = Readonly<Record<PortName, number>>;

/**
 * The ports to start on. Free ones are remembered by the caller and given back as `previous`: the simulator keeps each
 * item's webhook URL over a restart, and it must still lead to our API.
 */
export async function choosePorts(freePorts: boolean, previous?: Partial<Ports>): Promise<Ports> {
  const names = Object.keys(FIXED_PORTS) as PortName[];
  const chosen = new Map<PortName, number>();
  if (!freePorts) {
    const taken: string[] = [];
    for (const name of names) {
      const port = FIXED_PORTS[name];
      if (!(await isFree(port))) taken.push(`${port} (${name})`);
      chosen.set(name, port);
    }
    if (taken.length > 0) {
      throw new SetupFailure(
        `port ${taken.join(', ')} in use by another program: stop it, or start on other ports with \`npm start -- --free-ports\``,
      );
    }
  } else {
    for (const name of names) {
      const before = previous?.[name];
      const usable = before !== undefined && ![...chosen.values()].includes(before) && (await isFree(before));
      chosen.set(name, usable ? before : await freePort([...chosen.values()]));
    }
  }
  return Object.fromEntries(chosen) as Ports;
}

/** An empty file for each port that was chosen lately. Its server may listen much later, on a machine that is busy. */
const CHOSEN = path.join(tmpdir(), `sluice-ports-${userInfo().uid}`);
const CHOSEN_FOR_MS = 15 * 60_000;

/**
 * A port nobody listens on, below the range from which the system takes ports for outgoing connections. Nobody who asks here
 * is given it for a quarter of an hour: two stacks that started at once took each other's ports.
 */
export async function freePort(except: readonly number[] = []): Promise<number> {
  const [low, high] = [10_000, Math.min(lowestEphemeralPort(), 32_768)];
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(low, high);
    if (!except.includes(port) && (await isFree(port)) && choose(port)) return port;
  }
  throw new SetupFailure(`no free port between ${low} and ${high}`);
}

/** Whether it is ours from now on. */
function choose(port: number): boolean {
  const file = path.join(CHOSEN, String(port));
  mkdirSync(CHOSEN, { recursive: true });
  const before = statSync(file, { throwIfNoEntry: false });
  if (before !== undefined && Date.now() - before.mtimeMs > CHOSEN_FOR_MS) rmSync(file, { force: true });
  try {
    closeSync(openSync(file, 'wx'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Whether a server could listen here now: on loopback and on all addresses (the Kinesis emulator binds those). */
async function isFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, undefined));
}

function canListen(port: number, host: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function lowestEphemeralPort(): number {
  try {
    const low = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
    return low > 15_000 ? low : 32_768;
  } catch {
    return 32_768;
  }
}
