import { Problem } from './errors.js';

/** Reads at Plaid on behalf of waiting clients, bounded so that a slow bank never takes the process from the cached reads. */
export interface LiveReads {
  /** The answer of `read`; 503 `live_reads_busy` when too many are on their way already. */
  run<T>(read: () => Promise<T>): Promise<T>;
  /** From here on: what is still on its way after `ms` is answered with 503, so that the process can end. */
  stop(ms: number): void;
}

const soonMs = 5_000;

const busy = (): Problem => new Problem('live_reads_busy', { retryAfterMs: soonMs });

export function createLiveReads(atOnce: number): LiveReads {
  let running = 0;
  let endAll: (problem: Problem) => void;
  const ended = new Promise<never>((_, reject) => {
    endAll = reject;
  });
  // Nobody may be waiting when it comes.
  ended.catch(() => undefined);

  return {
    async run(read) {
      if (running >= atOnce) throw busy();
      running += 1;
      // The place is taken until the call itself has ended, not until its client was answered.
      const answer = read().finally(() => {
        running -= 1;
      });
      return Promise.race([answer, ended]);
    },

    stop(ms) {
      setTimeout(() => endAll(busy()), ms).unref();
    },
  };
}
