import type { SweepInput } from './contract.js';
import { db } from './proxies.js';

/**
 * Finds what no signal has reached the workflows for, and signals them; does what time alone brings about. Run by a Schedule. One that
 * fails holds up none of the others.
 */
export async function sweep(input: SweepInput): Promise<void> {
  await Promise.all([db().sweep({ graceMs: input.graceMs }), db().endConnections()]);
}
