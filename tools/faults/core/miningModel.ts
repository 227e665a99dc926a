import { defaultMainAccount } from '../../../domain/mining/accounts.js';
import { furtherHistory } from '../../../domain/mining/run.js';
import type { History, UpdateOutcome } from '../../../domain/mining/run.js';
import type { PlaidAccount, PlaidRemovedTransaction, PlaidTransaction } from '../../../domain/plaid.js';
import type { RecordOwner } from '../../../domain/mining/refine.js';
import { refineAccount, refineTransaction } from '../../../domain/mining/refine.js';

/** What a page of Plaid's says. */
interface Said {
  added?: PlaidTransaction[];
  modified?: PlaidTransaction[];
  removed?: PlaidRemovedTransaction[];
}

interface ModelTransaction {
  raw: PlaidTransaction | null;
  /** Null for a tombstone. */
  account_id: string | null;
  status: string;
  version: number;
}

interface ModelAccount {
  raw: PlaidAccount;
  status: 'open' | 'closed';
  is_main: boolean;
  as_of: string;
  replaces: string | null;
  replaced_by: string | null;
  version: number;
}

export interface ModelChange {
  sequence: number;
  record: 'transaction' | 'account';
  removed: boolean;
  subject: string;
  version: number;
  raw: unknown;
  refined: Record<string, unknown>;
}

export interface ModelPage {
  cursor: string;
  nextCursor: string;
  rows: Said;
}

/** What an update began with: the one before it, and how many changes there were. */
export interface ModelBegan {
  update: string | null;
  changes: number;
}

export interface ModelUpdate {
  updateId: string;
  began: ModelBegan;
  pageNumber: number;
  page: ModelPage;
  accounts: PlaidAccount[];
  asOf: string;
  history: History | null;
  /** Number of the remine whose reading it is: it began at the empty cursor, and asks what Plaid does not list any more. */
  remine?: number | null;
  /** Of such a reading: a cursor that the Item has stays. */
  keepsCursor?: boolean;
}

const sizeOf = ({ rows }: ModelPage): number => {
  const gone = new Set((rows.removed ?? []).map((row) => row.transaction_id));
  const listed = [...(rows.added ?? []), ...(rows.modified ?? [])].map((raw) => raw.transaction_id);
  return new Set([...gone, ...listed]).size;
};

/** What an Item's tables have to hold, told one event at a time and without a database. */
export class MiningModel {
  readonly transactions = new Map<string, ModelTransaction>();
  readonly accounts = new Map<string, ModelAccount>();
  /** Since when an open account has been listed without a break. */
  private readonly listedSince = new Map<string, string>();
  readonly outbox: ModelChange[] = [];
  readonly staged = new Map<string, Map<number, ModelPage>>();
  /** Transactions that a reading of a remine did not list → that remine's number. */
  readonly missedBy = new Map<string, number>();
  cursor = '';
  history: History = 'none';
  last: { updateId: string; outcome: UpdateOutcome } | null = null;

  constructor(
    private readonly owner: RecordOwner,
    private mainAccountId: string,
  ) {}

  now(): ModelBegan {
    const changes = this.outbox.filter((change) => change.record === 'transaction').length;
    return { update: this.last?.updateId ?? null, changes };
  }

  /** Whether nothing has changed since. */
  stands(began: ModelBegan): boolean {
    const now = this.now();
    return now.update === began.update && now.changes === began.changes;
  }

  begin(updateId: string, page: number): { kind: string; cursor?: string } {
    if (this.last?.updateId === updateId) return { kind: 'ended' };
    const pages = this.staged.get(updateId);
    if (pages?.has(page)) return { kind: 'staged' };
    if (page === 0) return { kind: 'fetch', cursor: this.cursor };
    const before = pages?.get(page - 1);
    return before === undefined ? { kind: 'missing' } : { kind: 'fetch', cursor: before.nextCursor };
  }

  /** Rows of the page that is staged afterwards: the first one wins. */
  stage(
    updateId: string,
    number: number,
    page: ModelPage,
    began: ModelBegan,
  ): { kind: 'staged'; rows: number } | { kind: 'moved' } {
    if (!this.stands(began)) return { kind: 'moved' };
    const pages = this.staged.get(updateId) ?? new Map<number, ModelPage>();
    this.staged.set(updateId, pages);
    const first = pages.get(number) ?? page;
    pages.set(number, first);
    return { kind: 'staged', rows: sizeOf(first) };
  }

  discard(updateId: string): void {
    this.staged.delete(updateId);
  }

  loseStaged(): void {
    this.staged.clear();
  }

  apply(update: ModelUpdate): { kind: 'applied'; outcome: UpdateOutcome } | { kind: 'moved' } {
    if (this.last?.updateId === update.updateId) return { kind: 'applied', outcome: this.last.outcome };
    if (!this.stands(update.began)) return { kind: 'moved' };
    const pages = this.staged.get(update.updateId) ?? new Map<number, ModelPage>();
    const chain: ModelPage[] = [];
    for (let number = 0; number < update.pageNumber; number += 1) {
      const page = pages.get(number);
      if (page === undefined) return { kind: 'moved' };
      chain.push(page);
    }
    if (pages.size !== update.pageNumber) return { kind: 'moved' };
    chain.push(update.page);
    const { remine = null } = update;
    let expected = remine === null ? this.cursor : '';
    for (const page of chain) {
      if (page.cursor !== expected) return { kind: 'moved' };
      expected = page.nextCursor;
    }

    const before = this.outbox.length;
    this.applyAccounts(update.accounts, update.asOf);
    const accounts = this.outbox.length - before;
    const { come, ...counts } = this.applyRows(chain);
    const keepsCursor = update.keepsCursor === true && this.cursor !== '';
    const compared = remine === null ? null : this.compare(chain, remine);
    counts.removed += compared?.removed ?? 0;
    counts.removed += this.removeSucceeded();
    if (!keepsCursor) this.cursor = update.page.nextCursor;
    const missed = (compared?.missed ?? 0) + (keepsCursor ? come : 0);
    // Rows under a status that nobody knows: some of the history was read.
    const live = [...this.transactions.values()].some(({ status }) => status !== 'removed');
    this.history = furtherHistory(this.history, update.history ?? (live ? 'initial' : null));
    this.staged.clear();
    const outcome: UpdateOutcome = {
      ...counts,
      accounts,
      changes: this.outbox.length - before,
      pages: chain.length,
      history: this.history,
      ...(missed === 0 ? {} : { missed }),
      ...(this.accounts.size === 0 ? { unlisted: true as const } : {}),
    };
    this.last = { updateId: update.updateId, outcome };
    return { kind: 'applied', outcome };
  }

  private applyAccounts(open: PlaidAccount[], asOf: string): void {
    // An answer without any account says nothing of those that there are.
    if (open.length === 0) return;
    const listed = new Map(open.map((raw) => [raw.account_id, raw]));
    const known = [...this.accounts.keys()].sort();
    const successor = this.successors(listed);
    const isMainKnown = this.accounts.has(this.mainAccountId) || listed.has(this.mainAccountId);
    if (known.length > 0 && !isMainKnown) this.mainAccountId = defaultMainAccount(open) ?? this.mainAccountId;
    for (
      let next = successor.get(this.mainAccountId);
      next !== undefined;
      next = listed.has(next)
        ? undefined
        : (successor.get(next) ?? this.accounts.get(next)?.replaced_by ?? undefined)
    )
      this.mainAccountId = next;
    for (const [id, raw] of listed) {
      const stored = this.accounts.get(id);
      if (this.isNew(id)) this.listedSince.set(id, asOf);
      if (stored !== undefined) stored.as_of = asOf;
      const old = [...successor].find(([, next]) => next === id)?.[0] ?? stored?.replaces ?? null;
      const replaces = old !== null && listed.has(old) ? null : old;
      this.changeAccount(id, { raw, status: 'open', as_of: asOf, replaces, replaced_by: null });
    }
    for (const id of known) {
      const stored = this.accounts.get(id);
      if (stored === undefined || listed.has(id)) continue;
      const replaced_by = successor.get(id) ?? stored.replaced_by;
      const place = [...successor].find(([, next]) => next === id)?.[0] ?? stored.replaces;
      const replaces = place !== null && listed.has(place) ? null : place;
      this.changeAccount(id, { ...stored, status: 'closed', replaces, replaced_by });
    }
  }

  /**
   * Closed id → the id of the one account that faceOf like it, where it alone looked so: one that came after it and is gone, too, else
   * one that has come now, else one that came after the closed one was listed last and has nobody's place.
   */
  private successors(listed: ReadonlyMap<string, PlaidAccount>): Map<string, string> {
    const between = this.placesBetween(listed);
    const open = [...this.accounts].filter(
      ([id, { status }]) => status === 'open' && !listed.has(id) && !between.has(id),
    );
    const come = [...listed].filter(([id]) => this.isNew(id));
    const found = this.alike(
      open.map(([, { raw }]) => raw),
      come.map(([, raw]) => raw),
    );
    const taken = new Set(found.values());
    const left = [...this.accounts].filter(
      ([id, { replaced_by }]) =>
        !listed.has(id) && replaced_by === null && !found.has(id) && !between.has(id),
    );
    const later = this.alike(
      left.map(([, { raw }]) => raw),
      [...listed.values()],
    );
    for (const [id, { as_of }] of left) {
      const next = later.get(id);
      if (next === undefined || taken.has(next)) continue;
      if (this.isNew(next) || this.cameAfter(as_of, next)) found.set(id, next);
    }
    return new Map([...between, ...found]);
  }

  /** Whether an account that is known came since then, and took nobody's place since. */
  private cameAfter(asOf: string, next: string): boolean {
    const former = this.accounts.get(next)?.replaces;
    const hasPlace = former != null && (this.accounts.get(former)?.as_of ?? '') >= asOf;
    return !hasPlace && (this.listedSince.get(next) ?? '') > asOf;
  }

  /** Closed id → the first of those that came after it and are gone, too, where no other one was listed beside that. */
  private placesBetween(listed: ReadonlyMap<string, PlaidAccount>): Map<string, string> {
    const gone = [...this.accounts].filter(([id, one]) => !listed.has(id) && one.replaced_by === null);
    const pairs = gone.flatMap(([id, { raw, as_of }]) => {
      const after = [...this.accounts]
        .filter(([next, one]) => next !== id && this.alike([raw], [one.raw]).size > 0)
        .filter(([next]) => !(listed.has(next) && this.isNew(next)) && this.cameAfter(as_of, next))
        .sort(([a], [b]) => ((this.listedSince.get(a) ?? '') < (this.listedSince.get(b) ?? '') ? -1 : 1));
      const [next] = after.find(([one]) => !listed.has(one)) ?? [];
      if (next === undefined) return [];
      const last = this.accounts.get(next)?.as_of ?? '';
      const beside = after.some(([one]) => one !== next && (this.listedSince.get(one) ?? '') <= last);
      return beside ? [] : [[id, next] as const];
    });
    return new Map(pairs.filter(([, next]) => pairs.filter((pair) => pair[1] === next).length === 1));
  }

  /** Whether an account that is listed was not there before, or somebody stood in its place. */
  private isNew(id: string): boolean {
    const stored = this.accounts.get(id);
    return stored === undefined || stored.replaced_by !== null;
  }

  private alike(gone: readonly PlaidAccount[], come: readonly PlaidAccount[]): Map<string, string> {
    const faceOf = ({ name, mask, type, subtype }: PlaidAccount) =>
      JSON.stringify([name, mask, type, subtype]);
    const byFace = new Map<string, { gone: string[]; come: string[] }>();
    const note = (raw: PlaidAccount, side: 'gone' | 'come'): void => {
      const both = byFace.get(faceOf(raw)) ?? { gone: [], come: [] };
      both[side].push(raw.account_id);
      byFace.set(faceOf(raw), both);
    };
    for (const raw of gone) note(raw, 'gone');
    for (const raw of come) note(raw, 'come');
    const pairs = [...byFace.values()].filter(({ gone, come }) => gone.length === 1 && come.length === 1);
    return new Map(pairs.map(({ gone, come }) => [gone[0] as string, come[0] as string]));
  }

  private changeAccount(id: string, now: Omit<ModelAccount, 'version' | 'is_main'>): void {
    const before = this.accounts.get(id);
    const is_main = id === this.mainAccountId;
    const said = ({ raw, status, replaces, replaced_by }: typeof now, main: boolean) =>
      JSON.stringify([raw, status, main, replaces, replaced_by]);
    if (before !== undefined && said(before, before.is_main) === said(now, is_main)) return;
    const version = (before?.version ?? 0) + 1;
    this.accounts.set(id, { ...now, is_main, version });
    const refined = refineAccount(now.raw, { ...this.owner, ...now, is_main });
    const removed = now.status === 'closed';
    const shown = removed ? { account_id: id } : now.raw;
    this.record({ record: 'account', removed, subject: id, version, raw: shown, refined });
  }

  /** Rows of closed accounts whose successor, or a successor of that, lists as old ones itself. Returns how many there were. */
  private removeSucceeded(): number {
    const live = [...this.transactions].flatMap(([id, { raw, status }]) =>
      raw === null || status === 'removed' ? [] : [{ id, raw }],
    );
    const gone = new Set<string>();
    for (const [heir, account] of this.accounts) {
      if (account.status === 'closed') continue;
      const dates = live.filter(({ raw }) => raw.account_id === heir).map(({ raw }) => raw.date);
      const oldest = dates.sort()[0];
      if (oldest === undefined) continue;
      for (let old = account.replaces; old !== null; old = this.accounts.get(old)?.replaces ?? null) {
        for (const { id, raw } of live) if (raw.account_id === old && raw.date >= oldest) gone.add(id);
      }
    }
    for (const id of [...gone].sort()) this.removeRow(id, null);
    return gone.size;
  }

  /**
   * Rows of open accounts that a reading of everything does not list, as far back as it lists any of the account: the second one in a
   * row that does not list them removes them.
   */
  private compare(chain: ModelPage[], remine: number): { removed: number; missed: number } {
    const listed = chain.flatMap(({ rows }) => [...(rows.added ?? []), ...(rows.modified ?? [])]);
    const ids = new Set(listed.map((raw) => raw.transaction_id));
    const oldest = new Map<string, string>();
    for (const { account_id, date } of listed) {
      const known = oldest.get(account_id);
      if (known === undefined || date < known) oldest.set(account_id, date);
    }
    const before = new Map(this.missedBy);
    this.missedBy.clear();
    let removed = 0;
    for (const [id, { raw, status }] of [...this.transactions].sort(([one], [other]) =>
      one < other ? -1 : 1,
    )) {
      if (raw === null || status === 'removed' || ids.has(id)) continue;
      const from = oldest.get(raw.account_id);
      if (from === undefined || raw.date < from || this.accounts.get(raw.account_id)?.status !== 'open')
        continue;
      if (before.get(id) !== remine) {
        this.missedBy.set(id, remine);
        continue;
      }
      this.removeRow(id, raw.account_id);
      removed += 1;
    }
    return { removed, missed: this.missedBy.size };
  }

  /** A row that Plaid named as removed, and lists no more; true where that changed it. */
  removeNamed(id: string): boolean {
    const stored = this.transactions.get(id);
    if (stored === undefined || stored.status === 'removed') return false;
    this.removeRow(id, stored.account_id);
    return true;
  }

  private removeRow(id: string, accountId: string | null): void {
    const stored = this.transactions.get(id);
    const version = (stored?.version ?? 0) + 1;
    const account_id = stored === undefined ? accountId : stored.account_id;
    this.transactions.set(id, { raw: stored?.raw ?? null, account_id, status: 'removed', version });
    const ids = { transaction_id: id, account_id };
    const refined = this.refinedOf(id);
    this.record({ record: 'transaction', removed: true, subject: id, version, raw: ids, refined });
  }

  /** Every mention is an event; the last one of an id decides and has its place. */
  private applyRows(chain: ModelPage[]): { added: number; modified: number; removed: number; come: number } {
    const final = new Map<string, { raw: PlaidTransaction | null; accountId: string | null }>();
    for (const { rows } of chain) {
      for (const raw of [...(rows.added ?? []), ...(rows.modified ?? [])]) {
        final.delete(raw.transaction_id);
        final.set(raw.transaction_id, { raw, accountId: raw.account_id });
      }
      for (const row of rows.removed ?? []) {
        final.delete(row.transaction_id);
        final.set(row.transaction_id, { raw: null, accountId: row.account_id ?? null });
      }
    }
    const counts = { added: 0, modified: 0, removed: 0, come: 0 };
    for (const [id, { raw, accountId }] of final) {
      const stored = this.transactions.get(id);
      const version = (stored?.version ?? 0) + 1;
      if (raw !== null) {
        const refined = refineTransaction(raw, this.owner);
        if (stored?.status === refined.status && JSON.stringify(stored.raw) === JSON.stringify(raw)) continue;
        this.transactions.set(id, { raw, account_id: raw.account_id, status: refined.status, version });
        this.record({ record: 'transaction', removed: false, subject: id, version, raw, refined });
        counts[version === 1 ? 'added' : 'modified'] += 1;
        const isClosed = this.accounts.get(raw.account_id)?.status === 'closed';
        if (!isClosed && (version === 1 || stored?.status === 'removed')) counts.come += 1;
        this.missedBy.delete(id);
      } else if (stored?.status !== 'removed') {
        this.removeRow(id, accountId);
        counts.removed += 1;
      }
    }
    return counts;
  }

  /** A stored transaction as refined, without its version. */
  refinedOf(id: string): object {
    const stored = this.transactions.get(id);
    if (stored === undefined) throw new Error(`no transaction ${id}`);
    if (stored.raw !== null) return { ...refineTransaction(stored.raw, this.owner), status: stored.status };
    return {
      ...this.owner,
      id,
      account_id: stored.account_id,
      status: 'removed',
      direction: null,
      amount: null,
      currency: null,
      date: null,
      authorized_date: null,
      datetime: null,
      authorized_datetime: null,
      description: null,
      merchant: { name: null, id: null, logo_url: null, website: null },
      category: null,
      channel: null,
      check_number: null,
      location: null,
      replaces: null,
    };
  }

  private record(change: Omit<ModelChange, 'sequence' | 'refined'> & { refined: object }): void {
    this.outbox.push({
      ...change,
      sequence: this.outbox.length + 1,
      refined: { ...change.refined, version: change.version },
    });
  }
}
