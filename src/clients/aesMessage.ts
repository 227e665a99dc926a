import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Failure } from '../../domain/failures.js';

/**
 * One AES-256-GCM message: version (1 byte, 1), nonce (12), tag (16), ciphertext. The version is not authenticated, but
 * any other value is refused.
 */
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes + tagBytes;

/** Of every key here. */
export const keyBytes = 32;

export const unreadable = (): Failure =>
  new Failure(
    'SECRET_UNREADABLE',
    'a stored secret does not open: another row, changed bytes or a missing key',
  );

/** What binds a wrapped data key. Ids hold no NUL, so that context and id cannot be cut elsewhere and read as another pair. */
export const wrapAad = (context: string, keyId: string): string => `${context}\u0000${keyId}`;

/** `aad` is authenticated with the text and has to be given again to open it. */
export function encrypt(key: Uint8Array, plaintext: Uint8Array, aad: string): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(aad, 'utf8'));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), ciphertext]);
}

/** Throws SECRET_UNREADABLE when anything is other than it was. */
export function decrypt(key: Uint8Array, message: Uint8Array, aad: string): Buffer {
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
