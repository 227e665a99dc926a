import rateLimit from '@fastify/rate-limit';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { addressBlock } from '../domain/addressBlock.js';
import { remember } from '../domain/remember.js';
import type { Api } from './deps.js';
import { Problem } from './errors.js';
import { requestCounts } from './requestCounts.js';

/** Counts requests, in the memory of this process. Both throw `rate_limited` when the count is spent. */
export interface Limiter {
  /** Before a key is looked up: may this address try one? Keys that were found before are not held up by others' guesses. */
  beforeLookup(request: FastifyRequest, keyHash: string): void;
  /** A key was found: from here on others' guesses from its address hold it up no more. */
  found(keyHash: string): void;
  /** Who has no valid key; `keyHash` is null without any. */
  stranger(request: FastifyRequest, keyHash: string | null): Promise<void>;
  /** Who has one; says in headers what is left. */
  caller(request: FastifyRequest, reply: FastifyReply): Promise<void>;
}

const minute = 60_000;
/** Of keys, and of addresses, that are remembered: the oldest are forgotten first. */
const remembered = 10_000;
/** Whoever needs as many tries for a key as a twentieth of its limit is guessing. */
const strangersShare = 20;

interface Count {
  max: number;
  remaining: number;
  ttlInSeconds: number;
}

/** Names of the policies in the headers: who is counted. */
type PolicyName = 'key' | 'address';

/**
 * The header fields of draft-ietf-httpapi-ratelimit-headers-11, as Structured Fields: the policy with its quota and window in
 * seconds, and what is left of it with the seconds until it is whole again.
 */
const headersOf = (policy: PolicyName, { max, remaining, ttlInSeconds }: Count) => ({
  'ratelimit-policy': `"${policy}";q=${max};w=${minute / 1_000}`,
  ratelimit: `"${policy}";r=${remaining};t=${ttlInSeconds}`,
});

const spent = (policy: PolicyName, count: Count): Problem =>
  new Problem('rate_limited', {
    retryAfterMs: count.ttlInSeconds * 1_000,
    headers: headersOf(policy, { ...count, remaining: 0 }),
  });

/** For `app.register`: afterwards `createLimiter` may be called in the scopes of `app`. */
export const registerRateLimit = (app: Api, elapsed: () => number): void =>
  void app.register(rateLimit, {
    global: false,
    timeWindow: minute,
    store: requestCounts(elapsed, { windowMs: minute, most: remembered }),
  });

/** Counts by API key, and by address (more strictly) who has none: that slows the guessing of keys. 0 = no limit. */
export function createLimiter(app: Api, requestsPerMinute: number, elapsed: () => number): Limiter {
  if (requestsPerMinute === 0) {
    const nothing = () => undefined;
    const never = async () => undefined;
    return { beforeLookup: nothing, found: nothing, stranger: never, caller: never };
  }
  const byKey = app.createRateLimit({
    max: requestsPerMinute,
    keyGenerator: (request) => request.caller?.key_id ?? '',
  });
  const byAddress = app.createRateLimit({
    max: Math.ceil(requestsPerMinute / strangersShare),
    keyGenerator: (request) => addressBlock(request.ip),
  });
  /** Hashes of keys that were found. A hint only: each request looks its key up. */
  const known = new Map<string, true>();
  /** Addresses whose tries are spent, until when. */
  const blocked = new Map<string, number>();

  return {
    beforeLookup(request, keyHash) {
      const address = addressBlock(request.ip);
      const until = blocked.get(address);
      if (until === undefined || known.has(keyHash)) return;
      const leftMs = until - elapsed();
      if (leftMs > 0) throw new Problem('rate_limited', { retryAfterMs: leftMs });
      blocked.delete(address);
    },

    found: (keyHash) => remember(known, keyHash, true, remembered),

    async stranger(request, keyHash) {
      if (keyHash !== null) known.delete(keyHash);
      const count = await byAddress(request);
      if (count.isAllowed || !count.isExceeded) return;
      remember(blocked, addressBlock(request.ip), elapsed() + count.ttl, remembered);
      throw spent('address', count);
    },

    async caller(request, reply) {
      const count = await byKey(request);
      if (count.isAllowed) return;
      if (count.isExceeded) throw spent('key', count);
      void reply.headers(headersOf('key', count));
    },
  };
}
