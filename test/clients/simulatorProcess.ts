import { once } from 'node:events';
import { spawnSimulator } from '../../tools/local/simulator.js';
import { programArguments } from '../stack/program.js';

/** The simulator as a process of its own: the adapter meets it over HTTP, as it would Plaid. Its clock stands still unless moved. */
export async function startSimulator(transactionsPerItem: number): Promise<{
  url: string;
  close(): Promise<void>;
}> {
  const args = ['--port', '0', '--clock-scale', '0', '--transactions-per-item', String(transactionsPerItem)];
  // jest's own flags are not the child's business.
  const command = programArguments('packages/plaid-simulator/src/main.ts');
  const { child, url } = await spawnSimulator(args, { PATH: process.env['PATH'] }, command);
  return {
    url,
    close: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
