import type { Patches } from '../../domain/patches.js';

/** For each named change the files that it touches, by their paths: other files must be as the histories were recorded. */
export const namedChanges: Readonly<Record<keyof Patches, readonly string[]>> = {};
