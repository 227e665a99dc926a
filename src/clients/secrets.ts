import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Failure } from '../domain/failures.js';
import type { KeyProvider, SecretBox } from '../domain/ports.js';

/**
 * One AES-256-GCM message: version (1 byte, 1), nonce (12), tag (16), ciphertext. The version is not authenticated, but
 * any other value is refused.
 */
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes + tagBytes;
const keyBytes = 32;

const unreadable = (): Failure =>
  new Failure(
    'SECRET_UNREADABLE',
    'a stored secret does not open: another row, changed bytes or a missing key',
  );

function encrypt(key: Uint8Array, plaintext: Uint8Array, aad: string): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(aad, 'utf8'));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), ciphertext]);
}

function decrypt(key: Uint8Array, message: Uint8Array, aad: string): Buffer {
  if (message.length < headBytes || message[0] !== version || key.length !== keyBytes) throw unreadable();
  const nonce = message.subarray(1, 1 + nonceBytes);
  const tag = message.subarray(1 + nonceBytes, headBytes);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(Buffer.from(aad, 'utf8'));
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(message.subarray(headBytes)), decipher.final()]);
  } catch {
    throw unreadable();
  }
}

/** Seals each secret under a data key of its own, which the provider wraps. A provider's Failure passes through. */
export function createSecretBox(provider: KeyProvider): SecretBox {
  return {
    async seal(plaintext, context) {
      const dataKey = randomBytes(keyBytes);
      try {
        const ciphertext = encrypt(dataKey, Buffer.from(plaintext, 'utf8'), context);
        const { keyId, wrapped } = await provider.wrap(dataKey, context);
        return { keyId, dataKey: wrapped, ciphertext };
      } finally {
        dataKey.fill(0);
      }
    },

    async open(sealed, context) {
      const dataKey = await provider.unwrap(sealed.keyId, sealed.dataKey, context);
      try {
        return decrypt(dataKey, sealed.ciphertext, context).toString('utf8');
      } finally {
        dataKey.fill(0);
      }
    },
  };
}

/** A wrapping key of the local keyring: 32 bytes. */
export interface NamedKey {
  id: string;
  key: Uint8Array;
}

/** Wraps with the first key, unwraps with any: a new key is put in front, the old ones stay until every row is re-wrapped. */
export function createKeyring(keys: readonly NamedKey[]): KeyProvider {
  const current = keys[0];
  if (current === undefined || keys.some(({ key }) => key.length !== keyBytes)) {
    throw new Failure('MISCONFIGURED', 'a keyring needs at least one key, each of 32 bytes');
  }
  const byId = new Map(keys.map(({ id, key }) => [id, Uint8Array.from(key)]));
  // Ids hold no NUL, so that context and id cannot be cut elsewhere and read as another pair.
  const aad = (context: string, id: string): string => `${context}\u0000${id}`;
  return {
    async wrap(dataKey, context) {
      const wrapped = encrypt(byId.get(current.id) as Uint8Array, dataKey, aad(context, current.id));
      return { keyId: current.id, wrapped };
    },
    async unwrap(keyId, wrapped, context) {
      const key = byId.get(keyId);
      if (key === undefined) throw unreadable();
      return decrypt(key, wrapped, aad(context, keyId));
    },
  };
}

/**
 * Reads `ENCRYPTION_KEYS`: `id:base64` of 32 bytes each, separated by commas, the current one first. Throws MISCONFIGURED
 * with the number of the bad entry and never a part of it.
 */
export function parseEncryptionKeys(text: string): NamedKey[] {
  const ids = new Set<string>();
  return text.split(',').map((entry, index) => {
    const refuse = (why: string): Failure => new Failure('MISCONFIGURED', `entry ${index + 1} ${why}`);
    const [, id, encoded] = /^\s*([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/]+={0,2})\s*$/.exec(entry) ?? [];
    if (id === undefined || encoded === undefined) throw refuse('is not id:base64');
    const key = Buffer.from(encoded, 'base64');
    if (key.length !== keyBytes) throw refuse('is not a key of 32 bytes');
    if (ids.has(id)) throw refuse('has the id of an earlier entry');
    ids.add(id);
    return { id, key };
  });
}
