import type { Form, OutboxRow, RecordKind } from '../../../domain/mining/events.js';
import type { MinedPage } from '../../../domain/mining/page.js';
import type { UpdateOutcome } from '../../../domain/mining/run.js';
import type { Seen } from '../../../domain/ports/items.js';
import type { PageStart, Update } from '../../../domain/ports/mining.js';
import type { OutboxStore } from '../../../domain/ports/outbox.js';
import type { Staged } from './memoryItem.js';
import { itemId, MemoryItem } from './memoryItem.js';
import type { ModelBegan, ModelPage } from './miningModel.js';
import { MiningModel } from './miningModel.js';

const owner = { item_id: itemId, user_id: 'user-1', institution_id: 'ins_1' };
const beganOf = ({ update, rows }: Seen): ModelBegan => ({ update, changes: rows });
const pageOf = ({ cursor, nextCursor, transactions, removed }: MinedPage): ModelPage => ({
  ...{ cursor, nextCursor },
  rows: { added: transactions.map(({ raw }) => raw), removed },
});

/** An Item's row with its transactions, accounts, staged pages and outbox: the model that is compared with PostgreSQL elsewhere. */
export class SimItem extends MemoryItem {
  readonly model = new MiningModel(owner, 'account-1');
  /** What the first page of an update began with. */
  private readonly began = new Map<string, Seen>();
  private readonly watermarks = new Map<string, number>();
  /** Ids that TRANSACTIONS_REMOVED named. */
  named: string[] = [];

  protected override seen(): Seen {
    return { ...super.seen(), rows: this.model.now().changes };
  }

  protected override openAccounts(): string[] {
    return [...this.model.accounts].filter(([, { status }]) => status === 'open').map(([id]) => id);
  }

  protected override beginFurther(updateId: string, page: number): PageStart {
    const began = this.began.get(updateId);
    const start = this.model.begin(updateId, page);
    if (start.kind === 'staged') {
      const rows = this.model.staged.get(updateId)?.get(page)?.rows ?? {};
      return { kind: 'staged', rows: (rows.added?.length ?? 0) + (rows.removed?.length ?? 0) };
    }
    if (start.kind !== 'fetch' || began === undefined) return { kind: 'missing' };
    if (!this.model.stands(beganOf(began))) return { kind: 'moved' };
    return {
      kind: 'fetch',
      cursor: start.cursor ?? '',
      began,
      openAccounts: this.openAccounts(),
      withoutTransactions: this.transactionsUnavailable,
      waitsSince: this.waitsSince(),
      updatedAt: this.updatedAt(),
      admittedAt: null,
      endsAt: null,
      credentials: this.credentials,
    };
  }

  protected override stage(updateId: string, page: number, began: Seen, mined: MinedPage): Staged {
    if (page === 0 && !this.began.has(updateId)) this.began.set(updateId, began);
    return this.model.stage(updateId, page, pageOf(mined), beganOf(began));
  }

  protected override applyRows(update: Update): UpdateOutcome | 'moved' {
    const { updateId, pageNumber, accounts, accountsAsOf: asOf, history } = update;
    const applied = this.model.apply({
      ...{ updateId, pageNumber, accounts, asOf, history },
      remine: update.remine === true ? update.began.remine : null,
      keepsCursor: update.keepsCursor === true,
      began: beganOf(update.began),
      page: pageOf(update.page),
    });
    return applied.kind === 'moved' ? 'moved' : applied.outcome;
  }

  protected override discardStaged(updateId: string): void {
    this.model.discard(updateId);
  }

  protected override namedLiving(): { transactionId: string; accountId: string; date: string }[] {
    return this.named.flatMap((id) => {
      const { raw, status } = this.model.transactions.get(id) ?? {};
      if (raw == null || status === 'removed') return [];
      return [{ transactionId: id, accountId: raw.account_id, date: raw.date }];
    });
  }

  protected override mayRemove(seen: Seen): boolean {
    return this.model.stands(beganOf(seen));
  }

  protected override removeRows(ids: readonly string[]): number {
    return ids.filter((id) => this.model.removeNamed(id)).length;
  }

  /** Forgets what an unlogged table forgets when the database has crashed. */
  loseStaged(): void {
    this.model.loseStaged();
  }

  readonly outbox: OutboxStore = {
    unsent: async (_itemId, record, limit, after = 0) => {
      const sent = { raw: this.watermark(record, 'raw'), refined: this.watermark(record, 'refined') };
      const from = Math.max(Math.min(sent.raw, sent.refined), after);
      const rows = this.model.outbox
        .filter((change) => change.record === record && change.sequence > from)
        .map((change): OutboxRow => {
          const { removed, subject, sequence } = change;
          const texts = { raw: JSON.stringify(change.raw), refined: JSON.stringify(change.refined) };
          const id = `e${sequence}`;
          return { id, ...owner, record, removed, subject, sequence, time: '2026-01-01T00:00:00Z', ...texts };
        });
      return { sent, rows: rows.slice(0, limit), more: rows.length > limit };
    },
    advanceWatermark: async (_itemId, record, form, from, to) => {
      if (this.watermark(record, form) !== from) return false;
      this.watermarks.set(`${record}/${form}`, to);
      return true;
    },
  };

  private watermark(record: RecordKind, form: Form): number {
    return this.watermarks.get(`${record}/${form}`) ?? 0;
  }

  /** Changes that a stream has not taken yet. */
  hasUnsent(): boolean {
    return this.model.outbox.some(({ record, sequence }) =>
      (['raw', 'refined'] as const).some((form) => sequence > this.watermark(record, form)),
    );
  }
}
