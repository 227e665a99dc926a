import type { GetShardIteratorCommandInput, Shard } from '@aws-sdk/client-kinesis';
import {
  DescribeStreamSummaryCommand,
  ExpiredIteratorException,
  GetRecordsCommand,
  GetShardIteratorCommand,
  InvalidArgumentException,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis';
import { Failure } from '../../domain/failures.js';
import type { StreamRecord, StreamShard, UserEventStream } from '../../domain/ports/userEvents.js';
import { withinDeadline } from './awsDeadline.js';
import type { KinesisConnection } from './kinesisClient.js';
import { openKinesisClient } from './kinesisClient.js';
import { failureOfKinesis } from './kinesisFailures.js';

export interface UserEventsOptions extends KinesisConnection {
  stream: string;
  /** Records of one request; default 500. */
  recordsAtOnce?: number;
  /** For one request; default 10 s. */
  requestTimeoutMs?: number;
  /** Called when the stream does not know a checkpoint (it was made anew): the shard is read from its oldest record. */
  onUnknownCheckpoint: (shardId: string) => void;
}

export interface UserEvents extends UserEventStream {
  close(): void;
}

/** The stream of user events on Kinesis. Everything rejects with UPSTREAM_DOWN, RATE_LIMITED or MISCONFIGURED (no such stream, say), and may be tried again. */
export function createUserEvents(options: UserEventsOptions): UserEvents {
  const { stream, onUnknownCheckpoint } = options;
  const client = openKinesisClient(options);
  const within = <Answer>(call: (bounds: { abortSignal: AbortSignal }) => Promise<Answer>): Promise<Answer> =>
    withinDeadline(options.requestTimeoutMs ?? 10_000, call);

  const shardOf = ({ ShardId, ParentShardId, AdjacentParentShardId }: Shard): StreamShard => {
    if (ShardId === undefined) throw new Failure('UPSTREAM_DOWN', `a shard of ${stream} has no id`);
    const parents = [ParentShardId, AdjacentParentShardId].filter((parent) => parent !== undefined);
    return { shardId: ShardId, parents };
  };

  async function iteratorFrom(shardId: string, after: string | null): Promise<string> {
    const shard = { StreamName: stream, ShardId: shardId };
    const oldest = { ...shard, ShardIteratorType: 'TRIM_HORIZON' as const };
    const ask = async (request: GetShardIteratorCommandInput) =>
      (await within((bounds) => client.send(new GetShardIteratorCommand(request), bounds))).ShardIterator;
    let iterator: string | undefined;
    if (after === null) iterator = await ask(oldest);
    else {
      const behind = { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER' as const, StartingSequenceNumber: after };
      try {
        iterator = await ask({ ...shard, ...behind });
      } catch (error) {
        if (!(error instanceof InvalidArgumentException)) throw error;
        // Nobody can say what was read of this stream: an event twice is harmless, a lost one is not.
        iterator = await ask(oldest);
        onUnknownCheckpoint(shardId);
      }
    }
    if (!iterator) throw new Failure('UPSTREAM_DOWN', `${stream} gave no iterator`);
    return iterator;
  }

  return {
    async createdAt() {
      try {
        const { StreamDescriptionSummary: found } = await within((bounds) =>
          client.send(new DescribeStreamSummaryCommand({ StreamName: stream }), bounds),
        );
        if (found?.StreamCreationTimestamp === undefined)
          throw new Failure('UPSTREAM_DOWN', `${stream} does not say when it was made`);
        return found.StreamCreationTimestamp.toISOString();
      } catch (error) {
        throw failureOfKinesis(stream, error);
      }
    },

    async shards() {
      try {
        const found: StreamShard[] = [];
        let token: string | undefined;
        do {
          const request = token === undefined ? { StreamName: stream } : { NextToken: token };
          const answer = await within((bounds) => client.send(new ListShardsCommand(request), bounds));
          found.push(...(answer.Shards ?? []).map(shardOf));
          token = answer.NextToken;
        } while (token !== undefined);
        return found;
      } catch (error) {
        throw failureOfKinesis(stream, error);
      }
    },

    open(shardId, after) {
      let last = after;
      let iterator: string | null = null;
      let ended = false;

      const read = async () => {
        iterator ??= await iteratorFrom(shardId, last);
        const request = { ShardIterator: iterator, Limit: options.recordsAtOnce ?? 500 };
        try {
          return await within((bounds) => client.send(new GetRecordsCommand(request), bounds));
        } catch (error) {
          // An iterator lives five minutes: behind a long pause there is a new one, from where reading stands.
          if (!(error instanceof ExpiredIteratorException)) throw error;
          iterator = await iteratorFrom(shardId, last);
          const renewed = { ...request, ShardIterator: iterator };
          return within((bounds) => client.send(new GetRecordsCommand(renewed), bounds));
        }
      };

      return {
        async next() {
          if (ended) return { records: [], ended, behindMs: 0 };
          try {
            const answer = await read();
            // An answer that is not Kinesis's must not pass for the end of the shard.
            if (!Array.isArray(answer.Records)) {
              throw new Failure('UPSTREAM_DOWN', `${stream} gave no list of records`);
            }
            const records = answer.Records.map((record): StreamRecord => {
              const { SequenceNumber, Data, ApproximateArrivalTimestamp } = record;
              if (!SequenceNumber) throw new Failure('UPSTREAM_DOWN', `a record of ${stream} has no number`);
              return {
                sequenceNumber: SequenceNumber,
                arrivedAt: ApproximateArrivalTimestamp?.toISOString() ?? null,
                data: Data ?? new Uint8Array(),
              };
            });
            last = records.at(-1)?.sequenceNumber ?? last;
            iterator = answer.NextShardIterator ?? null;
            ended = iterator === null;
            return { records, ended, behindMs: answer.MillisBehindLatest ?? 0 };
          } catch (error) {
            throw failureOfKinesis(stream, error);
          }
        },
      };
    },

    close: () => client.destroy(),
  };
}
