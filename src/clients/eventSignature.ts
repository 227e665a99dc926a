import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { Failure } from '../../domain/failures.js';

/** What stands before the 32 bytes of an Ed25519 seed in PKCS #8. */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');

const bytesOf = (secret: string): Buffer => Buffer.from(secret.slice(secret.indexOf('_') + 1), 'base64');

/** One signature of Standard Webhooks 1.0.0: `v1,…` by a `whsec_…`, `v1a,…` by a `whsk_…` (seed and public key, 64 bytes). */
function signatureBy(secret: string, content: string): string {
  if (secret.startsWith('whsec_')) {
    return `v1,${createHmac('sha256', bytesOf(secret)).update(content).digest('base64')}`;
  }
  if (secret.startsWith('whsk_')) {
    const der = Buffer.concat([pkcs8Head, bytesOf(secret).subarray(0, 32)]);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    return `v1a,${sign(null, Buffer.from(content), key).toString('base64')}`;
  }
  throw new Failure('SECRET_UNREADABLE', 'a signing secret is of no known kind');
}

/** The headers that a receiver checks: one signature for each secret. `seconds` since the epoch. */
export function signedHeaders(
  id: string,
  seconds: number,
  body: string,
  secrets: readonly string[],
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const content = `${id}.${seconds}.${body}`;
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': secrets.map((secret) => signatureBy(secret, content)).join(' '),
  };
}
