import { unreadable } from './clients/aesMessage.js';
import { createKeyring } from './clients/keyring.js';
import type { NamedKey } from './clients/keyring.js';
import { createKms, isKmsKey } from './clients/kms.js';
import type { KeyProvider } from '../domain/ports/secrets.js';

/** The part of the environment that says where keys are; `loadConfig` has made sure that there is one. */
export interface KeyConfig {
  ENCRYPTION_KEYS?: NamedKey[] | undefined;
  KMS_KEY_ID?: string | undefined;
  KMS_ENDPOINT?: string | undefined;
  AWS_REGION?: string | undefined;
}

/**
 * The key provider that is configured. With AWS KMS it wraps, and the keyring beside it still opens what it once wrapped.
 * Rejects when KMS does not give us a key: better no process than one that takes access tokens and cannot keep them.
 */
export async function openKeys(config: KeyConfig): Promise<KeyProvider> {
  const keyring = config.ENCRYPTION_KEYS === undefined ? null : createKeyring(config.ENCRYPTION_KEYS);
  if (config.KMS_KEY_ID === undefined) {
    if (keyring === null) throw new TypeError('neither a keyring nor KMS is configured');
    return keyring;
  }
  const kms = createKms({
    keyId: config.KMS_KEY_ID,
    region: config.AWS_REGION ?? '',
    endpoint: config.KMS_ENDPOINT,
  });
  await kms.check();
  return {
    wrap: (dataKey, context) => kms.wrap(dataKey, context),
    async unwrap(keyId, wrapped, context) {
      const provider = isKmsKey(keyId) ? kms : keyring;
      if (provider === null) throw unreadable();
      return provider.unwrap(keyId, wrapped, context);
    },
  };
}
