import type { PlaidAccount, PlaidSyncPage, PlaidTransaction } from '../../domain/plaid.js';
import { account, transaction } from './fakePlaid.js';

type Event = { added: PlaidTransaction } | { modified: PlaidTransaction } | { removed: string };

const idOf = (event: Event): string => {
  if ('removed' in event) return event.removed;
  return ('added' in event ? event.added : event.modified).transaction_id;
};

/** Never removed, and older than every other row: a remine lists it, and so may mark whatever else is missing. */
const anchor = transaction('anchor', { date: '2020-01-01' });

/** An Item at Plaid as a log of what happened to its transactions: a cursor is a place in it, a page at most two events. */
export class PlaidLog {
  private readonly events: Event[] = [{ added: anchor }];

  /** How often the world has changed: also the account's name, so that an older account can be told from a newer one. */
  get length(): number {
    return this.events.length;
  }

  /** The bank tells of the transaction: new, changed, or back again. */
  tell(id: string): void {
    const row = transaction(id, { amount: this.events.length });
    this.events.push(this.truth(this.length).has(id) ? { modified: row } : { added: row });
  }

  remove(id: string): void {
    if (this.truth(this.length).has(id)) this.events.push({ removed: id });
  }

  sync(cursor: string): PlaidSyncPage {
    const from = cursor === '' ? 0 : Number(cursor);
    const events = this.events.slice(from, from + 2);
    // A page says of each transaction what became of it last.
    const page = [...new Map(events.map((event) => [idOf(event), event])).values()];
    return {
      added: page.flatMap((event) => ('added' in event ? [event.added] : [])),
      modified: page.flatMap((event) => ('modified' in event ? [event.modified] : [])),
      removed: page.flatMap((event) =>
        'removed' in event ? [{ transaction_id: event.removed, account_id: 'account-1' }] : [],
      ),
      accounts: [],
      next_cursor: String(from + events.length),
      has_more: from + events.length < this.events.length,
      transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
    };
  }

  accounts(): PlaidAccount[] {
    return [account('account-1', { name: String(this.length).padStart(6, '0') })];
  }

  /** Transactions whose removal the log tells from a place on. */
  removedAfter(at: number): string[] {
    return this.events.slice(at).flatMap((event) => ('removed' in event ? [event.removed] : []));
  }

  /** The transactions that live at a place in the log, by id, with their amounts. */
  truth(at: number): Map<string, number> {
    const live = new Map<string, number>();
    for (const event of this.events.slice(0, at)) {
      if ('removed' in event) live.delete(event.removed);
      else {
        const row = 'added' in event ? event.added : event.modified;
        live.set(row.transaction_id, row.amount);
      }
    }
    return live;
  }
}
