import type { NarrowedConnection } from '../exchange/connection.js';

/** A database that was set back to a backup. */
export interface Restore {
  restoreId: string;
  /** When it was found so, in milliseconds of the epoch: above every number of a change that was ever given. */
  base: number;
  /** Links that had not ended in the backup: what became of them nobody can know here. */
  doubtedLinks: number;
}

export interface RepublishedItems {
  items: number;
  /** Accounts and transactions that are told once more. */
  records: number;
  /** The last one; null = there are no more. */
  next: string | null;
}

/**
 * After a restore others hold what this database has forgotten: higher numbers of changes, later places among events, other content.
 * So that nothing of it is taken for its own, and everything that may have moved is asked for again.
 */
export interface RestoreStore {
  /**
   * Writes the restore down: places among events that were given before are lost. Links that were on their way are never asked for at
   * Plaid again, since they may have been. Numbers of accounts are withheld until they are read again.
   */
  begin(): Promise<Restore>;
  /**
   * The next `limit` Items that are not removed, each in a transaction of its own: numbers its changes on from `base`, tells everything
   * that is live once more, and makes all that Plaid may know better due now. Of one that is to be removed nothing is told.
   */
  republish(restore: Restore, after: string | null, limit: number): Promise<RepublishedItems>;
  /** Every Item was told anew. */
  finish(restoreId: string): Promise<void>;
  /**
   * Ids of Items whose removal was asked for, of connections and API keys that were revoked, of endpoints that were deleted, in their
   * order; the next `limit` after `after`.
   */
  ended(
    what: 'item' | 'connection' | 'key' | 'endpoint',
    after: string | null,
    limit: number,
  ): Promise<string[]>;
  /** Connections that live, and were changed by somebody since they were made, or suspended; the next `limit` after `after`. */
  narrowed(after: string | null, limit: number): Promise<NarrowedConnection[]>;
  /** Ids of applications that see only what they are connected with; the next `limit` after `after`. */
  connectedApplications(after: string | null, limit: number): Promise<string[]>;
  /** Has these see no more than that; resolves to how many saw every Item. */
  lowerAccess(applicationIds: readonly string[]): Promise<number>;
  /** Which of these have not ended here. */
  live(what: 'item' | 'connection', ids: readonly string[]): Promise<string[]>;
  /** Ends those of these API keys or endpoints that have not ended here; resolves to how many. */
  end(what: 'key' | 'endpoint', ids: readonly string[]): Promise<number>;
}
