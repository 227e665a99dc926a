import { PlaidApiError } from '../errors.js';
import { civilDate } from '../calendar.js';
import { customAccounts, defaultAccounts, type Holder } from '../bank/openAccounts.js';
import { customTransactionRow, parseCustomUser, type CustomUser } from '../bank/customUser.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import { rowOf, type BankTransaction } from '../bank/row.js';
import { seededPlan } from '../bank/seededRows.js';
import { plaidId } from '../ids.js';
import type { World } from '../world.js';
import { Item, type Product } from './item.js';

export interface Login {
  institution: SimulatedInstitution;
  username: string;
  password: string;
  products: Product[];
  webhook: string | null;
  daysRequested: number;
  clientId: string | null;
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
  const accounts =
    custom && custom.accounts.length > 0 ? customAccounts(holder, custom.accounts) : defaultAccounts(holder);
  const now = world.clock.now();
  const today = civilDate(now);
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
    },
    accounts,
    seededPlan({
      scope: [holder.seed, custom?.seed ?? '', holder.institution.id, holder.username],
      accounts: accounts
        .filter((_, index) => custom?.accounts[index]?.transactions === undefined)
        .map(({ account }) => account),
      to: today,
      // Without Transactions it is not yet said how far back they will be asked for.
      days: login.products.includes('transactions') ? login.daysRequested : MOST_DAYS,
      count: world.options.transactionsPerItem,
    }),
  );
  if (custom) for (const row of listedTransactions(item, custom, today)) item.put(rowOf(row));
  item.unread.clear();
  world.add(item);
  world.keeper.world();
  return item;
}

/** What a custom user's file lists, as the bank has it. */
function listedTransactions(item: Item, custom: CustomUser, today: string): BankTransaction[] {
  return item.accounts.flatMap(({ account }, index) =>
    (custom.accounts[index]?.transactions ?? []).map((transaction, n) =>
      customTransactionRow(transaction, account, today, plaidId(item.id, 'custom', index, n)),
    ),
  );
}
