import { writeFileSync } from 'node:fs';

/** The clock of one process, which can be made to jump while it runs. */
export interface ProcessClock {
  /** On top of the environment with which the process is started. */
  env: Record<string, string>;
  /** Milliseconds by which it is ahead of the machine's, from now on. */
  jumpTo(offsetMs: number): void;
}

/** @param file where the process reads by how much its clock is off */
export function createProcessClock(file: string): ProcessClock {
  const preload = new URL('clock.mjs', import.meta.url);
  preload.searchParams.set('offset', file);
  const jumpTo = (offsetMs: number): void => writeFileSync(file, String(offsetMs));
  jumpTo(0);
  return { env: { NODE_OPTIONS: `--import=${preload.href}` }, jumpTo };
}
