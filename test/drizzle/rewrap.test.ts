import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { launch } from '../../tools/local/childProcess.js';
import { createKeyring } from '../../src/clients/keyring.js';
import type { NamedKey } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import type { KeyProvider, Sealed, SealedRow, SealedRowStore } from '../../domain/ports/secrets.js';
import { rewrapAll } from '../../src/rewrapAll.js';
import { caught } from '../clients/caught.js';
import { keyArn, startKms } from '../clients/kmsServer.js';
import { programArguments } from '../stack/program.js';
import type { World } from './world.js';
import { exchangedItem, newId, openWorld } from './world.js';

const oldKey: NamedKey = { id: 'old', key: randomBytes(32) };
const newKey: NamedKey = { id: 'new', key: randomBytes(32) };
const both = createKeyring([newKey, oldKey]);
const onlyOld = createSecretBox(createKeyring([oldKey]));
const onlyNew = createSecretBox(createKeyring([newKey]));

let world: World;
beforeEach(async () => {
  world = await openWorld();
});
afterEach(() => world.close());

interface Secret {
  text: string;
  context: string;
  stored: () => Promise<Sealed>;
}

const one = async (rows: Promise<{ k: string; d: Uint8Array; c: Uint8Array }[]>): Promise<Sealed> => {
  const [row] = await rows;
  if (row === undefined) throw new Error('no such row');
  return { keyId: row.k, dataKey: row.d, ciphertext: row.c };
};

/** A secret of every kind in `count` rows each, wrapped by the old key. */
async function secrets(count: number): Promise<Secret[]> {
  const { sql } = world;
  const made: Secret[] = [];
  for (let n = 0; n < count; n += 1) {
    const { itemId, tokenHash } = await exchangedItem(world);
    const put = async (
      kind: string,
      context: string,
      write: (sealed: Sealed) => Promise<unknown>,
      stored: Secret['stored'],
    ) => {
      const text = `${kind} ${n}`;
      await write(await onlyOld.seal(text, context));
      made.push({ text, context, stored });
    };
    await put(
      'token',
      secretContext.accessToken(itemId),
      (s) => sql`UPDATE items SET access_token_key_id = ${s.keyId}, access_token_data_key = ${s.dataKey},
        access_token_ciphertext = ${s.ciphertext} WHERE item_id = ${itemId}`,
      () =>
        one(sql`SELECT access_token_key_id AS k, access_token_data_key AS d, access_token_ciphertext AS c
          FROM items WHERE item_id = ${itemId}`),
    );
    await put(
      'public token',
      secretContext.publicToken(tokenHash),
      (s) => sql`UPDATE links SET public_token_key_id = ${s.keyId}, public_token_data_key = ${s.dataKey},
        public_token_ciphertext = ${s.ciphertext} WHERE token_hash = ${tokenHash}`,
      () =>
        one(sql`SELECT public_token_key_id AS k, public_token_data_key AS d, public_token_ciphertext AS c
          FROM links WHERE token_hash = ${tokenHash}`),
    );
    await put(
      'numbers',
      secretContext.accountNumbers(itemId, 'acc-1'),
      (
        s,
      ) => sql`INSERT INTO account_numbers (item_id, account_id, numbers_key_id, numbers_data_key, numbers_ciphertext)
        VALUES (${itemId}, 'acc-1', ${s.keyId}, ${s.dataKey}, ${s.ciphertext})`,
      () =>
        one(sql`SELECT numbers_key_id AS k, numbers_data_key AS d, numbers_ciphertext AS c
          FROM account_numbers WHERE item_id = ${itemId}`),
    );
    const endpointId = newId('end');
    const endpoint = await onlyOld.seal('to be replaced', secretContext.endpointSecret(endpointId));
    await sql`INSERT INTO applications (application_id, name) VALUES ('hooks', 'hooks') ON CONFLICT DO NOTHING`;
    await sql`INSERT INTO endpoints (endpoint_id, application_id, url, types, signature, secret_key_id, secret_data_key,
        secret_ciphertext)
      VALUES (${endpointId}, 'hooks', 'https://hooks.example', '{}', 'hmac', ${endpoint.keyId}, ${endpoint.dataKey},
        ${endpoint.ciphertext})`;
    for (const column of ['secret', 'previous'] as const) {
      await put(
        `${column} of an endpoint`,
        secretContext.endpointSecret(endpointId),
        (
          s,
        ) => sql`UPDATE endpoints SET ${sql(`${column}_key_id`)} = ${s.keyId}, ${sql(`${column}_data_key`)} = ${s.dataKey},
          ${sql(`${column}_ciphertext`)} = ${s.ciphertext} WHERE endpoint_id = ${endpointId}`,
        () =>
          one(sql`SELECT ${sql(`${column}_key_id`)} AS k, ${sql(`${column}_data_key`)} AS d,
            ${sql(`${column}_ciphertext`)} AS c FROM endpoints WHERE endpoint_id = ${endpointId}`),
      );
    }
    const key = newId('key');
    await put(
      'answer',
      secretContext.answer('default', 'POST', '/v1/x', key),
      (
        s,
      ) => sql`INSERT INTO idempotency_keys (application_id, method, path, key, request_hash, runner, leased_until,
          status, content_type, answer_key_id, answer_data_key, answer_ciphertext, expires_at)
        VALUES ('default', 'POST', '/v1/x', ${key}, 'h', 'r', now(), 200, 'application/json', ${s.keyId}, ${s.dataKey},
          ${s.ciphertext}, now() + interval '1 day')`,
      () =>
        one(sql`SELECT answer_key_id AS k, answer_data_key AS d, answer_ciphertext AS c
          FROM idempotency_keys WHERE key = ${key}`),
    );
  }
  return made;
}

/** `sealedRows` of a database that fails from the `times`th replacement on. */
function failsAfter(rows: SealedRowStore, times: number): SealedRowStore {
  let asked = 0;
  return {
    ...rows,
    async replace(...args) {
      asked += 1;
      if (asked > times) throw new Failure('UPSTREAM_DOWN', 'no database');
      return rows.replace(...args);
    },
  };
}

describe('re-wrapping', () => {
  it('brings every secret of every kind under the new key, and the old one may go', async () => {
    const made = await secrets(3);
    const { keyId, rewrapped, failed } = await rewrapAll(both, world.stores.sealedRows, { pageRows: 2 });
    expect(keyId).toBe('new');
    expect(rewrapped).toEqual({
      'access tokens': 3,
      'public tokens': 3,
      'account numbers': 3,
      answers: 3,
      'endpoint secrets': 3,
      'previous endpoint secrets': 3,
    });
    expect(failed).toEqual([]);
    expect(await world.stores.sealedRows.keysInUse()).toEqual(new Map([['new', 18]]));
    for (const { text, context, stored } of made) {
      expect(await onlyNew.open(await stored(), context)).toBe(text);
    }
    const again = await rewrapAll(both, world.stores.sealedRows);
    expect(Object.values(again.rewrapped)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('that was ended goes on where it was', async () => {
    await secrets(5);
    const { sealedRows } = world.stores;
    expect(await caught(rewrapAll(both, failsAfter(sealedRows, 7)))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    const between = await sealedRows.keysInUse();
    expect(between.get('old')).toBeGreaterThan(0);
    expect(between.get('new')).toBeGreaterThan(0);
    await rewrapAll(both, sealedRows);
    expect(await sealedRows.keysInUse()).toEqual(new Map([['new', 30]]));
  });

  it('reads page after page of a kind', async () => {
    const { sealedRows } = world.stores;
    await secrets(3);
    const ids = async (limit: number) => {
      const seen: string[][] = [];
      let after: string[] | null = null;
      for (;;) {
        const page: SealedRow[] = await sealedRows.page('account numbers', 'new', limit, after);
        if (page.length === 0) return seen;
        seen.push(...page.map(({ id }) => id));
        after = page.at(-1)?.id ?? null;
      }
    };
    const all = await ids(10);
    expect(all).toHaveLength(3);
    expect(await ids(1)).toEqual(all);
    expect(await ids(2)).toEqual(all);
  });

  it('never touches a secret that was written meanwhile', async () => {
    const [token] = await secrets(1);
    if (token === undefined) throw new Error('no secret');
    const { sealedRows } = world.stores;
    const newer = await onlyOld.seal('a newer token', token.context);
    await rewrapAll(both, {
      ...sealedRows,
      async replace(row, sealed) {
        if (row.kind === 'access tokens') {
          await world.sql`UPDATE items SET access_token_data_key = ${newer.dataKey}, access_token_ciphertext = ${newer.ciphertext}`;
        }
        return sealedRows.replace(row, sealed);
      },
    });
    const stored = await token.stored();
    expect(stored.keyId).toBe('old');
    expect(await onlyOld.open(stored, token.context)).toBe('a newer token');
  });

  it('names what does not open and leaves it as it is', async () => {
    const made = await secrets(2);
    const damaged = await made[0]?.stored();
    if (damaged === undefined) throw new Error('no secret');
    const dataKey = Uint8Array.from(damaged.dataKey);
    dataKey[20] = (dataKey[20] as number) ^ 1;
    await world.sql`UPDATE items SET access_token_data_key = ${dataKey} WHERE access_token_data_key = ${damaged.dataKey}`;
    const { failed, rewrapped } = await rewrapAll(both, world.stores.sealedRows);
    expect(failed).toMatchObject([
      { row: { kind: 'access tokens', sealed: { keyId: 'old' } }, failure: { type: 'SECRET_UNREADABLE' } },
    ]);
    expect(rewrapped['access tokens']).toBe(1);
    expect(Buffer.from((await made[0]?.stored())?.dataKey ?? []).equals(dataKey)).toBe(true);
  });

  it('goes on past a key that refuses, and asks it no more when it refuses again and again', async () => {
    await secrets(12);
    const { sql, stores } = world;
    await sql`UPDATE items SET access_token_key_id = 'dead'`;
    await sql`UPDATE links SET public_token_key_id = 'dead'`;
    let asked = 0;
    const provider: KeyProvider = {
      wrap: (...args) => both.wrap(...args),
      async unwrap(keyId, ...args) {
        if (keyId !== 'dead') return both.unwrap(keyId, ...args);
        asked += 1;
        throw new Failure('UPSTREAM_DOWN', 'DisabledException');
      },
    };
    const { failed, rewrapped } = await rewrapAll(provider, stores.sealedRows, { pageRows: 5 });
    expect(rewrapped).toEqual({
      'access tokens': 0,
      'public tokens': 0,
      'account numbers': 12,
      answers: 12,
      'endpoint secrets': 12,
      'previous endpoint secrets': 12,
    });
    expect(failed.length).toBe(asked);
    expect(asked).toBeGreaterThanOrEqual(20);
    expect(asked).toBeLessThan(24);
    expect(await stores.sealedRows.keysInUse()).toEqual(
      new Map([
        ['dead', 24],
        ['new', 48],
      ]),
    );
  });

  it('wraps what is under the key already only when it is asked for all', async () => {
    const [token] = await secrets(1);
    const { sealedRows } = world.stores;
    await rewrapAll(both, sealedRows);
    const before = await token?.stored();
    const again = await rewrapAll(both, sealedRows, { all: true });
    expect(Object.values(again.rewrapped)).toEqual([1, 1, 1, 1, 1, 1]);
    const after = await token?.stored();
    expect(after?.keyId).toBe('new');
    expect(Buffer.from(after?.dataKey ?? []).equals(before?.dataKey ?? Buffer.alloc(0))).toBe(false);
    expect(after && (await onlyNew.open(after, token?.context ?? ''))).toBe(token?.text);
  });

  it('fails no read that goes on beside it', async () => {
    const made = await secrets(10);
    const box = createSecretBox(both);
    let done = false;
    let reads = 0;
    const reading = (async () => {
      while (!done || reads < 1_000) {
        for (const { text, context, stored } of made) {
          expect(await box.open(await stored(), context)).toBe(text);
          reads += 1;
        }
      }
    })();
    await rewrapAll(both, world.stores.sealedRows);
    done = true;
    await reading;
    expect(reads).toBeGreaterThanOrEqual(1_000);
    expect(await world.stores.sealedRows.keysInUse()).toEqual(new Map([['new', 60]]));
  });
});

describe('npm run rewrap', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-rewrap-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const written = ({ id, key }: NamedKey): string => `${id}:${Buffer.from(key).toString('base64')}`;

  async function run(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
    const child = await launch({
      name: 'rewrap',
      command: process.execPath,
      args: programArguments('src/rewrap.ts'),
      env: { DATABASE_URL: world.url, ...env },
      logFile: path.join(dir, `${randomBytes(4).toString('hex')}.log`),
    });
    const ended = await child.exited;
    return { code: ended.code, output: readFileSync(child.logFile, 'utf8') };
  }

  it('says what it did and which keys may go', async () => {
    await secrets(1);
    const { code, output } = await run({ ENCRYPTION_KEYS: `${written(newKey)},${written(oldKey)}` });
    expect(output).toContain('access tokens: 1 re-wrapped');
    expect(output).toContain('every secret is under new: the other keys may go');
    expect(code).toBe(0);
  });

  it('says which key is missing, and changes nothing', async () => {
    await secrets(1);
    const { code, output } = await run({ ENCRYPTION_KEYS: written(newKey) });
    expect(output).toMatch(/left as it is: access tokens \S+ \(key old\): a stored secret does not open/);
    expect(output).toContain('6 secrets are still under old: keep it.');
    expect(code).toBe(1);
    expect(await world.stores.sealedRows.keysInUse()).toEqual(new Map([['old', 6]]));
  });

  it('brings them from the keyring to AWS KMS', async () => {
    const made = await secrets(1);
    const kms = await startKms();
    try {
      const { code, output } = await run({
        ENCRYPTION_KEYS: written(oldKey),
        KMS_KEY_ID: 'alias/sluice',
        KMS_ENDPOINT: kms.url,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
      });
      expect(output).toContain(`every secret is under ${keyArn}`);
      expect(code).toBe(0);
      expect((await made[0]?.stored())?.keyId).toBe(keyArn);
    } finally {
      await kms.close();
    }
  });

  it('needs keys and a database', async () => {
    const { code, output } = await run({ DATABASE_URL: '' });
    expect(output).toContain('ENCRYPTION_KEYS: is missing; set it, or KMS_KEY_ID');
    expect(output).toContain('DATABASE_URL');
    expect(code).toBe(1);
  });
});
