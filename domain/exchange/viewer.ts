import type { Access } from '../ports/applications.js';
import type { ConnectionScope } from './connection.js';

/** The application that asks. Every statement that reads an Item's rows is given one, and reads no more than it may see. */
export interface Viewer {
  applicationId: string;
  access: Access;
}

/** Why an application that is or was connected with an Item may not read. */
export type Refusal = 'consent_missing' | 'consent_expired' | 'consent_suspended' | 'consent_revoked';

/** A refused read: the connection says why. An Item that the viewer was never connected with is none at all. */
export interface Refused {
  refusal: Refusal;
  connectionId: string;
  /** What was asked for; null = the Item itself. */
  scope: ConnectionScope | null;
}
