import { PlaidApiError } from '../errors.js';
import { civilDate } from '../calendar.js';
import { customAccounts, defaultAccounts, type Holder } from '../bank/openAccounts.js';
import { customTransactionRow, parseCustomUser, type CustomUser } from '../bank/customUser.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import { rowOf, type BankTransaction } from '../bank/row.js';
import { coversTransactions, seededTransactions } from '../bank/seededTransactions.js';
import { plaidId } from '../ids.js';
import type { BankAccount } from '../bank/account.js';
import type { World } from '../world.js';
import { Item, type Product } from './item.js';

export interface Login {
  institution: SimulatedInstitution;
  username: string;
  password: string;
  /** Plaid's user, where the application names one. */
  userId?: string | undefined;
  products: Product[];
  webhook: string | null;
  daysRequested: number;
  clientId: string | null;
  /** An id that Link has shown accounts under; absent: a new one. */
  itemId?: string | undefined;
  /** The accounts that the user shares; absent: all. */
  accountIds?: readonly string[] | undefined;
}

/** Who logs in, as the bank knows them. */
export interface BankUser {
  holder: Holder;
  custom: CustomUser | null;
  accounts: BankAccount[];
}

const MOST_DAYS = 730;
const ERROR_PASSWORD = /^error_([A-Z_]+)$/;

/** Whom institution, username and password name, with all accounts under the ids of one Item; or the error the password asks for. */
export function bankUser(
  world: World,
  login: Pick<Login, 'institution' | 'username' | 'password'>,
  itemId: string,
): BankUser {
  if (login.institution.availability !== 'ok') throw new PlaidApiError(login.institution.availability);
  const wanted = ERROR_PASSWORD.exec(login.password);
  if (wanted?.[1]) throw new PlaidApiError(wanted[1]);
  const custom = login.username === 'user_custom' ? parseCustomUser(login.password) : null;
  if (custom?.forceError) throw new PlaidApiError(custom.forceError);
  // A custom user is who the password says: another file is another person with other accounts.
  const identity = custom ? `user_custom/${login.password}` : login.username;
  const holder: Holder = { seed: world.seed, institution: login.institution, username: identity, itemId };
  const accounts =
    custom && custom.accounts.length > 0 ? customAccounts(holder, custom.accounts) : defaultAccounts(holder);
  return { holder, custom, accounts };
}

/** A user logs in at the bank: makes the Item with its accounts and the bank's data, or fails as the password says. */
export function createItem(world: World, login: Login): Item {
  const user = bankUser(world, login, login.itemId ?? world.ids.id('item'));
  const itemId = user.holder.itemId;
  const accounts = user.accounts.filter(
    ({ account }) => login.accountIds?.includes(account.account_id) ?? true,
  );
  const now = world.clock.now();
  const item = new Item(
    {
      itemId,
      institutionId: login.institution.id,
      username: login.username,
      ...(login.userId === undefined ? {} : { userId: login.userId }),
      clientId: login.clientId,
      accessToken: `access-sandbox-${world.ids.uuid('access')}`,
      exchanged: false,
      webhook: login.webhook,
      products: login.products,
      daysRequested: login.daysRequested,
      createdAt: now,
      phase: 'created',
      status: 'NOT_READY',
      initialAt: null,
      historicalAt: null,
      nextUpdateAt: null,
      updates: 0,
      lastSuccessfulUpdate: null,
      lastFailedUpdate: null,
      lastWebhook: null,
      failure: null,
      removedAt: null,
      syncCalled: false,
      announced: 0,
      removalsFrom: null,
      removalsFrozen: false,
    },
    accounts,
  );
  for (const row of bankData(world, item, user, accounts)) item.put(rowOf(row));
  item.unread.clear();
  world.add(item);
  world.keeper.world();
  return item;
}

/** What the bank has booked on these accounts of a user; `ids` is what the ids of generated rows follow from. */
export function bankData(
  world: World,
  item: Item,
  { holder, custom, accounts }: BankUser,
  shared: readonly BankAccount[],
  ids = item.id,
): BankTransaction[] {
  const today = civilDate(world.clock.now());
  const listed: BankTransaction[] = [];
  const unlisted: BankAccount[] = [];
  accounts.forEach((account, index) => {
    if (!shared.includes(account)) return;
    const list = custom?.accounts[index]?.transactions;
    if (!list) unlisted.push(account);
    list?.forEach((transaction, n) =>
      listed.push(
        customTransactionRow(transaction, account.account, today, plaidId(item.id, 'custom', index, n)),
      ),
    );
  });
  const seeded = seededTransactions({
    scope: [holder.seed, custom?.seed ?? '', holder.institution.id, holder.username],
    itemId: ids,
    accounts: unlisted.map(({ account }) => account).filter(coversTransactions),
    to: today,
    // Without Transactions it is not yet said how far back they will be asked for.
    days: item.hasProduct('transactions') ? item.facts.daysRequested : MOST_DAYS,
    count: world.options.transactionsPerItem,
  });
  return [...listed, ...seeded];
}
