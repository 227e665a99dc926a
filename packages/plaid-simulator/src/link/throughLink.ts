import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import { decideAtBank, signInAtBank } from './bankPage.js';
import type { Credentials } from './credentials.js';
import { act, offeredAccounts, openSession, type LinkAction } from './flow.js';
import { challengeOf, rightAnswers } from './mfa.js';
import { OutOfStep, type LinkSession, type Pane } from './session.js';
import { accountView } from './view.js';

/** What a user does who goes through Link without a browser. */
export interface Walk extends Credentials {
  institutionId: string;
  /** Masks of the accounts to share; `null`: all that are shown (in update mode: those that are shared already). */
  masks: readonly string[] | null;
}

/** A user goes through Link from end to end, screen by screen; Plaid's error when one of them refuses. */
export function walkThroughLink(world: World, linkToken: string, walk: Walk): LinkSession {
  const session = openSession(world, linkToken, 'control');
  const check = () => {
    const { error } = session;
    if (!error) return;
    act(world, session, { action: 'exit', force: true });
    throw new PlaidApiError(error.error_code, error.error_message, { type: error.error_type });
  };
  const go = (action: LinkAction) => {
    act(world, session, action);
    check();
  };
  const update = (world.linkTokens.get(linkToken)?.itemId ?? null) !== null;
  const chosen = (accounts: readonly { id: string; mask: string | null; shared: boolean }[]) =>
    accounts
      .filter(({ mask, shared }) => (walk.masks ? walk.masks.includes(mask ?? '') : shared || !update))
      .map(({ id }) => id);
  const steps: Partial<Record<Pane, () => void>> = {
    consent: () => go({ action: 'continue' }),
    institutions: () => go({ action: 'institution', institution_id: walk.institutionId }),
    credentials: () => go({ action: 'credentials', username: walk.username, password: walk.password }),
    oauth: () => {
      go({ action: 'oauth_open' });
      const stateId = session.oauth?.stateId ?? '';
      const { step, accounts } = signInAtBank(world, stateId, walk);
      check();
      if (step === 'signed_in') decideAtBank(world, stateId, chosen(accounts));
      go({ action: 'oauth_check' });
    },
    mfa: () => {
      const step = challengeOf(walk.password)?.[session.mfaStep];
      go({ action: 'mfa', answers: step ? rightAnswers(step) : [] });
    },
    accounts: () => {
      const offered = offeredAccounts(world, session);
      const accounts = offered.map(({ account, shared }) => accountView(account, shared));
      go({ action: 'accounts', account_ids: chosen(accounts) });
    },
    connected: () => go({ action: 'continue' }),
  };
  check();
  while (session.finishedAt === null) {
    const step = steps[session.pane];
    if (!step) throw new OutOfStep(`no way on from ${session.pane}`);
    step();
  }
  return session;
}
