import { parseRow, rowOf, type BankTransaction, type Row } from '../bank/row.js';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * The id under which another application knows what this one calls `id`. The bank has one id for a thing. Each Item's own is
 * that one with every character moved along the alphabet by a key of the Item (`null`: not moved at all). So ids of two Items
 * have nothing in common, each leads to the other, and no table of pairs has to be kept.
 */
export function translateId(id: string, from: string | null, to: string | null): string {
  if (from === to) return id;
  const size = ALPHABET.length;
  const step = (key: string | null, at: number) =>
    key === null ? 0 : ALPHABET.indexOf(key.charAt(at % key.length));
  let text = '';
  for (let at = 0; at < id.length; at += 1) {
    const place = ALPHABET.indexOf(id.charAt(at));
    text +=
      place < 0 ? id.charAt(at) : ALPHABET.charAt((place - step(from, at) + step(to, at) + size) % size);
  }
  return text;
}

/** A transaction of one Item as another Item of the same login has it. */
function translateTransaction(
  given: BankTransaction,
  from: string | null,
  to: string | null,
): BankTransaction {
  const { transaction, originalDescription } = given;
  const id = (text: string) => translateId(text, from, to);
  const pending = transaction.pending_transaction_id;
  return {
    transaction: {
      ...transaction,
      transaction_id: id(transaction.transaction_id),
      account_id: id(transaction.account_id),
      pending_transaction_id: pending === null ? null : id(pending),
    },
    originalDescription,
  };
}

export function translateRow(row: Row, from: string | null, to: string | null): Row {
  return from === to ? row : rowOf(translateTransaction(parseRow(row), from, to));
}
