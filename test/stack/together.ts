/** One time-out for all: they run at the same time. */
const togetherMs = 280_000;

/**
 * Tests of one `describe` that all run at once, each on entities of its own: most of their time is waiting. Each is reported for
 * itself; one that fails takes no other with it. Call it after the hooks that the tests need.
 */
export function together(): (name: string, run: () => Promise<void>) => void {
  const all: { run: () => Promise<void>; end: Promise<void> }[] = [];
  let outOfTime: Promise<never>;
  beforeAll(() => {
    for (const one of all) {
      one.end = one.run();
      // Its own test awaits it; until then a failure must not end the process.
      one.end.catch(() => undefined);
    }
    outOfTime = new Promise((_resolve, reject) => {
      setTimeout(() => reject(new Error('ran out of time')), togetherMs).unref();
    });
    outOfTime.catch(() => undefined);
  });
  return (name, run) => {
    const one = { run, end: Promise.resolve() };
    all.push(one);
    it(
      name,
      async () => {
        await Promise.race([one.end, outOfTime]);
      },
      togetherMs + 20_000,
    );
  };
}
