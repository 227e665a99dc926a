import { cloudEvent, streamOf } from '../src/domain/events.js';
import type { Form, OutboxRow, RecordKind } from '../src/domain/events.js';
import { Failure } from '../src/domain/failures.js';
import type { ActivityDeps } from './deps.js';

const rowsAtOnce = 1_000;
/** 1 MiB is Kinesis's limit for data and partition key together. */
const recordBytes = 1_048_576 - 1_024;

interface Batch {
  data: Uint8Array;
  /** Sequence of the last event in it. */
  last: number;
}

/**
 * Packs consecutive events of one Item into JSON arrays that fit a Kinesis record, one at a time: a worker publishes many
 * Items at once, and none of them holds more than the batch on its way. An event that fits none stands alone.
 */
function* packBatches(rows: readonly OutboxRow[], form: Form): Generator<Batch> {
  let events: string[] = [];
  let bytes = 2;
  let last = 0;
  const batch = (): Batch => ({ data: Buffer.from(`[${events.join(',')}]`), last });
  for (const row of rows) {
    const event = cloudEvent(row, form);
    const size = Buffer.byteLength(event) + 1;
    if (events.length > 0 && bytes + size > recordBytes) {
      yield batch();
      events = [];
      bytes = 2;
    }
    events.push(event);
    bytes += size;
    last = row.sequence;
  }
  if (events.length > 0) yield batch();
}

export function publishActivities(deps: Pick<ActivityDeps, 'outbox' | 'streams' | 'alerts' | 'crashPoint'>) {
  const { outbox, streams, alerts, crashPoint } = deps;

  /** Sends one form of the rows, batch after batch: the next only when the stream has accepted the one before. */
  async function send(
    itemId: string,
    record: RecordKind,
    form: Form,
    rows: OutboxRow[],
    sent: number,
  ): Promise<boolean> {
    let mark = sent;
    for (const batch of packBatches(
      rows.filter((row) => row.sequence > sent),
      form,
    )) {
      crashPoint('publish.beforePut');
      try {
        await streams.put(streamOf(record, form), itemId, batch.data);
      } catch (error) {
        if (!(error instanceof Failure) || error.type !== 'RECORD_REFUSED') throw error;
        // It will never be taken. Parked in the outbox under its sequence, reported, and the stream goes on.
        await alerts.raise({
          kind: 'record_parked',
          key: `${itemId}/${record}/${form}/${batch.last}`,
          item_id: itemId,
          detail: { record, form, after: mark, last: batch.last },
        });
      }
      crashPoint('publish.afterPut');
      if (!(await outbox.markSent(itemId, record, form, mark, batch.last))) return false;
      crashPoint('publish.afterMark');
      mark = batch.last;
    }
    return true;
  }

  async function publishRecords(itemId: string, record: RecordKind): Promise<boolean> {
    let marks: Record<Form, number> | null = null;
    let next = outbox.unsent(itemId, record, rowsAtOnce);
    for (;;) {
      const { sent, rows, more } = await next;
      const last = rows.at(-1)?.sequence;
      if (last === undefined) return true;
      // Read while these are on their way; the marks that it brings are older than ours.
      const following = more ? outbox.unsent(itemId, record, rowsAtOnce, last) : null;
      following?.catch(() => undefined);
      const from: Record<Form, number> = marks ?? sent;
      // Both forms are tried although one fails: an outage of one stream does not hold back the other.
      const ends = await Promise.allSettled([
        send(itemId, record, 'raw', rows, from.raw),
        send(itemId, record, 'refined', rows, from.refined),
      ]);
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      if (ends.some((end) => end.status === 'fulfilled' && !end.value)) return false;
      if (following === null) return true;
      marks = { raw: Math.max(from.raw, last), refined: Math.max(from.refined, last) };
      next = following;
    }
  }

  return {
    /**
     * Sends what the outbox holds of one Item to the four streams, in order per stream. At least once: consumers dedupe by
     * event id. `done` is false when another publisher of the Item was met; ask again.
     */
    async publish(input: { itemId: string }): Promise<{ done: boolean }> {
      const ends = await Promise.allSettled([
        publishRecords(input.itemId, 'account'),
        publishRecords(input.itemId, 'transaction'),
      ]);
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      return { done: ends.every((end) => end.status === 'fulfilled' && end.value) };
    },
  };
}
