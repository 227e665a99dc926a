import { randomBytes } from 'node:crypto';
import { openStreamReader } from '../../tools/local/streamReader.js';
import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { secretContext } from '../../domain/ids.js';
import { until } from '../workflows/harness.js';
import type { Json } from './linking.js';
import { goThroughLink } from './linking.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

const wrappingKey = randomBytes(32);
const encryptionKeys = `t1:${wrappingKey.toString('base64')}`;
const plaidSecret = `canary-plaid-secret-${randomBytes(8).toString('hex')}`;
const wrongKey = `canary-wrong-key-${randomBytes(8).toString('hex')}`;
const foreignToken = `public-sandbox-canary-${randomBytes(8).toString('hex')}`;
const user = 'secretive';

let system: System;
let itemId: string;
/** Every answer that a client got. */
const answers: string[] = [];
/** What must be nowhere, by name. */
const canaries = new Map<string, string>();

/** The text as it stands, and as it would look inside base64 (at each of the three alignments), base64url, hex or a URL. */
function disguises(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const within = [0, 1, 2].map((shift) => {
    // What is in front and behind shares characters with the secret: those at the borders say nothing.
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return encoded.slice(shift === 0 ? 0 : shift + 1, -1);
  });
  return [
    ...new Set([
      secret,
      encodeURIComponent(secret),
      bytes.toString('hex'),
      bytes.toString('hex').toUpperCase(),
      ...within,
      ...within.map((part) => part.replaceAll('+', '-').replaceAll('/', '_')),
    ]),
  ];
}
const hits = (haystack: string): string[] =>
  [...canaries].flatMap(([name, secret]) =>
    disguises(secret).some((form) => haystack.includes(form)) ? [name] : [],
  );

/** Every string and every byte array in a value, as text. */
function textOf(value: unknown): string {
  const parts: string[] = [];
  const visit = (at: unknown): void => {
    if (typeof at === 'string') parts.push(at);
    else if (at instanceof Uint8Array) parts.push(Buffer.from(at).toString('utf8'));
    else if (Array.isArray(at)) at.forEach(visit);
    else if (at !== null && typeof at === 'object') {
      for (const [name, inner] of Object.entries(at)) {
        parts.push(name);
        visit(inner);
      }
    }
  };
  visit(value);
  return parts.join('\n');
}

async function ask(method: string, route: string, body?: unknown, headers?: Record<string, string>) {
  const answer = await system.api<Json>(method, route, body, headers);
  answers.push(JSON.stringify([answer.body, ...answer.headers]));
  return answer;
}

beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 120,
    env: { ENCRYPTION_KEYS: encryptionKeys, PLAID_SECRET: plaidSecret, LOG_LEVEL: 'trace' },
  });
  // The first tries fail in every way that an error can carry the request: what is logged of it is searched below.
  const faults = [
    ['/auth/get', { reset: 'after' }],
    ['/auth/get', { status: 500 }],
    ['/transactions/sync', { truncate: 40 }],
    ['/accounts/get', { reset: 'before' }],
  ] as const;
  for (const [path, fault] of faults) {
    await system.sim('/_sim/faults', { match: { path }, fault, times: 1 });
  }
  const fresh = await goThroughLink(system, user);
  itemId = fresh.itemId;
  await ask('POST', `/v1/users/${user}/items`, { public_token: fresh.publicToken });
  await system.sim(`/_sim/items/${itemId}/advance`, { to: 'idle' });
  await until(async () => {
    const { body } = await system.api('GET', `/v1/items/${itemId}`);
    const [row] = await system.sql`
      SELECT numbers_due_at, unsent_since FROM items WHERE item_id = ${itemId}`;
    const numbersStored = row?.['numbers_due_at'] === null;
    return body['history'] === 'complete' && numbersStored && row['unsent_since'] === null;
  });

  const [row] = await system.sql<{ keyId: string; dataKey: Uint8Array; ciphertext: Uint8Array }[]>`
    SELECT access_token_key_id AS "keyId", access_token_data_key AS "dataKey",
      access_token_ciphertext AS ciphertext FROM items WHERE item_id = ${itemId}`;
  if (!row) throw new Error('the item is not stored');
  const box = createSecretBox(createKeyring(parseEncryptionKeys(encryptionKeys)));
  canaries.set('access token', await box.open(row, secretContext.accessToken(itemId)));
  canaries.set('public token', fresh.publicToken);
  canaries.set('foreign public token', foreignToken);
  canaries.set("Plaid's secret", plaidSecret);
  canaries.set('admin key', system.adminKey);
  canaries.set('wrong key', wrongKey);
  canaries.set('wrapping key', wrappingKey.toString('base64'));
  canaries.set('wrapping key in hex', wrappingKey.toString('hex'));
  const { numbers } = await system.sim(`/_sim/items/${itemId}/truth`);
  for (const [kind, list] of Object.entries(numbers as Record<string, Record<string, string>[]>)) {
    for (const [index, { account, iban, routing }] of list.entries()) {
      for (const [field, number] of Object.entries({ account, iban, routing })) {
        // A shorter one may stand anywhere by chance.
        if (number && number.length >= 8) canaries.set(`${kind} ${field} ${index}`, number);
      }
    }
  }
});
afterAll(() => system?.stop());

it('the search finds a secret in every disguise, and nothing else', () => {
  const secret = 'access-sandbox-1234/5678+90?';
  canaries.set('planted', secret);
  for (const front of ['', 'a', 'ab', 'abc']) {
    const text = Buffer.from(`${front}${secret}${front}`);
    for (const encoding of ['utf8', 'base64', 'base64url', 'hex'] as const) {
      expect([front, encoding, hits(`.. ${text.toString(encoding)} ..`)]).toEqual([
        front,
        encoding,
        ['planted'],
      ]);
    }
  }
  expect(hits(encodeURIComponent(secret))).toEqual(['planted']);
  expect(hits(textOf({ payloads: [{ data: Buffer.from(JSON.stringify({ t: secret })) }] }))).toEqual([
    'planted',
  ]);
  expect(hits('access-sandbox-0000')).toEqual([]);
  canaries.delete('planted');
  expect([...canaries.keys()].filter((name) => /^ach account/.test(name)).length).toBeGreaterThan(0);
});

describe('after an item was linked, mined and published, no secret is', () => {
  it('in an answer, errors above all', async () => {
    await ask('POST', `/v1/users/${user}/items`, { public_token: foreignToken });
    await ask('POST', `/v1/users/thief/items`, { public_token: canaries.get('public token') });
    await ask('POST', `/v1/users/${user}/items`, {
      public_token: foreignToken,
      [foreignToken]: foreignToken,
    });
    await ask('POST', `/v1/users/${user}/items`, `{"public_token": "${foreignToken}`);
    await ask('GET', `/v1/users/${user}/items?public_token=${foreignToken}`);
    const wrong = await ask('GET', `/v1/items/${itemId}`, undefined, { authorization: `Bearer ${wrongKey}` });
    expect(wrong.status).toBe(401);
    await ask('POST', `/v1/users/${user}/items`, { public_token: canaries.get('public token') });
    for (const path of ['/link/token/create', '/link/token/create']) {
      await system.sim('/_sim/faults', { match: { path }, fault: { status: 500 }, times: 1 });
      const failed = await ask('POST', `/v1/users/${user}/link-token`, {});
      expect(failed.status).toBe(502);
    }
    for (const route of ['accounts', 'transactions', 'sync']) {
      await ask('GET', `/v1/items/${itemId}/${route}?limit=500`);
      await ask('GET', `/v1/items/${itemId}/${route}`);
    }
    await ask('GET', `/v1/items/${itemId}/transactions?format=raw&limit=500`);
    await ask('GET', '/v1/webhooks?limit=500');
    await ask('GET', `/v1/users/${user}/items`);
    await ask('GET', '/readyz');
    await ask('GET', '/openapi.json');
    const all = answers.join('\n');
    expect(all).toContain(itemId);
    // An unknown field is named by its pointer: that is what the client itself called it, and no value.
    expect(hits(all.replaceAll(`/${foreignToken}`, ''))).toEqual([]);
  });

  it('in a metric', async () => {
    const { body } = await system.api<{ text: string }>('GET', '/metrics');
    expect(body.text).toContain('sluice_api_webhooks_total');
    expect(hits(body.text)).toEqual([]);
  });

  it('in a workflow history, decoded', async () => {
    const texts = new Map<string, string>();
    const types = new Set<string>();
    // The first sweep comes with its schedule, and Temporal's index behind it.
    await until(async () => {
      for await (const { workflowId, runId, type, memo } of system.client.workflow.list()) {
        types.add(type);
        const history = await system.client.workflow.getHandle(workflowId, runId).fetchHistory();
        texts.set(runId, `${textOf(memo)}\n${textOf(history)}`);
      }
      return ['linkItem', 'item', 'sweep'].every((type) => types.has(type));
    });
    const all = [...texts.values()].join('\n');
    expect(all).toContain(itemId);
    expect(hits(all)).toEqual([]);
    // Law 7: nor anything of the bank's rows.
    expect(all).not.toContain('"balances"');
    const rows = await system.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions WHERE item_id = ${itemId}`;
    expect(rows.length).toBeGreaterThan(50);
    expect(rows.filter(({ id }) => all.includes(id))).toEqual([]);
  });

  it('in the database, bytes included', async () => {
    const tables = await system.sql<{ name: string }[]>`
      SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name
      FROM information_schema.tables
      WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`;
    expect(tables.length).toBeGreaterThan(12);
    for (const { name } of tables) {
      // A bytea stands as hex in the text of its row, which is one of the disguises.
      const rows = await system.sql.unsafe<{ row: string }[]>(`SELECT t::text AS row FROM ${name} t`);
      expect([name, hits(rows.map(({ row }) => row).join('\n'))]).toEqual([name, []]);
    }
    const sealed = await system.sql`SELECT 1 FROM account_numbers WHERE item_id = ${itemId}`;
    expect(sealed.length).toBeGreaterThan(0);
  });

  it('on a stream', async () => {
    const reader = openStreamReader(system.urls.kinesis, system.streamPrefix);
    try {
      await reader.readOn();
      const events = reader.eventsOf(itemId);
      expect(events['raw-transactions'].length).toBeGreaterThan(50);
      expect(events['refined-accounts'].length).toBeGreaterThan(0);
      expect(hits(JSON.stringify(events))).toEqual([]);
    } finally {
      reader.close();
    }
  });

  it('in a log, at the level that says most', async () => {
    const logs = system.logs();
    for (const line of ['"worker ready"', '"server ready"', '"msg":"request"']) expect(logs).toContain(line);
    expect(logs).not.toContain('PLAID-SECRET');
    expect(hits(logs)).toEqual([]);
  });
});
