import { together } from '../stack/together.js';
import { stillWaiting } from './oracle.js';

/** Scenarios that all run at once on one system, each on Items of its own. */
export function runTogether(scenarios: Record<string, () => Promise<void>>): void {
  const scenario = together();
  for (const [name, run] of Object.entries(scenarios)) scenario(name, run);
}

/** After each test: if it ran out of time, what was it waiting for? */
export function tellWhatWaits(): void {
  afterEach(() => {
    const waits = stillWaiting();
    if (waits.length > 0) process.stderr.write(`still waiting:\n  ${waits.join('\n  ')}\n`);
  });
}
