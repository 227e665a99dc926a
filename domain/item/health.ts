import { Failure, outages } from '../failures.js';
import type { FailureType } from '../failures.js';
import type { UserActionError } from '../mining/run.js';
import type { PlaidItemView } from '../plaid.js';
import { beginsEpisode, blamesCursor, failureTypeOf } from '../plaidErrors.js';
import type { PlaidPort } from '../ports/plaid.js';

/** An error of the Item's own, as Plaid has put it. */
export function saidBy({ type, upstream }: Failure): UserActionError {
  const { error_type, error_code } = upstream ?? { error_type: 'ITEM_ERROR', error_code: type };
  return { error_type, error_code };
}

/** How an Item is by `/item/get`: `outage` when its error is none of its own (its bank is down, say), which begins and ends nothing. */
export type ItemView = { kind: 'healthy' } | { kind: 'outage' | 'broken'; error: UserActionError };

export function healthOf({ error }: Pick<PlaidItemView, 'error'>): ItemView {
  if (error === null) return { kind: 'healthy' };
  const { error_type, error_code } = error;
  const type = failureTypeOf(error);
  return {
    kind: type !== null && beginsEpisode(type) ? 'broken' : 'outage',
    error: { error_type, error_code },
  };
}

/** The error of an Item as the failure of a call that Plaid would have refused with it. */
export const failureOfItem = (error: UserActionError): Failure =>
  new Failure(failureTypeOf(error) ?? 'UPSTREAM_DOWN', 'Plaid names an error of the Item', {
    upstream: { ...error, request_id: null },
  });

/** Whether an update would get what it needs; `refused` for a reason that is the Item's own. */
export type ProductAnswer =
  | { kind: 'works' }
  | { kind: 'refused'; error: UserActionError }
  | { kind: 'unknown'; failure: Failure };

/** Failures after which nobody knows how the product is: somebody else is down, or takes nothing of ours. */
export const saysNothing: ReadonlySet<FailureType> = new Set<FailureType>([
  ...outages,
  'TOKEN_REFUSED',
  'MISCONFIGURED',
]);

/** Whether a refusal of `/transactions/sync` names the cursor, whatever else its code may mean. */
export const isOfCursor = ({ upstream }: Failure): boolean =>
  upstream !== undefined && blamesCursor(upstream.error_code);

/** After these the next update reads from the start: only that says how the product is. */
const givesCursorUp = (failure: Failure): boolean =>
  failure.type === 'PAGES_MOVED' || failure.type === 'BAD_REQUEST' || isOfCursor(failure);

/** Asks for a page of transactions. Resolves also where Plaid says nothing but that there is none now, or not by this cursor. */
async function tryTransactions(
  plaid: Pick<PlaidPort, 'syncTransactions'>,
  token: string,
  cursor: string,
): Promise<void> {
  try {
    await plaid.syncTransactions(token, cursor);
  } catch (error) {
    if (!(error instanceof Failure) || beginsEpisode(error.type)) throw error;
    if (saysNothing.has(error.type) && !isOfCursor(error)) throw error;
    if (cursor !== '' && givesCursorUp(error)) await tryTransactions(plaid, token, '');
  }
}

/**
 * Makes the calls of an update, from its cursor on, or from the start where Plaid takes the cursor no more, and keeps nothing of them.
 * What no user mends (a moved page, say) is left to the next update, and counts as working; the accounts are asked for in any
 * case. Rejects with nothing but what is no Failure.
 */
export async function tryProducts(
  plaid: Pick<PlaidPort, 'syncTransactions' | 'getAccounts'>,
  token: string,
  cursor: string,
): Promise<ProductAnswer> {
  try {
    await tryTransactions(plaid, token, cursor);
    await plaid.getAccounts(token);
    return { kind: 'works' };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (beginsEpisode(error.type)) return { kind: 'refused', error: saidBy(error) };
    return saysNothing.has(error.type) ? { kind: 'unknown', failure: error } : { kind: 'works' };
  }
}

/**
 * What a check of an Item comes to. An episode that `/item/get` had begun ends by its word, unless the products are refused. One
 * that a product call had begun ends when the products work: `/item/get` never knew of it.
 */
export type Verdict =
  | { kind: 'healthy' }
  | { kind: 'broken'; error: UserActionError; byCall: boolean }
  /** Nobody knows: nothing is to be written down. */
  | { kind: 'unknown'; failure: Failure };

export function verdictOf(
  view: 'healthy' | 'outage',
  episodeBy: EpisodeBy,
  products: ProductAnswer,
): Verdict {
  switch (products.kind) {
    case 'works':
      return { kind: 'healthy' };
    case 'refused':
      return { kind: 'broken', error: products.error, byCall: true };
    case 'unknown':
      return view === 'outage' || episodeBy === 'call' ? products : { kind: 'healthy' };
  }
}

/** By whose word an Item's row calls it broken: `/item/get`'s, or that of a product call; null = it is not broken. */
export type EpisodeBy = 'item' | 'call' | null;

/** What `/item/get` says of the Item's connection: till when the user has agreed, whether it works now, and with which bank it is. */
export interface Consent {
  /** ISO 8601; null = the consent does not end. */
  expiresAt: string | null;
  /** There is no error: the bank has not ended the connection so far, whatever it had announced. */
  isConnected: boolean;
  /** Absent = Plaid does not say: what is known of it stays. */
  institution?: { id: string; name: string | null };
}

export const consentOf = (
  view: Pick<PlaidItemView, 'consent_expiration_time' | 'error' | 'institution_id' | 'institution_name'>,
): Consent => ({
  expiresAt: view.consent_expiration_time,
  isConnected: view.error === null,
  ...(view.institution_id === null
    ? {}
    : { institution: { id: view.institution_id, name: view.institution_name } }),
});
