import type { BankAccount } from '../bank/account.js';
import type { Row } from '../bank/row.js';
import type { WireItem } from '../wire.js';
import { SeededRows, type SeededPlan } from '../bank/seededRows.js';
import type { Distortion } from '../distortion.js';
import { BankRows } from './bankRows.js';
import { translateId, translateRow } from './translated.js';
import type { AccessTimes, DataScope } from './dataScope.js';
import type { Scopes } from './scopes.js';
import { ItemLog, type LogEntry, type LogSpan } from './log.js';
import { WithheldRows, type Withheld } from './withheldRows.js';

export type Product = WireItem['products'][number];

/** How much of the transactions Plaid has pulled. */
type PullStatus = 'NOT_READY' | 'INITIAL_UPDATE_COMPLETE' | 'HISTORICAL_UPDATE_COMPLETE';

/** Plaid Exchange's phases of an Item. */
type Phase = 'created' | 'updating' | 'idle';

interface ItemFailure {
  code: string;
  reason: string | undefined;
  since: number;
  /** What Plaid has read before is served all the same. */
  servesCached?: boolean;
}

/** A client of Plaid as users and banks see it. */
export interface Application {
  /** Its client id. */
  id: string;
  name: string;
}

/** When the user's consent (or the bank's way of connecting) ends, and the Item with it. */
export interface Consent {
  expiresAt: number;
  reason: 'INSTITUTION_TOKEN_EXPIRATION' | 'INSTITUTION_MIGRATION';
  /** The webhook that comes seven days ahead was sent. */
  announced: boolean;
}

/** An account which the bank has opened and the application does not see: the user has not chosen it. */
export interface OfferedAccount {
  bankAccount: BankAccount;
  /** NEW_ACCOUNTS_AVAILABLE has announced it. */
  announced: boolean;
}

/** How the bank answers Plaid for an Item: as usual, with 401 (it has revoked Plaid's token), or not at all. */
export type BankAnswer = 'ok' | 'unauthorized' | 'down';

/** What is sent otherwise than the bank has it, by account and transaction id. */
export interface Distortions {
  accounts: Record<string, Distortion>;
  transactions: Record<string, Distortion>;
}

/** What Plaid answers cursors with that it knows no more. */
export const CURSOR_REFUSALS = ['INVALID_FIELD', 'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION'] as const;
export type CursorRefusal = (typeof CURSOR_REFUSALS)[number];

/** Cursors of `/transactions/sync` that an Item answers with an error for ever. */
export interface WithdrawnCursors {
  answer: CursorRefusal;
  /** Only this one; absent: all that were given out while the log was no longer than `length`. */
  cursor?: string;
  length: number;
}

/** What has been announced to the client of holdings, investment transactions and liabilities; `null`: the product is not on the Item. */
export interface ProductsAnnounced {
  /** Quantity and price of each, by account and security. */
  holdings: Record<string, string> | null;
  trades: { all: number; cancelled: number };
  /** By account, each field's JSON. */
  liabilities: Record<string, Record<string, string>> | null;
}

/** One change of a user's consent: what is shared from then on. */
export interface ConsentStep {
  at: number;
  type: 'CONSENT_GRANTED' | 'CONSENT_UPDATED' | 'CONSENT_REVOKED';
  code: 'USER_AGREEMENT' | 'DATA_SCOPES' | 'ACCOUNT_SCOPES' | 'REVOCATION';
  by: 'END_USER' | 'DATA_PROVIDER';
  accountIds: string[];
  /** Absent in worlds of before they were kept. */
  dataScopes?: DataScope[];
  /** The client through which it came, where that is not the Item's own: a bank. */
  initiator?: string;
  /** What a bank's client has set for the application. */
  scopes?: Scopes;
}

/** What an Item is besides its rows; all instants are simulated milliseconds. */
export interface ItemFacts {
  itemId: string;
  /** The id of the institution that the Item was made under. */
  institutionId: string;
  /** The bank's own id where that is another: see `SimulatedInstitution.bankId`. */
  bankId?: string;
  username: string;
  /** Plaid's user that the application made it for, where it named one. */
  userId?: string;
  /** The client that made it; `null` when tokens are bound to no client. */
  clientId: string | null;
  accessToken: string;
  exchanged: boolean;
  webhook: string | null;
  products: Product[];
  /** What the user has consented to besides, before the products are used. */
  consentedProducts?: Product[];
  daysRequested: number;
  createdAt: number;
  phase: Phase;
  status: PullStatus;
  /** When the two pulls end; `null` while Transactions is not on the Item. */
  initialAt: number | null;
  historicalAt: number | null;
  /** When Plaid pulls again if nobody asks it to. */
  nextUpdateAt: number | null;
  updates: number;
  lastSuccessfulUpdate: number | null;
  lastFailedUpdate: number | null;
  lastWebhook: { sentAt: number; code: string } | null;
  failure: ItemFailure | null;
  removedAt: number | null;
  /** `/transactions/sync` was called: from now on SYNC_UPDATES_AVAILABLE is sent. */
  syncCalled: boolean;
  /** The recurring streams that the client was last given (a digest); absent until it asks for them. */
  streamsTold?: string;
  /** Log position up to which webhooks have announced the changes. */
  announced: number;
  /** Where the truth's list of removals begins; see `truth.ts`. */
  removalsFrom: number | null;
  removalsFrozen: boolean;
  /** Whom the user gave access; `null` when that is not known. */
  application: Application | null;
  /** A bank made it for its own user, by `/item/import`: no application of its own is connected by it. */
  imported: boolean;
  /** Institution and user: who logs in again has the same. */
  loginKey: string;
  /** The Items of several applications on one login have the same. */
  connectionId: string;
  /** Turns the bank's ids into this Item's, see `translateId`. */
  idKey: string | null;
  bankAnswer: BankAnswer;
  /** `null`: it does not end. */
  consent: Consent | null;
  /** What the user allows the application at the bank; `null`: nothing was ever restricted. */
  scopes: Scopes | null;
  offered: OfferedAccount[];
  /** Ids of accounts that are open at the bank and were taken from the application; to it they look closed. */
  withdrawn: string[];
  /** Transactions of accounts that the application does not see. */
  withheld: Withheld;
  /** Absent in worlds of before they were kept. */
  consentSteps?: ConsentStep[];
  /** Absent until something was read. */
  lastAccess?: AccessTimes;
  distortions?: Distortions;
  withdrawnCursors?: WithdrawnCursors[];
  /** Absent until Investments or Liabilities are used. */
  productsAnnounced?: ProductsAnnounced;
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
  /** What the bank has booked on accounts that the application does not see. */
  readonly withheld: WithheldRows;
  /** Transactions changed at the bank since Plaid's last pull, in the order of the changes. */
  readonly unread = new Set<string>();
  /** The other Items of the same login; none before the Item is part of a world. */
  private others: (() => Item[]) | null = null;

  constructor(
    readonly facts: ItemFacts,
    public accounts: BankAccount[],
    seeded: SeededPlan | null = null,
  ) {
    this.seeded = seeded && new SeededRows(seeded, facts.itemId);
    this.atBank = new BankRows(this.seeded);
    this.bank = this.atBank;
    this.withheld = new WithheldRows(facts.withheld, facts.itemId);
    this.log = new ItemLog(this.seeded, (step) =>
      this.story.push('count' in step ? { kind: 'span', span: step } : { kind: 'told', entry: step }),
    );
    this.refreshHidden();
  }

  get id(): string {
    return this.facts.itemId;
  }

  /** From now on what the bank books for this Item it books for these, too. */
  share(others: () => Item[]): void {
    this.others = others;
  }

  /** The bank books a transaction, or another version of one. */
  put(row: Row): void {
    this.book(row);
    for (const other of this.others?.() ?? []) {
      other.book(translateRow(row, this.facts.idKey, other.facts.idKey));
    }
  }

  /** The bank drops a transaction. */
  take(id: string): void {
    this.drop(id);
    for (const other of this.others?.() ?? []) {
      other.drop(translateId(id, this.facts.idKey, other.facts.idKey));
    }
  }

  /** Books for this Item alone. What is of an account that the application does not see waits until it does. */
  book(row: Row): void {
    if (this.others && this.isWithheld(row.accountId)) return this.withheld.hold(row);
    this.atBank.set(row);
    this.story.push({ kind: 'put', row });
    this.touch(row.id);
  }

  /** Books what has waited for this account. */
  release(accountId: string): void {
    for (const row of this.withheld.release(accountId)) this.book(row);
  }

  private drop(id: string): void {
    this.withheld.drop(id);
    if (!this.atBank.delete(id)) return;
    this.story.push({ kind: 'taken', id });
    this.touch(id);
  }

  private isWithheld(accountId: string): boolean {
    return (
      this.facts.withdrawn.includes(accountId) ||
      this.facts.offered.some(({ bankAccount }) => bankAccount.account.account_id === accountId)
    );
  }

  /** The latest change decides the place: an id that changes again moves to the end. */
  private touch(id: string): void {
    this.unread.delete(id);
    this.unread.add(id);
  }

  /** What the special ways of some banks go by. */
  get bankId(): string {
    return this.facts.bankId ?? this.facts.institutionId;
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

  /** Hands the log the accounts that are closed. */
  refreshHidden(): void {
    this.log.hide(new Set(this.closedAccounts.map(({ account }) => account.account_id)));
  }
}
