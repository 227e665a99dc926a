import { readFile } from 'node:fs/promises';
import closeWithGrace from 'close-with-grace';
import { errorReport } from './errorReport.js';
import { BadOptions, parseOptions, USAGE } from './options.js';
import { startSimulator, type Simulator } from './server.js';

/** The state file of a large world is written anew at the end. */
const CLOSE_WITHIN_MS = 60_000;
/** Repeats of a signal within this time are one wish: npm and the terminal may both pass on one Ctrl-C. */
const ONE_WISH_MS = 1_000;
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** Stop signals are ours, since a repeat is no second wish; the others and an idle event loop end a process by themselves. */
const OWN_BUSINESS: closeWithGrace.AllEvents[] = [
  ...STOP_SIGNALS,
  'SIGHUP',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'beforeExit',
];

/** Tells close-with-grace to exit with 1; what went wrong has been told. */
class Failed extends Error {}

let simulator: Simulator | undefined;
let askedAt: number | undefined;

const grace = closeWithGrace(
  { delay: CLOSE_WITHIN_MS, logger: false, skip: OWN_BUSINESS, onSecondError: say },
  async (why) => {
    // By the key: what is thrown or rejected with may be nothing at all, and is a failure all the same.
    const failed = 'err' in why;
    if (failed) say(why.err);
    await simulator?.close().catch((error: unknown) => {
      say(error);
      throw error;
    });
    if (failed) throw new Failed();
  },
);

try {
  await main();
} catch (error) {
  say(error);
  process.exit(error instanceof BadOptions ? 2 : 1);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(USAGE);
    return;
  }
  if (options === 'version') {
    process.stdout.write(`${await version()}\n`);
    return;
  }
  simulator = await startSimulator(options);
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  process.stdout.write(`${JSON.stringify({ event: 'listening', url: simulator.url })}\n`);
}

function stop(): void {
  const now = performance.now();
  if (askedAt === undefined) {
    askedAt = now;
    grace.close();
  } else if (now - askedAt > ONE_WISH_MS) process.exit(1);
}

async function version(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function say(error: unknown): void {
  process.stderr.write(`simulator: ${errorReport(error)}\n`);
}
