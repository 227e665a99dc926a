import { isDebitable, NO_NUMBERS, type BankAccount } from '../bank/account.js';
import { accountNumbers } from '../bank/accountNumbers.js';
import { SANDBOX_OWNER } from '../bank/owners.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import { instant } from '../calendar.js';
import { plaidId } from '../ids.js';
import { Random } from '../random.js';
import type { WireAccount, WireNumbers, WireOwner } from '../wire.js';
import type { World } from '../world.js';
import { ImpossibleChange } from './bankChanges.js';
import { translateId } from './translated.js';
import type { Item } from './item.js';
import { beginMicrodeposits } from './microdeposits.js';
import { sendWebhook } from './sendWebhook.js';

/** Some members of an object; one that is `undefined` counts as not given. */
type Given<T> = { [K in keyof T]?: T[K] | undefined };

/** What is different about an account; the account id is the Item's. */
interface AccountChange {
  account_id: string;
  balances?: Given<WireAccount['balances']> | undefined;
  name?: string | undefined;
  official_name?: string | null | undefined;
}

interface NewAccount {
  name: string;
  official_name?: string | null | undefined;
  mask?: string | undefined;
  type: WireAccount['type'];
  subtype: WireAccount['subtype'];
  balances?: Given<WireAccount['balances']> | undefined;
}

/** The parts of an owner that a change may replace. */
type OwnerChange = Given<WireOwner>;

const IDENTITY_TYPES = {
  addresses: 'ADDRESSES',
  emails: 'EMAILS',
  names: 'NAMES',
  phone_numbers: 'PHONES',
} as const;

/** Fails when the user has no account of one of these ids, before anything is changed. */
function requireAccounts(item: Item, ids: readonly string[]): void {
  const offered = item.facts.offered.map(({ bankAccount }) => bankAccount.account.account_id);
  for (const id of ids) {
    if (!item.account(id) && !offered.includes(id)) {
      throw new ImpossibleChange(`the item has no account ${id}`);
    }
  }
}

/** Does something to the same account wherever the login is connected; `change` gets each Item's own version of it. */
export function everywhere(
  world: World,
  item: Item,
  accountId: string,
  change: (bankAccount: BankAccount, member: Item) => BankAccount,
): void {
  for (const member of connectedWith(world, item)) {
    const id = translateId(accountId, item.facts.idKey, member.facts.idKey);
    const made = (bankAccount: BankAccount) =>
      bankAccount.account.account_id === id ? change(bankAccount, member) : bankAccount;
    member.accounts = member.accounts.map(made);
    member.facts.offered = member.facts.offered.map((offer) => ({
      ...offer,
      bankAccount: made(offer.bankAccount),
    }));
    world.keeper.item(member);
  }
}

/** The Items that see what happens to this one's login: also itself, though its user may have revoked its access. */
export function connectedWith(world: World, item: Item): Item[] {
  return [...new Set([item, ...world.connections.connected(item)])];
}

/** The user closes accounts at the bank: they and their transactions vanish for every application. */
export function closeAccounts(world: World, item: Item, ids: readonly string[]): void {
  requireAccounts(item, ids);
  const closedAt = instant(world.clock.now());
  for (const id of ids) {
    everywhere(world, item, id, (known) => (known.closedAt === null ? { ...known, closedAt } : known));
  }
  if (ids.length === 0) return;
  for (const member of connectedWith(world, item)) {
    const closed = ids.map((id) => translateId(id, item.facts.idKey, member.facts.idKey));
    // Closed for good: no choice of the user's brings it back.
    member.facts.withdrawn = member.facts.withdrawn.filter((id) => !closed.includes(id));
    member.facts.offered = member.facts.offered.filter(
      ({ bankAccount }) => !closed.includes(bankAccount.account.account_id),
    );
    member.refreshHidden();
    // What a run of pages has given may be a closed account's: it restarts.
    member.log.touch();
    world.keeper.item(member);
  }
}

export function modifyAccounts(world: World, item: Item, changes: readonly AccountChange[]): void {
  requireAccounts(
    item,
    changes.map(({ account_id }) => account_id),
  );
  for (const { account_id, balances, name, official_name } of changes) {
    everywhere(world, item, account_id, (known) => {
      const account = { ...known.account };
      if (name !== undefined) account.name = name;
      if (official_name !== undefined) account.official_name = official_name;
      if (balances) account.balances = { ...account.balances, ...given<WireAccount['balances']>(balances) };
      return { ...known, account };
    });
  }
}

function given<T extends object>(fields: Given<T>): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/**
 * The bank opens accounts for the user. No application sees them before the user chooses them in update mode; Plaid hears of them
 * at its next pull, and says NEW_ACCOUNTS_AVAILABLE. Returns their ids, as this Item will have them.
 */
export function openAccounts(world: World, item: Item, opened: readonly NewAccount[]): string[] {
  const institution = world.institutions.get(item.facts.institutionId);
  if (!institution) throw new ImpossibleChange('the item has no institution');
  const ids: string[] = [];
  for (const account of opened) {
    const bankId = plaidId(item.facts.connectionId, 'opened', world.ids.id('account'));
    ids.push(translateId(bankId, null, item.facts.idKey));
    for (const member of connectedWith(world, item)) {
      if (member.facts.scopes?.new_accounts === false) continue;
      member.facts.offered = [
        ...member.facts.offered,
        { bankAccount: newAccount(world, member, institution, account, bankId), announced: false },
      ];
      world.keeper.item(member);
    }
  }
  world.keeper.world();
  return ids;
}

function newAccount(
  world: World,
  item: Item,
  institution: SimulatedInstitution,
  { name, official_name, mask, type, subtype, balances }: NewAccount,
  bankId: string,
): BankAccount {
  const digits = new Random(world.seed, bankId).digits(4);
  const accountId = translateId(bankId, null, item.facts.idKey);
  const depository = type === 'depository';
  const currency = item.accounts[0]?.account.balances.iso_currency_code ?? 'USD';
  return {
    account: {
      account_id: accountId,
      balances: {
        available: depository ? 0 : null,
        current: 0,
        iso_currency_code: currency,
        limit: null,
        unofficial_currency_code: null,
        ...given<WireAccount['balances']>(balances ?? {}),
      },
      holder_category: 'personal',
      mask: mask ?? digits,
      name,
      official_name: official_name ?? null,
      ...(institution.tokenizesNumbers && depository
        ? { persistent_account_id: plaidId(bankId, 'persistent') }
        : {}),
      subtype,
      type,
    },
    owners: item.accounts[0]?.owners ?? [SANDBOX_OWNER],
    numbers: depository
      ? accountNumbers(accountId, `111122223333${mask ?? digits}`, {}, institution, [world.seed, item.id])
      : NO_NUMBERS,
    closedAt: null,
  };
}

/** Reports accounts that the bank has opened since Plaid's last pull. */
export function announceOffered(world: World, item: Item): void {
  if (item.facts.offered.every(({ announced }) => announced)) return;
  item.facts.offered = item.facts.offered.map((offer) => ({ ...offer, announced: true }));
  sendWebhook(world, item, 'ITEM', 'NEW_ACCOUNTS_AVAILABLE');
  world.keeper.item(item);
}

/** The accounts that a user can choose from in update mode: those of the Item, and those that the bank has besides. */
export function selectableAccounts({ accounts, facts }: Item): BankAccount[] {
  return [
    ...accounts.filter(
      ({ account, closedAt }) => closedAt === null || facts.withdrawn.includes(account.account_id),
    ),
    ...facts.offered.map(({ bankAccount }) => bankAccount),
  ];
}

/**
 * Takes accounts from one application, which the others keep: to it they look closed. Whether a webhook reports it depends on
 * who asks.
 */
export function withdrawAccounts(world: World, item: Item, ids: readonly string[]): void {
  requireAccounts(item, ids);
  const closedAt = instant(world.clock.now());
  const taken = item.openAccounts
    .map(({ account }) => account.account_id)
    .filter((accountId) => ids.includes(accountId));
  if (taken.length === 0) return;
  item.accounts = item.accounts.map((known) =>
    taken.includes(known.account.account_id) ? { ...known, closedAt } : known,
  );
  item.facts.withdrawn = [...item.facts.withdrawn, ...taken];
  item.refreshHidden();
  item.log.touch();
  world.keeper.item(item);
}

/** Gives accounts to an application that it has not seen, or not any more. Returns the ids of those which are debitable. */
export function grantAccounts(world: World, item: Item, ids: readonly string[]): string[] {
  const isNew = (id: string) =>
    item.facts.offered.some(({ bankAccount }) => bankAccount.account.account_id === id);
  const granted = ids.filter((id) => isNew(id) || item.facts.withdrawn.includes(id));
  const offered = item.facts.offered.filter(({ bankAccount }) =>
    granted.includes(bankAccount.account.account_id),
  );
  item.facts.offered = item.facts.offered.filter((offer) => !offered.includes(offer));
  const returned = new Set(granted.filter((id) => item.facts.withdrawn.includes(id)));
  item.facts.withdrawn = item.facts.withdrawn.filter((id) => !returned.has(id));
  item.accounts = [
    ...item.accounts.map((known) =>
      returned.has(known.account.account_id) ? { ...known, closedAt: null } : known,
    ),
    ...offered.map(({ bankAccount }) => bankAccount),
  ];
  item.refreshHidden();
  // Rows that were given before they were hidden are given again: a cursor may have passed them by meanwhile.
  for (const row of item.bank.values()) {
    if (returned.has(row.accountId) && item.log.row(row.id)) item.log.upsert(row);
  }
  for (const id of granted) item.release(id);
  beginMicrodeposits(world, item);
  world.keeper.item(item);
  return item.openAccounts
    .filter((known) => granted.includes(known.account.account_id) && isDebitable(known))
    .map(({ account }) => account.account_id);
}

/** `true`: another one that is made up; a text: this one. */
type NewValue = string | boolean;

/** The bank gives accounts other numbers; applications that have Auth hear of it. Returns the ids of the accounts concerned. */
export function changeNumbers(
  world: World,
  item: Item,
  change: { ids: readonly string[] | undefined; account: NewValue; routing: NewValue },
): string[] {
  const chosen = change.ids ?? item.openAccounts.filter(isDebitable).map(({ account }) => account.account_id);
  requireAccounts(item, chosen);
  const draw = world.ids.id('numbers');
  for (const id of chosen) {
    everywhere(world, item, id, (known, member) => {
      const institution = world.institutions.get(member.facts.institutionId);
      // A tokenised number is another one for each application; a real one is the same for all.
      const random = new Random(draw, id, institution?.tokenizesNumbers ? member.id : '');
      const number = change.account === true ? random.digits(12) : change.account;
      const routing = change.routing === true ? `0${random.digits(8)}` : change.routing;
      // Another number is given out: one that was revoked is replaced by it.
      return { ...known, numbersRevoked: false, numbers: renumbered(known.numbers, number, routing) };
    });
  }
  const what = [
    ...(change.account === false ? [] : ['ACCOUNT_NUMBER']),
    ...(change.routing === false ? [] : ['ROUTING_NUMBER']),
  ];
  for (const member of connectedWith(world, item)) {
    if (!member.hasProduct('auth')) continue;
    const ids = chosen
      .map((id) => translateId(id, item.facts.idKey, member.facts.idKey))
      .filter((id) => member.openAccounts.some(({ account }) => account.account_id === id));
    if (ids.length === 0) continue;
    sendWebhook(world, member, 'AUTH', 'DEFAULT_UPDATE', {
      account_ids_with_new_auth: [],
      account_ids_with_updated_auth: Object.fromEntries(ids.map((id) => [id, what])),
    });
  }
  world.keeper.world();
  return [...chosen];
}

function renumbered(numbers: WireNumbers, account: string | false, routing: string | false): WireNumbers {
  const number = account === false ? {} : { account };
  return {
    ach: numbers.ach.map((ach) => ({ ...ach, ...number, ...(routing === false ? {} : { routing }) })),
    eft: numbers.eft.map((eft) => ({
      ...eft,
      ...number,
      ...(routing === false ? {} : { branch: routing.slice(0, 5) }),
    })),
    bacs: numbers.bacs.map((bacs) => ({
      ...bacs,
      ...(account === false ? {} : { account: account.slice(0, 8) }),
      ...(routing === false ? {} : { sort_code: routing.slice(0, 6) }),
    })),
    international: numbers.international.map((known) => ({
      ...known,
      ...(account === false ? {} : { iban: `${known.iban.slice(0, -8)}${account.slice(-8)}` }),
    })),
  };
}

/** The user has moved, married, changed the number: applications that have Identity hear of it. */
export function changeOwners(
  world: World,
  item: Item,
  ids: readonly string[] | undefined,
  change: OwnerChange,
): string[] {
  const chosen = ids ?? item.openAccounts.map(({ account }) => account.account_id);
  requireAccounts(item, chosen);
  for (const id of chosen) {
    everywhere(world, item, id, (known) => {
      const [first, ...joint] = known.owners;
      return { ...known, owners: [{ ...(first ?? SANDBOX_OWNER), ...given<WireOwner>(change) }, ...joint] };
    });
  }
  const what = Object.entries(IDENTITY_TYPES).flatMap(([part, type]) =>
    part in given<WireOwner>(change) ? [type] : [],
  );
  for (const member of connectedWith(world, item)) {
    if (!member.hasProduct('identity')) continue;
    const own = chosen.map((id) => translateId(id, item.facts.idKey, member.facts.idKey));
    sendWebhook(world, member, 'IDENTITY', 'DEFAULT_UPDATE', {
      account_ids_with_updated_identity: Object.fromEntries(own.map((id) => [id, what])),
    });
  }
  return [...chosen];
}
