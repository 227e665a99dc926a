import type { InstitutionView } from '../../domain/ports/institutions.js';
import { institution } from '../activities/fakeDirectory.js';
import type { World } from './world.js';
import { rowsOf, linkedItem, lockWaiters, openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());
beforeEach(() => world.sql`DELETE FROM institutions`);

const store = () => world.stores.institutions;
/** Of somebody who asks and writes at once. */
const savePage = async (syncId: string, page: Parameters<ReturnType<typeof store>['savePage']>[2]) =>
  store().savePage(syncId, await store().now(), page);
const save = async (id: string, answer: Parameters<ReturnType<typeof store>['save']>[2]) =>
  store().save(id, await store().now(), answer);
const ids = async (filter: { query?: string; country?: string } = {}, limit = 2): Promise<string[]> => {
  const found: string[] = [];
  for (let after: Parameters<ReturnType<typeof store>['page']>[2] = null; ;) {
    const page = await store().page(filter, limit, after);
    found.push(...rowsOf<InstitutionView>(page).map((row) => row.institution_id));
    if (page.next === null) return found;
    after = page.next;
  }
};

describe('a saved page', () => {
  it('keeps a logo, a colour and an address that a later answer lacks, and takes everything else over', async () => {
    await savePage('s1', [institution('ins_1', { oauth: false })]);
    const bare = institution('ins_1', { logo: undefined, url: undefined, primary_color: undefined } as never);
    await savePage('s2', [
      { ...bare, name: 'Renamed', oauth: true, products: ['auth'], country_codes: ['CA'] },
    ]);
    expect(await store().get('ins_1')).toMatchObject({
      name: 'Renamed',
      oauth: true,
      products: ['auth'],
      country_codes: ['CA'],
      logo: 'logo of ins_1',
      primary_color: '#112233',
      url: 'https://ins_1.example',
    });
    await savePage('s3', [institution('ins_1', { logo: null, primary_color: '#445566' })]);
    expect(await store().get('ins_1')).toMatchObject({ logo: 'logo of ins_1', primary_color: '#445566' });
  });

  it('and another, and the end of a walk at once, lock its rows in one order', async () => {
    const page = Array.from({ length: 7 }, (_, n) => institution(`ins_${n}`));
    const others = page.map(({ institution_id }) => institution(`${institution_id}0`));
    for (const other of ['page', 'end'] as const) {
      await savePage('s1', page.toReversed());
      await savePage('s2', others);
      const askedAt = await store().now();
      let both: Promise<unknown> = Promise.resolve();
      await world.sql.begin(async (tx) => {
        await tx`SELECT FROM institutions WHERE institution_id = 'ins_3' FOR UPDATE`;
        both = Promise.all([
          store().savePage('s3', askedAt, page),
          other === 'page' ? store().savePage('s4', askedAt, page.toReversed()) : store().finishSync('s2', 7),
        ]);
        both.catch(() => undefined);
        await lockWaiters(world, 2);
      });
      await both;
    }
  });

  it('takes what Plaid may send: nothing, one twice, NUL, fields of other types', async () => {
    await savePage('s1', []);
    await savePage('s1', [
      institution('ins_1', { name: 'First' }),
      institution('ins_1', { name: 'A\u0000B \ud800' }),
      { institution_id: 'ins_2', name: 'Bare' },
      { institution_id: 'ins_3', name: 'Odd', products: 'auth', oauth: 'yes', logo: 7 } as never,
    ]);
    expect((await store().get('ins_1'))?.name).toBe('A\ufffdB \ufffd');
    for (const id of ['ins_2', 'ins_3']) {
      expect(await store().get(id)).toMatchObject({
        products: [],
        country_codes: [],
        oauth: false,
        logo: null,
      });
    }
  });
});

describe('the end of a sync', () => {
  it('marks nothing unless exactly what was expected was seen', async () => {
    await savePage('old', [institution('ins_1'), institution('ins_2')]);
    await savePage('new', [institution('ins_1')]);
    for (const [syncId, expected] of [
      ['new', 2],
      ['new', 0],
      ['never', 0],
      ['never', 1],
    ] as const) {
      expect(await store().finishSync(syncId, expected)).toMatchObject({ complete: false, vanished: 0 });
    }
    expect(await ids()).toEqual(['ins_1', 'ins_2']);
  });

  it('ends the alert that a page could not be had, once a walk has had all', async () => {
    await world.stores.alerts.raise({ kind: 'institutions_stuck', key: 'list', item_id: null, detail: {} });
    await savePage('s1', [institution('ins_1')]);
    const alerts = () => world.sql`SELECT key FROM alerts WHERE kind = 'institutions_stuck'`;
    await store().finishSync('s1', 2);
    expect(await alerts()).toHaveLength(1);
    await store().finishSync('s1', 1);
    expect(await alerts()).toEqual([]);
  });

  it('hides what vanished from the list, still tells of it by id, and takes it back', async () => {
    await savePage('old', [institution('ins_1'), institution('ins_2')]);
    await savePage('new', [institution('ins_1')]);
    expect(await store().finishSync('new', 1)).toMatchObject({ complete: true, vanished: 1 });
    expect(await store().finishSync('new', 1)).toMatchObject({ complete: true, vanished: 0 });
    expect(await ids()).toEqual(['ins_1']);
    expect((await store().get('ins_2'))?.vanished_at).toEqual(expect.any(String));
    // Asked for by itself it stays what the list says of it.
    await save('ins_2', institution('ins_2', { status: { auth: {} } }));
    expect(await ids()).toEqual(['ins_1']);
    await savePage('newer', [institution('ins_1'), institution('ins_2')]);
    expect((await store().get('ins_2'))?.vanished_at).toBeNull();
    expect(await ids()).toEqual(['ins_1', 'ins_2']);
    expect((await store().get('ins_2'))?.status).toEqual({ auth: {} });
  });
});

it('a sync that ends marks nothing that another lists at that moment', async () => {
  await savePage('before', [institution('ins_1'), institution('ins_2')]);
  await savePage('one', [institution('ins_1')]);
  let ending: Promise<unknown> = Promise.resolve();
  await world.sql.begin(async (tx) => {
    await tx`
      UPDATE institutions SET sync_id = 'two', listed_at = clock_timestamp(), synced_at = clock_timestamp()
      WHERE institution_id = 'ins_2'`;
    ending = store().finishSync('one', 1);
    await lockWaiters(world, 1);
  });
  expect(await ending).toMatchObject({ complete: true, vanished: 0 });
  expect(await ids()).toEqual(['ins_1', 'ins_2']);
});

describe('an institution by itself', () => {
  it('comes in with its status, and loses the status alone when Plaid no longer knows it', async () => {
    expect(await store().get('ins_9')).toBeNull();
    await save('ins_9', null);
    expect(await store().get('ins_9')).toBeNull();
    await save('ins_9', institution('ins_9', { status: { 'a\u0000': 1 } }));
    expect(await store().get('ins_9')).toMatchObject({
      status: { 'a\ufffd': 1 },
      status_at: expect.any(String),
    });
    await save('ins_9', null);
    expect(await store().get('ins_9')).toMatchObject({ status: null, logo: 'logo of ins_9' });
  });

  it('gives its logo where it has one', async () => {
    await savePage('s1', [institution('ins_1'), institution('ins_2', { logo: null })]);
    expect([...(await store().logos(['ins_1', 'ins_2', 'ins_3']))]).toEqual([['ins_1', 'logo of ins_1']]);
    expect((await store().logos([])).size).toBe(0);
  });
});

describe('the list', () => {
  it('is in order of names, whole whatever the page, and the same as by id', async () => {
    expect([await ids(), await store().asOf()]).toEqual([[], null]);
    const all = Array.from({ length: 25 }, (_, n) =>
      institution(`ins_${n}`, { name: n % 3 === 0 ? 'Same name' : `Bank ${(n * 7) % 25}` }),
    );
    await savePage('s1', all);
    const rows = await world.sql<{ id: string }[]>`
      SELECT institution_id AS id FROM institutions ORDER BY name, institution_id`;
    for (const limit of [1, 4, 500]) expect(await ids({}, limit)).toEqual(rows.map(({ id }) => id));
    for (const row of rowsOf<InstitutionView>(await store().page({}, 500, null))) {
      expect(row).toEqual(await store().get(row.institution_id));
    }
    expect(await store().asOf()).toEqual(expect.any(String));
  });

  it('is narrowed by part of the name, whatever its case, and by country', async () => {
    await savePage('s1', [
      institution('ins_1', { name: '100% Bank', country_codes: ['US', 'CA'] }),
      institution('ins_2', { name: '1000 Banks', country_codes: ['CA'] }),
      institution('ins_3', { name: 'Under_score \\ Union', country_codes: ['GB'] }),
    ]);
    const found: [{ query?: string; country?: string }, string[]][] = [
      [{ query: 'BANK' }, ['ins_2', 'ins_1']],
      [{ query: '0%' }, ['ins_1']],
      [{ query: 'r_s' }, ['ins_3']],
      [{ query: '\\' }, ['ins_3']],
      [{ query: 'a_k' }, []],
      [{ country: 'CA' }, ['ins_2', 'ins_1']],
      [{ country: 'CA', query: '%' }, ['ins_1']],
      [{ country: 'FR' }, []],
    ];
    for (const [filter, expected] of found) {
      expect([filter, (await ids(filter)).sort()]).toEqual([filter, [...expected].sort()]);
    }
  });
});

describe('institutions in use', () => {
  it('are those of living items, once each, and due when their status is old or was never asked for', async () => {
    for (const institutionId of ['ins_2', 'ins_1', 'ins_1', 'ins_3', 'ins_4', null]) {
      await linkedItem(world, { institutionId });
    }
    await world.sql`UPDATE items SET removed_at = now() WHERE institution_id = 'ins_3'`;
    await world.sql`UPDATE items SET admitted_at = NULL WHERE institution_id = 'ins_4'`;
    const since = '2026-01-01T00:00:00Z';
    expect(await store().dueForStatus(since, null, 9)).toEqual(['ins_1', 'ins_2']);
    expect(await store().dueForStatus(since, null, 1)).toEqual(['ins_1']);
    expect(await store().dueForStatus(since, 'ins_1', 9)).toEqual(['ins_2']);
    await save('ins_1', institution('ins_1'));
    expect(await store().dueForStatus(since, null, 9)).toEqual(['ins_2']);
    expect(await store().dueForStatus('2999-01-01T00:00:00Z', null, 9)).toEqual(['ins_1', 'ins_2']);
  });
});
