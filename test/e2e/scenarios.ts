import { stillWaiting } from './oracle.js';

/** One time-out for all: they run at the same time. */
const togetherMs = 300_000;

/**
 * Scenarios that all run at once on one system, each on Items of its own: most of their time is waiting. Each is reported as a
 * test; one that fails takes no other with it.
 */
export function runTogether(scenarios: Record<string, () => Promise<void>>): void {
  const running = new Map<string, Promise<void>>();
  beforeAll(() => {
    for (const [name, run] of Object.entries(scenarios)) {
      const end = run();
      // Its own test awaits it; until then a failure must not end the process.
      end.catch(() => undefined);
      running.set(name, end);
    }
  });
  let outOfTime: Promise<never>;
  beforeAll(() => {
    outOfTime = new Promise((_resolve, reject) => {
      setTimeout(() => reject(new Error('ran out of time')), togetherMs).unref();
    });
    outOfTime.catch(() => undefined);
  });
  it.each(Object.keys(scenarios))(
    '%s',
    async (name) => {
      await Promise.race([running.get(name), outOfTime]);
    },
    togetherMs + 5_000,
  );
}

/** After each test: if it ran out of time, what was it waiting for? */
export function tellWhatWaits(): void {
  afterEach(() => {
    const waits = stillWaiting();
    if (waits.length > 0) process.stderr.write(`still waiting:\n  ${waits.join('\n  ')}\n`);
  });
}
