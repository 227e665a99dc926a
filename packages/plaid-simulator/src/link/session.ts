import type { MfaType } from './mfa.js';

/** What the user sees; each has Plaid's `view_name`. */
export const VIEW_NAMES = {
  consent: 'CONSENT',
  institutions: 'SELECT_INSTITUTION',
  credentials: 'CREDENTIAL',
  oauth: 'OAUTH',
  mfa: 'MFA',
  accounts: 'SELECT_ACCOUNT',
  connected: 'CONNECTED',
  error: 'ERROR',
  exit: 'EXIT',
} as const;

export type Pane = keyof typeof VIEW_NAMES;

/** Plaid's event metadata; fields without a value are left out in `/link/token/get` and webhooks and are `null` in callbacks. */
export interface EventMetadata {
  error_code?: string;
  error_message?: string;
  error_type?: string;
  exit_status?: string;
  institution_id?: string;
  institution_name?: string;
  institution_search_query?: string;
  mfa_type?: MfaType;
  request_id?: string;
  view_name?: string;
}

/** An event as `/link/token/get` and the EVENTS webhook give it. */
export interface SessionEvent {
  event_name: string;
  event_id: string;
  /** Simulated, ISO. */
  timestamp: string;
  event_metadata: EventMetadata;
}

/** An account in the metadata of `onSuccess` and in `item_add_results`. */
export interface SharedAccount {
  id: string;
  name: string;
  mask: string | null;
  type: string;
  subtype: string | null;
  verification_status: string | null;
  class_type: null;
}

/** The error object of `onExit`. */
export interface SessionError {
  error_type: string;
  error_code: string;
  error_message: string;
  display_message: string | null;
}

/** The bank's own page, which Link has sent the user to. */
interface OauthVisit {
  /** Names the visit on the way there and back. */
  stateId: string;
  /** `authorized` and `failed` wait until Link hears of them: by the user's return, or by asking. */
  state: 'open' | 'signed_in' | 'authorized' | 'failed';
  /** What the user shares, chosen at the bank. */
  accountIds: string[];
  error: SessionError | null;
}

export type Surface = 'embedded' | 'hosted' | 'control';

/** One user's way through Link: plain data, as a state file keeps it. */
export interface LinkSession {
  id: string;
  linkToken: string;
  /** In the application's page, on a page of its own, or by the control `/_sim/link`. */
  surface: Surface;
  /** Simulated milliseconds. */
  startedAt: number;
  lastActionAt: number;
  finishedAt: number | null;
  pane: Pane;
  /** The pane under the question whether to leave, or before an error. */
  before: Pane | null;
  institutionId: string | null;
  /** Kept only until the session is over. */
  login: { username: string; password: string } | null;
  /** The Item of update mode, or the id that the new Item will have. */
  itemId: string | null;
  /** Which step of the challenge comes next. */
  mfaStep: number;
  oauth: OauthVisit | null;
  /** The last search that found nothing: it decides the status of an exit. */
  nothingFound: boolean;
  error: SessionError | null;
  events: SessionEvent[];
  /** The connection is made; the user has only to leave. */
  added: { publicToken: string | null; accounts: SharedAccount[] } | null;
  exit: { error: SessionError | null; status: string | null; requestId: string } | null;
}

/** Something was asked of a session that is not possible where it stands. */
export class OutOfStep extends Error {}
