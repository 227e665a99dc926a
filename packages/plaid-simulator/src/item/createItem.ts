import { PlaidApiError } from '../errors.js';
import { civilDate } from '../calendar.js';
import { customAccounts, defaultAccounts, type Holder } from '../bank/openAccounts.js';
import { customTransactionRow, parseCustomUser, type CustomUser } from '../bank/customUser.js';
import { daysGiven, hasPendingFeed, type SimulatedInstitution } from '../bank/institutions.js';
import { parseRow, rowOf, type BankTransaction, type Row } from '../bank/row.js';
import { seededPlan, type SeededPlan } from '../bank/seededRows.js';
import { plaidId } from '../ids.js';
import { Random } from '../random.js';
import type { BankAccount } from '../bank/account.js';
import type { World } from '../world.js';
import { selectableAccounts } from './bankAccounts.js';
import { noteConsent } from './consentEvents.js';
import { firstConsent } from './consent.js';
import { translateId, translateRow } from './translated.js';
import { Item, type Application, type Product } from './item.js';

export interface Login {
  institution: SimulatedInstitution;
  username: string;
  password: string;
  /** Plaid's user, where the application names one. */
  userId?: string | undefined;
  products: Product[];
  /** Further products that the user has consented to, for later. */
  consentedProducts?: readonly Product[] | undefined;
  webhook: string | null;
  daysRequested: number;
  clientId: string | null;
  /** An id that Link has shown accounts under; absent: a new one. */
  itemId?: string | undefined;
  /** The accounts that the user shares; absent: all. */
  accountIds?: readonly string[] | undefined;
  /** Whom the user gives access; without it, nobody is known to be another application. */
  application?: Application | null;
  /** Made by the bank itself, with `/item/import`. */
  imported?: boolean;
  /** The Item whose connection the new one joins, whatever other sessions the login has; absent: see `Connections.toJoin`. */
  model?: Item;
}

/** Who logs in, as the bank knows them. */
export interface BankUser {
  holder: Holder;
  custom: CustomUser | null;
  /** All of them, under ids of the Item. */
  accounts: BankAccount[];
  loginKey: string;
  /** Another application's Item of the same login, which this one will be connected with: what the bank has is what that one has. */
  model: Item | null;
  /** Turns the bank's ids into the Item's, see `translateId`. */
  idKey: string | null;
}

const MOST_DAYS = 730;
const ERROR_PASSWORD = /^error_([A-Z_]+)$/;

/** Whom institution, username and password name, with all accounts under the ids of one Item; or the error the password asks for. */
export function bankUser(
  world: World,
  login: Pick<
    Login,
    'institution' | 'username' | 'password' | 'application' | 'products' | 'consentedProducts' | 'model'
  >,
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
  const loginKey = plaidId('login', login.institution.bankId, identity);
  const [joined] = world.connections.toJoin(loginKey, login.application?.id ?? null);
  const model = login.model ?? joined;
  const idKey = model ? plaidId('ids', itemId) : null;
  const accounts = model
    ? accountsAlike(world, model, itemId, idKey)
    : custom && custom.accounts.length > 0
      ? customAccounts(holder, custom.accounts)
      : defaultAccounts(holder, offeredProducts(login));
  return { holder, custom, accounts, loginKey, model: model ?? null, idKey };
}

/** What of the products asked for the institution has: accounts that are of interest to one of them only are shown for it. */
function offeredProducts({
  institution,
  products,
  consentedProducts = [],
}: Pick<Login, 'institution' | 'products' | 'consentedProducts'>): string[] {
  return [...products, ...consentedProducts].filter((product) => institution.products.includes(product));
}

/** A user logs in at the bank: makes the Item with its accounts and the bank's data, or fails as the password says. */
export function createItem(world: World, login: Login): Item {
  const user = bankUser(world, login, login.itemId ?? world.ids.id('item'));
  const { model, holder } = user;
  const itemId = holder.itemId;
  const isShared = ({ account }: BankAccount) => login.accountIds?.includes(account.account_id) ?? true;
  const accounts = user.accounts.filter(isShared);
  const others = user.accounts.filter((account) => !isShared(account));
  const now = world.clock.now();
  const today = civilDate(now);
  /** Where a custom user's file lists transactions, none are made up. */
  const planFor = (wanted: readonly BankAccount[]): SeededPlan | null =>
    seededPlan({
      scope: [
        ...[holder.seed, user.custom?.seed ?? '', holder.institution.bankId, holder.username],
        // With the same scope the others would have the rows of the shared ones.
        ...(wanted === others ? ['others'] : []),
      ],
      accounts: user.accounts
        .filter(
          (known, index) =>
            wanted.includes(known) && user.custom?.accounts[index]?.transactions === undefined,
        )
        .map(({ account }) => account),
      to: today,
      // Without Transactions it is not yet said how far back they will be asked for.
      days: daysGiven(
        login.institution.bankId,
        login.products.includes('transactions') ? login.daysRequested : MOST_DAYS,
      ),
      count: world.options.transactionsPerItem,
      pendingFeed: hasPendingFeed(login.institution.bankId),
    });
  // Another application's Item has rows of all accounts; what this one's does not see waits.
  const alike = model ? rowsAlike(model, user) : [];
  const isOther = (row: Row) => others.some(({ account }) => account.account_id === row.accountId);
  const seen = model
    ? alike.filter((row) => !isOther(row))
    : listedTransactions(user, accounts, today).map(rowOf);
  const unseen = model ? alike.filter(isOther).map(parseRow) : listedTransactions(user, others, today);
  const item = new Item(
    {
      itemId,
      institutionId: login.institution.id,
      ...(login.institution.bankId === login.institution.id ? {} : { bankId: login.institution.bankId }),
      username: login.username,
      ...(login.userId === undefined ? {} : { userId: login.userId }),
      clientId: login.clientId,
      accessToken: `access-sandbox-${world.ids.uuid('access')}`,
      exchanged: false,
      webhook: login.webhook,
      products: login.products,
      ...(login.consentedProducts?.length ? { consentedProducts: [...login.consentedProducts] } : {}),
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
      application: login.application ?? null,
      imported: login.imported ?? false,
      loginKey: user.loginKey,
      connectionId: model?.facts.connectionId ?? itemId,
      idKey: user.idKey,
      bankAnswer: 'ok',
      consent: firstConsent(login.institution, now),
      scopes: null,
      // The user was shown them and did not choose them: Plaid has nothing to say of them.
      offered: others.map((bankAccount) => ({ bankAccount, announced: true })),
      withdrawn: [],
      withheld: { rows: unseen, plan: model ? null : planFor(others), gone: [], settled: [] },
    },
    accounts,
    model ? null : planFor(accounts),
  );
  for (const row of seen) item.put(row);
  item.unread.clear();
  noteConsent(world, item, { type: 'CONSENT_GRANTED', code: 'USER_AGREEMENT', by: 'END_USER' });
  world.add(item);
  world.keeper.world();
  return item;
}

/** The accounts of an Item of the same login, under ids of the new one. Tokenised numbers are different ones for each Item. */
function accountsAlike(world: World, model: Item, itemId: string, idKey: string | null): BankAccount[] {
  const id = (accountId: string) => translateId(accountId, model.facts.idKey, idKey);
  // Every account that is open at the bank, also what the other application does not see.
  return selectableAccounts(model).map(({ account, owners, numbers, portfolio, liability }) => {
    const own = <T extends { account_id: string }>(known: T): T => ({
      ...known,
      account_id: id(known.account_id),
    });
    const token = new Random(world.seed, itemId, 'number', account.account_id).digits(16);
    return {
      account: own(account),
      owners,
      numbers: {
        ach: numbers.ach.map((ach) =>
          own(ach.is_tokenized_account_number ? { ...ach, account: token } : ach),
        ),
        eft: numbers.eft.map(own),
        international: numbers.international.map(own),
        bacs: numbers.bacs.map(own),
      },
      ...(portfolio ? { portfolio } : {}),
      ...(liability ? { liability } : {}),
      closedAt: null,
    };
  });
}

/** What the bank has booked, as another application's Item of the login has it, for the user's accounts. */
function rowsAlike(model: Item, { accounts, idKey }: BankUser): Row[] {
  const wanted = new Set(
    accounts.map(({ account }) => translateId(account.account_id, idKey, model.facts.idKey)),
  );
  return [...model.bank.values(), ...model.withheld.values()]
    .filter(({ accountId }) => wanted.has(accountId))
    .map((row) => translateRow(row, model.facts.idKey, idKey));
}

/** What a custom user's file lists of these accounts, as the bank has it. */
function listedTransactions(
  { holder, custom, accounts }: BankUser,
  wanted: readonly BankAccount[],
  today: string,
): BankTransaction[] {
  return accounts.flatMap((known, index) =>
    wanted.includes(known)
      ? (custom?.accounts[index]?.transactions ?? []).map((transaction, n) =>
          customTransactionRow(transaction, known.account, today, plaidId(holder.itemId, 'custom', index, n)),
        )
      : [],
  );
}
