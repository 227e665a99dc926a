export type Scope = 'read' | 'write' | 'numbers' | 'consent' | 'admin';

/** `all` sees every user and Item; `connected` those that it is connected with. */
export type Access = 'all' | 'connected';

export interface ApiKey {
  key_id: string;
  application_id: string;
  scopes: Scope[];
}

export interface ApplicationStore {
  /** `effectId` (a UUID) names what is made: the same one again gives what it made before. Likewise with `addKey`. */
  create(
    name: string,
    effectId: string,
  ): Promise<{ application_id: string; name: string; created_at: string }>;
  /** Null when the application does not exist. */
  addKey(
    applicationId: string,
    effectId: string,
    keyHash: string,
    scopes: Scope[],
  ): Promise<{ key_id: string } | null>;
  /** False when there is no such key. A revoked key stays, revoked. */
  revokeKey(keyId: string): Promise<boolean>;
  /** The living key with this hash. */
  findKey(keyHash: string): Promise<ApiKey | null>;
  /** The application `default` with a key of every scope; older bootstrap keys of it with another hash are revoked. */
  ensureAdmin(keyHash: string): Promise<void>;
}
