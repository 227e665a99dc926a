import { randomUUID } from 'node:crypto';
import { ApplicationFailure, WorkflowNotFoundError } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import { erasureWorkflowId, itemWorkflowId, linkWorkflowId, taskQueues } from '../../domain/ids.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { perishables } from '../../domain/retention.js';
import type { Perishable, Retention } from '../../domain/retention.js';
import { startTemporal, until } from './harness.js';
import type { TemporalHarness } from './harness.js';

let temporal: TemporalHarness;
let calls: { what: Perishable; keepMs: number; after: string | null }[];
/** Batches that each kind takes. */
let batches: number;
let before: () => void | Promise<void>;

const activities: Partial<Activities> = {
  loadPolicy: async () => ({ ...defaultPolicy, erasureFirst: 100, erasureLongest: 200, lateWriters: 300 }),
  stopUser: async () => step('stopUser', () => ({ items: 1, links: 0 }), { items: 0, links: 0 }),
  deleteUserRows: async () =>
    step<Deleted>('deleteUserRows', () => ({ deleted: 5, done: false }), { deleted: 0, done: true }),
  deleteUserWorkflows: async () => step<Deleted>('deleteUserWorkflows', null, { deleted: 0, done: true }),
  publishUserErased: async () => step('publishUserErased', null, { records: 4 }),
  finishErasure: async () =>
    step<{ ended: boolean }>('finishErasure', () => ({ ended: false }), { ended: true }),
  async deleteExpired(input) {
    calls.push(input);
    await before();
    const done = Number(input.after ?? 0) + 1;
    return { deleted: 10, next: done < batches ? String(done) : null };
  },
};

type Deleted = { deleted: number; done: boolean };

/** Steps of an erasure, and which answer otherwise before they come to their end. */
let steps: string[];
let held: Promise<void>;
const early = new Map<string, number>();
async function step<Result>(
  name: string,
  before: (() => NoInfer<Result>) | null,
  end: Result,
): Promise<Result> {
  await held;
  steps.push(name);
  const left = early.get(name) ?? 0;
  early.set(name, left - 1);
  if (left <= 0) return end;
  if (before === null) throw ApplicationFailure.create({ type: 'BAD_REQUEST', nonRetryable: true });
  return before();
}

const keep: Retention = {
  outbox: 1,
  webhooks: 2,
  links: 3,
  parkedRows: 4,
  parkedEvents: 5,
  segmentEvents: 6,
  balances: 7,
  events: 8,
};
const start = () =>
  temporal.client.workflow.start('cleanUp', {
    workflowId: randomUUID(),
    taskQueue: taskQueues.core,
    args: [{ keep }],
  });
const each = (n: number) => Object.fromEntries(perishables.map((what) => [what, n]));

beforeAll(async () => {
  temporal = await startTemporal(activities);
});
afterAll(() => temporal?.stop());
beforeEach(() => {
  calls = [];
  batches = 2;
  before = () => undefined;
});

it('goes on where it was when a worker is lost', async () => {
  let reached = false;
  before = () => {
    if (calls.length !== 4) return;
    reached = true;
    throw new Error('lost');
  };
  const run = await start();
  await until(() => reached);
  before = () => undefined;
  await temporal.restartWorkers(activities);
  expect(await run.result()).toEqual(each(20));
  expect(calls.slice(0, 5).map(({ what, after }) => [what, after])).toEqual([
    ['outbox', null],
    ['outbox', '1'],
    ['webhooks', null],
    ['webhooks', '1'],
    ['webhooks', '1'],
  ]);
});

it('takes one kind after the other, each with its own age, and counts', async () => {
  batches = 1;
  const run = await start();
  expect(await run.result()).toEqual(each(10));
  expect(calls.map(({ what }) => what)).toEqual([...perishables]);
  expect(Object.fromEntries(calls.map(({ what, keepMs }) => [what, keepMs]))).toEqual({
    ...keep,
    idempotencyKeys: 0,
  });
});

it('cleans the other kinds where one fails, and fails all the same', async () => {
  await temporal.restartWorkers(activities, { maxCachedWorkflows: 10 });
  batches = 120;
  before = () => {
    const now = calls.at(-1)?.what;
    if (now === 'outbox' || now === 'balances')
      throw ApplicationFailure.create({ type: 'BAD_REQUEST', nonRetryable: true });
  };
  await expect((await start()).result()).rejects.toMatchObject({
    cause: { type: 'NOT_CLEANED', details: [['outbox', 'balances']] },
  });
  expect([...new Set(calls.map(({ what }) => what))]).toEqual([...perishables]);
  expect(calls).toHaveLength(2 + (perishables.length - 2) * batches);
});

it('carries its place into a new run before the history grows long', async () => {
  await temporal.restartWorkers(activities, { maxCachedWorkflows: 10 });
  batches = 25;
  const run = await start();
  expect(await run.result()).toEqual(each(250));
  expect(calls.map(({ after }) => after)).toEqual(
    perishables.flatMap(() => Array.from({ length: 25 }, (_, n) => (n === 0 ? null : String(n)))),
  );
  const first = temporal.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
  expect((await first.describe()).status.name).toBe('CONTINUED_AS_NEW');
});

describe('the erasure of a user', () => {
  const oneRound = [
    ...['stopUser', 'deleteUserRows', 'deleteUserWorkflows'],
    // Once more, for what late attempts have written meanwhile.
    ...['deleteUserRows', 'deleteUserWorkflows', 'publishUserErased', 'finishErasure'],
  ];
  const start = async (name: string) => {
    steps = [];
    let release = (): void => undefined;
    held = new Promise((resolve) => (release = resolve));
    await temporal.gateway.startErasure(name);
    await temporal.gateway.startErasure(name);
    release();
    return temporal.client.workflow.getHandle(erasureWorkflowId(name));
  };

  it('goes step by step to its end, once for all who ask', async () => {
    early.clear();
    await (await start('era_plain')).result();
    expect(steps).toEqual(oneRound);
  });

  it('waits for what is still there, however often', async () => {
    early.clear();
    early.set('stopUser', 5).set('deleteUserRows', 3);
    await (await start('era_waits')).result();
    expect(steps).toEqual([
      ...Array.from({ length: 5 }, () => 'stopUser'),
      'stopUser',
      ...Array.from({ length: 3 }, () => 'deleteUserRows'),
      ...oneRound.slice(1),
    ]);
  });

  it('begins anew when something began beside it after all', async () => {
    early.clear();
    early.set('finishErasure', 1);
    await (await start('era_anew')).result();
    expect(steps).toEqual([...oneRound, ...oneRound]);
  });

  it('goes on where it was when a worker is lost', async () => {
    early.clear();
    early.set('stopUser', 1_000_000);
    const run = await start('era_lost');
    await until(() => steps.length > 2);
    await temporal.restartWorkers(activities);
    early.clear();
    await run.result();
    expect(steps.slice(-oneRound.length)).toEqual(oneRound);
  });

  it('deletes its workflows, what runs included, and those of nobody else', async () => {
    const { gateway, client } = temporal;
    // Characters that Temporal's queries do not take.
    const userId = `us"er'\\-${randomUUID()}`;
    const other = `us"er'\\-${randomUUID()}`;
    const of = async (user: string): Promise<number> => {
      let n = 0;
      for await (const { searchAttributes } of client.workflow.list())
        if (String(searchAttributes['SluiceUser']) === user) n += 1;
      return n;
    };
    const [itemId, tokenHash] = [randomUUID(), randomUUID()];
    await gateway.startCheck(randomUUID(), other);
    await gateway.startCheck(randomUUID(), userId);
    await gateway.signalItem(itemId, userId, { kind: 'foundDue' });
    await until(async () => (await of(other)) === 1 && (await of(userId)) === 2);
    // One that the index may not show yet is known by its id.
    await gateway.startLink(tokenHash, userId);
    const ids = [linkWorkflowId(tokenHash), itemWorkflowId(itemId), itemWorkflowId('of nobody')];
    await until(async () => {
      while ((await gateway.deleteWorkflowsOf(userId, ids, 1)) > 0);
      return (await of(userId)) === 0;
    });
    await expect(client.workflow.getHandle(linkWorkflowId(tokenHash)).describe()).rejects.toThrow(
      WorkflowNotFoundError,
    );
    expect(await of(other)).toBe(1);
  });
});
