import type { SimulatedInstitution } from '../bank/institutions.js';
import { PlaidApiError } from '../errors.js';
import { bankUser, type BankUser } from '../item/createItem.js';
import type { Application, Item, Product } from '../item/item.js';
import type { World } from '../world.js';
import { challengeOf } from './mfa.js';

const GOOD_PASSWORD = 'pass_good';
/** Users of Plaid's sandbox who have no password of their own: any that is not blank. */
const ANY_PASSWORD =
  /^(user_transactions_dynamic|user_ewa_user|user_yuppie|user_small_business|user_bank_income|user_credit_\w+)$/;

export interface Credentials {
  username: string;
  password: string;
}

/**
 * What a bank says to a username and a password: the user, or Plaid's error. In Link a wrong password is refused; names that
 * Plaid's sandbox does not have are users as well, with accounts of their own.
 */
export function signIn(
  world: World,
  institution: SimulatedInstitution,
  { username, password }: Credentials,
  application: Application | null,
  products: readonly Product[],
  itemId: string,
): BankUser {
  const asked = { institution, username, password, application, products: [...products] };
  const user = bankUser(world, asked, itemId);
  const known =
    user.custom !== null ||
    password === GOOD_PASSWORD ||
    challengeOf(password) !== null ||
    (ANY_PASSWORD.test(username) && password.trim() !== '');
  if (username.trim() === '' || !known) throw new PlaidApiError('INVALID_CREDENTIALS');
  return user;
}

/** The same for an Item that exists: it stays with the user who made it. For a custom user the good password does as well as the file. */
export function signInToRepair(
  world: World,
  institution: SimulatedInstitution,
  given: Credentials,
  item: Item,
): void {
  const brief = given.username === 'user_custom' && given.password === GOOD_PASSWORD;
  if (!brief) signIn(world, institution, given, item.facts.application, item.facts.products, item.id);
  if (given.username !== item.facts.username) throw new PlaidApiError('INVALID_UPDATED_USERNAME');
}
