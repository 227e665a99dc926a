import { once } from 'node:events';
import { DEFAULT_DATA_DIR, parseCommandOptions } from './commandOptions.js';
import { runDemo } from './demoRun.js';
import { startDeployment, type StackFile } from './deployment.js';
import { say } from './progress.mjs';
import { SetupFailure } from './setupFailure.mjs';
import { onStopSignals } from './stopSignals.js';
import { renderSummary, verdict } from './summary.js';

/** `npm start`: the whole of Sluice on this machine, until Ctrl-C. */
const started = performance.now();
const signal = onStopSignals();

try {
  const options = parseCommandOptions(process.argv.slice(2), [
    'data-dir',
    'free-ports',
    'no-demo',
    'transactions',
  ]);
  const deployment = await startDeployment({
    dataDir: options.dataDir ?? DEFAULT_DATA_DIR,
    freePorts: options.freePorts,
    transactionsPerItem: options.transactions,
    signal,
  });
  try {
    const stack = deployment.describe();
    if (options.demo) await showDemo(stack);
    signal.throwIfAborted();
    deployment.publish();
    process.stdout.write(`${renderAddresses(stack)}\n`);
    await once(signal, 'abort');
  } finally {
    say('stopping …');
    await deployment.stop();
    say('stopped');
  }
} catch (error) {
  if (!signal.aborted) {
    say(
      error instanceof SetupFailure
        ? error.message
        : error instanceof Error
          ? String(error.stack)
          : String(error),
    );
    process.exitCode = 1;
  }
}
process.exit();

/** A demo that fails is shown and leaves the stack running: it is the way to look into why. */
async function showDemo(stack: StackFile): Promise<void> {
  try {
    const items = await runDemo({ stack, customUser: undefined, signal });
    process.stdout.write(
      `\n${renderSummary(items, [], performance.now() - started)}\n${verdict(items, []).line}\n`,
    );
  } catch (error) {
    if (signal.aborted) throw error;
    say(`the demo failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function renderAddresses(stack: StackFile): string {
  return [
    '',
    `API docs         ${stack.api_url}/docs   (Authorization: Bearer <admin_api_key of stack.json>)`,
    `Temporal Web UI  ${stack.temporal_ui_url}`,
    `Plaid simulator  ${stack.simulator_url}`,
    `Segment sink     ${stack.segment_sink_url}/events`,
    '',
    'Ready. Ctrl-C stops; data stay until `npm run reset`.',
  ].join('\n');
}
