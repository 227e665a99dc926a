import type { PutRecordsCommandOutput } from '@aws-sdk/client-kinesis';
import { DescribeStreamSummaryCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import type { StreamName } from '../../domain/mining/events.js';
import { streamNames } from '../../domain/mining/events.js';
import type { FailureType } from '../../domain/failures.js';
import { Failure } from '../../domain/failures.js';
import type { StreamPort } from '../../domain/ports/outbox.js';
import { shortened } from '../../domain/shortened.js';
import { withinDeadline } from './awsDeadline.js';
import type { KinesisConnection } from './kinesisClient.js';
import { openKinesisClient } from './kinesisClient.js';
import { failureOfKinesis, isAboutRecords, recordFailureType } from './kinesisFailures.js';

export interface KinesisOptions extends KinesisConnection {
  /** Stands before every stream's name (`STREAM_PREFIX`); may be empty. */
  streamPrefix: string;
  /** How long a record waits for others to share its request; default 4 ms. */
  lingerMs?: number;
  /** For one PutRecords request, beside the time that its bytes may take; default 5 s. */
  requestTimeoutMs?: number;
  /** From `put` to the last try's start; default 5 s. The caller's own retries come after it. */
  retryForMs?: number;
  /** For `ping`; default 2 s. */
  pingTimeoutMs?: number;
}

export interface Kinesis extends StreamPort {
  /** Resolves when the service answers and knows our streams. Rejects within `pingTimeoutMs`, naming one that is missing. */
  ping(): Promise<void>;
  /** Waits for what was put, then ends the connections. `put` rejects afterwards. */
  close(): Promise<void>;
}

/** Kinesis's bounds. A stream may be allowed larger records, but consumers are promised at most 1 MiB. */
const mostRecords = 500;
const mostBytes = 5 * 1024 * 1024;
const mostRecordBytes = 1024 * 1024;
/** Kinesis counts 256 characters, and not every server counts those alike: in bytes it is never more. */
const longestPartitionKey = 256;
/** Requests on their way per stream; what comes meanwhile waits and fills the next request. */
const mostRequests = 8;
/**
 * A large request may take longer than a small one. With one time-out for all, a slow line met full requests only, and each
 * repeat sent the same megabytes again: nothing ever went through.
 */
const leastBytesPerSecond = 32 * 1024;
const longestTimeoutMs = 45_000;
const firstPauseMs = 50;
const longestPauseMs = 800;

interface Waiting {
  partitionKey: string;
  data: Uint8Array;
  bytes: number;
  tries: number;
  giveUpAt: number;
  resolve: () => void;
  reject: (failure: Failure) => void;
  /** Aborted: nobody waits for it any more. */
  signal: AbortSignal | undefined;
}

const givenUp = ({ reason }: AbortSignal): Failure =>
  reason instanceof Failure
    ? reason
    : new Failure('UPSTREAM_DOWN', 'the caller has given up', { outcomeUnknown: true });

const pauseBefore = (tries: number): number => {
  const full = Math.min(longestPauseMs, firstPauseMs * 2 ** (tries - 1));
  return full / 2 + (Math.random() * full) / 2;
};

/** The records of one stream: gathers, sends, and brings back those that were refused. */
class Lane {
  private waiting: Waiting[] = [];
  private requests = 0;
  /** Falls when a request fails as a whole and grows with each that is answered: a service that is slow is not asked for more. */
  private mostRequests = mostRequests;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly stream: string,
    private readonly send: (stream: string, records: Waiting[]) => Promise<PutRecordsCommandOutput>,
    private readonly lingerMs: number,
  ) {}

  add(record: Waiting): void {
    this.waiting.push(record);
    this.schedule();
  }

  /** Takes out what nobody waits for. A request that is on its way with it stays for the others. */
  drop(record: Waiting): void {
    this.waiting = this.waiting.filter((one) => one !== record);
  }

  private schedule(): void {
    if (this.waiting.length === 0 || this.requests >= this.mostRequests) return;
    if (this.waiting.length >= mostRecords) return this.flush();
    this.timer ??= setTimeout(() => this.flush(), this.lingerMs);
  }

  private flush(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    // What was waiting may have been dropped since the timer was set.
    while (this.waiting.length > 0 && this.requests < this.mostRequests) void this.request(this.take());
  }

  /** As many of the longest waiting as one request may hold: at least one. */
  private take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const record of this.waiting) {
      bytes += record.bytes;
      if (count > 0 && (count >= mostRecords || bytes > mostBytes)) break;
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private async request(records: Waiting[]): Promise<void> {
    this.requests += 1;
    try {
      await this.deliver(records);
    } finally {
      this.requests -= 1;
      this.schedule();
    }
  }

  /** Sends records and settles each, or hands it on to a later request. Never rejects. */
  private async deliver(records: Waiting[]): Promise<void> {
    let answer: PutRecordsCommandOutput;
    try {
      answer = await this.send(this.stream, records);
    } catch (error) {
      if (!isAboutRecords(error)) {
        this.mostRequests = Math.max(1, Math.floor(this.mostRequests / 2));
        const failure = failureOfKinesis(this.stream, error);
        for (const record of records) this.retryLater(record, failure.type, failure.message);
        return;
      }
      const [only] = records;
      if (only !== undefined && records.length === 1) {
        only.reject(new Failure('RECORD_REFUSED', `${this.stream} will not take a record`));
        return;
      }
      // One poison record makes Kinesis refuse the whole call: find it by halves, the others go through.
      const half = Math.ceil(records.length / 2);
      await this.deliver(records.slice(0, half));
      await this.deliver(records.slice(half));
      return;
    }
    this.mostRequests = Math.min(mostRequests, this.mostRequests + 1);
    const results = answer.Records ?? [];
    records.forEach((record, index) => {
      const result = results[index];
      if (results.length === records.length && result?.SequenceNumber && !result.ErrorCode) {
        record.resolve();
        return;
      }
      const code = result?.ErrorCode ?? 'no result';
      this.retryLater(record, recordFailureType(code), `${this.stream} refused a record: ${code}`);
    });
  }

  private retryLater(record: Waiting, type: FailureType, message: string): void {
    if (record.signal?.aborted === true) return;
    record.tries += 1;
    const pause = pauseBefore(record.tries);
    if (performance.now() + pause > record.giveUpAt) {
      record.reject(new Failure(type, message, { outcomeUnknown: true, retryable: true }));
      return;
    }
    setTimeout(() => {
      if (record.signal?.aborted !== true) this.add(record);
    }, pause);
  }
}

/**
 * Kinesis as a StreamPort. Concurrent `put` calls of the process share requests; PutRecords keeps no order within a call,
 * so the caller has at most one record in flight per Item and stream.
 */
export function createKinesis(options: KinesisOptions): Kinesis {
  const client = openKinesisClient(options);
  const requestTimeoutMs = options.requestTimeoutMs ?? 5_000;
  const retryForMs = options.retryForMs ?? 5_000;
  const lanes = new Map<StreamName, Lane>();
  const pending = new Set<Promise<void>>();
  let closed = false;

  const timeoutOf = (records: Waiting[]): number => {
    const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
    const transfer = Math.ceil((bytes / leastBytesPerSecond) * 1_000);
    return Math.max(requestTimeoutMs, Math.min(longestTimeoutMs, requestTimeoutMs + transfer));
  };

  const send = (stream: string, records: Waiting[]): Promise<PutRecordsCommandOutput> =>
    withinDeadline(timeoutOf(records), (bounds) =>
      client.send(
        new PutRecordsCommand({
          StreamName: stream,
          Records: records.map(({ partitionKey, data }) => ({
            PartitionKey: shortened(partitionKey, longestPartitionKey),
            Data: data,
          })),
        }),
        bounds,
      ),
    );

  function laneOf(stream: StreamName): Lane {
    const known = lanes.get(stream);
    if (known) return known;
    const lane = new Lane(`${options.streamPrefix}${stream}`, send, options.lingerMs ?? 4);
    lanes.set(stream, lane);
    return lane;
  }

  return {
    async put(stream, partitionKey, data, signal) {
      if (signal?.aborted === true) throw givenUp(signal);
      if (closed) throw new Failure('UPSTREAM_DOWN', 'the stream client is closed');
      const bytes = data.byteLength + Buffer.byteLength(partitionKey, 'utf8');
      if (bytes > mostRecordBytes) {
        throw new Failure('RECORD_REFUSED', `a record for ${stream} is larger than ${mostRecordBytes} bytes`);
      }
      let leave = (): void => undefined;
      const accepted = new Promise<void>((resolve, reject) => {
        const giveUpAt = performance.now() + retryForMs;
        const record: Waiting = { partitionKey, data, bytes, tries: 0, giveUpAt, resolve, reject, signal };
        const lane = laneOf(stream);
        leave = () => {
          lane.drop(record);
          if (signal) reject(givenUp(signal));
        };
        lane.add(record);
      });
      signal?.addEventListener('abort', leave, { once: true });
      pending.add(accepted);
      try {
        await accepted;
      } finally {
        pending.delete(accepted);
        signal?.removeEventListener('abort', leave);
      }
    },

    async ping() {
      await Promise.all(
        streamNames.map(async (stream) => {
          const name = `${options.streamPrefix}${stream}`;
          try {
            await withinDeadline(options.pingTimeoutMs ?? 2_000, (bounds) =>
              client.send(new DescribeStreamSummaryCommand({ StreamName: name }), bounds),
            );
          } catch (error) {
            throw failureOfKinesis(name, error);
          }
        }),
      );
    },

    async close() {
      closed = true;
      await Promise.allSettled(pending);
      client.destroy();
    },
  };
}
