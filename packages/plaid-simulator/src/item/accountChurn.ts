import { withAccountId } from '../bank/accountNumbers.js';
import type { BankAccount } from '../bank/account.js';
import { parseRow, rowOf } from '../bank/row.js';
import { instant } from '../calendar.js';
import type { World } from '../world.js';
import { connectedWith } from './bankAccounts.js';
import { translateId } from './translated.js';
import type { Item } from './item.js';
import { beginMicrodeposits } from './microdeposits.js';

/**
 * The bank gives an account another identity. The old account is gone from Plaid's answers with its transactions. A new one,
 * like it but for its id, has the same transactions under new ids. Each application of the login that saw the old account sees
 * the new one. Answers the new account's id, as this Item has it.
 */
export function churnAccount(world: World, item: Item, accountId: string): string {
  const newId = world.ids.id('account');
  const members = connectedWith(world, item);
  for (const member of members) {
    const own = (id: string) => translateId(id, item.facts.idKey, member.facts.idKey);
    swapAccount(member, own(accountId), own(newId), instant(world.clock.now()));
  }
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
  for (const member of members) {
    member.refreshHidden();
    beginMicrodeposits(world, member);
    world.keeper.item(member);
  }
  world.keeper.world();
  return newId;
}

/** The old account closes, and a new one is as much shared, withdrawn or offered as the old one was. */
function swapAccount(item: Item, oldId: string, newId: string, now: string): void {
  const { facts } = item;
  const renewed = (known: BankAccount): BankAccount =>
    known.account.account_id === oldId
      ? {
          ...known,
          account: { ...known.account, account_id: newId },
          numbers: withAccountId(known.numbers, newId),
          // One that is under way reaches the old account.
          microdeposit: undefined,
        }
      : known;
  item.accounts = item.accounts.flatMap((known) =>
    known.account.account_id === oldId
      ? [{ ...known, closedAt: known.closedAt ?? now }, renewed(known)]
      : [known],
  );
  facts.withdrawn = facts.withdrawn.map((id) => (id === oldId ? newId : id));
  facts.offered = facts.offered.map((offer) => ({ ...offer, bankAccount: renewed(offer.bankAccount) }));
  item.withheld.forget(oldId);
}
