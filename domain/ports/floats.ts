import type { Viewer } from '../exchange/viewer.js';

export type FloatStatus = 'active' | 'closed';

/** A short-term advance to a user, owned by another service. */
export interface FloatView {
  user_id: string;
  float_id: string;
  status: FloatStatus;
  /** When it became so, by its owner's clock, ISO 8601. */
  occurred_at: string;
}

export interface FloatStore {
  /**
   * Records what a float is; the latest `occurredAt` wins (null = now, by the database's clock; one that is more than a day ahead of it
   * gives way to any other), and of two reports of the same moment `closed`. Returns the float as it stands; the user is locked meanwhile. Told `by` an application of access
   * `connected` it is that application's own, whatever others call by the same id. Null: it does not know the user. `by` null: the
   * service itself, to whom the user need not be known. Rejects with USER_BEING_ERASED, and nothing is recorded, also where the user was
   * erased after `arrivedAt`, when the stream took the word (absent or null: it has come just now).
   */
  record(word: {
    userId: string;
    floatId: string;
    status: FloatStatus;
    occurredAt: string | null;
    arrivedAt?: string | null;
    by: Viewer | null;
  }): Promise<FloatView | null>;
  /** A float that the viewer has told of; for who sees every Item any, one that the stream has told of before others. */
  get(viewer: Viewer, userId: string, floatId: string): Promise<FloatView | null>;
}
