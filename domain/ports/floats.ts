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
   * Records what a float is; the latest `occurredAt` wins (null = now, by the database's clock), and of two reports of the
   * same moment `closed`. Returns the float as it stands. The user need not exist; one who does is locked meanwhile.
   * Rejects with USER_BEING_ERASED, and nothing is recorded.
   */
  record(word: {
    userId: string;
    floatId: string;
    status: FloatStatus;
    occurredAt: string | null;
  }): Promise<FloatView>;
  get(userId: string, floatId: string): Promise<FloatView | null>;
}
