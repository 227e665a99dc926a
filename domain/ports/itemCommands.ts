import type { ApiKey } from './applications.js';
import type { Refused, Viewer } from '../exchange/viewer.js';
import type { KeyedRequest } from './idempotency.js';

export type ItemChangeReason = 'ACTIVE_FLOAT' | 'COOLDOWN';

/** Whose key asks. */
export type Caller = Pick<ApiKey, 'application_id' | 'key_id'>;

/**
 * Where a method takes a viewer, it does nothing without a connection that lets it: `not_found` where there never was one.
 * Where it takes a keyed request, whoever runs the same one again gets what was done the first time, and nothing is done.
 */
export interface ItemCommandStore {
  /**
   * Commits the wish to remove, under the user's and the Item's lock, so that no float is opened between the check and it.
   * `active_float`: nothing was done; with `force` floats are not asked. `pending` when it was wished before and has not come to its
   * end, `already` when it has. Asked `by` an application that sees only what it is connected with, and without `force`, its own
   * connection is revoked; where others are connected that is all (`disconnected`, which it was before: `already`), else the Item goes.
   * `by` null: the service itself asks.
   */
  requestRemoval(
    itemId: string,
    options: { force: boolean; by?: Caller | null },
  ): Promise<'requested' | 'pending' | 'disconnected' | 'already' | 'active_float' | 'not_found'>;
  /**
   * A token of update mode was made, for which the Item was picked at `pickedAt` (by the database's clock): of the viewer's connection
   * that had been suspended by then. Nothing is done for any other.
   */
  noteUpdateMode(viewer: Viewer, itemId: string, pickedAt: string): Promise<void>;
  /**
   * Ends the suspension of the application's connection with the Item, whose user has been at the bank. False, and nothing was done:
   * there is none, no update mode was begun for it since, or the bank still refuses the Item.
   */
  resumeConnection(itemId: string, by: Caller): Promise<boolean>;
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
