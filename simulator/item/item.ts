import type { BankAccount } from '../bank/account.js';
import type { Row } from '../bank/row.js';
import type { WireItem } from '../wire.js';
import { SeededRows, type SeededPlan } from '../bank/seededRows.js';
import { BankRows } from './bankRows.js';
import { ItemLog, type LogEntry, type LogSpan } from './log.js';

export type Product = WireItem['products'][number];

/** How much of the transactions Plaid has pulled. */
type PullStatus = 'NOT_READY' | 'INITIAL_UPDATE_COMPLETE' | 'HISTORICAL_UPDATE_COMPLETE';

/** Plaid Exchange's phases of an Item. */
type Phase = 'created' | 'updating' | 'idle';

interface ItemFailure {
  code: string;
  reason: string | undefined;
  since: number;
}

/** What an Item is besides its rows; all instants are simulated milliseconds. */
export interface ItemFacts {
  itemId: string;
  institutionId: string;
  username: string;
  /** The client that made it; `null` when tokens are bound to no client. */
  clientId: string | null;
  accessToken: string;
  exchanged: boolean;
  webhook: string | null;
  products: Product[];
  daysRequested: number;
  createdAt: number;
  phase: Phase;
  status: PullStatus;
  /** When the two pulls end; `null` while Transactions is not on the Item. */
  initialAt: number | null;
  historicalAt: number | null;
  /** When Plaid looks again if nobody tells it to. */
  nextUpdateAt: number | null;
  updates: number;
  lastSuccessfulUpdate: number | null;
  lastFailedUpdate: number | null;
  lastWebhook: { sentAt: number; code: string } | null;
  failure: ItemFailure | null;
  removedAt: number | null;
  /** `/transactions/sync` was called: from now on SYNC_UPDATES_AVAILABLE is sent. */
  syncCalled: boolean;
  /** Log position up to which webhooks have announced the changes. */
  announced: number;
  /** Where the truth's list of removals begins; see `truth.ts`. */
  removalsFrom: number | null;
  removalsFrozen: boolean;
}

/** One step of an Item's rows: the bank has a version of a transaction, has it no more, or Plaid's copy has changed. */
export type RowEvent =
  | { kind: 'put'; row: Row }
  | { kind: 'taken'; id: string }
  | { kind: 'told'; entry: LogEntry }
  | { kind: 'span'; span: LogSpan };

/** A user's connection to an institution for one application. */
export class Item {
  /** Everything that happened to the Item's rows, in order: what a state file keeps. Seeded rows were there from the start. */
  readonly story: RowEvent[] = [];
  /** What the bank has from the start without anybody storing it. */
  readonly seeded: SeededRows | null;
  /** Plaid's copy. */
  readonly log: ItemLog;
  /** The bank's own data, which Plaid's copy follows at each update. */
  readonly bank: Omit<BankRows, 'set' | 'delete'>;
  private readonly atBank: BankRows;
  /** Transactions changed at the bank since Plaid last looked, in the order of the changes. */
  readonly unread = new Set<string>();

  constructor(
    readonly facts: ItemFacts,
    public accounts: BankAccount[],
    seeded: SeededPlan | null = null,
  ) {
    this.seeded = seeded && new SeededRows(seeded, facts.itemId);
    this.atBank = new BankRows(this.seeded);
    this.bank = this.atBank;
    this.log = new ItemLog(this.seeded, (step) =>
      this.story.push('count' in step ? { kind: 'span', span: step } : { kind: 'told', entry: step }),
    );
    this.refreshHidden();
  }

  get id(): string {
    return this.facts.itemId;
  }

  /** The bank books a transaction, or another version of one. */
  put(row: Row): void {
    this.atBank.set(row);
    this.story.push({ kind: 'put', row });
    this.touch(row.id);
  }

  /** The bank drops a transaction. */
  take(id: string): void {
    this.atBank.delete(id);
    this.story.push({ kind: 'taken', id });
    this.touch(id);
  }

  /** The latest change decides the place: an id that changes again moves to the end. */
  private touch(id: string): void {
    this.unread.delete(id);
    this.unread.add(id);
  }

  get openAccounts(): BankAccount[] {
    return this.accounts.filter(({ closedAt }) => closedAt === null);
  }

  get closedAccounts(): BankAccount[] {
    return this.accounts.filter(({ closedAt }) => closedAt !== null);
  }

  account(accountId: string): BankAccount | undefined {
    return this.accounts.find(({ account }) => account.account_id === accountId);
  }

  hasProduct(product: Product): boolean {
    return this.facts.products.includes(product);
  }

  /** Tells the log which accounts are closed. */
  refreshHidden(): void {
    this.log.hide(new Set(this.closedAccounts.map(({ account }) => account.account_id)));
  }
}
