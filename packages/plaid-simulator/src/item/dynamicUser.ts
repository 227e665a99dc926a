import { addDays, civilDate } from '../calendar.js';
import { parseRow } from '../bank/row.js';
import { Random } from '../random.js';
import type { World } from '../world.js';
import { changeBank } from './bankChanges.js';
import type { Item } from './item.js';

/** Plaid's sandbox user whose bank moves at each refresh. */
const DYNAMIC_USER = 'user_transactions_dynamic';
const NEW_PENDING = 2;
/** What a refresh adds to one older amount. */
const RAISE = 1;

export function isDynamic(item: Item): boolean {
  return item.facts.username === DYNAMIC_USER;
}

/** The bank moves on: what was pending is posted, new pending rows come, one older amount rises by 1.00. */
export function moveBank(world: World, item: Item): void {
  const today = civilDate(world.clock.now());
  const random = new Random(world.seed, item.id, 'refresh', item.facts.updates);
  const open = new Set(item.openAccounts.map(({ account }) => account.account_id));
  const rows = [...item.bank.values()].filter((row) => open.has(row.accountId));
  const posted = rows.filter((row) => !row.pending && row.date < addDays(today, -1));
  const raised = posted.length > 0 ? random.pick(posted) : null;
  changeBank(
    item,
    {
      post: rows.filter((row) => row.pending).map(({ id }) => ({ transaction_id: id })),
      add: Array.from({ length: NEW_PENDING }, (_, n) => ({
        amount: Number((1 + random.next() * 99).toFixed(2)),
        name: `Pending purchase ${item.facts.updates}-${n + 1}`,
        pending: true,
      })),
      modify: raised
        ? [{ transaction_id: raised.id, amount: parseRow(raised).transaction.amount + RAISE }]
        : [],
    },
    today,
    () => world.ids.id('transaction'),
  );
  world.keeper.world();
}
