import { parseRow, rowOf, type BankTransaction, type Row } from '../bank/row.js';
import { SeededRows, type SeededPlan } from '../bank/seededRows.js';

/** What the bank has booked on accounts that an Item's application does not see, as a state file keeps it. */
export interface Withheld {
  rows: BankTransaction[];
  /** Generated ones, of accounts that the user did not choose at the link. */
  plan: SeededPlan | null;
  /** Ids of generated ones that the bank has no more, or in another version, which is among `rows`. */
  gone: string[];
  /** Accounts whose generated ones wait no longer. */
  settled: string[];
}

/** Transactions that wait until the user lets the application see their account. */
export class WithheldRows {
  private readonly seeded: SeededRows | null;

  constructor(
    private readonly kept: Withheld,
    itemId: string,
  ) {
    // The ids must not be those of the Item's own generated transactions.
    this.seeded = kept.plan && new SeededRows(kept.plan, `${itemId}/others`);
  }

  /** Keeps a transaction, or another version of one. */
  hold(row: Row): void {
    this.drop(row.id);
    this.kept.rows.push(parseRow(row));
  }

  drop(id: string): void {
    const { kept } = this;
    kept.rows = kept.rows.filter(({ transaction }) => transaction.transaction_id !== id);
    const generated = (this.seeded?.number(id) ?? -1) >= 0;
    if (generated && !kept.gone.includes(id)) kept.gone.push(id);
  }

  *values(): Generator<Row> {
    const { rows, gone, settled } = this.kept;
    for (let n = 0; this.seeded && n < this.seeded.count; n += 1) {
      const row = this.seeded.row(n);
      if (!settled.includes(row.accountId) && !gone.includes(row.id)) yield row;
    }
    yield* rows.map(rowOf);
  }

  /** Hands over what has waited for an account. It becomes part of the Item's story, and is stored from now on. */
  release(accountId: string): Row[] {
    const released = [...this.values()].filter((row) => row.accountId === accountId);
    this.forget(accountId);
    return released.map((row) => (row.seeded ? rowOf(parseRow(row)) : row));
  }

  /** Nobody will see the account any more. */
  forget(accountId: string): void {
    this.kept.rows = this.kept.rows.filter(({ transaction }) => transaction.account_id !== accountId);
    if (!this.kept.settled.includes(accountId)) this.kept.settled.push(accountId);
  }
}
