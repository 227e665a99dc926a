import { ourselves } from '../../domain/exchange/viewer.js';
import { randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { hashKey } from '../../api/auth.js';
import type { ApiDeps } from '../../api/deps.js';
import { promMetrics } from '../../api/promMetrics.js';
import { createKeyring } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import { secretContext } from '../../domain/ids.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { TestItem, World as Database } from '../drizzle/world.js';
import { admission, linkedItem, newId, openWorld, pageOf, updateOf, webhook } from '../drizzle/world.js';
import { documentOf, operationsOf } from './openapiDocument.js';
import type { World } from './world.js';
import { createWorld } from './world.js';

/**
 * A process that is killed between the work and the answer's storing: the work is committed, and nobody has the answer. Every
 * operation that takes an Idempotency-Key is ended there and repeated, with what may happen meanwhile.
 */
let database: Database;
let world: World;
let app: World['app'];
/** Never gets to store an answer, nor to give the turn back. */
let dying: World['app'];
const secrets = createSecretBox(createKeyring([{ id: 'k1', key: randomBytes(32) }]));
/** By the id of the request: what the check of a login answered. */
const checks = new Map<string, string>();
let linking: (tokenHash: string) => Promise<LinkOutcome> = () => Promise.reject(new Error('not asked for'));

beforeAll(async () => {
  database = await openWorld();
  // Whose keys ask here, and what links is connected with.
  await database.sql`INSERT INTO applications (application_id, name) VALUES ('app-1', 'first')`;
  world = createWorld();
  await world.app.close();
  const { stores } = database;
  const build = (changes: Partial<ApiDeps> = {}) =>
    buildApp({
      ...world.deps,
      secrets,
      metrics: promMetrics(new Registry()),
      applications: { ...stores.applications, findKey: world.deps.applications.findKey },
      commands: stores.itemCommands,
      idempotency: stores.idempotency,
      items: stores.items,
      links: stores.links,
      reads: stores.reads,
      webhooks: stores.webhooks,
      connections: stores.connections,
      portal: stores.portal,
      endpoints: stores.endpoints,
      deliveries: stores.deliveries,
      erasures: stores.erasures,
      gateway: {
        ...world.deps.gateway,
        link: (tokenHash) => linking(tokenHash),
        async checkUser(_userId, _timeoutMs, requestId) {
          const webhook_id = checks.get(requestId) ?? newId('webhook');
          checks.set(requestId, webhook_id);
          return [{ item_id: 'item-1', stale: true, webhook_id, reason: 'last_update_old' }];
        },
      },
      ...changes,
    });
  app = build();
  dying = build({
    idempotency: {
      ...stores.idempotency,
      finish: () => Promise.reject(new Error('killed')),
      release: () => Promise.reject(new Error('killed')),
    },
  });
});
afterAll(async () => {
  await app.close();
  await dying.close();
  await database.close();
});

interface Case {
  url: string;
  payload?: object;
  /** What may happen between the lost answer and the repeat. */
  meanwhile?: () => Promise<unknown>;
  /** How often the request has had its effect. */
  effects?: () => Promise<number>;
  /** Fields of the answer that show the present, or that Plaid makes anew. */
  moving?: string[];
  /** The answer of the repeat is of use. */
  useful?: (body: Record<string, any>) => Promise<boolean>;
  /** The status of the repeat, where it is another. */
  again?: number;
}

async function item(): Promise<TestItem> {
  const linked = await linkedItem(database);
  const token = await secrets.seal('access', secretContext.accessToken(linked.itemId));
  await database.sql`
    UPDATE items SET access_token_key_id = ${token.keyId}, access_token_data_key = ${token.dataKey},
      access_token_ciphertext = ${token.ciphertext}, history = 'complete' WHERE item_id = ${linked.itemId}`;
  await database.stores.mining.apply(
    updateOf(linked, newId('update'), pageOf(linked, '', 'c1', false, { added: [] })),
  );
  return linked;
}
const count = async (query: Promise<readonly Record<string, unknown>[]>): Promise<number> =>
  Number((await query)[0]?.['n']);

const cases: Record<string, () => Promise<Case>> = {
  async 'POST /v1/applications'() {
    const name = newId('application');
    return {
      url: '/v1/applications',
      payload: { name },
      effects: () => count(database.sql`SELECT count(*) AS n FROM applications WHERE name = ${name}`),
    };
  },
  async 'PATCH /v1/applications/{id}'() {
    const { applications } = database.stores;
    const { application_id } = await applications.create('changing', crypto.randomUUID());
    const isLast = () =>
      count(
        database.sql`SELECT CASE WHEN company = 'Newer' THEN 1 ELSE 2 END AS n FROM applications
          WHERE application_id = ${application_id}`,
      );
    return {
      url: `/v1/applications/${application_id}`,
      payload: { company: 'Older' },
      // Another change, which the repeat must not take back.
      meanwhile: () => applications.change(application_id, { company: 'Newer' }),
      effects: isLast,
      moving: ['company'],
    };
  },
  async 'POST /v1/applications/{id}/keys'() {
    const { application_id } = await database.stores.applications.create('keyed', crypto.randomUUID());
    return {
      url: `/v1/applications/${application_id}/keys`,
      payload: { scopes: ['read'] },
      effects: () =>
        count(database.sql`SELECT count(*) AS n FROM api_keys WHERE application_id = ${application_id}`),
      useful: async ({ key, key_id }) =>
        (await database.stores.applications.findKey(hashKey(key)))?.key_id === key_id,
    };
  },
  async 'DELETE /v1/keys/{id}'() {
    const { applications } = database.stores;
    const { application_id } = await applications.create('revoking', crypto.randomUUID());
    const made = await applications.addKey(application_id, crypto.randomUUID(), newId('hash'), ['read']);
    let revokedAt: unknown;
    const revoked = async () =>
      (await database.sql`SELECT revoked_at FROM api_keys WHERE key_id = ${made!.key_id}`)[0]?.['revoked_at'];
    return {
      url: `/v1/keys/${made!.key_id}`,
      meanwhile: async () => (revokedAt = await revoked()),
      effects: async () => (String(await revoked()) === String(revokedAt) ? 1 : 2),
    };
  },
  async 'POST /v1/users/{userId}/link-token'() {
    const userId = newId('user');
    return {
      url: `/v1/users/${userId}/link-token`,
      payload: {},
      effects: () => count(database.sql`SELECT count(*) AS n FROM users WHERE user_id = ${userId}`),
      moving: ['link_token', 'expiration'],
    };
  },
  async 'POST /v1/users/{userId}/items'() {
    const userId = newId('user');
    let exchanges = 0;
    linking = async (tokenHash) => {
      exchanges += 1;
      const itemId = newId('item');
      const { links } = database.stores;
      await links.beginExchange(tokenHash);
      const accessToken = await secrets.seal('access', secretContext.accessToken(itemId));
      await links.storeExchanged(tokenHash, { itemId, accessToken });
      await links.admit(admission({ itemId, userId, tokenHash }));
      return links.finish(tokenHash, { kind: 'linked', item_id: itemId, replaces: null, warnings: [] });
    };
    return {
      url: `/v1/users/${userId}/items`,
      payload: { public_token: newId('public') },
      effects: async () => exchanges,
      // The token was linked before: that is what 200 says.
      again: 200,
    };
  },
  async 'POST /v1/users/{userId}/logins'() {
    const userId = newId('user');
    await database.stores.reads.ensureUser(userId);
    const before = checks.size;
    return {
      url: `/v1/users/${userId}/logins`,
      payload: {},
      effects: async () => checks.size - before,
    };
  },
  async 'PATCH /v1/items/{itemId}'() {
    const { itemId } = await item();
    await database.sql`
      INSERT INTO accounts (item_id, account_id, status, is_main, raw, refined, as_of, version)
      SELECT item_id, 'acc-2', status, false, raw, refined, as_of, version FROM accounts WHERE item_id = ${itemId}`;
    return {
      url: `/v1/items/${itemId}`,
      payload: { main_account_id: 'acc-2' },
      // Another wish, which the repeat must not take back.
      meanwhile: () => database.stores.itemCommands.setMainAccount(ourselves, itemId, 'acc-1', null),
      effects: () =>
        count(
          database.sql`SELECT count(*) AS n FROM outbox WHERE item_id = ${itemId} AND subject = 'acc-2'
            AND (refined ->> 'is_main')::boolean`,
        ),
      moving: ['main_account_id'],
    };
  },
  async 'DELETE /v1/items/{itemId}'() {
    const { itemId } = await item();
    let asked: unknown;
    const requested = async () =>
      (await database.sql`SELECT removal_requested_at::text AS at FROM items WHERE item_id = ${itemId}`)[0]?.[
        'at'
      ];
    return {
      url: `/v1/items/${itemId}`,
      meanwhile: async () => (asked = await requested()),
      effects: async () => ((await requested()) === asked ? 1 : 2),
    };
  },
  async 'POST /v1/items/{itemId}/relinked'() {
    const { itemId } = await item();
    return {
      url: `/v1/items/${itemId}/relinked`,
      // The bank tells of new accounts after the user went through update mode: a repeat knows nothing of them.
      meanwhile: () => database.sql`UPDATE items SET new_accounts_available = true WHERE item_id = ${itemId}`,
      effects: () =>
        count(
          database.sql`SELECT CASE WHEN new_accounts_available THEN 1 ELSE 2 END AS n FROM items
            WHERE item_id = ${itemId}`,
        ),
      moving: ['new_accounts_available'],
    };
  },
  async 'POST /v1/items/{itemId}/reset-login'() {
    const { itemId } = await item();
    // The effect is Plaid's alone, in its sandbox: a login that is reset again is reset.
    return { url: `/v1/items/${itemId}/reset-login` };
  },
  async 'POST /v1/items/{itemId}/remine'() {
    const { itemId } = await item();
    return {
      url: `/v1/items/${itemId}/remine`,
      // The remine has ended before the client comes back.
      meanwhile: () => database.sql`UPDATE items SET remine_requested_at = NULL WHERE item_id = ${itemId}`,
      effects: () => count(database.sql`SELECT remines AS n FROM items WHERE item_id = ${itemId}`),
    };
  },
  async 'POST /v1/webhooks/{id}/replay'() {
    const { itemId } = await item();
    const { webhookId } = await database.stores.webhooks.store(webhook(itemId, 'TRANSACTIONS_REMOVED'));
    return {
      url: `/v1/webhooks/${webhookId}/replay`,
      // Both were acted on: the original could not be replayed any more.
      meanwhile: () =>
        database.sql`UPDATE webhooks SET outcome = 'done', settled_at = now() WHERE item_id = ${itemId}`,
      effects: () =>
        count(
          database.sql`SELECT count(*) AS n FROM webhooks WHERE source = 'replay' AND item_id = ${itemId}`,
        ),
      moving: ['outcome'],
    };
  },
  async 'POST /v1/items/{itemId}/connections'() {
    const { itemId } = await item();
    const { application_id } = await database.stores.applications.create('granted', crypto.randomUUID());
    return {
      url: `/v1/items/${itemId}/connections`,
      payload: { application_id, scopes: ['accounts'], account_ids: null },
      effects: () => connectionsOf(itemId, application_id),
    };
  },
  async 'PATCH /v1/connections/{id}'() {
    const { connectionId } = await connected();
    return {
      url: `/v1/connections/${connectionId}`,
      payload: { lookback_days: 30 },
      // Another change, which the repeat must not take back.
      meanwhile: () =>
        database.sql`UPDATE connections SET lookback_days = 7 WHERE connection_id = ${connectionId}`,
      effects: () => actionsOf(connectionId, 'updated'),
      moving: ['lookback_days'],
    };
  },
  async 'POST /v1/connections/{id}/renew'() {
    const { connectionId } = await connected();
    return {
      url: `/v1/connections/${connectionId}/renew`,
      payload: { expires_at: '2100-01-01T00:00:00Z' },
      effects: () => actionsOf(connectionId, 'renewed'),
    };
  },
  async 'POST /v1/connections/{id}/revoke'() {
    const { connectionId } = await connected();
    return {
      url: `/v1/connections/${connectionId}/revoke`,
      payload: { reason: 'over' },
      effects: () => actionsOf(connectionId, 'revoked'),
    };
  },
  async 'POST /v1/users/{userId}/connections/revoke'() {
    const { connectionId, userId } = await connected();
    return {
      url: `/v1/users/${userId}/connections/revoke`,
      payload: {},
      effects: () => actionsOf(connectionId, 'revoked'),
    };
  },
  async 'POST /v1/users/{userId}/portal-sessions'() {
    const { userId } = await item();
    return {
      url: `/v1/users/${userId}/portal-sessions`,
      payload: {},
      effects: () => count(database.sql`SELECT count(*) AS n FROM portal_sessions WHERE user_id = ${userId}`),
    };
  },
  async 'POST /v1/endpoints'() {
    const url = `https://${newId('host')}.example.com/`;
    return {
      url: '/v1/endpoints',
      payload: { url },
      effects: () => count(database.sql`SELECT count(*) AS n FROM endpoints WHERE url = ${url}`),
    };
  },
  async 'PATCH /v1/endpoints/{id}'() {
    const id = await endpoint();
    const pause = () => database.stores.endpoints.change('app-1', id, { state: 'paused' });
    return {
      url: `/v1/endpoints/${id}`,
      payload: { state: 'enabled' },
      // Paused since: the repeat must not let it go on.
      meanwhile: pause,
      effects: () =>
        count(
          database.sql`SELECT CASE WHEN state = 'paused' THEN 1 ELSE 2 END AS n FROM endpoints WHERE endpoint_id = ${id}`,
        ),
      moving: ['state', 'reason', 'state_since'],
    };
  },
  async 'DELETE /v1/endpoints/{id}'() {
    return { url: `/v1/endpoints/${await endpoint()}` };
  },
  async 'POST /v1/endpoints/{id}/rotate-secret'() {
    const id = await endpoint();
    let rotated: unknown;
    const until = async () =>
      String(
        (await database.sql`SELECT previous_until::text AS at FROM endpoints WHERE endpoint_id = ${id}`)[0]?.[
          'at'
        ],
      );
    return {
      url: `/v1/endpoints/${id}/rotate-secret`,
      payload: {},
      meanwhile: async () => (rotated = await until()),
      effects: async () => ((await until()) === rotated ? 1 : 2),
    };
  },
  async 'POST /v1/endpoints/{id}/ping'() {
    const id = await endpoint();
    return { url: `/v1/endpoints/${id}/ping`, payload: {}, effects: () => deliveriesTo(id) };
  },
  async 'POST /v1/endpoints/{id}/recover'() {
    const id = await endpoint();
    await failed(id);
    return {
      url: `/v1/endpoints/${id}/recover`,
      payload: { since: '2026-01-01T00:00:00Z' },
      // It has failed once more: that is for the next who asks.
      meanwhile: () => fail(id),
      effects: async () => ((await pendingOf(id)) === 0 ? 1 : 2),
    };
  },
  async 'POST /v1/endpoints/{id}/replay'() {
    const id = await endpoint();
    await failed(id);
    return {
      url: `/v1/endpoints/${id}/replay`,
      payload: { since: new Date(Date.now() - 3_600_000).toISOString(), types: ['endpoint.ping'] },
      meanwhile: () => fail(id),
      effects: async () => ((await pendingOf(id)) === 0 ? 1 : 2),
    };
  },
  async 'POST /v1/deliveries/{id}/resend'() {
    const id = await endpoint();
    const deliveryId = await failed(id);
    return {
      url: `/v1/deliveries/${deliveryId}/resend`,
      payload: {},
      meanwhile: () => fail(id),
      effects: async () => ((await pendingOf(id)) === 0 ? 1 : 2),
      moving: ['state', 'ended_at', 'next_attempt_at'],
    };
  },
  async 'DELETE /v1/users/{userId}'() {
    const { userId } = await item();
    return {
      url: `/v1/users/${userId}`,
      effects: () => count(database.sql`SELECT count(*) AS n FROM erasures WHERE user_id = ${userId}`),
    };
  },
};

/** An Item with a connection of an application of its own. */
async function connected() {
  const { itemId, userId } = await item();
  const { application_id } = await database.stores.applications.create('connected', crypto.randomUUID());
  const connectionId = newId('con');
  await database.sql`
    INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts)
    VALUES (${connectionId}, ${application_id}, ${itemId}, ${userId}, '{accounts}', true)`;
  return { itemId, userId, connectionId };
}
const connectionsOf = (itemId: string, applicationId: string) =>
  count(
    database.sql`SELECT count(*) AS n FROM connections WHERE item_id = ${itemId} AND application_id = ${applicationId}`,
  );
const actionsOf = (connectionId: string, action: string) =>
  count(
    database.sql`SELECT count(*) AS n FROM connection_history WHERE connection_id = ${connectionId} AND action = ${action}`,
  );

async function endpoint(): Promise<string> {
  const made = await app.inject({
    method: 'POST',
    url: '/v1/endpoints',
    headers: world.keys.all,
    payload: { url: `https://${newId('host')}.example.com/` },
  });
  return made.json().endpoint_id as string;
}
const deliveriesTo = (id: string) =>
  count(database.sql`SELECT count(*) AS n FROM deliveries WHERE endpoint_id = ${id}`);
const pendingOf = (id: string) =>
  count(database.sql`SELECT count(*) AS n FROM deliveries WHERE endpoint_id = ${id} AND state = 'pending'`);
const fail = (id: string) =>
  database.sql`UPDATE deliveries SET state = 'failed', ended_at = now() WHERE endpoint_id = ${id}`;

/** A delivery that has failed for good. */
async function failed(id: string): Promise<string> {
  const deliveryId = await database.stores.endpoints.ping('app-1', id, null);
  await fail(id);
  return deliveryId!;
}

it('there is a case for every operation that takes a key', async () => {
  const keyed = operationsOf(await documentOf(app))
    .filter(({ method, path }) => path.startsWith('/v1') && ['POST', 'PATCH', 'DELETE'].includes(method))
    .map(({ method, path }) => `${method} ${path}`);
  expect(Object.keys(cases).sort()).toEqual(keyed.sort());
});

const without = (body: string, fields: string[]): unknown =>
  body === ''
    ? ''
    : Object.fromEntries(Object.entries(JSON.parse(body)).filter(([name]) => !fields.includes(name)));

describe.each(Object.keys(cases))('%s, killed before its answer is stored', (name) => {
  it.each([
    ['once', 1],
    ['three times', 3],
  ])('%s: a repeat has the same effect once and the same answer', async (_times, times) => {
    const { url, payload, meanwhile, effects, moving = [], useful, again } = await cases[name]!();
    const [method] = name.split(' ') as ['POST'];
    const key = newId('key');
    const ask = (on: World['app']) =>
      on.inject({
        method,
        url,
        headers: { ...world.keys.all, 'idempotency-key': key },
        ...(payload === undefined ? {} : { payload }),
      });
    const lost = [];
    for (let n = 0; n < times; n += 1) {
      const answer = await ask(dying);
      expect([n, answer.statusCode < 300]).toEqual([n, true]);
      lost.push(answer);
      expect((await ask(app)).json().code).toBe('request_running');
      await database.sql`UPDATE idempotency_keys SET leased_until = clock_timestamp() WHERE key = ${key}`;
      if (n === 0) await meanwhile?.();
    }
    const told = await ask(app);
    const [first] = lost;
    expect(told.headers['idempotency-replayed']).toBeUndefined();
    expect(told.statusCode).toBe(again ?? first!.statusCode);
    for (const one of lost) expect(without(told.body, moving)).toEqual(without(one.body, moving));
    expect(await effects?.()).toBe(effects && 1);
    if (useful) expect(await useful(told.json())).toBe(true);
    const replayed = await ask(app);
    expect([replayed.headers['idempotency-replayed'], replayed.statusCode, replayed.body]).toEqual([
      'true',
      told.statusCode,
      told.body,
    ]);
    // Another key is another request.
    if (name === 'POST /v1/applications') {
      await app.inject({
        method,
        url,
        headers: { ...world.keys.all, 'idempotency-key': newId('key') },
        payload: payload!,
      });
      expect(await effects?.()).toBe(2);
    }
  });
});

it('a run that outlives its lease and comes to its effect last makes nothing anew', async () => {
  const name = newId('late');
  const key = newId('key');
  let proceed = (): void => undefined;
  const held = new Promise<void>((resolve) => (proceed = resolve));
  let reached = false;
  const { applications } = database.stores;
  const late = buildApp({
    ...world.deps,
    secrets,
    metrics: promMetrics(new Registry()),
    idempotency: database.stores.idempotency,
    applications: {
      ...applications,
      findKey: world.deps.applications.findKey,
      async create(...args) {
        reached = true;
        await held;
        return applications.create(...args);
      },
    },
  });
  const ask = (on: World['app']) =>
    on.inject({
      method: 'POST',
      url: '/v1/applications',
      headers: { ...world.keys.all, 'idempotency-key': key },
      payload: { name },
    });
  const first = ask(late);
  while (!reached) await new Promise(setImmediate);
  await database.sql`UPDATE idempotency_keys SET leased_until = clock_timestamp() WHERE key = ${key}`;
  const second = await ask(app);
  proceed();
  expect((await first).body).toBe(second.body);
  const made = database.sql`SELECT count(*)::int AS n FROM applications WHERE name = ${name}`;
  expect(await count(made)).toBe(1);
  await late.close();
});

it('the key of an application that was set down is never readable in the database, before and after', async () => {
  const { application_id } = await database.stores.applications.create('sealed', crypto.randomUUID());
  const key = newId('key');
  const made = await dying.inject({
    method: 'POST',
    url: `/v1/applications/${application_id}/keys`,
    headers: { ...world.keys.all, 'idempotency-key': key },
    payload: { scopes: ['read'] },
  });
  const [row] = await database.sql<[{ stored: Uint8Array; whole: string }]>`
    SELECT answer_ciphertext AS stored, entry::text AS whole FROM idempotency_keys entry WHERE key = ${key}`;
  expect(Buffer.from(row.stored).includes(made.json().key)).toBe(false);
  expect(row.whole).not.toContain(made.json().key);
  expect(world.logged.join('')).not.toContain(made.json().key);
});
