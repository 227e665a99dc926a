import { createHash, timingSafeEqual } from 'node:crypto';
import type { CryptoKey } from 'jose';
import { compactVerify, decodeProtectedHeader, importJWK } from 'jose';
import { Failure } from '../domain/failures.js';
import type { WebhookVerdict, WebhookVerifier } from '../domain/ports.js';
import type { WebhookKey } from './plaidAnswers.js';

export interface WebhookVerifierOptions {
  /** Asks Plaid for a key; null when Plaid knows none of that id, a Failure when it cannot say. */
  getKey(kid: string): Promise<WebhookKey | null>;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Look-ups of keys that are not cached, per minute; default 10. Anybody can send webhooks with made-up key ids. */
  lookupsPerMinute?: number;
}

/** Why a webhook was refused. */
export type WebhookRejection =
  | 'no_header'
  | 'header_too_large'
  | 'malformed_token'
  | 'wrong_algorithm'
  | 'malformed_kid'
  | 'too_old'
  | 'from_the_future'
  | 'body_changed'
  | 'unknown_key'
  | 'expired_key'
  | 'bad_signature';

const longestHeader = 8 * 1024;
const kidForm = /^[A-Za-z0-9._-]{1,128}$/;
const sha256Form = /^[0-9a-f]{64}$/;
const oldestMs = 5 * 60_000;
const aheadMs = 60_000;
const minute = 60_000;
/** A cached key is asked for again: Plaid tells of a key's end by its `expired_at` only. */
const recheckAfterMs = 24 * 3_600_000;
/** While Plaid cannot say, a key that is due for its re-check serves on, up to this age. */
const trustedForMs = 48 * 3_600_000;
const recheckPauseMs = minute;
const unknownForMs = minute;
const mostUnknown = 1_000;
const mostKeys = 100;

interface CachedKey {
  key: CryptoKey;
  /** Milliseconds since the epoch. */
  expiresAt: number | null;
  checkedAt: number;
  recheckAt: number;
}

type Lookup =
  | { kind: 'found'; cached: CachedKey }
  | { kind: 'unknown' }
  | { kind: 'unavailable'; retryAfterMs: number | null };

interface Claims {
  iat: number;
  bodyHash: string;
}

/** What the token says before anybody has vouched for it. Everything but ES256 ends here, `none` and HS256 too. */
function readToken(token: string): { kid: string; claims: Claims } | WebhookRejection {
  const parts = token.split('.');
  if (parts.length !== 3) return 'malformed_token';
  let header: unknown;
  let payload: unknown;
  try {
    header = decodeProtectedHeader(token);
    payload = JSON.parse(Buffer.from(parts[1] as string, 'base64url').toString('utf8'));
  } catch {
    return 'malformed_token';
  }
  const { alg, kid, crit } = header as Record<string, unknown>;
  if (alg !== 'ES256') return 'wrong_algorithm';
  // Plaid has no critical extensions; one of them (b64) would change what is signed.
  if (crit !== undefined) return 'malformed_token';
  if (typeof kid !== 'string' || !kidForm.test(kid)) return 'malformed_kid';
  if (typeof payload !== 'object' || payload === null) return 'malformed_token';
  const { iat, request_body_sha256: bodyHash } = payload as Record<string, unknown>;
  if (typeof iat !== 'number' || !Number.isFinite(iat)) return 'malformed_token';
  if (typeof bodyHash !== 'string' || !sha256Form.test(bodyHash)) return 'malformed_token';
  return { kid, claims: { iat, bodyHash } };
}

function claimsRejection(claims: Claims, body: Uint8Array, now: number): WebhookRejection | null {
  const age = now - claims.iat * 1000;
  if (age > oldestMs) return 'too_old';
  if (age < -aheadMs) return 'from_the_future';
  const actual = createHash('sha256').update(body).digest();
  return timingSafeEqual(actual, Buffer.from(claims.bodyHash, 'hex')) ? null : 'body_changed';
}

/** Keeps the newest `most` entries of a map in insertion order, so that nothing a stranger sends can fill memory. */
function trim(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

/**
 * Verifies the JWT of `Plaid-Verification` against the bytes of the body. What costs nothing is checked first (form, age,
 * body hash), so that only tokens that are plausible reach the key look-up; nothing is accepted before the signature holds.
 */
export function createWebhookVerifier(options: WebhookVerifierOptions): WebhookVerifier {
  const now = options.now ?? Date.now;
  const budget = options.lookupsPerMinute ?? 10;
  const keys = new Map<string, CachedKey>();
  const unknownUntil = new Map<string, number>();
  const inFlight = new Map<string, Promise<Lookup>>();
  let recentLookups: number[] = [];

  async function askFor(kid: string): Promise<Lookup> {
    try {
      const jwk = await options.getKey(kid);
      if (jwk === null) return { kind: 'unknown' };
      if (jwk.kid !== kid || jwk.alg !== 'ES256' || jwk.kty !== 'EC' || jwk.crv !== 'P-256') {
        return { kind: 'unavailable', retryAfterMs: null };
      }
      const key = await importJWK({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, 'ES256');
      if (key instanceof Uint8Array) return { kind: 'unavailable', retryAfterMs: null };
      const checkedAt = now();
      const expiresAt = jwk.expired_at === null ? null : jwk.expired_at * 1000;
      return {
        kind: 'found',
        cached: { key, expiresAt, checkedAt, recheckAt: checkedAt + recheckAfterMs },
      };
    } catch (error) {
      return {
        kind: 'unavailable',
        retryAfterMs: error instanceof Failure ? (error.retryAfterMs ?? null) : null,
      };
    }
  }

  /** One question to Plaid per key at a time, and its answer into the caches. */
  function lookUp(kid: string): Promise<Lookup> {
    const running = inFlight.get(kid);
    if (running) return running;
    const started = askFor(kid)
      .then((answer) => {
        if (answer.kind === 'found') {
          keys.delete(kid);
          keys.set(kid, answer.cached);
          trim(keys, mostKeys);
        } else if (answer.kind === 'unknown') {
          keys.delete(kid);
          unknownUntil.delete(kid);
          unknownUntil.set(kid, now() + unknownForMs);
          trim(unknownUntil, mostUnknown);
        }
        return answer;
      })
      .finally(() => inFlight.delete(kid));
    inFlight.set(kid, started);
    return started;
  }

  async function keyOf(kid: string): Promise<Lookup> {
    const at = now();
    const cached = keys.get(kid);
    if (cached) {
      const expired = cached.expiresAt !== null && cached.expiresAt <= at;
      if (expired || at < cached.recheckAt) return { kind: 'found', cached };
      const again = await lookUp(kid);
      if (again.kind !== 'unavailable' || at >= cached.checkedAt + trustedForMs) return again;
      cached.recheckAt = at + recheckPauseMs;
      return { kind: 'found', cached };
    }
    if ((unknownUntil.get(kid) ?? 0) > at) return { kind: 'unknown' };
    if (!inFlight.has(kid)) {
      recentLookups = recentLookups.filter((time) => time + minute > at);
      const oldest = recentLookups[0];
      if (recentLookups.length >= budget) {
        return { kind: 'unavailable', retryAfterMs: oldest === undefined ? minute : oldest + minute - at };
      }
      recentLookups.push(at);
    }
    return lookUp(kid);
  }

  return {
    async verify(token, body): Promise<WebhookVerdict> {
      const rejected = (reason: WebhookRejection): WebhookVerdict => ({ kind: 'rejected', reason });
      if (token === undefined || token === '') return rejected('no_header');
      if (token.length > longestHeader) return rejected('header_too_large');
      const read = readToken(token);
      if (typeof read === 'string') return rejected(read);
      const wrong = claimsRejection(read.claims, body, now());
      if (wrong) return rejected(wrong);
      const found = await keyOf(read.kid);
      if (found.kind === 'unavailable') return { kind: 'undecided', retryAfterMs: found.retryAfterMs };
      if (found.kind === 'unknown') return rejected('unknown_key');
      const { key, expiresAt } = found.cached;
      if (expiresAt !== null && expiresAt <= now()) return rejected('expired_key');
      try {
        await compactVerify(token, key, { algorithms: ['ES256'] });
      } catch {
        return rejected('bad_signature');
      }
      return { kind: 'accepted' };
    },
  };
}
