import type { Sources } from './temporalSources.mjs';

/** The `temporal` program to run, from the first place that has it; absolute path. Throws SetupFailure when nothing has it. */
export function findTemporal(given?: Partial<Sources>): Promise<string>;
/** `findTemporal` for this process, asked once. */
export function temporalProgram(): Promise<string>;
