import { createHash, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { CompactSign } from 'jose';
import type { WebhookKey } from '../../domain/ports/webhookKeys.js';

export interface SigningKey {
  kid: string;
  privateKey: KeyObject;
  /** What Plaid's key endpoint would say of it. */
  published: WebhookKey;
}

export function signingKey(kid: string, expired_at: number | null = null): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return {
    kid,
    privateKey,
    published: { kid, kty: 'EC', crv: 'P-256', alg: 'ES256', x, y, expired_at },
  };
}

/** A `Plaid-Verification` header as Plaid makes it; `header` and `claims` replace single fields. */
export async function signWebhook(
  key: SigningKey,
  body: Uint8Array,
  issuedAtMs: number,
  header: Record<string, unknown> = {},
  claims: Record<string, unknown> = {},
): Promise<string> {
  const payload = {
    iat: Math.floor(issuedAtMs / 1000),
    request_body_sha256: createHash('sha256').update(body).digest('hex'),
    ...claims,
  };
  return new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'ES256', kid: key.kid, typ: 'JWT', ...header })
    .sign(key.privateKey);
}
