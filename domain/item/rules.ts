import type { Patches } from '../patches.js';
import type { Policy } from './policy.js';

/** By what an Item's workflow decides, besides its state: both come from outside and are never carried in it. */
export interface Rules {
  /** The worker's configuration, read with each reload of the row. */
  policy: Policy;
  /** Which changes of the code this run knows. */
  patches: Patches;
}
