let over = false;

/** Whoever waits still gives up: what nobody waits for any more would keep the process alive. */
export function endWaiting(): void {
  over = true;
}

/** Asks until the answer is true; an error counts as "not yet". Ends by itself only with `endWaiting`. */
export async function until(condition: () => Promise<boolean> | boolean, pauseMs = 100): Promise<void> {
  for (;;) {
    if (over) throw new Error('nobody waits any more');
    const met = await Promise.resolve()
      .then(condition)
      .catch(() => false);
    if (met) return;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
