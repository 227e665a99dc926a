import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { startLoopbackServer } from '../../tools/faults/loopbackServer.js';

export const keyArn = 'arn:aws:kms:us-east-1:111122223333:key/5e2f6a9c-0b1d-4c3e-8f7a-6d5b4c3a2f1e';

interface Asked {
  KeyId: string;
  KeySpec?: string;
  CiphertextBlob?: string;
  EncryptionContext?: Record<string, string>;
}

/** What of AWS KMS a client of symmetric keys meets: real ciphertexts, bound to the key and the encryption context. */
export async function startKms() {
  const master = randomBytes(32);
  const calls: { operation: string; asked: Asked }[] = [];
  /** Answers in the place of the service, while there is one: an exception's name, or silence. */
  const behave: { refuse: string | null; hang: boolean } = { refuse: null, hang: false };
  const additional = (asked: Asked): Buffer =>
    Buffer.from(JSON.stringify([keyArn, Object.entries(asked.EncryptionContext ?? {}).sort()]));

  const server = await startLoopbackServer((request, body, response) => {
    const operation = String(request.headers['x-amz-target']).split('.')[1] ?? '';
    const asked = JSON.parse(body.toString()) as Asked;
    calls.push({ operation, asked });
    if (behave.hang) return;
    const answer = (status: number, content: object): void => {
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(content));
    };
    if (behave.refuse !== null) return answer(400, { __type: behave.refuse, message: 'canary' });
    if (![keyArn, 'alias/sluice'].includes(asked.KeyId)) return answer(400, { __type: 'NotFoundException' });
    if (operation === 'GenerateDataKey') {
      const key = randomBytes(32);
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', master, nonce).setAAD(additional(asked));
      const text = Buffer.concat([cipher.update(key), cipher.final()]);
      const blob = Buffer.concat([nonce, cipher.getAuthTag(), text]);
      return answer(200, {
        KeyId: keyArn,
        Plaintext: key.toString('base64'),
        CiphertextBlob: blob.toString('base64'),
      });
    }
    try {
      const blob = Buffer.from(asked.CiphertextBlob ?? '', 'base64');
      const decipher = createDecipheriv('aes-256-gcm', master, blob.subarray(0, 12));
      decipher.setAAD(additional(asked)).setAuthTag(blob.subarray(12, 28));
      const key = Buffer.concat([decipher.update(blob.subarray(28)), decipher.final()]);
      answer(200, { KeyId: keyArn, Plaintext: key.toString('base64') });
    } catch {
      answer(400, { __type: 'InvalidCiphertextException' });
    }
  });
  return {
    url: server.url,
    calls,
    behave,
    count: (operation: string): number => calls.filter((call) => call.operation === operation).length,
    close: () => server.close(),
  };
}

export type KmsServer = Awaited<ReturnType<typeof startKms>>;
