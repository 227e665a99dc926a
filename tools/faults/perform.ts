import { itemWorkflowId } from '../../domain/ids.js';
import { change, failOften, fault, sendWebhook } from './bank.js';
import type { CuttableProxy } from './cuttableProxy.js';
import { passOverPauses } from './deliveryPauses.js';
import { answerWith } from './eventReceiver.js';
import type { LivingItem } from './happenings.js';
import type { PutRecordsFault } from './kinesisProxy.js';
import { renameInstitutions, syncInstitutions } from './institutions.js';
import { linkWithHistory } from './linking.js';
import type { Strike } from './schedule.js';
import type { Break, Deed } from './strikes.js';
import { plaidPaths } from './strikes.js';
import type { Said } from './userEvents.js';
import { nothingSaid, sayOfUsers } from './userEvents.js';
import type { World } from './world.js';

/** What a round's deeds act on, and what they leave behind for the oracle. */
export interface Scene {
  /** Items that live through the round. */
  items: LivingItem[];
  /** Items that were removed in it. */
  removed: string[];
  erased: { userId: string; itemId: string; erasureId: string }[];
  /** Connections that have ended: whoever held one reads nothing any more. */
  ended: { itemId: string; connectionId: string }[];
  terminated: number;
  said: Said;
  /** Of institutions: whether Plaid's list has been walked through, and the walks begun before the last one; null: it is still to come. */
  institutions: { isWalked: boolean; walksBefore: number | null };
  /** Deeds done, by fault. */
  done: Map<string, number>;
  /** What the deeds came to, in webhooks, calls, records or ends of processes, by fault. */
  strokes: Map<string, number>;
  /** What a deed itself has seen go wrong. */
  wrong: string[];
}

export const emptyScene = (items: LivingItem[]): Scene => ({
  ...{ items, removed: [], erased: [], ended: [], terminated: 0, said: nothingSaid() },
  institutions: { isWalked: false, walksBefore: null },
  ...{ done: new Map(), strokes: new Map(), wrong: [] },
});

/** Deliveries that have failed more often wait as they would: after the last attempt one is given up. */
const fewAttempts = 5;
const betweenTries = 200;

/** A process that has not come to its point by then has none of its work to do. */
const longestWayMs = 12_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Deeds on the same thing go one after the other. */
export class Performer {
  private readonly queues = new Map<string, Promise<unknown>>();

  constructor(
    private readonly world: World,
    private readonly scene: Scene,
    private readonly name: string,
  ) {}

  /** Does all of a plan at its times; resolves when the last deed has ended. */
  async play(strikes: readonly Strike[], durationMs: number): Promise<void> {
    const begun = Date.now();
    // On a slow machine a process takes longer to start than the next deed waits: what finds no time is left out.
    const isOver = (): boolean => Date.now() - begun > durationMs;
    await Promise.all(
      strikes.map(async (strike, place) => {
        await pause(strike.at - (Date.now() - begun));
        try {
          const target = targetOf(strike.deed, place);
          const provoked = await this.inLine(target, async () => {
            if (isOver()) return null;
            await this.perform(strike, place);
            const matter = this.provoke(strike.deed, place);
            matter.catch(() => undefined); // it is awaited below, by then it may have failed
            await this.untilItsPoint(strike.deed);
            return { matter };
          });
          if (provoked === null) return;
          await provoked.matter;
        } catch (error) {
          this.scene.wrong.push(`${JSON.stringify(strike.deed)} failed: ${(error as Error).message}`);
        }
        this.scene.done.set(strike.fault, (this.scene.done.get(strike.fault) ?? 0) + 1);
        this.world.count(strike.deed.kind);
      }),
    );
  }

  private inLine<T>(target: string, work: () => Promise<T>): Promise<T> {
    const before = this.queues.get(target) ?? Promise.resolve();
    const mine = before.then(work);
    this.queues.set(
      target,
      mine.catch(() => undefined),
    );
    return mine;
  }

  private item(number: number): LivingItem {
    const item = this.scene.items[number % this.scene.items.length];
    if (item === undefined) throw new Error('a round has Items');
    return item;
  }

  private note(fault: string, strokes: number): void {
    this.scene.strokes.set(fault, (this.scene.strokes.get(fault) ?? 0) + strokes);
  }

  /** What a named point lies on is done now: a link, pages, records, deliveries, an erasure where it lies on one. */
  private async provoke(deed: Deed, place: number): Promise<void> {
    if (deed.kind === 'killListenerAt') await this.say(deed, place);
    if (deed.kind !== 'killWorkerAt') return;
    // A server of one shard takes seconds to delete an erased user's workflows: only those points are worth it that lie on an erasure.
    const isErasure = deed.point.startsWith('erase.');
    // Temporal leaves what runs to the worker that has it in its memory: a new worker gets what begins, if the other does not.
    await Promise.all(
      ['a', 'b'].map((name) =>
        isErasure ? this.eraseUser(5, 0, `${place}-${name}`) : this.removeItem(5, 0, `${place}-${name}`),
      ),
    );
  }

  /** A process that is to end at a point is left alone until it has come there, else the next deed ends it before. */
  private async untilItsPoint(deed: Deed): Promise<void> {
    const { processes } = this.world;
    if (deed.kind === 'killWorkerAt') await processes[`worker${deed.worker}`].untilItEnds(longestWayMs);
    if (deed.kind === 'killListenerAt') await processes[`listener${deed.listener}`].untilItEnds(longestWayMs);
  }

  private say({ words, seed }: { words: number; seed: number }, place: number): Promise<number> {
    const { world, scene } = this;
    const users = scene.items.map(({ userId }) => userId);
    return sayOfUsers(world.system, scene.said, { prefix: `${this.name}-${place}`, users, words, seed });
  }

  private async removeItem(rows: number, afterMs: number, place: number | string): Promise<void> {
    const itemId = await linkWithHistory(this.world, `${this.name}-goer-${place}`, rows);
    await pause(afterMs);
    await this.world.client.ask('DELETE', `/v1/items/${itemId}`);
    this.scene.removed.push(itemId);
  }

  private async eraseUser(rows: number, afterMs: number, place: number | string): Promise<void> {
    const userId = `${this.name}-erased-${place}`;
    const itemId = await linkWithHistory(this.world, userId, rows);
    await pause(afterMs);
    const { erasure_id: erasureId } = await this.world.client.ask<{ erasure_id: string }>(
      'DELETE',
      `/v1/users/${userId}`,
    );
    this.scene.erased.push({ userId, itemId, erasureId });
  }

  private async perform(strike: Strike, place: number): Promise<void> {
    const { world } = this;
    const counts = (): number =>
      ({
        breakKinesis: world.kinesisFailures,
        breakSegment: world.segment.refused,
        breakEndpoint: world.receivers.reduce((sum, receiver) => sum + receiver.refusals(), 0),
      })[strike.deed.kind as string] ?? 0;
    const before = counts();
    const strokes = await this.strike(strike, place);
    this.note(
      strike.fault,
      /^break(Kinesis|Segment|Endpoint)$/.test(strike.deed.kind) ? counts() - before : strokes,
    );
  }

  /** Answers in how many webhooks, calls or records the deed consisted; what cannot be counted is one. */
  private async strike({ deed, lasts }: Strike, place: number): Promise<number> {
    // Of the calls in its time a share fails; how many that were the simulator has counted.
    if (deed.kind === 'plaidFailsOften') return failOften(this.world.system, plaidPaths, deed, lasts);
    await this.act({ deed, lasts }, place);
    switch (deed.kind) {
      case 'webhooks':
      case 'forgeWebhook':
        return deed.duplicate;
      case 'plaidFails':
        return deed.times;
      case 'userEvents':
      case 'killListenerAt':
        return deed.words;
      default:
        return 1;
    }
  }

  private async act(
    { deed, lasts }: { deed: Exclude<Deed, { kind: 'plaidFailsOften' }>; lasts: number },
    place: number,
  ): Promise<unknown> {
    const { world, scene } = this;
    const { system, processes } = world;
    switch (deed.kind) {
      case 'killWorkerAt':
        return processes[`worker${deed.worker}`].replace({ SLUICE_CRASH_AT: deed.point });
      case 'killWorker':
        return processes[`worker${deed.worker}`].kill(lasts);
      case 'pauseWorker':
        return processes[`worker${deed.worker}`].pause(lasts);
      case 'replaceWorker':
        return processes[`worker${deed.worker}`].replace();
      case 'killApi':
        return processes.api.kill(lasts);
      case 'pauseApi':
        return processes.api.pause(lasts);
      case 'replaceApi':
        return processes.api.replace();
      case 'killListenerAt':
        return processes[`listener${deed.listener}`].replace({ SLUICE_CRASH_AT: deed.point });
      case 'killListener':
        return processes[`listener${deed.listener}`].kill(lasts);
      case 'pauseListener':
        return processes[`listener${deed.listener}`].pause(lasts);
      case 'replaceListener':
        return processes[`listener${deed.listener}`].replace();
      case 'userEvents':
        return this.say(deed, place);
      case 'breakUserEvents':
        world.kinesis.otherFault = (operation) =>
          operation === 'GetRecords'
            ? { status: deed.how === 'refuse' ? 500 : 400, body: refusals[deed.how] }
            : null;
        await pause(lasts);
        world.kinesis.otherFault = () => null;
        return;
      case 'syncInstitutions':
        scene.institutions.isWalked = true;
        await renameInstitutions(system, deed.renamed);
        await system.sim('/_sim/faults', {
          match: { path: '/institutions/get' },
          fault: { latency_ms: deed.latencyMs },
          times: 3,
        });
        await syncInstitutions(system);
        await pause(deed.afterMs);
        return processes[`worker${deed.worker}`].kill(lasts);
      case 'jumpClock':
        world.clocks[deed.process].jumpTo(deed.byMinutes * 60_000);
        await pause(lasts);
        return world.clocks[deed.process].jumpTo(0);
      case 'killPostgres':
        return world.services?.kill('postgres', lasts);
      case 'killTemporal':
        return world.services?.kill('temporal', lasts);
      case 'breakDatabase':
        return breakPath(world.databases[deed.process], deed.how, lasts);
      case 'breakTemporal':
        return breakPath(world.temporals[deed.process], deed.how, lasts);
      case 'breakPlaid':
        return breakPath(world.plaid, deed.how, lasts);
      case 'breakKinesis':
        world.setKinesisFault(kinesisFault(deed));
        await pause(lasts);
        return world.setKinesisFault(null);
      case 'breakSegment':
        world.segment.fault = deed.how;
        for (const item of scene.items) item.breaksNext = true;
        await pause(lasts);
        world.segment.fault = null;
        return;
      case 'breakEndpoint':
        answerWith(world.receivers, deed.how);
        for (const until = Date.now() + lasts; Date.now() < until; await pause(betweenTries))
          await passOverPauses(world.system, fewAttempts);
        answerWith(world.receivers, 204);
        return;
      case 'plaidFails': {
        const { itemId } = this.item(deed.item);
        return fault(system, itemId, deed.path, deed.fault, { times: deed.times });
      }
      case 'pagesMove':
        return this.movePages(this.item(deed.item));
      case 'webhooks': {
        const { itemId } = this.item(deed.item);
        const { duplicate, delayMs, reorder } = deed;
        await change(system, itemId, { add: [{ amount: 7, name: 'Announced oddly' }] });
        const fields = { duplicate, delay_ms: delayMs, reorder };
        return sendWebhook(system, itemId, 'TRANSACTIONS', 'SYNC_UPDATES_AVAILABLE', fields);
      }
      case 'loseWebhook':
        return change(system, this.item(deed.item).itemId, { add: [{ amount: 8, name: 'Announced never' }] });
      case 'forgeWebhook': {
        const { itemId } = this.item(deed.item);
        const { sign, duplicate } = deed;
        return sendWebhook(system, itemId, 'ITEM', 'USER_PERMISSION_REVOKED', { sign, duplicate });
      }
      case 'terminateRun': {
        const { itemId } = this.item(deed.item);
        const handle = system.client.workflow.getHandle(itemWorkflowId(itemId));
        // It may not run at this moment, or Temporal may be away.
        const ended = await handle.terminate('an operator').then(
          () => true,
          () => false,
        );
        scene.terminated += ended ? 1 : 0;
        return;
      }
      case 'removeItem':
        return this.removeItem(deed.rows, deed.afterMs, place);
      case 'eraseUser':
        return this.eraseUser(deed.rows, deed.afterMs, place);
      case 'revokeConnection':
        return this.endConnection(this.item(deed.item).itemId, deed.byTime);
    }
  }

  /** One at a time: a cursor whose first page moves again and again is given up, with an alert. */
  private async movePages({ itemId }: LivingItem): Promise<void> {
    const { system, client } = this.world;
    const { faults } = await system.sim<{ faults: { kind: string; match: { item_id?: string } }[] }>(
      '/_sim/faults',
    );
    if (faults.some(({ kind, match }) => kind === 'mutate' && match.item_id === itemId)) return;
    await fault(system, itemId, null, { mutate_during_pagination: { after_page: 1 } });
    await client.ask('POST', `/v1/items/${itemId}/remine`);
  }

  /** The other application reads by a connection that ends: not once after its end is it answered. */
  private async endConnection(itemId: string, byTime: boolean): Promise<void> {
    const { client, other } = this.world;
    const expiresAt = new Date(Date.now() + 4_000).toISOString();
    const made = await client.send<{ connection_id?: string }>('POST', `/v1/items/${itemId}/connections`, {
      application_id: other.applicationId,
      scopes: ['accounts', 'transactions'],
      account_ids: null,
      ...(byTime ? { expires_at: expiresAt } : {}),
    });
    const connectionId = made.body.connection_id;
    // The one before has not ended yet, or the end has come before the beginning was recorded.
    if (connectionId === undefined) return;
    const read = async (): Promise<number> =>
      (await other.client.send('GET', `/v1/items/${itemId}/transactions?limit=1`)).status;
    const before = await read();
    if (!byTime && before !== 200)
      this.scene.wrong.push(
        `connection ${connectionId}: its application is answered ${before} before its end`,
      );
    if (byTime) await pause(Date.parse(expiresAt) - Date.now() + 50);
    else await client.ask('POST', `/v1/connections/${connectionId}/revoke`, { reason: 'of a fault run' });
    this.scene.ended.push({ itemId, connectionId });
    for (let n = 0; n < 3; n += 1) {
      const after = await read();
      if (after === 200)
        this.scene.wrong.push(`connection ${connectionId}: its application is answered after its end`);
    }
    if (byTime)
      await client.ask('POST', `/v1/connections/${connectionId}/revoke`, { reason: 'of a fault run' });
  }
}

/** What a deed works on: two that work on the same must not overlap. */
function targetOf(deed: Deed, place: number): string {
  switch (deed.kind) {
    case 'killWorkerAt':
    case 'killWorker':
    case 'pauseWorker':
    case 'replaceWorker':
    case 'syncInstitutions':
      return `worker${deed.worker}`;
    case 'killListenerAt':
    case 'killListener':
    case 'pauseListener':
    case 'replaceListener':
      return `listener${deed.listener}`;
    case 'jumpClock':
      return `clock ${deed.process}`;
    case 'killApi':
    case 'pauseApi':
    case 'replaceApi':
      return 'api';
    case 'breakDatabase':
    case 'breakTemporal':
      return `${deed.kind} ${deed.process}`;
    case 'revokeConnection':
      return 'connections';
    case 'killPostgres':
    case 'killTemporal':
    case 'breakPlaid':
    case 'breakKinesis':
    case 'breakSegment':
    case 'breakEndpoint':
    case 'breakUserEvents':
      return deed.kind;
    default:
      return `deed ${place}`;
  }
}

const refusals = {
  refuse: { __type: 'InternalFailure' },
  throttle: { __type: 'ProvisionedThroughputExceededException' },
};

async function breakPath(proxy: CuttableProxy, how: Break, lasts: number): Promise<void> {
  proxy[how]();
  await pause(how === 'forget' ? 0 : lasts);
  proxy.restore();
}

function kinesisFault({
  how,
  percent,
}: Extract<Deed, { kind: 'breakKinesis' }>): (call: number) => PutRecordsFault {
  switch (how) {
    case 'refuse':
      return () => ({ refuse: { status: 500, type: 'InternalFailure' } });
    case 'throttle':
      return () => ({ refuse: { status: 400, type: 'LimitExceededException' } });
    case 'loseAnswer':
      return () => ({ loseAnswer: true });
    case 'hang':
      return () => ({ hang: true });
    case 'part':
      return (call) => ({
        failRecords: (_record, index) =>
          (call * 31 + index * 17) % 100 < percent ? 'ProvisionedThroughputExceededException' : null,
      });
  }
}
