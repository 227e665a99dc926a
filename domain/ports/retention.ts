import type { Perishable } from '../retention.js';

/**
 * Deletes what is older than `keepMs` and no longer needed, one batch of at most `limit` rows. `after` is where the batch
 * before ended (null = from the beginning); `next` is where the next one goes on, null at the end.
 */
type Clean = (
  keepMs: number,
  after: string | null,
  limit: number,
) => Promise<{ deleted: number; next: string | null }>;

/**
 * `outbox`: what both streams have accepted; the watermarks stay. `webhooks`: those with an outcome but the newest of each Item.
 * `events`: with their deliveries and attempts; some hours later than said, so that a cursor which is not too old misses none.
 * `links`: finished ones that no living Item came of. `segmentEvents`: sent ones, and those that nobody shall send.
 */
export type RetentionStore = Record<Exclude<Perishable, 'idempotencyKeys'>, Clean>;
