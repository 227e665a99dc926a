import { Failure } from '../../domain/failures.js';
import type { KeyProvider } from '../../domain/ports/secrets.js';
import { decrypt, encrypt, keyBytes, unreadable, wrapAad } from './aesMessage.js';

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
  return {
    async wrap(dataKey, context) {
      const wrapped = encrypt(byId.get(current.id) as Uint8Array, dataKey, wrapAad(context, current.id));
      return { keyId: current.id, wrapped };
    },
    async unwrap(keyId, wrapped, context) {
      const key = byId.get(keyId);
      if (key === undefined) throw unreadable();
      return decrypt(key, wrapped, wrapAad(context, keyId));
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
