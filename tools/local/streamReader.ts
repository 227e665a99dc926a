import {
  ExpiredIteratorException,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis';
import { STREAMS, type StreamEvent, type StreamName } from './compare.js';
import { localKinesis } from './localKinesis.js';

type Events = Record<StreamName, StreamEvent[]>;

interface CloudEvent extends StreamEvent {
  readonly itemid: string;
}

/** Reads the four streams from their beginning, as a new consumer would. */
export interface StreamReader {
  /** Reads on to the present end. */
  readOn(): Promise<void>;
  /** Events of one item so far, in stream order, repeats included. */
  eventsOf(itemId: string): Events;
  close(): void;
}

export function openStreamReader(endpoint: string, prefix = 'plaid-'): StreamReader {
  const client = localKinesis(endpoint);
  const iterators = new Map<string, string>();
  /** Of the last record read of each shard: an iterator that nobody used for five minutes has expired. */
  const lastRead = new Map<string, string>();
  const started = new Set<string>();
  const byItem = new Map<string, Events>();

  const openShard = async (stream: StreamName, ShardId: string): Promise<void> => {
    const key = `${stream}/${ShardId}`;
    const after = lastRead.get(key);
    const { ShardIterator } = await client.send(
      new GetShardIteratorCommand({
        StreamName: `${prefix}${stream}`,
        ShardId,
        ...(after === undefined
          ? { ShardIteratorType: 'TRIM_HORIZON' }
          : { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: after }),
      }),
    );
    if (ShardIterator) iterators.set(key, ShardIterator);
  };

  const startShards = async (stream: StreamName): Promise<void> => {
    const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName: `${prefix}${stream}` }));
    for (const { ShardId } of Shards) {
      const key = `${stream}/${ShardId}`;
      if (started.has(key)) continue;
      started.add(key);
      if (ShardId !== undefined) await openShard(stream, ShardId);
    }
  };

  const readShard = async (stream: StreamName, key: string): Promise<void> => {
    for (;;) {
      const iterator = iterators.get(key);
      if (!iterator) return;
      const answer = await client
        .send(new GetRecordsCommand({ ShardIterator: iterator, Limit: 10_000 }))
        .catch((error: unknown) => {
          if (error instanceof ExpiredIteratorException) return null;
          throw error;
        });
      if (answer === null) {
        await openShard(stream, key.slice(stream.length + 1));
        continue;
      }
      for (const { Data, SequenceNumber } of answer.Records ?? []) {
        take(stream, Data);
        if (SequenceNumber !== undefined) lastRead.set(key, SequenceNumber);
      }
      if (answer.NextShardIterator) iterators.set(key, answer.NextShardIterator);
      else iterators.delete(key);
      if ((answer.Records ?? []).length === 0 && (answer.MillisBehindLatest ?? 0) === 0) return;
    }
  };

  const take = (stream: StreamName, data: Uint8Array | undefined): void => {
    // A record is a CloudEvents batch: a list, never a single event.
    const batch = JSON.parse(Buffer.from(data ?? []).toString('utf8')) as CloudEvent[];
    for (const event of batch) {
      const events = byItem.get(event.itemid) ?? emptyEvents();
      byItem.set(event.itemid, events);
      events[stream].push(event);
    }
  };

  return {
    readOn: async () => {
      for (const stream of STREAMS) {
        await startShards(stream);
        for (const key of started) if (key.startsWith(`${stream}/`)) await readShard(stream, key);
      }
    },
    eventsOf: (itemId) => byItem.get(itemId) ?? emptyEvents(),
    close: () => client.destroy(),
  };
}

function emptyEvents(): Events {
  return { 'raw-transactions': [], 'raw-accounts': [], 'refined-transactions': [], 'refined-accounts': [] };
}
