interface Waiting<One> {
  one: One;
  done: () => void;
  failed: (error: unknown) => void;
}

/** Hands on one after the other, and what comes while a batch is written together with the next. Resolves when it was written. */
export function inBatches<One>(write: (batch: One[]) => Promise<void>): (one: One) => Promise<void> {
  let waiting: Waiting<One>[] = [];
  let writing = false;

  async function writeAll(): Promise<void> {
    if (writing) return;
    writing = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await write(batch.map(({ one }) => one));
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    writing = false;
  }

  return (one) =>
    new Promise((done, failed) => {
      waiting.push({ one, done, failed });
      void writeAll();
    });
}
