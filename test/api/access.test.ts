import type { FastifyReply, FastifyRequest } from 'fastify';
import { allows, authenticate, hashKey, newKey } from '../../api/auth.js';
import type { Scope } from '../../domain/ports/applications.js';
import { createWorld, down } from './world.js';
import { documentOf, operationsOf } from './openapiDocument.js';

const world = createWorld();
const { app, keys } = world;
const operations = operationsOf(await documentOf(app)).filter((operation) => operation.scope !== null);
afterAll(() => app.close());

describe('every operation that needs a key', () => {
  it('is known to this test', () => {
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      'DELETE /v1/endpoints/{id}',
      'DELETE /v1/items/{itemId}',
      'DELETE /v1/keys/{id}',
      'DELETE /v1/users/{userId}',
      'GET /v1/applications',
      'GET /v1/applications/{id}',
      'GET /v1/applications/{id}/connections',
      'GET /v1/applications/{id}/keys',
      'GET /v1/connections/{id}',
      'GET /v1/connections/{id}/history',
      'GET /v1/deliveries/{id}',
      'GET /v1/endpoints',
      'GET /v1/endpoints/{id}',
      'GET /v1/endpoints/{id}/deliveries',
      'GET /v1/erasures/{id}',
      'GET /v1/event-types',
      'GET /v1/events',
      'GET /v1/institutions',
      'GET /v1/institutions/{institutionId}',
      'GET /v1/institutions/{institutionId}/live',
      'GET /v1/items/{itemId}',
      'GET /v1/items/{itemId}/accounts',
      'GET /v1/items/{itemId}/accounts/live',
      'GET /v1/items/{itemId}/balances',
      'GET /v1/items/{itemId}/balances/live',
      'GET /v1/items/{itemId}/changes',
      'GET /v1/items/{itemId}/connections',
      'GET /v1/items/{itemId}/numbers',
      'GET /v1/items/{itemId}/sync',
      'GET /v1/items/{itemId}/transactions',
      'GET /v1/items/{itemId}/transactions/live',
      'GET /v1/users/{userId}',
      'GET /v1/users/{userId}/accounts',
      'GET /v1/users/{userId}/connections',
      'GET /v1/users/{userId}/export',
      'GET /v1/users/{userId}/floats/{floatId}',
      'GET /v1/users/{userId}/item-change',
      'GET /v1/users/{userId}/items',
      'GET /v1/users/{userId}/transactions',
      'GET /v1/webhooks',
      'GET /v1/webhooks/{id}',
      'PATCH /v1/applications/{id}',
      'PATCH /v1/connections/{id}',
      'PATCH /v1/endpoints/{id}',
      'PATCH /v1/items/{itemId}',
      'POST /v1/applications',
      'POST /v1/applications/{id}/keys',
      'POST /v1/connections/{id}/renew',
      'POST /v1/connections/{id}/revoke',
      'POST /v1/deliveries/{id}/resend',
      'POST /v1/endpoints',
      'POST /v1/endpoints/{id}/ping',
      'POST /v1/endpoints/{id}/recover',
      'POST /v1/endpoints/{id}/replay',
      'POST /v1/endpoints/{id}/rotate-secret',
      'POST /v1/items/{itemId}/connections',
      'POST /v1/items/{itemId}/relinked',
      'POST /v1/items/{itemId}/remine',
      'POST /v1/items/{itemId}/reset-login',
      'POST /v1/users/{userId}/connections/revoke',
      'POST /v1/users/{userId}/items',
      'POST /v1/users/{userId}/link-token',
      'POST /v1/users/{userId}/logins',
      'POST /v1/users/{userId}/portal-sessions',
      'POST /v1/webhooks/{id}/replay',
      'PUT /v1/users/{userId}/floats/{floatId}',
    ]);
  });

  const strangers: [string, Record<string, string>][] = [
    ['no key', {}],
    ['an unknown key', keys.unknown],
    ['a revoked key', keys.revoked],
    ['an empty key', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: `Basic ${keys.all.authorization.slice(7)}` }],
    ['two keys', { authorization: `${keys.all.authorization} ${keys.all.authorization}` }],
    ['a very long key', { authorization: `Bearer ${'k'.repeat(4_000)}` }],
  ];
  for (const { method, path, url, scopes } of operations) {
    it(`${method} ${path} answers every stranger alike`, async () => {
      const bodies = new Set<string>();
      for (const [who, headers] of strangers) {
        const answer = await app.inject({ method, url, headers: { ...headers, 'x-request-id': 'r' } });
        expect([who, answer.statusCode]).toEqual([who, 401]);
        expect(answer.headers['www-authenticate']).toBe('Bearer realm="sluice"');
        bodies.add(answer.body);
      }
      expect(bodies.size).toBe(1);
    });

    it(`${method} ${path} refuses a key without its scope, before it reads anything`, async () => {
      const narrow = (['read', 'write', 'numbers', 'consent', 'admin'] as const).filter(
        (held) => !scopes.some((scope) => allows([held], scope as Scope)),
      );
      expect(narrow.length).toBeGreaterThan(0);
      for (const held of narrow) {
        const headers = { ...keys[held], 'content-type': 'application/json' };
        const payload = method === 'POST' ? { payload: '{"broken' } : {};
        const answer = await app.inject({ method, url, headers, ...payload });
        expect([held, answer.statusCode, answer.json().code]).toEqual([held, 403, 'insufficient_scope']);
      }
    });
  }

  it('would answer nobody if it had forgotten to name its scope', async () => {
    const pass = async () => undefined;
    const nothing = () => undefined;
    const check = authenticate(
      { findKey: async () => ({ key_id: 'k', application_id: 'app-1', access: 'all', scopes: ['admin'] }) },
      { beforeLookup: nothing, found: nothing, stranger: pass, caller: pass },
    );
    for (const scope of [undefined, null]) {
      const request = { routeOptions: { config: { scope } }, headers: keys.all };
      const checked = check(request as unknown as FastifyRequest, {} as FastifyReply);
      await expect(checked).rejects.toMatchObject({ code: 'internal_error' });
    }
  });

  it('did nothing for any of them', () => {
    expect(world.plaidCalls).toEqual([]);
    expect(world.links.size).toBe(0);
  });
});

it('a read of numbers is noted under the application, the key and the request that read them', async () => {
  const readers: unknown[] = [];
  const read = world.deps.numbers.read.bind(world.deps.numbers);
  world.deps.numbers.read = async (viewer, itemId, reader) => {
    readers.push({ viewer, ...reader });
    return read(viewer, itemId, reader);
  };
  const answer = await app.inject({ url: '/v1/items/item-1/numbers', headers: keys.numbers });
  expect(answer.statusCode).toBe(200);
  const request_id = answer.headers['x-request-id'];
  const viewer = { applicationId: 'app-1', access: 'all' };
  expect(readers).toEqual([{ viewer, key_id: 'numbers', request_id }]);
});

describe('scopes', () => {
  it('let admin do everything but read numbers', () => {
    expect(allows(['admin'], 'numbers')).toBe(false);
    expect((['read', 'write', 'consent', 'admin'] as const).every((scope) => allows(['admin'], scope))).toBe(
      true,
    );
    expect(allows(['read'], 'write')).toBe(false);
    expect(allows(['write'], 'read')).toBe(false);
    expect((['read', 'write', 'numbers', 'admin'] as const).some((scope) => allows(['consent'], scope))).toBe(
      false,
    );
    expect(allows([], 'read')).toBe(false);
  });
});

describe('keys over REST', () => {
  const post = (url: string, payload: object, headers = keys.all) =>
    app.inject({ method: 'POST', url, headers, payload });

  it('refuses an unknown application, an unknown scope, no scope, and an empty name', async () => {
    expect((await post('/v1/applications/nobody/keys', { scopes: ['read'] })).statusCode).toBe(404);
    expect((await post('/v1/applications/app-1/keys', { scopes: ['root'] })).statusCode).toBe(400);
    expect((await post('/v1/applications/app-1/keys', { scopes: [] })).statusCode).toBe(400);
    expect((await post('/v1/applications', { name: '' })).statusCode).toBe(400);
    expect((await post('/v1/applications', { name: 'a\u0000b' })).statusCode).toBe(400);
    expect((await post('/v1/applications', { name: '\ud800' })).statusCode).toBe(400);
  });

  it('does not let admin give itself numbers', async () => {
    const answer = await post('/v1/applications/app-1/keys', { scopes: ['numbers'] }, keys.admin);
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'insufficient_scope']);
    expect((await post('/v1/applications/app-1/keys', { scopes: ['numbers'] })).statusCode).toBe(201);
  });

  it('shows a key once, lets it in, and shuts it out when it is revoked', async () => {
    const application = await post('/v1/applications', { name: 'payments' });
    expect(application.statusCode).toBe(201);
    const made = await post(`/v1/applications/${application.json().application_id}/keys`, {
      scopes: ['read', 'read'],
    });
    expect(made.statusCode).toBe(201);
    const { key, key_id, scopes } = made.json();
    expect(scopes).toEqual(['read']);
    expect(made.headers['cache-control']).toBe('no-store');
    const look = () => app.inject({ url: '/v1/items/item-1', headers: { authorization: `Bearer ${key}` } });
    expect((await look()).statusCode).toBe(200);
    const revoked = await app.inject({ method: 'DELETE', url: `/v1/keys/${key_id}`, headers: keys.all });
    expect([revoked.statusCode, revoked.body]).toEqual([204, '']);
    expect((await look()).statusCode).toBe(401);
    const again = await app.inject({ method: 'DELETE', url: `/v1/keys/${key_id}`, headers: keys.all });
    expect(again.statusCode).toBe(204);
    const unknown = await app.inject({ method: 'DELETE', url: '/v1/keys/nothing', headers: keys.all });
    expect(unknown.statusCode).toBe(404);
    expect(world.logged.join('')).not.toContain(key);
  });

  it('makes keys that differ, and stores what cannot be turned back', () => {
    expect(newKey()).not.toBe(newKey());
    expect(newKey()).toMatch(/^sluice_[A-Za-z0-9_-]{43}$/);
    // SHA-256 of "abc", from FIPS 180-2.
    expect(hashKey('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('answers 503 while the database is down', async () => {
    world.behave.store = down;
    const answer = await post('/v1/applications', { name: 'payments' });
    expect([answer.statusCode, answer.json().code, answer.headers['retry-after']]).toEqual([
      503,
      'unavailable',
      '5',
    ]);
  });
});
