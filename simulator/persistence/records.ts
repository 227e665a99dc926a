import type { BankAccount } from '../bank/account.js';
import type { WireTransaction } from '../wire.js';
import type { ClockState } from '../clock.js';
import type { ItemFacts } from '../item/item.js';
import type { LinkSession } from '../link/session.js';
import type { LinkToken, PublicToken } from '../tokens.js';
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
}

/**
 * One step of an Item's rows. `p`: the bank has this version, which gets the next number; `t`: the bank dropped an id; `l`: Plaid's
 * copy got version number `n` of a transaction (-1: its removal).
 */
export type SavedRowEvent =
  ['p', WireTransaction & { original_description: string }] | ['t', string] | ['l', string, string, number];

/** A line of the state file. Later lines about the same thing replace earlier ones, `rows` add to them, `reset` forgets all. */
export type StateRecord =
  | { kind: 'world'; world: SavedWorld }
  | { kind: 'item'; facts: ItemFacts; accounts: BankAccount[]; unread: string[] }
  | { kind: 'rows'; itemId: string; events: SavedRowEvent[] }
  | { kind: 'delivery'; delivery: Delivery }
  | { kind: 'public'; token: PublicToken }
  | { kind: 'link'; token: LinkToken }
  | { kind: 'session'; session: LinkSession }
  | { kind: 'reset' };
