import { MINUTE_MS } from '../calendar.js';
import { requestId } from '../ids.js';
import type { World } from '../world.js';
import { note } from './journal.js';
import { challengeOf } from './mfa.js';
import { VIEW_NAMES, type LinkSession, type Pane } from './session.js';

/** Simulated: a hosted session that nobody touches for so long is over. */
const PATIENCE_MS = 10 * MINUTE_MS;

/** Plaid's name for where a user left; `null` before there is anything to name. */
function exitStatus(session: LinkSession): string | null {
  const pane = session.pane === 'exit' || session.pane === 'error' ? session.before : session.pane;
  const challenge = challengeOf(session.login?.password ?? '')?.[session.mfaStep]?.type ?? 'code';
  const byPane: Record<Pane, string | null> = {
    consent: null,
    institutions: session.nothingFound ? 'institution_not_found' : null,
    credentials: 'requires_credentials',
    oauth: 'requires_oauth',
    mfa: challenge === 'device' ? 'choose_device' : `requires_${challenge}`,
    accounts: 'requires_account_selection',
    connected: null,
    error: null,
    exit: null,
  };
  return pane === null ? null : byPane[pane];
}

/** Hands the connection over, or ends the session without one; the LINK webhooks of a Hosted Link follow. */
export function endSession(world: World, session: LinkSession): void {
  if (session.finishedAt !== null) return;
  if (session.added) note(world, session, 'HANDOFF');
  else {
    const status = exitStatus(session);
    session.exit = { error: session.error, status, requestId: requestId() };
    note(world, session, 'EXIT', {
      ...(status === null ? {} : { exit_status: status }),
      ...(session.error
        ? {
            error_code: session.error.error_code,
            error_message: session.error.error_message,
            error_type: session.error.error_type,
          }
        : {}),
    });
  }
  session.finishedAt = world.clock.now();
  session.login = null;
  const tokens = session.added?.publicToken ? [session.added.publicToken] : [];
  sendLinkWebhook(world, session, 'SESSION_FINISHED', {
    status: session.added ? 'SUCCESS' : 'EXITED',
    public_tokens: tokens,
    ...(tokens[0] === undefined ? {} : { public_token: tokens[0] }),
  });
  sendLinkWebhook(world, session, 'EVENTS', { events: session.events });
}

/** Sends a webhook about a session, if its token asked for a Hosted Link and has a URL for webhooks. */
export function sendLinkWebhook(
  world: World,
  session: LinkSession,
  code: 'SESSION_FINISHED' | 'ITEM_ADD_RESULT' | 'EVENTS',
  fields: Record<string, unknown>,
): void {
  const url = world.linkTokens.get(session.linkToken)?.hostedLink?.webhook ?? null;
  if (url === null) return;
  world.deliveries.send({
    url,
    itemId: null,
    fields: {
      ...fields,
      webhook_type: 'LINK',
      webhook_code: code,
      environment: 'sandbox',
      link_session_id: session.id,
      link_token: session.linkToken,
    },
  });
}

/** Plans the end of a hosted session that its user walks away from; each action of the user puts it off. */
export function planAbandonment(world: World, session: LinkSession): void {
  if (session.finishedAt !== null || !world.linkTokens.get(session.linkToken)?.hostedLink) return;
  const touched = session.lastActionAt;
  world.schedule.at(touched + PATIENCE_MS, session.id, () => {
    if (session.lastActionAt !== touched || world.linkSessions.get(session.id) !== session) return;
    endSession(world, session);
    world.keeper.linkSession(session);
  });
}

/** Shows a pane. */
export function show(world: World, session: LinkSession, pane: Pane): void {
  session.pane = pane;
  const challenge =
    pane === 'mfa' ? challengeOf(session.login?.password ?? '')?.[session.mfaStep]?.type : undefined;
  note(world, session, 'TRANSITION_VIEW', {
    view_name: VIEW_NAMES[pane],
    ...(challenge === undefined ? {} : { mfa_type: challenge }),
  });
}
