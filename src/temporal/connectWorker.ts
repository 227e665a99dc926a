import { NativeConnection } from '@temporalio/worker';
import { connectionOptions } from './connect.js';
import type { TemporalOptions } from './connect.js';

/** The worker's own connection; rejects when Temporal cannot be reached. */
export function connectWorker(options: TemporalOptions): Promise<NativeConnection> {
  return NativeConnection.connect(connectionOptions(options));
}
