import type { KeyedRequest } from './idempotency.js';
import type { Page, PageKey } from './pages.js';

export type Scope = 'read' | 'write' | 'numbers' | 'consent' | 'admin';

/** `all` sees every user and Item; `connected` those that it is connected with. */
export type Access = 'all' | 'connected';

export interface ApiKey {
  key_id: string;
  application_id: string;
  /** Its application's. */
  access: Access;
  scopes: Scope[];
}

/** Fields of which each may be left out. */
type Some<Fields> = { [Name in keyof Fields]?: Fields[Name] | undefined };

/** What the user's page shows of an application. */
export interface ApplicationFace {
  display_name: string | null;
  company: string | null;
  url: string | null;
  logo_url: string | null;
  reason_for_access: string | null;
}

export interface ApplicationView extends ApplicationFace {
  application_id: string;
  name: string;
  access: Access;
  created_at: string;
}

/** A key without the key. */
export interface KeyView {
  key_id: string;
  scopes: Scope[];
  created_at: string;
  /** To the minute. */
  last_used_at: string | null;
  revoked_at: string | null;
}

export interface ApplicationStore {
  /**
   * `effectId` (a UUID) names what is made: the same one again gives what it made before. Likewise with `addKey`. What is not said
   * of `more` is null, and the access `connected`.
   */
  create(
    name: string,
    effectId: string,
    more?: Some<ApplicationFace & { access: Access }>,
  ): Promise<ApplicationView>;
  get(applicationId: string): Promise<ApplicationView | null>;
  /** In the order in which they were made. */
  page(limit: number, after: PageKey | null): Promise<Page<ApplicationView>>;
  /** Changes what is named, once for a keyed request. Null when the application does not exist. */
  change(
    applicationId: string,
    changes: Some<ApplicationFace & { name: string; access: Access }>,
    keyed?: KeyedRequest | null,
  ): Promise<ApplicationView | null>;
  /** Null when the application does not exist. */
  addKey(
    applicationId: string,
    effectId: string,
    keyHash: string,
    scopes: Scope[],
  ): Promise<{ key_id: string } | null>;
  /** In the order in which they were made, revoked ones too. Null when the application does not exist. */
  keys(applicationId: string, limit: number, after: PageKey | null): Promise<Page<KeyView> | null>;
  /** False when there is no such key. A revoked key stays, revoked. */
  revokeKey(keyId: string): Promise<boolean>;
  /** The living key with this hash. That it was used is noted to the minute; nobody waits for that. */
  findKey(keyHash: string): Promise<ApiKey | null>;
  /** The application `default` with a key of every scope; older bootstrap keys of it with another hash are revoked. */
  ensureAdmin(keyHash: string): Promise<void>;
}
