import type { SealedKind } from '../ids.js';

/** A secret as it is stored: AES-256-GCM under a data key of its own, which the key provider wrapped. */
export interface Sealed {
  /** Id of the key that wraps `dataKey`. */
  keyId: string;
  dataKey: Uint8Array;
  ciphertext: Uint8Array;
}

/** Where keys are a service, both methods also reject with UPSTREAM_DOWN. */
export interface SecretBox {
  /** `context` (see `secretContext`) binds the ciphertext to the row where it is stored. */
  seal(plaintext: string, context: string): Promise<Sealed>;
  /** Rejects with SECRET_UNREADABLE when a byte, the row or the key is another. */
  open(sealed: Sealed, context: string): Promise<string>;
}

/** Wraps data keys. AWS KMS or a local keyring. */
export interface KeyProvider {
  /** `keyId` names the key that wrapped: today's. */
  wrap(dataKey: Uint8Array, context: string): Promise<{ keyId: string; wrapped: Uint8Array }>;
  unwrap(keyId: string, wrapped: Uint8Array, context: string): Promise<Uint8Array>;
}

/** A secret where it stands. */
export interface SealedRow {
  kind: SealedKind;
  /** The values of its primary key. */
  id: string[];
  context: string;
  sealed: Sealed;
}

export interface SealedRowStore {
  /** Secrets of a kind, but those that this key wraps, in the order of their ids, after an id. */
  page(
    kind: SealedKind,
    exceptKeyId: string | null,
    limit: number,
    after: string[] | null,
  ): Promise<SealedRow[]>;
  /** Puts the data key in the place of the row's; false when the row holds another one by now, or is gone. */
  replace(row: SealedRow, sealed: Sealed): Promise<boolean>;
  /** How many secrets each key wraps. */
  keysInUse(): Promise<Map<string, number>>;
}
