import type { Access } from '../ports/applications.js';
import type { ConnectionScope } from './connection.js';

/** The application that asks. Every statement that reads an Item's rows is given one, and reads no more than it may see. */
export interface Viewer {
  applicationId: string;
  access: Access;
}

/** The service itself, on nobody's behalf. */
export const ourselves: Viewer = { applicationId: 'default', access: 'all' };

/**
 * What a connection is needed for: to read one of its scopes; to see the Item itself (`item`); to have something done with it
 * (`command`), which a suspended one may as well; to be told that one was connected (`end`), which any will do for.
 */
export type Need = ConnectionScope | 'item' | 'command' | 'end';

/** Why an application that is or was connected with an Item may not read. In the order in which they are looked for. */
export const refusals = [
  'consent_revoked',
  'consent_expired',
  'consent_suspended',
  'consent_missing',
] as const;
export type Refusal = (typeof refusals)[number];

/** A refused read: the connection says why. An Item that the viewer was never connected with is none at all. */
export interface Refused {
  refusal: Refusal;
  connectionId: string;
  /** What was asked for; null = the Item itself. */
  scope: ConnectionScope | null;
}

/** What an active connection lets its application see of an answer that does not come from our rows. */
export interface Bounds {
  /** Null = the application needs none. */
  connectionId: string | null;
  scopes: ConnectionScope[];
  /** Null = every account. */
  accountIds: string[] | null;
  /** Those of `accountIds` that Plaid still lists; null = every account. */
  openAccountIds: string[] | null;
  /** First day that may be read, YYYY-MM-DD; null = from the beginning. */
  since: string | null;
}
