/**
 * The answer of `work`, or a rejection with `late()` when it takes longer than `ms`. The work itself is not stopped: ports
 * bound their own calls, this bounds how long a client waits for one that does not.
 */
export async function within<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
