import { eachByItself } from '../domain/eachByItself.js';
import { Failure } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import { backoff } from '../domain/item/policy.js';
import type { FloatStore } from '../domain/ports/floats.js';
import type { Gateway } from '../domain/ports/gateway.js';
import type { StreamRecord, UserEventStore, UserEventStream } from '../domain/ports/userEvents.js';
import { leasesToAcquire } from '../domain/userEvents/shardLeases.js';
import { readUserEvent } from '../domain/userEvents/userEvent.js';
import type { UserEvent } from '../domain/userEvents/userEvent.js';
import { takenApart } from './clients/kplRecord.js';

/** Times in milliseconds. */
export interface UserEventConsumerOptions {
  /** The stream's name: leases and checkpoints are kept under it. */
  stream: string;
  /** This process among all listeners; another one after each start. */
  me: string;
  /** How long a shard stays with a listener that says nothing more; it is renewed after a quarter of that. */
  leaseMs: number;
  /** Between two reads of a shard that had nothing new; Kinesis allows five a second. */
  pollMs: number;
}

export interface UserEventConsumerDeps {
  events: UserEventStream;
  store: UserEventStore;
  floats: Pick<FloatStore, 'record'>;
  gateway: Pick<Gateway, 'startCheck'>;
  crashPoint: (name: 'listener.beforeEffect' | 'listener.afterEffect' | 'listener.afterCheckpoint') => void;
  observe: UserEventObserver;
}

/** Hears what happens; never what a record holds. */
export interface UserEventObserver {
  /** A record was acted on for good. */
  actedOn(what: 'login' | 'float' | 'parked' | 'dropped'): void;
  /** Shards that this listener reads. */
  holding(shardIds: string[]): void;
  /** How far a shard's reading is behind the newest record. */
  behind(shardId: string, ms: number): void;
  /** Something did not work and is tried again. */
  failed(what: string, error: unknown): void;
  parked(shardId: string, sequenceNumber: string, reason: string): void;
  /** The stream was deleted and made again: these shards are read from their oldest record. */
  madeAnew(shardIds: string[]): void;
}

export interface UserEventConsumer {
  /** Reads until `stop`. Never rejects: what fails is tried again. */
  run(): Promise<void>;
  /** Ends what is on its way, writes the checkpoints and gives up the leases. */
  stop(): Promise<void>;
}

/** Events that are acted on at a time; the checkpoint follows each such group of whole records. */
const eventsAtOnce = 16;
/**
 * What will never be taken must not stop the stream: a value that the database refuses (30 February, say), a call that
 * Temporal refuses for what it is. A refusal for how we are set up is nobody's record's fault: that one waits, and is shown.
 */
const neverTaken: ReadonlySet<FailureType> = new Set<FailureType>(['BAD_REQUEST', 'ORCHESTRATOR_REFUSED']);
const firstPauseMs = 200;
/** An event that has failed so often is not done in a moment. */
const heldUpAfter = 3;
/** Floats of more users than this that are not taken are no matter of single users: the database is away, say. */
const usersHeldUp = 8;
const longestPauseMs = 10_000;
/** How often, in leases, the shards of the stream are listed: a split is noticed by the end of its parent too. */
const leasesBetweenLists = 1.5;

/** A record, or one of those that were packed into it. */
interface Unpacked extends StreamRecord {
  isBroken: boolean;
}

/** Records between two checkpoints, and the events in them. */
interface Group {
  records: StreamRecord[];
  events: Unpacked[];
}

function unpacked(record: StreamRecord): Unpacked[] {
  const parts = takenApart(record.data);
  if (parts === null) return [{ ...record, isBroken: true }];
  if (parts[0] === record.data) return [{ ...record, isBroken: false }];
  return parts.map((data, place) => ({
    ...record,
    sequenceNumber: `${record.sequenceNumber}/${place}`,
    data,
    isBroken: false,
  }));
}

type Float = Extract<UserEvent, { kind: 'float' }>;

function floatsIn(part: Unpacked): Float[] {
  const event = part.isBroken ? null : readUserEvent(part.data, part.arrivedAt);
  return event?.kind === 'float' ? [event] : [];
}

/** As many records as hold `eventsAtOnce` events; one that holds more is a group of its own. */
function groupsOf(records: readonly StreamRecord[]): Group[] {
  const groups: Group[] = [];
  for (const record of records) {
    const events = unpacked(record);
    const last = groups.at(-1);
    if (last !== undefined && last.events.length + events.length <= eventsAtOnce) {
      last.records.push(record);
      last.events.push(...events);
    } else groups.push({ records: [record], events });
  }
  return groups;
}

/** The lease of one shard as this process believes in it. */
class Lease {
  private readonly waking = new AbortController();
  private until: number;

  constructor(readonly leaseMs: number) {
    this.until = performance.now() + leaseMs;
  }

  /** `askedAt`: before the database was asked, so that the belief ends before the truth does. */
  renewed(askedAt: number): void {
    if (this.until !== -Infinity) this.until = askedAt + this.leaseMs;
  }

  end(): void {
    this.until = -Infinity;
    this.wake();
  }

  /** Ends the present pause and every later one. */
  wake(): void {
    this.waking.abort();
  }

  isHeld(): boolean {
    return performance.now() < this.until;
  }

  /** Waits, but not beyond the end of the lease. */
  async pause(ms: number): Promise<void> {
    await pauseUnless(this.waking.signal, Math.min(ms, Math.max(this.until - performance.now(), 0)));
  }
}

function pauseUnless(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/**
 * Acts on every record of the stream of user events at least once: first the effect, then the checkpoint. Effects may be
 * repeated and come in any order: the latest report of a float wins, a login's check runs once per event id. So a shard that
 * changes its reader in the middle of a batch loses and doubles nothing.
 */
export function createUserEventConsumer(
  deps: UserEventConsumerDeps,
  options: UserEventConsumerOptions,
): UserEventConsumer {
  const { events, store, floats, gateway, crashPoint, observe } = deps;
  const { stream, me, leaseMs, pollMs } = options;
  const stopping = new AbortController();
  const readers = new Map<string, { lease: Lease; ended: Promise<void> }>();
  let listed: ReadonlySet<string> | null = null;
  let listedAt = -Infinity;

  async function park(
    shardId: string,
    record: StreamRecord,
    reason: string,
    options = { whole: false },
  ): Promise<void> {
    await store.park(stream, shardId, record, reason, options);
    observe.parked(shardId, record.sequenceNumber, reason);
    observe.actedOn('parked');
  }

  /** Acts on one event. Rejects when that has to be tried again. */
  async function act(shardId: string, record: Unpacked): Promise<void> {
    // Nobody can say what it held, and the stream forgets it in a day.
    if (record.isBroken) return park(shardId, record, 'broken_aggregate', { whole: true });
    const event = readUserEvent(record.data, record.arrivedAt);
    if (event.kind === 'poison') return park(shardId, record, event.reason);
    try {
      if (event.kind === 'login') await gateway.startCheck(event.eventId, event.userId);
      else await floats.record({ ...event, by: null });
      observe.actedOn(event.kind);
    } catch (error) {
      // Of a user whose data are being erased, or were since it came, nothing is kept, and so nothing is parked.
      if (error instanceof Failure && error.type === 'USER_BEING_ERASED') return observe.actedOn('dropped');
      if (!(error instanceof Failure) || !neverTaken.has(error.type)) throw error;
      await park(shardId, record, error.type);
    }
  }

  /**
   * Records the floats behind events that are held up (logins, while Temporal is away) for as long as they are, also in the shards that
   * come of this one: who removes an Item asks for them. In their turn they come once more, which changes nothing.
   */
  async function recordFloatsAhead(
    shardId: string,
    lease: Lease,
    from: string | null,
    over: AbortSignal,
  ): Promise<void> {
    const isOver = (): boolean => over.aborted || !lease.isHeld();
    const children: Promise<void>[] = [];
    let at = from;
    let left: Float[] = [];
    let failures = 0;
    while (!isOver()) {
      try {
        const reader = events.open(shardId, at);
        for (;;) {
          const { records, ended } = await reader.next();
          left = await recordFloats([...left, ...records.flatMap(unpacked).flatMap(floatsIn)], isOver);
          at = records.at(-1)?.sequenceNumber ?? at;
          if (ended && children.length === 0) {
            const split = (await events.shards()).filter(({ parents }) => parents.includes(shardId));
            // Nobody reads them before this shard is done.
            children.push(...split.map((child) => recordFloatsAhead(child.shardId, lease, null, over)));
          }
          if (isOver() || (ended && left.length === 0)) return void (await Promise.all(children));
          failures = 0;
          if (records.length === 0) await pauseUnless(over, pollMs);
        }
      } catch (error) {
        observe.failed('a float ahead', error);
        failures += 1;
        await pauseUnless(over, backoff(failures, firstPauseMs, longestPauseMs));
      }
    }
    await Promise.all(children);
  }

  /**
   * Records floats before their turn, and resolves to those that were not taken: somebody may hold the row of a user, and the floats of
   * others do not wait for that. Rejects where those of many users are not taken. What a float is refused for is seen in its turn.
   */
  async function recordFloats(given: readonly Float[], isOver: () => boolean): Promise<Float[]> {
    const held = new Set<string>();
    const left: Float[] = [];
    for (const float of given) {
      if (isOver() || held.has(float.userId)) {
        left.push(float);
        continue;
      }
      try {
        await floats.record({ ...float, by: null });
      } catch (error) {
        const isRefused =
          error instanceof Failure && (neverTaken.has(error.type) || error.type === 'USER_BEING_ERASED');
        if (isRefused) continue;
        if (held.size === usersHeldUp) throw error;
        observe.failed('a float ahead', error);
        held.add(float.userId);
        left.push(float);
      }
    }
    return left;
  }

  /** Tries `work` until it is done; false when the lease or this process ends first. `onFailure` hears how many tries have failed. */
  async function untilDone(
    what: string,
    lease: Lease,
    work: () => Promise<unknown>,
    onFailure: (failures: number) => void = () => undefined,
  ): Promise<boolean> {
    for (let failures = 1; ; failures += 1) {
      if (!lease.isHeld()) return false;
      try {
        await work();
        return true;
      } catch (error) {
        observe.failed(what, error);
        if (stopping.signal.aborted) return false;
        onFailure(failures);
        await lease.pause(backoff(failures, firstPauseMs, longestPauseMs));
      }
    }
  }

  /** Acts on records and moves the checkpoint behind them; null when that could not be done. */
  async function actOnAll(
    shardId: string,
    lease: Lease,
    from: string | null,
    { records, events: group }: Group,
  ): Promise<string | null> {
    crashPoint('listener.beforeEffect');
    const over = new AbortController();
    /** One at the most. */
    const ahead: Promise<void>[] = [];
    const onFailure = (failures: number): void => {
      if (failures >= heldUpAfter && ahead.length === 0)
        ahead.push(recordFloatsAhead(shardId, lease, from, over.signal));
    };
    try {
      // A record may hold thousands of events, and has one checkpoint only: behind the last of them.
      for (let start = 0; start < group.length; start += eventsAtOnce) {
        if (start > 0 && stopping.signal.aborted) return null;
        const done = await Promise.all(
          group
            .slice(start, start + eventsAtOnce)
            .map((event) => untilDone('an event', lease, () => act(shardId, event), onFailure)),
        );
        if (!done.every(Boolean)) return null;
      }
    } finally {
      over.abort();
      await Promise.all(ahead);
    }
    crashPoint('listener.afterEffect');
    const to = (records.at(-1) as StreamRecord).sequenceNumber;
    let moved = false;
    await untilDone('a checkpoint', lease, async () => {
      moved = await store.checkpoint(stream, shardId, me, from, to);
    });
    crashPoint('listener.afterCheckpoint');
    return moved ? to : null;
  }

  async function readShard(shardId: string, lease: Lease, checkpoint: string | null): Promise<void> {
    const reader = events.open(shardId, checkpoint);
    let at = checkpoint;
    let failures = 0;
    while (lease.isHeld() && !stopping.signal.aborted) {
      let batch: Awaited<ReturnType<typeof reader.next>>;
      try {
        batch = await reader.next();
        failures = 0;
      } catch (error) {
        observe.failed('a read', error);
        failures += 1;
        await lease.pause(backoff(failures, firstPauseMs, longestPauseMs));
        continue;
      }
      observe.behind(shardId, batch.behindMs);
      for (const group of groupsOf(batch.records)) {
        if (stopping.signal.aborted) return;
        const moved = await actOnAll(shardId, lease, at, group);
        if (moved === null) return;
        at = moved;
      }
      if (batch.ended) {
        await untilDone('the end of a shard', lease, () => store.finish(stream, shardId, me));
        // Its children may be read now.
        listedAt = -Infinity;
        return;
      }
      if (batch.records.length === 0) await lease.pause(pollMs);
    }
  }

  function startReader(shardId: string, lease: Lease, checkpoint: string | null): void {
    const ended = readShard(shardId, lease, checkpoint)
      .catch((error: unknown) => observe.failed('a shard', error))
      .finally(() => {
        lease.end();
        readers.delete(shardId);
        observe.holding([...readers.keys()]);
      });
    readers.set(shardId, { lease, ended });
    observe.holding([...readers.keys()]);
  }

  /** Each by itself: one whose row somebody holds takes no other lease. */
  async function renewLeases(): Promise<void> {
    const renew = async (shardId: string, lease: Lease): Promise<void> => {
      const askedAt = performance.now();
      const renewed = await store.renew(stream, [shardId], me, leaseMs);
      if (renewed.length > 0) lease.renewed(askedAt);
      else lease.end();
    };
    const ends = await Promise.allSettled([...readers].map(([shardId, { lease }]) => renew(shardId, lease)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  async function listShards(): Promise<ReadonlySet<string>> {
    if (listed !== null && performance.now() - listedAt < leasesBetweenLists * leaseMs) return listed;
    const createdAt = await events.createdAt();
    const shards = await events.shards();
    // Readers of the older stream lose their leases by it, and end: their iterators lead nowhere.
    const madeAnew = await store.note(stream, shards, createdAt);
    if (madeAnew.length > 0) observe.madeAnew(madeAnew);
    listedAt = performance.now();
    listed = new Set(shards.map(({ shardId }) => shardId));
    return listed;
  }

  async function acquireShards(): Promise<void> {
    const known = await listShards();
    // A lease of ours that nobody reads under (its reader met a failure) is as good as free.
    const shards = (await store.leases(stream)).map((shard) =>
      shard.owner === me && !readers.has(shard.shardId) ? { ...shard, owner: null, live: false } : shard,
    );
    await eachByItself(leasesToAcquire(shards, known, me, Math.random()), async (wanted) => {
      // A reader whose lease was lost may still be ending what it had begun.
      if (readers.has(wanted.shardId) || stopping.signal.aborted) return;
      const lease = new Lease(leaseMs);
      const acquired = await store.acquire(stream, wanted, me, leaseMs);
      if (acquired !== null) startReader(wanted.shardId, lease, acquired.checkpoint);
    });
  }

  let running: Promise<void> | null = null;
  async function repeat(what: string, work: () => Promise<void>): Promise<void> {
    while (!stopping.signal.aborted) {
      await work().catch((error: unknown) => observe.failed(what, error));
      await pauseUnless(stopping.signal, leaseMs / 4);
    }
  }

  return {
    run() {
      // Apart: while Kinesis is silent the leases are kept all the same.
      running ??= Promise.all([
        repeat('a renewal', renewLeases),
        repeat('acquiring leases', acquireShards),
      ]).then(() => undefined);
      return running;
    },

    async stop() {
      stopping.abort();
      await running;
      const ending = [...readers.values()];
      for (const { lease } of ending) lease.wake();
      await Promise.all(ending.map(({ ended }) => ended));
      await store.release(stream, me).catch((error: unknown) => observe.failed('a release', error));
    },
  };
}
