import type { Activities } from '../../activities/index.js';
import { Failure } from '../../domain/failures.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import { institution } from './fakeDirectory.js';
import { twice, world } from './sharedWorld.js';

describe('the directory of institutions', () => {
  const walk = async (syncId: string) => {
    let [offset, kept] = [0, 0];
    for (;;) {
      const page = await world.run.saveInstitutionPage({ syncId, offset });
      offset += page.listed;
      kept += page.kept;
      if (page.listed === 0 || offset >= page.total) break;
    }
    return world.run.finishInstitutionSync({ syncId, expected: kept });
  };

  it('keeps a bank whose name cannot be read for a time under the name that it had, and lists it', async () => {
    const { directory, sql } = world;
    const names = async () => {
      const rows = await sql<{ name: string }[]>`
        SELECT institution_id || ': ' || name AS name FROM institutions
        WHERE vanished_at IS NULL AND institution_id LIKE 'odd%' ORDER BY 1`;
      return rows.map(({ name }) => name);
    };
    directory.pageSize = 2;
    directory.all = ['odd1', 'odd2', 'odd3', 'odd4'].map((id) => institution(id));
    expect(await walk('odd-1')).toMatchObject({ complete: true });
    directory.all = [
      institution('odd1', { name: null as unknown as string }),
      institution('odd2', { name: 'x'.repeat(5_000) }),
      institution('odd3'),
      // Nobody has known it before.
      institution('odd5', { name: '' }),
    ];
    expect(await walk('odd-2')).toEqual({ complete: true, vanished: 1 });
    expect(await names()).toEqual(['odd1: Bank odd1', 'odd2: Bank odd2', 'odd3: Bank odd3']);
    await sql`DELETE FROM institutions WHERE institution_id LIKE 'odd%'`;
  });

  it('knows a bank that a page lists twice for one, and which others have vanished', async () => {
    const { directory, sql } = world;
    directory.all = ['odd1', 'odd2', 'odd3'].map((id) => institution(id));
    expect(await walk('twice-1')).toMatchObject({ complete: true });
    directory.all = ['odd1', 'odd1', 'odd3'].map((id) => institution(id));
    expect(await walk('twice-2')).toEqual({ complete: true, vanished: 1 });
    await sql`DELETE FROM institutions WHERE institution_id LIKE 'odd%'`;
  });

  it('tells an operator of a list that has never as many as Plaid counts, by the last walk, until it has', async () => {
    const { directory, sql, run } = world;
    const stuck = () => sql`SELECT key, detail FROM alerts WHERE kind = 'institutions_stuck'`;
    directory.pageSize = 2;
    // The first one stands on two pages.
    directory.all = ['odd1', 'odd2', 'odd3', 'odd1'].map((id) => institution(id));
    for (const offset of [0, 2]) await run.saveInstitutionPage({ syncId: 'pages', offset });
    const end = { syncId: 'pages', expected: 4 };
    expect(await run.finishInstitutionSync({ ...end, last: false })).toEqual({
      complete: false,
      vanished: 0,
    });
    expect(await stuck()).toEqual([]);
    expect(await run.finishInstitutionSync({ ...end, last: true })).toEqual({ complete: false, vanished: 0 });
    expect(await stuck()).toEqual([{ key: 'walk', detail: { listed: 4 } }]);
    directory.all = directory.all.slice(0, 3);
    expect(await walk('pages-2')).toEqual({ complete: true, vanished: 0 });
    expect(await stuck()).toEqual([]);
    // Of two that go beside one another each takes from the other what it has seen.
    await run.saveInstitutionPage({ syncId: 'pages-3', offset: 0 });
    await walk('pages-4');
    const other = { syncId: 'pages-3', expected: 3, last: true };
    expect(await run.finishInstitutionSync(other)).toEqual({ complete: false, vanished: 0 });
    expect(await stuck()).toEqual([]);
    await sql`DELETE FROM institutions WHERE institution_id LIKE 'odd%'`;
  });

  it('lacks most of its banks by two walks in a row alone, which a repeated end of one is not', async () => {
    const { directory, sql, run } = world;
    const ids = ['odd1', 'odd2', 'odd3', 'odd4', 'odd5'];
    const list = (...some: string[]) => (directory.all = some.map((id) => institution(id)));
    list(...ids);
    await walk('few-1');
    list('odd1');
    const doubted = { complete: false, vanished: 0 };
    expect(await walk('few-2')).toEqual(doubted);
    expect(await run.finishInstitutionSync({ syncId: 'few-2', expected: 1 })).toEqual(doubted);
    // It was one odd answer.
    list(...ids);
    expect(await walk('few-3')).toEqual({ complete: true, vanished: 0 });
    list('odd1', 'odd2');
    expect(await walk('few-4')).toEqual(doubted);
    expect(await walk('few-5')).toEqual({ complete: true, vanished: 3 });
    list('odd1');
    expect(await walk('few-6')).toEqual({ complete: true, vanished: 1 });
    await sql`DELETE FROM institutions WHERE institution_id LIKE 'odd%'`;
  });

  it('is saved page by page, and what a complete walk no longer shows is marked', async () => {
    const { directory, sql } = world;
    directory.all = ['ins_1', 'ins_2', 'ins_3'].map((id) => institution(id));
    directory.pageSize = 2;
    const page = (offset: number, syncId = 'sync-1') => ({ syncId, offset });
    const first = { listed: 2, kept: 2, total: 3 };
    expect(await twice('saveInstitutionPage', page(0))).toEqual([first, first]);
    const early = { syncId: 'sync-1', expected: 3 };
    expect(await world.run.finishInstitutionSync(early)).toEqual({ complete: false, vanished: 0 });
    expect(await world.run.saveInstitutionPage(page(2))).toEqual({ listed: 1, kept: 1, total: 3 });
    directory.all = ['ins_1', 'ins_3'].map((id) => institution(id));
    await world.run.saveInstitutionPage(page(0, 'sync-2'));
    expect(await twice('finishInstitutionSync', { syncId: 'sync-2', expected: 2 })).toEqual([
      { complete: true, vanished: 1 },
      { complete: true, vanished: 0 },
    ]);
    expect(await sql`SELECT institution_id FROM institutions WHERE vanished_at IS NOT NULL`).toEqual([
      { institution_id: 'ins_2' },
    ]);
  });

  it('tells the status of institutions in use, each once a round, whatever one of them fails with', async () => {
    const { directory, sql } = world;
    await sql`UPDATE items SET removed_at = now() WHERE removed_at IS NULL`;
    for (const id of ['ins_1', 'ins_2', 'ins_5', 'ins_6']) {
      const { itemId } = await world.linkedItem();
      await sql`UPDATE items SET institution_id = ${id} WHERE item_id = ${itemId}`;
    }
    directory.all = ['ins_1', 'ins_3', 'ins_5', 'ins_6'].map((id) => institution(id));
    directory.failing.set('ins_5', new Failure('UPSTREAM_DOWN', 'this one only'));
    directory.asked.length = 0;
    const since = new Date().toISOString();
    const input = { since, limit: 3 };
    const round = { start: null, after: 'ins_5', wrapped: false };
    const result = { checked: 2, failed: 1, next: round };
    expect(await world.run.saveInstitutionStatuses(input)).toEqual(result);
    expect(directory.asked).toEqual(['ins_1', 'ins_2', 'ins_5']);
    expect(await world.run.saveInstitutionStatuses({ ...input, round })).toEqual({
      checked: 1,
      failed: 0,
      next: null,
    });
    const rows =
      await sql`SELECT institution_id, status, status_at IS NULL AS never FROM institutions ORDER BY 1`;
    const healthy = { item_logins: { status: 'HEALTHY' } };
    expect(rows).toEqual([
      { institution_id: 'ins_1', status: healthy, never: false },
      { institution_id: 'ins_2', status: null, never: false },
      { institution_id: 'ins_3', status: null, never: true },
      { institution_id: 'ins_6', status: healthy, never: false },
    ]);

    // A round that runs again asks only for what it has not got.
    directory.failing.clear();
    const again = { ...input, round: { start: null, after: null, wrapped: false } };
    expect(await twice('saveInstitutionStatuses', again)).toEqual([
      { checked: 1, failed: 0, next: null },
      { checked: 0, failed: 0, next: null },
    ]);
    expect(directory.asked.slice(4)).toEqual(['ins_5']);
  });

  it('keeps of a status what is not too deep, and comes to the others', async () => {
    const { directory, sql } = world;
    directory.failing.clear();
    let status: Record<string, unknown> = {};
    for (let level = 0; level < 20_000; level += 1) status = { status };
    const deep = { ...institution('ins_1'), status };
    const get = directory.get.bind(directory);
    directory.get = (id) => (id === 'ins_1' ? Promise.resolve(deep) : get(id));
    const round = { start: null, after: null, wrapped: false };
    const input = { since: '2999-01-01T00:00:00Z', round, limit: 9 };
    expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 4, failed: 0 });
    directory.get = get;
    const [row] =
      await sql`SELECT length(status::text) < 2000 AS short FROM institutions WHERE institution_id = 'ins_1'`;
    expect(row).toEqual({ short: true });
  });

  it('leaves a status round to a later try when Plaid as a whole does not answer', async () => {
    const { directory } = world;
    const round = { start: null, after: null, wrapped: false };
    const input = { since: '2999-01-01T00:00:00Z', round, limit: 9 };
    directory.failing.set('ins_1', new Failure('RATE_LIMITED', 'slow down'));
    await expect(world.run.saveInstitutionStatuses(input)).rejects.toMatchObject({ type: 'RATE_LIMITED' });
    for (const id of ['ins_1', 'ins_2', 'ins_5', 'ins_6']) {
      directory.failing.set(id, new Failure('UPSTREAM_DOWN', 'away'));
    }
    expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 0, failed: 4 });
  });

  it('passes over a bank that this client may not use, and operators are told', async () => {
    const { directory, sql } = world;
    directory.failing.clear();
    const round = { start: null, after: null, wrapped: false };
    const input = { since: '2999-01-01T00:00:00Z', round, limit: 9 };
    const refuse = (error_type: string, error_code: string) => {
      const body = { error_type, error_code, request_id: 'r1' };
      const answer = { status: 400, body, retryAfter: undefined };
      directory.failing.set('ins_1', failureOfAnswer('/institutions/get_by_id', answer, 0));
    };
    const alerts = async () => {
      const rows = await sql`SELECT key FROM alerts WHERE kind = 'plaid_misconfigured'`;
      await sql`DELETE FROM alerts WHERE kind = 'plaid_misconfigured'`;
      return rows.map((row) => row['key']);
    };
    await alerts();
    const codes = [
      'INSTITUTION_REGISTRATION_REQUIRED',
      'UNAUTHORIZED_INSTITUTION',
      'INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT',
    ];
    for (const code of codes) {
      refuse('INSTITUTION_ERROR', code);
      expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 3, failed: 1 });
      expect(await alerts()).toEqual([code]);
    }
    refuse('RATE_LIMIT_EXCEEDED', 'INSTITUTION_RATE_LIMIT');
    expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 3, failed: 1 });
    // Wrong keys, and a limit of all, are of all.
    for (const [type, code] of [
      ['INVALID_INPUT', 'INVALID_API_KEYS'],
      ['RATE_LIMIT_EXCEEDED', 'INSTITUTIONS_GET_BY_ID_LIMIT'],
    ] as const) {
      refuse(type, code);
      await expect(world.run.saveInstitutionStatuses(input)).rejects.toThrow();
    }
    expect(await alerts()).toEqual(['INVALID_API_KEYS']);
  });

  it('begins a round of statuses behind where the last one has come to, and comes to all', async () => {
    const { directory } = world;
    directory.failing.clear();
    /** One round, in which Plaid answers so often and then asks to wait: whom it has told of. */
    const round = async (answers: number): Promise<string[]> => {
      directory.asked.length = 0;
      const limited = Object.assign(Object.create(directory) as typeof directory, {
        get: (id: string) =>
          directory.asked.length < answers
            ? directory.get(id)
            : Promise.reject(new Failure('RATE_LIMITED', 'slow down')),
      });
      const run = world.runWith({ directory: limited });
      // The database counts in microseconds.
      const since = new Date(Date.now() + 1).toISOString();
      for (let place: Awaited<ReturnType<Activities['saveInstitutionStatuses']>>['next'] | undefined; ;) {
        const input = { since, limit: 1, ...(place == null ? {} : { round: place }) };
        const result = await run.saveInstitutionStatuses(input).catch(() => null);
        // Cut off: the next round is another one.
        if (result === null || result.next === null) return [...directory.asked];
        place = result.next;
      }
    };
    const all = ['ins_1', 'ins_2', 'ins_5', 'ins_6'];
    directory.all = all.map((id) => institution(id));
    const told = new Set<string>();
    for (let n = 0; n < 2; n += 1) for (const id of await round(2)) told.add(id);
    expect([...told].sort()).toEqual(all);
    expect((await round(9)).sort()).toEqual(all);
    await world.sql`UPDATE institutions SET status_at = clock_timestamp() WHERE institution_id = 'ins_5'`;
    expect(await round(9)).toEqual(['ins_6', 'ins_1', 'ins_2', 'ins_5']);
  });
});
