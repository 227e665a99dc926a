import { randomBytes } from 'node:crypto';
import type { KeyProvider, Sealed, SecretBox } from '../../domain/ports/secrets.js';
import { decrypt, encrypt, keyBytes } from './aesMessage.js';

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

/** The same secret, its data key wrapped by today's key. A provider's Failure passes through. */
export async function rewrap(provider: KeyProvider, sealed: Sealed, context: string): Promise<Sealed> {
  const dataKey = await provider.unwrap(sealed.keyId, sealed.dataKey, context);
  try {
    const { keyId, wrapped } = await provider.wrap(dataKey, context);
    return { keyId, dataKey: wrapped, ciphertext: sealed.ciphertext };
  } finally {
    dataKey.fill(0);
  }
}
