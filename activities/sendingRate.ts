/** A quarter of a second's share may go at once. */
const burstSeconds = 0.25;

export interface SendingRate {
  /** How many may begin now, of so many a second; null = no limit. */
  free(perSecond: number | null): number;
  use(perSecond: number | null, n: number): void;
  /** Milliseconds until one more may begin. */
  nextMs(perSecond: number | null): number;
}

/** Counts what is begun. At its own beginning nothing is free: whoever sent before may just have used it. */
export function sendingRate(now: () => number): SendingRate {
  let tokens = 0;
  let countedAt = now();
  const count = (perSecond: number): void => {
    const burst = Math.max(1, perSecond * burstSeconds);
    tokens = Math.min(burst, tokens + ((now() - countedAt) / 1_000) * perSecond);
    countedAt = now();
  };
  return {
    free(perSecond) {
      if (perSecond === null) return Number.POSITIVE_INFINITY;
      count(perSecond);
      return Math.floor(tokens);
    },
    use(perSecond, n) {
      if (perSecond !== null) tokens -= n;
    },
    nextMs(perSecond) {
      return perSecond === null ? 0 : Math.max(0, Math.ceil(((1 - tokens) / perSecond) * 1_000));
    },
  };
}
