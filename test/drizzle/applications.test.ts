import { randomUUID } from 'node:crypto';
import type { PageKey } from '../../domain/ports/pages.js';
import { until } from '../api/world.js';
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
      access: 'connected',
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
      access: 'all',
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

describe('applications', () => {
  it('are connected unless somebody says otherwise, are changed as far as is named, and are listed page by page', async () => {
    const { applications } = world.stores;
    const made = await applications.create('Ledger', randomUUID());
    expect(made).toMatchObject({ access: 'connected', display_name: null, logo_url: null });
    const id = made.application_id;
    await applications.change(id, { company: 'Acme', url: 'https://acme.example', access: 'all' });
    await applications.change(id, { url: null });
    await applications.change(id, {});
    expect(await applications.change(id, { name: 'Books' })).toEqual({
      ...made,
      name: 'Books',
      access: 'all',
      company: 'Acme',
    });
    expect(await applications.get(id)).toMatchObject({ name: 'Books', url: null });
    expect(await applications.change('app_none', { name: 'x' })).toBeNull();
    expect(await applications.get('app_none')).toBeNull();
    for (let n = 0; n < 4; n += 1) await applications.create(`of many ${n}`, randomUUID());
    const all = (await applications.page(100, null)).rows;
    const paged: unknown[] = [];
    let after: PageKey | null = null;
    do {
      const page: Awaited<ReturnType<typeof applications.page>> = await applications.page(2, after);
      paged.push(...page.rows);
      after = page.next;
    } while (after !== null);
    expect(paged).toEqual(all);
    expect(all.map(({ application_id }) => application_id)).toContain(id);
  });

  it('list their keys without the keys, with the last use to the minute; a locked key is let in all the same', async () => {
    const { applications } = world.stores;
    const { application_id } = await applications.create('Ledger', randomUUID());
    expect(await applications.keys('app_none', 10, null)).toBeNull();
    const hashes = [newId('hash'), newId('hash')];
    for (const hash of hashes) await applications.addKey(application_id, randomUUID(), hash, ['read']);
    const keys = async () => (await applications.keys(application_id, 10, null))?.rows ?? [];
    expect(await keys()).toMatchObject([
      { scopes: ['read'], last_used_at: null, revoked_at: null },
      { scopes: ['read'], last_used_at: null, revoked_at: null },
    ]);
    const first = hashes[0] ?? '';
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM api_keys WHERE key_hash = ${first} FOR UPDATE`;
      expect(await applications.findKey(first)).not.toBeNull();
      // The note finds the row locked.
      for (let n = 0; n < 10; n += 1) await keys();
    });
    await until(async () => (await keys())[0]?.last_used_at !== null, 'its use is noted');
    const noted = (await keys())[0]?.last_used_at;
    await applications.findKey(first);
    expect([(await keys())[0]?.last_used_at, (await keys())[1]?.last_used_at]).toEqual([noted, null]);
    expect(JSON.stringify(await keys())).not.toContain(first);
    const page = await applications.keys(application_id, 1, null);
    expect((await applications.keys(application_id, 1, page?.next ?? null))?.rows).toEqual(
      (await keys()).slice(1),
    );
  });
});
