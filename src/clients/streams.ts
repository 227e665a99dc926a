import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  LimitExceededException,
  ResourceInUseException,
  ResourceNotFoundException,
} from '@aws-sdk/client-kinesis';
import { Failure } from '../../domain/failures.js';
import { withinDeadline } from './awsDeadline.js';
import { openKinesisClient } from './kinesisClient.js';
import type { KinesisConnection } from './kinesisClient.js';
import { failureOfKinesis } from './kinesisFailures.js';

export interface StreamSetUp extends KinesisConnection {
  /** Shards of a stream that has to be created; absent = on demand. Existing streams stay as they are. */
  shards?: number | undefined;
  /** For all streams together; default 120 s. AWS takes about half a minute to make one. */
  timeoutMs?: number | undefined;
  /** For one request; default 10 s. */
  requestTimeoutMs?: number | undefined;
}

const pollMs = 250;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Creates the streams that are missing and waits until every one takes records. Safe to repeat and to run side by side.
 * Rejects with UPSTREAM_DOWN when that does not happen in time.
 */
export async function ensureStreams(setUp: StreamSetUp, names: readonly string[]): Promise<void> {
  const client = openKinesisClient(setUp);
  const requestTimeoutMs = setUp.requestTimeoutMs ?? 10_000;
  const deadline = Date.now() + (setUp.timeoutMs ?? 120_000);

  /** Null when there is no such stream. */
  async function statusOf(name: string): Promise<string | null> {
    try {
      const answer = await withinDeadline(requestTimeoutMs, (bounds) =>
        client.send(new DescribeStreamSummaryCommand({ StreamName: name }), bounds),
      );
      return answer.StreamDescriptionSummary?.StreamStatus ?? 'UNKNOWN';
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return null;
      throw error;
    }
  }

  async function create(name: string): Promise<void> {
    const capacity =
      setUp.shards === undefined
        ? { StreamModeDetails: { StreamMode: 'ON_DEMAND' as const } }
        : { ShardCount: setUp.shards };
    try {
      await withinDeadline(requestTimeoutMs, (bounds) =>
        client.send(new CreateStreamCommand({ StreamName: name, ...capacity }), bounds),
      );
    } catch (error) {
      // Somebody else was faster, or AWS makes five streams at a time: read the list again.
      if (!(error instanceof ResourceInUseException) && !(error instanceof LimitExceededException))
        throw error;
    }
  }

  async function ensure(name: string): Promise<void> {
    for (;;) {
      const status = await statusOf(name);
      if (status === 'ACTIVE' || status === 'UPDATING') return;
      if (status === null) await create(name);
      if (Date.now() > deadline) {
        throw new Failure('UPSTREAM_DOWN', `stream ${name} is not active yet (${status ?? 'absent'})`);
      }
      await pause(pollMs);
    }
  }

  try {
    // One after the other: AWS allows five CreateStream and twenty DescribeStreamSummary calls a second per account.
    for (const name of names) await ensure(name);
  } catch (error) {
    throw failureOfKinesis('streams', error);
  } finally {
    client.destroy();
  }
}
