import type { WantedLease, ShardLease } from '../userEvents/shardLeases.js';

export interface StreamShard {
  shardId: string;
  /** The shards that it came from by a split or a merge; they may be gone from the stream. */
  parents: string[];
}

export interface StreamRecord {
  sequenceNumber: string;
  /** When the stream took it, ISO 8601; null = it does not say. */
  arrivedAt: string | null;
  data: Uint8Array;
}

export interface ShardReader {
  /** The next records, oldest first; none when there is nothing new. `ended`: the shard is closed and this was its end. */
  next(): Promise<{ records: StreamRecord[]; ended: boolean; behindMs: number }>;
}

export interface UserEventStream {
  /** When the stream was made, ISO 8601: one that was deleted and made again has the same name and other records. */
  createdAt(): Promise<string>;
  /** Every shard that the stream still has, closed ones too. */
  shards(): Promise<StreamShard[]>;
  /** Reads a shard from behind the record `after`, or from the oldest record; nothing is asked before the first `next`. */
  open(shardId: string, after: string | null): ShardReader;
}

/** How far each shard of a stream was read, and who reads it. A lease is a promise by the database's clock. */
export interface UserEventStore {
  /**
   * Records shards that are not known yet, of a stream that was made at `createdAt` (ISO 8601). What is known of a shard of that
   * name in an older stream is forgotten: nobody reads it, it is not finished, and has no checkpoint. Resolves to those.
   */
  note(stream: string, shards: StreamShard[], createdAt: string): Promise<string[]>;
  leases(stream: string): Promise<ShardLease[]>;
  /** Null when somebody else was faster, or the shard was finished meanwhile. One's own lease may be acquired again. */
  acquire(
    stream: string,
    wanted: WantedLease,
    owner: string,
    leaseMs: number,
  ): Promise<{ checkpoint: string | null } | null>;
  /** Which of the shards are still the owner's; those have their lease anew. */
  renew(stream: string, shardIds: string[], owner: string, leaseMs: number): Promise<string[]>;
  /** Moves the checkpoint `from` → `to`; false when the lease is lost or the checkpoint is another. */
  checkpoint(
    stream: string,
    shardId: string,
    owner: string,
    from: string | null,
    to: string,
  ): Promise<boolean>;
  /** The shard was read to its end; false when the lease is lost. */
  finish(stream: string, shardId: string, owner: string): Promise<boolean>;
  /** Gives up every lease of the owner. */
  release(stream: string, owner: string): Promise<void>;
  /** Keeps a record that is no event (the first 4 KiB, or `whole`), with an alert. Once per record. */
  park(
    stream: string,
    shardId: string,
    record: StreamRecord,
    reason: string,
    options?: { whole: boolean },
  ): Promise<void>;
}
