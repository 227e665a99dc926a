import type { SimulatedClock } from './clock.js';

/** Node's timers take at most a signed 32-bit number of milliseconds. */
const LONGEST_TIMER_MS = 2_147_483_647;
/** How long an advance waits (real time) for an earlier step of the same subject before it runs the subject's next one. */
const STEP_PATIENCE_MS = 1_000;

interface Step {
  at: number;
  order: number;
  /** What the step is about (an item id): within an advance, steps of one subject follow each other. */
  subject: string;
  run: () => Promise<void> | void;
}

/**
 * What is due when, in simulated time. Timers that follow real time could not survive an advance of the clock, so there is one
 * queue keyed by simulated instants, and one real timer for its head.
 */
export class Schedule {
  private readonly heap: Step[] = [];
  private order = 0;
  private timer: NodeJS.Timeout | undefined;
  private advancing: Promise<void> | undefined;
  private closed = false;
  private readonly running = new Map<string, Set<Promise<void>>>();

  constructor(
    private readonly clock: SimulatedClock,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Runs `run` when simulated time reaches `at`; steps of the same instant run in the order in which they were given. */
  at(at: number, subject: string, run: Step['run']): void {
    if (this.closed) return;
    this.push({ at, order: this.order++, subject, run });
    this.arm();
  }

  /** Steps that are still to come. */
  get size(): number {
    return this.heap.length;
  }

  /** Forgets everything that is still to come. */
  clear(): void {
    this.heap.length = 0;
    this.arm();
  }

  /** Re-reads the clock after its scale has changed. */
  rearm(): void {
    this.arm();
  }

  /** Moves the clock by `ms` and runs everything that falls due on the way, in order; resolves when that work is done. */
  async advance(ms: number): Promise<void> {
    while (this.advancing) await this.advancing;
    const work = this.advanceTo(this.clock.now() + ms);
    this.advancing = work.finally(() => {
      this.advancing = undefined;
      this.arm();
    });
    await this.advancing;
  }

  /** Stops the timer, drops what is to come and waits for what runs. */
  async close(): Promise<void> {
    this.closed = true;
    this.heap.length = 0;
    clearTimeout(this.timer);
    await this.settled();
  }

  private async advanceTo(target: number): Promise<void> {
    clearTimeout(this.timer);
    for (;;) {
      const head = this.heap[0];
      if (head && head.at <= target) {
        await this.settled(head.subject, STEP_PATIENCE_MS);
        const step = this.pop();
        if (!step) continue;
        this.clock.jumpTo(step.at);
        this.execute(step);
        continue;
      }
      if (this.running.size === 0) break;
      // What still runs may schedule a retry that is also due before the target.
      await this.settled();
    }
    this.clock.jumpTo(target);
  }

  private async settled(subject?: string, patienceMs?: number): Promise<void> {
    const sets =
      subject === undefined ? [...this.running.values()] : [this.running.get(subject) ?? new Set()];
    const all = Promise.all(sets.flatMap((set) => [...set])).then(() => undefined);
    if (patienceMs === undefined) return all;
    if (sets.every((set) => set.size === 0)) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    await Promise.race([all, patience]);
    clearTimeout(timer);
  }

  private execute(step: Step): void {
    let outcome: Promise<void> | void;
    try {
      outcome = step.run();
    } catch (error) {
      this.onError(error);
      return;
    }
    if (!outcome) return;
    const set = this.running.get(step.subject) ?? new Set();
    this.running.set(step.subject, set);
    const work: Promise<void> = outcome.catch(this.onError).finally(() => {
      set.delete(work);
      if (set.size === 0) this.running.delete(step.subject);
    });
    set.add(work);
  }

  private arm(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const head = this.heap[0];
    if (!head || this.closed || this.advancing) return;
    const delay = this.clock.realDelayUntil(head.at);
    if (delay === Infinity) return;
    this.timer = setTimeout(() => this.runDue(), Math.min(Math.ceil(delay), LONGEST_TIMER_MS));
  }

  private runDue(): void {
    if (this.advancing) return;
    while (this.heap[0] && this.heap[0].at <= this.clock.now()) {
      const step = this.pop();
      if (step) this.execute(step);
    }
    this.arm();
  }

  private before(a: Step, b: Step): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  private push(step: Step): void {
    const heap = this.heap;
    let i = heap.push(step) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (!above || !this.before(step, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = step;
  }

  private pop(): Step | undefined {
    const heap = this.heap;
    const head = heap[0];
    const last = heap.pop();
    if (!head || !last || heap.length === 0) return head;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      const right = left + 1;
      let least = left;
      const l = heap[left];
      if (!l) break;
      const r = heap[right];
      if (r && this.before(r, l)) least = right;
      const child = heap[least];
      if (!child || !this.before(child, last)) break;
      heap[i] = child;
      i = least;
    }
    heap[i] = last;
    return head;
  }
}
