import { randomBytes } from 'node:crypto';
import { PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { createKeyring, parseEncryptionKeys } from '../../src/clients/keyring.js';
import { openKinesisClient } from '../../src/clients/kinesisClient.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { loginWorkflowId, secretContext } from '../../domain/ids.js';
import { operationsOf } from '../api/openapiDocument.js';
import { advance, linkItem } from './linkedItem.js';
import type { System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

/**
 * Every id at its longest, in characters of four bytes, through every route of the document, the database, Temporal, the
 * streams and the listener. A limit that is counted in bytes somewhere shows itself here.
 */
const longest = (length: number): string => {
  const own = randomBytes(4).toString('hex');
  return own + '😀'.repeat(length - own.length);
};

const ids = {
  userId: longest(128),
  floatId: longest(128),
  itemId: longest(256),
  accountId: longest(256),
  transactionId: longest(256),
  institutionId: longest(256),
  eventId: longest(128),
};
const keys = `t1:${randomBytes(32).toString('base64')}`;

let system: System;
beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 20,
    userEvents: true,
    env: { ENCRYPTION_KEYS: keys, STREAM_SHARDS: '1' },
  });
});
afterAll(() => system.stop());

/** An Item of the simulator, known here under the longest ids that the API and Plaid's webhooks take. Resolves to its id at Plaid. */
async function itemOfLongIds(): Promise<string> {
  const { public_token } = await system.sim('/sandbox/public_token/create', {
    institution_id: 'ins_109508',
    initial_products: ['transactions', 'auth'],
  });
  const { access_token, item_id } = await system.sim('/item/public_token/exchange', { public_token });
  await advance(system, item_id as string, 'historical');
  const box = createSecretBox(createKeyring(parseEncryptionKeys(keys)));
  const token = await box.seal(access_token as string, secretContext.accessToken(ids.itemId));
  const { sql } = system;
  await sql.begin(async (tx) => {
    await tx`
      INSERT INTO items (item_id, user_id, token_hash, access_token_key_id, access_token_data_key,
        access_token_ciphertext, institution_id, admitted_at, next_due_at, numbers_due_at, history)
      VALUES (${ids.itemId}, ${ids.userId}, 'hash', ${token.keyId}, ${token.dataKey}, ${token.ciphertext},
        ${ids.institutionId}, now(), now(), now(), 'none')`;
    await tx`
      INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, headers, body)
      SELECT 'plaid', 'accepted', 'ITEM', code, ${ids.itemId}, kind, ARRAY[${ids.transactionId}], 'pending', '{}',
        convert_to(jsonb_build_object('webhook_type', 'ITEM', 'webhook_code', code)::text, 'UTF8')
      FROM (VALUES ('NEW_ACCOUNTS_AVAILABLE', 'item'), ('x', 'update'), ('x', 'removals')) AS told(code, kind)`;
    await tx`
      INSERT INTO institutions (institution_id, name, country_codes, oauth, products)
      VALUES (${ids.institutionId}, 'Long', '{US}', false, '{}')`;
    for (const n of [1, 2]) {
      const accountId = n === 1 ? ids.accountId : longest(256);
      const refined = { account_id: accountId, balances: {}, name: 'x' };
      await tx`
        INSERT INTO accounts (item_id, account_id, status, is_main, raw, refined, as_of, version)
        VALUES (${ids.itemId}, ${accountId}, 'open', false, ${tx.json(refined)}, ${tx.json(refined)}, now(), 1)`;
      await tx`
        INSERT INTO balance_snapshots (item_id, account_id, day, current, as_of)
        VALUES (${ids.itemId}, ${accountId}, '2026-01-01', 1, now())`;
      const transactionId = n === 1 ? ids.transactionId : longest(256);
      await tx`
        INSERT INTO transactions (item_id, transaction_id, account_id, status, date, amount, raw, refined, version)
        VALUES (${ids.itemId}, ${transactionId}, ${accountId}, 'posted', '2026-01-01', 1,
          ${tx.json({ transaction_id: transactionId })}, ${tx.json({ transaction_id: transactionId })}, 1)`;
    }
  });
  return item_id as string;
}

const row = async () => (await system.sql`SELECT * FROM items WHERE item_id = ${ids.itemId}`)[0] ?? {};

/** Bodies of the operations that take one. */
const bodies: Record<string, unknown> = {
  createLinkToken: { mode: 'update', item_id: ids.itemId },
  putFloat: { status: 'closed' },
  checkLogin: {},
  changeItem: { main_account_id: ids.accountId },
  createApplication: { name: '😀'.repeat(200) },
  changeApplication: { company: '😀'.repeat(200) },
  createKey: { scopes: ['read'] },
  createEndpoint: { url: 'https://example.com/' },
  createPortalSession: {},
};

/** Operations that are tried apart: they have no id of a client's, or end what the others need. */
const apart = new Set([
  ...['linkItem', 'removeItem', 'receivePlaidWebhook', 'isReady', 'getMetrics'],
  ...['eraseUser', 'exportUser', 'revokeConnectionsOfUser', 'listConnectionsOfApplication'],
]);
/** There is no such webhook, application, key, connection, endpoint, delivery or erasure; the bank of long ids is not Plaid's. */
const unknown = new Set([
  'getWebhook',
  'replayWebhook',
  'getApplication',
  'changeApplication',
  'listKeys',
  'createKey',
  'revokeKey',
  'readInstitutionLive',
  'getProblemType',
  'getErasure',
  'createConnection',
  'getConnection',
  'changeConnection',
  'listConnectionHistory',
  'renewConnection',
  'revokeConnection',
  'getEndpoint',
  'changeEndpoint',
  'deleteEndpoint',
  'rotateEndpointSecret',
  'pingEndpoint',
  'recoverEndpoint',
  'replayEvents',
  'listDeliveries',
  'getDelivery',
  'resendDelivery',
]);

/** The path with the longest values for its parameters. */
function pathOf(path: string): string {
  const params: Record<string, string> = { ...ids, id: 'x'.repeat(64), code: 'x'.repeat(64) };
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] as string));
}

/** A page of one row, of all that the route lists and under each filter by an id. */
function routesOf(path: string, definition: any): string[] {
  const filters: Record<string, string> = { account_id: ids.accountId, item_id: ids.itemId };
  const names = (definition.parameters ?? [])
    .filter((one: any) => one.in === 'query')
    .map((one: any) => one.name);
  const whole = names.includes('limit') ? `${pathOf(path)}?limit=1` : pathOf(path);
  const filtered = names
    .filter((name: string) => name in filters)
    .map((name: string) => `${whole}&${name}=${encodeURIComponent(filters[name] as string)}`);
  return [whole, ...filtered];
}

it('a link, and the Item that it gives, are those of a user of the longest id', async () => {
  const itemId = await linkItem(system, { user: ids.userId });
  await advance(system, itemId, 'historical');
  const route = `/v1/items/${itemId}`;
  await until(async () => (await system.api('GET', route)).body['history'] === 'complete');
  expect((await system.api('GET', route)).body).toMatchObject({ user_id: ids.userId, status: 'ACTIVE' });
  expect((await system.api('DELETE', route)).status).toBe(204);
  await until(async () => {
    const { items } = await system.sim<{ items: { item_id: string; removed: boolean }[] }>('/_sim/items');
    return items.find((item) => item.item_id === itemId)?.removed === true;
  });
});

it('every route takes every id at its longest, and no list gives a cursor that it refuses', async () => {
  const idAtPlaid = await itemOfLongIds();
  const document = (await system.api('GET', '/openapi.json')).body;
  const operations = operationsOf(document).filter(({ definition }) => !apart.has(definition.operationId));
  expect(operations.length).toBeGreaterThan(30);
  let pages = 0;
  for (const { method, path, definition } of operations) {
    const name = definition.operationId as string;
    for (const route of routesOf(path, definition)) {
      const key = ['POST', 'PATCH', 'DELETE'].includes(method)
        ? { 'idempotency-key': name.padEnd(255, '~') }
        : {};
      const answer = await system.api(method, route, bodies[name], key);
      // The bank's own accounts have other ids.
      const isUnknown =
        unknown.has(name) || (name === 'readTransactionsLive' && route.includes('account_id'));
      const expected = isUnknown ? 'refused' : 'done';
      const was = answer.status < 300 ? 'done' : answer.status < 500 ? 'refused' : 'failed';
      expect([name, was, was === expected ? null : answer.body]).toEqual([name, expected, null]);
      for (let cursor = answer.body['next_cursor'] as string | null | undefined; cursor; pages += 1) {
        const next = await system.api(method, `${route}&cursor=${encodeURIComponent(cursor)}`);
        expect([name, next.status]).toEqual([name, 200]);
        cursor = next.body['next_cursor'] as string | null;
      }
    }
  }
  expect(pages).toBeGreaterThan(3);
  // One of the routes has reset the login, perhaps before anything of the Item had been read.
  await system.sim(`/_sim/items/${idAtPlaid}/repair`, {});
  const repaired = await system.api('POST', `/v1/items/${encodeURIComponent(ids.itemId)}/relinked`);
  expect([repaired.status, repaired.body['status']]).toEqual([200, 'ACTIVE']);
});

it('the Item works: its webhooks, its update, its removal at Plaid and the streams', async () => {
  await until(async () => (await row())['last_update_at'] !== null && (await row())['unsent_since'] === null);
  await until(
    async () =>
      (await system.sql`SELECT 1 FROM webhooks WHERE item_id = ${ids.itemId} AND outcome = 'pending'`)
        .length === 0,
  );
  const route = `/v1/items/${encodeURIComponent(ids.itemId)}`;
  expect((await system.api('DELETE', route)).status).toBe(204);
  await until(async () => (await row())['removed_at'] !== null && (await row())['unsent_since'] === null);
  const refused = await system.sql`SELECT kind, key FROM alerts`;
  expect([...refused]).toEqual([]);
});

it('the listener acts on events of the longest ids, and on what is behind them', async () => {
  await system.startListener();
  const client = openKinesisClient({
    region: 'us-east-1',
    endpoint: system.urls.kinesis,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const occurred_at = new Date().toISOString();
  const put = async (event: Record<string, string>): Promise<void> => {
    await client.send(
      new PutRecordsCommand({
        StreamName: `${system.streamPrefix}user-events`,
        Records: [{ PartitionKey: 'one', Data: Buffer.from(JSON.stringify({ occurred_at, ...event })) }],
      }),
    );
  };
  await put({ type: 'user.logged_in', event_id: ids.eventId, user_id: ids.userId });
  const float = {
    type: 'float.opened',
    event_id: longest(128),
    user_id: longest(128),
    float_id: ids.floatId,
  };
  await put(float);
  await until(
    async () =>
      (
        await system.sql`
          SELECT 1 FROM floats WHERE user_id = ${float.user_id} AND float_id = ${float.float_id} AND status = 'active'`
      ).length === 1,
  );
  const check = system.client.workflow.getHandle(loginWorkflowId(ids.eventId));
  await until(async () => (await check.describe()).status.name === 'COMPLETED');
  expect([...(await system.sql`SELECT reason FROM parked_events`)]).toEqual([]);
  client.destroy();
});
