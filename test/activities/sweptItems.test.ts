import { Failure } from '../../domain/failures.js';
import { twice, webhook, world } from './sharedWorld.js';

describe('the sweep', () => {
  it('tells again of the same, changes nothing, and is not held up by one that takes no signal', async () => {
    const forgotten = await world.linkedItem();
    await world.sql`
      UPDATE items SET next_due_at = NULL, numbers_due_at = NULL, unsent_since = NULL, segment_due_at = NULL,
        remine_requested_at = NULL`;
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE outcome = 'pending'`;
    await world.sql`UPDATE links SET state = 'finished'`;
    await world.sql`UPDATE items SET removal_requested_at = NULL WHERE removed_at IS NULL`;
    const { tokenHash } = await world.receive();
    await world.stores.webhooks.store(webhook(forgotten.itemId, 'update'));
    world.signals.length = 0;
    world.startedLinks.length = 0;
    const found = { items: 1, links: 1, unknown: 0, failed: 0, left: 0 };
    expect(await twice('sweep', { graceMs: 0 })).toEqual([found, found]);
    const told = { itemId: forgotten.itemId, signal: 'foundDue' };
    expect([world.signals, world.startedLinks]).toEqual([
      [told, told],
      [tokenHash, tokenHash],
    ]);
    const deaf = world.runWith({
      gateway: {
        signalItem: () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'history is full')),
        startLink: () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'away')),
        startErasure: async () => undefined,
        deleteWorkflowsOf: async () => 0,
        isHistoryRunning: async () => false,
        wakeEndpoint: async () => undefined,
        isRemineRunning: () => Promise.resolve(false),
      },
    });
    expect(await deaf.sweep({ graceMs: 0 })).toEqual({ ...found, failed: 2 });
    expect(await world.run.sweep({ graceMs: 3_600_000 })).toEqual({ ...found, items: 0, links: 0 });
  });

  it('has an operator told of each whose signal Temporal will refuse for ever, once, and logs the first of each list', async () => {
    const { tokenHash } = await world.receive();
    const { itemId } = await world.linkedItem();
    const refuse = () => Promise.reject(new Failure('ORCHESTRATOR_REFUSED', 'INVALID_ARGUMENT'));
    const run = world.runWith({
      gateway: {
        signalItem: refuse,
        startLink: refuse,
        startErasure: refuse,
        deleteWorkflowsOf: refuse,
        isHistoryRunning: async () => false,
        wakeEndpoint: async () => undefined,
        isRemineRunning: async () => false,
      },
    });
    await run.sweep({ graceMs: 0 });
    await run.sweep({ graceMs: 0 });
    expect(world.unexpected.splice(0)).toHaveLength(4);
    const alerts = await world.sql<{ key: string; item_id: string | null }[]>`
      SELECT key, item_id FROM alerts WHERE kind = 'signal_refused' AND key IN (${tokenHash}, ${itemId})`;
    expect([...alerts].sort((a, b) => (a.item_id === null ? -1 : b.item_id === null ? 1 : 0))).toEqual([
      { key: tokenHash, item_id: null },
      { key: itemId, item_id: itemId },
    ]);
  });
});
