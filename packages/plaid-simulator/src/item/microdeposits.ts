import { awaitsMicrodeposits, isDebitable, type BankAccount, type Microdeposit } from '../bank/account.js';
import { DAY_MS } from '../calendar.js';
import type { World } from '../world.js';
import { ImpossibleChange } from './bankChanges.js';
import type { Item } from './item.js';
import { sendWebhook } from './sendWebhook.js';

/** Plaid checks the account's bookings for the deposit once a day, and gives up at this check. */
const LAST_CHECK = 7;

const WEBHOOKS = {
  automatically_verified: 'AUTOMATICALLY_VERIFIED',
  verification_expired: 'VERIFICATION_EXPIRED',
} as const;

/** How micro-deposits to an account end. */
export type VerificationEnd = keyof typeof WEBHOOKS;

/** Plans the checks for deposits that are under way, and makes those that Auth still waits for. */
export function scheduleMicrodeposits(world: World, item: Item): void {
  for (const { account, microdeposit } of item.accounts) {
    if (microdeposit) planCheck(world, item, account.account_id, microdeposit);
  }
  beginMicrodeposits(world, item);
}

/** Plaid makes a deposit to each account whose numbers it could not confirm otherwise; without Auth nobody has asked for them. */
export function beginMicrodeposits(world: World, item: Item): void {
  if (!item.hasProduct('auth')) return;
  for (const known of item.accounts) {
    if (awaitsMicrodeposits(known) && !known.microdeposit) deposit(world, item, known, true);
  }
}

/**
 * A deposit goes to this account, or the one that is under way turns out as said: it is found at the first check, or never, and then
 * the verification expires in its time.
 */
export function sendMicrodeposit(
  world: World,
  item: Item,
  accountId: string,
  outcome: VerificationEnd,
): void {
  const known = accountOf(item, accountId);
  if (!item.hasProduct('auth')) throw new ImpossibleChange('Auth is not on the item');
  if (known.closedAt !== null) throw new ImpossibleChange(`account ${accountId} is closed`);
  if (!isDebitable(known)) throw new ImpossibleChange(`account ${accountId} takes no deposits`);
  deposit(world, item, known, outcome === 'automatically_verified');
}

/** Micro-deposits to an account were verified, or not in time. */
export function endVerification(world: World, item: Item, accountId: string, end: VerificationEnd): void {
  accountOf(item, accountId);
  change(item, accountId, (known) => ({
    ...known,
    account: { ...known.account, verification_status: end },
    microdeposit: undefined,
  }));
  sendWebhook(world, item, 'AUTH', WEBHOOKS[end], { account_id: accountId });
  world.keeper.item(item);
}

function accountOf(item: Item, accountId: string): BankAccount {
  const known = item.account(accountId);
  if (!known) throw new ImpossibleChange(`the item has no account ${accountId}`);
  return known;
}

function change(item: Item, accountId: string, made: (known: BankAccount) => BankAccount): void {
  item.accounts = item.accounts.map((known) =>
    known.account.account_id === accountId ? made(known) : known,
  );
}

function deposit(world: World, item: Item, known: BankAccount, verifies: boolean): void {
  const { account_id: accountId } = known.account;
  const underWay = awaitsMicrodeposits(known) ? known.microdeposit : undefined;
  const made: Microdeposit = { madeAt: underWay?.madeAt ?? world.clock.now(), verifies };
  change(item, accountId, (before) => ({
    ...before,
    account: { ...before.account, verification_status: 'pending_automatic_verification' },
    microdeposit: made,
  }));
  planCheck(world, item, accountId, made);
  world.keeper.item(item);
}

function planCheck(world: World, item: Item, accountId: string, made: Microdeposit): void {
  const passed = Math.floor((world.clock.now() - made.madeAt) / DAY_MS);
  const check = Math.min(passed + 1, LAST_CHECK);
  world.schedule.at(made.madeAt + check * DAY_MS, item.id, () => {
    const known = item.account(accountId);
    // Another deposit holds, the verification was ended by hand, or the Item is no more.
    if (known?.microdeposit !== made || item.facts.removedAt !== null || world.items.get(item.id) !== item) {
      return;
    }
    if (made.verifies && isReadable(item, known)) {
      endVerification(world, item, accountId, 'automatically_verified');
    } else if (check < LAST_CHECK) planCheck(world, item, accountId, made);
    else if (known.closedAt === null && item.facts.failure?.code !== 'USER_PERMISSION_REVOKED') {
      endVerification(world, item, accountId, 'verification_expired');
    }
  });
}

/** A deposit is found by reading the account with the user's login. */
function isReadable({ facts }: Item, { closedAt }: BankAccount): boolean {
  return closedAt === null && !facts.failure && facts.bankAnswer === 'ok';
}
