import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand } from '../local/command.js';
import { failureText } from '../local/failureText.js';
import { say } from '../local/progress.mjs';
import { drill } from './drill.js';

/** `npm run drill [-- --transactions N]`: loses the database and Temporal under load, restores, and shows what heals. */
const { values } = parseArgs({ options: { transactions: { type: 'string', default: '300' } } });

await runCommand(async (signal) => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'sluice-drill-'));
  say(`data and logs: ${dataDir}`);
  try {
    const checks = await drill({ dataDir, transactionsPerItem: Number(values.transactions), signal });
    process.stdout.write(`\n${table(checks)}\n`);
    const unmet = checks.filter(({ expected, found }) => expected !== found);
    process.stdout.write(unmet.length === 0 ? 'all as expected\n' : `NOT as expected: ${unmet.length}\n`);
    if (unmet.length === 0) rmSync(dataDir, { recursive: true, force: true });
    return unmet.length === 0;
  } catch (error) {
    process.stdout.write(`${signal.aborted ? 'interrupted' : failureText(error)}\n`);
    return false;
  }
});

function table(checks: Awaited<ReturnType<typeof drill>>): string {
  return checks
    .map(({ what, expected, found, seconds }) =>
      [
        expected === found ? 'ok  ' : 'DIFF',
        what,
        expected === found ? found : `expected ${expected}, found ${found}`,
        seconds === null ? '' : `after ${seconds.toFixed(1)} s`,
      ]
        .filter(Boolean)
        .join(' | '),
    )
    .join('\n');
}
