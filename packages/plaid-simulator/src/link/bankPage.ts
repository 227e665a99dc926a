import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import type { Credentials } from './credentials.js';
import { institutionOf, signInTo } from './flow.js';
import { sessionError } from './journal.js';
import { OutOfStep, type LinkSession } from './session.js';
import { accountView, institutionView } from './view.js';

/** The session that sent a user to its bank's page. */
function visitOf(world: World, stateId: string) {
  for (const session of world.linkSessions.values()) {
    if (session.oauth?.stateId === stateId && session.finishedAt === null) {
      return { session, visit: session.oauth };
    }
  }
  throw new OutOfStep('this page is no longer valid; go back to the application and start again');
}

/** What the bank's page shows: its sign-in form, then which accounts to share. Link's account filters do not reach the bank. */
export function bankPageView(world: World, stateId: string, error: PlaidApiError | null = null) {
  const { session, visit } = visitOf(world, stateId);
  const decided = visit.state === 'authorized' || visit.state === 'failed';
  const token = world.linkTokens.get(session.linkToken);
  return {
    institution: institutionView(world, institutionOf(world, session)),
    client_name: token?.clientName ?? '',
    step: decided ? 'done' : visit.state,
    error: error ? (error.display ?? error.message) : null,
    accounts: visit.state === 'signed_in' ? accountsAtBank(world, session) : [],
    return_to: decided ? returnAddress(world, session, stateId) : null,
  };
}

function accountsAtBank(world: World, session: LinkSession) {
  const item = world.items.get(world.linkTokens.get(session.linkToken)?.itemId ?? '');
  const accounts = session.login ? signInTo(world, session, session.login) : [];
  return accounts.map((account) => accountView(account, item?.openAccounts.includes(account) ?? true));
}

/** The user signs in at the bank. A wrong password is the bank's business; anything else ends the visit with that error. */
export function signInAtBank(world: World, stateId: string, login: Credentials) {
  const { session, visit } = visitOf(world, stateId);
  if (visit.state !== 'open') throw new OutOfStep('already signed in');
  let refused: PlaidApiError | null = null;
  try {
    const trimmed = { username: login.username.trim(), password: login.password };
    signInTo(world, session, trimmed);
    session.login = trimmed;
    session.error = null;
    visit.state = 'signed_in';
  } catch (error) {
    if (!(error instanceof PlaidApiError)) throw error;
    session.error = sessionError(error);
    if (error.type === 'INSTITUTION_ERROR' || error.code === 'ITEM_LOCKED') {
      visit.state = 'failed';
      visit.error = session.error;
    } else refused = error;
  }
  world.keeper.linkSession(session);
  return bankPageView(world, stateId, refused);
}

/** The user allows access to these accounts, or to nothing. */
export function decideAtBank(world: World, stateId: string, accountIds: readonly string[] | null) {
  const { session, visit } = visitOf(world, stateId);
  if (visit.state === 'authorized' || visit.state === 'failed') throw new OutOfStep('already decided');
  if (accountIds === null) {
    visit.state = 'failed';
    visit.error = sessionError(new PlaidApiError('INSUFFICIENT_CREDENTIALS'));
  } else {
    const known = accountsAtBank(world, session).map(({ id }) => id);
    if (accountIds.length === 0 || accountIds.some((id) => !known.includes(id))) {
      throw new OutOfStep('choose from the accounts that are shown, one at least');
    }
    visit.state = 'authorized';
    visit.accountIds = [...accountIds];
  }
  world.keeper.linkSession(session);
  return bankPageView(world, stateId);
}

/** Where the bank sends the user: to the application's redirect URI, back to a hosted Link, or nowhere (a window that closes). */
function returnAddress(world: World, session: LinkSession, stateId: string): string | null {
  if (session.surface === 'hosted') {
    return `/link?${new URLSearchParams({ token: session.linkToken, oauth_state_id: stateId }).toString()}`;
  }
  const redirectUri = world.linkTokens.get(session.linkToken)?.redirectUri ?? null;
  if (redirectUri === null) return null;
  const url = new URL(redirectUri);
  url.searchParams.set('oauth_state_id', stateId);
  return url.href;
}
