/** Repeats of a signal within this time are one wish: npm and the terminal both send one for a single Ctrl-C. */
const ONE_WISH_MS = 5_000;

/**
 * An abort signal that SIGINT and SIGTERM set off. A repeat within five seconds changes nothing; a later one means that the
 * clean stop takes too long for the user: the process ends at once (what it started is then ended by its guard).
 */
export function onStopSignals(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      const now = performance.now();
      if (first === 0) {
        first = now;
        controller.abort();
      } else if (now - first > ONE_WISH_MS) {
        process.exit(1);
      }
    });
  }
  return controller.signal;
}
