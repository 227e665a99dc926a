import { randomUUID } from 'node:crypto';
import { WorkflowNotFoundError } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import { historyWorkflowId, itemWorkflowId, linkWorkflowId, loginWorkflowId } from '../../domain/ids.js';
import { keyword } from '../../domain/operatorTexts.js';
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

  it('of a user who is erased nothing is left, what runs included, and of another everything', async () => {
    const { gateway, client } = temporal;
    const stays = `${userId.slice(0, -1)}"'\\`;
    const [gone, login] = [randomUUID(), randomUUID()];
    await gateway.startCheck(login, stays);
    const of = async (user: string): Promise<string[]> => {
      const ids: string[] = [];
      for await (const { workflowId, searchAttributes } of client.workflow.list())
        if (String(searchAttributes['SluiceUser']) === keyword(user)) ids.push(workflowId);
      return ids;
    };
    await until(async () => (await of(stays)).length === 1 && (await of(userId)).length > 3);
    await gateway.startLink(gone, userId);
    // One that the index may not show yet is known by its id.
    const ids = [linkWorkflowId(gone), itemWorkflowId(itemId), itemWorkflowId('of nobody')];
    const deleteAll = async (user: string): Promise<void> => {
      while ((await gateway.deleteWorkflowsOf(user, user === userId ? ids : [], 3)) > 0);
    };
    await until(async () => {
      await deleteAll(userId);
      return (await of(userId)).length === 0;
    });
    await expect(client.workflow.getHandle(itemWorkflowId(itemId)).describe()).rejects.toThrow(
      WorkflowNotFoundError,
    );
    expect(await of(stays)).toEqual([loginWorkflowId(login)]);
    await until(async () => {
      await deleteAll(stays);
      return (await of(stays)).length === 0;
    });
  });
});
