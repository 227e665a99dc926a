import type { SweepInput } from './contract.js';
import { db } from './proxies.js';

/** Workers look for them several times a second: what is found here is what these have missed. */
const endpointsAtOnce = 200;

/**
 * Finds what no signal has reached the workflows for, and signals them; does what time alone brings about. Run by a Schedule. One that
 * fails holds up none of the others.
 */
export async function sweep(input: SweepInput): Promise<void> {
  await Promise.all([
    db().sweep({ graceMs: input.graceMs }),
    db().endConnections(),
    db().wakeEndpoints({ limit: endpointsAtOnce }),
  ]);
}
