import { hasPendingFeed } from '../bank/institutions.js';
import { draftTransaction } from '../bank/seededTransactions.js';
import { parseRow, rowOf } from '../bank/row.js';
import { merchantNamed } from '../bank/merchants.js';
import type { WireTransaction } from '../wire.js';
import type { Item } from './item.js';

interface AddedTransaction {
  account_id?: string | undefined;
  amount: number;
  name: string;
  date?: string | undefined;
  pending?: boolean | undefined;
  iso_currency_code?: string | undefined;
  unofficial_currency_code?: string | undefined;
}

interface PostedTransaction {
  transaction_id: string;
  amount?: number | undefined;
  date?: string | undefined;
  /** Which half Plaid gives first; the removal, if not said. */
  first?: 'removed' | 'added' | undefined;
}

/** What a test or a bank changes, in the order add, modify, remove, post. */
export interface BankChanges {
  add?: AddedTransaction[] | undefined;
  modify?: ({ transaction_id: string } & Record<string, unknown>)[] | undefined;
  remove?: string[] | undefined;
  post?: PostedTransaction[] | undefined;
}

/** Ids of what was changed; a posted transaction counts as one removed and one added. */
export interface ChangedIds {
  added: string[];
  modified: string[];
  removed: string[];
}

/** A change that cannot be made; nothing of its request was done. */
export class ImpossibleChange extends Error {}

/** Changes the bank's data. Plaid's copy follows at the next pull. */
export function changeBank(item: Item, changes: BankChanges, today: string, newId: () => string): ChangedIds {
  check(item, changes);
  const ids: ChangedIds = { added: [], modified: [], removed: [] };
  for (const add of changes.add ?? []) {
    const account = accountFor(item, add.account_id);
    const merchant = merchantNamed(add.name);
    const date = add.date ?? today;
    const drafted = draftTransaction({
      transactionId: newId(),
      account: account.account,
      amount: add.amount,
      isoCurrency:
        add.unofficial_currency_code === undefined
          ? (add.iso_currency_code ?? account.account.balances.iso_currency_code)
          : null,
      unofficialCurrency: add.unofficial_currency_code ?? null,
      date,
      authorizedDate: date,
      name: add.name,
      originalDescription: add.name,
      category: merchant?.category ?? 'OTHER_OTHER',
      confidence: merchant ? 'HIGH' : 'LOW',
      channel: merchant?.channel ?? 'other',
      pending: add.pending ?? false,
      merchant,
    });
    item.put(rowOf(drafted));
    ids.added.push(drafted.transaction.transaction_id);
  }
  for (const { transaction_id: id, ...fields } of changes.modify ?? []) {
    const { original_description: description, ...rest } = fields;
    const old = parseRow(bankRow(item, id));
    const transaction: WireTransaction = { ...old.transaction, ...(rest as Partial<WireTransaction>) };
    const originalDescription = typeof description === 'string' ? description : old.originalDescription;
    item.put(rowOf({ transaction, originalDescription }));
    ids.modified.push(id);
  }
  for (const id of changes.remove ?? []) {
    item.take(id);
    ids.removed.push(id);
  }
  for (const { transaction_id: pendingId, amount, date, first } of changes.post ?? []) {
    // A pending transaction never becomes posted: it goes and another one comes, which names it if Plaid knew of it.
    const old = parseRow(bankRow(item, pendingId));
    if (first !== 'added') item.take(pendingId);
    const id = newId();
    item.put(
      rowOf({
        transaction: {
          ...old.transaction,
          transaction_id: id,
          pending_transaction_id: hasPendingFeed(item.bankId) ? pendingId : null,
          pending: false,
          amount: amount ?? old.transaction.amount,
          date: date ?? today,
          authorized_date: old.transaction.authorized_date ?? old.transaction.date,
        },
        originalDescription: old.originalDescription,
      }),
    );
    if (first === 'added') item.take(pendingId);
    ids.removed.push(pendingId);
    ids.added.push(id);
  }
  return ids;
}

function check(item: Item, changes: BankChanges): void {
  for (const add of changes.add ?? []) accountFor(item, add.account_id);
  const gone = new Set<string>();
  for (const { transaction_id: id } of changes.modify ?? []) bankRow(item, id);
  for (const id of [...(changes.remove ?? []), ...(changes.post ?? []).map((post) => post.transaction_id)]) {
    bankRow(item, id);
    if (gone.has(id)) throw new ImpossibleChange(`transaction ${id} is named twice`);
    gone.add(id);
  }
  for (const { transaction_id: id } of changes.post ?? []) {
    if (!bankRow(item, id).pending) throw new ImpossibleChange(`transaction ${id} is not pending`);
  }
}

function accountFor(item: Item, accountId: string | undefined) {
  const account = accountId === undefined ? item.openAccounts[0] : item.account(accountId);
  if (!account) throw new ImpossibleChange(`the item has no account ${accountId ?? 'that is open'}`);
  if (account.closedAt !== null) throw new ImpossibleChange(`account ${accountId} is closed`);
  return account;
}

function bankRow(item: Item, id: string) {
  const row = item.bank.get(id);
  if (!row) throw new ImpossibleChange(`the bank has no transaction ${id}`);
  if (item.account(row.accountId)?.closedAt)
    throw new ImpossibleChange(`transaction ${id} is of a closed account`);
  return row;
}
