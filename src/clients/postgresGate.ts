import type postgres from 'postgres';
import { Failure } from '../../domain/failures.js';
import { remember } from '../../domain/remember.js';

export interface GateOptions {
  /** As many as the pool has connections: so none is ever sent behind another on the same connection, which may wait for a lock. */
  atOnce: number;
  /** How long one waits for its place, in milliseconds; then it is refused. */
  waitMs: number;
  /**
   * Once one of a kind has been running for this long (it waits for a lock, most likely), its kind gets at most half of the
   * connections, until one has ended sooner: a locked table leaves the others theirs. Null: all are for all, as where long work is usual.
   */
  slowAfterMs: number | null;
}

/** Leaves the place; to be called once, when the work has ended. */
export type Leave = () => void;

/** Says the kind of work; it is asked only when there is slow work that it may be like. */
export type Kind = () => string;

interface Waiter {
  kind: Kind;
  admit: (leave: Leave) => void;
  timer: NodeJS.Timeout;
}

/** Kinds that are remembered as slow. */
const mostSlow = 100;

/** The line in front of a pool of connections: first come, first served, and nobody waits without end. */
export class PostgresGate {
  private readonly running = new Set<{ kind: Kind; since: number }>();
  /** Kinds of which the last to end was slow: those that wait for a lock are refused together, and the next of them would take every place. */
  private readonly slowLast = new Map<string, true>();
  private line: Waiter[] = [];
  private admitting = false;

  constructor(readonly options: Readonly<GateOptions>) {}

  /**
   * Calls `admit` in the order of arrival, at once when there is a place, or `refuse` with UPSTREAM_DOWN.
   * @param kind what distinguishes like work from other work: the statement's text, say
   */
  enter(kind: Kind, admit: (leave: Leave) => void, refuse: (failure: Failure) => void): void {
    if (this.line.length === 0 && this.hasPlaceFor(kind)) return admit(this.begin(kind));
    const timer = setTimeout(() => {
      this.line = this.line.filter((other) => other !== waiter);
      refuse(new Failure('UPSTREAM_DOWN', 'no connection to the database became free in time'));
    }, this.options.waitMs);
    const waiter: Waiter = { kind, admit, timer };
    this.line.push(waiter);
    this.admitNext();
  }

  /** The same as a promise. */
  admitted(kind: Kind): Promise<Leave> {
    return new Promise((resolve, reject) => this.enter(kind, resolve, reject));
  }

  private begin(kind: Kind): Leave {
    const run = { kind, since: performance.now() };
    this.running.add(run);
    return () => {
      if (!this.running.delete(run)) return;
      this.hasEnded(run);
      this.admitNext();
    };
  }

  private hasEnded({ kind, since }: { kind: Kind; since: number }): void {
    const { slowAfterMs } = this.options;
    if (slowAfterMs === null) return;
    if (performance.now() - since > slowAfterMs) remember(this.slowLast, kind(), true, mostSlow);
    else if (this.slowLast.size > 0) this.slowLast.delete(kind());
  }

  private admitNext(): void {
    // Whoever leaves as soon as it is admitted is here already: one inside of the other they would fill the stack.
    if (this.admitting) return;
    this.admitting = true;
    try {
      while (this.running.size < this.options.atOnce) {
        const index = this.line.findIndex(({ kind }) => this.hasPlaceFor(kind));
        if (index < 0) return;
        const [next] = this.line.splice(index, 1) as [Waiter];
        clearTimeout(next.timer);
        next.admit(this.begin(next.kind));
      }
    } finally {
      this.admitting = false;
    }
  }

  private hasPlaceFor(kind: Kind): boolean {
    const { atOnce, slowAfterMs } = this.options;
    if (this.running.size >= atOnce) return false;
    const half = Math.ceil(atOnce / 2);
    if (slowAfterMs === null || this.running.size < half) return true;
    const before = performance.now() - slowAfterMs;
    const running = [...this.running];
    const slowRuns = running.filter(({ since }) => since < before);
    if (slowRuns.length + this.slowLast.size === 0) return true;
    const slow = new Set([...this.slowLast.keys(), ...slowRuns.map((run) => run.kind())]);
    if (!slow.has(kind())) return true;
    return running.filter((run) => slow.has(run.kind())).length < half;
  }
}

/** What of a query of postgres.js is used here: a promise that the driver settles, and hands over to run when it is awaited. */
interface DriverQuery extends Promise<unknown> {
  /** Null until it is sent. */
  state: unknown;
  strings: object;
  args: readonly unknown[];
  cancelled: unknown;
  handler: (query: DriverQuery) => unknown;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** Statements alone: names and lists for a statement come from the same function. */
const isQuery = (made: unknown): made is DriverQuery => made instanceof Promise;

/** A template is one object for all its calls: here each has its number. */
const numbers = new WeakMap<object, number>();
let numbered = 0;

function numberOf(template: object): number {
  const known = numbers.get(template);
  if (known !== undefined) return known;
  numbered += 1;
  numbers.set(template, numbered);
  return numbered;
}

/** What distinguishes like statements from others, whatever their values: its templates, those of its parts included, or its text. */
function kindOf({ strings, args }: DriverQuery): string {
  if (!('raw' in strings)) return (strings as string[])[0] ?? '';
  const parts = args.filter(isQuery).map(kindOf);
  return parts.length === 0 ? `${numberOf(strings)}` : `${numberOf(strings)}(${parts.join()})`;
}

/**
 * Another host may serve: this one was left, since it is not of the kind that the URL asks for, or is a standby; it takes nobody just now (it is
 * starting or stopping, say); or it has closed the connection, or said nothing.
 */
const ofTheHost: ReadonlySet<unknown> = new Set([
  'CONNECTION_DESTROYED',
  'SERVER_IS_STANDBY',
  '57P03',
  'CONNECTION_CLOSED',
  'ECONNRESET',
  'EPIPE',
  'CONNECT_TIMEOUT',
]);

/**
 * Says of an error whether what it kept from being sent goes to the next host, to which the next connection leads. It says so `tries` times
 * at most, and no longer than one waits for a connection.
 */
function mayGoOn({ options: { waitMs } }: PostgresGate, tries: number): (error: unknown) => boolean {
  const endAt = performance.now() + waitMs;
  let left = tries;
  return (error) => {
    if (!(error instanceof Error && 'code' in error && ofTheHost.has(error.code))) return false;
    left -= 1;
    return left >= 0 && performance.now() < endAt;
  };
}

function runWhenAdmitted(query: DriverQuery, gate: PostgresGate, tries: number): void {
  const { handler: run, resolve, reject } = query;
  query.handler = () =>
    gate.enter(
      () => kindOf(query),
      (leave) => {
        // Cancelled in the line: it is settled, and the driver would wait for its end for ever.
        if (query.cancelled !== null) return leave();
        query.resolve = (value) => {
          leave();
          resolve(value);
        };
        const goesOn = mayGoOn(gate, tries);
        query.reject = (error) => {
          if (query.state === null && goesOn(error)) return void run(query);
          leave();
          reject(error);
        };
        run(query);
      },
      (failure) => query.reject(failure),
    );
}

type Make = (...args: unknown[]) => unknown;
type Begin = (...args: unknown[]) => Promise<unknown>;

/**
 * The same pool behind a gate: each statement and each transaction waits for its place. A reserved connection does not. What was not sent
 * yet is handed over once more where another host may serve, `tries` times at most.
 */
export function gated(sql: postgres.Sql, gate: PostgresGate, tries = 0): postgres.Sql {
  const driver = sql as unknown as Make & { unsafe: Make; begin: Begin };
  const behind = (made: unknown): unknown => {
    if (isQuery(made)) runWhenAdmitted(made, gate, tries);
    return made;
  };
  async function begin(...args: unknown[]): Promise<unknown> {
    const work = args.at(-1) as Make;
    let begun = false;
    const noted: Make = (tx) => {
      begun = true;
      return work(tx);
    };
    for (const goesOn = mayGoOn(gate, tries); ;) {
      try {
        return await driver.begin(...args.slice(0, -1), noted);
      } catch (error) {
        if (begun || !goesOn(error)) throw error;
      }
    }
  }
  const own: Make = (...args) => behind(driver(...args));
  return Object.assign(Object.setPrototypeOf(own, sql) as postgres.Sql, {
    unsafe: (...args: unknown[]) => behind(driver.unsafe(...args)),
    begin: async (...args: unknown[]) => {
      const leave = await gate.admitted(() => kindOfTransaction(args[0]));
      try {
        return await begin(...args);
      } finally {
        leave();
      }
    },
  });
}

/** One that reads alone, for as long as its client takes, is not as those that write. */
const kindOfTransaction = (options: unknown): string =>
  typeof options === 'string' ? `transaction ${options}` : 'transaction';
