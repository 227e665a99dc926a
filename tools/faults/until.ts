let over = false;

/** Whoever waits still gives up: what nobody waits for any more would keep the process alive. */
export function endWaiting(): void {
  over = true;
}

/** Asks until the answer is true; an error counts as "not yet". Ends by itself only with `endWaiting`, and says what did not come. */
export async function until(condition: () => Promise<boolean> | boolean, pauseMs = 100): Promise<void> {
  let failure = '';
  for (;;) {
    if (over) {
      process.stderr.write(`waited in vain for ${String(condition)} ${failure}\n`);
      throw new Error('nobody waits any more');
    }
    const met = await Promise.resolve()
      .then(condition)
      .catch((error: unknown) => {
        failure = error instanceof Error ? error.message : 'not an error';
        return false;
      });
    if (met) return;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
