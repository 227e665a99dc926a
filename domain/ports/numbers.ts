import type { Refused, Viewer } from '../exchange/viewer.js';
import type { Sealed } from './secrets.js';

export type WithheldReason = 'account_closed' | 'account_revoked' | 'permission_revoked' | 'item_removed';

/** Why an account has no numbers: how Plaid's verification of it stands, or that Plaid refuses the question for all of them. */
export type MissingReason =
  | 'verification_pending'
  | 'verification_expired'
  | 'verification_failed'
  | 'consent_required'
  | 'not_available';

export interface NumbersStore {
  /**
   * Writes the audit row, commits it, and only then gives the sealed numbers. Those of closed and revoked accounts, and of an Item
   * whose removal was asked for, are withheld. `missing`: open accounts without numbers of which it is known why; `nextReadAt`
   * (ISO 8601): when Plaid is asked (again), null = nothing is waited for. Only of accounts that the viewer is granted; nothing is written
   * of a refused read. Null for an Item that we do not have.
   */
  read(
    viewer: Viewer,
    itemId: string,
    reader: { key_id: string; request_id: string },
  ): Promise<
    | {
        numbers: { accountId: string; asOf: string; sealed: Sealed }[];
        withheld: { accountId: string; reason: WithheldReason }[];
        /** `errorCode`: Plaid's, where it refuses the question. */
        missing: { accountId: string; reason: MissingReason; errorCode: string | null }[];
        nextReadAt: string | null;
      }
    | Refused
    | null
  >;
}
