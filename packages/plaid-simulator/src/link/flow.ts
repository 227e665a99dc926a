import type { BankAccount } from '../bank/account.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import { PlaidApiError } from '../errors.js';
import { selectableAccounts } from '../item/bankAccounts.js';
import { consentForTarget } from '../item/crossApplication.js';
import { noteConsent } from '../item/consentEvents.js';
import type { Application, Item } from '../item/item.js';
import { repairItem, selectAccounts } from '../item/lifecycle.js';
import { logIn } from '../item/login.js';
import type { LinkToken } from '../tokens.js';
import type { World } from '../world.js';
import { isShown, sharedAccount } from './accounts.js';
import { signIn, signInToRepair, type Credentials } from './credentials.js';
import { endSession, planAbandonment, sendLinkWebhook, show } from './ending.js';
import { note, sessionError } from './journal.js';
import { challengeOf, isAnswered } from './mfa.js';
import { OutOfStep, type LinkSession, type Pane, type Surface } from './session.js';

const DEFAULT_DAYS = 90;
/** Institutions in one list. */
const MOST_LISTED = 10;
/** Sessions that are kept in memory; the oldest finished ones go first. */
const MOST_SESSIONS = 20_000;
/** Refusals after which the user stays on the same screen and tries again. */
const RETRYABLE = new Set([
  'INVALID_CREDENTIALS',
  'INVALID_MFA',
  'INVALID_UPDATED_USERNAME',
  'INVALID_FIELD',
]);
/** Panes that are left without a question. */
const LEFT_AT_ONCE: readonly Pane[] = ['consent', 'institutions', 'connected', 'error', 'exit'];

/** What a user does in Link. */
export type LinkAction =
  | { action: 'continue' }
  | { action: 'search'; query: string }
  | { action: 'institution'; institution_id: string }
  | ({ action: 'credentials' } & Credentials)
  | { action: 'mfa'; answers: string[] }
  | { action: 'accounts'; account_ids: string[] }
  | { action: 'back' }
  | { action: 'retry' }
  | { action: 'exit'; force?: boolean | undefined }
  | { action: 'stay' }
  | { action: 'oauth_open' }
  | { action: 'oauth_check' }
  | { action: 'oauth_closed' };

/** The token of a session while it can be used; a session of an unknown or expired token ends in an error. */
function usableToken(world: World, token: string): LinkToken | null {
  const known = world.linkTokens.get(token);
  return known && known.expiresAt > world.clock.realNow() ? known : null;
}

/** Opens Link with a token. */
export function openSession(world: World, linkToken: string, surface: Surface): LinkSession {
  const token = usableToken(world, linkToken);
  const now = world.clock.now();
  const session: LinkSession = {
    id: world.ids.uuid('link-session'),
    linkToken,
    surface,
    startedAt: now,
    lastActionAt: now,
    finishedAt: null,
    pane: 'consent',
    before: null,
    institutionId: token?.institutionId ?? null,
    login: null,
    itemId: token?.itemId ?? null,
    mfaStep: 0,
    oauth: null,
    nothingFound: false,
    error: null,
    events: [],
    added: null,
    exit: null,
  };
  forgetOldest(world);
  world.linkSessions.set(session.id, session);
  note(world, session, 'OPEN');
  attempt(world, session, () => {
    if (!token) {
      throw new PlaidApiError(
        'INVALID_LINK_TOKEN',
        world.linkTokens.has(linkToken) ? 'the link token has expired' : undefined,
      );
    }
    if (token.itemId === null) return show(world, session, 'consent');
    session.institutionId = itemOf(world, token.itemId).facts.institutionId;
    if (token.targetApplication !== null) return show(world, session, 'consent');
    showSignIn(world, session);
  });
  touched(world, session);
  return session;
}

/**
 * The user comes back from the bank's page by way of the application's redirect URI, which Link is given. `heard` events of the
 * session were passed on before the user went there.
 */
export function resumeSession(
  world: World,
  linkToken: string,
  surface: Surface,
  receivedUri: string,
): { session: LinkSession; heard: number } {
  const stateId = URL.canParse(receivedUri) ? new URL(receivedUri).searchParams.get('oauth_state_id') : null;
  const known = [...world.linkSessions.values()].find(
    (session) => session.linkToken === linkToken && session.oauth?.stateId === stateId && stateId !== null,
  );
  if (known && known.finishedAt === null) {
    const heard = known.events.length;
    act(world, known, { action: 'oauth_check' });
    return { session: known, heard };
  }
  const session = openSession(world, linkToken, surface);
  if (!session.error) {
    attempt(world, session, () => {
      throw new PlaidApiError(
        'INVALID_FIELD',
        'receivedRedirectUri has no oauth_state_id of this link token',
        {
          type: 'INVALID_REQUEST',
        },
      );
    });
  }
  return { session, heard: 0 };
}

/** One action of the user: what it leads to is in the session afterwards. */
export function act(world: World, session: LinkSession, action: LinkAction): void {
  if (session.finishedAt !== null) throw new OutOfStep('the session is over');
  attempt(world, session, () => step(world, session, action));
  touched(world, session);
}

function touched(world: World, session: LinkSession): void {
  session.lastActionAt = world.clock.now();
  world.keeper.world();
  if (world.linkTokens.has(session.linkToken)) world.keeper.linkSession(session);
  planAbandonment(world, session);
}

/** Plaid's errors become what the user sees. */
function attempt(world: World, session: LinkSession, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof PlaidApiError)) throw error;
    fail(world, session, error);
  }
}

function fail(world: World, session: LinkSession, error: PlaidApiError): void {
  session.error = sessionError(error);
  note(world, session, 'ERROR', {
    error_code: session.error.error_code,
    error_message: session.error.error_message,
    error_type: session.error.error_type,
  });
  const mayRetry = RETRYABLE.has(error.code) && ['credentials', 'mfa'].includes(session.pane);
  if (mayRetry) return show(world, session, session.pane);
  session.before = session.pane;
  show(world, session, 'error');
}

function step(world: World, session: LinkSession, action: LinkAction): void {
  const at = (...panes: Pane[]) => {
    if (!panes.includes(session.pane)) throw new OutOfStep(`not possible at ${session.pane}`);
  };
  switch (action.action) {
    case 'continue':
      at('consent', 'connected');
      if (session.pane === 'connected') return endSession(world, session);
      if (tokenOf(world, session).targetApplication !== null) return consentAlone(world, session);
      if (session.institutionId === null) return showInstitutions(world, session);
      return chooseInstitution(world, session, session.institutionId);
    case 'search':
      at('institutions');
      session.nothingFound = institutionsFound(world, session, action.query).length === 0;
      return note(world, session, 'SEARCH_INSTITUTION', { institution_search_query: action.query });
    case 'institution':
      at('institutions');
      return chooseInstitution(world, session, action.institution_id);
    case 'credentials':
      at('credentials');
      note(world, session, 'SUBMIT_CREDENTIALS');
      note(world, session, 'TRANSITION_VIEW', { view_name: 'LOADING' });
      return submitCredentials(world, session, action);
    case 'mfa':
      at('mfa');
      return submitMfa(world, session, action.answers);
    case 'accounts':
      at('accounts');
      return connect(world, session, action.account_ids);
    case 'back':
      at('institutions', 'credentials', 'oauth', 'mfa', 'accounts');
      return goBack(world, session);
    case 'retry':
      at('error');
      return retry(world, session);
    case 'exit':
      if (action.force || LEFT_AT_ONCE.includes(session.pane)) return endSession(world, session);
      session.before = session.pane;
      return show(world, session, 'exit');
    case 'stay':
      at('exit');
      return show(world, session, session.before ?? 'consent');
    case 'oauth_open':
      at('oauth');
      session.oauth = { stateId: world.ids.uuid('oauth'), state: 'open', accountIds: [], error: null };
      return note(world, session, 'OPEN_OAUTH');
    case 'oauth_check':
      // Polled while the bank's page is open: nothing to say until the user is done there.
      if (session.pane === 'oauth') takeOauth(world, session);
      return;
    case 'oauth_closed':
      if (session.pane !== 'oauth' || !session.oauth) return;
      if (isDecided(session.oauth.state)) return takeOauth(world, session);
      session.oauth = null;
      return note(world, session, 'CLOSE_OAUTH');
  }
}

/** The institutions that a session offers: of the token's countries, with all of its products, by words of the name. */
export function institutionsFound(world: World, session: LinkSession, query: string): SimulatedInstitution[] {
  const token = tokenOf(world, session);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return world.institutions.all
    .filter(
      ({ name, countries, products }) =>
        countries.some((country) => token.countryCodes.includes(country)) &&
        token.products.every((product) => products.includes(product)) &&
        words.every((word) => name.toLowerCase().includes(word)),
    )
    .slice(0, MOST_LISTED);
}

function chooseInstitution(world: World, session: LinkSession, institutionId: string): void {
  const institution = world.institutions.get(institutionId);
  if (!institution) throw new PlaidApiError('INVALID_INSTITUTION');
  session.institutionId = institution.id;
  session.error = null;
  const name = {
    HEALTHY: 'SELECT_INSTITUTION',
    DEGRADED: 'SELECT_DEGRADED_INSTITUTION',
    DOWN: 'SELECT_DOWN_INSTITUTION',
  };
  note(world, session, name[institution.health]);
  if (institution.availability !== 'ok') throw new PlaidApiError(institution.availability);
  const missing = tokenOf(world, session).products.filter(
    (product) => !institution.products.includes(product),
  );
  if (missing.length > 0) {
    throw new PlaidApiError(
      'PRODUCTS_NOT_SUPPORTED',
      `the following products are not supported by this institution: ${JSON.stringify(missing)}`,
    );
  }
  showSignIn(world, session);
}

function showSignIn(world: World, session: LinkSession): void {
  session.login = null;
  session.oauth = null;
  show(world, session, institutionOf(world, session).oauth ? 'oauth' : 'credentials');
}

function submitCredentials(world: World, session: LinkSession, given: Credentials): void {
  const login = { username: given.username.trim(), password: given.password };
  signInTo(world, session, login);
  session.login = login;
  session.error = null;
  session.mfaStep = 0;
  if (challengeOf(login.password)) show(world, session, 'mfa');
  else showAccounts(world, session);
}

/**
 * The bank's answer to a username and a password, at Link's form or at the bank's own: the accounts that the user can choose from,
 * in update mode those of the Item and those that the bank has besides.
 */
export function signInTo(world: World, session: LinkSession, login: Credentials): BankAccount[] {
  const institution = institutionOf(world, session);
  const token = tokenOf(world, session);
  if (token.itemId !== null) {
    const item = itemOf(world, token.itemId);
    signInToRepair(world, institution, login, item);
    return selectableAccounts(item);
  }
  session.itemId ??= world.ids.id('item');
  const products = [...token.products, ...token.productsIfSupported, ...(token.productsConsented ?? [])];
  return signIn(world, institution, login, applicationOf(token), products, session.itemId).accounts;
}

/** Who asked for the token: the Item's application. */
function applicationOf({ application, clientName }: LinkToken): Application {
  return { id: application, name: clientName };
}

function submitMfa(world: World, session: LinkSession, answers: string[]): void {
  const steps = challengeOf(session.login?.password ?? '') ?? [];
  const current = steps[session.mfaStep];
  if (!current) throw new OutOfStep('there is no challenge');
  note(world, session, 'SUBMIT_MFA', { mfa_type: current.type });
  note(world, session, 'TRANSITION_VIEW', { view_name: 'LOADING' });
  if (!isAnswered(current, answers)) throw new PlaidApiError('INVALID_MFA');
  session.error = null;
  session.mfaStep += 1;
  if (session.mfaStep < steps.length) show(world, session, 'mfa');
  else showAccounts(world, session);
}

/** The accounts that the user can choose from, and those that the Item of update mode shares now. */
export function offeredAccounts(
  world: World,
  session: LinkSession,
): { account: BankAccount; shared: boolean }[] {
  const token = tokenOf(world, session);
  const { login } = session;
  if (!login) return [];
  const offer = (accounts: BankAccount[], isShared: (account: BankAccount) => boolean) =>
    accounts
      .filter((account) => isShown(account, token.accountFilters))
      .map((account) => ({ account, shared: isShared(account) }));
  const open = token.itemId === null ? [] : itemOf(world, token.itemId).openAccounts;
  return offer(signInTo(world, session, login), (account) => open.includes(account));
}

function showAccounts(world: World, session: LinkSession): void {
  const token = tokenOf(world, session);
  if (token.itemId !== null && !token.accountSelection) return connect(world, session, null);
  if (offeredAccounts(world, session).length === 0) throw new PlaidApiError('NO_ACCOUNTS');
  show(world, session, 'accounts');
}

/** Makes the Item, or mends the one of update mode; `chosen: null`: its accounts stay as they are. */
function connect(world: World, session: LinkSession, chosen: string[] | null): void {
  const token = tokenOf(world, session);
  const { login } = session;
  if (!login) throw new OutOfStep('nobody has signed in');
  const offered = offeredAccounts(world, session).map(({ account }) => account);
  const shared = offered.filter(({ account }) => chosen?.includes(account.account_id));
  if (chosen && (shared.length === 0 || shared.length < new Set(chosen).size)) {
    throw new OutOfStep('choose from the accounts that are shown, one at least');
  }
  if (token.itemId !== null) {
    const item = itemOf(world, token.itemId);
    repairItem(world, item, false);
    if (chosen) selectAccounts(world, item, [...chosen, ...unseen(item, offered)]);
    if (token.productsConsented?.length) {
      const before = item.facts.consentedProducts ?? [];
      const after = [...new Set([...before, ...token.productsConsented])];
      item.facts.consentedProducts = after;
      if (after.length > before.length) {
        noteConsent(world, item, { type: 'CONSENT_UPDATED', code: 'DATA_SCOPES', by: 'END_USER' });
      }
      world.keeper.item(item);
    }
    session.added = { publicToken: null, accounts: item.openAccounts.map(sharedAccount) };
  } else {
    const made = logIn(world, {
      institutionId: institutionOf(world, session).id,
      ...login,
      products: token.products,
      productsIfSupported: token.productsIfSupported,
      consentedProducts: token.productsConsented,
      userId: token.userId,
      webhook: token.webhook,
      daysRequested: token.daysRequested ?? DEFAULT_DAYS,
      clientId: token.clientId,
      application: applicationOf(token),
      itemId: session.itemId ?? undefined,
      accountIds: shared.map(({ account }) => account.account_id),
    });
    session.added = { publicToken: made.token, accounts: shared.map(sharedAccount) };
    sendLinkWebhook(world, session, 'ITEM_ADD_RESULT', { public_token: made.token });
  }
  session.error = null;
  show(world, session, 'connected');
}

/** A bank's user lets another application in: consent is all, the login is there. */
function consentAlone(world: World, session: LinkSession): void {
  const made = consentForTarget(world, tokenOf(world, session));
  session.itemId = made.itemId;
  const accounts = itemOf(world, made.itemId).openAccounts.map(sharedAccount);
  session.added = { publicToken: made.token, accounts };
  sendLinkWebhook(world, session, 'ITEM_ADD_RESULT', { public_token: made.token });
  session.error = null;
  show(world, session, 'connected');
}

/** Open accounts that the token's filters hid from the user: a choice among the others does not touch them. */
function unseen(item: Item, offered: readonly BankAccount[]): string[] {
  const ids = item.openAccounts.map(({ account }) => account.account_id);
  return ids.filter((id) => !offered.some(({ account }) => account.account_id === id));
}

const isDecided = (state: string) => state === 'authorized' || state === 'failed';

function takeOauth(world: World, session: LinkSession): void {
  const visit = session.oauth;
  if (!visit || !isDecided(visit.state)) return;
  session.oauth = null;
  if (visit.state === 'authorized') {
    // The bank's page has asked which accounts: Link does not ask again.
    const token = tokenOf(world, session);
    const shown = offeredAccounts(world, session).map(({ account }) => account.account.account_id);
    const chosen = visit.accountIds.filter((id) => shown.includes(id));
    if (token.itemId !== null && !token.accountSelection) return connect(world, session, null);
    if (chosen.length === 0) throw new PlaidApiError('NO_ACCOUNTS');
    return connect(world, session, chosen);
  }
  note(world, session, 'FAIL_OAUTH');
  const error = visit.error;
  throw new PlaidApiError(error?.error_code ?? 'INSUFFICIENT_CREDENTIALS', error?.error_message, {
    type: error?.error_type,
  });
}

function goBack(world: World, session: LinkSession): void {
  session.error = null;
  const token = tokenOf(world, session);
  const fixed = token.itemId !== null || token.institutionId !== null;
  if (session.pane === 'mfa' || session.pane === 'accounts') {
    session.login = null;
    return show(world, session, 'credentials');
  }
  if (session.pane === 'institutions' || fixed) throw new OutOfStep('there is no way back');
  showInstitutions(world, session);
}

function showInstitutions(world: World, session: LinkSession): void {
  session.institutionId = null;
  session.nothingFound = false;
  show(world, session, 'institutions');
}

/** After an error: another try where a try can help, another bank where it is the bank's. */
function retry(world: World, session: LinkSession): void {
  if (session.institutionId === null || !isRetriable(world, session)) {
    throw new OutOfStep('nothing can be tried again');
  }
  const elsewhere = session.error?.error_type === 'INSTITUTION_ERROR' || session.before === 'institutions';
  const token = tokenOf(world, session);
  session.error = null;
  if (token.targetApplication !== null) return show(world, session, 'consent');
  if (elsewhere && token.itemId === null && token.institutionId === null) {
    return showInstitutions(world, session);
  }
  showSignIn(world, session);
}

/** Whether anything but leaving is possible after an error. */
export function isRetriable(world: World, session: LinkSession): boolean {
  return usableToken(world, session.linkToken) !== null && session.institutionId !== null;
}

function tokenOf(world: World, session: LinkSession): LinkToken {
  // A session that was opened in time may end after its token has expired.
  const token = world.linkTokens.get(session.linkToken);
  if (!token) throw new PlaidApiError('INVALID_LINK_TOKEN');
  return token;
}

export function institutionOf(world: World, session: LinkSession): SimulatedInstitution {
  const institution =
    session.institutionId === null ? undefined : world.institutions.get(session.institutionId);
  if (!institution) throw new PlaidApiError('INVALID_INSTITUTION');
  return institution;
}

function itemOf(world: World, itemId: string): Item {
  const item = world.items.get(itemId);
  if (!item || item.facts.removedAt !== null) throw new PlaidApiError('ITEM_NOT_FOUND');
  return item;
}

function forgetOldest(world: World): void {
  if (world.linkSessions.size < MOST_SESSIONS) return;
  for (const [id, { finishedAt }] of world.linkSessions) {
    if (finishedAt === null && world.linkSessions.size < 2 * MOST_SESSIONS) continue;
    world.linkSessions.delete(id);
    return;
  }
}
