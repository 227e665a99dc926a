import { randomUUID } from 'node:crypto';
import type { Activities } from '../../activities/index.js';
import { historyWorkflowId, itemWorkflowId, linkWorkflowId, loginWorkflowId } from '../../domain/ids.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';
import { startTemporal, until } from '../workflows/harness.js';
import type { TemporalHarness } from '../workflows/harness.js';

/**
 * Ids count characters, Temporal counts bytes (64 of a fairness key, 1,000 of a workflow's id, 400 of a summary): the
 * longest ids that are allowed, in characters of one, two, three and four bytes, through everything that is sent to a real
 * server and back from the workflows.
 */
const alphabets = [
  ['one byte', 'a'],
  ['two bytes', 'ж'],
  ['three bytes', '漢'],
  ['four bytes', '😀'],
] as const;

/** `length` characters, no two ids alike. */
const longest = (character: string, length: number): string => {
  const own = randomUUID();
  return own + character.repeat(length - own.length);
};

describe.each(alphabets)('ids of characters of %s', (_, character) => {
  let temporal: TemporalHarness;
  const userId = longest(character, 128);
  const done: string[] = [];

  const activities: Partial<Activities> = {
    async listItemsToCheck() {
      return { itemIds: [itemId] };
    },
    async checkStaleness() {
      done.push('checked');
      return { item_id: itemId, stale: false, webhook_id: null, reason: null };
    },
    loadPolicy: async () => defaultPolicy,
    async loadItem() {
      return {
        policy: { ...defaultPolicy, quiet: 1, quietDeadline: 1, betweenUpdates: 1 },
        snapshot: itemSnapshot({
          itemId,
          userId,
          institutionId: longest(character, 256),
          hasCursor: true,
          history: 'complete',
          nextDueAt: Date.now() + 3_600_000,
          due: done.includes('settled') ? [] : ['itemWebhooks'],
          remineRequested: true,
          remines: 1,
        }),
      };
    },
    async settleItemWebhooks() {
      done.push('settled');
      return { health: null, numbersDue: false, more: false };
    },
    async minePage() {
      done.push('mined');
      return { kind: 'notReady', calls: 1 };
    },
    async loadLink() {
      const outcome = { kind: 'linked' as const, item_id: itemId, replaces: null, warnings: [] };
      return { state: 'finished', userId, itemId, outcome };
    },
  };
  const itemId = longest(character, 256);

  beforeAll(async () => {
    temporal = await startTemporal(activities);
  });
  afterAll(() => temporal.stop());
  afterEach(() => void done.splice(0));

  it('a login of the stream is checked, once an event', async () => {
    const eventId = longest(character, 128);
    await temporal.gateway.startCheck(eventId, userId);
    await temporal.client.workflow.getHandle(loginWorkflowId(eventId)).result();
    await temporal.gateway.startCheck(eventId, userId);
    expect(done).toEqual(['checked']);
  });

  it('a login of the API is answered', async () => {
    expect(await temporal.gateway.checkUser(userId, 60_000, randomUUID())).toEqual([
      { item_id: itemId, stale: false, webhook_id: null, reason: null },
    ]);
  });

  it('a link ends', async () => {
    const tokenHash = randomUUID();
    expect(await temporal.gateway.link(tokenHash, userId, 60_000)).toMatchObject({ kind: 'linked' });
    await temporal.gateway.startLink(randomUUID(), userId);
    expect(await temporal.client.workflow.getHandle(linkWorkflowId(tokenHash)).result()).toMatchObject({
      item_id: itemId,
    });
  });

  it('an Item is told, works through children of its own, and answers', async () => {
    const { gateway } = temporal;
    await gateway.signalItem(itemId, userId, { kind: 'foundDue' });
    await until(() => ['settled', 'mined'].every((what) => done.includes(what)));
    await gateway.signalItem(itemId, userId, { kind: 'webhookReceived', webhook: 'history' });
    const history = temporal.client.workflow.getHandle(historyWorkflowId(itemId));
    await until(async () => (await history.describe()).status.name === 'COMPLETED');
    await until(async () => (await gateway.itemStatus(itemId)) !== null);
    expect(await gateway.isHistoryRunning(itemId)).toBe(false);
    expect(await gateway.isRemineRunning(itemId, 1)).toBe(false);
    const description = await temporal.client.workflow.getHandle(itemWorkflowId(itemId)).describe();
    expect(Buffer.byteLength((await description.staticSummary()) ?? '')).toBeGreaterThan(0);
  });
});
