import { withAccountId } from '../bank/accountNumbers.js';
import { parseRow, rowOf } from '../bank/row.js';
import { instant } from '../calendar.js';
import type { World } from '../world.js';
import type { Item } from './item.js';

/**
 * The bank gives an account another identity: the old account is gone from Plaid's answers with its transactions, and a new one,
 * like it but for its id, has the same transactions under new ids. Answers the new account's id.
 */
export function churnAccount(world: World, item: Item, accountId: string): string {
  const newId = world.ids.id('account');
  const now = instant(world.clock.now());
  item.accounts = item.accounts.flatMap((known) =>
    known.account.account_id === accountId
      ? [
          { ...known, closedAt: now },
          {
            ...known,
            account: { ...known.account, account_id: newId },
            numbers: withAccountId(known.numbers, newId),
          },
        ]
      : [known],
  );
  const old = [...item.bank.values()].filter((row) => row.accountId === accountId);
  const idOf = new Map(old.map(({ id }) => [id, world.ids.id('transaction')]));
  for (const row of old) {
    const { transaction, originalDescription } = parseRow(row);
    const pending = transaction.pending_transaction_id;
    item.put(
      rowOf({
        transaction: {
          ...transaction,
          account_id: newId,
          transaction_id: idOf.get(row.id) ?? row.id,
          pending_transaction_id: pending === null ? null : (idOf.get(pending) ?? pending),
        },
        originalDescription,
      }),
    );
  }
  item.refreshHidden();
  world.keeper.world();
  return newId;
}
