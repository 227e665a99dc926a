import type { BankAccount } from '../bank/account.js';
import {
  creditLiability,
  liabilityKind,
  mortgageLiability,
  studentLoan,
  type LiabilityKind,
} from '../bank/liabilities.js';
import { civilDate } from '../calendar.js';
import type { WireLiabilities } from '../wire.js';
import type { World } from '../world.js';
import type { Item } from './item.js';
import { accountScope } from './portfolios.js';

export function hasLiability({ account }: BankAccount): boolean {
  return liabilityKind(account) !== null;
}

/** What is owed on these accounts, as Plaid sends it: a list of each kind, null where there is none of it. */
export function liabilitiesOf(world: World, item: Item, accounts: readonly BankAccount[]): WireLiabilities {
  const opened = civilDate(item.facts.createdAt);
  const list = <T>(kind: LiabilityKind, make: (known: BankAccount, scope: string[]) => T): T[] | null => {
    const of = accounts.filter(({ account }) => liabilityKind(account) === kind);
    return of.length === 0 ? null : of.map((known) => make(known, accountScope(world, item, known)));
  };
  return {
    credit: list('credit', ({ account, liability }, scope) =>
      creditLiability(scope, account, liability, opened),
    ),
    mortgage: list('mortgage', ({ account, liability }, scope) =>
      mortgageLiability(scope, account, liability, opened),
    ),
    student: list('student', ({ account, liability }, scope) =>
      studentLoan(scope, account, liability, opened),
    ),
  };
}
