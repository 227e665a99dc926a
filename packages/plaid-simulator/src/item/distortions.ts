import { rowOf, parseRow } from '../bank/row.js';
import { distorts, type Distortion } from '../distortion.js';
import type { World } from '../world.js';
import { ImpossibleChange } from './bankChanges.js';
import type { Distortions, Item } from './item.js';

/** Distortions by the id of what they are about. */
type Wanted = readonly { id: string; distortion: Distortion }[];

/**
 * From now on Plaid sends these accounts and transactions of this Item so; one that distorts nothing makes them whole again. What
 * the bank has stays as it is. A transaction that was sent is sent anew as modified, after the next pull.
 */
export function distortItem(world: World, item: Item, accounts: Wanted, transactions: Wanted): void {
  const rows = transactions.map(({ id }) => {
    const row = item.bank.get(id);
    if (!row) throw new ImpossibleChange(`the bank has no transaction ${id}`);
    return row;
  });
  const unknown = accounts.find(({ id }) => !item.account(id));
  if (unknown) throw new ImpossibleChange(`the item has no account ${unknown.id}`);
  const before = item.facts.distortions;
  item.facts.distortions = {
    accounts: merged(before?.accounts, accounts),
    transactions: merged(before?.transactions, transactions),
  };
  for (const row of rows) if (item.log.row(row.id)) item.book(rowOf(parseRow(row)));
  world.keeper.item(item);
}

function merged(before: Distortions['accounts'] = {}, wanted: Wanted): Distortions['accounts'] {
  const all = new Map(Object.entries(before));
  for (const { id, distortion } of wanted) {
    if (distorts(distortion)) all.set(id, distortion);
    else all.delete(id);
  }
  return Object.fromEntries(all);
}

/** Ids of what is sent distorted, and those that it is sent under instead: what a client makes of them nobody can say. */
export function distortedIds(item: Item, kind: keyof Distortions): string[] {
  const field = kind === 'accounts' ? 'account_id' : 'transaction_id';
  return Object.entries(item.facts.distortions?.[kind] ?? {}).flatMap(([id, { set, as }]) => {
    const sent = [set?.[field], (as as Record<string, unknown> | null | undefined)?.[field]];
    return [id, ...sent.filter((other): other is string => typeof other === 'string' && other !== id)];
  });
}
