import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { Failure } from '../../domain/failures.js';
import { streamNames } from '../../domain/mining/events.js';
import { whileRefused } from '../stack/refusedRows.js';
import { stateOf, twice, world } from './sharedWorld.js';

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
formats.default(ajv);
const schemas = new URL('../../schemas/', import.meta.url);
for (const file of readdirSync(schemas).filter((name) => name.endsWith('.json'))) {
  ajv.addSchema(JSON.parse(readFileSync(new URL(file, schemas), 'utf8')) as object);
}

/** What is wrong with an event by the schema of the streams. */
function streamErrors(event: unknown): string[] {
  const validate = ajv.getSchema('urn:sluice:schema:event');
  if (validate === undefined) throw new Error('no schema of events');
  return validate(event)
    ? []
    : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
}

describe('the erasure of a user', () => {
  it('ends Items and links, then rows and workflows, tells the streams, and leaves a tombstone', async () => {
    const item = await world.linkedItem('erased');
    const waiting = await world.receive('erased');
    const erasure = await world.stores.erasures.request('erased', {
      erasureId: 'era_1',
      force: false,
      applicationId: 'default',
      keyId: 'key-1',
    });
    expect(erasure).toMatchObject({ erasure_id: 'era_1', state: 'removing' });
    const input = { erasureId: 'era_1' };
    world.signals.length = 0;
    world.startedErasures.length = 0;
    // The link that Plaid was not asked for has ended with the request.
    expect(await twice('stopUser', input)).toEqual([
      { items: 1, links: 0 },
      { items: 1, links: 0 },
    ]);
    expect(await stateOf(waiting.tokenHash)).toBe('finished');
    expect(world.signals[0]).toEqual({ itemId: item.itemId, signal: 'removalRequested' });
    expect(await twice('sweepErasures', { graceMs: 0 })).toEqual([{ open: 1 }, { open: 1 }]);
    expect(world.startedErasures).toEqual(['era_1', 'era_1']);
    await world.run.removeItem({ itemId: item.itemId });

    // Killed after each batch: what is done is done, and the rest goes on.
    world.crashAt = 'erase.afterRows';
    await expect(world.run.deleteUserRows(input)).rejects.toThrow();
    const [rows] = await twice('deleteUserRows', input);
    expect(rows?.done).toBe(true);
    world.workflowsLeft = 3;
    expect(await twice('deleteUserWorkflows', input)).toEqual([
      { deleted: 3, done: false },
      { deleted: 0, done: true },
    ]);
    expect(world.erasedOf).toEqual(['erased', 'erased']);

    world.records.length = 0;
    world.crashAt = 'erase.afterPut';
    await expect(world.run.publishUserErased(input)).rejects.toThrow();
    expect(await twice('publishUserErased', input)).toEqual([{ records: 4 }, { records: 4 }]);
    expect(world.records.slice(1).map(({ stream }) => stream)).toEqual([...streamNames, ...streamNames]);
    const [again, first] = world.records;
    expect(again).toEqual(first);
    const ids = new Set(world.records.flatMap(({ events }) => events.map(({ id }) => id)));
    expect(ids.size).toBe(4);
    for (const { key, events } of world.records) {
      expect(key).toBe(item.itemId);
      expect(events.flatMap((event) => streamErrors(event))).toEqual([]);
    }

    world.crashAt = 'erase.afterEnd';
    await expect(world.run.finishErasure(input)).rejects.toThrow();
    expect(await twice('finishErasure', input)).toEqual([{ ended: true }, { ended: true }]);
    expect(await world.stores.erasures.get('era_1')).toMatchObject({
      state: 'done',
      deleted: { items: 1, users: 1, links: 2 },
    });
    // A run that begins anew finds nothing to do.
    expect(await world.run.stopUser(input)).toBeNull();
    expect(await world.run.publishUserErased(input)).toEqual({ records: 0 });
    expect(
      (await world.dump()).filter((row) => /"erased"|Item/.test(row) && row.includes(item.itemId)),
    ).toEqual([]);
  });

  it('does not wait for Temporal, and has an operator told of one that takes a day', async () => {
    await world.linkedItem('erased-later');
    await world.stores.erasures.request('erased-later', {
      erasureId: 'era_2',
      force: false,
      applicationId: 'default',
      keyId: 'key-1',
    });
    const down = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    const deaf = world.runWith({
      gateway: {
        signalItem: down,
        startLink: down,
        startErasure: async () => undefined,
        deleteWorkflowsOf: down,
        wakeEndpoint: async () => undefined,
        isHistoryRunning: async () => false,
        isRemineRunning: async () => false,
      },
    });
    expect(await deaf.stopUser({ erasureId: 'era_2' })).toEqual({ items: 1, links: 0 });
    await world.sql`UPDATE erasures SET requested_at = now() - interval '2 days' WHERE erasure_id = 'era_2'`;
    await world.run.sweepErasures({ graceMs: 0 });
    expect(await world.sql`SELECT key, item_id, detail FROM alerts WHERE kind = 'erasure_late'`).toEqual([
      { key: 'era_2', item_id: null, detail: { erasure_id: 'era_2' } },
    ]);
  });

  it('admits no Item that was exchanged meanwhile', async () => {
    const { tokenHash, item } = await world.receive('erased-linking');
    await world.run.exchangePublicToken({ tokenHash });
    await world.stores.erasures.request('erased-linking', {
      erasureId: 'era_3',
      force: false,
      applicationId: 'default',
      keyId: 'key-1',
    });
    world.startedLinks.length = 0;
    expect(await world.run.stopUser({ erasureId: 'era_3' })).toEqual({ items: 1, links: 1 });
    expect(world.startedLinks).toEqual([tokenHash]);
    expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'user_being_erased' });
    await world.run.discardItem({ tokenHash });
    expect(item.removed).toBe(true);
    await world.run.finishLink({ tokenHash, outcome: { kind: 'user_being_erased' } });
    expect(await world.run.stopUser({ erasureId: 'era_3' })).toEqual({ items: 0, links: 0 });
  });

  it('that cannot be told to an operator, or whose row somebody holds, holds up none of the others', async () => {
    const ids = ['era_held', 'era_mute', 'era_free'];
    for (const erasureId of ids) {
      await world.linkedItem(erasureId);
      const by = { erasureId, force: false, applicationId: 'default', keyId: 'key-1' };
      await world.stores.erasures.request(erasureId, by);
    }
    await world.sql`UPDATE erasures SET requested_at = now() - interval '2 days' WHERE erasure_id = ANY(${ids})`;
    world.startedErasures.length = 0;
    let held = true;
    await world.sql.begin(async (tx) => {
      await tx`SELECT FROM erasures WHERE erasure_id = 'era_held' FOR UPDATE`;
      const swept = world.run.sweepErasures({ graceMs: 0 }).finally(() => (held = false));
      await Promise.race([swept, new Promise((resolve) => setTimeout(resolve, 5_000).unref())]);
    });
    expect(held).toBe(false);
    expect(world.startedErasures).toEqual(expect.arrayContaining(ids));

    world.startedErasures.length = 0;
    const refused = { statements: ['INSERT ON alerts'], rows: "NEW.key = 'era_held'" };
    await whileRefused(world.sql, refused, () =>
      expect(world.run.sweepErasures({ graceMs: 0 })).rejects.toMatchObject({ type: 'BAD_REQUEST' }),
    );
    expect(world.startedErasures).toEqual(expect.arrayContaining(ids));
  });
});
