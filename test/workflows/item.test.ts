import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import type { MinePageInput } from '../../activities/transactions.js';
import { historyWorkflowId, itemWorkflowId, remineWorkflowId } from '../../domain/ids.js';
import type { ItemSnapshot } from '../../domain/item/state.js';
import type { PageResult, UpdateOutcome } from '../../domain/mining/run.js';
import type { Policy } from '../../domain/item/policy.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';
import { startTemporal, until } from './harness.js';
import type { TemporalHarness } from './harness.js';

const fast: Policy = {
  ...defaultPolicy,
  quiet: 50,
  quietDeadline: 300,
  betweenUpdates: 100,
  pollFirst: 200,
  pollLongest: 1_000,
  retryFirst: 200,
  retryLongest: 1_000,
  brokenCheck: 500,
  childCheck: 500,
};

const outcome: UpdateOutcome = {
  added: 1,
  modified: 0,
  removed: 0,
  accounts: 0,
  changes: 1,
  pages: 1,
  history: 'complete',
};

const applied: PageResult = {
  kind: 'applied',
  outcome,
  webhooksWaiting: 0,
  removalsWaiting: 0,
  broken: false,
  nextDueAt: Date.now() + 36 * 3_600_000,
  calls: 1,
};

/** A stand-in for the activities of one test: remembers the calls, and answers as its row says. */
class World {
  snapshot: ItemSnapshot;
  policy: Policy = fast;
  pages: MinePageInput[] = [];
  published = 0;
  removed = 0;
  checks = 0;
  /** Webhooks about the Item that wait. */
  told = 0;
  loads = 0;
  /** What a look at its child finds: a slow machine is no reason to take over. */
  historyRunning = true;
  page: (input: MinePageInput, call: number) => PageResult | Promise<PageResult> = () => applied;
  publish: () => boolean = () => true;

  constructor(readonly itemId: string = randomUUID().replaceAll('-', '')) {
    this.snapshot = itemSnapshot({
      itemId,
      history: 'complete',
      hasCursor: true,
      nextDueAt: Date.now() + 3_600_000,
    });
  }
}

describe('the item workflow', () => {
  let temporal: TemporalHarness;
  const worlds = new Map<string, World>();
  const world = (changes: Partial<ItemSnapshot> = {}): World => {
    const made = new World();
    Object.assign(made.snapshot, changes);
    worlds.set(made.itemId, made);
    return made;
  };
  const of = (itemId: string): World => worlds.get(itemId) as World;
  let paceOfChildren = fast;
  const activities: Partial<Activities> = {
    async loadItem({ itemId }) {
      of(itemId).loads += 1;
      return { snapshot: of(itemId).snapshot, policy: of(itemId).policy };
    },
    loadPolicy: async () => paceOfChildren,
    async minePage(input) {
      const mine = of(input.itemId);
      mine.pages.push(input);
      return mine.page(input, mine.pages.length);
    },
    async publish({ itemId }) {
      of(itemId).published += 1;
      return { done: of(itemId).publish() };
    },
    async saveNumbers() {
      return { accounts: 0 };
    },
    async settleRemovals() {
      return { changes: 0, more: false };
    },
    async settleItemWebhooks({ itemId }) {
      const mine = of(itemId);
      mine.told = Math.max(0, mine.told - 200);
      return { health: null, numbersDue: false, more: mine.told > 0 };
    },
    async checkItem({ itemId }) {
      of(itemId).checks += 1;
      return { result: 'healthy' as const };
    },
    async removeItem({ itemId }) {
      of(itemId).removed += 1;
    },
    async lookAtHistory({ itemId }) {
      return { running: of(itemId).historyRunning };
    },
  };

  beforeAll(async () => {
    temporal = await startTemporal(activities);
  });
  afterAll(async () => {
    await temporal.stop();
  });

  const signal = (mine: World, webhook: 'update' | 'history' = 'update') =>
    temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'webhookReceived', webhook });
  const phase = async (mine: World): Promise<string | undefined> =>
    (await temporal.gateway.itemStatus(mine.itemId))?.phase;
  const settled = (mine: World, pages: number): Promise<void> =>
    until(async () => mine.pages.length === pages && (await phase(mine)) === 'idle');

  it('is started by its first webhook, updates once for a burst, and publishes', async () => {
    const mine = world();
    await Promise.all(Array.from({ length: 20 }, () => signal(mine)));
    await settled(mine, 1);
    await until(() => mine.published === 1);
    expect(mine.pages[0]).toMatchObject({ itemId: mine.itemId, page: 0 });
  });

  it('loses no signal that comes while it continues as new, again and again', async () => {
    const mine = world();
    mine.policy = { ...fast, continueAfter: 40, quiet: 5, quietDeadline: 10, betweenUpdates: 5 };
    for (let n = 0; n < 60; n += 1) await signal(mine);
    await until(async () => mine.pages.length > 0 && (await phase(mine)) === 'idle');
    const before = mine.pages.length;
    await signal(mine);
    await until(() => mine.pages.length > before);
    const { workflow } = temporal.client;
    const workflowId = itemWorkflowId(mine.itemId);
    const runs = new Set<string>();
    // The index comes behind: it may lack a run, and call one running that is over.
    await until(async () => {
      for await (const { runId } of workflow.list({ query: `WorkflowId = "${workflowId}"` })) runs.add(runId);
      return runs.size > 1;
    });
    const all = [...runs].map((runId) => workflow.getHandle(workflowId, runId).describe());
    const ends = (await Promise.all(all)).map(({ status }) => status.name);
    expect(ends.filter((end) => end !== 'CONTINUED_AS_NEW' && end !== 'RUNNING')).toEqual([]);
    expect(ends.filter((end) => end === 'CONTINUED_AS_NEW').length).toBeGreaterThanOrEqual(runs.size - 1);
  });

  it('carries an update over continue-as-new: same update id, next page', async () => {
    const mine = world();
    mine.policy = { ...fast, continueAfter: 20 };
    mine.page = (input) => (input.page < 8 ? { kind: 'staged', rows: 500, calls: 1 } : applied);
    await signal(mine);
    await settled(mine, 9);
    expect(new Set(mine.pages.map((page) => page.updateId)).size).toBe(1);
    expect(mine.pages.map((page) => page.page)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // Each run reads the row and the pace anew.
    expect(mine.loads).toBeGreaterThan(1);
  });

  it('takes up a changed pace with its next reload of the row', async () => {
    const mine = world();
    await signal(mine);
    await settled(mine, 1);
    const day = 24 * 3_600_000;
    mine.policy = { ...fast, pollLongest: day };
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'foundDue' });
    await until(() => mine.loads === 2);
    await signal(mine);
    await until(() => mine.pages.length === 2);
    expect(Date.parse(String(mine.pages[1]?.dueAt.incomplete))).toBeGreaterThan(Date.now() + day / 2);
  });

  it('restarts under another update id when data moved', async () => {
    const mine = world();
    mine.page = (input, call) => {
      if (call === 2) return { kind: 'moved', atDurableCursor: false, calls: 1 };
      return input.page === 0 ? { kind: 'staged', rows: 1, calls: 1 } : applied;
    };
    await signal(mine);
    await settled(mine, 4);
    const ids = mine.pages.map((page) => page.updateId);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    expect(ids[3]).toBe(ids[2]);
    expect(mine.pages.map((page) => page.page)).toEqual([0, 1, 0, 1]);
  });

  it('HISTORICAL_UPDATE runs as pageHistory and reports back', async () => {
    const mine = world();
    mine.page = (input) => (input.page < 3 ? { kind: 'staged', rows: 500, calls: 1 } : applied);
    await signal(mine, 'history');
    await until(async () => mine.pages.length === 4 && (await phase(mine)) === 'idle');
    await until(() => mine.published === 1);
    const child = temporal.client.workflow.getHandle(historyWorkflowId(mine.itemId));
    expect((await child.describe()).type).toBe('pageHistory');
    // It reports before it ends.
    await until(async () => (await child.describe()).status.name === 'COMPLETED');
  });

  it('tells pageHistory how many updates before it have brought nothing', async () => {
    const mine = world();
    mine.page = () => ({ ...applied, outcome: { ...outcome, changes: 0 } });
    for (const pages of [1, 2]) {
      await signal(mine);
      await settled(mine, pages);
    }
    await signal(mine, 'history');
    await settled(mine, 3);
    expect(mine.pages[2]?.polls).toBe((mine.pages[1]?.polls ?? 0) + 1);
  });

  it('answers while pageHistory runs, and takes over when that was terminated', async () => {
    const mine = world();
    let release: (value: PageResult) => void = () => undefined;
    mine.page = (_input, call) =>
      call === 1 ? new Promise<PageResult>((resolve) => (release = resolve)) : applied;
    await signal(mine, 'history');
    await until(() => mine.pages.length === 1);
    await signal(mine);
    expect(await phase(mine)).toBe('updating');
    await temporal.client.workflow.getHandle(historyWorkflowId(mine.itemId)).terminate('by an operator');
    mine.historyRunning = false;
    release({ kind: 'gone', calls: 1 });
    await until(async () => mine.pages.length === 2 && (await phase(mine)) === 'idle');
    expect(mine.pages[1]?.updateId).not.toBe(mine.pages[0]?.updateId);
  });

  it('terminated with a full inbox: the next run rebuilds itself from the row', async () => {
    const mine = world();
    let blocked = true;
    mine.page = async () => {
      while (blocked) await new Promise((resolve) => setTimeout(resolve, 20));
      return applied;
    };
    await signal(mine);
    await until(() => mine.pages.length === 1);
    for (let n = 0; n < 10; n += 1) await signal(mine);
    await temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId)).terminate('by an operator');
    blocked = false;
    mine.snapshot = { ...mine.snapshot, webhooksWaiting: 10 };
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'foundDue' });
    await until(async () => mine.pages.length >= 2 && (await phase(mine)) === 'idle');
    expect(mine.loads).toBeGreaterThanOrEqual(2);
  });

  it('a failing page is shown, kept, and asked for again', async () => {
    const mine = world();
    mine.page = (_input, call) => {
      if (call === 1) throw ApplicationFailure.nonRetryable('down', 'MISCONFIGURED');
      return applied;
    };
    await signal(mine);
    await until(async () => {
      const status = await temporal.gateway.itemStatus(mine.itemId);
      return status?.last_failure?.type === 'MISCONFIGURED' || mine.pages.length > 1;
    });
    await settled(mine, 2);
    expect(mine.pages[1]).toMatchObject({ updateId: mine.pages[0]?.updateId, page: 0 });
  });

  it('that waits for its turn has failed in nothing, and sees meanwhile what goes first', async () => {
    const [mine, leaving, paging] = [world(), world(), world()];
    for (const one of [mine, leaving, paging]) one.policy = { ...fast, inLine: 1_000 };
    // A child that has failed before has not ceased to fail by waiting.
    paceOfChildren = paging.policy;
    let refusing = true;
    paging.page = () => {
      if (refusing) throw ApplicationFailure.nonRetryable('down', 'MISCONFIGURED');
      return applied;
    };
    await temporal.gateway.signalItem(paging.itemId, 'user-1', {
      kind: 'webhookReceived',
      webhook: 'history',
    });
    const failure = async () => (await temporal.gateway.itemStatus(paging.itemId))?.last_failure;
    await until(async () => (await failure())?.type === 'MISCONFIGURED');
    paceOfChildren = fast;
    // Nobody takes what Plaid is to be asked for: as the line in front of its limits, where a mass import is before them.
    await temporal.restartWorkers(activities, { roles: ['core'] });
    try {
      for (const one of [mine, leaving]) await signal(one);
      await until(() => mine.loads >= 4 && leaving.loads >= 2);
      const status = await temporal.gateway.itemStatus(mine.itemId);
      expect(status).toMatchObject({ phase: 'updating', last_failure: null });
      const child = temporal.client.workflow.getHandle(historyWorkflowId(paging.itemId));
      await until(async () => {
        const { events } = await child.fetchHistory();
        return (events ?? []).filter((event) => event.activityTaskTimedOutEventAttributes).length >= 2;
      });
      expect(await failure()).toMatchObject({ type: 'MISCONFIGURED' });
      await temporal.gateway.signalItem(leaving.itemId, 'user-1', { kind: 'removalRequested' });
      const described = temporal.client.workflow.getHandle(itemWorkflowId(leaving.itemId));
      await until(async () => {
        const { raw } = await described.describe();
        return (
          raw.pendingActivities?.some(({ activityType }) => activityType?.name === 'removeItem') === true
        );
      });
    } finally {
      refusing = false;
      await temporal.restartWorkers(activities);
    }
    await settled(mine, 1);
    await until(async () => (await failure()) === null);
    await until(() => leaving.removed === 1);
    expect(leaving.pages).toEqual([]);
    expect(await temporal.gateway.itemStatus(mine.itemId)).toMatchObject({ last_failure: null });
    const { events } = await temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId)).fetchHistory();
    const scheduled = (events ?? []).flatMap((event) => event.activityTaskScheduledEventAttributes ?? []);
    expect(scheduled.length).toBeGreaterThan(3);
    for (const { scheduleToCloseTimeout, retryPolicy } of scheduled) {
      expect(Number(scheduleToCloseTimeout?.seconds ?? 0)).toBe(0);
      expect(retryPolicy?.maximumAttempts).toBeGreaterThan(0);
    }
  });

  it('of which no workflow runs tells nothing of one that was ended by hand', async () => {
    const mine = world({ history: 'initial', remineRequested: false });
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    mine.page = async () => {
      await held;
      return applied;
    };
    await signal(mine, 'history');
    await until(async () => (await temporal.gateway.itemStatus(mine.itemId))?.phase === 'updating');
    await temporal.client.workflow.getHandle(historyWorkflowId(mine.itemId)).terminate();
    await temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId)).terminate();
    expect(await temporal.gateway.itemStatus(mine.itemId)).toBeNull();
    release();
  });

  it('whose remine was ended by hand is not told to be in it', async () => {
    const mine = world({ remines: 1, remineRequested: true });
    // Long: the Item itself looks after its child only then.
    mine.policy = { ...fast, childCheck: 3_600_000 };
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    mine.page = async () => {
      await held;
      return applied;
    };
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'remineRequested', number: 1 });
    const status = () => temporal.gateway.itemStatus(mine.itemId);
    await until(async () => (await status())?.remine?.running === true);
    await temporal.client.workflow.getHandle(remineWorkflowId(mine.itemId, 1)).terminate();
    expect(await status()).toMatchObject({ remine: { running: false }, progress: null });
    release();
    await temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId)).terminate();
  });

  it('mines while the streams are down', async () => {
    const mine = world();
    let down = true;
    mine.publish = () => {
      if (down) throw ApplicationFailure.nonRetryable('down', 'UPSTREAM_DOWN');
      return true;
    };
    await signal(mine);
    await until(() => mine.published >= 1);
    await signal(mine);
    await until(() => mine.pages.length === 2);
    down = false;
    await until(async () => (await temporal.gateway.itemStatus(mine.itemId))?.waiting_for_publish === false);
  });

  it('a broken Item asks /item/get at its time-out and catches up when Plaid says that it is well', async () => {
    const mine = world();
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    mine.page = (_input, call) => (call === 1 ? { kind: 'needsUser', error, calls: 1 } : applied);
    await signal(mine);
    await settled(mine, 2);
    expect(mine.checks).toBe(1);
  });

  it('removes, drains and completes; a late webhook changes nothing', async () => {
    const mine = world();
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'removalRequested' });
    const handle = temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId));
    await handle.result();
    expect(mine.removed).toBe(1);
    expect(mine.published).toBe(1);
    mine.snapshot = { ...mine.snapshot, removed: true };
    await signal(mine);
    await temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId)).result();
    expect(mine.pages).toHaveLength(0);
  });

  it('mines nothing while nobody is connected, says so, and catches up when somebody is', async () => {
    const mine = world();
    mine.page = (_input, call) => {
      if (call > 1) return applied;
      // The last connection ends while the page is on its way.
      mine.snapshot = { ...mine.snapshot, unconnected: true, due: ['publish'] };
      return { kind: 'gone', calls: 1 };
    };
    await signal(mine);
    await until(() => mine.published > 0);
    const handle = temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId));
    const loads = mine.loads;
    await signal(mine);
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'relinked' });
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'foundDue' });
    await until(() => mine.loads > loads);
    expect(await phase(mine)).toBe('idle');
    expect(await handle.query('__temporal_workflow_metadata').then(JSON.stringify)).toContain(
      'no application is connected',
    );
    expect([mine.pages.length, mine.checks]).toEqual([1, 0]);
    mine.snapshot = { ...mine.snapshot, unconnected: false, due: [] };
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'foundDue' });
    await settled(mine, 2);
  });

  it('spaces its calls: never more than the limit within the window', async () => {
    const mine = world();
    const window = 2_000;
    mine.policy = { ...fast, limits: { window, sync: 5, accounts: 5 } };
    const times: number[] = [];
    mine.page = (input) => {
      times.push(Date.now());
      return input.page < 11 ? { kind: 'staged', rows: 1, calls: 1 } : applied;
    };
    await signal(mine);
    await settled(mine, 12);
    for (let n = 5; n < times.length; n += 1) {
      expect((times[n] as number) - (times[n - 5] as number)).toBeGreaterThanOrEqual(window);
    }
  });

  it('acts on a thousand webhooks about it after one signal, and waits for no sweep', async () => {
    const mine = world();
    mine.told = 1_000;
    await temporal.gateway.signalItem(mine.itemId, 'user-1', { kind: 'webhookReceived', webhook: 'item' });
    await until(() => mine.told === 0);
    await until(async () => (await phase(mine)) === 'idle');
  });

  it('shows operators where it stands, without bank data', async () => {
    const mine = world();
    await signal(mine);
    await settled(mine, 1);
    const handle = temporal.client.workflow.getHandle(itemWorkflowId(mine.itemId));
    const description = await handle.describe();
    expect(await description.staticSummary()).toBe(`item ${mine.itemId}`);
    const attributes = Object.fromEntries(
      description.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]),
    );
    expect(attributes).toMatchObject({ SluiceItem: mine.itemId, SluiceUser: 'user-1', SluicePhase: 'idle' });
  });
});
