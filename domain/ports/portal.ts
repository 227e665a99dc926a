import type { ConnectionView } from '../exchange/connection.js';
import type { Access, ApplicationFace } from './applications.js';

/** Who may open the page of one user, and until when. */
export interface PortalSession {
  userId: string;
  /** Who asked for it. */
  applicationId: string;
  keyId: string;
  returnUrl: string | null;
  /** Of dates; BCP 47. */
  locale: string | null;
  expiresAt: string;
}

/** A connection that has not been revoked, with what its user has to know to judge it. */
export interface PortalConnection extends ConnectionView {
  face: ApplicationFace & { access: Access };
  bank: string | null;
  /** The bank gives the Item to nobody: nothing is resumed. */
  bankRevoked: boolean;
  /** The open ones that may be read; `past`: the ids that they had before, under which older rows of theirs stand. */
  accounts: { account_id: string; name: string | null; mask: string | null; past: string[] }[];
}

export interface PortalStore {
  /** Resolves to its end; null when there is no such user. The same hash again gives the session that there is. */
  open(
    tokenHash: string,
    session: Omit<PortalSession, 'expiresAt'>,
    forMs: number,
  ): Promise<{ expiresAt: string } | null>;
  /** Null when there is none, it has ended, or the key that asked for it was revoked. */
  session(tokenHash: string): Promise<PortalSession | null>;
  /** In the order in which they were granted, of Items that were not removed. */
  connections(userId: string): Promise<PortalConnection[]>;
}
