import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import {
  endpointWorkflowId,
  historyWorkflowId,
  itemWorkflowId,
  linkWorkflowId,
  remineWorkflowId,
  taskQueues,
} from '../../domain/ids.js';
import type { Policy } from '../../domain/item/policy.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import type { ItemSnapshot } from '../../domain/item/state.js';
import type { PageResult } from '../../domain/mining/run.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';
import type { TemporalHarness } from '../workflows/harness.js';
import { startTemporal, until } from '../workflows/harness.js';

const pace: Policy = {
  ...defaultPolicy,
  ...{
    quiet: 50,
    quietDeadline: 300,
    betweenUpdates: 100,
    pollFirst: 100,
    retryFirst: 100,
    retryLongest: 400,
  },
  ...{ brokenCheck: 500, childCheck: 60_000 },
};

const applied = (changes: number): PageResult => ({
  kind: 'applied',
  outcome: { added: changes, modified: 0, removed: 0, accounts: 1, changes, pages: 1, history: 'complete' },
  webhooksWaiting: 0,
  removalsWaiting: 0,
  broken: false,
  nextDueAt: Date.now() + 36 * 3_600_000,
  calls: 1,
});

/** One Item as the fake activities have it: a path changes it on its way. */
class Item {
  readonly itemId = randomUUID().replaceAll('-', '');
  row: ItemSnapshot = itemSnapshot({
    itemId: this.itemId,
    history: 'complete',
    hasCursor: true,
    nextDueAt: Date.now() + 36 * 3_600_000,
  });
  pages = 0;
  published = 0;
  /** Pages of the next update before its last one. */
  longer = 0;
  answer: (page: number, remine: boolean) => PageResult | Promise<PageResult> = (page) =>
    page < this.longer ? { kind: 'staged', rows: 500, calls: 1 } : applied(3);
  healthy = true;
  policy = pace;
  /** How often the streams refuse. */
  refusals = 0;
  looks = 0;
}

export interface Played {
  /** Name of the file under which the history is kept. */
  name: string;
  workflowId: string;
  /** The newest run when absent. */
  runId?: string;
}

/**
 * Plays each path of phases that a workflow can go, with fake activities on a real server, and says whose histories are to be
 * kept. They end where a path ends, so that a workflow that lives on is replayed as far as it has come.
 */
export async function playAll(): Promise<{ temporal: TemporalHarness; played: Played[] }> {
  const items = new Map<string, Item>();
  const of = (itemId: string): Item => items.get(itemId) as Item;
  const newItem = (): Item => {
    const item = new Item();
    items.set(item.itemId, item);
    return item;
  };
  const linked = newItem();
  let linkState: 'received' | 'exchanged' = 'received';
  let statusPages = 0;
  let drains = 0;
  const activities: Partial<Activities> = {
    loadItem: async ({ itemId }) => ({ snapshot: of(itemId).row, policy: of(itemId).policy }),
    loadPolicy: async () => pace,
    async minePage({ itemId, page, remine }) {
      of(itemId).pages += 1;
      return of(itemId).answer(page, remine ?? false);
    },
    async publish({ itemId }) {
      if ((of(itemId).refusals -= 1) >= 0)
        throw ApplicationFailure.create({ type: 'UPSTREAM_DOWN', message: 'down' });
      const done = (of(itemId).published += 1) > 1;
      return { done };
    },
    saveNumbers: async () => ({ accounts: 1 }),
    settleRemovals: async () => ({ changes: 1, more: false }),
    settleItemWebhooks: async ({ itemId }) => ({
      health: of(itemId).healthy ? ('healthy' as const) : ('broken' as const),
      numbersDue: false,
      more: false,
    }),
    checkItem: async ({ itemId }) => ({
      result: of(itemId).healthy ? ('healthy' as const) : ('broken' as const),
    }),
    sendSegmentEvents: async () => ({ done: true }),
    removeItem: async () => undefined,
    async lookAtHistory({ itemId }) {
      of(itemId).looks += 1;
      return { running: true };
    },
    reportDeadEnd: async () => ({ remines: 1 }),
    loadLink: async () => ({
      state: linkState,
      userId: 'user-1',
      itemId: linkState === 'received' ? null : linked.itemId,
      outcome: null,
    }),
    guardLink: async () => ({ duplicateOf: null }),
    async exchangePublicToken() {
      linkState = 'exchanged';
      return { kind: 'exchanged', itemId: linked.itemId };
    },
    admitItem: async () => ({ kind: 'admitted', replaced: [], warnings: [] }),
    startItem: async () => undefined,
    finishLink: async ({ outcome }) => outcome,
    sweep: async () => ({}) as never,
    endConnections: async () => ({}) as never,
    wakeEndpoints: async () => ({ woken: 0 }),
    async drainEndpoint() {
      drains += 1;
      if (drains === 2) throw ApplicationFailure.create({ type: 'MISCONFIGURED', message: 'no', nonRetryable: true });
      const nextAt = drains < 4 ? new Date(Date.now() + 200).toISOString() : null;
      return { nextAt, attempts: drains === 1 ? 3 : 0 };
    },
    listItemsToCheck: async () => ({ itemIds: ['ItemA', 'ItemB'] }),
    async checkStaleness({ itemId }) {
      if (itemId === 'ItemB')
        throw ApplicationFailure.create({ type: 'ITEM_GONE', message: 'gone', nonRetryable: true });
      return { item_id: itemId, stale: true, webhook_id: 'w', reason: 'last_update_old' };
    },
    saveInstitutionPage: async ({ offset }) => ({ listed: Math.min(5, 12 - offset), kept: 5, total: 12 }),
    finishInstitutionSync: async () => ({ complete: true, vanished: 0 }),
    async saveInstitutionStatuses() {
      statusPages += 1;
      const next = { start: null, after: `ins_${statusPages}`, wrapped: false };
      return { checked: 2, failed: 0, next: statusPages < 3 ? next : null };
    },
    deleteExpired: async ({ after }) => ({ deleted: 3, next: after === null ? 'x' : null }),
  };
  const temporal = await startTemporal(activities);
  const { gateway, client } = temporal;
  const signal = (item: Item, webhook: 'update' | 'history' | 'item' | 'removals'): Promise<void> =>
    gateway.signalItem(item.itemId, 'user-1', { kind: 'webhookReceived', webhook });
  const idle = (item: Item, pages: number): Promise<void> =>
    until(async () => item.pages >= pages && (await gateway.itemStatus(item.itemId))?.phase === 'idle');
  const played: Played[] = [];
  const keep = (name: string, workflowId: string, runId?: string): number =>
    played.push({ name, workflowId, ...(runId === undefined ? {} : { runId }) });
  const run = async (name: string, workflowType: string, input: object): Promise<void> => {
    const workflowId = `replay/${name}`;
    await client.workflow.execute(workflowType, { workflowId, taskQueue: taskQueues.core, args: [input] });
    keep(name, workflowId);
  };

  const threePages = newItem();
  threePages.longer = 2;
  await signal(threePages, 'update');
  await idle(threePages, 3);
  await until(() => threePages.published > 1);
  keep('update of three pages', itemWorkflowId(threePages.itemId));

  const moving = newItem();
  moving.answer = () =>
    moving.pages === 1 ? { kind: 'moved', atDurableCursor: false, calls: 1 } : applied(0);
  moving.row = { ...moving.row, due: ['numbers', 'segment', 'removals', 'publish'] };
  await signal(moving, 'update');
  await idle(moving, 2);
  await until(() => moving.published > 1);
  keep('restart, and every kind of due work', itemWorkflowId(moving.itemId));

  const paged = newItem();
  paged.longer = 2;
  await signal(paged, 'history');
  await idle(paged, 3);
  keep('history by a child', itemWorkflowId(paged.itemId));
  await until(
    async () =>
      (await client.workflow.getHandle(historyWorkflowId(paged.itemId)).describe()).status.name ===
      'COMPLETED',
  );
  keep('history', historyWorkflowId(paged.itemId));

  const carried = newItem();
  carried.longer = 8;
  carried.policy = { ...pace, continueAfter: 30 };
  await signal(carried, 'update');
  await idle(carried, 9);
  const runs = async () => {
    const query = `WorkflowId = '${itemWorkflowId(carried.itemId)}'`;
    const found = [];
    for await (const one of client.workflow.list({ query })) found.push(one);
    return found.sort((one, other) => one.startTime.getTime() - other.startTime.getTime());
  };
  await until(async () => (await runs()).length > 1);
  for (const [at, one] of (await runs()).slice(0, 2).entries())
    keep(`update over continue-as-new ${at + 1}`, itemWorkflowId(carried.itemId), one.runId);

  const refused = newItem();
  refused.refusals = 2;
  await signal(refused, 'update');
  await idle(refused, 1);
  await until(() => refused.published > 1);
  keep('a step that fails', itemWorkflowId(refused.itemId));

  const lost = newItem();
  lost.answer = (_page, remine) => (remine ? applied(1) : { kind: 'refused', error: null, calls: 1 });
  await signal(lost, 'update');
  await idle(lost, 2);
  keep('an update that is given up', itemWorkflowId(lost.itemId));

  const watched = newItem();
  watched.policy = { ...pace, childCheck: 200 };
  let release = (): void => undefined;
  const hang = new Promise<void>((resolve) => (release = resolve));
  watched.answer = async () => {
    await hang;
    return applied(1);
  };
  await signal(watched, 'history');
  await until(() => watched.looks > 1);
  release();
  await idle(watched, 1);
  keep('a child that is looked after', itemWorkflowId(watched.itemId));

  const breaking = newItem();
  breaking.healthy = false;
  await signal(breaking, 'item');
  await until(async () => (await gateway.itemStatus(breaking.itemId))?.phase === 'needs_relink');
  breaking.healthy = true;
  await gateway.signalItem(breaking.itemId, 'user-1', { kind: 'relinked' });
  await idle(breaking, 1);
  keep('broken and repaired', itemWorkflowId(breaking.itemId));

  const remined = newItem();
  await signal(remined, 'update');
  await idle(remined, 1);
  await gateway.signalItem(remined.itemId, 'user-1', { kind: 'remineRequested', number: 1 });
  await idle(remined, 3);
  keep('remine by a child', itemWorkflowId(remined.itemId));
  await until(
    async () =>
      (await client.workflow.getHandle(remineWorkflowId(remined.itemId, 1)).describe()).status.name ===
      'COMPLETED',
  );
  keep('remine', remineWorkflowId(remined.itemId, 1));

  const removed = newItem();
  await signal(removed, 'update');
  await idle(removed, 1);
  await gateway.signalItem(removed.itemId, 'user-1', { kind: 'removalRequested' });
  await until(
    async () =>
      (await client.workflow.getHandle(itemWorkflowId(removed.itemId)).describe()).status.name ===
      'COMPLETED',
  );
  keep('removal', itemWorkflowId(removed.itemId));

  await gateway.wakeEndpoint('end_1');
  await until(() => drains > 3);
  await gateway.wakeEndpoint('end_1');
  await until(() => drains > 4);
  keep('endpoint', endpointWorkflowId('end_1'));

  await gateway.link('a-token', 'user-1', 60_000);
  keep('link', linkWorkflowId('a-token'));
  await run('check of a user', 'checkUser', { userId: 'user-1', answerWithinMs: 60_000 });
  await run('institutions', 'syncInstitutions', { pagesPerMinute: 6_000 });
  await run('connection status', 'refreshInstitutionStatus', { callsPerMinute: 60_000 });
  await run('sweep', 'sweep', { graceMs: 1_000 });
  const keepMs = { outbox: 1, webhooks: 1, links: 1, segmentEvents: 1 };
  await run('cleaning up', 'cleanUp', { keep: keepMs });
  return { temporal, played };
}
