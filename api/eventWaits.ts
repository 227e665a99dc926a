import { Problem } from './errors.js';

/** Requests that wait for events. A process has few of them, and asks the database once for all. */
export interface EventWaits {
  /** Takes a place while `work` runs; 503 `event_waits_busy` when all are taken. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Resolves when further events may be read than at the moment at which the store said `seen`, once `signal` is aborted, and at
   * `stop`.
   */
  untilNewer(seen: string, signal: AbortSignal): Promise<void>;
  /** From here on nobody waits: those that do are answered at once. */
  stop(): void;
  isStopped(): boolean;
}

const soonMs = 5_000;

interface Waiter {
  seen: string;
  wake: () => void;
}

/** `newest` as `EventStore` has it, asked every `everyMs` while somebody waits. */
export function createEventWaits(
  newest: () => Promise<string>,
  { atOnce, everyMs }: { atOnce: number; everyMs: number },
): EventWaits {
  const waiting = new Set<Waiter>();
  let stopped = false;
  let places = 0;
  let timer: NodeJS.Timeout | undefined;

  async function ask(): Promise<void> {
    // Nobody is woken by a question that failed: whoever waits reads again at its end anyway.
    const now = await newest().catch(() => null);
    for (const waiter of [...waiting]) if (now !== null && now !== waiter.seen) waiter.wake();
    timer = undefined;
    askLater();
  }

  function askLater(): void {
    if (waiting.size > 0 && timer === undefined) timer = setTimeout(() => void ask(), everyMs);
  }

  return {
    async run(work) {
      if (places >= atOnce) throw new Problem('event_waits_busy', { retryAfterMs: soonMs });
      places += 1;
      try {
        return await work();
      } finally {
        places -= 1;
      }
    },

    async untilNewer(seen, signal) {
      if (stopped || signal.aborted) return;
      await new Promise<void>((resolve) => {
        const waiter: Waiter = {
          seen,
          wake() {
            waiting.delete(waiter);
            signal.removeEventListener('abort', waiter.wake);
            resolve();
          },
        };
        waiting.add(waiter);
        signal.addEventListener('abort', waiter.wake);
        askLater();
      });
    },

    stop() {
      stopped = true;
      for (const waiter of [...waiting]) waiter.wake();
      clearTimeout(timer);
    },

    isStopped: () => stopped,
  };
}
