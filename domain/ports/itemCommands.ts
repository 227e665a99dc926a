import type { Refused, Viewer } from '../exchange/viewer.js';
import type { KeyedRequest } from './idempotency.js';

export type ItemChangeReason = 'ACTIVE_FLOAT' | 'COOLDOWN';

/**
 * Where a method takes a viewer, it does nothing without a connection that lets it: `not_found` where there never was one.
 * Where it takes a keyed request, whoever runs the same one again gets what was done the first time, and nothing is done.
 */
export interface ItemCommandStore {
  /**
   * Commits the wish to remove, under the user's and the Item's lock, so that no float is opened between the check and it.
   * `active_float`: nothing was done; with `force` floats are not asked. `already` when it was wished before.
   */
  requestRemoval(
    itemId: string,
    options: { force: boolean },
  ): Promise<'requested' | 'already' | 'active_float' | 'not_found'>;
  /** The account must be one of the Item's open ones that the viewer sees; both accounts' records go to the streams. */
  setMainAccount(
    viewer: Viewer,
    itemId: string,
    accountId: string,
    keyed?: KeyedRequest | null,
  ): Promise<'done' | 'unknown_account' | 'item_removed' | 'not_found' | Refused>;
  /**
   * Why the user's Items may not be exchanged now. `cooldownMs` counts from a link or a change of the main account, of an Item that
   * the viewer sees.
   */
  itemChangeReasons(viewer: Viewer, userId: string, cooldownMs: number): Promise<ItemChangeReason[]>;
  /** Update mode was completed: new accounts were offered, numbers are to be read again, a look at Plaid is due. */
  noteRelinked(
    viewer: Viewer,
    itemId: string,
    keyed?: KeyedRequest | null,
  ): Promise<'noted' | 'not_found' | Refused>;
  /** Commits the wish to read everything again; one that waits or runs already is joined. Returns its number. */
  requestRemine(
    viewer: Viewer,
    itemId: string,
    keyed?: KeyedRequest | null,
  ): Promise<{ number: number } | 'item_removed' | 'not_found' | Refused>;
}
