import { ensureSchedules } from '../../src/temporal/schedules.js';
import { linkItem } from './linkedItem.js';
import { callsOf } from './linking.js';
import type { Json } from './linking.js';
import type { Answer, System } from './system.js';
import { startSystem } from './system.js';
import { until } from './until.js';

let system: System;

const read = (route: string): Promise<Answer<Json>> => system.api<Json>('GET', `/v1/${route}`);
const kept = async (): Promise<number> => {
  const [row] = await system.sql<{ n: number }[]>`SELECT count(*)::int AS n FROM institutions`;
  return row?.n ?? 0;
};
const finished = async (type: string): Promise<string[]> => {
  const states: string[] = [];
  for await (const run of system.client.workflow.list({ query: `WorkflowType = "${type}"` })) {
    states.push(run.status.name);
  }
  return states;
};

async function walk(route: string): Promise<Json[]> {
  const rows: Json[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const { status, body }: Answer<Json> = await read(
      `${route}&limit=300${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    expect(status).toBe(200);
    rows.push(...(body['data'] as Json[]));
    cursor = body['next_cursor'] as string | null;
  }
  return rows;
}

beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 20,
    worker: false,
    simulatorArgs: ['--institutions', '1700', '--limits', 'production'],
  });
});
afterAll(() => system?.stop());

describe('institutions', () => {
  it('are synced at once on a fresh deployment, also when a worker dies on the way', async () => {
    const { body: before } = await read('institutions');
    expect([before['data'], before['meta']]).toEqual([[], { as_of: null }]);
    await system.sim('/_sim/faults', {
      match: { path: '/institutions/get' },
      fault: { latency_ms: 1_500 },
      times: 50,
    });
    const worker = await system.startWorker();
    await until(async () => (await kept()) >= 500);
    await worker.kill();
    const left = await kept();
    await system.startWorker();
    await until(async () => (await finished('syncInstitutions')).includes('COMPLETED'));
    await system.sim('/_sim/faults', undefined, 'DELETE');
    expect(left).toBeLessThan(1_500);

    // Four pages; the one that died with its worker was asked for again, those before it were not.
    expect(await callsOf(system, '/institutions/get')).toBeLessThanOrEqual(5);
    const truth: Json[] = [];
    for (let total = 1; truth.length < total;) {
      const page = await system.sim<{ institutions: Json[]; total: number }>('/institutions/get', {
        count: 500,
        offset: truth.length,
        country_codes: ['US'],
        options: { include_optional_metadata: true },
      });
      truth.push(...page.institutions);
      total = page.total;
    }
    const rows = await walk('institutions?country=US');
    expect(rows.length).toBe(truth.length);
    const byId = new Map(rows.map((row) => [row['institution_id'], row]));
    for (const institution of truth) {
      const { routing_numbers, dtc_numbers, connection_availability, ...shown } = institution;
      expect([routing_numbers, dtc_numbers].every(Array.isArray)).toBe(true);
      expect(connection_availability).toBe('SUPPORTED');
      expect(byId.get(institution['institution_id'])).toMatchObject(shown);
    }
    const { violations } = await system.sim<{ violations: Json[] }>('/_sim/calls');
    expect(violations).toEqual([]);
    expect(await finished('syncInstitutions')).toEqual(['COMPLETED']);
  });

  it('are found by part of their name, by country and by id', async () => {
    const found = await walk('institutions?query=pLaTyPuS');
    expect(found.length).toBeGreaterThan(3);
    for (const { name } of found) expect(name).toMatch(/platypus/i);
    expect(await walk('institutions?country=CA')).toEqual([]);
    expect((await read('institutions/ins_109508')).body).toMatchObject({
      institution_id: 'ins_109508',
      name: 'First Platypus Bank',
      status: null,
      vanished_at: null,
    });
    const canadian = await read('institutions/ins_43');
    expect([canadian.status, canadian.body['code']]).toEqual([404, 'not_found']);
  });

  it('are read from Plaid now, with their connection status', async () => {
    const { status, body } = await read('institutions/ins_132361/live');
    expect([status, Object.keys(body).sort()]).toEqual([200, ['institution', 'request_id']]);
    expect(body['institution']).toMatchObject({ institution_id: 'ins_132361', logo: expect.any(String) });
    expect(JSON.stringify(body['institution'].status)).toContain('DOWN');
    const unknown = await read('institutions/ins_0/live');
    expect([unknown.status, unknown.body['code'], unknown.body['plaid'].error_code]).toEqual([
      404,
      'unknown_institution',
      'INVALID_INSTITUTION',
    ]);
  });

  it('in use have their connection status kept by a round of its own', async () => {
    const itemId = await linkItem(system, { user: 'banker', institution: 'ins_132363' });
    await system.client.schedule.getHandle('institution-status').trigger();
    await until(async () => (await read('institutions/ins_132363')).body['status'] !== null);
    const { body } = await read('institutions/ins_132363');
    expect(JSON.stringify(body['status'])).toContain('DEGRADED');
    expect((await read('institutions/ins_109508')).body['status_at']).toBeNull();

    const list = await read('users/banker/items?include=accounts,logo');
    const [item] = list.body['data'] as Json[];
    expect([item?.['item_id'], item?.['logo']]).toEqual([itemId, body['logo']]);
    await until(async () => {
      const { body: now } = await read('users/banker/items?include=accounts');
      return now['data'][0].accounts.length > 0;
    });
    const { body: cached } = await read(`items/${itemId}/accounts`);
    const { body: withAccounts } = await read('users/banker/items?include=accounts');
    expect(withAccounts['data'][0].accounts.map(({ id }: Json) => id)).toEqual(
      cached['data'].map(({ id }: Json) => id),
    );
  });

  it('give a logo that the cache lost, fetched once', async () => {
    await system.sql`UPDATE institutions SET logo = NULL WHERE institution_id = 'ins_132363'`;
    const path = '/institutions/get_by_id';
    const before = await callsOf(system, path);
    const lists = await Promise.all([1, 2, 3].map(() => read('users/banker/items?include=logo')));
    for (const { body } of lists) expect(body['data'][0].logo).toMatch(/^iVBOR/);
    expect((await callsOf(system, path)) - before).toBe(1);
    expect((await read('institutions/ins_132363')).body['logo']).toMatch(/^iVBOR/);

    await system.sql`DELETE FROM institutions WHERE institution_id = 'ins_132363'`;
    await system.sim('/_sim/faults', { match: { path }, fault: { status: 500 }, times: 9 });
    const { status, body } = await read('users/banker/items?include=logo');
    expect([status, body['data'][0].logo]).toEqual([200, null]);
  });

  it('are synced by a schedule that lets no run overlap and catches up with no long outage', async () => {
    const { schedule, policies } = await system.client.schedule
      .getHandle('institutions')
      .describe()
      .then((found) => ({ schedule: found.spec, policies: found.policies }));
    expect(schedule.intervals?.map(({ every }) => every)).toEqual([86_400_000]);
    expect([policies.overlap, policies.catchupWindow]).toEqual(['SKIP', 3_600_000]);
    const cleanUp = await system.client.schedule.getHandle('clean-up').describe();
    expect(cleanUp.spec.intervals?.map(({ every }) => every)).toEqual([86_400_000]);
    expect([cleanUp.policies.overlap, cleanUp.policies.catchupWindow]).toEqual(['SKIP', 3_600_000]);

    // One that hangs must not be the last.
    for (const id of ['sweep', 'institutions', 'institution-status', 'clean-up']) {
      const { action } = await system.client.schedule.getHandle(id).describe();
      expect([id, Number(action.workflowExecutionTimeout)]).toEqual([id, expect.any(Number)]);
      expect(Number(action.workflowExecutionTimeout)).toBeGreaterThan(0);
    }

    // The next release takes over what is configured, and starts nothing by that.
    await ensureSchedules(system.client, {
      sweepEveryMs: 1_000,
      sweepGraceMs: 2_000,
      institutionsEveryMs: 43_200_000,
      institutionPagesPerMinute: 10,
      institutionStatusEveryMs: 3_600_000,
      cleanUpEveryMs: 86_400_000,
      keep: {
        outbox: 1,
        webhooks: 1,
        links: 1,
        parkedRows: 1,
        parkedEvents: 1,
        segmentEvents: 1,
        balances: 1,
        events: 1,
      },
    });
    const changed = await system.client.schedule.getHandle('institutions').describe();
    expect(changed.spec.intervals?.map(({ every }) => every)).toEqual([43_200_000]);
    expect(changed.info.numActionsTaken).toBe(1);
  });
});
