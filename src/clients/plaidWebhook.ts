import { createHash, timingSafeEqual } from 'node:crypto';
import { compactVerify, decodeProtectedHeader } from 'jose';
import type { WebhookVerdict, WebhookVerifier } from '../../domain/ports/webhookKeys.js';
import { createWebhookKeys } from './webhookKeys.js';
import type { WebhookKeysOptions } from './webhookKeys.js';

export interface WebhookVerifierOptions extends Omit<WebhookKeysOptions, 'now' | 'elapsed'> {
  /** Milliseconds since the epoch; default: the clock. */
  now?: () => number;
  /** Milliseconds since whenever; default: `now`, and where that is the clock, the one that nobody can set. */
  elapsed?: () => number;
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

/** Where Plaid says that webhooks come from (docs/api/webhooks). A hint: it opens a lane for look-ups and vouches for nothing. */
export const publishedSenders = ['52.21.26.131', '52.21.47.157', '52.41.247.19', '52.88.82.239'];

const longestHeader = 8 * 1024;
const kidForm = /^[A-Za-z0-9._-]{1,128}$/;
const sha256Form = /^[0-9a-f]{64}$/;
const oldestMs = 5 * 60_000;
const aheadMs = 60_000;

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

/**
 * Verifies the JWT of `Plaid-Verification` against the bytes of the body. What costs nothing is checked first (form, age,
 * body hash), so that only tokens that are plausible reach the key look-up; nothing is accepted before the signature holds.
 */
export function createWebhookVerifier(options: WebhookVerifierOptions): WebhookVerifier {
  const now = options.now ?? Date.now;
  const elapsed = options.elapsed ?? options.now ?? (() => performance.now());
  const keys = createWebhookKeys({ ...options, now, elapsed });

  return {
    async verify(token, body, address): Promise<WebhookVerdict> {
      const rejected = (reason: WebhookRejection): WebhookVerdict => ({ kind: 'rejected', reason });
      if (token === undefined || token === '') return rejected('no_header');
      if (token.length > longestHeader) return rejected('header_too_large');
      const read = readToken(token);
      if (typeof read === 'string') return rejected(read);
      const wrong = claimsRejection(read.claims, body, now());
      if (wrong) return rejected(wrong);
      const found = await keys.find(read.kid, address);
      if (found.kind === 'no_budget') return found;
      if (found.kind === 'unavailable') return { kind: 'undecided', retryAfterMs: found.retryAfterMs };
      if (found.kind === 'unknown') return rejected('unknown_key');
      const { key, expiresAt } = found;
      if (expiresAt !== null && expiresAt <= now()) return rejected('expired_key');
      try {
        await compactVerify(token, key, { algorithms: ['ES256'] });
      } catch {
        return rejected('bad_signature');
      }
      return { kind: 'accepted' };
    },

    delivered: (address, itemId) => keys.delivered(address, itemId),
  };
}
