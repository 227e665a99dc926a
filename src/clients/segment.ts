import { Analytics } from '@segment/analytics-node';
import type { HTTPFetchFn } from '@segment/analytics-node';
import { Failure } from '../../domain/failures.js';
import type { SegmentPort } from '../../domain/ports/segment.js';

export interface SegmentOptions {
  writeKey: string;
  /** Origin of Segment's tracking API; Segment's own when absent. */
  host?: string | undefined;
  /** For one request; default 10 s. */
  timeoutMs?: number;
}

export interface Segment extends SegmentPort {
  close(): Promise<void>;
}

/** Of an answer; Segment's has some twenty bytes. */
const bytesRead = 4_096;
const refusal = /"success"\s*:\s*false/;

async function beginningOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const stream: AsyncIterable<Uint8Array> | null = body;
  // Left early, the stream is cancelled.
  for await (const chunk of stream ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= bytesRead) break;
  }
  return Buffer.concat(chunks).subarray(0, bytesRead).toString();
}

/**
 * One request, and whatever is no success fails it: the status alone may be one, and the answer say that there was none. The client
 * takes a redirect for a success, or follows it, by a GET that nothing takes an event from; and where Segment asks for a pause it keeps
 * the event and sends it later by itself.
 */
const ask: HTTPFetchFn = async (url, init) => {
  const response = await fetch(url, { ...init, redirect: 'manual' });
  if (response.ok && !refusal.test(await beginningOf(response))) return response;
  if (!response.bodyUsed) await response.body?.cancel();
  throw new Error('no success');
};

/**
 * Segment as a port. The client queues in memory and retries by itself; both are switched off, since Temporal retries and
 * only what Segment has taken may be recorded as sent.
 */
export function createSegment(options: SegmentOptions): Segment {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const analytics = new Analytics({
    writeKey: options.writeKey,
    ...(options.host === undefined ? {} : { host: options.host }),
    flushAt: 1,
    maxRetries: 0,
    httpRequestTimeout: timeoutMs,
    httpClient: ask,
  });
  // Without a listener an error event would end the process. The callback of the event in question hears of it too.
  analytics.on('error', () => undefined);

  return {
    track(event) {
      return new Promise((resolve, reject) => {
        const { messageId, userId, properties, timestamp } = event;
        const down = (): void => reject(new Failure('UPSTREAM_DOWN', 'Segment did not take an event'));
        const timer = setTimeout(down, timeoutMs + 1_000);
        analytics.track({ messageId, userId, event: event.event, properties, timestamp }, (error) => {
          clearTimeout(timer);
          if (error) down();
          else resolve();
        });
      });
    },
    async close() {
      await analytics.closeAndFlush({ timeout: 2_000 });
    },
  };
}
