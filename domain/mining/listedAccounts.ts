import type { PlaidAccount } from '../plaid.js';
import { unionOfAccounts } from './accounts.js';
import { isObject, isTooDeep, shallow } from './oddValues.js';
import type { ParkedRecord } from './parked.js';
import { longestId, refusalOfId } from './recordId.js';

export interface ListedAccounts {
  accounts: PlaidAccount[];
  /** Entries that cannot be kept. */
  parked: ParkedRecord[];
  /**
   * How many open accounts may be listed besides, in entries of `/accounts/get` that nobody can read: each stands for one at most.
   * Infinity: it lists none that can be read, and says nothing of any.
   */
  unreadable: number;
}

function refusal(entry: unknown): ParkedRecord['reason'] | null {
  if (!isObject(entry)) return 'not_an_object';
  return refusalOfId(entry['account_id']) ?? (isTooDeep(entry) ? 'too_deep' : null);
}

/** An account that a list names twice is one, as the later entry has it. */
function sifted(entries: readonly unknown[]): Omit<ListedAccounts, 'unreadable'> {
  const accounts = new Map<string, PlaidAccount>();
  const parked: ParkedRecord[] = [];
  for (const [place, entry] of entries.entries()) {
    const reason = refusal(entry);
    if (reason === null) {
      const account = entry as PlaidAccount;
      accounts.set(account.account_id, account);
      continue;
    }
    const id = isObject(entry) ? entry['account_id'] : null;
    const named = typeof id === 'string' && id !== '' ? id : place;
    parked.push({
      key: `accounts#${named}`.slice(0, longestId),
      reason,
      raw: isTooDeep(entry) ? shallow(entry) : entry,
    });
  }
  return { accounts: [...accounts.values()], parked };
}

/**
 * The open accounts after an update, of whatever shape Plaid's two lists are: an account needs nothing but an id to be kept.
 * See `unionOfAccounts`.
 */
export function listedAccounts(
  fromAccountsGet: readonly unknown[],
  fromSync: readonly unknown[],
): ListedAccounts {
  const [later, earlier] = [sifted(fromAccountsGet), sifted(fromSync)];
  const accounts = unionOfAccounts(later.accounts, earlier.accounts);
  const besides = accounts.length - later.accounts.length;
  return {
    accounts,
    parked: [...earlier.parked, ...later.parked],
    // What the other list alone has is what cannot be read in this one.
    unreadable: later.accounts.length === 0 ? Infinity : Math.max(0, later.parked.length - besides),
  };
}

/**
 * What `/transactions/sync` has named, without those of our `open` accounts of which it may know no better. Where `/accounts/get`, asked
 * later, lists an account that nobody knew till then, the two are of different moments: a bank may have given its accounts other ids
 * between them, and who has the old id and the new one in one list takes them for two accounts for good.
 */
export function namedStill(
  open: readonly string[],
  fromSync: readonly unknown[],
  fromAccountsGet: readonly unknown[],
): readonly unknown[] {
  const later = listedAccounts(fromAccountsGet, []);
  const named = new Set(sifted(fromSync).accounts.map(({ account_id }) => account_id));
  const hasNews = later.accounts.some(({ account_id: id }) => !open.includes(id) && !named.has(id));
  if (!hasNews || later.unreadable > 0) return fromSync;
  return fromSync.filter((entry) => !isObject(entry) || !open.includes(String(entry['account_id'])));
}
