import type { PlaidInstitution } from '../plaid.js';
import type { PageKey, TextPage } from './pages.js';

/** An institution as clients see it, from the cache. */
export interface InstitutionView {
  institution_id: string;
  name: string;
  country_codes: string[];
  products: string[];
  oauth: boolean;
  url: string | null;
  /** `#rrggbb`. */
  primary_color: string | null;
  /** Base64 PNG. */
  logo: string | null;
  /** Plaid's connection status by product; asked for institutions in use only. */
  status: Record<string, unknown> | null;
  status_at: string | null;
  /** When Plaid was last heard of it. */
  synced_at: string;
  /** Set once a complete sync no longer listed it. */
  vanished_at: string | null;
}

export interface InstitutionStore {
  /** The database's clock, ISO 8601; read before Plaid is asked (`askedAt`): the answer to the latest question stays. */
  now(): Promise<string>;
  /**
   * Upserts one page of the list under the sync's id. What vanished before `askedAt` is back with it; a logo, colour or
   * address that this answer lacks is kept. One that it lists without a name that can be kept (`nameless`) stays as it is known. Resolves to
   * how many of these are known. Safe to repeat.
   */
  savePage(
    syncId: string,
    askedAt: string,
    institutions: readonly PlaidInstitution[],
    nameless?: readonly string[],
  ): Promise<number>;
  /**
   * Ends a sync: when it has saved exactly `expected` institutions, all others are set to vanished, and the alert that
   * a page could not be had goes. Else something moved under it, and nothing is changed; nor where these are most of them, unless the sync
   * before has said so too. `alone`: no other walk has saved anything meanwhile, which takes from each what it has seen. Safe to repeat.
   */
  finishSync(
    syncId: string,
    expected: number,
  ): Promise<{ complete: boolean; vanished: number; alone: boolean }>;
  /**
   * Upserts one institution and its connection status as of `askedAt`; null = Plaid no longer knows it, and has no status. One that
   * Plaid gives under another id than it was asked for: that is remembered as an alias.
   */
  save(institutionId: string, askedAt: string, institution: PlaidInstitution | null): Promise<void>;
  /** Institutions of living Items whose status is older than `since` (ISO), by id, after `after`, up to `last` (included). */
  dueForStatus(since: string, after: string | null, limit: number, last?: string | null): Promise<string[]>;
  /** The institution whose status was asked for last; null before the first. */
  lastAskedForStatus(): Promise<string | null>;
  /** Null when the cache does not hold it. */
  get(institutionId: string): Promise<InstitutionView | null>;
  /** Rows are of `InstitutionView`, without those that vanished. Order: name, then id. */
  page(
    filter: { query?: string | undefined; country?: string | undefined },
    limit: number,
    after: PageKey | null,
  ): Promise<TextPage>;
  /** When the cache was last written, ISO 8601; null before the first sync. */
  asOf(): Promise<string | null>;
  /** Logos by institution, of those that have one. */
  logos(institutionIds: readonly string[]): Promise<Map<string, string>>;
}
