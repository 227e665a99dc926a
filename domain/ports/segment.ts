/** A Segment `track` call. */
export interface SegmentEvent {
  /** `<item_id>:<errored|repaired>:<episode>`: Segment drops repeats of it. */
  messageId: string;
  userId: string;
  event: 'item errored' | 'item repaired';
  properties: {
    item_id: string;
    institution_id: string | null;
    error_type: string | null;
    error_code: string | null;
  };
  /** When it came to pass, ISO 8601. */
  timestamp: string;
}

export interface SegmentStore {
  /** Events of the Item that were not sent, oldest first, at most `limit`. */
  unsent(itemId: string, limit: number): Promise<SegmentEvent[]>;
  /** Notes that these were sent. */
  recordSent(itemId: string, messageIds: string[]): Promise<void>;
  /** Nobody wants them: Segment is not configured. */
  discard(itemId: string): Promise<void>;
}

export interface SegmentPort {
  /** Resolves when Segment has taken the event. Rejects with UPSTREAM_DOWN. */
  track(event: SegmentEvent): Promise<void>;
}
