import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { SignatureKind } from '../domain/exchange/endpoint.js';

/** Where the 32 bytes of a key stand in what Node exports: at its end. */
const rawKey = (der: Buffer): Buffer => der.subarray(-32);

/** A new secret of Standard Webhooks: `whsec_…` for HMAC-SHA-256, `whsk_…` (seed and public key) for Ed25519. */
export function newSigningSecret(signature: SignatureKind): string {
  if (signature === 'hmac') return `whsec_${randomBytes(32).toString('base64')}`;
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = rawKey(privateKey.export({ format: 'der', type: 'pkcs8' }));
  const open = rawKey(publicKey.export({ format: 'der', type: 'spki' }));
  return `whsk_${Buffer.concat([seed, open]).toString('base64')}`;
}

/** What checks the signatures of a `whsk_…`: `whpk_…`. Null for a `whsec_…`, which checks its own. */
export function publicKeyOf(secret: string): string | null {
  if (!secret.startsWith('whsk_')) return null;
  const open = Buffer.from(secret.slice('whsk_'.length), 'base64').subarray(32);
  return `whpk_${open.toString('base64')}`;
}
