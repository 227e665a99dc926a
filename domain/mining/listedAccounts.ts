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
 * Whether the two lists of an update are of different moments: `/transactions/sync` names an account that `/accounts/get`, asked later,
 * lacks, and that lists one which nobody knew till then. A bank may have given its accounts other ids between them; who has an old id
 * and a new one in one list takes them for two accounts for good. `open`: ids of those that we have.
 */
export function areOfTwoMoments(
  open: readonly string[],
  fromSync: readonly unknown[],
  fromAccountsGet: readonly unknown[],
): boolean {
  const later = listedAccounts(fromAccountsGet, []);
  if (later.unreadable > 0) return false;
  const idsOf = (accounts: readonly PlaidAccount[]) => accounts.map(({ account_id }) => account_id);
  const [named, listed] = [idsOf(sifted(fromSync).accounts), idsOf(later.accounts)];
  return (
    named.some((id) => !listed.includes(id)) && listed.some((id) => !open.includes(id) && !named.includes(id))
  );
}
