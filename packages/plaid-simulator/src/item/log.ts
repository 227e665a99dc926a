import { renderRows, type RenderOptions, type Row } from '../bank/row.js';
import type { SeededRows } from '../bank/seededRows.js';
import type { JsonPart } from '../jsonParts.js';
import type { WireRemoved } from '../wire.js';
import { RecentLists } from './recentLists.js';

/** One change in Plaid's copy of an Item. `row: null` is a removal; an entry without id says that something else moved. */
export interface LogEntry {
  /** Its position. */
  at: number;
  id: string;
  accountId: string;
  row: Row | null;
  /** The entry before this one about the same transaction: one of these, the position of a seeded row in a span, or none. */
  previous: LogEntry | number | null;
}

/** Seeded rows `first` to `first + count - 1`, given for the first time one after the other from this position on. */
export interface LogSpan {
  at: number;
  first: number;
  count: number;
}

/** What one transaction's changes since a position come to. */
export interface Change {
  readonly kind: 'added' | 'modified' | 'removed';
  readonly id: string;
  readonly accountId: string;
  readonly row: Row | null;
}

/** A seeded row's first change: its id is made when somebody asks for it. */
class SeededChange implements Change {
  readonly kind = 'added';

  constructor(readonly row: Row) {}

  get id(): string {
    return this.row.id;
  }

  get accountId(): string {
    return this.row.accountId;
  }
}

const NO_ACCOUNTS: ReadonlySet<string> = new Set();

/** What is being read just now, of all logs. */
const recentDeltas = new RecentLists<Change>(200_000);
const recentListings = new RecentLists<Row>(200_000);
let logs = 0;

/**
 * Plaid's copy of an Item's transactions as an append-only log: a cursor of `/transactions/sync` is a position in it, and
 * a run of pages stays valid only as long as nothing is appended. Rows are in the order of their last modification. Seeded rows
 * that were given as they are take one span, however many they are.
 */
export class ItemLog {
  private readonly steps: (LogEntry | LogSpan)[] = [];
  private readonly spans: LogSpan[] = [];
  private readonly last = new Map<string, LogEntry>();
  /** Numbers of seeded rows that have an entry of their own. */
  private readonly entered = new Set<number>();
  private positions = 0;
  private hidden: ReadonlySet<string> = NO_ACCOUNTS;
  private readonly serial = (logs += 1);
  private version = 0;

  /** `onAppend` hears of every new entry and span. */
  constructor(
    private readonly seeded: SeededRows | null,
    private readonly onAppend: (step: LogEntry | LogSpan) => void = () => undefined,
  ) {}

  get length(): number {
    return this.positions;
  }

  upsert(row: Row): void {
    this.append(row.id, row.accountId, row);
  }

  remove(id: string, accountId: string): void {
    this.append(id, accountId, null);
  }

  /** Appends seeded rows, none of which the log has yet. */
  appendSeeded(first: number, count: number): void {
    if (count <= 0) return;
    const span = { at: this.positions, first, count };
    this.spans.push(span);
    this.add(span, count);
  }

  /** Records that the answers have changed without a change of a transaction (an account was closed): running pages end. */
  touch(): void {
    this.append('', '', null);
  }

  /** Closed accounts: no cursor gives their rows any longer. */
  hide(accountIds: ReadonlySet<string>): void {
    this.hidden = accountIds;
    this.version += 1;
  }

  /** The row as it is given now, if it is live; a closed account's row counts as live. */
  row(id: string): Row | null {
    const entry = this.last.get(id);
    if (entry) return entry.row;
    const n = this.seeded?.number(id) ?? -1;
    return n >= 0 && this.spanOf(n) && this.seeded ? this.seeded.row(n) : null;
  }

  knows(id: string): boolean {
    if (this.last.has(id)) return true;
    const n = this.seeded?.number(id) ?? -1;
    return n >= 0 && this.spanOf(n) !== undefined;
  }

  /** Parts of the seeded rows that were given in spans, as numbers from and to (not included), in ascending order. */
  seededParts(): { from: number; to: number }[] {
    return this.spans
      .map(({ first, count }) => ({ from: first, to: first + count }))
      .sort((a, b) => a.from - b.from);
  }

  /** Live rows of open accounts, oldest modification first. */
  live(): Row[] {
    return this.delta(0, null).flatMap((change) => (change.row ? [change.row] : []));
  }

  /** Live rows of closed accounts. */
  liveHidden(): Row[] {
    if (this.hidden.size === 0) return [];
    return [...this.current(0)].flatMap(({ row, accountId }) =>
      row && this.hidden.has(accountId) ? [row] : [],
    );
  }

  /** Ids of closed accounts' rows that were removed. */
  removedHidden(): string[] {
    if (this.hidden.size === 0) return [];
    return [...this.current(0)].flatMap(({ row, id, accountId }) =>
      !row && this.hidden.has(accountId) ? [id] : [],
    );
  }

  /** Live rows as `/transactions/get` lists them: newest date first, later changes first within a day. */
  liveNewestFirst(): readonly Row[] {
    return recentListings.get(`${this.serial}/${this.version}`, () =>
      this.live()
        .map((row) => ({ row, date: row.date }))
        .reverse()
        .sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0))
        .map(({ row }) => row),
    );
  }

  /** Accounts that live rows belong to, closed ones not counted; `most`: there can be no more of them. */
  liveAccounts(most: number): Set<string> {
    const accounts = new Set<string>();
    for (const { row, accountId } of this.current(0)) {
      if (row && !this.hidden.has(accountId)) accounts.add(accountId);
      if (accounts.size >= most) break;
    }
    return accounts;
  }

  /** Ids whose last change is a removal at or after this position. */
  removedSince(position: number): string[] {
    const ids: string[] = [];
    for (const { row, id, accountId } of this.current(position)) {
      if (!row && !this.hidden.has(accountId)) ids.push(id);
    }
    return ids;
  }

  /**
   * What has changed since a position (0: from the beginning), one change per transaction, in the order of last modification. From
   * the beginning only live rows are given; later an id that came and went since then is given as removed only.
   */
  delta(from: number, accountId: string | null): readonly Change[] {
    const key = `${this.serial}/${this.version}/${from}/${accountId ?? ''}`;
    return recentDeltas.get(key, () => {
      const filtered = accountId !== null || this.hidden.size > 0;
      const changes: Change[] = [];
      for (const change of this.current(from)) {
        if (filtered) {
          const account = change.accountId;
          if (this.hidden.has(account) || (accountId !== null && account !== accountId)) continue;
        }
        if (change.row || from > 0) changes.push(change);
      }
      return changes;
    });
  }

  /** The last change of each transaction that changed at or after a position, in the order of the log. */
  private *current(from: number): Generator<Change> {
    for (let index = this.stepAt(from); index < this.steps.length; index += 1) {
      const step = this.steps[index];
      if (!step) continue;
      if ('count' in step) {
        if (!this.seeded) continue;
        const end = step.first + step.count;
        for (let n = step.first + Math.max(0, from - step.at); n < end; n += 1) {
          if (!this.entered.has(n)) yield new SeededChange(this.seeded.row(n));
        }
      } else if (step.id !== '' && this.last.get(step.id) === step) {
        const { id, accountId, row } = step;
        const kind = !row ? 'removed' : wasLiveBefore(step, from) ? 'modified' : 'added';
        yield { kind, id, accountId, row };
      }
    }
  }

  /** Index of the step that a position lies in, or of the first one behind it. */
  private stepAt(position: number): number {
    let low = 0;
    let high = this.steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const step = this.steps[middle];
      const end = step ? step.at + ('count' in step ? step.count : 1) : 0;
      if (end <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private spanOf(n: number): LogSpan | undefined {
    return this.spans.find(({ first, count }) => n >= first && n < first + count);
  }

  private append(id: string, accountId: string, row: Row | null): void {
    const entry: LogEntry = { at: this.positions, id, accountId, row, previous: this.lastOf(id) };
    if (id !== '') {
      this.last.set(id, entry);
      const n = this.seeded?.number(id) ?? -1;
      if (n >= 0) this.entered.add(n);
    }
    this.add(entry, 1);
  }

  private lastOf(id: string): LogEntry | number | null {
    const entry = this.last.get(id);
    if (entry || id === '') return entry ?? null;
    const n = this.seeded?.number(id) ?? -1;
    const span = n >= 0 ? this.spanOf(n) : undefined;
    return span ? span.at + n - span.first : null;
  }

  private add(step: LogEntry | LogSpan, count: number): void {
    this.steps.push(step);
    this.positions += count;
    this.version += 1;
    this.onAppend(step);
  }
}

function wasLiveBefore(entry: LogEntry, position: number): boolean {
  let { previous } = entry;
  while (previous !== null && typeof previous !== 'number' && previous.at >= position)
    previous = previous.previous;
  if (previous === null) return false;
  return typeof previous === 'number' ? previous < position : previous.row !== null;
}

/** JSON arrays of changes, as a page of `/transactions/sync` has them; each in parts to be concatenated. */
export function renderChanges(
  changes: readonly Change[],
  options: RenderOptions,
): Record<Change['kind'], JsonPart[]> {
  const rows: Record<'added' | 'modified', Row[]> = { added: [], modified: [] };
  const removed: WireRemoved[] = [];
  for (const change of changes) {
    if (change.kind === 'removed') {
      removed.push({ transaction_id: change.id, account_id: change.accountId });
    } else if (change.row) rows[change.kind].push(change.row);
  }
  return {
    added: renderRows(rows.added, options),
    modified: renderRows(rows.modified, options),
    removed: [Buffer.from(JSON.stringify(removed))],
  };
}
