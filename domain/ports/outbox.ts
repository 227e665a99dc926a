import type { Form, OutboxRow, RecordKind, StreamName } from '../mining/events.js';

/** What of one Item and kind of record has not been sent yet, oldest first. */
export interface Unsent {
  /** Sequence up to which each form was accepted by its stream. */
  sent: Record<Form, number>;
  rows: OutboxRow[];
  /** True when more rows wait behind these. */
  more: boolean;
}

export interface OutboxStore {
  /** At most `limit` rows after the lower of the two watermarks, and after the sequence `after`. */
  unsent(itemId: string, record: RecordKind, limit: number, after?: number): Promise<Unsent>;
  /** Moves a watermark forward from `from` to `to`; false when another publisher was faster. */
  advanceWatermark(
    itemId: string,
    record: RecordKind,
    form: Form,
    from: number,
    to: number,
  ): Promise<boolean>;
}

export interface StreamPort {
  /**
   * Puts one record and resolves when the stream has accepted it. Concurrent calls share PutRecords requests; only
   * refused records are tried again, for a short time. Rejects with UPSTREAM_DOWN, RATE_LIMITED or RECORD_REFUSED.
   *
   * Once `signal` is aborted the record is not sent (again), and `put` rejects at once with the signal's reason if that is a
   * Failure; what is on its way may arrive nevertheless.
   */
  put(stream: StreamName, partitionKey: string, data: Uint8Array, signal?: AbortSignal): Promise<void>;
}
