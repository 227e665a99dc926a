import { randomBytes } from 'node:crypto';
import { createKeyring } from '../../src/clients/keyring.js';
import { createKms } from '../../src/clients/kms.js';
import type { Kms } from '../../src/clients/kms.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { openKeys } from '../../src/keys.js';
import { caught } from './caught.js';
import { keyArn, startKms } from './kmsServer.js';
import type { KmsServer } from './kmsServer.js';

const hour = 3_600_000;
const context = 'items/item1/access_token';
const dataKey = randomBytes(32);

let server: KmsServer;
let now: number;
beforeEach(async () => {
  server = await startKms();
  now = 1_000_000;
});
afterEach(async () => {
  await server.close();
});

/** Patient, so that a busy machine changes no outcome. */
function open(keyId = 'alias/sluice', timeoutMs = 60_000): Kms {
  return createKms({
    keyId,
    region: 'us-east-1',
    endpoint: server.url,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    timeoutMs,
    now: () => now,
  });
}

describe('a data key under AWS KMS', () => {
  it("is wrapped under the key's ARN, and opens again in another process", async () => {
    const { keyId, wrapped } = await open().wrap(dataKey, context);
    expect(keyId).toBe(keyArn);
    expect(Buffer.from(wrapped).includes(dataKey)).toBe(false);
    expect(Buffer.from(await open().unwrap(keyId, wrapped, context)).equals(dataKey)).toBe(true);
    expect(server.calls.map(({ operation }) => operation)).toEqual(['GenerateDataKey', 'Decrypt']);
    for (const { asked } of server.calls) expect(asked.EncryptionContext).toEqual({ application: 'sluice' });
  });

  it('does not open in another row, under another key, or with any one byte changed', async () => {
    const kms = open();
    const { keyId, wrapped } = await kms.wrap(dataKey, context);
    const refused = async (...args: Parameters<Kms['unwrap']>) =>
      expect(await caught(open().unwrap(...args))).toMatchObject({ type: 'SECRET_UNREADABLE' });
    await refused(keyId, wrapped, 'items/item2/access_token');
    await refused(keyId, wrapped.subarray(0, wrapped.length - 1), context);
    for (const cut of [0, 1, 2, 40]) await refused(keyId, wrapped.subarray(0, cut), context);
    for (let at = 0; at < wrapped.length; at += 1) {
      const changed = Uint8Array.from(wrapped);
      changed[at] = (changed[at] as number) ^ 1;
      await refused(keyId, changed, context);
    }
    const other = await open().wrap(dataKey, context);
    // The blob of one and the message of the other.
    const blobBytes = 2 + Buffer.from(wrapped).readUInt16BE(0);
    const mixed = Buffer.concat([wrapped.subarray(0, blobBytes), other.wrapped.subarray(blobBytes)]);
    await refused(keyId, mixed, context);
  });

  it('asks KMS once an hour, not once a secret', async () => {
    const kms = open();
    const wraps = await Promise.all(Array.from({ length: 50 }, () => kms.wrap(dataKey, context)));
    expect(server.count('GenerateDataKey')).toBe(1);
    const reader = open();
    await Promise.all(wraps.map(({ keyId, wrapped }) => reader.unwrap(keyId, wrapped, context)));
    expect(server.count('Decrypt')).toBe(1);
    now += hour;
    const later = await kms.wrap(dataKey, context);
    expect(server.count('GenerateDataKey')).toBe(2);
    // What was opened is forgotten: a key that was disabled in KMS opens nothing an hour later.
    server.behave.refuse = 'DisabledException';
    for (const { keyId, wrapped } of wraps.slice(0, 2)) {
      expect(await caught(reader.unwrap(keyId, wrapped, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    }
    server.behave.refuse = null;
    expect(Buffer.from(await reader.unwrap(later.keyId, later.wrapped, context)).equals(dataKey)).toBe(true);
  });

  it.each(['AccessDeniedException', 'DisabledException', 'NotFoundException', 'KMSInvalidStateException'])(
    'is sealed and opened no more, an hour after KMS said %s, by the process that wrapped it either',
    async (refuse) => {
      const kms = open();
      const { keyId, wrapped } = await kms.wrap(dataKey, context);
      server.behave.refuse = refuse;
      await kms.unwrap(keyId, wrapped, context);
      now += hour;
      for (let n = 0; n < 2; n += 1) {
        expect(await caught(kms.wrap(dataKey, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
        expect(await caught(kms.unwrap(keyId, wrapped, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
      }
      server.behave.refuse = null;
      await kms.wrap(dataKey, context);
      await kms.unwrap(keyId, wrapped, context);
    },
  );

  it('is still wrapped while KMS does not answer, for a day, without waiting each time', async () => {
    const kms = open();
    await kms.wrap(dataKey, context);
    now += hour;
    server.behave.refuse = 'KMSInternalException';
    const { keyId, wrapped } = await kms.wrap(dataKey, context);
    await kms.wrap(dataKey, context);
    expect(server.count('GenerateDataKey')).toBe(2);
    now += 10_000;
    await kms.wrap(dataKey, context);
    expect(server.count('GenerateDataKey')).toBe(3);
    now += 23 * hour;
    expect(await caught(kms.wrap(dataKey, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    server.behave.refuse = null;
    await kms.wrap(dataKey, context);
    expect(Buffer.from(await kms.unwrap(keyId, wrapped, context)).equals(dataKey)).toBe(true);
  });
});

describe('KMS', () => {
  it.each(['AccessDeniedException', 'DisabledException', 'ThrottlingException', 'KMSInternalException'])(
    'that refuses (%s) is told by name, as something that may pass, and is asked again',
    async (refuse) => {
      const kms = open();
      server.behave.refuse = refuse;
      const failure = await caught(kms.check());
      expect(failure).toMatchObject({ type: 'UPSTREAM_DOWN' });
      expect(String(failure)).toContain(refuse);
      expect(String(failure)).not.toContain('canary');
      server.behave.refuse = null;
      await kms.check();
    },
  );

  it('that is silent, or gone, is waited for as long as it may take, and no longer', async () => {
    const kms = open();
    const { keyId, wrapped } = await kms.wrap(dataKey, context);
    server.behave.hang = true;
    const hasty = open('alias/sluice', 300);
    expect(await caught(hasty.wrap(dataKey, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    const reader = open('alias/sluice', 3_000);
    expect(await caught(reader.unwrap(keyId, wrapped, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    server.behave.hang = false;
    await reader.unwrap(keyId, wrapped, context);
    await server.close();
    expect(await caught(open().wrap(dataKey, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it('that knows no such key says so', async () => {
    expect(String(await caught(open('alias/nobody').check()))).toContain('NotFoundException');
  });
});

describe('the keys that are configured', () => {
  const keys = [{ id: 'k1', key: randomBytes(32) }];
  const credentials = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };
  beforeAll(() => void Object.assign(process.env, credentials));
  afterAll(() => {
    for (const name of Object.keys(credentials)) Reflect.deleteProperty(process.env, name);
  });

  it('are KMS, and the keyring beside it for what it once wrapped', async () => {
    const before = await createSecretBox(createKeyring(keys)).seal('a secret', context);
    const kms = { KMS_KEY_ID: keyArn, KMS_ENDPOINT: server.url, AWS_REGION: 'us-east-1' };
    const both = createSecretBox(await openKeys({ ...kms, ENCRYPTION_KEYS: keys }));
    expect(await both.open(before, context)).toBe('a secret');
    const after = await both.seal('a secret', context);
    expect(after.keyId).toBe(keyArn);
    expect(await createSecretBox(await openKeys(kms)).open(after, context)).toBe('a secret');
    for (const [provider, sealed] of [
      [await openKeys(kms), before],
      [await openKeys({ ENCRYPTION_KEYS: keys }), after],
    ] as const) {
      expect(await caught(createSecretBox(provider).open(sealed, context))).toMatchObject({
        type: 'SECRET_UNREADABLE',
      });
    }
  });

  it('are none, and no process starts, when KMS gives none', async () => {
    server.behave.refuse = 'AccessDeniedException';
    const kms = { KMS_KEY_ID: keyArn, KMS_ENDPOINT: server.url, AWS_REGION: 'us-east-1' };
    expect(String(await caught(openKeys(kms)))).toContain('AccessDeniedException');
  });
});
