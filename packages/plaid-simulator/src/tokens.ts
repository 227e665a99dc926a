import type { Product } from './item/item.js';
import type { WireAssetReport } from './wire.js';

/** Simulated: how long a public token can be exchanged. */
export const PUBLIC_TOKEN_TTL_MS = 30 * 60_000;
/** Real time: four hours for a new Item, half an hour in update mode. */
export const LINK_TOKEN_TTL_MS = 4 * 60 * 60_000;
export const UPDATE_LINK_TOKEN_TTL_MS = 30 * 60_000;
/** Real time: a Hosted Link URL that Plaid does not deliver itself, and the longest that can be asked for. */
export const HOSTED_LINK_TTL_MS = 30 * 60_000;
export const LONGEST_HOSTED_LINK_TTL_S = 21 * 24 * 60 * 60;

export interface PublicToken {
  token: string;
  itemId: string;
  clientId: string | null;
  expiresAt: number;
  used: boolean;
}

/** What an application wants to know of its user's Items. */
export interface ReportRequest {
  reportId: string;
  itemIds: string[];
  days: number;
  clientReportId: string | null;
  user: WireAssetReport['user'];
  withInvestments: boolean;
}

/** An Asset Report, known by its token. */
export interface ReportToken {
  token: string;
  clientId: string | null;
  request: ReportRequest;
  /** Where to say that it is ready. */
  webhook: string | null;
  /** Simulated: when it is made. */
  readyAt: number;
  /** `null`: it is not made yet. */
  report: WireAssetReport | null;
}

export interface LinkToken {
  token: string;
  clientId: string | null;
  /** Real milliseconds. */
  createdAt: number;
  expiresAt: number;
  products: Product[];
  /** Asked for only where the institution has them. */
  productsIfSupported: Product[];
  /** Products that the user is asked to consent to, without their being used yet. */
  productsConsented?: Product[];
  /** Plaid's user to whom the session's Item will belong. */
  userId?: string | undefined;
  webhook: string | null;
  countryCodes: string[];
  language: string;
  clientName: string;
  /** The client id that asked for it, also when tokens are bound to no client. */
  application: string;
  /** Cross-application Link: the client id of the application that gets an Item of the same login, by consent alone. */
  targetApplication: string | null;
  redirectUri: string | null;
  daysRequested: number | null;
  /** Set in update mode. */
  itemId: string | null;
  /** Account types and their subtypes that Link shows (`all` for every subtype); `null`: every account. */
  accountFilters: AccountFilters | null;
  /** Update mode: the user may also choose other accounts. */
  accountSelection: boolean;
  /** Link begins at this institution instead of the list. */
  institutionId: string | null;
  /** Set when a Hosted Link was asked for. */
  hostedLink: HostedLink | null;
}

export type AccountFilters = Record<string, { account_subtypes: string[] }>;

export interface HostedLink {
  /** Where the browser goes when the session is over. */
  completionRedirectUri: string | null;
  /** Gets the LINK webhooks, in update mode too, where `LinkToken.webhook` is not set. */
  webhook: string | null;
}
