import fc from 'fast-check';
import { connect, newApplication } from './granting.js';
import type { World } from './world.js';
import {
  account,
  linkedItem,
  openWorld,
  rowsOf,
  runRemine,
  runUpdate,
  storedTransactions,
  transaction,
} from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** What a bank does with one of an Item's two accounts, of which each day has one row. */
const deed = fc.oneof(
  fc.record({ kind: fc.constant('days' as const), count: fc.integer({ min: 1, max: 3 }) }),
  /** It lists these days no more. */
  fc.record({ kind: fc.constant('forgets' as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant('moves' as const),
    which: fc.constantFrom(0, 1),
    /** An id that the account had before, if it had some; else a new one. */
    back: fc.option(fc.nat(), { nil: null }),
    /** What comes before the rows under the id of now. */
    first: fc.constantFrom('nothing', 'the accounts', 'the newest rows', 'an answer without it'),
  }),
);
type Deed = typeof deed extends fc.Arbitrary<infer Value> ? Value : never;

const dateOf = (day: number): string => new Date(Date.UTC(2026, 5, day)).toISOString().slice(0, 10);

async function play(deeds: readonly Deed[]): Promise<void> {
  const own = ['a', 'b'].map((name) => ({
    ids: [`${name}0`],
    id: `${name}0`,
    name,
    said: new Set<string>(),
  }));
  type Own = (typeof own)[number];
  let [oldest, today] = [1, 8];
  const rowOf = ({ id }: Own, day: number) =>
    transaction(`${id} ${day}`, { account_id: id, date: dateOf(day) });
  const listedOf = (one: Own) => Array.from({ length: today - oldest + 1 }, (_, n) => rowOf(one, oldest + n));
  /** Rows that the cursor has not said so far. */
  const unsaid = (one: Own) => listedOf(one).filter(({ transaction_id: id }) => !one.said.has(id));
  const say = (one: Own, rows: ReturnType<typeof unsaid>) => {
    rows.forEach(({ transaction_id: id }) => one.said.add(id));
    return rows;
  };
  const item = await linkedItem(world);
  const update = (rows: ReturnType<typeof unsaid>, listed: readonly Own[] = own) =>
    runUpdate(world, item, [{ added: rows }], {
      accounts: listed.map(({ id, name }) => account(id, { name, mask: name })),
      accountsAsOf: new Date().toISOString(),
    });
  const updateAll = () => update(own.flatMap((one) => say(one, unsaid(one))));
  await updateAll();
  const viewer = await newApplication(world);
  await connect(world, item, viewer, { account_ids: ['a0'], new_accounts: true });
  for (const done of deeds) {
    if (done.kind === 'days') today += done.count;
    if (done.kind === 'forgets') oldest = Math.min(today - 3, oldest + done.count);
    if (done.kind === 'moves') {
      const one = own[done.which] as Own;
      const former = one.ids.filter((id) => id !== one.id);
      one.id = former[(done.back ?? 0) % former.length] ?? '';
      if (done.back === null || one.id === '') one.ids.push((one.id = `${one.name}${one.ids.length}`));
      const rows = unsaid(one);
      if (done.first === 'the accounts') await update([]);
      if (done.first === 'the newest rows') await update(say(one, rows.slice(rows.length / 2)));
      if (done.first === 'an answer without it') {
        await update(
          [],
          own.filter((other) => other !== one),
        );
      }
    }
    await updateAll();
    if ((await world.stores.mining.waiting(item.itemId)).remine !== null)
      await runRemine(world, item, [{ added: own.flatMap(listedOf) }], {
        accounts: own.map(({ id, name }) => account(id, { name, mask: name })),
        accountsAsOf: new Date().toISOString(),
      });
    const live = [...(await storedTransactions(world, item.itemId)).values()].filter(
      ({ status }) => status !== 'removed',
    );
    for (const { ids } of own) {
      const days = live.flatMap(({ id }) =>
        ids.includes(id.split(' ')[0] ?? '') ? Number(id.split(' ')[1]) : [],
      );
      expect(days.sort((x, y) => x - y)).toEqual(Array.from({ length: today }, (_, n) => n + 1));
    }
    const filter = { itemIds: [item.itemId], statuses: ['posted' as const], format: 'refined' as const };
    const seen = rowsOf<{ id: string }>(await world.stores.reads.transactions(viewer, filter, 500, null));
    expect(seen.map(({ id }) => id).sort()).toEqual(
      live.flatMap(({ id }) => (id.startsWith('a') ? id : [])).sort(),
    );
  }
}

it('whatever ids a bank gives its accounts, each row is there once, and is read by who was granted its account', async () => {
  await fc.assert(fc.asyncProperty(fc.array(deed, { minLength: 2, maxLength: 8 }), play), { numRuns: 30 });
});
