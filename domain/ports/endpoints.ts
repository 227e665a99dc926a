import type { EndpointView, SignatureKind } from '../exchange/endpoint.js';
import type { EventType } from '../exchange/event.js';
import type { KeyedRequest } from './idempotency.js';
import type { Page, PageKey } from './pages.js';
import type { Sealed } from './secrets.js';

/** A secret that signs, as it is stored. */
export interface SigningSecret {
  sealed: Sealed;
  /** Of ed25519. */
  publicKey: string | null;
}

export interface NewEndpoint {
  endpointId: string;
  applicationId: string;
  url: string;
  types: EventType[];
  signature: SignatureKind;
  ratePerSecond: number | null;
  consent: boolean;
  secret: SigningSecret;
}

/** Absent = as it is. */
export interface EndpointChange {
  url?: string | undefined;
  types?: EventType[] | undefined;
  ratePerSecond?: number | null | undefined;
  state?: 'enabled' | 'paused' | undefined;
}

/** An application's own endpoints. Null, or false: it has none such. */
export interface EndpointStore {
  /** The same id again gives what it made before. `full`: the application has as many as one may have. */
  create(endpoint: NewEndpoint): Promise<EndpointView | 'full'>;
  page(applicationId: string, limit: number, after: PageKey | null): Promise<Page<EndpointView>>;
  get(applicationId: string, endpointId: string): Promise<EndpointView | null>;
  /** Enabled once more, it is taken for healthy, and what waits is due. */
  change(
    applicationId: string,
    endpointId: string,
    change: EndpointChange,
    keyed?: KeyedRequest | null,
  ): Promise<EndpointView | null>;
  /** What waits for it is sent no more. */
  remove(applicationId: string, endpointId: string, keyed?: KeyedRequest | null): Promise<boolean>;
  /** The secret of now becomes the one before, and signs beside the new one for `overlapMs`; the one before that ends. */
  rotate(
    applicationId: string,
    endpointId: string,
    secret: SigningSecret,
    overlapMs: number,
    keyed: KeyedRequest | null,
  ): Promise<EndpointView | null>;
  /** Writes an `endpoint.ping`. Resolves to its delivery's id. */
  ping(applicationId: string, endpointId: string, keyed: KeyedRequest | null): Promise<string | null>;
}
