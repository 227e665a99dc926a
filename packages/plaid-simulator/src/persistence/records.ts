import type { BankAccount } from '../bank/account.js';
import type { SeededPlan } from '../bank/seededRows.js';
import type { WireTransaction } from '../wire.js';
import type { ClockState } from '../clock.js';
import type { ItemFacts } from '../item/item.js';
import type { LinkSession } from '../link/session.js';
import type { LinkToken, PublicToken, ReportToken } from '../tokens.js';
import type { Delivery } from '../webhooks/delivery.js';
import type { StoredKey } from '../webhooks/keys.js';

/** The version of the state file's records; a file of another version is refused. */
export const STATE_VERSION = 3;

export interface SavedWorld {
  version: number;
  seed: string;
  issued: number;
  clock: ClockState;
  keys: StoredKey[];
  /** Institutions' old ids with those that took their places; absent where there are none. */
  renames?: [old: string, present: string][];
}

/** A stored version of a transaction. */
export type SavedRow = WireTransaction & { original_description: string };

/**
 * One step of an Item's rows.
 * `p`: the bank has this version, which gets the next number.
 * `t`: the bank dropped an id.
 * `s`: Plaid's copy got so many seeded rows from a number on.
 * `l`: Plaid's copy got version number `n` of a transaction (-1: its removal, or a `touch`).
 * `o`: Plaid's copy got a seeded row as it was.
 * `v`: Plaid's copy got a version that the bank never had.
 */
export type SavedRowEvent =
  | ['p', SavedRow]
  | ['t', string]
  | ['s', number, number]
  | ['l', string, string, number]
  | ['o', number]
  | ['v', SavedRow];

/** A line of the state file. Later lines about the same thing replace earlier ones, `rows` add to them, `reset` forgets all. */
export type StateRecord =
  | { kind: 'world'; world: SavedWorld }
  | {
      kind: 'item';
      facts: ItemFacts;
      accounts: BankAccount[];
      seeded: SeededPlan | null;
      unread: string[];
    }
  | { kind: 'rows'; itemId: string; events: SavedRowEvent[] }
  | { kind: 'delivery'; delivery: Delivery }
  | { kind: 'public'; token: PublicToken }
  | { kind: 'link'; token: LinkToken }
  | { kind: 'session'; session: LinkSession }
  | { kind: 'report'; report: ReportToken }
  | { kind: 'reset' };
