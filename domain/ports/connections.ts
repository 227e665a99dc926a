import type {
  ConnectionAction,
  ConnectionStatus,
  ConnectionView,
  Grant,
  Initiator,
  NarrowedConnection,
} from '../exchange/connection.js';
import type { Viewer } from '../exchange/viewer.js';
import type { KeyedRequest } from './idempotency.js';
import type { Page, PageKey } from './pages.js';

/** Whose connections one sees: an application's own or, with access `all`, everybody's; of a user at their page, the user's. */
export type Sight = Viewer | { ofUser: string };

/** Who changes a connection, and why. */
export interface Actor {
  initiator: Initiator;
  /** Null = nobody's key asked. */
  applicationId: string | null;
  keyId: string | null;
  reason: string | null;
}

export type ConnectionsOf = { userId: string } | { itemId: string } | { applicationId: string };

export interface ConnectionFilter {
  statuses: ConnectionStatus[];
  /** Those that end before it (ISO); what has no end is left out. */
  expiresBefore?: string | undefined;
}

/** What happened to a connection. `position` counts from 1. */
export interface ConnectionChange {
  position: number;
  at: string;
  action: ConnectionAction;
  initiator: Initiator;
  application_id: string | null;
  /** Null also where the key is another application's. */
  key_id: string | null;
  reason: string | null;
  /** What the connection grants from then on. */
  grant: Grant;
}

export interface Changed {
  kind: 'done';
  connection: ConnectionView;
}

/** Why a grant, or its change, was not written. */
export type GrantRefusal =
  | { kind: 'not_found' }
  | { kind: 'item_removed' }
  /** Its end has come already. */
  | { kind: 'past' }
  /** Ids that are no accounts of the Item. */
  | { kind: 'unknown_accounts'; accountIds: string[] };

export type ChangeRefusal =
  | GrantRefusal
  /** It was revoked: that is its end. */
  | { kind: 'revoked' }
  /** It would grant more, by these fields, and the caller may only narrow. */
  | { kind: 'widens'; fields: (keyof Grant)[] };

/**
 * The grants of applications to Items. What one does not see is none at all. Every change is made under the Item's lock, and is
 * written with its history and its event; with `keyed`, once for the request.
 */
export interface ConnectionStore {
  get(sight: Sight, connectionId: string): Promise<ConnectionView | null>;
  /** Order: creation, then id. Null when there is no such user, Item or application to be seen. */
  page(
    sight: Sight,
    of: ConnectionsOf,
    filter: ConnectionFilter,
    limit: number,
    after: PageKey | null,
  ): Promise<Page<ConnectionView> | null>;
  /** Order: position. */
  history(
    sight: Sight,
    connectionId: string,
    limit: number,
    after: PageKey | null,
  ): Promise<Page<ConnectionChange> | null>;
  /** `effectId` (a UUID) names what is made: the same one again gives what it made before. */
  grant(
    to: { itemId: string; applicationId: string; effectId: string },
    grant: Grant,
    actor: Actor,
  ): Promise<
    Changed | GrantRefusal | { kind: 'unknown_application' } | { kind: 'exists'; connectionId: string }
  >;
  /** Fields that are absent stay. What grants more needs `mayWiden`. */
  change(
    sight: Sight,
    connectionId: string,
    changes: Partial<Grant>,
    by: { mayWiden: boolean; actor: Actor; keyed?: KeyedRequest | null },
  ): Promise<Changed | ChangeRefusal>;
  /** Moves its end (null = none), also when it has come, and resumes what is suspended unless the Item is revoked at the bank. */
  renew(
    sight: Sight,
    connectionId: string,
    expiresAt: string | null,
    by: { actor: Actor; keyed?: KeyedRequest | null },
  ): Promise<Changed | ChangeRefusal>;
  /**
   * Cuts it to what it granted after a change that this database has forgotten. What somebody has granted here later stays as it is, and
   * nothing else; an earlier cut grants nothing. Resolves to whether anything was taken away.
   */
  cut(limit: NarrowedConnection): Promise<boolean>;
  /** The end of it. What is revoked already stays as it is. */
  revoke(sight: Sight, connectionId: string, by: { actor: Actor }): Promise<Changed | { kind: 'not_found' }>;
  /**
   * Revokes all that the user has granted, in one transaction. Resolves to what was revoked, by Items; null when there is no
   * such user.
   */
  revokeOfUser(
    userId: string,
    by: { actor: Actor; keyed?: KeyedRequest | null },
  ): Promise<{ connectionIds: string[]; itemIds: string[] } | null>;
}
