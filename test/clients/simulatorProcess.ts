import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../packages/plaid-simulator/src/main.ts', import.meta.url));

/** The simulator as a process of its own: the adapter meets it over HTTP, as it would Plaid. Its clock stands still unless moved. */
export async function startSimulator(transactionsPerItem: number): Promise<{
  url: string;
  close(): Promise<void>;
}> {
  const args = ['--port', '0', '--clock-scale', '0', '--transactions-per-item', String(transactionsPerItem)];
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    // jest's own flags are not the child's business.
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout);
  const [line] = (await once(lines, 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    close: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
