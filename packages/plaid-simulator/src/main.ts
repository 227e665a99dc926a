import { readFile } from 'node:fs/promises';
import { BadOptions, parseOptions, USAGE } from './options.js';
import { startSimulator } from './server.js';

async function version(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
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
  const simulator = await startSimulator(options);
  process.stdout.write(`${JSON.stringify({ event: 'listening', url: simulator.url })}\n`);
  let stopping = false;
  const stop = () => {
    // npm and the terminal may both pass on one Ctrl-C.
    if (stopping) return;
    stopping = true;
    simulator.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

function fail(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`simulator: ${message}\n`);
  process.exit(error instanceof BadOptions ? 2 : 1);
}

main().catch(fail);
