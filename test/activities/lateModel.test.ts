import { ourselves } from '../../domain/exchange/viewer.js';
import fc from 'fast-check';
import type { PageResult } from '../../domain/mining/run.js';
import type { NewWebhook } from '../../domain/ports/webhooks.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';
import { holdAnswer } from './heldPlaid.js';
import { PlaidLog } from './plaidLog.js';

/**
 * Two workers mine one Item beside each other, as they do when one of them is cut off and does not know it: updates, remines
 * and look-ups of removals are begun, given up with Plaid's answer in hand, done by the other, overtaken, and come to their end
 * at any later time, many updates later too. Whatever the order, what is stored is what Plaid has told up to the cursor.
 */
let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());

type Step =
  | { kind: 'tell' | 'remove'; id: string }
  | { kind: 'askRemine' }
  /** A worker does a page from beginning to end; one that has no run on its way begins an update or a remine. */
  | { kind: 'page'; worker: number; remine: boolean }
  /** The same, but it is given up with the answer in hand; the page is tried again by whoever goes on with the run. */
  | { kind: 'cutOff'; worker: number; remine: boolean }
  | { kind: 'cutOffLookUp' }
  | { kind: 'lookUp' }
  | { kind: 'comeLate'; which: number };

const ids = fc.constantFrom('t1', 't2', 't3', 't4');
const worker = fc.nat({ max: 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('tell' as const), id: ids }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), id: ids }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('askRemine' as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('page' as const), worker, remine: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('cutOff' as const), worker, remine: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cutOffLookUp' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lookUp' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('comeLate' as const), which: fc.nat() }) },
);

interface Run {
  base: string;
  restarts: number;
  page: number;
  remine: boolean;
}

const dueAt = { complete: '2030-01-02T00:00:00.000Z', incomplete: '2030-01-01T00:00:00.000Z' };
let runs = 0;

/** What came of the late attempts, over all stories. */
const seen = { late: 0, refused: 0, applied: 0, remines: 0 };

class Story {
  private readonly log = new PlaidLog();
  private readonly workers: (Run | null)[] = [null, null];
  private readonly zombies: (() => Promise<unknown>)[] = [];
  private cursor = 0;
  private accountName = '';

  constructor(private readonly item: FakeItem) {}

  private begin(worker: number, remine: boolean): void {
    runs += 1;
    this.workers[worker] ??= { base: `run-${runs}`, restarts: 0, page: 0, remine };
  }

  /** Plaid as it is at the moment of the call. */
  private plaid() {
    const { log } = this;
    return Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      syncTransactions: (_token: string, cursor: string) => Promise.resolve(log.sync(cursor)),
      getAccounts: () => Promise.resolve(log.accounts()),
      getTransactions: () => {
        const transactions = [...log.truth(log.length)].map(([transaction_id]) => ({ transaction_id }));
        return Promise.resolve({ transactions, total: transactions.length });
      },
    });
  }

  private input(run: Run) {
    const updateId = run.restarts === 0 ? run.base : `${run.base}.${run.restarts}`;
    const { itemId } = this.item;
    return { itemId, updateId, page: run.page, dueAt, ...(run.remine ? { remine: true } : {}) };
  }

  /** What the workflow makes of an answer that it hears. */
  private after(worker: number, run: Run, result: PageResult): void {
    if (result.kind === 'staged') run.page += 1;
    else if (result.kind === 'moved') Object.assign(run, { page: 0, restarts: run.restarts + 1 });
    else this.workers[worker] = null;
    if (result.kind !== 'applied') return;
    seen.applied += 1;
    if (run.remine) seen.remines += 1;
  }

  private async page(worker: number): Promise<void> {
    const run = this.workers[worker];
    if (!run) return;
    const result = await world.runWith({ plaid: this.plaid() }).minePage(this.input(run));
    this.after(worker, run, result);
  }

  private async cutOff(worker: number): Promise<void> {
    const run = this.workers[worker];
    if (!run) return;
    const held = holdAnswer(
      this.plaid(),
      ['syncTransactions', 'getAccounts'],
      // The last page's activity asks twice; it is given up after the second answer.
      (method, answer) => method === 'getAccounts' || (answer as { has_more: boolean }).has_more,
    );
    const running = world.runWith({ plaid: held.plaid }).minePage(this.input(run));
    const ended = await Promise.race([held.answered.then(() => null), running]);
    if (ended !== null) return this.after(worker, run, ended);
    this.zombies.push(async () => {
      held.release();
      const result = await running;
      seen.late += 1;
      if (result.kind === 'moved' || result.kind === 'gone') seen.refused += 1;
    });
  }

  private async nameRemovals(): Promise<void> {
    const { itemId } = this.item;
    const living = this.log.truth(this.log.length);
    const gone = ['t1', 't2', 't3', 't4'].filter((id) => !living.has(id));
    const webhook: NewWebhook = {
      source: 'plaid',
      verdict: 'accepted',
      body: Buffer.from('{}'),
      headers: {},
      webhook_type: 'TRANSACTIONS',
      webhook_code: 'TRANSACTIONS_REMOVED',
      item_id: itemId,
      kind: 'removals',
      removed_ids: gone,
      reason: null,
    };
    await world.stores.webhooks.store(webhook);
  }

  private async cutOffLookUp(): Promise<void> {
    await this.nameRemovals();
    const held = holdAnswer(this.plaid(), ['getTransactions']);
    const running = world.runWith({ plaid: held.plaid }).settleRemovals({ itemId: this.item.itemId });
    if ((await Promise.race([held.answered.then(() => null), running])) !== null) return;
    this.zombies.push(() => (held.release(), running));
  }

  private async comeLate(which: number): Promise<void> {
    const [zombie] = this.zombies.splice(which % Math.max(this.zombies.length, 1), 1);
    await zombie?.();
  }

  async do(step: Step): Promise<void> {
    switch (step.kind) {
      case 'tell':
        return this.log.tell(step.id);
      case 'remove':
        return this.log.remove(step.id);
      case 'askRemine':
        return void (await world.stores.itemCommands.requestRemine(ourselves, this.item.itemId));
      case 'page':
        this.begin(step.worker, step.remine);
        return this.page(step.worker);
      case 'cutOff':
        this.begin(step.worker, step.remine);
        return this.cutOff(step.worker);
      case 'cutOffLookUp':
        return this.cutOffLookUp();
      case 'lookUp':
        await this.nameRemovals();
        await world.runWith({ plaid: this.plaid() }).settleRemovals({ itemId: this.item.itemId });
        return;
      case 'comeLate':
        return this.comeLate(step.which);
    }
  }

  /** A run comes to its end within a few pages when nobody disturbs it any more. */
  private async finish(worker: number): Promise<void> {
    for (let pages = 0; this.workers[worker]; pages += 1) {
      expect(pages).toBeLessThan(100);
      await this.page(worker);
    }
  }

  /** Everything that is still on its way comes to its end, in the order in which it was given up; then Plaid has news no more. */
  async end(): Promise<void> {
    while (this.zombies.length > 0) {
      await this.comeLate(0);
      await this.compare();
    }
    for (const worker of [0, 1]) await this.finish(worker);
    this.begin(0, false);
    await this.finish(0);
    await this.compare();
    expect(this.cursor).toBe(this.log.length);
  }

  /** Nothing is lost, nothing is a phantom, nothing is stale, the cursor and the account never go back, no sequence is missing. */
  async compare(): Promise<void> {
    const { itemId } = this.item;
    const [row] = await world.sql<{ cursor: string }[]>`SELECT cursor FROM items WHERE item_id = ${itemId}`;
    const cursor = Number(row?.cursor === '' ? 0 : row?.cursor);
    expect(cursor).toBeGreaterThanOrEqual(this.cursor);
    this.cursor = cursor;
    const rows = await world.sql<{ id: string; amount: number }[]>`
      SELECT transaction_id AS id, amount::float8 AS amount FROM transactions
      WHERE item_id = ${itemId} AND status <> 'removed'`;
    const stored = new Map(rows.map(({ id, amount }) => [id, amount]));
    const expected = this.log.truth(cursor);
    // A look-up may have found a removal that the cursor has still to tell.
    for (const id of this.log.removedAfter(cursor)) if (!stored.has(id)) expected.delete(id);
    expect(Object.fromEntries([...stored].sort())).toEqual(Object.fromEntries([...expected].sort()));
    const [named] = await world.sql<{ name: string }[]>`
      SELECT raw ->> 'name' AS name FROM accounts WHERE item_id = ${itemId}`;
    const name = named?.name ?? '';
    expect(name >= this.accountName).toBe(true);
    this.accountName = name;
    const sequences = await world.sql<{ sequence: number }[]>`
      SELECT sequence FROM outbox WHERE item_id = ${itemId} ORDER BY sequence`;
    expect(sequences.map(({ sequence }) => Number(sequence))).toEqual(sequences.map((_, n) => n + 1));
  }
}

it('what is stored is what Plaid has told, however late and in whatever order attempts come to their end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 50 }), async (steps) => {
      const story = new Story(await world.linkedItem());
      for (const one of steps) {
        await story.do(one);
        await story.compare();
      }
      await story.end();
    }),
    { numRuns: 40 },
  );
  // The stories are worth telling: attempts came late and were refused, and there were remines between.
  expect(seen.refused).toBeGreaterThan(10);
  expect(seen.late).toBeGreaterThan(seen.refused);
  expect(seen.applied).toBeGreaterThan(40);
  expect(seen.remines).toBeGreaterThan(0);
}, 600_000);
