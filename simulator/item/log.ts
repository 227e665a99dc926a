import { renderRows, type RenderOptions, type Row } from '../bank/row.js';
import type { WireRemoved } from '../wire.js';

/** One change in Plaid's copy of an Item. `row: null` is a removal; an entry without id only marks that something else moved. */
export interface LogEntry {
  id: string;
  accountId: string;
  row: Row | null;
  /** Position of the entry before this one about the same transaction; -1 when it is the first. */
  previous: number;
}

/** What one transaction's changes since a position come to. */
export interface Change {
  kind: 'added' | 'modified' | 'removed';
  id: string;
  accountId: string;
  row: Row | null;
}

const CACHED_DELTAS = 8;
const NO_ACCOUNTS: ReadonlySet<string> = new Set();

/**
 * Plaid's copy of an Item's transactions as an append-only log: a cursor of `/transactions/sync` is a position in it, and
 * a run of pages stays valid only as long as nothing is appended. Rows are in the order of their last modification.
 */
export class ItemLog {
  private readonly entries: LogEntry[] = [];
  private readonly last = new Map<string, number>();
  private readonly deltas = new Map<string, Change[]>();
  private newestFirst: Row[] | undefined;
  private hidden: ReadonlySet<string> = NO_ACCOUNTS;

  /** `onAppend` hears of every new entry. */
  constructor(private readonly onAppend: (entry: LogEntry) => void = () => undefined) {}

  get length(): number {
    return this.entries.length;
  }

  get all(): readonly LogEntry[] {
    return this.entries;
  }

  upsert(row: Row): void {
    this.append(row.id, row.accountId, row);
  }

  remove(id: string, accountId: string): void {
    this.append(id, accountId, null);
  }

  /** Says that what is told has changed without a change of a transaction (an account was closed): running pages end. */
  mark(): void {
    this.append('', '', null);
  }

  /** Closed accounts: their rows are no longer told, by any cursor. */
  hide(accountIds: ReadonlySet<string>): void {
    this.hidden = accountIds;
    this.deltas.clear();
    this.newestFirst = undefined;
  }

  /** The row as it is told now, if it is live; a closed account's row counts as live. */
  row(id: string): Row | null {
    const at = this.last.get(id);
    return at === undefined ? null : (this.entries[at]?.row ?? null);
  }

  knows(id: string): boolean {
    return this.last.has(id);
  }

  /** Live rows of open accounts, oldest modification first. */
  live(): Row[] {
    return this.delta(0, null).flatMap((change) => (change.row ? [change.row] : []));
  }

  /** Live rows of closed accounts. */
  liveHidden(): Row[] {
    return this.entries.flatMap((entry, at) =>
      entry.row && this.hidden.has(entry.accountId) && this.last.get(entry.id) === at ? [entry.row] : [],
    );
  }

  /** Live rows as `/transactions/get` lists them: newest date first, later changes first within a day. */
  liveNewestFirst(): Row[] {
    this.newestFirst ??= this.live()
      .reverse()
      .sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0));
    return this.newestFirst;
  }

  /** Ids whose last change is a removal at or after this position. */
  removedSince(position: number): string[] {
    const ids: string[] = [];
    for (let at = position; at < this.entries.length; at += 1) {
      const entry = this.entries[at];
      if (!entry || entry.row || entry.id === '' || this.last.get(entry.id) !== at) continue;
      if (!this.hidden.has(entry.accountId)) ids.push(entry.id);
    }
    return ids;
  }

  /**
   * What has changed since a position (0: from the beginning), one change per transaction, in the order of last modification. From
   * the beginning only live rows are told; later an id that came and went since then is told as removed only.
   */
  delta(from: number, accountId: string | null): Change[] {
    const key = `${from}/${accountId ?? ''}`;
    const known = this.deltas.get(key);
    if (known) return known;
    const changes: Change[] = [];
    for (let at = from; at < this.entries.length; at += 1) {
      const entry = this.entries[at];
      if (!entry || entry.id === '' || this.last.get(entry.id) !== at) continue;
      if (this.hidden.has(entry.accountId) || (accountId !== null && entry.accountId !== accountId)) continue;
      if (!entry.row && from === 0) continue;
      const kind = !entry.row ? 'removed' : this.wasLiveBefore(entry, from) ? 'modified' : 'added';
      changes.push({ kind, id: entry.id, accountId: entry.accountId, row: entry.row });
    }
    const oldest = this.deltas.keys().next();
    if (this.deltas.size >= CACHED_DELTAS && !oldest.done) this.deltas.delete(oldest.value);
    this.deltas.set(key, changes);
    return changes;
  }

  private wasLiveBefore(entry: LogEntry, from: number): boolean {
    let at = entry.previous;
    while (at >= from) at = this.entries[at]?.previous ?? -1;
    return at >= 0 && this.entries[at]?.row !== null;
  }

  private append(id: string, accountId: string, row: Row | null): void {
    const at = this.entries.length;
    const entry = { id, accountId, row, previous: id === '' ? -1 : (this.last.get(id) ?? -1) };
    this.entries.push(entry);
    this.onAppend(entry);
    if (id !== '') this.last.set(id, at);
    this.deltas.clear();
    this.newestFirst = undefined;
  }
}

/** JSON arrays of changes, as a page of `/transactions/sync` has them; each in parts to be concatenated. */
export function renderChanges(
  changes: readonly Change[],
  options: RenderOptions,
): Record<Change['kind'], Buffer[]> {
  const rows: Record<'added' | 'modified', Row[]> = { added: [], modified: [] };
  const removed: WireRemoved[] = [];
  for (const { kind, id, accountId, row } of changes) {
    if (kind === 'removed') removed.push({ transaction_id: id, account_id: accountId });
    else if (row) rows[kind].push(row);
  }
  return {
    added: renderRows(rows.added, options),
    modified: renderRows(rows.modified, options),
    removed: [Buffer.from(JSON.stringify(removed))],
  };
}
