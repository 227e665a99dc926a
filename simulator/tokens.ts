import type { Product } from './item/item.js';

/** Simulated: how long a public token can be exchanged. */
export const PUBLIC_TOKEN_TTL_MS = 30 * 60_000;
/** Real time: four hours for a new Item, half an hour in update mode. */
export const LINK_TOKEN_TTL_MS = 4 * 60 * 60_000;
export const UPDATE_LINK_TOKEN_TTL_MS = 30 * 60_000;

export interface PublicToken {
  token: string;
  itemId: string;
  clientId: string | null;
  expiresAt: number;
  used: boolean;
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
}
