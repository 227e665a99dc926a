import { Failure } from '../../../domain/failures.js';
import type { ItemSnapshot } from '../../../domain/item/state.js';
import type { TaskName } from '../../../domain/item/tasks.js';
import { taskNames, tasks } from '../../../domain/item/tasks.js';
import { furtherHistory } from '../../../domain/mining/run.js';
import type { History, UpdateOutcome, UserActionError } from '../../../domain/mining/run.js';
import { closesAccounts } from '../../../domain/plaidErrors.js';
import type { ItemStore, Seen } from '../../../domain/ports/items.js';
import type { MinedPage } from '../../../domain/mining/page.js';
import type { MiningStore, PageStart, Update } from '../../../domain/ports/mining.js';
import type { PlaidPort } from '../../../domain/ports/plaid.js';
import type { WebhookKind } from '../../../domain/webhooks/webhookKind.js';
import { failureOfAnswer } from '../../../src/clients/plaidFailures.js';
import { account as plaidAccount } from './plaidObjects.js';

export const itemId = 'ItemA';

/** Calls of Plaid's that an Item needs; `item` is `item.error`, which is no call. */
export type Call = 'item' | 'getItem' | 'sync' | 'accounts' | 'auth' | 'transactions' | 'remove';

/** Plaid, as far as one Item sees it: each call answers, or is refused with a code. */
export class MoodyPlaid {
  readonly mood = new Map<Call, UserActionError>();
  now = 0;

  readonly port: Pick<
    PlaidPort,
    'getItem' | 'syncTransactions' | 'getAccounts' | 'getNumbers' | 'getTransactions' | 'removeItem'
  > = {
    getItem: async () => {
      this.ask('getItem');
      return {
        institution_id: 'ins_1',
        institution_name: 'A bank',
        error: this.mood.get('item') ?? null,
        webhook: null,
        consent_expiration_time: null,
        last_successful_update: null,
      };
    },
    syncTransactions: async (_token, cursor) => {
      this.ask('sync');
      return {
        added: [],
        modified: [],
        removed: [],
        accounts: [account],
        next_cursor: `${cursor}+`.slice(-3),
        has_more: false,
        transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
      };
    },
    getAccounts: async () => {
      this.ask('accounts');
      return [account];
    },
    getNumbers: async () => {
      this.ask('auth');
      return { numbers: [], isWhole: true };
    },
    getTransactions: async () => {
      this.ask('transactions');
      return { transactions: [], total: 0 };
    },
    removeItem: async () => {
      try {
        this.ask('remove');
      } catch (error) {
        // As the adapter does.
        if (!(error instanceof Failure && error.type === 'ITEM_GONE')) throw error;
      }
    },
  };

  private ask(call: Call): void {
    const error = this.mood.get(call);
    if (error === undefined) return;
    const body = { ...error, request_id: 'r1' };
    throw failureOfAnswer(`/${call}`, { status: 400, body, retryAfter: undefined }, this.now);
  }
}

const account = plaidAccount('account-1');

/** What became of a page that was to be staged. */
export type Staged = { kind: 'staged'; rows: number } | { kind: 'moved' };

/** An Item's row, its webhooks and its alerts, with the promises of the stores' ports. */
export class MemoryItem {
  error: (UserActionError & { byCall: boolean }) | null = null;
  /** Segment events, in order. */
  readonly announced: ('errored' | 'repaired')[] = [];
  readonly alerts = new Set<string>();
  webhooks: { webhookId: string; kind: WebhookKind; body: string; at: number }[] = [];
  removed = false;
  removalRequested = false;
  /** No application is connected with it. */
  unconnected = false;
  remineRequested = false;
  remines = 0;
  history: History = 'none';
  cursor = '';
  nextDueAt: number | null = null;
  due = new Set<TaskName>();
  /** Until when Plaid has the numbers not ready; null = it did not say. */
  private numbersDueAt: number | null = null;
  accountsOpen = true;
  /** The numbers are, for a revocation. */
  private withheld = false;
  transactionsUnavailable = false;
  protected lastUpdate: { id: string; outcome: UpdateOutcome } | null = null;
  /** When an update was applied last. */
  lastUpdateAt: number | null = null;
  private healthAnswers = 0;
  private numbersFacts = 0;

  constructor(protected readonly now: () => number) {}

  /** Whether a sweep would signal the Item for what has been due since before `before`. */
  isDue(before: number): boolean {
    const { removed, removalRequested, error } = this;
    const isMined = !removed && !removalRequested && !this.unconnected;
    const waits = (...kinds: WebhookKind[]): boolean =>
      this.webhooks.some(({ kind, at }) => kinds.includes(kind) && at < before);
    const isTaskDue = (name: TaskName): boolean =>
      this.due.has(name) &&
      (isMined || tasks[name].whileRemoved) &&
      (error === null || tasks[name].whileBroken);
    return (
      (removalRequested && !removed) ||
      (waits('update', 'history', 'removals') && (removed || (isMined && error === null))) ||
      (waits('item') && (removed || isMined)) ||
      (isMined && this.nextDueAt !== null && this.nextDueAt < before) ||
      taskNames.some(isTaskDue) ||
      (isMined &&
        this.remineRequested &&
        error === null &&
        (this.cursor !== '' || this.transactionsUnavailable))
    );
  }

  askForRemine(): void {
    if (this.removed || this.removalRequested) return;
    this.remines += this.remineRequested ? 0 : 1;
    this.remineRequested = true;
  }

  connect(): void {
    if (this.unconnected) this.nextDueAt = this.now();
    this.unconnected = false;
  }

  snapshot(): ItemSnapshot {
    const kinds = new Set(this.webhooks.map(({ kind }) => kind));
    const due = new Set(this.due);
    if (this.numbersDueAt !== null && this.numbersDueAt > this.now()) due.delete('numbers');
    if (kinds.has('item')) due.add('itemWebhooks');
    if (kinds.has('removals')) due.add('removals');
    return {
      itemId,
      userId: 'user-1',
      institutionId: 'ins_1',
      removed: this.removed,
      broken: this.error !== null,
      history: this.history,
      hasCursor: this.cursor !== '',
      transactionsUnavailable: this.transactionsUnavailable,
      nextDueAt: this.nextDueAt,
      removalRequested: this.removalRequested,
      unconnected: this.unconnected,
      due: [...due],
      webhooksWaiting: this.webhooks.filter(({ kind }) => kind === 'update' || kind === 'history').length,
      newestWebhookAt: this.webhooks.length === 0 ? null : Math.max(...this.webhooks.map(({ at }) => at)),
      historyRunning: false,
      remineRunning: false,
      remineRequested: this.remineRequested,
      remines: this.remines,
    };
  }

  protected seen(): Seen {
    return {
      at: new Date(this.now()).toISOString(),
      update: this.lastUpdate?.id ?? null,
      rows: 0,
      health: this.healthAnswers,
      numbers: this.numbersFacts,
      remine: this.remineRequested ? this.remines : null,
    };
  }

  protected get credentials() {
    return {
      itemId,
      userId: 'user-1',
      institutionId: 'ins_1',
      accessToken: { keyId: 'k', dataKey: new Uint8Array(), ciphertext: new Uint8Array() },
      seen: this.seen(),
    };
  }

  private stands(seen: Seen): boolean {
    return this.removed || (seen.health === this.healthAnswers && seen.update === this.seen().update);
  }

  private broken(error: UserActionError, byCall: boolean, dueAt: string, unheard: boolean): void {
    if (this.removed) return;
    this.healthAnswers += 1;
    const began = this.error === null;
    if (began) this.announced.push('errored');
    if (began) this.due.add('segment');
    this.error = { error_type: error.error_type, error_code: error.error_code, byCall };
    this.nextDueAt = began && unheard ? this.now() : Date.parse(dueAt);
    if (closesAccounts(error.error_code) && this.accountsOpen) {
      this.accountsOpen = false;
      this.due.add('publish');
    }
  }

  private healthy(): void {
    if (this.removed) return;
    this.healthAnswers += 1;
    if (this.error === null) return;
    this.error = null;
    this.withheld = false;
    this.announced.push('repaired');
    this.due.add('segment');
    this.numbersAreDue();
    this.nextDueAt = this.now();
  }

  private numbersAreDue(): void {
    this.due.add('numbers');
    this.numbersDueAt = null;
    this.numbersFacts += 1;
  }

  readonly items: ItemStore = {
    snapshot: async () => this.snapshot(),
    credentials: async (_itemId, { forRemoval }) => {
      if (this.removed || ((this.removalRequested || this.unconnected) && !forRemoval)) return null;
      const episodeBy = this.error === null ? null : this.error.byCall ? 'call' : 'item';
      return { ...this.credentials, episodeBy, cursor: this.cursor };
    },
    setBroken: async (_itemId, seen, error, dueAt, { byCall = false } = {}) => {
      if (this.unconnected) return true;
      if (!this.stands(seen)) return false;
      this.broken(error, byCall, dueAt, true);
      return true;
    },
    setHealthy: async (_itemId, seen) => {
      if (this.unconnected) return true;
      if (!this.stands(seen)) return false;
      this.healthy();
      return true;
    },
    noteConsent: async () => undefined,
    itemWebhooks: async () => ({
      broken: this.error !== null,
      withheld: this.withheld,
      webhooks: this.webhooks
        .filter(({ kind }) => kind === 'item')
        .map(({ webhookId, body, at }) => ({
          webhookId,
          body,
          source: 'plaid' as const,
          receivedAt: new Date(at).toISOString(),
        })),
      more: false,
    }),
    applyItemWebhooks: async (_itemId, { webhooks, health, revocation, numbersDue, updateDue }) => {
      const pending = new Set(this.webhooks.map(({ webhookId }) => webhookId));
      if (!webhooks.every(({ webhookId }) => pending.has(webhookId))) return false;
      if (!this.removed && this.unconnected) return true;
      if (!this.removed) {
        if (health !== null && !this.stands(health.seen)) return false;
        if (revocation !== null) this.withheld = revocation !== 'disowned';
        if (health?.kind === 'healthy') this.healthy();
        if (health?.kind === 'broken') this.broken(health.error, health.byCall, health.dueAt, false);
        if (numbersDue) this.numbersAreDue();
        if (updateDue && this.error === null && this.nextDueAt !== null) {
          this.nextDueAt = Math.min(this.nextDueAt, this.now());
        }
      }
      const ended = new Set(webhooks.flatMap(({ webhookId, waits }) => (waits === true ? [] : [webhookId])));
      this.webhooks = this.webhooks.filter(({ webhookId }) => !ended.has(webhookId));
      return true;
    },
    finishRemoval: async () => {
      this.removed = true;
      this.remineRequested = false;
      this.webhooks = [];
      this.due = new Set<TaskName>(this.due.has('segment') ? ['segment', 'publish'] : ['publish']);
    },
    ignoreWebhooks: async () => this.webhooks.splice(0).length,
    saveNumbers: async (_itemId, seen) => {
      if (this.unconnected || this.removalRequested || this.removed) return true;
      if (seen.numbers !== this.numbersFacts) return false;
      this.numbersFacts += 1;
      this.due.delete('numbers');
      this.numbersDueAt = null;
      return true;
    },
    accountsBesideUnverified: async () => ({ accountIds: [], pending: false }),
    keepNumbers: async (_itemId, seen, retryAt) => {
      if (this.unconnected || this.removalRequested || this.removed) return { dueAt: null };
      if (seen.numbers !== this.numbersFacts) return 'moved';
      this.numbersFacts += 1;
      this.numbersDueAt = retryAt === null ? null : Date.parse(retryAt);
      if (retryAt === null) this.due.delete('numbers');
      return { dueAt: this.numbersDueAt };
    },
  };

  readonly mining: MiningStore = {
    beginPage: async (_itemId, updateId, page, { remine } = { remine: false }) => {
      if (this.lastUpdate?.id === updateId) return { kind: 'ended', outcome: this.lastUpdate.outcome };
      if (this.isGone(remine)) return { kind: 'gone' };
      const further = this.beginFurther(updateId, page);
      if (page > 0 || further.kind === 'staged') return further;
      const cursor = remine ? '' : this.cursor;
      return {
        kind: 'fetch',
        cursor,
        began: this.seen(),
        openAccounts: this.openAccounts(),
        withoutTransactions: this.transactionsUnavailable,
        waitsSince: this.waitsSince(),
        updatedAt: this.updatedAt(),
        admittedAt: null,
        endsAt: null,
        credentials: this.credentials,
      };
    },
    stagePage: async (_itemId, updateId, page, { began, remine }, mined) =>
      this.isGone(remine, began) ? { kind: 'gone' } : this.stage(updateId, page, began, mined),
    apply: async (update) => {
      const { lastUpdate } = this;
      if (lastUpdate?.id === update.updateId) return { kind: 'applied', outcome: lastUpdate.outcome };
      if (this.isGone(update.remine === true, update.began)) return { kind: 'gone' };
      if (update.began.update !== this.seen().update) return { kind: 'moved' };
      const applied = this.applyRows(update);
      if (applied === 'moved') return { kind: 'moved' };
      const isUnread =
        update.remine === true && update.transactionsUnavailable === true && this.cursor !== '';
      const outcome: UpdateOutcome = {
        ...applied,
        ...(isUnread ? { unread: 'PRODUCT_UNAVAILABLE' as const } : {}),
      };
      this.history = outcome.history;
      if (outcome.changes > 0) this.due.add('publish');
      this.transactionsUnavailable = update.transactionsUnavailable ?? false;
      const keepsCursor = update.keepsCursor === true && this.cursor !== '';
      if (!this.transactionsUnavailable && !keepsCursor) this.cursor = update.page.nextCursor;
      const { complete, incomplete } = update.dueAt;
      const isPoor = this.transactionsUnavailable ? this.cursor !== '' : update.accountsRefused === true;
      const dueAt = isPoor ? incomplete : complete;
      this.lastUpdate = { id: update.updateId, outcome };
      this.lastUpdateAt = this.now();
      this.nextDueAt = this.error === null ? Date.parse(dueAt) : this.now();
      if (update.remine === true && !isUnread && outcome.missed === undefined) this.remineRequested = false;
      const began = Date.parse(update.began.at);
      this.webhooks = this.webhooks.filter(
        ({ kind, at }) => kind === 'item' || at > began || (keepsCursor && kind !== 'removals'),
      );
      return { kind: 'applied', outcome };
    },
    discard: async (_itemId, updateId) => this.discardStaged(updateId),
    waiting: async () => ({
      webhooks: this.webhooks.filter(({ kind }) => kind === 'update' || kind === 'history').length,
      removals: this.webhooks.filter(({ kind }) => kind === 'removals').length,
      broken: this.error !== null,
      nextDueAt: this.nextDueAt,
      numbersDue: false,
      unsent: this.due.has('publish'),
      transactionsUnavailable: this.transactionsUnavailable,
      remine: this.remineRequested ? this.remines : null,
    }),
    namedRemovals: async () =>
      this.webhooks.some(({ kind }) => kind === 'removals') ? this.namedLiving() : [],
    livingBeside: async () => [],
    applyRemovals: async (_itemId, seen, _checked, gone) => {
      if (this.unconnected || this.removalRequested || this.removed) return 0;
      if (!this.mayRemove(seen)) return 'moved';
      const changes = this.removeRows(gone);
      if (changes > 0) this.due.add('publish');
      const asked = Date.parse(seen.at);
      this.webhooks = this.webhooks.filter(({ kind, at }) => kind !== 'removals' || at > asked);
      return changes;
    },
  };

  /** `began`: of an update that is on its way; its remine may have been answered, and another asked for. */
  private isGone(remine: boolean, began = this.seen()): boolean {
    const { remine: asked } = this.seen();
    return (
      this.removed ||
      this.removalRequested ||
      this.unconnected ||
      (remine && (asked === null || asked !== began.remine))
    );
  }

  protected openAccounts(): string[] {
    return this.accountsOpen ? [account.account_id] : [];
  }

  protected waitsSince(): string | null {
    return this.cursor === '' ? new Date(0).toISOString() : null;
  }

  protected updatedAt(): string | null {
    return this.lastUpdateAt === null ? null : new Date(this.lastUpdateAt).toISOString();
  }

  /** What an Item without rows of its own says of them; one with rows says otherwise. */
  protected beginFurther(updateId: string, page: number): PageStart;
  protected beginFurther(): PageStart {
    return { kind: 'missing' };
  }

  protected stage(updateId: string, page: number, began: Seen, mined: MinedPage): Staged;
  protected stage(): Staged {
    return { kind: 'moved' };
  }

  protected applyRows(update: Update): UpdateOutcome | 'moved' {
    const changes = this.accountsOpen ? 0 : 1;
    this.accountsOpen = true;
    const history = furtherHistory(this.history, update.history);
    return { added: 0, modified: 0, removed: 0, accounts: changes, changes, pages: 1, history };
  }

  protected discardStaged(updateId: string): void;
  protected discardStaged(): void {}

  protected namedLiving(): { transactionId: string; accountId: string; date: string }[] {
    return [{ transactionId: 't1', accountId: 'account-1', date: '2026-01-01' }];
  }

  protected mayRemove(seen: Seen): boolean;
  protected mayRemove(): boolean {
    return true;
  }

  protected removeRows(ids: readonly string[]): number;
  protected removeRows(): number {
    return 0;
  }
}
