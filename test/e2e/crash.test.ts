import type { Client, WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { itemWorkflowId } from '../../domain/ids.js';
import type { PageResult } from '../../domain/mining/run.js';
import { mulberry32 } from '../../tools/faults/chance.js';
import { until } from './until.js';
import type { ReceivingEndpoint } from '../../tools/faults/eventReceiver.js';
import { receiveEvents } from '../../tools/faults/eventReceiver.js';
import { expectAllArrived } from './eventReceiver.js';
import { advance, callsOf, change, linkItem, rows } from './linkedItem.js';
import { closeOracle, expectHealthy, expectTruth } from './oracle.js';
import { tellWhatWaits } from './scenarios.js';
import type { Running, System } from './system.js';
import { startSystem } from './system.js';

const sync = '/transactions/sync';

type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

let system: System;
let receiver: ReceivingEndpoint;
beforeAll(async () => {
  system = await startSystem({
    transactionsPerItem: 20,
    simulatorArgs: ['--initial-after-ms', '86400000'],
    worker: false,
    // Small enough that a backfill continues as new several times.
    pace: { continueAfter: 24, pollFirst: 60_000, pollLongest: 60_000 },
  });
  receiver = await receiveEvents(system);
});
tellWhatWaits();
afterAll(async () => {
  await receiver?.close();
  closeOracle(system);
  await system.stop();
});

/**
 * The histories of the runs that continue each other from this one on, and of the children that they start. Visibility, which lists
 * runs, is written behind the histories, and may lack the newest.
 */
async function* historiesFrom(client: Client, workflowId: string, firstRun: string): AsyncGenerator<Event[]> {
  for (let runId: string | null | undefined = firstRun; runId;) {
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    yield events ?? [];
    runId = undefined;
    for (const event of events ?? []) {
      const child = event.childWorkflowExecutionStartedEventAttributes?.workflowExecution;
      if (child) yield* historiesFrom(client, String(child.workflowId), String(child.runId));
      runId ??= event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
    }
  }
}

async function* historiesOfItem(client: Client, itemId: string): AsyncGenerator<Event[]> {
  const workflowId = itemWorkflowId(itemId);
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const [start] = events ?? [];
  const first = start?.workflowExecutionStartedEventAttributes?.firstExecutionRunId;
  yield* historiesFrom(client, workflowId, String(first));
}

/** What Temporal remembers of the Item's pages, over all runs of its workflows. */
async function minedPages(client: Client, itemId: string): Promise<{ needed: number; repeats: number }> {
  const applied = new Map<string, number>();
  let needed = 0;
  let repeats = 0;
  for await (const events of historiesOfItem(client, itemId)) {
    for (const event of events) {
      const end = event.activityTaskCompletedEventAttributes;
      if (!end) continue;
      const scheduled = events.find((other) => String(other.eventId) === String(end.scheduledEventId));
      const order = scheduled?.activityTaskScheduledEventAttributes;
      if (order?.activityType?.name !== 'minePage') continue;
      const [input] = order.input?.payloads ?? [];
      const [output] = end.result?.payloads ?? [];
      if (!input || !output) continue;
      const { updateId } = defaultPayloadConverter.fromPayload<{ updateId: string }>(input);
      const result = defaultPayloadConverter.fromPayload<PageResult>(output);
      repeats += result.calls - 1;
      if (result.kind === 'applied') applied.set(updateId, result.outcome.pages);
      if (result.kind === 'notReady') needed += 1;
    }
  }
  for (const pages of applied.values()) needed += pages;
  return { needed, repeats };
}

/** Calls of an Item's `/transactions/sync` beyond those that its updates needed: at most one for each attempt that was cut off. */
async function expectFewExtraCalls(itemId: string): Promise<number> {
  const { needed, repeats } = await minedPages(system.client, itemId);
  const calls = await callsOf(system, itemId, sync);
  expect({ itemId, extra: calls - needed, repeats }).toEqual({
    itemId,
    extra: Math.min(calls - needed, repeats),
    repeats,
  });
  return calls - needed;
}

/** An Item whose bank has something to tell and has not begun to: two pages, or one. */
async function linkWaiting(pages: 1 | 2): Promise<string> {
  const itemId = await linkItem(system);
  await change(system, itemId, { add: rows(pages === 2 ? 500 : 5) });
  return itemId;
}

describe('a worker killed with -9', () => {
  const points = [
    'page.beforeCall:2',
    'page.afterAnswer:2',
    'page.afterStaging',
    'apply.before',
    'apply.afterCommit',
    'publish.beforePut:2',
    'publish.afterPut',
    'publish.afterPut:3',
    'publish.afterMark',
  ];
  let items: string[] = [];
  const survived: string[] = [];

  it('leaves Items behind', async () => {
    const worker = await system.startWorker();
    items = await Promise.all(points.map((point) => linkWaiting(point.startsWith('page.') ? 2 : 1)));
    await until(async () => {
      const calls = await Promise.all(items.map((itemId) => callsOf(system, itemId, sync)));
      return calls.every((count) => count > 0);
    });
    await worker.stop();
  });

  it.each(points)('at %s', async (point) => {
    // The only worker, and it dies there; the next one takes over what it left, and dies at a point of its own.
    const worker = await system.startWorker({ SLUICE_CRASH_AT: point });
    await advance(system, String(items[points.indexOf(point)]), 'historical');
    expect(await worker.process.exited).toEqual({ code: null, signal: 'SIGKILL' });
    system.workers.splice(system.workers.indexOf(worker), 1);
    survived.push(point);
  });

  it('loses nothing, invents nothing, and costs Plaid one more call at most', async () => {
    expect(survived).toEqual(points);
    await system.startWorker();
    const told = await Promise.all(items.map((itemId) => expectTruth(system, itemId)));
    expect(told.filter(({ transactions }) => transactions >= 500)).toHaveLength(3);
    const extra = await Promise.all(items.map(expectFewExtraCalls));
    const sum = extra.reduce((total, calls) => total + calls, 0);
    // `page.beforeCall` dies before it calls; the crash points after the answer cost a call each.
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThanOrEqual(points.length);
  });

  it('at moments of chance, while workflows continue as new', async () => {
    const seed = Date.now() % 1_000_000;
    process.stderr.write(`seed of the moments at which workers are killed: ${seed}\n`);
    const chance = mulberry32(seed);
    await system.sim('/_sim/faults', {
      match: { path: sync },
      fault: { latency_ms: 300 },
      times: 1_000,
    });
    const items: string[] = [];
    for (let kill = 0; kill < 4; kill += 1) {
      const itemId = await linkWaiting(kill % 2 === 0 ? 2 : 1);
      items.push(itemId);
      await advance(system, itemId, 'historical');
      await new Promise((resolve) => setTimeout(resolve, 500 + chance() * 4_000));
      const [victim] = system.workers as [Running];
      await victim.kill();
      await system.startWorker();
    }
    await Promise.all(items.map((itemId) => expectTruth(system, itemId)));
    await Promise.all(items.map(expectFewExtraCalls));
    // Temporal's index comes behind.
    await until(async () => {
      const carriedOn = "ExecutionStatus = 'ContinuedAsNew'";
      const runs = await Promise.all(
        items.map((itemId) => system.client.workflow.count(`SluiceItem = '${itemId}' AND ${carriedOn}`)),
      );
      return runs.some(({ count }) => count > 0);
    });
    await until(async () => {
      const { count } = await system.client.workflow.count("ExecutionStatus = 'Failed'");
      return count === 0;
    });
    await expectHealthy(system);
  });

  it('in the middle of a delivery, and every event has come, in the order of its lane', async () => {
    for (const worker of [...system.workers]) await worker.kill();
    const ping = () => system.api('POST', `/v1/endpoints/${receiver.endpointId}/ping`);
    for (let n = 0; n < 5; n += 1) expect((await ping()).status).toBe(202);
    const before = receiver.received.length;
    const worker = await system.startWorker({ SLUICE_CRASH_AT: 'deliver.afterSend:2' });
    expect(await worker.process.exited).toEqual({ code: null, signal: 'SIGKILL' });
    system.workers.splice(system.workers.indexOf(worker), 1);
    expect(receiver.received.length).toBeGreaterThan(before);
    await system.startWorker();
    expect(await expectAllArrived(system, receiver)).toBeGreaterThanOrEqual(5);
    // What was repeated is what was on its way when somebody died.
    expect(receiver.received.filter(({ repeat }) => repeat).length).toBeLessThan(30);
  });
});

describe('the API killed with -9', () => {
  it('as soon as events of its own are committed: they come all the same, and nothing is told that did not happen', async () => {
    const { sql } = system;
    if (system.workers.length === 0) await system.startWorker();
    const itemId = await linkItem(system);
    const told = async (): Promise<number> =>
      (await sql`SELECT 1 FROM events WHERE type = 'connection.created'`).length;
    for (let kill = 0; kill < 3; kill += 1) {
      const before = await told();
      const made = await Promise.all(
        Array.from({ length: 6 }, async (_, n) => {
          const { body } = await system.api('POST', '/v1/applications', { name: `killed-${kill}-${n}` });
          return String(body['application_id']);
        }),
      );
      const asked = made.map((application_id) =>
        system
          .api('POST', `/v1/items/${itemId}/connections`, {
            application_id,
            scopes: ['accounts'],
            account_ids: null,
          })
          .then(({ status }) => status)
          .catch(() => 'no answer'),
      );
      await until(async () => (await told()) > before, 1);
      await system.killApi();
      await Promise.all(asked);
      // Its sessions end what they have begun, and notice then.
      await until(async () => {
        const left = await sql`
          SELECT 1 FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`;
        return left.length === 0;
      });
      // Nobody but the database and a worker is left to bring what is committed.
      await expectAllArrived(system, receiver);
      const rows = await sql<{ told: number }[]>`
        SELECT count(e.event_id)::int AS told FROM connections c
        LEFT JOIN events e ON e.connection_id = c.connection_id AND e.type = 'connection.created'
        WHERE c.application_id = ANY(${made}) GROUP BY c.connection_id`;
      expect(rows.length).toBeGreaterThan(0);
      expect((await told()) - before).toBe(rows.length);
      expect(new Set(rows.map((row) => row.told))).toEqual(new Set([1]));
      await system.startApi();
    }
  });
});
