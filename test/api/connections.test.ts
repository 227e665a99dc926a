import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import { buildApp } from '../../api/app.js';
import { hashKey } from '../../api/auth.js';
import { promMetrics } from '../../api/promMetrics.js';
import type { Scope } from '../../domain/ports/applications.js';
import { connect } from '../drizzle/granting.js';
import type { TestItem, World } from '../drizzle/world.js';
import { account, linkedItem, newId, openWorld, runUpdate } from '../drizzle/world.js';
import { createWorld } from './world.js';

/** The routes of connections on the real stores. */
let world: World;
let app: ReturnType<typeof buildApp>;
const signals: string[] = [];
let temporal: 'up' | 'down' = 'up';
beforeAll(async () => {
  world = await openWorld();
  const { deps } = createWorld();
  const { connections, applications, idempotency } = world.stores;
  const gateway = {
    ...deps.gateway,
    signalItem: async (itemId: string, _userId: string, { kind }: { kind: string }) => {
      if (temporal === 'down') throw new Error('down');
      signals.push(`${kind} ${itemId}`);
    },
  };
  app = buildApp({
    ...deps,
    connections,
    applications,
    idempotency,
    gateway,
    metrics: promMetrics(new Registry()),
  });
});
afterAll(async () => {
  await app.close();
  await world.close();
});

const later = '2999-01-01T00:00:00.000Z';

/** An application, and the header of a key of it. */
async function client(
  scopes: Scope[],
  access: 'all' | 'connected' = 'connected',
): Promise<{ id: string; headers: { authorization: string } }> {
  const id = newId('app');
  await world.sql`INSERT INTO applications (application_id, name, access) VALUES (${id}, 'Budget', ${access})`;
  const key = randomUUID();
  await world.stores.applications.addKey(id, randomUUID(), hashKey(key), scopes);
  return { id, headers: { authorization: `Bearer ${key}` } };
}
type Client = Awaited<ReturnType<typeof client>>;

async function ask(
  method: 'GET' | 'POST' | 'PATCH',
  url: string,
  { headers }: Client,
  payload?: object,
  more: Record<string, string> = {},
): Promise<{ status: number; body: any }> {
  const answer = await app.inject({
    method,
    url: `/v1${url}`,
    headers: { ...headers, ...more },
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answer.statusCode, body: answer.json() };
}

async function item(): Promise<TestItem> {
  const linked = await linkedItem(world, { institutionId: newId('ins') });
  await runUpdate(world, linked, [{}], { accounts: [account('acc-1'), account('acc-2')] });
  return linked;
}

const wanted = { scopes: ['accounts', 'transactions'], account_ids: ['acc-1'], expires_at: later };

let dashboard: Client;
beforeAll(async () => {
  dashboard = await client(['consent']);
});

async function connected(
  changes: object = {},
): Promise<{ item: TestItem; app: Client; url: string; id: string }> {
  const [to, application] = [await item(), await client(['read', 'write'])];
  const body = { application_id: application.id, ...wanted, ...changes };
  const made = await ask('POST', `/items/${to.itemId}/connections`, dashboard, body);
  expect(made.status).toBe(201);
  const id = made.body.connection_id as string;
  return { item: to, app: application, id, url: `/connections/${id}` };
}

it('a grant is made by the dashboard, once per Idempotency-Key, and wakes the item', async () => {
  const [to, application] = [await item(), await client(['read'])];
  const url = `/items/${to.itemId}/connections`;
  const body = { application_id: application.id, ...wanted };
  const key = { 'idempotency-key': randomUUID() };
  const made = await ask('POST', url, dashboard, body, key);
  expect(made).toMatchObject({
    status: 201,
    body: {
      item_id: to.itemId,
      user_id: to.userId,
      status: 'active',
      application: { application_id: application.id },
      ...wanted,
      new_accounts: false,
      lookback_days: null,
    },
  });
  expect(await ask('POST', url, dashboard, body, key)).toEqual(made);
  expect(signals).toContain(`foundDue ${to.itemId}`);
  const { connection_id } = made.body;
  const second = await ask('POST', url, dashboard, body);
  expect(second).toMatchObject({ status: 409, body: { code: 'connection_exists', connection_id } });
  expect((await ask('GET', `/connections/${connection_id}`, application)).body).toEqual(made.body);
  // Temporal is not needed: the sweep finds what it was not told.
  temporal = 'down';
  expect(await ask('POST', `/connections/${connection_id}/revoke`, dashboard)).toMatchObject({ status: 200 });
  temporal = 'up';
});

it('a grant that cannot be is refused by name', async () => {
  const [to, application] = [await item(), await client(['read'])];
  const good = { application_id: application.id, ...wanted };
  const evidence = { disclosure_id: 'd-1', sha256: 'a'.repeat(64), at: '2026-11-21T07:00:00Z' };
  const bad: [object, string][] = [
    [{ application_id: 'nobody' }, '/application_id'],
    [{ application_id: 'a b' }, '/application_id'],
    [{ application_id: undefined }, '/application_id'],
    [{ scopes: ['everything'] }, '/scopes/0'],
    [{ scopes: ['accounts', 'accounts'] }, '/scopes'],
    [{ scopes: undefined }, '/scopes'],
    [{ account_ids: undefined }, '/account_ids'],
    [{ account_ids: ['acc-1', 'acc-9'] }, '/account_ids/1'],
    [{ account_ids: ['acc\u0000'] }, '/account_ids/0'],
    [{ account_ids: ['a'.repeat(257)] }, '/account_ids/0'],
    [{ account_ids: Array.from({ length: 501 }, (_, n) => `acc-${n}`) }, '/account_ids'],
    [{ lookback_days: 0 }, '/lookback_days'],
    [{ lookback_days: -1 }, '/lookback_days'],
    [{ lookback_days: 1.5 }, '/lookback_days'],
    [{ lookback_days: 1e9 }, '/lookback_days'],
    [{ expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
    [{ expires_at: 'tomorrow' }, '/expires_at'],
    [{ expires_at: '2999-01-01' }, '/expires_at'],
    [{ expires_at: '9999-12-31T23:59:59-05:00' }, '/expires_at'],
    [{ purpose: 'a\u0000b' }, '/purpose'],
    [{ evidence: { ...evidence, sha256: 'A'.repeat(64) } }, '/evidence/sha256'],
    [{ evidence: { ...evidence, sha256: 'a'.repeat(63) } }, '/evidence/sha256'],
    [{ evidence: { ...evidence, more: 1 } }, '/evidence/more'],
    [{ initiator: 'user' }, '/initiator'],
  ];
  const url = `/items/${to.itemId}/connections`;
  for (const [changes, pointer] of bad) {
    const { status, body } = await ask('POST', url, dashboard, { ...good, ...changes });
    expect([pointer, status, body.code]).toEqual([pointer, 400, 'invalid_request']);
    expect([...new Set(body.errors.map((error: { pointer: string }) => error.pointer))]).toEqual([pointer]);
  }
  expect(await ask('POST', '/items/nothing/connections', dashboard, good)).toMatchObject({ status: 404 });
  const own = await client(['read', 'write'], 'all');
  expect(await ask('POST', url, own, good)).toMatchObject({
    status: 403,
    body: { code: 'insufficient_scope' },
  });
  const list = await ask('GET', url, dashboard);
  expect(list).toMatchObject({ status: 200, body: { data: [], has_more: false } });
  // Nothing may be granted, and is: it is only no right.
  const nothing = { ...good, scopes: [], account_ids: [] };
  expect(await ask('POST', url, dashboard, nothing)).toMatchObject({
    status: 201,
    body: { scopes: [], account_ids: [] },
  });
});

it('a connection of another application is none, to see, to change and to end', async () => {
  const { item: to, url, app: own } = await connected();
  const stranger = await client(['read', 'write']);
  const before = await ask('GET', url, own);
  const absent = await ask('GET', `/connections/con_${randomUUID()}`, stranger, undefined, {
    'x-request-id': 'r',
  });
  const foreign = await ask('GET', url, stranger, undefined, { 'x-request-id': 'r' });
  expect({ ...foreign.body, instance: '' }).toEqual({ ...absent.body, instance: '' });
  for (const [method, path, payload] of [
    ['GET', url, undefined],
    ['GET', `${url}/history`, undefined],
    ['PATCH', url, { scopes: [] }],
    ['POST', `${url}/revoke`, {}],
    ['GET', `/items/${to.itemId}/connections`, undefined],
    ['GET', `/users/${to.userId}/connections`, undefined],
    ['GET', `/applications/${own.id}/connections`, undefined],
  ] as const) {
    expect([path, (await ask(method, path, stranger, payload)).status]).toEqual([path, 404]);
  }
  expect(await ask('GET', url, own)).toEqual(before);
  // One that sees every item sees it, and is told what it lacks to change it.
  const all = await client(['read', 'write'], 'all');
  expect((await ask('GET', url, all)).body).toEqual(before.body);
  for (const refused of [
    await ask('PATCH', url, all, { scopes: [] }),
    await ask('POST', `${url}/revoke`, all, {}),
  ]) {
    expect(refused).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } });
  }
});

it('the application narrows its own, and widens nothing', async () => {
  const { url, app: own } = await connected();
  const wide = { scopes: ['accounts', 'numbers'], account_ids: ['acc-1', 'acc-2'], expires_at: null };
  const refused = await ask('PATCH', url, own, wide);
  expect(refused).toMatchObject({ status: 403, body: { code: 'narrowing_only' } });
  expect(refused.body.errors.map((error: { pointer: string }) => error.pointer)).toEqual([
    '/scopes',
    '/account_ids',
    '/expires_at',
  ]);
  expect(await ask('PATCH', url, own, { scopes: ['accounts'] })).toMatchObject({
    status: 200,
    body: { ...wanted, scopes: ['accounts'] },
  });
  expect(await ask('PATCH', url, own, { expires_at: '2020-01-01T00:00:00Z' })).toMatchObject({ status: 400 });
  expect(await ask('PATCH', url, own, { expire: later })).toMatchObject({ status: 400 });
  expect(await ask('PATCH', url, dashboard, wide)).toMatchObject({ status: 200, body: wide });
  expect(await ask('PATCH', url, dashboard, { account_ids: ['acc-1', 'acc-7'] })).toMatchObject({
    status: 400,
    body: { errors: [{ in: 'body', pointer: '/account_ids/1' }] },
  });
  expect(await ask('PATCH', url, own, { account_ids: [] })).toMatchObject({
    status: 200,
    body: { account_ids: [] },
  });
  const history = await ask('GET', `${url}/history`, own);
  expect(history.body.data.map((entry: any) => `${entry.action} ${entry.initiator}`)).toEqual([
    'created operator',
    'updated application',
    'updated operator',
    'renewed operator',
    'updated application',
  ]);
});

it('one whose end an earlier release took, in the year 10000 by UTC, is shown and narrowed as any other', async () => {
  const [to, own] = [await item(), await client(['read', 'write'])];
  const application = { applicationId: own.id, access: 'connected' } as const;
  const id = await connect(world, to, application, { expires_at: '9999-12-31T23:59:59-05:00' });
  const end = { expires_at: '9999-12-31T23:59:59.999Z' };
  expect(await ask('GET', `/connections/${id}`, own)).toMatchObject({ status: 200, body: end });
  expect(await ask('GET', `/connections/${id}/history`, own)).toMatchObject({
    status: 200,
    body: { data: [{ grant: end }] },
  });
  expect(await ask('PATCH', `/connections/${id}`, own, { scopes: ['accounts'] })).toMatchObject({
    status: 200,
    body: { scopes: ['accounts'], ...end },
  });
});

it.each([
  ['with a zone that no place has', '2999-01-31T00:00:00+23:59'],
  ['with more digits than anybody measures', `2999-01-30T00:01:00.${'0'.repeat(200)}Z`],
])('a time is the instant that it names, however it is written: %s', async (_how, expires_at) => {
  const end = { expires_at: '2999-01-30T00:01:00.000Z' };
  const { item: to, url, app: own, id } = await connected({ expires_at });
  expect(await ask('GET', url, own)).toMatchObject({ status: 200, body: end });
  expect(await ask('POST', `${url}/renew`, dashboard, { expires_at })).toMatchObject({
    status: 200,
    body: end,
  });
  const sooner = { expires_at: '2998-01-31T00:00:00Z' };
  expect(await ask('PATCH', url, own, sooner)).toMatchObject({ status: 200 });
  expect(await ask('PATCH', url, dashboard, { expires_at })).toMatchObject({ status: 200, body: end });
  const list = `/items/${to.itemId}/connections?expires_before=`;
  const before = (text: string) => ask('GET', list + encodeURIComponent(text), own);
  expect(await before(expires_at)).toMatchObject({ status: 200, body: { data: [] } });
  expect(await before(expires_at.replace('2999', '3000'))).toMatchObject({
    status: 200,
    body: { data: [{ connection_id: id }] },
  });
});

it('who renews needs consent, a time to come, and a connection that was not revoked', async () => {
  const { url, app: own } = await connected();
  const renew = (by: Client, expires_at: unknown) => ask('POST', `${url}/renew`, by, { expires_at });
  expect(await renew(own, later)).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } });
  expect(await renew(dashboard, '2020-01-01T00:00:00Z')).toMatchObject({ status: 400 });
  expect(await renew(dashboard, undefined)).toMatchObject({ status: 400 });
  expect(await renew(dashboard, null)).toMatchObject({ status: 200, body: { expires_at: null } });
  expect(await ask('POST', `${url}/revoke`, own)).toMatchObject({
    status: 200,
    body: { status: 'revoked', revoked: { reason: null, initiator: 'application' } },
  });
  expect(await renew(dashboard, later)).toMatchObject({ status: 409, body: { code: 'connection_revoked' } });
  expect(await ask('PATCH', url, own, { scopes: [] })).toMatchObject({ status: 409 });
});

it('a revocation says who wanted it, as far as they may be named, and is answered alike ever after', async () => {
  const { item: to, url, app: own } = await connected();
  const revoke = (by: Client, body: object) => ask('POST', `${url}/revoke`, by, body);
  expect(await revoke(own, { initiator: 'operator' })).toMatchObject({ status: 403 });
  for (const initiator of ['bank', 'clock', 'item']) {
    expect(await revoke(dashboard, { initiator })).toMatchObject({ status: 400 });
  }
  expect(await revoke(own, { reason: 'a\nb' })).toMatchObject({ status: 400 });
  const ended = await revoke(own, { initiator: 'user', reason: 'Too much' });
  expect(ended.body.revoked).toMatchObject({ initiator: 'user', reason: 'Too much' });
  expect(await revoke(dashboard, { reason: 'late' })).toEqual(ended);
  expect(signals.filter((signal) => signal.endsWith(to.itemId)).length).toBeGreaterThan(1);
});

it('all connections of a user end together', async () => {
  const { item: to, url, app: own } = await connected();
  const path = `/users/${to.userId}/connections/revoke`;
  expect(await ask('POST', path, own)).toMatchObject({ status: 403 });
  expect(await ask('POST', '/users/nobody/connections/revoke', dashboard)).toMatchObject({ status: 404 });
  const revoked = await ask('POST', path, dashboard, { initiator: 'user' });
  expect(revoked).toEqual({ status: 200, body: { connection_ids: [url.slice('/connections/'.length)] } });
  expect((await ask('GET', url, own)).body.revoked.initiator).toBe('user');
  expect(await ask('POST', path, dashboard)).toEqual({ status: 200, body: { connection_ids: [] } });
});

it('lists go page by page under their filters, and take no forged cursor', async () => {
  const { item: to, id, app: own } = await connected();
  const other = await client(['read']);
  const made = await ask('POST', `/items/${to.itemId}/connections`, dashboard, {
    application_id: other.id,
    ...wanted,
    expires_at: null,
  });
  const list = `/users/${to.userId}/connections`;
  const first = await ask('GET', `${list}?limit=1`, dashboard);
  expect(first.body).toMatchObject({ data: [{ connection_id: id }], has_more: true });
  const cursor = encodeURIComponent(first.body.next_cursor as string);
  const second = await ask('GET', `${list}?limit=1&cursor=${cursor}`, dashboard);
  expect(second.body).toMatchObject({
    data: [{ connection_id: made.body.connection_id }],
    next_cursor: null,
  });
  for (const url of [
    `${list}?cursor=${cursor}&status=active`,
    `/items/${to.itemId}/connections?cursor=${cursor}`,
    `${list}?cursor=forged`,
    `/connections/${id}/history?cursor=${cursor}`,
  ]) {
    expect([url, (await ask('GET', url, dashboard)).body.code]).toEqual([url, 'invalid_cursor']);
  }
  const ending = await ask(
    'GET',
    `${list}?expires_before=3000-01-01T00:00:00Z&status=active,expired`,
    dashboard,
  );
  expect(ending.body.data.map((row: any) => row.connection_id)).toEqual([id]);
  for (const query of [
    'status=ended',
    'status=',
    'expires_before=soon',
    'expires_before=2999-01-01',
    'limit=0',
  ]) {
    expect([query, (await ask('GET', `${list}?${query}`, dashboard)).status]).toEqual([query, 400]);
  }
  expect((await ask('GET', list, own)).body.data).toHaveLength(1);
  // Consent sees connections and no bank data.
  expect(await ask('GET', `/items/${to.itemId}/accounts`, dashboard)).toMatchObject({ status: 403 });
});

it('of a user whose rows are being deleted a connection is changed no more, and no key is told that it lacks a right', async () => {
  const { item: of, app: own, url } = await connected();
  const { erasures, items, links } = world.stores;
  const erasureId = newId('era');
  const asker = { applicationId: 'default', keyId: 'key' };
  await erasures.request(of.userId, { erasureId, force: true, ...asker });
  await items.finishRemoval(of.itemId);
  for (const { tokenHash } of (await erasures.stop(erasureId))?.links ?? [])
    await links.finish(tokenHash, { kind: 'refused', plaid: null });
  expect(await erasures.deleteRows(erasureId, 1)).toBe(1);
  for (const by of [dashboard, own]) {
    const answers = [
      await ask('PATCH', url, by, { scopes: ['accounts'] }),
      await ask('POST', `${url}/revoke`, by, {}),
    ];
    expect(answers).toMatchObject(Array(2).fill({ status: 404, body: { code: 'not_found' } }));
  }
  const stranger = await client(['read', 'write'], 'all');
  expect(await ask('POST', `${url}/revoke`, stranger, {})).toMatchObject({ status: 403 });
});
