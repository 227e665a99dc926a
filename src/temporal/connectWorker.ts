import { NativeConnection } from '@temporalio/worker';
import { Failure } from '../../domain/failures.js';
import { connectionOptions } from './connect.js';
import type { TemporalOptions } from './connect.js';

/**
 * The worker's own connection; rejects when Temporal cannot be reached. For TLS on a connection that was taken, and on which nothing is
 * said, the SDK waits without end.
 */
export async function connectWorker(options: TemporalOptions, withinMs = 30_000): Promise<NativeConnection> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const silent = new Failure('ORCHESTRATOR_DOWN', 'Temporal did not say a word');
    timer = setTimeout(() => reject(silent), withinMs);
  });
  try {
    return await Promise.race([NativeConnection.connect(connectionOptions(options)), late]);
  } finally {
    clearTimeout(timer);
  }
}
