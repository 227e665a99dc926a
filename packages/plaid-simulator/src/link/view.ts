import type { BankAccount } from '../bank/account.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import { instant } from '../calendar.js';
import type { World } from '../world.js';
import { institutionsFound, isRetriable, offeredAccounts } from './flow.js';
import { callbackEvent, exitResult, successResult } from './journal.js';
import { challengeOf } from './mfa.js';
import type { LinkSession } from './session.js';

/** Link shows no name that is longer. */
const LONGEST_NAME = 30;

/** What Link calls the application. */
function shownName(clientName: string): string {
  return clientName.length > LONGEST_NAME ? 'This Application' : clientName;
}

export function institutionView(world: World, institution: SimulatedInstitution) {
  const wire = world.institutions.wire(
    institution,
    { optionalMetadata: true, status: false, authMetadata: false, paymentMetadata: false },
    instant(world.clock.now()),
  );
  return {
    institution_id: wire.institution_id,
    name: wire.name,
    primary_color: wire.primary_color ?? null,
    logo: wire.logo ?? null,
    url: wire.url ?? null,
    oauth: wire.oauth,
    health: institution.health,
  };
}

export function accountView({ account }: BankAccount, shared: boolean) {
  const { balances } = account;
  return {
    id: account.account_id,
    name: account.name,
    mask: account.mask,
    type: account.type,
    subtype: account.subtype,
    balance: balances.available ?? balances.current,
    currency: balances.iso_currency_code ?? balances.unofficial_currency_code,
    shared,
  };
}

/** All that the page needs to show a session where it stands, and the events that it has not heard of. */
export function sessionView(world: World, session: LinkSession, heard: number, query = '') {
  const token = world.linkTokens.get(session.linkToken);
  const institution =
    session.institutionId === null ? undefined : world.institutions.get(session.institutionId);
  const updateMode = (token?.itemId ?? null) !== null && token?.targetApplication === null;
  const fixed = updateMode || (token?.institutionId ?? null) !== null;
  const challenge = challengeOf(session.login?.password ?? '')?.[session.mfaStep];
  return {
    session_id: session.id,
    pane: session.finishedAt === null ? session.pane : 'done',
    client_name: shownName(token?.clientName ?? ''),
    update_mode: updateMode,
    institution: institution ? institutionView(world, institution) : null,
    can_go_back:
      ['mfa', 'accounts'].includes(session.pane) ||
      (['credentials', 'oauth'].includes(session.pane) && !fixed),
    can_retry: session.pane === 'error' && isRetriable(world, session),
    error: session.error,
    institutions:
      session.pane === 'institutions'
        ? institutionsFound(world, session, query).map((found) => institutionView(world, found))
        : [],
    mfa:
      session.pane === 'mfa' && challenge
        ? {
            type: challenge.type,
            prompts: challenge.prompts.map(({ text, options }) => ({ text, options })),
          }
        : null,
    accounts:
      session.pane === 'accounts'
        ? offeredAccounts(world, session).map(({ account, shared }) => accountView(account, shared))
        : [],
    // The application is come back to by its redirect URI, a hosted Link by itself; else the bank gets a window of its own.
    oauth_in_window: session.surface === 'embedded' && (token?.redirectUri ?? null) === null,
    oauth:
      session.oauth?.state === 'open' || session.oauth?.state === 'signed_in'
        ? { url: `/link/oauth?${new URLSearchParams({ state: session.oauth.stateId }).toString()}` }
        : null,
    events: session.events.slice(heard).map((event) => callbackEvent(session, updateMode, event)),
    heard: session.events.length,
    success: session.finishedAt !== null && session.added ? successResult(world, session) : null,
    exit: session.finishedAt !== null && !session.added ? exitResult(world, session) : null,
    completion_redirect_uri:
      session.finishedAt !== null ? (token?.hostedLink?.completionRedirectUri ?? null) : null,
  };
}
