import { PlaidApiError } from '../errors.js';
import { civilDate } from '../calendar.js';
import { customAccounts, defaultAccounts, type Holder } from '../bank/openAccounts.js';
import { customTransactionRow, parseCustomUser, type CustomUser } from '../bank/customUser.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import { rowOf, type BankTransaction, type Row } from '../bank/row.js';
import { coversTransactions, seededTransactions } from '../bank/seededTransactions.js';
import { plaidId } from '../ids.js';
import { Random } from '../random.js';
import type { BankAccount } from '../bank/account.js';
import type { World } from '../world.js';
import { firstConsent } from './consent.js';
import { translateId, translateRow } from './connections.js';
import { Item, type Application, type Product } from './item.js';

export interface Login {
  institution: SimulatedInstitution;
  username: string;
  password: string;
  products: Product[];
  webhook: string | null;
  daysRequested: number;
  clientId: string | null;
  /** Whom the user gives access; without it, nobody is known to be another application. */
  application?: Application | null;
  /** Made by the bank itself, with `/item/import`. */
  imported?: boolean;
}

const MOST_DAYS = 730;
const ERROR_PASSWORD = /^error_([A-Z_]+)$/;

/** A user logs in at the bank: makes the Item with its accounts and the bank's data, or fails as the password says. */
export function createItem(world: World, login: Login): Item {
  if (login.institution.availability !== 'ok') throw new PlaidApiError(login.institution.availability);
  const wanted = ERROR_PASSWORD.exec(login.password);
  if (wanted?.[1]) throw new PlaidApiError(wanted[1]);
  const custom = login.username === 'user_custom' ? parseCustomUser(login.password) : null;
  if (custom?.forceError) throw new PlaidApiError(custom.forceError);
  const itemId = world.ids.id('item');
  // A custom user is who the password says: another file is another person with other accounts.
  const identity = custom ? `user_custom/${login.password}` : login.username;
  const holder: Holder = { seed: world.seed, institution: login.institution, username: identity, itemId };
  const application = login.application ?? null;
  const loginKey = plaidId('login', login.institution.id, identity);
  // Another application is connected already: what the bank has is what that one sees, under ids of this one.
  const [model] = world.connections.toJoin(loginKey, application?.id ?? null);
  const idKey = model ? plaidId('ids', itemId) : null;
  const accounts = model
    ? accountsAlike(world, model, itemId, idKey)
    : custom && custom.accounts.length > 0
      ? customAccounts(holder, custom.accounts)
      : defaultAccounts(holder);
  const now = world.clock.now();
  const item = new Item(
    {
      itemId,
      institutionId: login.institution.id,
      username: login.username,
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
      application,
      imported: login.imported ?? false,
      loginKey,
      connectionId: model?.facts.connectionId ?? itemId,
      idKey,
      bankAnswer: 'ok',
      consent: firstConsent(login.institution, now),
      scopes: null,
      offered: [],
      withdrawn: [],
      withheld: [],
    },
    accounts,
  );
  if (model) {
    for (const row of rowsAlike(model, item)) item.put(row);
  } else {
    const today = civilDate(now);
    for (const row of bankData(world, item, holder, custom, accounts, today)) item.put(rowOf(row));
  }
  item.unread.clear();
  world.add(item);
  world.keeper.world();
  return item;
}

/** Every account that is open at the bank, also what this Item's application does not see. */
function openAtBank({ facts, accounts }: Item): BankAccount[] {
  return [
    ...accounts.flatMap((known) =>
      known.closedAt === null || facts.withdrawn.includes(known.account.account_id)
        ? [{ ...known, closedAt: null }]
        : [],
    ),
    ...facts.offered.map(({ bankAccount }) => bankAccount),
  ];
}

/** The accounts of an Item of the same login, under ids of the new one. Tokenised numbers are different ones for each Item. */
function accountsAlike(world: World, model: Item, itemId: string, idKey: string | null): BankAccount[] {
  const id = (accountId: string) => translateId(accountId, model.facts.idKey, idKey);
  return openAtBank(model).map(({ account, owners, numbers, closedAt }) => {
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
      closedAt,
    };
  });
}

function rowsAlike(model: Item, item: Item): Row[] {
  const shared = new Set(
    item.accounts.map(({ account }) => translateId(account.account_id, item.facts.idKey, model.facts.idKey)),
  );
  return [...model.bank.values(), ...model.facts.withheld.map(rowOf)]
    .filter(({ accountId }) => shared.has(accountId))
    .map((row) => translateRow(row, model.facts.idKey, item.facts.idKey));
}

function bankData(
  world: World,
  item: Item,
  holder: Holder,
  custom: CustomUser | null,
  accounts: readonly BankAccount[],
  today: string,
): BankTransaction[] {
  const listed: BankTransaction[] = [];
  const unlisted: BankAccount[] = [];
  accounts.forEach((account, index) => {
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
    itemId: item.id,
    accounts: unlisted.map(({ account }) => account).filter(coversTransactions),
    to: today,
    // Without Transactions it is not yet said how far back they will be asked for.
    days: item.hasProduct('transactions') ? item.facts.daysRequested : MOST_DAYS,
    count: world.options.transactionsPerItem,
  });
  return [...listed, ...seeded];
}
