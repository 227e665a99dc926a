import fc from 'fast-check';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';
import { account } from './fakePlaid.js';
import { givenOf, heardOf, numbersOf } from './numbersWorld.js';

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());

const ids = ['account-1', 'account-2', 'account-3'] as const;
type Id = (typeof ids)[number];
const id = fc.constantFrom(...ids);
const kind = <const Kind extends string>(...kinds: Kind[]) =>
  fc.record({ kind: fc.constantFrom(...kinds), id });

const deed = fc.oneof(
  // A number is another one: the bank alone knows, or Plaid says so.
  kind('changes', 'changesAndIsTold'),
  kind('goes', 'comes', 'isRevoked'),
  // Answers of /auth/get: right, lacking one, naming none, of which a part cannot be read.
  kind('answer', 'shortAnswer', 'emptyAnswer', 'oddAnswer'),
  fc.record({
    kind: fc.constant('refusal' as const),
    id,
    code: fc.constantFrom(
      'PRODUCTS_NOT_SUPPORTED',
      'PRODUCT_NOT_READY',
      'ADDITIONAL_CONSENT_REQUIRED',
      'NO_AUTH_ACCOUNTS',
      'INTERNAL_SERVER_ERROR',
      'INVALID_FIELD',
      'ACCESS_NOT_GRANTED',
      'NO_SUCH_CODE',
    ),
  }),
  kind('update'),
  fc.record({
    kind: fc.constant('time' as const),
    id,
    passes: fc.constantFrom('1 hour', '13 hours', '30 hours'),
  }),
);
type Deed = typeof deed extends fc.Arbitrary<infer One> ? One : never;

/** An Item at a bank that holds what is true. */
class Life {
  private readonly open = new Set<Id>(ids);
  private readonly numbers = new Map<Id, string>(ids.map((one) => [one, 'first']));
  private updates = 0;
  private changes = 0;

  private constructor(private readonly item: FakeItem) {}

  static async begin(): Promise<Life> {
    const life = new Life(await world.linkedItem());
    await life.update();
    await life.read();
    return life;
  }

  /** What is to be given at the end: account → number. */
  get truth(): Record<string, string> {
    return Object.fromEntries([...this.open].map((one) => [one, `${this.numbers.get(one)} ${one}`]));
  }

  get given(): Promise<Record<string, string>> {
    return givenOf(world, this.item);
  }

  private tellTruth(): void {
    this.item.accounts = ids
      .map((one, index) => account(one, { mask: `000${index}` }))
      .filter(({ account_id }) => this.open.has(account_id as Id));
    this.item.numbers = [...this.open].flatMap((one) => numbersOf([one], this.numbers.get(one)));
  }

  async update(): Promise<void> {
    const { itemId } = this.item;
    this.tellTruth();
    this.updates += 1;
    const [row] = await world.sql<[{ cursor: string }]>`SELECT cursor FROM items WHERE item_id = ${itemId}`;
    this.item.page(row.cursor, `c${this.updates}`, {});
    const dueAt = { complete: '2030-01-02T00:00:00.000Z', incomplete: '2030-01-01T00:00:00.000Z' };
    const result = await world.run.minePage({ itemId, updateId: `u${this.updates}`, page: 0, dueAt });
    expect(result.kind).toBe('applied');
  }

  /** Numbers are asked for; what Plaid refuses is tried later. */
  async read(): Promise<void> {
    await world.run.saveNumbers({ itemId: this.item.itemId }).catch(() => undefined);
  }

  private async answer(change: () => void): Promise<void> {
    this.tellTruth();
    change();
    await this.read();
    this.item.oddNumbers = false;
    world.plaid.refuse('getNumbers', null);
  }

  private async hear(name: string, more: Record<string, unknown>): Promise<void> {
    this.tellTruth();
    await heardOf(world, this.item, name, more);
    await world.run.settleItemWebhooks({ itemId: this.item.itemId });
  }

  /** What the Item's rows say of times becomes so much older. */
  async passes(time: string): Promise<void> {
    const { itemId } = this.item;
    await world.sql`
      UPDATE items SET numbers_asked_at = numbers_asked_at - ${time}::interval, numbers_due_at = numbers_due_at - ${time}::interval,
        numbers_lacking_since = numbers_lacking_since - ${time}::interval WHERE item_id = ${itemId}`;
    await world.sql`
      UPDATE accounts SET as_of = as_of - ${time}::interval, listed_since = listed_since - ${time}::interval,
        revoked_at = revoked_at - ${time}::interval WHERE item_id = ${itemId}`;
    await world.sql`
      UPDATE account_numbers SET as_of = as_of - ${time}::interval, doubted_at = doubted_at - ${time}::interval
      WHERE item_id = ${itemId}`;
  }

  /** Whether numbers are due: now, at a time to come, or not at all. */
  async due(): Promise<'now' | 'later' | null> {
    const [row] = await world.sql<[{ due: boolean | null }]>`
      SELECT numbers_due_at <= clock_timestamp() AS due FROM items WHERE item_id = ${this.item.itemId}`;
    return row.due === null ? null : row.due ? 'now' : 'later';
  }

  async do(one: Deed): Promise<void> {
    const isLast = this.open.size === 1 && this.open.has(one.id);
    switch (one.kind) {
      case 'changes':
      case 'changesAndIsTold':
        this.changes += 1;
        this.numbers.set(one.id, `number ${this.changes}`);
        if (one.kind === 'changesAndIsTold')
          await this.hear('AUTH/DEFAULT_UPDATE', {
            account_ids_with_updated_auth: { [one.id]: ['ACCOUNT_NUMBER'] },
          });
        return;
      case 'comes':
        this.open.add(one.id);
        return;
      case 'goes':
      case 'isRevoked':
        if (isLast) return;
        this.open.delete(one.id);
        if (one.kind === 'isRevoked') await this.hear('ITEM/USER_ACCOUNT_REVOKED', { account_id: one.id });
        return;
      case 'answer':
        return this.answer(() => undefined);
      case 'shortAnswer':
        return this.answer(() => {
          this.item.numbers = this.item.numbers.filter(({ account_id }) => account_id !== one.id);
        });
      case 'emptyAnswer':
        return this.answer(() => (this.item.numbers = []));
      case 'oddAnswer':
        return this.answer(() => {
          this.item.oddNumbers = true;
          this.item.numbers = this.item.numbers.slice(1);
        });
      case 'refusal':
        return this.answer(() => world.plaid.refuse('getNumbers', one.code));
      case 'update':
        return this.update();
      case 'time':
        return this.passes(one.passes);
    }
  }
}

it('numbers are those of the bank in the end, with nothing due and nothing asked needlessly, whatever has happened and whoever has said so', async () => {
  const lives = fc.asyncProperty(fc.array(deed, { minLength: 3, maxLength: 14 }), async (deeds) => {
    const life = await Life.begin();
    for (const one of deeds) await life.do(one);
    // Then Plaid answers as it should, time passes, and no word comes any more.
    await life.passes('1 day');
    for (let round = 0; round < 8; round += 1) {
      await life.update();
      const due = await life.due();
      if (due === 'later') await life.passes('25 hours');
      if (due === null) await life.passes('3 hours');
      else await life.read();
    }
    expect(await life.given).toEqual(life.truth);
    const before = world.plaid.count('getNumbers');
    await life.update();
    expect([await life.due(), world.plaid.count('getNumbers')]).toEqual([null, before]);
  });
  await fc.assert(lives, { numRuns: 40 });
});
