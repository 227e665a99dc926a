import { wholeGrant } from '../../domain/exchange/connection.js';
import { randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { hashKey, newKey } from '../../api/auth.js';
import { promMetrics } from '../../api/promMetrics.js';
import type { ConnectionScope, Grant } from '../../domain/exchange/connection.js';
import { secretContext } from '../../domain/ids.js';
import type { Scope } from '../../domain/ports/applications.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import { grantConnection } from '../../drizzle/stores/connectionWrites.js';
import { writeEvents } from '../../drizzle/stores/writeEvents.js';
import { createKeyring } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import type { World as Database } from '../drizzle/world.js';
import {
  account,
  linkedItem,
  lockWaiters,
  newId,
  openWorld,
  runUpdate,
  transaction,
  webhook,
} from '../drizzle/world.js';
import { documentOf, operationsOf } from './openapiDocument.js';
import type { World } from './world.js';
import { createWorld, until } from './world.js';

/**
 * The matrix: every operation, asked by applications whose connection with the Item lacks one thing each. A new operation that is
 * not named here fails the run: say what a connection is needed for, or why none is.
 */

const [granted, secret] = ['acc-granted', 'acc-secret'];
const everyScope: ConnectionScope[] = ['accounts', 'balances', 'transactions', 'numbers'];
const dayBefore = (days: number): string =>
  new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
/** Found in an answer, they tell what it shows: an account that is not granted, and a day beyond the lookback. */
const canaries = { account: secret, lookback: dayBefore(400) };
type Canary = keyof typeof canaries;

/** What an operation needs, and what its answer shows to who is granted everything. */
type Entry =
  | { kind: 'item'; need: ConnectionScope | null; shows: Canary[]; query?: string }
  | { kind: 'command'; payload?: object; status: number }
  /** `need`: the Item is left out without it; null = its answer names no Item. */
  | {
      kind: 'user';
      need: ConnectionScope | 'item' | null;
      shows: Canary[];
      status?: number;
      payload?: object;
    }
  | { kind: 'webhook'; status: number }
  | { kind: 'removal' }
  /** Asked without the scope `consent`: of connections an application sees its own. */
  | { kind: 'connection'; payload?: object; ended?: string }
  /** Of what is of one application alone: an endpoint, a delivery to it, or the list of them. */
  | { kind: 'own'; what: 'endpoint' | 'delivery' | 'list' | 'new'; payload?: object; status: number }
  /** Of everything that is held of a user. */
  | { kind: 'everything'; status: number }
  | { kind: 'events' }
  | { kind: 'apart'; why: string };

const byConsent: Entry = { kind: 'apart', why: 'the scope consent sees every connection, and no bank data' };
const since = '2026-01-01T00:00:00Z';
const ownEndpoint = (status: number, payload?: object): Entry => ({
  kind: 'own',
  what: 'endpoint',
  status,
  ...(payload === undefined ? {} : { payload }),
});
const ofNoItem: Entry = { kind: 'apart', why: 'it knows nothing of users and Items' };
const matrix: Record<string, Entry> = {
  'GET /v1/items/{itemId}': { kind: 'item', need: null, shows: [] },
  'GET /v1/items/{itemId}/accounts': { kind: 'item', need: 'accounts', shows: ['account'] },
  'GET /v1/items/{itemId}/accounts/live': { kind: 'item', need: 'accounts', shows: ['account'] },
  'GET /v1/items/{itemId}/balances': { kind: 'item', need: 'balances', shows: ['account', 'lookback'] },
  'GET /v1/items/{itemId}/balances/live': { kind: 'item', need: 'balances', shows: ['account'] },
  'GET /v1/items/{itemId}/transactions': {
    kind: 'item',
    need: 'transactions',
    shows: ['account', 'lookback'],
  },
  'GET /v1/items/{itemId}/transactions/live': {
    kind: 'item',
    need: 'transactions',
    shows: ['account', 'lookback'],
  },
  'GET /v1/items/{itemId}/numbers': { kind: 'item', need: 'numbers', shows: ['account'] },
  'GET /v1/items/{itemId}/sync': { kind: 'command', status: 200 },
  'PATCH /v1/items/{itemId}': { kind: 'command', payload: { main_account_id: granted }, status: 200 },
  'POST /v1/items/{itemId}/relinked': { kind: 'command', status: 200 },
  'POST /v1/items/{itemId}/remine': { kind: 'command', status: 202 },
  'POST /v1/items/{itemId}/reset-login': { kind: 'command', status: 200 },
  'DELETE /v1/items/{itemId}': { kind: 'removal' },
  'GET /v1/users/{userId}': { kind: 'user', need: null, shows: [] },
  'GET /v1/users/{userId}/item-change': { kind: 'user', need: null, shows: [] },
  'GET /v1/users/{userId}/items': { kind: 'user', need: 'item', shows: [] },
  'GET /v1/users/{userId}/accounts': { kind: 'user', need: 'accounts', shows: ['account'] },
  'GET /v1/users/{userId}/transactions': {
    kind: 'user',
    need: 'transactions',
    shows: ['account', 'lookback'],
  },
  'GET /v1/users/{userId}/floats/{floatId}': { kind: 'user', need: null, shows: [] },
  'PUT /v1/users/{userId}/floats/{floatId}': {
    kind: 'user',
    need: null,
    shows: [],
    payload: { status: 'closed' },
  },
  'POST /v1/users/{userId}/logins': { kind: 'user', need: 'item', shows: [], payload: {}, status: 202 },
  'POST /v1/users/{userId}/link-token': { kind: 'apart', why: 'linking is how an application begins' },
  'POST /v1/users/{userId}/items': { kind: 'apart', why: 'linking is how an application begins' },
  'GET /v1/webhooks': { kind: 'webhook', status: 200 },
  'GET /v1/webhooks/{id}': { kind: 'webhook', status: 200 },
  'POST /v1/webhooks/{id}/replay': { kind: 'webhook', status: 202 },
  'GET /v1/users/{userId}/connections': { kind: 'connection' },
  'GET /v1/items/{itemId}/connections': { kind: 'connection' },
  'GET /v1/connections/{id}': { kind: 'connection' },
  'GET /v1/connections/{id}/history': { kind: 'connection' },
  'PATCH /v1/connections/{id}': { kind: 'connection', payload: {}, ended: 'connection_revoked' },
  'POST /v1/connections/{id}/revoke': { kind: 'connection', payload: {} },
  'GET /v1/applications/{id}/connections': {
    kind: 'apart',
    why: 'it lists connections alone, as the one of a user',
  },
  'POST /v1/items/{itemId}/connections': byConsent,
  'POST /v1/connections/{id}/renew': byConsent,
  'POST /v1/users/{userId}/connections/revoke': byConsent,
  'POST /v1/users/{userId}/portal-sessions': byConsent,
  'GET /v1/items/{itemId}/changes': {
    kind: 'item',
    need: 'transactions',
    shows: ['account', 'lookback'],
  },
  'GET /v1/events': { kind: 'events' },
  'GET /v1/event-types': ofNoItem,
  'GET /v1/endpoints': { kind: 'own', what: 'list', status: 200 },
  'POST /v1/endpoints': { kind: 'own', what: 'new', payload: { url: 'https://new.example' }, status: 201 },
  'GET /v1/endpoints/{id}': ownEndpoint(200),
  'PATCH /v1/endpoints/{id}': ownEndpoint(200, { state: 'paused' }),
  'DELETE /v1/endpoints/{id}': ownEndpoint(204),
  'GET /v1/endpoints/{id}/deliveries': ownEndpoint(200),
  'POST /v1/endpoints/{id}/ping': ownEndpoint(202),
  'POST /v1/endpoints/{id}/recover': ownEndpoint(202, { since }),
  'POST /v1/endpoints/{id}/replay': ownEndpoint(202, { since }),
  'POST /v1/endpoints/{id}/rotate-secret': ownEndpoint(200, {}),
  'GET /v1/deliveries/{id}': { kind: 'own', what: 'delivery', status: 200 },
  'POST /v1/deliveries/{id}/resend': { kind: 'own', what: 'delivery', status: 202 },
  'GET /v1/institutions': ofNoItem,
  'GET /v1/institutions/{institutionId}': ofNoItem,
  'GET /v1/institutions/{institutionId}/live': ofNoItem,
  'GET /v1/applications': ofNoItem,
  'POST /v1/applications': ofNoItem,
  'GET /v1/applications/{id}': ofNoItem,
  'PATCH /v1/applications/{id}': ofNoItem,
  'GET /v1/applications/{id}/keys': ofNoItem,
  'POST /v1/applications/{id}/keys': ofNoItem,
  'DELETE /v1/keys/{id}': ofNoItem,
  'DELETE /v1/users/{userId}': { kind: 'everything', status: 202 },
  'GET /v1/users/{userId}/export': { kind: 'everything', status: 200 },
  'GET /v1/erasures/{id}': { kind: 'everything', status: 200 },
};

let database: Database;
let world: World;
let app: World['app'];
const secrets = createSecretBox(createKeyring([{ id: 'k1', key: randomBytes(32) }]));
/** What Plaid was asked for live transactions. */
const asked: { from: string; to: string; accountIds?: string[] | undefined }[] = [];
let checked: string[] = [];

const plaidAccounts: PlaidAccount[] = [granted, secret].map((id) => account(id));
const rows = [
  transaction('t-recent', { account_id: granted, date: dayBefore(2) }),
  transaction('t-old', { account_id: granted, date: canaries.lookback }),
  transaction('t-secret', { account_id: secret, date: dayBefore(2) }),
];

beforeAll(async () => {
  database = await openWorld();
  world = createWorld();
  await world.app.close();
  const { stores } = database;
  app = buildApp({
    ...world.deps,
    metrics: promMetrics(new Registry()),
    secrets,
    applications: stores.applications,
    changes: stores.changes,
    commands: stores.itemCommands,
    connections: stores.connections,
    deliveries: stores.deliveries,
    endpoints: stores.endpoints,
    erasures: stores.erasures,
    events: stores.events,
    exports: stores.exports,
    floats: stores.floats,
    items: stores.items,
    links: stores.links,
    numbers: stores.numbers,
    reads: stores.reads,
    webhooks: stores.webhooks,
    live: {
      ...world.deps.live,
      accounts: async () => ({ accounts: plaidAccounts, request_id: 'r' }),
      balances: async () => ({ accounts: plaidAccounts, request_id: 'r' }),
      // More than it was asked for: what may be shown is not left to Plaid.
      async transactions(_token, query) {
        asked.push(query);
        return { transactions: rows, total_transactions: rows.length, request_id: 'r' };
      },
    },
    gateway: {
      ...world.deps.gateway,
      checkUser: async () =>
        checked.map((item_id) => ({ item_id, stale: false, webhook_id: null, reason: null })),
    },
  });
});
afterAll(async () => {
  await app.close();
  await database.close();
});

interface Fixture {
  itemId: string;
  userId: string;
  webhookId: string;
  /** Another application's, which is granted everything. */
  otherId: string;
}

/** An Item with two accounts, rows of today and of old on one, and a row on the other. */
async function fixture(): Promise<Fixture> {
  const { sql, stores } = database;
  const item = await linkedItem(database, { mainAccountId: granted });
  const { itemId, userId } = item;
  const token = await secrets.seal('access', secretContext.accessToken(itemId));
  await sql`
    UPDATE items SET access_token_key_id = ${token.keyId}, access_token_data_key = ${token.dataKey},
      access_token_ciphertext = ${token.ciphertext}, history = 'complete' WHERE item_id = ${itemId}`;
  await runUpdate(database, item, [{ added: rows }], { accounts: plaidAccounts });
  await sql`
    INSERT INTO balance_snapshots (item_id, account_id, day, current, as_of)
    SELECT ${itemId}, account, day, 1, now() FROM (VALUES
      (${granted}, ${dayBefore(2)}::text::date), (${granted}, ${canaries.lookback}::text::date),
      (${secret}, ${dayBefore(2)}::text::date)) AS b(account, day)`;
  for (const id of [granted, secret]) {
    const sealed = await secrets.seal(
      JSON.stringify({ ach: [{ account: `of ${id}` }], eft: [], international: [], bacs: [] }),
      secretContext.accountNumbers(itemId, id),
    );
    await sql`
      INSERT INTO account_numbers (item_id, account_id, numbers_key_id, numbers_data_key, numbers_ciphertext)
      VALUES (${itemId}, ${id}, ${sealed.keyId}, ${sealed.dataKey}, ${sealed.ciphertext})`;
  }
  const { webhookId } = await stores.webhooks.store(webhook(itemId, 'DEFAULT_UPDATE'));
  checked = [itemId];
  const of = { itemId, userId, webhookId };
  const other = await application(of);
  return { ...of, otherId: other.connectionId ?? '' };
}

interface Application {
  applicationId: string;
  headers: { authorization: string };
  /** Of a key that is no operator's. */
  plain: { authorization: string };
  connectionId: string | null;
}

/** An application with a key of every scope; null = never connected. */
async function application(
  to: Omit<Fixture, 'otherId'> | null,
  grant: Partial<Grant> = {},
  then: 'active' | 'expired' | 'suspended' | 'revoked' = 'active',
): Promise<Application> {
  const { sql, stores } = database;
  const { application_id: applicationId } = await stores.applications.create(
    newId('app'),
    crypto.randomUUID(),
  );
  const withKey = async (scopes: Scope[]) => {
    const key = newKey();
    await stores.applications.addKey(applicationId, crypto.randomUUID(), hashKey(key), scopes);
    return { authorization: `Bearer ${key}` };
  };
  const headers = await withKey(['read', 'write', 'numbers', 'admin']);
  const plain = await withKey(['read', 'write']);
  if (to === null) return { applicationId, headers, plain, connectionId: null };
  const connectionId = await sql.begin((tx) =>
    grantConnection(
      tx,
      { ...to, applicationId },
      { ...wholeGrant, scopes: everyScope, ...grant },
      { initiator: 'operator', applicationId: null, keyId: null, reason: null },
    ),
  );
  // Of floats it sees its own.
  const float = { userId: to.userId, floatId: 'float-1', status: 'closed', occurredAt: null } as const;
  await stores.floats.record({ ...float, by: { applicationId, access: 'connected' } });
  await sql`
    UPDATE connections SET expires_at = CASE WHEN ${then === 'expired'} THEN now() - interval '1 second' END,
      suspended_at = CASE WHEN ${then === 'suspended'} THEN now() END,
      revoked_at = CASE WHEN ${then === 'revoked'} THEN now() END
    WHERE connection_id = ${connectionId}`;
  return { applicationId, headers, plain, connectionId };
}

const without = (scope: ConnectionScope | null): Partial<Grant> => ({
  scopes: scope === null ? [] : everyScope.filter((one) => one !== scope),
});

const classes = {
  'no connection': () => application(null),
  'missing scope': (of: Fixture, need: ConnectionScope | null) => application(of, without(need)),
  'account not granted': (of: Fixture) => application(of, { account_ids: [granted], new_accounts: false }),
  'no account granted': (of: Fixture) => application(of, { account_ids: [], new_accounts: false }),
  'beyond lookback': (of: Fixture) => application(of, { lookback_days: 30 }),
  expired: (of: Fixture) => application(of, {}, 'expired'),
  suspended: (of: Fixture) => application(of, {}, 'suspended'),
  revoked: (of: Fixture) => application(of, {}, 'revoked'),
  'everything granted': (of: Fixture) => application(of),
} satisfies Record<string, (of: Fixture, need: ConnectionScope | null) => Promise<Application>>;
type Class = keyof typeof classes;
const everyClass = Object.keys(classes) as Class[];

const refusalOf: Partial<Record<Class, string>> = {
  'missing scope': 'consent_missing',
  'no account granted': 'consent_missing',
  expired: 'consent_expired',
  suspended: 'consent_suspended',
  revoked: 'consent_revoked',
};

function ask(name: string, of: Fixture, by: Application) {
  const [method, path] = name.split(' ') as ['GET', string];
  const entry = matrix[name];
  const url = path
    .replace('{itemId}', of.itemId)
    .replace('{userId}', of.userId)
    .replace('{floatId}', 'float-1')
    .replace('{id}', entry?.kind === 'connection' ? (by.connectionId ?? of.otherId) : of.webhookId);
  const payload = entry && 'payload' in entry ? entry.payload : undefined;
  const headers = entry?.kind === 'connection' ? by.plain : by.headers;
  return app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
}

/** What the answer shows of the canaries. */
const shownIn = (body: string): Canary[] =>
  (Object.keys(canaries) as Canary[]).filter((canary) => body.includes(canaries[canary]));

async function expectAbsent(name: string, of: Fixture, by: Application): Promise<void> {
  const absent: Fixture = {
    itemId: newId('item'),
    userId: newId('user'),
    webhookId: crypto.randomUUID(),
    otherId: `con_${crypto.randomUUID()}`,
  };
  const bare = async (at: Fixture) => {
    const answer = await ask(name, at, by);
    return [answer.statusCode, { ...answer.json(), instance: null, request_id: null }];
  };
  expect(await bare(of)).toEqual(await bare(absent));
  expect((await ask(name, of, by)).statusCode).toBe(404);
}

it('names every operation', async () => {
  const operations = operationsOf(await documentOf(app)).filter(({ scope }) => scope !== null);
  expect(Object.keys(matrix).sort()).toEqual(
    operations.map(({ method, path }) => `${method} ${path}`).sort(),
  );
});

const entriesOf = <Kind extends Entry['kind']>(kind: Kind) =>
  Object.entries(matrix).filter(
    (entry): entry is [string, Extract<Entry, { kind: Kind }>] => entry[1].kind === kind,
  );

describe.each(entriesOf('item'))('%s', (name, { need, shows }) => {
  let of: Fixture;
  beforeAll(async () => {
    of = await fixture();
  });

  it.each(everyClass)('%s', async (one) => {
    const by = await classes[one](of, need);
    if (one === 'no connection') return expectAbsent(name, of, by);
    const answer = await ask(name, of, by);
    const refusal = refusalOf[one];
    if (refusal !== undefined) {
      expect([answer.statusCode, answer.json()]).toEqual([
        403,
        expect.objectContaining({
          code: refusal,
          connection_id: by.connectionId,
          ...(need === null ? {} : { scope: need }),
        }),
      ]);
      expect(answer.body).not.toContain(granted);
      return;
    }
    expect([one, answer.statusCode]).toEqual([one, 200]);
    expect(answer.body).toContain(granted);
    const hidden = { 'account not granted': 'account', 'beyond lookback': 'lookback' }[one as string];
    expect(shownIn(answer.body)).toEqual(shows.filter((canary) => canary !== hidden));
    if (need !== null) {
      await until(async () => {
        const [row] = await database.sql`
          SELECT ${database.sql(`${need}_read_at`)} AS at FROM connections WHERE connection_id = ${by.connectionId}`;
        return row?.['at'] !== null;
      }, 'the read is noted');
    }
  });
});

describe.each(entriesOf('command'))('%s', (name, { status }) => {
  let of: Fixture;
  beforeAll(async () => {
    of = await fixture();
  });

  it.each(everyClass)('%s', async (one) => {
    const by = await classes[one](of, null);
    if (one === 'no connection') return expectAbsent(name, of, by);
    const answer = await ask(name, of, by);
    // Who is suspended may have it mended.
    const refusal = one === 'suspended' ? undefined : refusalOf[one];
    if (refusal === undefined) {
      expect([one, answer.statusCode]).toEqual([one, status]);
      return;
    }
    expect([answer.statusCode, answer.json().code, answer.json().connection_id]).toEqual([
      403,
      refusal,
      by.connectionId,
    ]);
  });
});

describe.each(entriesOf('user'))('%s', (name, { need, shows, status = 200 }) => {
  let of: Fixture;
  beforeAll(async () => {
    of = await fixture();
  });

  it.each(everyClass)('%s', async (one) => {
    checked = [of.itemId];
    const by = await classes[one](of, need === 'item' ? null : need);
    if (['no connection', 'expired', 'revoked'].includes(one)) return expectAbsent(name, of, by);
    const answer = await ask(name, of, by);
    expect([one, answer.statusCode]).toEqual([one, status]);
    const isLeftOut = ['missing scope', 'no account granted', 'suspended'].includes(one);
    if (need !== null) expect(answer.body.includes(of.itemId)).toBe(!isLeftOut);
    const hidden = { 'account not granted': 'account', 'beyond lookback': 'lookback' }[one as string];
    expect(shownIn(answer.body)).toEqual(isLeftOut ? [] : shows.filter((canary) => canary !== hidden));
    if (name === 'GET /v1/users/{userId}') expect(answer.json().items).toBe(isLeftOut ? 0 : 1);
  });
});

describe.each(entriesOf('webhook'))('%s', (name, { status }) => {
  let of: Fixture;
  beforeAll(async () => {
    of = await fixture();
  });

  // A body cannot be cut to a grant: who may not read the whole Item is shown none of its webhooks.
  it.each(everyClass)('%s', async (one) => {
    const by = await classes[one](of, 'transactions');
    const answer = await ask(name, of, by);
    if (one === 'everything granted') {
      expect([answer.statusCode, answer.body.includes(of.itemId)]).toEqual([status, true]);
    } else if (name === 'GET /v1/webhooks') {
      expect([answer.statusCode, answer.body.includes(of.itemId)]).toEqual([200, false]);
    } else {
      await expectAbsent(name, of, by);
    }
  });
});

describe.each(entriesOf('connection'))('%s', (name, { ended }) => {
  let of: Fixture;
  beforeAll(async () => {
    of = await fixture();
  });

  it.each(everyClass)('%s', async (one) => {
    const by = await classes[one](of, null);
    if (one === 'no connection') return expectAbsent(name, of, by);
    const answer = await ask(name, of, by);
    if (one === 'revoked' && ended !== undefined) {
      expect([answer.statusCode, answer.json().code]).toEqual([409, ended]);
      return;
    }
    expect([one, answer.statusCode]).toEqual([one, 200]);
    const listed: string[] = answer.body.match(/con_[0-9a-f-]{36}/g) ?? [];
    // Its history does not name it.
    const named = name.endsWith('/history') ? [] : [by.connectionId];
    expect([...new Set(listed)]).toEqual(named);
    expect(answer.body).toContain(name.endsWith('/history') ? 'created' : of.itemId);
  });
});

/** An application with a key of every scope that sees every Item. */
async function seesAll(): Promise<Application> {
  const { stores } = database;
  const { application_id: applicationId } = await stores.applications.create(
    newId('app'),
    crypto.randomUUID(),
    {
      access: 'all',
    },
  );
  const key = newKey();
  await stores.applications.addKey(applicationId, crypto.randomUUID(), hashKey(key), [
    ...(['read', 'write', 'numbers', 'admin'] as const),
  ]);
  const headers = { authorization: `Bearer ${key}` };
  return { applicationId, headers, plain: headers, connectionId: null };
}

type Asked = [method: 'GET', path: string];
const askedAt = (name: string, id: string, by: Application, payload?: object) => {
  const [method, path] = name.split(' ') as Asked;
  const url = path.replace('{id}', id).replace('{userId}', id);
  return app.inject({ method, url, headers: by.headers, ...(payload === undefined ? {} : { payload }) });
};
/** Of what there is not as of what is another one's: the same words. */
async function expectUnknown(name: string, id: string, absent: string, by: Application, payload?: object) {
  const bare = async (at: string) => {
    const answer = await askedAt(name, at, by, payload);
    return [answer.statusCode, { ...answer.json(), instance: null, request_id: null }];
  };
  expect(await bare(id)).toEqual(await bare(absent));
  expect((await bare(id))[0]).toBe(404);
}

describe.each(entriesOf('own'))('%s', (name, { what, payload, status }) => {
  it('is of its own application alone: of no other that is connected with the item, nor of one that sees every item', async () => {
    const of = await fixture();
    const owner = await application(of);
    const made = (await askedAt('POST /v1/endpoints', '', owner, { url: 'https://hooks.example' })).json();
    const ping = (await askedAt('POST /v1/endpoints/{id}/ping', made.endpoint_id, owner)).json();
    const id: string = what === 'delivery' ? ping.delivery_id : made.endpoint_id;
    expect(id).toMatch(what === 'delivery' ? /^dlv_/ : /^end_/);
    const before = await database.sql`SELECT * FROM endpoints WHERE endpoint_id = ${made.endpoint_id}`;
    for (const other of [await application(of), await seesAll()]) {
      if (what === 'endpoint' || what === 'delivery') {
        await expectUnknown(name, id, `${id.slice(0, 4)}${crypto.randomUUID()}`, other, payload);
        continue;
      }
      const answer = await askedAt(name, '', other, payload);
      expect([answer.statusCode, answer.body.includes(id)]).toEqual([status, false]);
      if (what === 'new') {
        expect(answer.json().application_id).toBe(other.applicationId);
        expect((await askedAt('GET /v1/endpoints', '', owner)).body).not.toContain(answer.json().endpoint_id);
      }
    }
    expect(await database.sql`SELECT * FROM endpoints WHERE endpoint_id = ${made.endpoint_id}`).toEqual(
      before,
    );
    const answer = await askedAt(name, id, owner, payload);
    expect(answer.statusCode).toBe(status);
    if (what !== 'new' && status !== 204 && !/recover|replay/.test(name)) expect(answer.body).toContain(id);
  });
});

describe.each(entriesOf('everything'))('%s', (name, { status }) => {
  it('is for who sees every item: to who is only connected the user, or the erasure, is none', async () => {
    const of = await fixture();
    const all = await seesAll();
    const ofErasure = name.includes('/erasures/');
    const id: string = ofErasure
      ? (await askedAt('DELETE /v1/users/{userId}', (await fixture()).userId, all)).json().erasure_id
      : of.userId;
    for (const one of everyClass) {
      const by = await classes[one](of, null);
      await expectUnknown(name, id, ofErasure ? `era_${crypto.randomUUID()}` : newId('user'), by);
    }
    expect(await database.sql`SELECT FROM erasures WHERE user_id = ${of.userId}`).toHaveLength(0);
    expect((await askedAt(name, id, all)).statusCode).toBe(status);
  });
});

describe.each(entriesOf('events'))('%s', () => {
  let of: Fixture;
  beforeAll(async () => {
    of = await fixture();
  });

  it.each(everyClass)('%s', async (one) => {
    const by = await classes[one](of, 'transactions');
    const { itemId, userId } = of;
    const ids = { item_id: itemId, user_id: userId };
    const counts = { added: 7, modified: 0, removed: 0, accounts: 0, from_sequence: 1, to_sequence: 7 };
    const mark = `con_${crypto.randomUUID()}`;
    const marked = { ...ids, connection_id: mark, application_id: by.applicationId, initiator: 'operator' };
    await database.sql.begin((tx) =>
      writeEvents(tx, [
        { type: 'item.updated', itemId, userId, data: { ...ids, ...counts } },
        {
          type: 'connection.updated',
          itemId,
          userId,
          connectionId: mark,
          applicationId: by.applicationId,
          data: marked,
        },
      ]),
    );
    const told: { type: string; data: Record<string, unknown> }[] = [];
    let after = '';
    await until(async () => {
      const url = `/v1/events?limit=500${after}`;
      const { data, next } = (await app.inject({ url, headers: by.plain })).json();
      told.push(...data);
      after = `&after=${next}`;
      return told.some((event) => event.data['connection_id'] === mark);
    }, 'what was committed last is told');
    // Of connections its own alone.
    const connections = told.filter(({ type }) => type.startsWith('connection.'));
    expect(new Set(connections.map(({ data }) => data['application_id']))).toEqual(
      new Set([by.applicationId]),
    );
    const hears = !['no connection', 'no account granted', 'expired', 'suspended', 'revoked'].includes(one);
    const updated = told.filter(({ type, data }) => type === 'item.updated' && data['item_id'] === itemId);
    expect([one, updated.length]).toEqual([one, hears ? 1 : 0]);
    if (hears)
      expect([one, updated[0]?.data['added']]).toEqual([one, one === 'everything granted' ? 7 : undefined]);
  });
});

describe('DELETE /v1/items/{itemId}', () => {
  it.each(everyClass)('%s', async (one) => {
    const of = await fixture();
    const by = await classes[one](of, null);
    // To end what one has, or had, needs no more than to have been connected.
    if (one === 'no connection') return expectAbsent('DELETE /v1/items/{itemId}', of, by);
    expect((await ask('DELETE /v1/items/{itemId}', of, by)).statusCode).toBe(204);
  });
});

describe('what a connection does not grant', () => {
  const get = async (url: string, by: Application) => (await app.inject({ url, headers: by.headers })).json();

  it('balances are left out of accounts, the accounts themselves of balances, and the main account of the item', async () => {
    const of = await fixture();
    const [noBalances, onlyBalances, other] = await Promise.all([
      application(of, { scopes: ['accounts'] }),
      application(of, { scopes: ['balances'] }),
      application(of, { account_ids: [secret], new_accounts: false }),
    ]);
    for (const url of ['accounts', 'accounts?format=raw', 'accounts/live']) {
      const body = await get(`/v1/items/${of.itemId}/${url}`, noBalances);
      const listed: { balances: unknown }[] = body.data ?? body.accounts;
      expect([url, listed.map(({ balances }) => balances)]).toEqual([url, [null, null]]);
    }
    const { accounts } = await get(`/v1/items/${of.itemId}/balances/live`, onlyBalances);
    expect(accounts.map((one: object) => Object.keys(one))).toEqual([
      ['account_id', 'balances'],
      ['account_id', 'balances'],
    ]);
    expect((await get(`/v1/items/${of.itemId}`, onlyBalances)).main_account_id).toBeNull();
    expect((await get(`/v1/items/${of.itemId}`, other)).main_account_id).toBeNull();
    expect((await get(`/v1/items/${of.itemId}`, noBalances)).main_account_id).toBe(granted);
    const listed = await get(`/v1/users/${of.userId}/items?include=accounts`, onlyBalances);
    expect([listed.data[0].item_id, 'accounts' in listed.data[0]]).toEqual([of.itemId, false]);
    expect((await get(`/v1/users/${of.userId}/items?include=accounts`, other)).data[0].accounts).toEqual([
      expect.objectContaining({ id: secret }),
    ]);
  });

  it('Plaid is not asked for: neither for other accounts nor for days before the lookback', async () => {
    const of = await fixture();
    const by = await application(of, { account_ids: [granted], new_accounts: false, lookback_days: 30 });
    const live = `/v1/items/${of.itemId}/transactions/live`;
    asked.length = 0;
    await get(`${live}?from=2020-01-01`, by);
    expect(asked.pop()).toMatchObject({ from: dayBefore(30), accountIds: [granted] });
    expect(await get(`${live}?from=2020-01-01&to=2020-02-01`, by)).toMatchObject({
      transactions: [],
      total_transactions: 0,
    });
    asked.length = 0;
    for (const id of [secret, 'acc-unknown']) {
      expect(await get(`${live}?account_id=${id}`, by)).toMatchObject({ code: 'consent_missing' });
    }
    expect(asked).toEqual([]);
  });

  it('a revocation that comes while Plaid is asked keeps its answer back', async () => {
    const of = await fixture();
    const by = await application(of);
    const { live } = world.deps;
    const slow = buildApp({
      ...world.deps,
      metrics: promMetrics(new Registry()),
      secrets,
      applications: database.stores.applications,
      reads: database.stores.reads,
      live: {
        ...live,
        async accounts() {
          await database.sql`UPDATE connections SET revoked_at = now() WHERE connection_id = ${by.connectionId}`;
          return { accounts: plaidAccounts, request_id: 'r' };
        },
      },
    });
    const answer = await slow.inject({ url: `/v1/items/${of.itemId}/accounts/live`, headers: by.headers });
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'consent_revoked']);
    await slow.close();
  });

  it.each([
    [
      'revocation',
      403,
      (id: string) => database.sql`UPDATE connections SET revoked_at = now() WHERE connection_id = ${id}`,
    ],
    [
      'narrowing',
      200,
      (id: string) =>
        database.sql`UPDATE connections SET granted_accounts = ARRAY[${granted}] WHERE connection_id = ${id}`,
    ],
  ])(
    'a %s that comes while the keys of numbers are asked for keeps them back',
    async (_what, status, end) => {
      const of = await fixture();
      const by = await application(of);
      const { applications, numbers, reads } = database.stores;
      const slow = buildApp({
        ...world.deps,
        metrics: promMetrics(new Registry()),
        secrets: {
          ...secrets,
          async open(sealed, context) {
            await end(by.connectionId ?? '');
            return secrets.open(sealed, context);
          },
        },
        applications,
        numbers,
        reads,
      });
      const answer = await slow.inject({ url: `/v1/items/${of.itemId}/numbers`, headers: by.headers });
      const body = answer.json();
      expect([answer.statusCode, answer.body.includes(`of ${secret}`)]).toEqual([status, false]);
      if (status === 403) expect(body.code).toBe('consent_revoked');
      else expect(body.numbers.map((one: { account_id: string }) => one.account_id)).toEqual([granted]);
      await slow.close();
    },
  );

  it('floats of another application, also one of the same id, are none', async () => {
    const of = await fixture();
    const [one, two] = [await application(of), await application(of)];
    const url = `/v1/users/${of.userId}/floats/float-7`;
    const say = async (by: Application, status: string) =>
      (await app.inject({ method: 'PUT', url, headers: by.headers, payload: { status } })).json().status;
    const seen = async (by: Application) => (await get(url, by)).status;
    // One that the operator's stream has told of.
    await database.stores.floats.record({
      ...of,
      floatId: 'float-7',
      status: 'closed',
      occurredAt: null,
      by: null,
    });
    expect([await seen(one), await say(one, 'active')]).toEqual([404, 'active']);
    expect([await seen(one), await seen(two)]).toEqual(['active', 404]);
    expect([await say(two, 'closed'), await seen(one), await seen(two)]).toEqual([
      'closed',
      'active',
      'closed',
    ]);
    const all = { applicationId: 'default', access: 'all' } as const;
    expect(await database.stores.floats.get(all, of.userId, 'float-7')).toMatchObject({ status: 'closed' });
    // An item goes while nobody's float needs it.
    expect(
      (
        await app.inject({
          method: 'DELETE',
          url: `/v1/items/${of.itemId}?force=false`,
          headers: two.headers,
        })
      ).statusCode,
    ).toBe(204);
    expect(await database.stores.itemCommands.requestRemoval(of.itemId, { force: false })).toBe(
      'active_float',
    );
  });

  it('how much is being read of the item is told to who may see all of it', async () => {
    const of = await fixture();
    const live = { phase: 'updating', history: 'initial', remine: null, next_due_at: null } as const;
    const rest = { last_update_at: null, last_failure: null, waiting_for_publish: false };
    world.behave.status = async () => ({ ...live, ...rest, progress: { pages: 3, rows: 1500, restarts: 1 } });
    const whole = { pages: 3, rows: 1500, restarts: 1 };
    for (const one of everyClass) {
      const by = await classes[one](of, 'balances');
      const { progress, phase } = await get(`/v1/items/${of.itemId}/sync`, by);
      if (['no connection', 'no account granted', 'expired', 'revoked'].includes(one)) {
        expect([one, progress, phase]).toEqual([one, undefined, undefined]);
        continue;
      }
      const shows = ['missing scope', 'everything granted'].includes(one);
      expect([one, progress, phase]).toEqual([
        one,
        shows ? whole : { pages: null, rows: null, restarts: 1 },
        'updating',
      ]);
    }
    expect(
      (await get(`/v1/items/${of.itemId}/sync`, await application(of, without('transactions')))).progress,
    ).toEqual({
      ...whole,
      pages: null,
      rows: null,
    });
    world.behave.status = async () => null;
  });

  it('a row without an account is shown under a grant of all accounts alone', async () => {
    const of = await fixture();
    await database.sql`
      INSERT INTO transactions (item_id, transaction_id, account_id, status, date, refined, version)
      VALUES (${of.itemId}, 't-nobody', NULL, 'removed', '-infinity', '{"id":"t-nobody"}', 1)`;
    const list = async (by: Application) =>
      JSON.stringify(await get(`/v1/items/${of.itemId}/transactions?status=removed`, by));
    expect(await list(await application(of))).toContain('t-nobody');
    const [some, late] = [
      await application(of, { account_ids: [granted, secret], new_accounts: true }),
      await application(of, { lookback_days: 100_000 }),
    ];
    expect(await list(some)).not.toContain('t-nobody');
    expect(await list(late)).not.toContain('t-nobody');
  });

  it('a main account is none: neither chosen nor told apart from one that is not there', async () => {
    const of = await fixture();
    const by = await application(of, { account_ids: [granted], new_accounts: false });
    for (const main_account_id of [secret, 'acc-unknown']) {
      const answer = await app.inject({
        method: 'PATCH',
        url: `/v1/items/${of.itemId}`,
        headers: by.headers,
        payload: { main_account_id },
      });
      expect([answer.statusCode, answer.json().code]).toEqual([422, 'unknown_account']);
    }
  });

  it('an item is in no update mode, unless it is named by who was connected: then the connection says why', async () => {
    const of = await fixture();
    const token = async (by: Application, payload: object) => {
      const answer = await app.inject({
        method: 'POST',
        url: `/v1/users/${of.userId}/link-token`,
        headers: by.headers,
        payload,
      });
      const { mode, code, item_id } = answer.json();
      return [answer.statusCode, mode ?? code, item_id];
    };
    for (const one of everyClass) {
      const by = await classes[one](of, null);
      const may = ['account not granted', 'beyond lookback', 'suspended', 'everything granted'].includes(one);
      expect([one, await token(by, {})]).toEqual([
        one,
        may ? [200, 'update', of.itemId] : [200, 'create', undefined],
      ]);
      const named = may
        ? [200, 'update', of.itemId]
        : one === 'no connection'
          ? [404, 'not_found', undefined]
          : [403, refusalOf[one], undefined];
      expect([one, await token(by, { item_id: of.itemId })]).toEqual([one, named]);
    }
  });
});

describe('a suspended connection', () => {
  it('is resumed by update mode that was begun for it since, not by the word of its application', async () => {
    const of = await fixture();
    const [by, other] = [await application(of), await application(of)];
    const post = async (path: string, { headers }: Application, payload?: object) =>
      (await app.inject({ method: 'POST', url: `/v1/${path}`, headers, ...(payload ? { payload } : {}) }))
        .statusCode;
    const updateMode = (one: Application) =>
      post(`users/${of.userId}/link-token`, one, { mode: 'update', item_id: of.itemId });
    const relinked = async (one: Application) => [
      await post(`items/${of.itemId}/relinked`, one),
      (await app.inject({ url: `/v1/items/${of.itemId}/accounts`, headers: one.headers })).statusCode,
    ];
    expect(await updateMode(by)).toBe(200);
    await database.sql`UPDATE connections SET suspended_at = clock_timestamp() WHERE item_id = ${of.itemId}`;
    // Of another one's user, of the time before, of a new Item: nobody has been at the bank for this one.
    expect(await updateMode(other)).toBe(200);
    expect(await post(`users/${of.userId}/link-token`, by, { mode: 'create' })).toBe(200);
    expect(await relinked(by)).toEqual([200, 403]);
    expect(await updateMode(by)).toBe(200);
    expect(await relinked(by)).toEqual([200, 200]);
  });
});

describe('a revocation that is under way', () => {
  it.each([
    ['numbers', 'GET /v1/items/{itemId}/numbers'],
    ['a new main account', 'PATCH /v1/items/{itemId}'],
    ['a remine', 'POST /v1/items/{itemId}/remine'],
    ['relinked', 'POST /v1/items/{itemId}/relinked'],
  ])('%s: wait for it, and are refused', async (_what, name) => {
    const of = await fixture();
    const by = await application(of);
    const before = await database.sql`SELECT * FROM items WHERE item_id = ${of.itemId}`;
    let answer: ReturnType<typeof ask> | undefined;
    await database.sql.begin(async (tx) => {
      await tx`SELECT FROM items WHERE item_id = ${of.itemId} FOR NO KEY UPDATE`;
      answer = ask(name, of, by);
      // A request runs as soon as somebody waits for it.
      void answer.then(() => undefined);
      await lockWaiters(database, 1);
      await tx`UPDATE connections SET revoked_at = now() WHERE connection_id = ${by.connectionId}`;
    });
    const refused = await answer;
    expect([refused?.statusCode, refused?.json().code]).toEqual([403, 'consent_revoked']);
    expect(await database.sql`SELECT * FROM items WHERE item_id = ${of.itemId}`).toEqual(before);
    expect(await database.sql`SELECT FROM number_reads WHERE item_id = ${of.itemId}`).toHaveLength(0);
  });
});

describe('connections of one application with one item', () => {
  it('the one that is not revoked decides, else the latest', async () => {
    const of = await fixture();
    const first = await application(of, {}, 'revoked');
    const url = `/v1/items/${of.itemId}/accounts`;
    const get = async () => (await app.inject({ url, headers: first.headers })).json();
    expect(await get()).toMatchObject({ code: 'consent_revoked', connection_id: first.connectionId });
    await database.sql`
      INSERT INTO connections (connection_id, application_id, item_id, user_id, scopes, new_accounts, created_at)
      SELECT 'con_again', application_id, item_id, user_id, scopes, new_accounts, created_at - interval '1 day'
      FROM connections WHERE connection_id = ${first.connectionId}`;
    expect((await get()).data).toHaveLength(2);
    await database.sql`UPDATE connections SET revoked_at = now() WHERE connection_id = 'con_again'`;
    expect(await get()).toMatchObject({ connection_id: first.connectionId });
  });

  it('a read is noted once a minute, and a locked row holds no answer up', async () => {
    const of = await fixture();
    const by = await application(of);
    const read = () => app.inject({ url: `/v1/items/${of.itemId}/transactions`, headers: by.headers });
    const noted = async () =>
      (
        await database.sql<{ at: string | null }[]>`
        SELECT transactions_read_at::text AS at FROM connections WHERE connection_id = ${by.connectionId}`
      )[0]?.at ?? null;
    await database.sql.begin(async (tx) => {
      await tx`SELECT FROM connections WHERE connection_id = ${by.connectionId} FOR UPDATE`;
      expect((await read()).statusCode).toBe(200);
    });
    await until(async () => (await read(), (await noted()) !== null), 'the read is noted');
    const first = await noted();
    await read();
    await database.sql`
      UPDATE connections SET transactions_read_at = transactions_read_at - interval '61 seconds'
      WHERE connection_id = ${by.connectionId}`;
    const aged = await noted();
    await until(async () => (await read(), (await noted()) !== aged), 'a read after a minute is noted');
    expect(first).not.toBe(await noted());
  });
});
