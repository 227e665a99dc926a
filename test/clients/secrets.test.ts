import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { Failure } from '../../domain/failures.js';
import type { KeyProvider, Sealed } from '../../domain/ports/secrets.js';
import { caught } from './caught.js';

const oldKey = { id: 'k1', key: randomBytes(32) };
const newKey = { id: 'k2', key: randomBytes(32) };
const box = createSecretBox(createKeyring([oldKey]));
const token = 'access-sandbox-4f1f4f1f-canary';
const context = 'items/item1/access_token';

const flipped = (bytes: Uint8Array, index: number, mask = 1): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[index] = (copy[index] as number) ^ mask;
  return copy;
};

describe('a sealed secret', () => {
  it.each([
    ['of another row', context, 'items/item2/access_token'],
    ['of another column', context, 'items/item1/numbers'],
  ])('%s does not open', async (_name, sealedFor, openedFor) => {
    const sealed = await box.seal(token, sealedFor);
    expect(await caught(box.open(sealed, openedFor))).toMatchObject({ type: 'SECRET_UNREADABLE' });
  });

  it('does not open when rows swap their ciphertexts or their data keys', async () => {
    const a = await box.seal('a', 'items/a/access_token');
    const b = await box.seal('b', 'items/b/access_token');
    for (const mixed of [
      { ...a, ciphertext: b.ciphertext },
      { ...a, dataKey: b.dataKey },
      b,
      { ...b, ciphertext: a.ciphertext },
    ]) {
      expect(await caught(box.open(mixed, 'items/a/access_token'))).toMatchObject({
        type: 'SECRET_UNREADABLE',
      });
    }
    await expect(box.open(a, 'items/a/access_token')).resolves.toBe('a');
  });

  // Version, nonce, tag and text of both messages: every bit of every byte counts.
  it('does not open with any one bit flipped', async () => {
    const sealed = await box.seal(token, context);
    let refused = 0;
    for (const part of ['ciphertext', 'dataKey'] as const) {
      for (let index = 0; index < sealed[part].length; index += 1) {
        for (let bit = 0; bit < 8; bit += 1) {
          const broken: Sealed = { ...sealed, [part]: flipped(sealed[part], index, 1 << bit) };
          expect((await caught(box.open(broken, context))).type).toBe('SECRET_UNREADABLE');
          refused += 1;
        }
      }
    }
    expect(refused).toBe(8 * (sealed.ciphertext.length + sealed.dataKey.length));
    await expect(box.open(sealed, context)).resolves.toBe(token);
  });

  /** Whoever may write to the database moves parts from row to row, and changes bits in them: a thousand times, by seed. */
  it('does not open once parts of other rows stand in it, or bits are changed, however that is mixed', async () => {
    const contexts = Array.from({ length: 20 }, (_, row) => `items/item${row}/access_token`);
    const boxes = createSecretBox(createKeyring([newKey, oldKey]));
    const rows = await Promise.all(
      contexts.map((of, row) => (row % 2 === 0 ? box : boxes).seal(`secret ${row}`, of)),
    );
    const row = fc.nat(contexts.length - 1);
    const flips = fc.array(
      fc.record({
        part: fc.constantFrom('ciphertext' as const, 'dataKey' as const),
        at: fc.nat(10_000),
        mask: fc.integer({ min: 1, max: 255 }),
      }),
      { maxLength: 3 },
    );
    let [opened, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(row, row, row, row, flips, async (asked, keyId, dataKey, ciphertext, changes) => {
        const mixed: Sealed = {
          keyId: (rows[keyId] as Sealed).keyId,
          dataKey: Uint8Array.from((rows[dataKey] as Sealed).dataKey),
          ciphertext: Uint8Array.from((rows[ciphertext] as Sealed).ciphertext),
        };
        for (const { part, at, mask } of changes) {
          mixed[part] = flipped(mixed[part], at % mixed[part].length, mask);
        }
        const whole = rows[asked] as Sealed;
        const isWhole =
          mixed.keyId === whole.keyId &&
          Buffer.from(mixed.dataKey).equals(whole.dataKey) &&
          Buffer.from(mixed.ciphertext).equals(whole.ciphertext);
        if (isWhole) {
          opened += 1;
          expect(await boxes.open(mixed, contexts[asked] as string)).toBe(`secret ${asked}`);
        } else {
          refused += 1;
          expect(await caught(boxes.open(mixed, contexts[asked] as string))).toMatchObject({
            type: 'SECRET_UNREADABLE',
          });
        }
      }),
      // One that fails names its seed. Rows that are left alone are among them, and open.
      {
        numRuns: 1_000,
        examples: contexts.map((_, of): [number, number, number, number, []] => [of, of, of, of, []]),
      },
    );
    expect(refused).toBeGreaterThan(950);
    expect(opened).toBeGreaterThanOrEqual(contexts.length);
  });

  it('does not open cut short, prolonged or empty', async () => {
    const sealed = await box.seal(token, context);
    for (const part of ['ciphertext', 'dataKey'] as const) {
      for (let length = 0; length < sealed[part].length; length += 1) {
        const cut: Sealed = { ...sealed, [part]: sealed[part].slice(0, length) };
        expect((await caught(box.open(cut, context))).type).toBe('SECRET_UNREADABLE');
      }
      const longer: Sealed = { ...sealed, [part]: Buffer.concat([sealed[part], Buffer.of(0)]) };
      expect((await caught(box.open(longer, context))).type).toBe('SECRET_UNREADABLE');
    }
  });

  it('has a data key that is bound to its row by itself', async () => {
    const keyring = createKeyring([oldKey]);
    const { keyId, wrapped } = await keyring.wrap(randomBytes(32), context);
    expect(await caught(keyring.unwrap(keyId, wrapped, 'items/item2/access_token'))).toMatchObject({
      type: 'SECRET_UNREADABLE',
    });
  });

  it('does not open without its key, nor under another key with its id', async () => {
    const sealed = await box.seal(token, context);
    const without = createSecretBox(createKeyring([newKey]));
    const impostor = createSecretBox(createKeyring([{ id: 'k1', key: randomBytes(32) }]));
    for (const other of [without, impostor]) {
      expect(await caught(other.open(sealed, context))).toMatchObject({ type: 'SECRET_UNREADABLE' });
    }
    const both = createSecretBox(createKeyring([newKey, { id: 'k3', key: oldKey.key }]));
    expect(await caught(both.open({ ...sealed, keyId: 'k3' }, context))).toMatchObject({
      type: 'SECRET_UNREADABLE',
    });
  });

  it('opens again, whatever the text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.string(), async (text, row) => {
        expect(await box.open(await box.seal(text, row), row)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('never looks the same twice and shows nothing of the text', async () => {
    const [a, b] = [await box.seal(token, context), await box.seal(token, context)];
    expect(Buffer.from(a.ciphertext).equals(b.ciphertext)).toBe(false);
    expect(Buffer.from(a.dataKey).equals(b.dataKey)).toBe(false);
    expect(Buffer.from(a.ciphertext).includes(token)).toBe(false);
  });
});

describe('rotation', () => {
  it('seals under the first key and opens under any', async () => {
    const before = await box.seal(token, context);
    const rotated = createSecretBox(createKeyring([newKey, oldKey]));
    const after = await rotated.seal(token, context);
    expect([before.keyId, after.keyId]).toEqual(['k1', 'k2']);
    await expect(rotated.open(before, context)).resolves.toBe(token);
    await expect(rotated.open(after, context)).resolves.toBe(token);
  });

  it('re-wrapping a data key leaves the ciphertext as it is', async () => {
    const before = await box.seal(token, context);
    const both = createKeyring([newKey, oldKey]);
    const dataKey = await both.unwrap(before.keyId, before.dataKey, context);
    const { keyId, wrapped } = await both.wrap(dataKey, context);
    const onlyNew = createSecretBox(createKeyring([newKey]));
    await expect(onlyNew.open({ ...before, keyId, dataKey: wrapped }, context)).resolves.toBe(token);
  });

  it('a keyring has no word for a key that it does not hold', async () => {
    const { keyId, dataKey } = await box.seal(token, context);
    expect(await caught(createKeyring([newKey]).unwrap(keyId, dataKey, context))).toMatchObject({
      type: 'SECRET_UNREADABLE',
    });
  });

  it('a provider that is down is told as it is, not as an unreadable secret', async () => {
    const down: KeyProvider = {
      wrap: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'no key service')),
      unwrap: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'no key service')),
    };
    const sealed = await box.seal(token, context);
    expect(await caught(createSecretBox(down).open(sealed, context))).toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
    expect(await caught(createSecretBox(down).seal(token, context))).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });
});

describe('ENCRYPTION_KEYS', () => {
  const key = (id: string, bytes = 32): string => `${id}:${randomBytes(bytes).toString('base64')}`;
  it.each([
    ['nothing', ''],
    ['no id', randomBytes(32).toString('base64')],
    ['an empty id', key('')],
    ['16 bytes', key('k1', 16)],
    ['33 bytes', key('k1', 33)],
    ['no base64', `k1:${'*'.repeat(44)}`],
    ['an empty entry', `${key('k1')},`],
    ['an id with a NUL', key('k\u0000')],
    ['one id twice', `${key('k1')},${key('k1')}`],
  ])('%s is refused, and not repeated in the message', (_name, text) => {
    let message = '';
    try {
      parseEncryptionKeys(text);
    } catch (error) {
      expect(error).toMatchObject({ type: 'MISCONFIGURED' });
      message = (error as Failure).message;
    }
    expect(message).toMatch(/^entry \d /);
    const secret = text.split(':')[1];
    if (secret) expect(message).not.toContain(secret.slice(0, 8));
  });

  it('keeps the order: the first is the current one', () => {
    const text = `k2:${newKey.key.toString('base64')}, k1:${oldKey.key.toString('base64')}`;
    expect(parseEncryptionKeys(text).map(({ id }) => id)).toEqual(['k2', 'k1']);
    expect(Buffer.from(parseEncryptionKeys(text)[0]?.key ?? [])).toEqual(newKey.key);
  });

  it('a keyring without a key, or with a short one, is refused', () => {
    expect(() => createKeyring([])).toThrow(Failure);
    expect(() => createKeyring([{ id: 'k', key: randomBytes(31) }])).toThrow(Failure);
  });
});
