import { createHash } from 'node:crypto';
import { DecryptCommand, GenerateDataKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { Failure } from '../../domain/failures.js';
import type { KeyProvider } from '../../domain/ports/secrets.js';
import { withinDeadline } from './awsDeadline.js';
import { remember } from '../../domain/remember.js';
import { decrypt, encrypt, unreadable, wrapAad } from './aesMessage.js';

export interface KmsOptions {
  /** Id, ARN or alias of a symmetric key. What is stored is the ARN, as KMS answers. */
  keyId: string;
  region: string;
  /** Only where KMS is not AWS's own of the region: a VPC endpoint, an emulator. */
  endpoint?: string | undefined;
  /** Default: the AWS SDK's own chain (role, environment, profile). */
  credentials?: { accessKeyId: string; secretAccessKey: string } | undefined;
  /** For one request; default 3 s. */
  timeoutMs?: number;
  now?: () => number;
}

export interface Kms extends KeyProvider {
  /** Rejects unless KMS gives us a key now. */
  check(): Promise<void>;
}

/** A key of ours that KMS has wrapped: it wraps data keys in this process, so that KMS is not asked for each secret. */
interface Intermediate {
  keyId: string;
  key: Uint8Array;
  /** The key as KMS wrapped it: stands before every data key that it wraps. */
  blob: Uint8Array;
  since: number;
}

/** So long an intermediate key wraps before another is asked for, and so long one that was opened is remembered. */
const renewAfterMs = 3_600_000;
/** While KMS does not answer the last one goes on: an exchanged access token must not be lost for it. */
const longestMs = 24 * 3_600_000;
/** KMS is asked for a new one so often at most, while it does not answer. */
const retryAfterMs = 10_000;
/** Of opened keys: a sealing process makes one an hour, and any of them may wrap what is opened next. */
const remembered = 50_000;
/** Proven to KMS with each call, and readable in its log: it names no row. */
const encryptionContext = { application: 'sluice' };

const notOurs: ReadonlySet<string> = new Set(['InvalidCiphertextException', 'IncorrectKeyException']);
/** The key was taken from us: what we remember of it goes as well. */
const takenAway: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'DisabledException',
  'KMSInvalidStateException',
  'NotFoundException',
]);

const nameOf = (error: unknown): string => String((error as { name?: unknown }).name);

/** Any error of KMS's client as a Failure. Its message is not kept. All but bytes that are not ours may pass: retry. */
function failureOfKms(what: string, error: unknown): Failure {
  const { name, code } = error as { name?: unknown; code?: unknown };
  if (notOurs.has(nameOf(error))) return unreadable();
  const shown = typeof name === 'string' && name !== 'Error' ? name : code;
  const safe = typeof shown === 'string' && /^[A-Za-z0-9_.]{1,80}$/.test(shown) ? shown : 'unknown';
  return new Failure('UPSTREAM_DOWN', `AWS KMS refused or did not answer (${what}): ${safe}`);
}

/** Whether a stored key id is one of KMS's: those of a local keyring hold no colon. */
export const isKmsKey = (keyId: string): boolean => keyId.startsWith('arn:');

/**
 * Wraps data keys by intermediate keys of an hour each, and those by AWS KMS. A wrapped data key is: length of the blob
 * (2 bytes), the blob, the data key as an AES-256-GCM message.
 */
export function createKms(options: KmsOptions): Kms {
  const timeout = options.timeoutMs ?? 3_000;
  // Ages and pauses alone: they go on as they are when somebody sets the clock.
  const now = options.now ?? (() => performance.now());
  const client = new KMSClient({
    region: options.region,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    requestHandler: new NodeHttpHandler({ connectionTimeout: Math.min(2_000, timeout) }),
    maxAttempts: 1,
  });

  let current: Intermediate | null = null;
  let renewing: Promise<Intermediate> | null = null;
  let failedAt = Number.NEGATIVE_INFINITY;
  /** Opened keys by the hash of their blob, the one used last at the end. */
  const opened = new Map<string, { key: Promise<Uint8Array>; since: number }>();

  async function generate(): Promise<Intermediate> {
    try {
      const command = new GenerateDataKeyCommand({
        KeyId: options.keyId,
        KeySpec: 'AES_256',
        EncryptionContext: encryptionContext,
      });
      const { CiphertextBlob, Plaintext, KeyId } = await withinDeadline(timeout, (bounds) =>
        client.send(command, bounds),
      );
      if (!CiphertextBlob || !Plaintext || !KeyId || !isKmsKey(KeyId)) throw new Error('incomplete');
      return (current = { keyId: KeyId, key: Plaintext, blob: CiphertextBlob, since: now() });
    } catch (error) {
      failedAt = now();
      if (takenAway.has(nameOf(error))) {
        current = null;
        opened.clear();
      }
      throw failureOfKms('GenerateDataKey', error);
    }
  }

  const renew = (): Promise<Intermediate> => (renewing ??= generate().finally(() => (renewing = null)));

  async function intermediate(): Promise<Intermediate> {
    const age = current === null ? Number.POSITIVE_INFINITY : now() - current.since;
    if (current !== null && age < renewAfterMs) return current;
    const last = current;
    if (last === null || age >= longestMs) return renew();
    if (now() - failedAt < retryAfterMs) return last;
    return renew().catch((error: unknown) => {
      if (current === null) throw error;
      return last;
    });
  }

  async function open(keyId: string, blob: Uint8Array): Promise<Uint8Array> {
    try {
      const command = new DecryptCommand({
        KeyId: keyId,
        CiphertextBlob: blob,
        EncryptionContext: encryptionContext,
      });
      const { Plaintext } = await withinDeadline(timeout, (bounds) => client.send(command, bounds));
      if (!Plaintext) throw new Error('incomplete');
      return Plaintext;
    } catch (error) {
      throw failureOfKms('Decrypt', error);
    }
  }

  function openedKey(keyId: string, blob: Uint8Array): Promise<Uint8Array> {
    const name = createHash('sha256').update(keyId).update(blob).digest('base64');
    const known = opened.get(name);
    if (known !== undefined && now() - known.since < renewAfterMs) {
      remember(opened, name, known, remembered);
      return known.key;
    }
    const key = open(keyId, blob);
    remember(opened, name, { key, since: now() }, remembered);
    // A failure is nobody's answer but who waits for it.
    key.catch(() => {
      if (opened.get(name)?.key === key) opened.delete(name);
    });
    return key;
  }

  return {
    async wrap(dataKey, context) {
      const { keyId, key, blob } = await intermediate();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(blob.length);
      return {
        keyId,
        wrapped: Buffer.concat([length, blob, encrypt(key, dataKey, wrapAad(context, keyId))]),
      };
    },

    async unwrap(keyId, wrapped, context) {
      const bytes = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength);
      const start = bytes.length < 2 ? bytes.length : 2 + bytes.readUInt16BE(0);
      if (start <= 2 || start >= bytes.length) throw unreadable();
      const blob = bytes.subarray(2, start);
      const key =
        current !== null && now() - current.since < renewAfterMs && blob.equals(current.blob)
          ? current.key
          : await openedKey(keyId, blob);
      return decrypt(key, bytes.subarray(start), wrapAad(context, keyId));
    },

    async check() {
      await renew();
    },
  };
}
