import { parseRow, rowOf, type BankTransaction, type Row } from '../bank/row.js';
import type { Item } from './item.js';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * The id under which another application knows what this one calls `id`. The bank has one id for a thing; each Item's own is that
 * one with every character moved along the alphabet by a key of the Item (`null`: not moved at all), so that ids of two Items have
 * nothing in common, can be turned into each other in both directions, and no table of pairs has to be kept.
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

interface Login {
  /** Its connections, the oldest first. */
  connections: Item[][];
  applications: Set<string>;
}

/**
 * Which Items are windows of several applications on one login at one bank. An application has at most one living Item of a
 * connection: one that links the same login again begins another, as if it were another session at the bank.
 */
export class Connections {
  private readonly byId = new Map<string, Item[]>();
  private readonly logins = new Map<string, Login>();

  add(item: Item): void {
    const { connectionId, loginKey, application } = item.facts;
    const login = this.logins.get(loginKey) ?? { connections: [], applications: new Set() };
    this.logins.set(loginKey, login);
    if (application) login.applications.add(application.id);
    const members = this.byId.get(connectionId) ?? [];
    if (members.length === 0) login.connections.push(members);
    this.byId.set(connectionId, members);
    members.push(item);
    item.share(() => this.connected(item).filter((other) => other !== item));
  }

  /** All Items that ever were of this Item's connection, itself included. */
  members(item: Item): readonly Item[] {
    return this.byId.get(item.facts.connectionId) ?? [];
  }

  /** The Items through which applications have access now. */
  connected(item: Item): Item[] {
    return this.members(item).filter(hasAccess);
  }

  /** The connection that a further application's Item belongs to: the latest in which it has no access yet; else nothing. */
  toJoin(loginKey: string, application: string | null): Item[] {
    const login = this.logins.get(loginKey);
    if (!login || application === null) return [];
    if (login.applications.size === 1 && login.applications.has(application)) return [];
    for (let at = login.connections.length - 1; at >= 0; at -= 1) {
      const living = (login.connections[at] ?? []).filter(hasAccess);
      // Whose application is not known cannot be told apart from this one.
      const others = living.every(
        ({ facts }) => facts.application !== null && facts.application.id !== application,
      );
      if (living.length > 0 && others) return living;
    }
    return [];
  }

  clear(): void {
    this.byId.clear();
    this.logins.clear();
  }
}

function hasAccess({ facts }: Item): boolean {
  return facts.removedAt === null && facts.failure?.code !== 'USER_PERMISSION_REVOKED';
}
