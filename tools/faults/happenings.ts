import { change, truthOf } from './bank.js';
import type { Chance } from './chance.js';
import { pick, weighted } from './chance.js';
import type { World } from './world.js';

/** An Item of a round, and what is the matter with it now. */
export interface LivingItem {
  itemId: string;
  userId: string;
  isBroken: boolean;
  /** The next thing that happens to it: Segment is told of logins alone. */
  breaksNext?: boolean;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const money = (chance: Chance, most: number): number => Number((chance() * most).toFixed(2));

/** The user logs in; Plaid says so by its webhook when `byWebhook`, else the client says it. */
export async function repair(world: World, item: LivingItem, byWebhook: boolean): Promise<void> {
  await world.system.sim(`/_sim/items/${item.itemId}/repair`, { webhook: byWebhook });
  item.isBroken = false;
  if (!byWebhook) await world.client.ask('POST', `/v1/items/${item.itemId}/relinked`);
}

interface Happening {
  name: string;
  weight: number;
  happen(world: World, item: LivingItem, chance: Chance): Promise<unknown>;
}

const loginBreaks: Happening = {
  name: 'the login breaks and is repaired',
  weight: 2,
  async happen(world, item, chance) {
    item.isBroken = true;
    await world.system.sim(`/_sim/items/${item.itemId}/break`, {});
    await pause(chance() * 4_000);
    await change(world.system, item.itemId, { add: [{ amount: 3, name: 'While it was broken' }] });
    await repair(world, item, chance() < 0.5);
  },
};

/** What happens to Items all the time, while faults come and when none do. */
const happenings: [Happening, ...Happening[]] = [
  {
    name: 'rows come',
    weight: 5,
    happen: ({ system }, { itemId }, chance) =>
      change(system, itemId, {
        add: [
          { amount: money(chance, 500), name: 'Came', pending: chance() < 0.5 },
          { amount: money(chance, -50), name: 'Came back' },
        ],
        notify: true,
      }),
  },
  {
    name: 'a row changes',
    weight: 3,
    async happen({ system }, { itemId }, chance) {
      const row = pick((await truthOf(system, itemId)).transactions, chance);
      if (row === undefined) return;
      const changed = { transaction_id: row.transaction_id, amount: money(chance, 900) };
      await change(system, itemId, { modify: [changed], notify: true });
    },
  },
  {
    name: 'a row goes',
    weight: 3,
    async happen({ system }, { itemId }, chance) {
      const row = pick((await truthOf(system, itemId)).transactions, chance);
      if (row !== undefined) await change(system, itemId, { remove: [row.transaction_id], notify: true });
    },
  },
  {
    name: 'a pending row is posted',
    weight: 3,
    async happen({ system }, { itemId }, chance) {
      const { transactions } = await truthOf(system, itemId);
      const row = pick(
        transactions.filter(({ pending }) => pending),
        chance,
      );
      if (row === undefined) return;
      await change(system, itemId, { post: [{ transaction_id: row.transaction_id }], notify: true });
    },
  },
  {
    name: 'a balance changes',
    weight: 2,
    async happen({ system }, { itemId }, chance) {
      const account = pick((await truthOf(system, itemId)).accounts, chance);
      if (account === undefined) return;
      const current = Math.floor(chance() * 9_000);
      await system.sim(`/_sim/items/${itemId}/accounts`, {
        modify: [{ account_id: account.account_id, balances: { current } }],
      });
      await change(system, itemId, { add: [{ amount: 2, name: 'Balance' }], notify: true });
    },
  },
  {
    name: 'remine',
    weight: 2,
    happen: ({ client }, { itemId }) => client.ask('POST', `/v1/items/${itemId}/remine`),
  },
  {
    name: 'numbers change',
    weight: 2,
    happen: ({ system }, { itemId }) => system.sim(`/_sim/items/${itemId}/numbers`, {}),
  },
  {
    name: 'another account takes the place of one',
    weight: 1,
    async happen({ system }, { itemId }, chance) {
      const { accounts } = await truthOf(system, itemId);
      const account = pick(
        accounts.filter(({ closed }) => !closed),
        chance,
      );
      if (account === undefined) return;
      await system.sim(`/_sim/items/${itemId}/churn`, { account_ids: [account.account_id], notify: true });
    },
  },
  loginBreaks,
];

/** What an Item goes through until `endsAt` (ms since the epoch). */
export async function live(world: World, item: LivingItem, chance: Chance, endsAt: number): Promise<void> {
  while (Date.now() < endsAt) {
    const { name, happen } = item.breaksNext === true ? loginBreaks : weighted(happenings, chance);
    item.breaksNext = false;
    await happen(world, item, chance);
    world.count(name);
    await pause(200 + chance() * 2_000);
  }
}
