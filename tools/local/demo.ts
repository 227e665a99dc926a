import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runCommand } from './command.js';
import { parseCommandOptions } from './commandOptions.js';
import { showFeatures } from './demoFeatures.js';
import { runDemo } from './demoRun.js';
import { startDeployment } from './deployment.js';
import { failureText } from './failureText.js';
import { closedPlaceSubstitute } from './postgresAccount.js';
import { say } from './progress.mjs';
import { renderSummary, verdict } from './summary.js';

/** `npm run demo`: the whole path on free ports and an empty folder; exits 0 only when everything equals the truth. */
const started = performance.now();

await runCommand(async (signal) => {
  try {
    const { equal, line } = await demo(signal);
    process.stdout.write(`${line}\n`);
    return equal;
  } catch (error) {
    process.stdout.write(`${signal.aborted ? 'interrupted' : failureText(error)}\n`);
    return false;
  }
});

async function demo(signal: AbortSignal): Promise<ReturnType<typeof verdict>> {
  const options = parseCommandOptions(process.argv.slice(2), ['custom-user', 'transactions', 'data-dir']);
  const scratch =
    options.dataDir === undefined ? mkdtempSync(path.join(tmpdir(), 'sluice-demo-')) : undefined;
  const dataDir = options.dataDir ?? scratch ?? '';
  say(`data and logs: ${dataDir}`);
  const deployment = await startDeployment({
    dataDir,
    freePorts: true,
    transactionsPerItem: options.transactions,
    signal,
  });
  let result: ReturnType<typeof verdict>;
  try {
    const stack = deployment.describe();
    const items = await runDemo({ stack, customUser: options.customUser, signal });
    const checks = options.customUser === undefined ? await showFeatures(stack, signal) : [];
    process.stdout.write(`\n${renderSummary(items, checks, performance.now() - started)}\n`);
    result = verdict(items, checks);
  } finally {
    await deployment.stop();
  }
  // What went wrong stays for whoever asks why; what went right is nobody's litter.
  if (scratch !== undefined && result.equal) {
    rmSync(closedPlaceSubstitute(path.join(realpathSync(scratch), 'postgres')), {
      recursive: true,
      force: true,
    });
    rmSync(scratch, { recursive: true, force: true });
  }
  return result;
}
