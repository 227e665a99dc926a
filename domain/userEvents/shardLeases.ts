/** One shard of a stream and who reads it. */
export interface ShardLease {
  shardId: string;
  /** The shards that it came from by a split or a merge. */
  parents: string[];
  /** Read to its end. */
  finished: boolean;
  owner: string | null;
  /** Whether the owner's lease still runs. */
  live: boolean;
}

export interface WantedLease {
  shardId: string;
  /** The owner to take it from while its lease runs; null = nobody's, or the lease has ended. */
  from: string | null;
}

/**
 * The shards whose leases `me` shall acquire now. Parents are read before children: a shard waits until each parent is finished or is
 * no longer in the stream. Each listener has a fair share; one that has less takes what is free, and else one shard from
 * the listener that has most, if that makes the shares more equal. `listed`: the shards that the stream has. `random` in
 * [0, 1) spreads the choice, so that two listeners at once do not go for the same shard.
 */
export function leasesToAcquire(
  shards: readonly ShardLease[],
  listed: ReadonlySet<string>,
  me: string,
  random: number,
): WantedLease[] {
  const unread = new Set(
    shards.filter(({ shardId, finished }) => !finished && listed.has(shardId)).map(({ shardId }) => shardId),
  );
  const readable = shards.filter(
    ({ shardId, parents }) => unread.has(shardId) && !parents.some((parent) => unread.has(parent)),
  );
  const held = new Map<string, ShardLease[]>([[me, []]]);
  const free: ShardLease[] = [];
  for (const shard of readable) {
    if (shard.owner === null || (!shard.live && shard.owner !== me)) free.push(shard);
    else held.set(shard.owner, [...(held.get(shard.owner) ?? []), shard]);
  }
  const mine = held.get(me)?.length ?? 0;
  const wanted = Math.ceil(readable.length / held.size) - mine;
  if (wanted <= 0) return [];
  const start = Math.floor(random * free.length);
  const chosen = [...free.slice(start), ...free.slice(0, start)].slice(0, wanted);
  if (chosen.length > 0) return chosen.map(({ shardId }) => ({ shardId, from: null }));
  const [richest] = [...held].sort(([, a], [, b]) => b.length - a.length);
  if (richest === undefined || richest[1].length < mine + 2) return [];
  const [owner, theirs] = richest;
  const taken = theirs[Math.floor(random * theirs.length)];
  return taken === undefined ? [] : [{ shardId: taken.shardId, from: owner }];
}
