import { instant } from '../calendar.js';
import type { PlaidApiError } from '../errors.js';
import { derivedUuid, requestId } from '../ids.js';
import type { World } from '../world.js';
import type { EventMetadata, LinkSession, SessionError, SessionEvent } from './session.js';

/** Writes an event into a session; the institution, once chosen, goes with all of them. */
export function note(
  world: World,
  session: LinkSession,
  name: string,
  metadata: Omit<EventMetadata, 'institution_id' | 'institution_name' | 'request_id'> = {},
): void {
  const institution =
    session.institutionId === null ? undefined : world.institutions.get(session.institutionId);
  session.events.push({
    event_name: name,
    event_id: derivedUuid(session.id, 'event', session.events.length),
    timestamp: instant(world.clock.now()),
    event_metadata: {
      ...metadata,
      ...(institution ? { institution_id: institution.id, institution_name: institution.name } : {}),
      request_id: requestId(),
    },
  });
}

export function sessionError(error: PlaidApiError): SessionError {
  const { error_type, error_code, error_message, display_message } = error.body();
  return { error_type, error_code, error_message, display_message };
}

/** An event in the form of the callback `onEvent`: every key is there. */
export function callbackEvent(session: LinkSession, updateMode: boolean, event: SessionEvent) {
  const { event_metadata: known } = event;
  return {
    name: event.event_name,
    metadata: {
      account_number_mask: null,
      brand_name: null,
      error_code: known.error_code ?? null,
      error_message: known.error_message ?? null,
      error_type: known.error_type ?? null,
      exit_status: known.exit_status ?? null,
      institution_id: known.institution_id ?? null,
      institution_name: known.institution_name ?? null,
      institution_search_query: known.institution_search_query ?? null,
      is_update_mode: String(updateMode),
      link_session_id: session.id,
      match_reason: null,
      mfa_type: known.mfa_type ?? null,
      request_id: known.request_id ?? null,
      routing_number: null,
      selection: null,
      timestamp: event.timestamp,
      view_name: known.view_name ?? null,
    },
  };
}

export interface InstitutionName {
  institution_id: string;
  name: string;
}

export function institutionName(world: World, session: LinkSession): InstitutionName | null {
  const institution = session.institutionId === null ? null : world.institutions.get(session.institutionId);
  return institution ? { institution_id: institution.id, name: institution.name } : null;
}

/** The arguments of `onSuccess`. In update mode there is nothing to exchange: the public token is `null`. */
export function successResult(world: World, session: LinkSession) {
  return {
    public_token: session.added?.publicToken ?? null,
    metadata: {
      institution: institutionName(world, session),
      accounts: session.added?.accounts ?? [],
      link_session_id: session.id,
      transfer_status: null,
    },
  };
}

/** The arguments of `onExit`. */
export function exitResult(world: World, session: LinkSession) {
  return {
    error: session.exit?.error ?? null,
    metadata: {
      institution: institutionName(world, session),
      status: session.exit?.status ?? null,
      link_session_id: session.id,
      request_id: session.exit?.requestId ?? '',
    },
  };
}
