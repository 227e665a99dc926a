import type { Sealed } from './secrets.js';

export type WithheldReason = 'account_closed' | 'account_revoked' | 'permission_revoked';

export interface NumbersStore {
  /**
   * Writes the audit row, commits it, and only then gives the sealed numbers. Those of closed and revoked accounts are
   * withheld. Null for an Item that we do not have.
   */
  read(
    itemId: string,
    reader: { application_id: string; key_id: string; request_id: string },
  ): Promise<{
    numbers: { accountId: string; asOf: string; sealed: Sealed }[];
    withheld: { accountId: string; reason: WithheldReason }[];
  } | null>;
}
