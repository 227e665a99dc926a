import type { SweepInput } from './contract.js';
import { db } from './proxies.js';

/** Finds what no signal has reached the workflows for, and signals them; run by a Schedule. */
export async function sweep(input: SweepInput): Promise<void> {
  await db().sweep({ graceMs: input.graceMs });
  await db().sweepErasures({ graceMs: input.graceMs });
}
