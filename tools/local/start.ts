import { once } from 'node:events';
import { runCommand } from './command.js';
import { DEFAULT_DATA_DIR, parseCommandOptions } from './commandOptions.js';
import { runDemo } from './demoRun.js';
import { SANDBOX_POLL, sandboxCredentials, type PlaidSandbox } from './plaidSandbox.js';
import { startDeployment, type StackFile } from './deployment.js';
import { plaidSandbox } from './environment.mjs';
import type { EventReceiver } from './eventReceiver.js';
import { failureText } from './failureText.js';
import { receiveEventsHere } from './localEndpoint.js';
import { say } from './progress.mjs';
import { renderSummary, verdict } from './summary.js';

/** `npm start`: the whole of Sluice on this machine, until Ctrl-C. */
const started = performance.now();

await runCommand(async (signal) => {
  try {
    await start(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return true;
});

async function start(signal: AbortSignal): Promise<void> {
  const options = parseCommandOptions(process.argv.slice(2), [
    'data-dir',
    'free-ports',
    'no-demo',
    'transactions',
  ]);
  const sandbox = sandboxCredentials(plaidSandbox);
  const dataDir = options.dataDir ?? DEFAULT_DATA_DIR;
  const deployment = await startDeployment({
    dataDir,
    freePorts: options.freePorts,
    transactionsPerItem: options.transactions,
    sandbox,
    signal,
  });
  let receiver: EventReceiver | undefined;
  try {
    const stack = deployment.describe();
    receiver = await receiveEventsHere(stack, dataDir, signal);
    if (sandbox) sayWhatIsOther(sandbox);
    else if (options.demo) await showDemo(stack, signal);
    signal.throwIfAborted();
    deployment.publish();
    process.stdout.write(`${renderAddresses(stack)}\n`);
    await once(signal, 'abort');
  } finally {
    say('stopping …');
    await deployment.stop();
    await receiver?.close();
    say('stopped');
  }
}

/** There is no truth to compare with, and perhaps no way for Plaid to reach us. */
function sayWhatIsOther({ publicUrl }: PlaidSandbox): void {
  say("Plaid's own sandbox is used: no demo user is linked, since nobody knows its truth");
  say(
    publicUrl === undefined
      ? `PUBLIC_URL is not set: Plaid cannot send webhooks here, Items are polled every ${SANDBOX_POLL} (UPDATE_TIMEOUT)`
      : `Plaid sends its webhooks to ${publicUrl}/webhooks/plaid, which must lead here`,
  );
}

/** A demo that fails is shown and leaves the stack running: it is the way to find out why. */
async function showDemo(stack: StackFile, signal: AbortSignal): Promise<void> {
  try {
    const items = await runDemo({ stack, customUser: undefined, signal });
    process.stdout.write(
      `\n${renderSummary(items, [], performance.now() - started)}\n${verdict(items, []).line}\n`,
    );
  } catch (error) {
    if (signal.aborted) throw error;
    say(`the demo failed: ${failureText(error)}`);
  }
}

function renderAddresses(stack: StackFile): string {
  return [
    '',
    `API docs         ${stack.api_url}/docs   (Authorization: Bearer <admin_api_key of stack.json>)`,
    `Temporal Web UI  ${stack.temporal_ui_url}`,
    stack.simulator_url === ''
      ? "Plaid            Plaid's own sandbox"
      : `Plaid simulator  ${stack.simulator_url}`,
    `Segment sink     ${stack.segment_sink_url}/events`,
    `Event receiver   ${stack.event_receiver_url}   (an endpoint of the application "default"; its secret is in endpoint.json)`,
    '',
    'Ready. Ctrl-C stops; data stay until `npm run reset`.',
  ].join('\n');
}
