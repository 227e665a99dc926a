import fc from 'fast-check';
import { ourselves } from '../../domain/exchange/viewer.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import type { MinedPage } from '../../domain/mining/page.js';
import type { History } from '../../domain/mining/run.js';
import type { PlaidAccount, PlaidTransaction } from '../../domain/plaid.js';
import type { Seen } from '../../domain/ports/items.js';
import type { Update } from '../../domain/ports/mining.js';
import type { ModelBegan, ModelPage } from '../../tools/faults/core/miningModel.js';
import { MiningModel } from '../../tools/faults/core/miningModel.js';
import { storedItem } from './storedItem.js';
import type { Said, TestItem, World } from './world.js';
import { account, dueAt, linkedItem, openWorld, pageOf, transaction } from './world.js';

// Few ids and few values, so that pages collide, repeat and contradict each other all the time.
const { numbersAge } = defaultPolicy;
const ids = ['t1', 't2', 't3', 't4', 't5'];
const plaidRow: fc.Arbitrary<PlaidTransaction> = fc
  .record({
    id: fc.constantFrom(...ids),
    amount: fc.constantFrom(-3, 12.5, 0.1),
    pending: fc.boolean(),
    account_id: fc.constantFrom('acc-1', 'acc-2'),
    date: fc.constantFrom('2026-05-04', '2026-05-05'),
  })
  .map(({ id, ...rest }) => transaction(id, rest));
const removedRow = fc.record({
  transaction_id: fc.constantFrom(...ids),
  account_id: fc.constantFrom('acc-1', 'acc-2', null),
});
const pageRows: fc.Arbitrary<Said> = fc.record({
  added: fc.array(plaidRow, { maxLength: 4 }),
  modified: fc.array(plaidRow, { maxLength: 3 }),
  removed: fc.uniqueArray(removedRow, { maxLength: 3, selector: (row) => row.transaction_id }),
});
const openAccounts: fc.Arbitrary<PlaidAccount[]> = fc
  .uniqueArray(fc.constantFrom('acc-1', 'acc-2', 'acc-3'), { maxLength: 3 })
  .chain((open) =>
    fc.tuple(...open.map((id) => fc.constantFrom('Checking', 'Saving').map((name) => account(id, { name })))),
  );

/** What else happens around the pages of an update. */
type Disturbance =
  /** A late attempt stages the page with other rows, before or after the real one. */
  | { kind: 'zombieStages'; at: number; rows: Said; first: boolean }
  /** The run gives up at this page, with or without dropping what is staged, and starts again under a new id. */
  | { kind: 'restart'; at: number; discard: boolean }
  /** The database crashes: unlogged tables are empty afterwards. */
  | { kind: 'crash'; at: number }
  /** An attempt whose answer was lost applies again, with other rows. */
  | { kind: 'applyAgain'; rows: Said }
  /** The attempt that a restart abandoned comes to its end after all. */
  | { kind: 'zombieApplies'; rows: Said; early: boolean }
  /** An attempt of an earlier update comes to its end: it stages its page, or applies. */
  | { kind: 'earlierWork'; at: number; which: number; rows: Said; stages: boolean };

const position = fc.nat({ max: 3 });
const disturbance: fc.Arbitrary<Disturbance> = fc.oneof(
  fc.record({
    kind: fc.constant('zombieStages' as const),
    at: position,
    rows: pageRows,
    first: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('restart' as const), at: position, discard: fc.boolean() }),
  fc.record({ kind: fc.constant('crash' as const), at: position }),
  fc.record({ kind: fc.constant('applyAgain' as const), rows: pageRows }),
  fc.record({ kind: fc.constant('zombieApplies' as const), rows: pageRows, early: fc.boolean() }),
  // It needs one before it, and pages that are not there any more: the rarest to come to something.
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('earlierWork' as const),
      at: position,
      which: fc.nat(),
      rows: pageRows,
      stages: fc.boolean(),
    }),
  },
);

interface Story {
  pages: Said[];
  accounts: PlaidAccount[];
  history: History | null;
  disturbances: Disturbance[];
  /** It is a reading of everything, of an Item that has a cursor. */
  reading?: { keepsCursor: boolean };
}
const update: fc.Arbitrary<Story> = fc.record({
  pages: fc.array(pageRows, { minLength: 1, maxLength: 4 }),
  accounts: openAccounts,
  history: fc.constantFrom<History | null>('initial', 'complete', 'none', null),
  disturbances: fc.array(disturbance, { maxLength: 3 }),
});
const reading: fc.Arbitrary<Story> = fc.record({
  pages: fc
    .uniqueArray(plaidRow, { maxLength: 5, selector: (row) => row.transaction_id })
    .map((rows) => [{ added: rows.slice(0, 2) }, { added: rows.slice(2) }]),
  accounts: openAccounts,
  history: fc.constantFrom<History | null>('complete', null),
  disturbances: fc.constant([]),
  reading: fc.record({ keepsCursor: fc.boolean() }),
});
const story = fc.oneof({ weight: 3, arbitrary: update }, { weight: 1, arbitrary: reading });

/** An answer in hand: what an attempt has when Temporal gives it up. */
interface Attempt {
  updateId: string;
  number: number;
  cursor: string;
  began: Began;
}

/** What an update began with, in the store's words and in the model's. */
interface Began {
  seen: Seen;
  model: ModelBegan;
}

/** Drives the store and the model through the same steps and compares every answer. */
class Drive {
  private updates = 0;
  private readonly earlier: Attempt[] = [];
  /** What the late attempts of earlier updates were told. */
  readonly late: string[] = [];
  readonly model: MiningModel;

  constructor(
    private readonly world: World,
    private readonly item: TestItem,
  ) {
    this.model = new MiningModel(
      {
        item_id: item.itemId,
        user_id: item.userId,
        institution_id: 'ins_1',
      },
      'acc-1',
    );
  }

  private get mining() {
    return this.world.stores.mining;
  }

  private mined(given: ModelPage, hasMore: boolean): MinedPage {
    return pageOf(this.item, given.cursor, given.nextCursor, hasMore, given.rows);
  }

  /** Goes through a reading of everything, and resolves to what it has missed. */
  async read({ pages, accounts, history }: Story, keepsCursor: boolean): Promise<number> {
    this.updates += 1;
    const [{ itemId }, updateId] = [this.item, `u${this.updates}`];
    const asked = await this.world.stores.itemCommands.requestRemine(ourselves, itemId);
    const remine = typeof asked === 'object' && 'number' in asked ? asked.number : null;
    const began = this.model.now();
    const start = await this.mining.beginPage(itemId, updateId, 0, { remine: true });
    if (start.kind !== 'fetch') throw new Error(`it begins with ${start.kind}`);
    const [first = {}, second = {}] = pages;
    const staged = { cursor: '', nextCursor: `${updateId}/0`, rows: first };
    await this.mining.stagePage(
      itemId,
      updateId,
      0,
      { began: start.began, remine: true },
      this.mined(staged, true),
    );
    this.model.stage(updateId, 0, staged, began);
    const page = { cursor: staged.nextCursor, nextCursor: `${updateId}/1`, rows: second };
    const given = { updateId, pageNumber: 1, accounts, history, keepsCursor };
    const asOf = new Date(Date.UTC(2026, 5, 1, 0, this.updates)).toISOString();
    const applied = this.model.apply({ ...given, remine, page, began, asOf });
    const more = { itemId, remine: true, accountsAsOf: asOf, began: start.began, dueAt, numbersAge };
    expect(await this.mining.apply({ ...given, ...more, page: this.mined(page, false) })).toEqual(applied);
    return applied.kind === 'applied' ? (applied.outcome.missed ?? 0) : 0;
  }

  private async begin(updateId: string, number: number): Promise<{ cursor: string; seen: Seen } | null> {
    const start = await this.mining.beginPage(this.item.itemId, updateId, number);
    expect(start).toMatchObject(this.model.begin(updateId, number));
    return start.kind === 'fetch' ? { cursor: start.cursor, seen: start.began } : null;
  }

  private async stage(attempt: Omit<Attempt, 'cursor'>, given: ModelPage): Promise<string> {
    const { updateId, number, began } = attempt;
    const options = { began: began.seen, remine: false };
    const { itemId } = this.item;
    const answer = await this.mining.stagePage(itemId, updateId, number, options, this.mined(given, true));
    expect(answer).toEqual(this.model.stage(updateId, number, given, began.model));
    return answer.kind;
  }

  private async apply(attempt: Omit<Attempt, 'cursor'>, last: ModelPage, told: Story): Promise<string> {
    const { updateId, number: pageNumber, began } = attempt;
    const accountsAsOf = new Date(Date.UTC(2026, 5, 1, 0, this.updates)).toISOString();
    const update: Update = {
      itemId: this.item.itemId,
      updateId,
      pageNumber,
      page: this.mined(last, false),
      accounts: told.accounts,
      accountsAsOf,
      began: began.seen,
      history: told.history,
      dueAt,
      numbersAge,
    };
    const expected = this.model.apply({
      updateId,
      began: began.model,
      pageNumber,
      page: last,
      accounts: told.accounts,
      asOf: accountsAsOf,
      history: told.history,
    });
    expect(await this.mining.apply(update)).toEqual(expected);
    return expected.kind;
  }

  /** An attempt of an earlier update comes to its end. */
  private async comeLate(one: Extract<Disturbance, { kind: 'earlierWork' }>, told: Story): Promise<void> {
    const attempt = this.earlier[one.which % this.earlier.length];
    if (attempt === undefined) return;
    const page = { cursor: attempt.cursor, nextCursor: `${attempt.updateId}/late`, rows: one.rows };
    this.late.push(await (one.stages ? this.stage(attempt, page) : this.apply(attempt, page, told)));
  }

  /** One update with everything that disturbs it, until it is applied. */
  async tell(told: Story): Promise<void> {
    this.updates += 1;
    const base = `u${this.updates}`;
    let pending = told.disturbances;
    const take = <K extends Disturbance['kind']>(
      kind: K,
      at: number,
    ): Extract<Disturbance, { kind: K }>[] => {
      const taken = pending.filter((one) => one.kind === kind && (!('at' in one) || one.at === at));
      pending = pending.filter((one) => !taken.includes(one));
      return taken as Extract<Disturbance, { kind: K }>[];
    };
    const abandoned: Attempt[] = [];
    const mineAll: Attempt[] = [];
    let began: Began | null = null;
    let restarts = 0;
    let number = 0;
    for (;;) {
      const updateId = restarts === 0 ? base : `${base}.${restarts}`;
      if (take('crash', number).length > 0) {
        await this.world.sql`DELETE FROM staged_pages WHERE item_id = ${this.item.itemId}`;
        this.model.loseStaged();
      }
      for (const one of take('earlierWork', number)) await this.comeLate(one, told);
      const model = this.model.now();
      const begun = await this.begin(updateId, number);
      if (begun === null) {
        // A zombie staged what was to be the last page, or pages are lost: both are a new start.
        if (this.model.begin(updateId, number).kind === 'staged' && number + 1 < told.pages.length) {
          number += 1;
          continue;
        }
        restarts += 1;
        number = 0;
        continue;
      }
      const { cursor } = begun;
      if (number === 0 || began === null) began = { seen: begun.seen, model };
      const attempt: Attempt = { updateId, number, cursor, began };
      mineAll.push(attempt);
      const [restart] = take('restart', number);
      if (restart !== undefined) {
        if (restart.discard) {
          await this.mining.discard(this.item.itemId, updateId);
          this.model.discard(updateId);
        }
        abandoned.push(attempt);
        restarts += 1;
        number = 0;
        continue;
      }
      const rows = told.pages[number] ?? {};
      const mine: ModelPage = { cursor, nextCursor: `${updateId}/${number}`, rows };
      const zombies = take('zombieStages', number).map((one) => ({
        first: one.first,
        page: { cursor, nextCursor: `${updateId}/${number}z`, rows: one.rows },
      }));
      for (const zombie of zombies) if (zombie.first) await this.stage(attempt, zombie.page);
      if (number + 1 < told.pages.length) {
        await this.stage(attempt, mine);
        for (const zombie of zombies) if (!zombie.first) await this.stage(attempt, zombie.page);
        number += 1;
        continue;
      }
      for (const early of pending.filter((one) => one.kind === 'zombieApplies' && one.early)) {
        const late = abandoned.at(-1);
        if (late === undefined || early.kind !== 'zombieApplies') continue;
        const last = { cursor: late.cursor, nextCursor: `${late.updateId}/zombie`, rows: early.rows };
        await this.apply(late, last, told);
      }
      if ((await this.apply(attempt, mine, told)) === 'moved') {
        await this.mining.discard(this.item.itemId, updateId);
        this.model.discard(updateId);
        restarts += 1;
        number = 0;
        continue;
      }
      for (const one of pending) {
        if (one.kind === 'applyAgain') {
          await this.apply(attempt, { ...mine, rows: one.rows }, { ...told, accounts: [] });
        }
        if (one.kind !== 'zombieApplies') continue;
        for (const late of abandoned) {
          const last = { cursor: late.cursor, nextCursor: `${late.updateId}/zombie`, rows: one.rows };
          await this.apply(late, last, told);
        }
      }
      this.earlier.push(...mineAll);
      return;
    }
  }

  /** The tables are what the model says. */
  async compare(): Promise<void> {
    const stored = storedItem(this.world.sql, this.item.itemId);
    const { model } = this;
    const [transactions, accounts, outbox, row, staged] = await Promise.all([
      stored.transactions(),
      stored.accounts(),
      stored.outbox(),
      stored.row(),
      stored.staged(),
    ]);
    expect(
      transactions.map(({ transaction_id, account_id, status, raw, refined, version }) => {
        return { transaction_id, account_id, status, raw, refined, version };
      }),
    ).toEqual(
      [...model.transactions.keys()].sort().map((id) => {
        const { account_id, status, raw, version } = model.transactions.get(id)!;
        return { transaction_id: id, account_id, status, raw, refined: model.refinedOf(id), version };
      }),
    );
    for (const { date, amount, currency, raw } of transactions) {
      const columns = { date: raw?.['date'] ?? '-infinity', amount: raw?.['amount']?.toString() ?? null };
      expect({ date, amount }).toEqual(columns);
      expect(currency).toBe(raw === null ? null : 'USD');
    }
    expect(
      accounts.map(({ account_id, status, is_main, raw, version, as_of, replaces, replaced_by }) => {
        return {
          account_id,
          status,
          is_main,
          raw,
          version,
          as_of: as_of.toISOString(),
          replaces,
          replaced_by,
        };
      }),
    ).toEqual(
      [...model.accounts.keys()].sort().map((id) => {
        return { account_id: id, ...model.accounts.get(id)! };
      }),
    );
    expect(outbox).toEqual(model.outbox);
    const newest = (record: string): number =>
      model.outbox.filter((change) => change.record === record).at(-1)?.sequence ?? 0;
    expect(row).toMatchObject({
      cursor: model.cursor,
      history: model.history,
      last_update_id: model.last?.updateId,
      last_update_outcome: model.last?.outcome,
      last_sequence: model.outbox.length,
      last_transaction_sequence: newest('transaction'),
      last_account_sequence: newest('account'),
      update_started_at: null,
    });
    expect(row['unsent_since'] === null).toBe(model.outbox.length === 0);
    const due = model.history === 'complete' ? dueAt.complete : dueAt.incomplete;
    expect(row['next_due_at']).toEqual(new Date(due));
    expect(staged).toBe(0);
  }
}

describe('updates of an Item', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld();
  });
  afterAll(() => world.close());

  it('leave the tables as a model without a database says, whatever disturbs them', async () => {
    const seen = { applied: 0, tombstones: 0, removals: 0, pages: 0, accounts: 0, late: 0, missed: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(story, { minLength: 1, maxLength: 5 }), async (stories) => {
        const drive = new Drive(world, await linkedItem(world));
        for (const told of stories) {
          if (told.reading !== undefined && drive.model.cursor !== '')
            seen.missed += await drive.read(told, told.reading.keepsCursor);
          else await drive.tell(told);
          await drive.compare();
          seen.applied += 1;
          seen.pages += drive.model.last?.outcome.pages ?? 0;
        }
        seen.late += drive.late.filter((answer) => answer === 'moved').length;
        for (const { raw } of drive.model.transactions.values()) seen.tombstones += raw === null ? 1 : 0;
        seen.removals += drive.model.outbox.filter((change) => change.removed).length;
        seen.accounts += drive.model.outbox.filter((change) => change.record === 'account').length;
      }),
      { numRuns: 40 },
    );
    // The stories are worth telling: they had several pages, tombstones, removals and accounts.
    expect(seen.pages).toBeGreaterThan(seen.applied);
    expect(seen.tombstones).toBeGreaterThan(0);
    expect(seen.removals).toBeGreaterThan(seen.tombstones);
    expect(seen.accounts).toBeGreaterThan(0);
    expect(seen.late).toBeGreaterThan(0);
    expect(seen.missed).toBeGreaterThan(0);
  });
});
