import { cloudEvent, streamOf } from '../domain/mining/events.js';
import type { Form, OutboxRow, RecordKind, StreamName } from '../domain/mining/events.js';
import { Failure } from '../domain/failures.js';
import type { Attempt } from './attempt.js';
import { temporalAttempt } from './attempt.js';
import type { ActivityDeps } from './deps.js';

const rowsAtOnce = 1_000;
/** Events of which one alert tells. */
const refusedAtOnce = 100;
/** 1 MiB is Kinesis's limit for data and partition key together. */
const recordBytes = 1_048_576 - 1_024;

/** Events of one record, in their order. */
type Batch = { event: string; sequence: number }[];

const dataOf = (batch: Batch): Uint8Array => Buffer.from(`[${batch.map(({ event }) => event).join(',')}]`);

/**
 * Packs consecutive events of one Item into JSON arrays that fit a Kinesis record. It makes one at a time: a worker publishes
 * many Items at once, and none of them holds more than the batch on its way. An event that fits none stands alone.
 */
function* packBatches(rows: readonly OutboxRow[], form: Form): Generator<Batch> {
  let batch: Batch = [];
  let bytes = 2;
  for (const row of rows) {
    const event = cloudEvent(row, form);
    const size = Buffer.byteLength(event) + 1;
    if (batch.length > 0 && bytes + size > recordBytes) {
      yield batch;
      batch = [];
      bytes = 2;
    }
    batch.push({ event, sequence: row.sequence });
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** Throws what went wrong; that the time was over only when nothing else did. */
function throwWorst(ends: readonly PromiseSettledResult<unknown>[], { reason }: AbortSignal): void {
  const reasons = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  const worst = reasons.find((one) => one !== reason) ?? reasons[0];
  if (reasons.length > 0) throw worst;
}

/** One attempt at publishing an Item, over all its streams. */
interface Sending {
  itemId: string;
  /** Aborted, with a Failure, when the attempt has no time left: nothing more is sent then. */
  signal: AbortSignal;
  /** Streams that have taken something in this attempt. */
  reached: Set<StreamName>;
}

export function publishActivities(
  deps: Pick<ActivityDeps, 'outbox' | 'streams' | 'alerts' | 'crashPoint'>,
  attempt: Attempt = temporalAttempt,
) {
  const { outbox, streams, alerts, crashPoint } = deps;

  /** Sends one form of the rows, batch after batch: the next only when the stream has accepted the one before. */
  async function send(
    sending: Sending,
    record: RecordKind,
    form: Form,
    rows: OutboxRow[],
    sent: number,
  ): Promise<boolean> {
    const { itemId, signal, reached } = sending;
    const stream = streamOf(record, form);
    let watermark = sent;
    /** Sequences of events behind the watermark, one after the other, that are refused, each alone. */
    let refused: number[] = [];

    async function noteSent(last: number): Promise<boolean> {
      crashPoint('publish.afterPut');
      if (!(await outbox.advanceWatermark(itemId, record, form, watermark, last))) return false;
      crashPoint('publish.afterMark');
      reached.add(stream);
      watermark = last;
      return true;
    }

    /** They will never be taken. Parked in the outbox under their sequences, reported, and the stream goes on. */
    async function passOver(): Promise<boolean> {
      const last = refused.at(-1);
      if (last === undefined) return true;
      refused = [];
      await alerts.raise({
        kind: 'record_parked',
        key: `${itemId}/${record}/${form}/${last}`,
        item_id: itemId,
        detail: { record, form, after: watermark, last },
      });
      return noteSent(last);
    }

    async function sendBatch(batch: Batch): Promise<boolean> {
      const last = batch.at(-1)?.sequence ?? watermark;
      signal.throwIfAborted();
      crashPoint('publish.beforePut');
      try {
        await streams.put(stream, itemId, dataOf(batch), signal);
      } catch (error) {
        // A way that is stopped is no failure as long as it led on: one that does not lead on at all is told next time.
        if (error instanceof Failure && error.retryable && reached.has(stream)) return false;
        if (!(error instanceof Failure) || error.type !== 'RECORD_REFUSED') throw error;
        // One of its events may be to blame, or their number.
        const half = Math.ceil(batch.length / 2);
        if (batch.length > 1)
          return (await sendBatch(batch.slice(0, half))) && (await sendBatch(batch.slice(half)));
        refused.push(last);
        // However many there are: each attempt leads on.
        return refused.length < refusedAtOnce || passOver();
      }
      return (await passOver()) && (await noteSent(last));
    }

    const unsent = rows.filter((row) => row.sequence > sent);
    try {
      for (const batch of packBatches(unsent, form))
        if (!(await sendBatch(batch)) || !(await passOver())) return false;
      return true;
    } finally {
      // The next attempt would have to find them out once more, and may have no more time for it.
      await passOver();
    }
  }

  async function publishRecords(sending: Sending, record: RecordKind): Promise<boolean> {
    const { itemId, signal } = sending;
    let watermarks: Record<Form, number> | null = null;
    let next = outbox.unsent(itemId, record, rowsAtOnce);
    for (;;) {
      const { sent, rows, more } = await next;
      const last = rows.at(-1)?.sequence;
      if (last === undefined) return true;
      signal.throwIfAborted();
      // Read while these are on their way; the watermarks that it brings are older than ours.
      const following = more ? outbox.unsent(itemId, record, rowsAtOnce, last) : null;
      following?.catch(() => undefined);
      const from: Record<Form, number> = watermarks ?? sent;
      // Both forms are tried although one fails: an outage of one stream does not hold back the other.
      const ends = await Promise.allSettled([
        send(sending, record, 'raw', rows, from.raw),
        send(sending, record, 'refined', rows, from.refined),
      ]);
      throwWorst(ends, signal);
      if (ends.some((end) => end.status === 'fulfilled' && !end.value)) return false;
      if (following === null) return true;
      watermarks = { raw: Math.max(from.raw, last), refined: Math.max(from.refined, last) };
      next = following;
    }
  }

  return {
    /**
     * Sends what the outbox holds of one Item to the four streams, in order per stream. At least once: consumers dedupe by
     * event id. `done` is false when another publisher of the Item was met, or when the time was over, or a stream ceased to take
     * records, before all was sent: ask again. A stream that has taken nothing in this attempt is told as a failure.
     */
    async publish({ itemId }: { itemId: string }): Promise<{ done: boolean }> {
      return attempt(async (signal) => {
        const sending: Sending = { itemId, signal, reached: new Set() };
        const ends = await Promise.allSettled([
          publishRecords(sending, 'account'),
          publishRecords(sending, 'transaction'),
        ]);
        try {
          throwWorst(ends, signal);
        } catch (error) {
          // A long way is no failure as long as it leads on.
          if (error === signal.reason && sending.reached.size > 0) return { done: false };
          throw error;
        }
        return { done: ends.every((end) => end.status === 'fulfilled' && end.value) };
      });
    },
  };
}
