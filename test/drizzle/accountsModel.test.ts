import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { wholeGrant } from '../../domain/exchange/connection.js';
import { ourselves } from '../../domain/exchange/viewer.js';
import { identityOf } from '../../domain/mining/accounts.js';
import type { PlaidAccount, PlaidTransaction } from '../../domain/plaid.js';
import type { Update } from '../../domain/ports/mining.js';
import type { TestItem, World } from './world.js';
import {
  account,
  linkedItem,
  newApplication,
  openWorld,
  rowsOf,
  runRemine,
  runUpdate,
  storedTransactions,
  transaction,
  unrefused,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const names = ['A', 'B', 'C'] as const;
type Name = (typeof names)[number];
const who = fc.constantFrom(...names);
const days = Array.from(
  { length: 14 },
  (_, n) => `2026-${String(n < 4 ? n + 6 : 11).padStart(2, '0')}-${String(n + 1).padStart(2, '0')}`,
);

const deed = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('getsId', 'getsFormerId'), who, which: fc.nat(3) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('goes', 'comes', 'hasARow'), who, which: fc.nat(3) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('update' as const),
      // Whose entry of the list nobody can read; whether the list is refused, and what /transactions/sync names then.
      unreadable: fc.option(who, { freq: 2 }),
      refused: fc.option(fc.constantFrom('namesAll', 'namesNone'), { freq: 1 }),
    }),
  },
);
type Deed = typeof deed extends fc.Arbitrary<infer One> ? One : never;

interface Held {
  id: string;
  formerIds: string[];
  isOpen: boolean;
  rows: number;
}

interface Shown {
  id: string;
  status: string;
  replaces: string | null;
  replaced_by: string | null;
}

/**
 * Lists that nobody can read, and what comes of them in the end; what whole lists do to each day's rows `churnModel.test.ts` plays. An Item
 * with three accounts, one of which an application was granted by id; the bank calls them by other ids as it likes.
 */
class Life {
  private readonly bank: ReadonlyMap<Name, Held>;
  private readonly said = new Set<string>();
  private ids = 0;
  private readonly mark = crypto.randomUUID().slice(0, 8);

  private constructor() {
    this.bank = new Map(
      names.map((name) => [name, { id: this.newId(name), formerIds: [], isOpen: true, rows: 3 }]),
    );
  }

  private item!: TestItem;
  private applicationId!: string;

  static async begin(): Promise<Life> {
    const life = new Life();
    const { id } = life.of('A');
    life.applicationId = await newApplication(world);
    life.item = await linkedItem(world, {
      mainAccountId: id,
      applicationId: life.applicationId,
      connection: { ...wholeGrant, account_ids: [id], new_accounts: false },
      accounts: life.listed.map((raw) => identityOf(raw)),
    });
    await life.update({});
    return life;
  }

  private of(name: Name): Held {
    const held = this.bank.get(name);
    if (held === undefined) throw new Error(`no account ${name}`);
    return held;
  }

  private newId(name: Name): string {
    this.ids += 1;
    return `${this.mark}-${name}${this.ids}`;
  }

  private readonly nameOf = (id: string): string => id.slice(this.mark.length + 1, this.mark.length + 2);

  private get open(): [Name, Held][] {
    return [...this.bank].filter(([, { isOpen }]) => isOpen);
  }

  private get listed(): PlaidAccount[] {
    return this.open.map(([name, { id }]) => account(id, { name, mask: `000${names.indexOf(name)}` }));
  }

  private get rows(): PlaidTransaction[] {
    return this.open.flatMap(([, { id, rows }]) =>
      days.slice(0, rows).map((date) => transaction(`${id} ${date}`, { account_id: id, date, amount: 5 })),
    );
  }

  private async update(lists: Partial<Update>, isRemine = false): Promise<void> {
    // Two answers of one millisecond would have no order.
    await pause(2);
    const rows = this.rows;
    const added = isRemine ? rows : rows.filter(({ transaction_id }) => !this.said.has(transaction_id));
    for (const { transaction_id } of rows) this.said.add(transaction_id);
    const changes = { accounts: this.listed, accountsAsOf: new Date().toISOString(), ...lists };
    await (isRemine ? runRemine : runUpdate)(world, this.item, [{ added }], changes);
    await pause(2);
  }

  async do(one: Deed): Promise<void> {
    if (one.kind === 'update') return this.updateBy(one.unreadable, one.refused);
    const held = this.of(one.who);
    const former = held.formerIds[one.which % held.formerIds.length];
    switch (one.kind) {
      case 'getsId':
      case 'getsFormerId': {
        const isNew = one.kind === 'getsId';
        const id = isNew ? this.newId(one.who) : former;
        if (!held.isOpen || id === undefined) return;
        held.formerIds = [...held.formerIds.filter((old) => old !== id), held.id];
        held.id = id;
        return;
      }
      case 'goes':
        // One is left at least: a bank without accounts is another matter.
        if (one.who !== 'C') held.isOpen = false;
        return;
      case 'comes':
        held.isOpen = true;
        return;
      case 'hasARow':
        held.rows = Math.min(held.rows + 1, days.length);
    }
  }

  private async updateBy(unreadable: Name | null, refused: 'namesAll' | 'namesNone' | null): Promise<void> {
    if (refused !== null)
      return this.update({
        accountsRefused: true,
        unreadableAccounts: Infinity,
        accounts: refused === 'namesAll' ? this.listed : [],
      });
    const lost = this.open.filter(([name]) => name === unreadable);
    await this.update({
      accounts: this.listed.filter(({ account_id }) => lost.every(([, { id }]) => id !== account_id)),
      unreadableAccounts: lost.length,
    });
  }

  /** Whole lists, until nothing asks for a remine. */
  async comeToAnEnd(): Promise<void> {
    for (let n = 0; n < 3; n += 1) {
      await this.update({});
      const [row] = await world.sql<[{ asked: boolean }]>`
        SELECT remine_requested_at IS NOT NULL AS asked FROM items WHERE item_id = ${this.item.itemId}`;
      if (row.asked) await this.update({}, true);
    }
  }

  private async accountsSeenBy(viewer: typeof ourselves): Promise<Shown[]> {
    const of = { itemId: this.item.itemId, format: 'refined' as const };
    const page = unrefused(await world.stores.reads.accounts(viewer, of, 100, null));
    return page === null ? [] : rowsOf<Shown>(page);
  }

  /** What is not as the bank has it. */
  async faults(): Promise<string[]> {
    const faults: string[] = [];
    const shown = await this.accountsSeenBy(ourselves);
    const byId = new Map(shown.map((one) => [one.id, one]));
    for (const [, { id }] of this.open) if (byId.get(id)?.status !== 'open') faults.push(`${id} is not open`);
    for (const { id, status, replaces, replaced_by } of shown) {
      if (status === 'open' && this.open.every(([, held]) => held.id !== id)) faults.push(`${id} is open`);
      if (replaced_by !== null && status === 'open') faults.push(`${id} is open and replaced`);
      if (replaced_by !== null && this.nameOf(replaced_by) !== this.nameOf(id))
        faults.push(`${replaced_by} has the place of ${id}`);
      if (replaces !== null && byId.get(replaces)?.replaced_by !== id)
        faults.push(`${id} names ${replaces}, which does not name it`);
    }
    const stored = [...(await storedTransactions(world, this.item.itemId)).values()];
    const live = stored
      .filter(({ status }) => status !== 'removed')
      .map(({ raw }) => raw as PlaidTransaction);
    for (const [name, { id, rows }] of this.open)
      for (const date of days.slice(0, rows)) {
        const own = live.filter(
          (row) => row.date === date && this.nameOf(row.account_id) === name && byId.has(row.account_id),
        );
        if (own.every(({ account_id }) => account_id !== id)) faults.push(`LOST ${name} ${date}`);
        if (own.length > 1) faults.push(`DUP ${name} ${date}`);
      }
    const granted = await this.accountsSeenBy({ applicationId: this.applicationId, access: 'connected' });
    for (const { id } of granted) if (this.nameOf(id) !== 'A') faults.push(`${id} was not granted`);
    const { id, isOpen } = this.of('A');
    if (isOpen && granted.every((one) => one.id !== id)) faults.push(`${id} was granted, and is not shown`);
    const [row] = await world.sql<[{ main: string }]>`
      SELECT main_account_id AS main FROM items WHERE item_id = ${this.item.itemId}`;
    if (isOpen && row.main !== id) faults.push(`${row.main} is the main account`);
    return faults;
  }
}

it('accounts, their rows, the main one and the granted one are the bank’s in the end, whatever ids it has given them and whatever lists could not be read', async () => {
  const lives = fc.asyncProperty(fc.array(deed, { minLength: 3, maxLength: 14 }), async (deeds) => {
    const life = await Life.begin();
    for (const one of deeds) await life.do(one);
    await life.comeToAnEnd();
    expect(await life.faults()).toEqual([]);
  });
  await fc.assert(lives, { numRuns: 40 });
});
