import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { readJsonFile, writeFileAtomic } from './atomicFile.js';

/** Made at random at the first start and kept: rows are encrypted with the keys, the cluster knows the password. */
export interface Secrets {
  readonly databasePassword: string;
  /** as in ENCRYPTION_KEYS: `id:base64` */
  readonly encryptionKeys: string;
  readonly adminApiKey: string;
  readonly plaidClientId: string;
  readonly plaidSecret: string;
  readonly segmentWriteKey: string;
}

/** Reads `<dataDir>/secrets.json` (mode 0600), makes what is missing in it. */
export function keptSecrets(dataDir: string): Secrets {
  const file = path.join(dataDir, 'secrets.json');
  const kept = (readJsonFile(file) ?? {}) as Partial<Secrets>;
  const secrets: Secrets = {
    databasePassword: random(18),
    encryptionKeys: `local1:${randomBytes(32).toString('base64')}`,
    adminApiKey: `sluice_${random(24)}`,
    plaidClientId: randomBytes(12).toString('hex'),
    plaidSecret: randomBytes(15).toString('hex'),
    segmentWriteKey: random(24),
    ...kept,
  };
  if (Object.keys(kept).length < Object.keys(secrets).length) {
    writeFileAtomic(file, JSON.stringify(secrets, null, 2), 0o600);
  }
  return secrets;
}

function random(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
}
