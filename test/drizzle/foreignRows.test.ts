import { randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { hashKey, newKey } from '../../api/auth.js';
import { writeCursor } from '../../api/lists.js';
import { promMetrics } from '../../api/promMetrics.js';
import { secretContext } from '../../domain/ids.js';
import type { Scope } from '../../domain/ports/applications.js';
import { createKeyring } from '../../src/clients/keyring.js';
import { createSecretBox } from '../../src/clients/secrets.js';
import type { DescribedOperation } from '../api/openapiDocument.js';
import { documentOf, operationsOf } from '../api/openapiDocument.js';
import { createWorld } from '../api/world.js';
import { connect } from './granting.js';
import type { World } from './world.js';
import { account, linkedItem, newId, openWorld, runUpdate, transaction, webhook } from './world.js';

/**
 * Every operation of OpenAPI before the real stores, with the rows of somebody else beside: values that would be SQL stand in each
 * of its strings, and the ids of those rows in each of its paths. Nothing of them is shown, touched, or told apart from nothing.
 */
let world: World;
let app: ReturnType<typeof buildApp>;
let operations: DescribedOperation[];
let document: any;
let foreign: Party;
const secrets = createSecretBox(createKeyring([{ id: 'k1', key: randomBytes(32) }]));

interface Party {
  /** Stands in every id and name of the party's rows. */
  name: string;
  applicationId: string;
  /** Of the key that operations for clients are asked with, and of one for those that are an operator's. */
  plain: { authorization: string };
  admin: { authorization: string };
  keyId: string;
  itemId: string;
  userId: string;
  connectionId: string;
  endpointId: string;
  deliveryId: string;
  webhookId: string;
  erasureId: string;
}

/** An application that is connected with one Item of its own, and has a row of every kind. */
async function party(name: string): Promise<Party> {
  const { sql, stores } = world;
  const id = (what: string): string => newId(`${what}-${name}`);
  const item = await linkedItem(world, {
    userId: id('user'),
    itemId: id('item'),
    institutionId: id('ins'),
    mainAccountId: id('acc'),
  });
  const [row] = await sql<{ main: string }[]>`
    SELECT main_account_id AS main FROM items WHERE item_id = ${item.itemId}`;
  const mainAccount = row?.main as string;
  const token = await secrets.seal('access', secretContext.accessToken(item.itemId));
  await sql`
    UPDATE items SET access_token_key_id = ${token.keyId}, access_token_data_key = ${token.dataKey},
      access_token_ciphertext = ${token.ciphertext}, history = 'complete' WHERE item_id = ${item.itemId}`;
  await runUpdate(
    world,
    item,
    [{ added: [1, 2].map(() => transaction(id('tra'), { account_id: mainAccount, name: id('shop') })) }],
    { accounts: [account(mainAccount), account(id('acc'))] },
  );
  await sql`
    INSERT INTO balance_snapshots (item_id, account_id, day, current, as_of)
    VALUES (${item.itemId}, ${mainAccount}, current_date, 1, now())`;
  const applicationId = id('app');
  await sql`INSERT INTO applications (application_id, name, access) VALUES (${applicationId}, ${id('app')}, 'connected')`;
  const keyOf = async (scopes: Scope[]) => {
    const key = newKey();
    const added = await stores.applications.addKey(applicationId, crypto.randomUUID(), hashKey(key), scopes);
    return { keyId: added?.key_id as string, headers: { authorization: `Bearer ${key}` } };
  };
  const { keyId, headers: plain } = await keyOf(['read', 'write', 'numbers']);
  const { headers: admin } = await keyOf(['admin']);
  const connectionId = await connect(world, item, { applicationId, access: 'connected' });
  const endpointId = id('end');
  await stores.endpoints.create({
    endpointId,
    applicationId,
    url: `https://${name}.example/${endpointId}`,
    types: [],
    signature: 'hmac',
    ratePerSecond: null,
    consent: false,
    secret: {
      sealed: await secrets.seal('secret', secretContext.endpointSecret(endpointId)),
      publicKey: null,
    },
  });
  const pinged = await app.inject({
    method: 'POST',
    url: `/v1/endpoints/${endpointId}/ping`,
    headers: plain,
  });
  const { webhookId } = await stores.webhooks.store(webhook(item.itemId, 'DEFAULT_UPDATE'));
  const erased = id('erased');
  await stores.reads.ensureUser(erased);
  const erasureId = `era_${name}`;
  await stores.erasures.request(erased, { erasureId, force: false, applicationId, keyId });
  await stores.floats.record({
    ...item,
    floatId: `float-${name}`,
    status: 'closed',
    occurredAt: null,
    by: null,
  });
  return {
    ...item,
    name,
    applicationId,
    plain,
    admin,
    keyId,
    connectionId,
    endpointId,
    deliveryId: pinged.json().delivery_id as string,
    webhookId,
    erasureId,
  };
}

beforeAll(async () => {
  world = await openWorld();
  const { deps } = createWorld();
  const { stores } = world;
  app = buildApp({
    ...deps,
    ...stores,
    commands: stores.itemCommands,
    secrets,
    metrics: promMetrics(new Registry()),
    limits: { ...deps.limits, eventPollMs: 20 },
  });
  document = await documentOf(app);
  operations = operationsOf(document).filter(({ path }) => path.startsWith('/v1/'));
  foreign = await party('stranger');
});
afterAll(async () => {
  await app.close();
  await world.close();
});

/** The id that a path asks for, among a party's. */
function idIn({ path }: Pick<DescribedOperation, 'path'>, of: Party): (name: string) => string {
  const kind = /^\/v1\/([a-z]+)/.exec(path)?.[1] ?? '';
  const ids: Record<string, string> = {
    applications: of.applicationId,
    connections: of.connectionId,
    deliveries: of.deliveryId,
    endpoints: of.endpointId,
    erasures: of.erasureId,
    keys: of.keyId,
    webhooks: of.webhookId,
  };
  const named: Record<string, string> = {
    userId: of.userId,
    itemId: of.itemId,
    institutionId: 'ins_1',
    floatId: `float-${of.name}`,
  };
  return (name) => named[name] ?? ids[kind] ?? '';
}

const fill = (path: string, value: (name: string) => string): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(value(name)));

/** The rows that name the stranger, of every table. */
async function foreignRows(): Promise<Record<string, string[]>> {
  const tables = await world.sql<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`;
  const rows: Record<string, string[]> = {};
  for (const { name } of tables) {
    const found = await world.sql.unsafe<{ row: string }[]>(
      `SELECT t::text AS row FROM "${name}" t WHERE t::text LIKE '%-stranger-%' ORDER BY 1`,
    );
    rows[name] = found.map(({ row }) => row);
  }
  return rows;
}

/** Each would end a text in one way, and do harm or show more in another. */
const injections = [
  "' OR 1=1 OR '%'='",
  "'; DELETE FROM connections; --",
  "'||(SELECT item_id FROM items LIMIT 1)||'",
  '%stranger%',
  '$1"; {a,b} $$',
];

type Schema = Record<string, any>;
type Place = (string | number)[];

/** Every place of a body at which a string may stand. */
function stringPlaces(schema: Schema, at: Place = []): Place[] {
  if (typeof schema['$ref'] === 'string') {
    const name = schema['$ref'].split('/').at(-1) as string;
    return stringPlaces(document.components.schemas[name], at);
  }
  const parts = [...(schema['anyOf'] ?? []), ...(schema['oneOf'] ?? [])] as Schema[];
  const own = schema['type'] === 'string' && schema['enum'] === undefined ? [at] : [];
  const properties = Object.entries<Schema>(schema['properties'] ?? {});
  return [
    ...own,
    ...parts.flatMap((part) => stringPlaces(part, at)),
    ...properties.flatMap(([name, property]) => stringPlaces(property, [...at, name])),
    ...(schema['items'] === undefined ? [] : stringPlaces(schema['items'], [...at, 0])),
  ];
}

/** `base` with `value` at the place; what is missing on the way is made. */
function put(base: unknown, [step, ...rest]: Place, value: string): unknown {
  if (step === undefined) return value;
  if (typeof step === 'number') return [put(Array.isArray(base) ? base[0] : undefined, rest, value)];
  const known = (base ?? {}) as Record<string, unknown>;
  return { ...known, [step]: put(known[step], rest, value) };
}

interface Sent {
  url: string;
  payload?: unknown;
  headers?: Record<string, string>;
}

/** The operation as `by` may ask for it, with the value in one string after the other. */
function* withValue(operation: DescribedOperation, by: Party, value: string): Generator<Sent> {
  const { path, definition } = operation;
  const own = idIn(operation, by);
  const url = fill(path, own);
  const isText = (schema: Schema): boolean => schema['type'] === 'string' && schema['enum'] === undefined;
  const content = definition.requestBody?.content?.['application/json'];
  const example = content?.example ?? content?.examples?.example1?.value;
  const body = content === undefined ? {} : { payload: example };
  for (const { in: where, name, schema } of definition.parameters ?? []) {
    if (where === 'path') {
      yield { ...body, url: fill(path, (asked) => (asked === name ? value : own(asked))) };
    } else if (where === 'query') {
      if (isText(schema)) yield { ...body, url: `${url}?${name}=${encodeURIComponent(value)}` };
    } else {
      yield { ...body, url, headers: { [name]: value } };
    }
  }
  if (content === undefined) return;
  for (const place of stringPlaces(content.schema)) yield { url, payload: put(example, place, value) };
}

/** With `admin` goes the sight of every connection: only what is an operator's alone is asked with it. */
const keyFor = ({ scopes }: DescribedOperation, by: Party): { authorization: string } =>
  scopes.every((scope) => scope === 'admin') ? by.admin : by.plain;

async function ask(operation: DescribedOperation, by: Party, { url, payload, headers }: Sent) {
  return app.inject({
    method: operation.method,
    url,
    headers: { ...keyFor(operation, by), ...headers },
    ...(payload === undefined ? {} : { payload: payload as object }),
  });
}

it('SQL in any string of any operation is a value: no fault of ours, no row of others, none of them changed', async () => {
  const before = await foreignRows();
  expect(Object.values(before).filter((rows) => rows.length > 0).length).toBeGreaterThan(12);
  let sent = 0;
  let taken = 0;
  const usual = await party('usual');
  for (const [index, operation] of operations.entries()) {
    const { method, path } = operation;
    // What ends, or grants, something of the asker's is asked by somebody who asks nothing else.
    const hasEffect = ['DELETE', 'PATCH'].includes(method) || path.endsWith('/revoke');
    const by = hasEffect ? await party(`owner${index}`) : usual;
    for (const injection of injections) {
      for (const request of withValue(operation, by, injection)) {
        const answer = await ask(operation, by, request);
        const what = `${operation.method} ${JSON.stringify(request)}`;
        sent += 1;
        if (answer.statusCode < 300) taken += 1;
        expect([what, answer.statusCode < 500]).toEqual([what, true]);
        expect([what, answer.body.includes('-stranger-')]).toEqual([what, false]);
      }
    }
  }
  expect(await foreignRows()).toEqual(before);
  // The control: they were sent to every operation, and many are values like others.
  expect(sent).toBeGreaterThan(700);
  expect(taken).toBeGreaterThan(60);
});

it('nor in the places that a cursor names, whose seal everybody can make', async () => {
  const by = await party('pager');
  const { itemId, userId, applicationId, connectionId, endpointId } = by;
  const every = ['active', 'expired', 'revoked', 'suspended'];
  const lists: [url: string, list: string, filters: Record<string, unknown>, key?: 'admin'][] = [
    [`/v1/items/${itemId}/accounts?`, 'accounts', { itemId, format: 'refined' }],
    [`/v1/users/${userId}/accounts?`, 'accounts', { userId, include_removed: false, format: 'refined' }],
    [`/v1/users/${userId}/connections?`, 'connections', { userId, statuses: every }],
    [`/v1/connections/${connectionId}/history?`, 'connection-history', { id: connectionId }],
    [`/v1/endpoints?`, 'endpoints', { application: applicationId }],
    [`/v1/endpoints/${endpointId}/deliveries?`, 'deliveries', { endpoint: endpointId }],
    [`/v1/institutions?`, 'institutions', {}],
    [`/v1/webhooks?`, 'webhooks', {}, 'admin'],
    [`/v1/applications/${applicationId}/keys?`, 'keys', { id: applicationId }, 'admin'],
  ];
  const codes = new Map<string, Set<string>>();
  for (const [url, list, filters, which = 'plain'] of lists) {
    for (const injection of injections) {
      for (const key of [[injection], [injection, injection], [injection, injection, injection]]) {
        const cursor = writeCursor({ list, filters }, key);
        const answer = await app.inject({ url: `${url}cursor=${cursor}`, headers: by[which] });
        expect([url, key, answer.statusCode < 500]).toEqual([url, key, true]);
        expect([url, key, answer.body.includes('-stranger-')]).toEqual([url, key, false]);
        codes.set(url, (codes.get(url) ?? new Set()).add(answer.json().code ?? '200'));
      }
    }
  }
  // The seal was right: the store was asked, and either read on or refused the value.
  for (const [url, found] of codes) expect([url, [...found]]).not.toEqual([url, ['invalid_cursor']]);
});

it("nor in the user's page: its path, its connections, what is ticked there", async () => {
  const by = await party('visitor');
  const key = newKey();
  await world.stores.applications.addKey(by.applicationId, crypto.randomUUID(), hashKey(key), ['consent']);
  const opened = await app.inject({
    method: 'POST',
    url: `/v1/users/${by.userId}/portal-sessions`,
    headers: { authorization: `Bearer ${key}` },
  });
  const page = new URL(opened.json().url, 'http://x').pathname;
  expect((await app.inject(page)).body).toContain('-visitor-');
  const before = await foreignRows();
  for (const injection of [...injections, foreign.connectionId]) {
    const text = encodeURIComponent(injection);
    const asked: [method: 'GET' | 'POST', url: string, payload?: string][] = [
      ['GET', `/portal/${text}`],
      ['GET', `${page}?done=${text}`],
      ['GET', `${page}/connections/${text}/revoke`],
      ['POST', `${page}/connections/${text}/accounts`, `account=${text}`],
      ['POST', `${page}/connections/${text}/renew`],
      ['POST', `${page}/connections/${text}/revoke`],
      ['POST', `${page}/connections/${by.connectionId}/accounts`, `account=${text}&later=${text}`],
    ];
    for (const [method, url, payload = ''] of asked) {
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      const answer = await app.inject(method === 'GET' ? { url } : { method, url, headers: form, payload });
      expect([method, url, answer.statusCode < 500]).toEqual([method, url, true]);
      expect([method, url, answer.body.includes('-stranger-')]).toEqual([method, url, false]);
    }
  }
  expect(await foreignRows()).toEqual(before);
});

describe('of every operation that names something', () => {
  const bare = (answer: Awaited<ReturnType<typeof ask>>, ids: string[]): unknown => {
    const { date, 'content-length': length, ...headers } = answer.headers;
    void [date, length];
    const body = ids.reduce((text, id) => text.replaceAll(id, '<id>'), answer.body);
    return { status: answer.statusCode, headers, body };
  };

  it("somebody else's id is answered as one that nothing has, to the byte", async () => {
    const by = await party('asker');
    const absent: Party = {
      ...by,
      name: 'nobody',
      applicationId: newId('app-nobody'),
      itemId: newId('item-nobody'),
      userId: newId('user-nobody'),
      connectionId: `con_${crypto.randomUUID()}`,
      endpointId: newId('end-nobody'),
      deliveryId: foreign.deliveryId.replace(/[0-9a-f]{8}-/, '00000000-'),
      webhookId: crypto.randomUUID(),
      erasureId: 'era_nobody',
      keyId: crypto.randomUUID(),
    };
    const before = await foreignRows();
    const compared: string[] = [];
    for (const operation of operations) {
      const { path, definition, method } = operation;
      const name = `${method} ${path}`;
      // Applications and their keys are an operator's, whoever asks with the scope; institutions are nobody's.
      if (!path.includes('{') || /^\/v1\/(applications|keys|institutions)\//.test(path)) continue;
      // To link is how an application meets a user.
      if (/\/link-token$|users\/\{userId\}\/items$/.test(path) && method === 'POST') continue;
      const content = definition.requestBody?.content?.['application/json'];
      const payload = content?.example ?? content?.examples?.example1?.value;
      const headers = { 'x-request-id': 'r' };
      const [ofOther, ofNobody] = await Promise.all(
        [foreign, absent].map((of) =>
          ask(operation, by, { url: fill(path, idIn(operation, of)), payload, headers }),
        ),
      );
      const ids = [foreign, absent].flatMap(({ name: of, ...named }) => [
        ...Object.values(named).filter((id) => typeof id === 'string'),
        `float-${of}`,
      ]);
      expect([name, bare(ofOther!, ids)]).toEqual([name, bare(ofNobody!, ids)]);
      // What asks for the sight of every connection refuses this key before it looks.
      const expected = operation.scopes.every((scope) => scope === 'consent') ? 403 : 404;
      expect([name, ofOther!.statusCode]).toEqual([name, expected]);
      compared.push(name);
    }
    expect(await foreignRows()).toEqual(before);
    expect(compared.length).toBeGreaterThan(35);
  });

  it('a key that was revoked opens nothing, as one that never was', async () => {
    const by = await party('leaver');
    const unknown = { authorization: `Bearer ${newKey()}` };
    await world.stores.applications.revokeKey(by.keyId);
    for (const { method, path } of operations) {
      const url = fill(path, idIn({ path }, by));
      const [revoked, never] = await Promise.all(
        [by.plain, unknown].map((key) =>
          app.inject({ method, url, headers: { ...key, 'x-request-id': 'r' } }),
        ),
      );
      expect([url, revoked!.statusCode, bare(revoked!, [])]).toEqual([url, 401, bare(never!, [])]);
    }
  });
});
