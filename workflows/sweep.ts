import type { SweepInput } from './contract.js';
import { db } from './proxies.js';

/** Workers look for them several times a second: what is found here is what these have missed. */
const endpointsAtOnce = 200;

/** Finds what no signal has reached the workflows for, and signals them; run by a Schedule. */
export async function sweep(input: SweepInput): Promise<void> {
  await db().sweep({ graceMs: input.graceMs });
  await db().wakeEndpoints({ limit: endpointsAtOnce });
}
