import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomUUID,
  sign,
  type KeyObject,
} from 'node:crypto';
import type { WireKey } from '../wire.js';

interface SigningKey {
  wire: WireKey;
  privateKey: KeyObject;
}

/** A key as a state file keeps it. */
export interface StoredKey {
  wire: WireKey;
  privatePem: string;
}

/** How a delivery is signed; everything but `ok` must be refused by a careful receiver. */
export const SIGNATURES = [
  'ok',
  'wrong_key',
  'unknown_kid',
  'expired',
  'expired_key',
  'future',
  'none',
  'alg_none',
  'hs256',
  'body_changed',
  'reindented',
] as const;
export type Signature = (typeof SIGNATURES)[number];

/**
 * The key of Plaid's sandbox that the test suites of its client libraries ask for, as Plaid answers it. Only Plaid has its private
 * half: no webhook here is signed with it.
 */
const SANDBOX_KEY: WireKey = {
  alg: 'ES256',
  created_at: 1_560_466_143,
  crv: 'P-256',
  expired_at: null,
  kid: '6c5516e1-92dc-479e-a8ff-5a51992e0001',
  kty: 'EC',
  use: 'sig',
  x: '35lvC8uz2QrWpQJ3TUH8t9o9DURMp7ydU518RKDl20k',
  y: 'I8BuXB2bvxelzJAd7OKhd-ZwjCst05Fx47Mb_0ugros',
};

/** Plaid's receivers refuse an `iat` older than five minutes. */
const STALE_SECONDS = 10 * 60;

function newKey(createdAt: number): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  return {
    privateKey,
    wire: {
      alg: 'ES256',
      created_at: createdAt,
      crv: 'P-256',
      expired_at: null,
      kid: randomUUID(),
      kty: 'EC',
      use: 'sig',
      x: String(jwk.x),
      y: String(jwk.y),
    },
  };
}

function readKeys(stored: readonly StoredKey[]): SigningKey[] {
  return stored.map(({ wire, privatePem }) => ({ wire, privateKey: createPrivateKey(privatePem) }));
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** The signing keys of the world. Key times are real Unix seconds: receivers compare them with their own clock. */
export class SigningKeys {
  private keys: SigningKey[];

  constructor(stored: readonly StoredKey[] = []) {
    this.keys = readKeys(stored);
    if (this.keys.length === 0) this.keys = [newKey(Math.floor(Date.now() / 1000))];
  }

  /** The keys of another world instead of these. */
  restore(stored: readonly StoredKey[]): void {
    this.keys = readKeys(stored);
  }

  get(kid: string): WireKey | undefined {
    return (
      this.keys.find(({ wire }) => wire.kid === kid)?.wire ??
      (kid === SANDBOX_KEY.kid ? SANDBOX_KEY : undefined)
    );
  }

  get current(): WireKey {
    return this.newest().wire;
  }

  /** A new key signs from now on; the old one expires now. */
  rotate(): WireKey {
    const now = Math.floor(Date.now() / 1000);
    this.newest().wire.expired_at ??= now;
    const key = newKey(now);
    this.keys.push(key);
    return key.wire;
  }

  /**
   * The value of the `Plaid-Verification` header for a body, or `null` for an unsigned delivery. `iat` is real time at this very
   * moment: each attempt of a delivery is signed anew, since retries go on for longer than a signature is accepted.
   */
  verification(body: string, signature: Signature): string | null {
    if (signature === 'none') return null;
    const now = Math.floor(Date.now() / 1000);
    const iat =
      signature === 'expired' ? now - STALE_SECONDS : signature === 'future' ? now + STALE_SECONDS : now;
    const hash = createHash('sha256').update(body, 'utf8').digest('hex');
    const key = signature === 'expired_key' ? this.expired() : this.newest();
    const kid = signature === 'unknown_kid' ? randomUUID() : key.wire.kid;
    const alg = signature === 'alg_none' ? 'none' : signature === 'hs256' ? 'HS256' : 'ES256';
    const signed = `${part({ alg, kid, typ: 'JWT' })}.${part({ iat, request_body_sha256: hash })}`;
    if (signature === 'alg_none') return `${signed}.`;
    if (signature === 'hs256') {
      // The classic confusion: the public key used as a shared secret.
      return `${signed}.${createHash('sha256').update(`${key.wire.x}${signed}`).digest('base64url')}`;
    }
    const privateKey = signature === 'wrong_key' ? newKey(now).privateKey : key.privateKey;
    return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  stored(): StoredKey[] {
    return this.keys.map(({ wire, privateKey }) => ({
      wire,
      privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }));
  }

  private newest(): SigningKey {
    const key = this.keys.at(-1);
    if (!key) throw new Error('a world has at least one signing key');
    return key;
  }

  private expired(): SigningKey {
    const found = this.keys.find(({ wire }) => wire.expired_at !== null);
    if (found) return found;
    const key = newKey(Math.floor(Date.now() / 1000) - 3600);
    key.wire.expired_at = key.wire.created_at + 1800;
    this.keys.unshift(key);
    return key;
  }
}
