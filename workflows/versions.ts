import { patched } from '@temporalio/workflow';
import type { Patches } from '../domain/patches.js';
import { patchNames } from '../domain/patches.js';

/**
 * Which changes this run knows. A workflow asks once, at its head: a run goes on to its end as it began, and takes up what is new
 * when it continues as new.
 */
export function patchesOfThisRun(): Patches {
  return Object.fromEntries(patchNames.map((name) => [name, patched(name)]));
}
