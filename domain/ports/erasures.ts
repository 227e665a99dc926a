/** How far the erasure of a user's data is. `removing`: Items still live at Plaid, or a link is still ending. */
export type ErasureState = 'removing' | 'deleting' | 'done';

/** An erasure as clients see it. It names no user: whoever has the id finds it by its hash. */
export interface ErasureView {
  erasure_id: string;
  /** SHA-256 of the user's id, hex. */
  user_hash: string;
  state: ErasureState;
  /** Items that are still to be removed at Plaid, and links that have not ended. */
  left: { items: number; links: number };
  /** ISO 8601. */
  requested_at: string;
  ended_at: string | null;
  /** Rows that were deleted, by table. */
  deleted: Record<string, number>;
}

export interface ErasureRequest {
  /** Names the erasure, where the user has none yet. */
  erasureId: string;
  /** Although the user has an active float. */
  force: boolean;
  applicationId: string;
  keyId: string;
}

/** What is left to end before rows may be deleted. */
export interface LeftToEnd {
  items: { itemId: string; userId: string }[];
  links: { tokenHash: string; userId: string }[];
}

/** What the streams are told of an erasure. */
export interface ErasedUser {
  erasureId: string;
  /** It was carried out before, and forgotten: what the streams were told then is no repeat of this. */
  repeated: boolean;
  userId: string;
  userHash: string;
  itemIds: string[];
  requestedAt: string;
}

/** An erasure that has not ended. */
export interface OpenErasure {
  erasureId: string;
  /** It has been going on for so long that an operator has to know. */
  late: boolean;
}

/** What outlives a database of an erasure that was asked for. */
export interface PastErasure {
  erasureId: string;
  /** SHA-256 of the user's id, hex. */
  userHash: string;
  /** A moment between the request and the end, ISO 8601: whoever came later under the same id is another user. */
  at: string;
}

export interface ErasureStore {
  /**
   * Commits that everything of the user is to go: nothing is linked any more, and the removal of all Items is asked for. One that goes on
   * already is the answer; for a user who is gone, the last one that was erased under this id.
   */
  request(userId: string, request: ErasureRequest): Promise<ErasureView | 'not_found' | 'active_float'>;
  get(erasureId: string): Promise<ErasureView | null>;
  /** Ends what began beside the request, and tells what is not at its end. Null: the erasure has ended, or there is none. */
  stop(erasureId: string): Promise<LeftToEnd | null>;
  /**
   * Deletes rows of the user, at most `limit` of one table, and counts them in the same transaction. Only when nothing is left to end.
   * Resolves to their number: 0 = there are none left but the Items, the user and the erasure.
   */
  deleteRows(erasureId: string, limit: number): Promise<number>;
  /** Whose erasure it is; null when it has ended. */
  subject(erasureId: string): Promise<(ErasedUser & { workflowIds: string[] }) | null>;
  /**
   * The end, in one transaction: what came late, the Items and the user are deleted, the erasure forgets whose it was, the event
   * `user.erased` and an audit entry are written. Once; afterwards it does nothing. False, and nothing is done, when something has not
   * ended yet.
   */
  finish(erasureId: string): Promise<boolean>;
  /** Every erasure that was ever asked for, by its id; the next `limit` after `after`. */
  past(after: string | null, limit: number): Promise<PastErasure[]>;
  /**
   * Asks again for erasures that this database has forgotten: of users who are here by one of the hashes and were before the erasure,
   * under its id, whatever floats they have. Others are left alone. Resolves to the ids of those that were begun. Safe to repeat.
   */
  reapply(past: readonly PastErasure[]): Promise<string[]>;
  /**
   * Those that have been going on for longer than `graceMs`, the longest waiting first, where one that the sweep signalled waits since
   * then; `late` after `lateAfterMs`.
   */
  open(limit: number, graceMs: number, lateAfterMs: number): Promise<OpenErasure[]>;
  /** Raises `erasure_late`, unless the erasure has ended: its end has deleted the alert. Waits for nobody who holds it. */
  raiseLate(erasureId: string): Promise<void>;
}
