import { instant } from '../calendar.js';
import type { LinkToken } from '../tokens.js';
import type { WireLinkSession } from '../wire.js';
import type { World } from '../world.js';
import { exitResult, institutionName, successResult } from './journal.js';
import type { LinkSession } from './session.js';

/** Simulated: how long Plaid keeps a session after its end. */
const KEPT_MS = 6 * 60 * 60_000;

/** The sessions of a token as `/link/token/get` gives them, in the order in which they began. */
export function sessionRecords(world: World, token: LinkToken): WireLinkSession[] {
  const now = world.clock.now();
  return [...world.linkSessions.values()]
    .filter(
      ({ linkToken, finishedAt }) =>
        linkToken === token.token && (finishedAt === null || finishedAt + KEPT_MS > now),
    )
    .map((session) => record(world, session));
}

function record(world: World, session: LinkSession): WireLinkSession {
  const { added, finishedAt } = session;
  const exit = session.exit && wireExit(world, session);
  const accounts = (added?.accounts ?? []).map(({ subtype, ...account }) => ({
    ...account,
    ...(subtype === null ? {} : { subtype }),
  }));
  const institution = institutionName(world, session);
  const publicToken = added?.publicToken ?? null;
  return {
    link_session_id: session.id,
    started_at: instant(session.startedAt),
    finished_at: finishedAt === null ? null : instant(finishedAt),
    events: session.events,
    exit,
    on_exit: exit,
    on_success:
      finishedAt !== null && publicToken !== null
        ? {
            public_token: publicToken,
            metadata: { ...successResult(world, session).metadata, accounts },
          }
        : null,
    results: added && {
      item_add_results: publicToken === null ? [] : [{ public_token: publicToken, accounts, institution }],
      cra_item_add_results: [],
      cra_update_results: [],
      bank_income_results: [],
      payroll_income_results: [],
      document_income_results: null,
    },
  };
}

function wireExit(world: World, session: LinkSession): NonNullable<WireLinkSession['exit']> {
  const { error, metadata } = exitResult(world, session);
  const { status, ...others } = metadata;
  return {
    error: error as NonNullable<WireLinkSession['exit']>['error'],
    metadata: { ...others, ...(status === null ? {} : { status }) },
  };
}
