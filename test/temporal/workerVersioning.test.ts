import { randomUUID } from 'node:crypto';
import type { Client, Connection } from '@temporalio/client';
import type { Activities } from '../../activities/index.js';
import { historyWorkflowId, itemWorkflowId, linkWorkflowId, taskQueues } from '../../domain/ids.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import type { PageResult } from '../../domain/mining/run.js';
import type { Gateway } from '../../domain/ports/gateway.js';
import { assertCurrentVersion } from '../../src/temporal/deploymentVersion.js';
import { createGateway } from '../../src/temporal/gateway.js';
import { itemSnapshot } from '../domain/item/itemSnapshot.js';
import { createNamespace, until } from '../workflows/harness.js';
import type { Build } from './builds.js';
import { buildsOf, deploymentName, makeCurrent, runsOf, startBuild } from './builds.js';

/**
 * Workers of two builds side by side on a real server, whose code goes different ways: what a build has begun it must end, and
 * an Item, which has no end, goes from one to the other between two of its runs.
 */

/** A point at which a path waits for its test. */
class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => undefined;
  constructor() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}

/** PINNED_OVERRIDE_BEHAVIOR_PINNED of Temporal's API. */
const pinned = 1;
const policy = { ...defaultPolicy, quiet: 20, quietDeadline: 100, betweenUpdates: 50, childCheck: 60_000 };
const applied = (dueInMs: number): PageResult => ({
  kind: 'applied',
  outcome: { added: 1, modified: 0, removed: 0, accounts: 1, changes: 0, pages: 1, history: 'complete' },
  webhooksWaiting: 0,
  removalsWaiting: 0,
  broken: false,
  nextDueAt: Date.now() + dueInMs,
  calls: 1,
});

let client: Client;
let connection: Connection;
let namespace: string;
let gateway: Gateway;
/** What was done, in order: which build did it, and by which activity. */
let done: { build: string; activity: string; itemId: string }[];
let builds: Build[];
/** The pages of an Item before its last one, and where they wait. */
let longer: number;
let gate: Gate | null;
/** How long an Item rests after an update. */
let dueInMs: number;

beforeEach(async () => {
  ({ client, connection, namespace } = await createNamespace());
  gateway = createGateway(client);
  done = [];
  builds = [];
  longer = 0;
  gate = null;
  dueInMs = 36 * 3_600_000;
});
afterEach(async () => {
  gate?.open();
  await Promise.all(builds.map((build) => build.stop()));
  await connection.close();
});

function activitiesOf(build: string): Partial<Activities> & { minePageAnew: Activities['minePage'] } {
  const page =
    (activity: string): Activities['minePage'] =>
    async ({ itemId, page: at }) => {
      done.push({ build, activity, itemId });
      await gate?.opened;
      return at < longer ? { kind: 'staged', rows: 500, calls: 1 } : applied(dueInMs);
    };
  let link: 'received' | 'exchanged' = 'received';
  return {
    loadItem: async ({ itemId }) => ({
      policy,
      snapshot: itemSnapshot({
        itemId,
        history: 'complete',
        hasCursor: true,
        nextDueAt: Date.now() + 36 * 3_600_000,
      }),
    }),
    loadPolicy: async () => policy,
    minePage: page('minePage'),
    minePageAnew: page('minePageAnew'),
    publish: async () => ({ done: true }),
    lookAtHistory: async () => ({ running: true }),
    loadLink: async () => ({ state: link, userId: 'user-1', itemId: 'ItemOfLink', outcome: null }),
    guardLink: async () => ({ duplicateOf: null }),
    async exchangePublicToken() {
      done.push({ build, activity: 'exchangePublicToken', itemId: 'ItemOfLink' });
      await gate?.opened;
      link = 'exchanged';
      return { kind: 'exchanged', itemId: 'ItemOfLink' };
    },
    admitItem: async () => ({ kind: 'admitted', replaced: [], warnings: [] }),
    startItem: async () => undefined,
    finishLink: async ({ outcome }) => outcome,
  };
}

async function start(buildId: 'old' | 'new'): Promise<void> {
  const bundle = buildId === 'old' ? 'asItIs' : 'other';
  builds.push(await startBuild({ namespace, buildId, bundle, activities: activitiesOf(buildId) }));
}

const newId = (): string => randomUUID().replaceAll('-', '');
const update = (itemId: string): Promise<void> =>
  gateway.signalItem(itemId, 'user-1', { kind: 'webhookReceived', webhook: 'update' });
const pagesOf = (itemId: string): string[] =>
  done.filter((one) => one.itemId === itemId).map(({ build, activity }) => `${build}: ${activity}`);
const idleAfter = (itemId: string, pages: number): Promise<void> =>
  until(async () => pagesOf(itemId).length >= pages && (await gateway.itemStatus(itemId))?.phase === 'idle');
/** The builds that ran an Item, one for each of its runs. */
async function buildsOfRuns(itemId: string): Promise<string[]> {
  const workflowId = itemWorkflowId(itemId);
  const runs = await runsOf(client, workflowId);
  return Promise.all(
    runs.map(async (runId) => [...new Set(await buildsOf(client, workflowId, runId))].join()),
  );
}

describe('an Item', () => {
  it('stays with the build that began its run, goes on with the new one when that is current, and back again', async () => {
    const itemId = newId();
    await start('old');
    await makeCurrent(client, namespace, 'old');
    await update(itemId);
    await idleAfter(itemId, 1);

    // A build that is there, and not current, is given nothing.
    await start('new');
    await update(itemId);
    await idleAfter(itemId, 2);
    expect(pagesOf(itemId)).toEqual(['old: minePage', 'old: minePage']);
    expect(await buildsOfRuns(itemId)).toEqual(['old']);

    await makeCurrent(client, namespace, 'new');
    await update(itemId);
    await idleAfter(itemId, 3);
    expect(pagesOf(itemId).slice(2)).toEqual(['new: minePageAnew']);
    expect(await buildsOfRuns(itemId)).toEqual(['old', 'new']);

    await makeCurrent(client, namespace, 'old');
    await update(itemId);
    await idleAfter(itemId, 4);
    expect(pagesOf(itemId).slice(3)).toEqual(['old: minePage']);
    expect(await buildsOfRuns(itemId)).toEqual(['old', 'new', 'old']);
  });

  it('moves by its own clock, too: nobody has to tell it', async () => {
    const itemId = newId();
    dueInMs = 2_000;
    await start('old');
    await start('new');
    await makeCurrent(client, namespace, 'old');
    await update(itemId);
    await idleAfter(itemId, 1);
    await makeCurrent(client, namespace, 'new');
    await until(() => pagesOf(itemId).at(-1) === 'new: minePageAnew');
    expect(await buildsOfRuns(itemId)).toEqual(['old', 'new']);
  });

  it('that an operator has pinned to a build stays there, and does not continue as new for ever', async () => {
    const itemId = newId();
    await start('old');
    await start('new');
    await makeCurrent(client, namespace, 'old');
    await update(itemId);
    await idleAfter(itemId, 1);
    // As `temporal workflow update-options --versioning-override-behavior pinned` does.
    await client.workflowService.updateWorkflowExecutionOptions({
      namespace,
      workflowExecution: { workflowId: itemWorkflowId(itemId) },
      workflowExecutionOptions: {
        versioningOverride: {
          pinned: { version: { deploymentName, buildId: 'old' }, behavior: pinned },
        },
      },
      updateMask: { paths: ['versioning_override'] },
    });
    await makeCurrent(client, namespace, 'new');
    for (const pages of [2, 3]) {
      await update(itemId);
      await idleAfter(itemId, pages);
    }
    expect(pagesOf(itemId)).toEqual(Array(3).fill('old: minePage'));
    expect(await buildsOfRuns(itemId)).toEqual(['old']);
  });

  it('whose state a later release has written goes on with its row', async () => {
    const itemId = newId();
    await start('old');
    await makeCurrent(client, namespace, 'old');
    await client.workflow.start('item', {
      workflowId: itemWorkflowId(itemId),
      taskQueue: taskQueues.core,
      args: [{ itemId, state: { v: 99 } }],
    });
    await idleAfter(itemId, 0);
    await update(itemId);
    await idleAfter(itemId, 1);
    expect(pagesOf(itemId)).toEqual(['old: minePage']);
  });

  it('that was begun by workers without a version moves to the version that becomes current, and back', async () => {
    const itemId = newId();
    builds.push(await startBuild({ namespace, bundle: 'asItIs', activities: activitiesOf('none') }));
    await update(itemId);
    await idleAfter(itemId, 1);
    await start('old');
    await makeCurrent(client, namespace, 'old');
    await update(itemId);
    await idleAfter(itemId, 2);
    expect(pagesOf(itemId)).toEqual(['none: minePage', 'old: minePage']);
    await makeCurrent(client, namespace, '');
    await update(itemId);
    await idleAfter(itemId, 3);
    expect(pagesOf(itemId)[2]).toBe('none: minePage');
  });
});

describe('what has an end', () => {
  it('ends with the build that began it: paging, whose Item moves meanwhile', async () => {
    const itemId = newId();
    await start('old');
    await start('new');
    await makeCurrent(client, namespace, 'old');
    longer = 3;
    gate = new Gate();
    await gateway.signalItem(itemId, 'user-1', { kind: 'webhookReceived', webhook: 'history' });
    await until(() => pagesOf(itemId).length === 1);
    await makeCurrent(client, namespace, 'new');
    await gateway.signalItem(itemId, 'user-1', { kind: 'foundDue' });
    await until(async () => (await buildsOfRuns(itemId)).join() === 'old,new');
    gate.open();
    await idleAfter(itemId, 4);
    expect(pagesOf(itemId)).toEqual(Array(4).fill('old: minePage'));
    expect(new Set(await buildsOf(client, historyWorkflowId(itemId)))).toEqual(new Set(['old']));
    expect(await buildsOfRuns(itemId)).toEqual(['old', 'new']);
  });

  it('ends with the build that began it: a link', async () => {
    await start('old');
    await start('new');
    await makeCurrent(client, namespace, 'old');
    gate = new Gate();
    const link = gateway.link('a-token', 'user-1', 120_000);
    await until(() => done.length === 1);
    await makeCurrent(client, namespace, 'new');
    gate.open();
    expect(await link).toMatchObject({ kind: 'linked' });
    expect(new Set(await buildsOf(client, linkWorkflowId('a-token')))).toEqual(new Set(['old']));
    expect(done.map(({ build }) => build)).toEqual(['old']);
  });
});

it('a deployment of which no version is current is told of, with the command that mends it', async () => {
  const mine = { deploymentName, buildId: 'old' };
  const told = /no version of the deployment sluice is current.*set-current-version.*--build-id old/;
  await expect(assertCurrentVersion(client, mine)).rejects.toThrow(told);
  await start('old');
  await expect(assertCurrentVersion(client, mine)).rejects.toThrow(told);
  await makeCurrent(client, namespace, 'old');
  await until(() => assertCurrentVersion(client, { deploymentName, buildId: 'new' }).then(() => true));
});
