import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit';
import { remember } from '../domain/remember.js';

interface Count {
  since: number;
  current: number;
}

/**
 * A store of `@fastify/rate-limit` in the memory of this process, for `most` keys. The store that comes with it goes by the host's
 * clock: a step back of an hour makes its minute last for an hour. Times are in milliseconds; `elapsed` takes no step.
 */
export function requestCounts(
  elapsed: () => number,
  { windowMs, most }: { windowMs: number; most: number },
): FastifyRateLimitStoreCtor {
  return class RequestCounts implements FastifyRateLimitStore {
    private readonly counts = new Map<string, Count>();

    incr(key: string, done: (error: Error | null, result?: { current: number; ttl: number }) => void): void {
      const now = elapsed();
      const known = this.counts.get(key);
      const count = known !== undefined && now < known.since + windowMs ? known : { since: now, current: 0 };
      count.current += 1;
      remember(this.counts, key, count, most);
      done(null, { current: count.current, ttl: windowMs - (now - count.since) });
    }

    child(): FastifyRateLimitStore {
      return new RequestCounts();
    }
  };
}
