import type { PlaidAccount, PlaidSyncPage, PlaidTransaction } from '../../../domain/plaid.js';
import { failureOfAnswer } from '../../../src/clients/plaidFailures.js';
import { MoodyPlaid } from './memoryItem.js';
import { account, transaction } from './plaidObjects.js';

type Event = { row: PlaidTransaction } | { removed: string };

/** Older than nearly every other row and never removed: a remine lists it, and so may remove whatever else is missing. */
const anchor = transaction('anchor', { date: '2020-01-01', amount: 1 });
/** The id of a row older than that: that it goes no reading of everything shows. */
export const oldest = 'oldest';
const rowsOfPage = 3;

/**
 * An Item at Plaid as a log of what happened to its transactions. A cursor is a place in it; what follows one is the difference between two
 * places, so that a row which came and went between them is never mentioned. When the log grows while its pages are read, the next page is
 * refused as Plaid refuses it.
 */
export class SimPlaid extends MoodyPlaid {
  private readonly log: Event[] = [
    { row: transaction(oldest, { date: '2019-01-01', amount: 1 }) },
    { row: anchor },
  ];
  accountName = 'Checking';
  /** The next answer of the accounts is short: it lacks the second one. */
  shortAccounts = false;
  /** A row that the next reading of everything does not list, though it lives, as it is now; null = all are listed. */
  unlisted: PlaidTransaction | null = null;
  /** What may happen between the moment at which an answer is made and the next call. */
  afterSync: () => void = () => undefined;

  constructor() {
    super();
    const { port } = this;
    const { syncTransactions, getAccounts, getTransactions } = port;
    port.syncTransactions = async (token, cursor) => {
      await syncTransactions(token, cursor);
      const page = this.page(cursor);
      this.afterSync();
      return page;
    };
    port.getAccounts = async (token) => {
      await getAccounts(token);
      const all = this.accounts();
      const { shortAccounts } = this;
      this.shortAccounts = false;
      return shortAccounts ? all.slice(0, 1) : all;
    };
    port.getTransactions = async (token, query) => {
      await getTransactions(token, query);
      const all = [...this.truth().values()];
      return { transactions: all.slice(query.offset, query.offset + query.count), total: all.length };
    };
  }

  put(row: PlaidTransaction): void {
    this.log.push({ row });
  }

  remove(id: string): void {
    if (this.truth().has(id)) this.log.push({ removed: id });
  }

  accounts(): PlaidAccount[] {
    return [
      account('account-1', { name: this.accountName }),
      account('account-2', { name: 'Savings', mask: '1111', subtype: 'savings' }),
    ];
  }

  /** What lives at a place in the log, by id. */
  truth(at = this.log.length): Map<string, PlaidTransaction> {
    const live = new Map<string, PlaidTransaction>();
    for (const event of this.log.slice(0, at)) {
      if ('removed' in event) live.delete(event.removed);
      else live.set(event.row.transaction_id, event.row);
    }
    return live;
  }

  /** '' = nothing. A row that went and came back since is another one, which nobody knows yet. */
  private unlistedOnce(cursor: string): string {
    if (cursor !== '') return '';
    const { unlisted } = this;
    this.unlisted = null;
    const id = unlisted?.transaction_id ?? '';
    return this.truth().get(id) === unlisted ? id : '';
  }

  private page(cursor: string): PlaidSyncPage {
    const [place, unlisted = this.unlistedOnce(cursor)] = cursor.split(' ');
    const [from = 0, to = this.log.length, done = 0] =
      cursor === '' ? [] : (place ?? '').split('/').map(Number);
    if (done > 0 && to !== this.log.length) {
      const body = {
        error_type: 'TRANSACTIONS_ERROR',
        error_code: 'TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION',
        request_id: 'r1',
      };
      throw failureOfAnswer('/transactions/sync', { status: 400, body, retryAfter: undefined }, this.now);
    }
    const before = this.truth(from);
    const after = this.truth(to);
    const changes = [
      ...[...after.values()].filter(
        (row) => before.get(row.transaction_id) !== row && row.transaction_id !== unlisted,
      ),
      ...[...before.keys()].filter((id) => !after.has(id)),
    ];
    const here = changes.slice(done, done + rowsOfPage);
    const has_more = done + rowsOfPage < changes.length;
    const rows = here.filter((change) => typeof change !== 'string');
    return {
      added: rows.filter((row) => !before.has(row.transaction_id)),
      modified: rows.filter((row) => before.has(row.transaction_id)),
      removed: here
        .filter((change) => typeof change === 'string')
        .map((transaction_id) => ({ transaction_id, account_id: 'account-1' })),
      accounts: [],
      next_cursor: has_more ? `${from}/${to}/${done + rowsOfPage} ${unlisted}` : String(to),
      has_more,
      transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
    };
  }
}
