import { randomUUID } from 'node:crypto';
import type { World } from './world.js';
import { newId, openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

describe('keys of applications', () => {
  it('are given to an application that exists, found by their hash, and dead once revoked', async () => {
    const { applications } = world.stores;
    expect(await applications.addKey('app_none', randomUUID(), newId('hash'), ['read'])).toBeNull();
    const { application_id, name } = await applications.create('Ledger', randomUUID());
    expect(name).toBe('Ledger');
    const hash = newId('hash');
    const key = await applications.addKey(application_id, randomUUID(), hash, ['read', 'numbers']);
    expect(await applications.findKey(hash)).toEqual({
      key_id: key?.key_id,
      application_id,
      access: expect.any(String),
      scopes: ['read', 'numbers'],
    });
    expect(await applications.findKey(hash.toUpperCase())).toBeNull();
    expect(await applications.revokeKey('key_none')).toBe(false);
    expect(await applications.revokeKey(key?.key_id ?? '')).toBe(true);
    expect(await applications.findKey(hash)).toBeNull();
    expect(await applications.revokeKey(key?.key_id ?? '')).toBe(true);
  });

  it('of two applications are never the same key', async () => {
    const { applications } = world.stores;
    const [a, b] = [
      await applications.create('a', randomUUID()),
      await applications.create('b', randomUUID()),
    ];
    const hash = newId('hash');
    await applications.addKey(a.application_id, randomUUID(), hash, ['read']);
    await expect(applications.addKey(b.application_id, randomUUID(), hash, ['admin'])).rejects.toMatchObject({
      name: 'Failure',
    });
    expect((await applications.findKey(hash))?.application_id).toBe(a.application_id);
  });

  it('made from the environment replace the one before, may come back, and leave others alone', async () => {
    const { applications } = world.stores;
    const [first, second, own] = [newId('hash'), newId('hash'), newId('hash')];
    await Promise.all([1, 2, 3].map(() => applications.ensureAdmin(first)));
    await applications.addKey('default', randomUUID(), own, ['read']);
    expect(await applications.findKey(first)).toMatchObject({
      application_id: 'default',
      scopes: ['read', 'write', 'numbers', 'admin'],
    });
    await applications.ensureAdmin(second);
    expect(await applications.findKey(first)).toBeNull();
    expect(await applications.findKey(second)).not.toBeNull();
    await applications.ensureAdmin(first);
    expect(await applications.findKey(first)).not.toBeNull();
    expect(await applications.findKey(second)).toBeNull();
    expect(await applications.findKey(own)).not.toBeNull();
  });

  it('that were revoked stay so from the first time on, also when the environment names them', async () => {
    const { applications } = world.stores;
    const { application_id } = await applications.create('Ledger', randomUUID());
    const hash = newId('hash');
    const { key_id } = (await applications.addKey(application_id, randomUUID(), hash, ['read'])) ?? {
      key_id: '',
    };
    const revokedAt = async () =>
      (await world.sql`SELECT revoked_at::text AS at FROM api_keys WHERE key_id = ${key_id}`)[0]?.['at'];
    await applications.revokeKey(key_id);
    const first = await revokedAt();
    await applications.revokeKey(key_id);
    await applications.ensureAdmin(hash);
    expect(await revokedAt()).toBe(first);
    expect(await applications.findKey(hash)).toBeNull();
  });
});
