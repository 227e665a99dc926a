import { Failure } from '../failures.js';
import type { PlaidItemView } from '../plaid.js';
import { closesAccounts, failureTypeOf, isGone } from '../plaidErrors.js';

/** Whether an answer of `/item/get` ends the Item, or its accounts; else the view. */
async function doubtful(ask: () => Promise<PlaidItemView>): Promise<PlaidItemView | null> {
  try {
    const view = await ask();
    if (view.error === null) return view;
    const type = failureTypeOf(view.error);
    return (type !== null && isGone(type)) || closesAccounts(view.error.error_code) ? null : view;
  } catch (error) {
    if (error instanceof Failure && isGone(error.type)) return null;
    throw error;
  }
}

/**
 * Asks by `/item/get` how an Item is. That it is gone, that its permission was taken back, or that it has no accounts is believed when Plaid
 * says so twice, with a pause between: connections are suspended for it, and accounts closed, and one answer may be wrong.
 */
export async function askSurely(
  ask: () => Promise<PlaidItemView>,
  pause: () => Promise<unknown>,
): Promise<PlaidItemView> {
  const view = await doubtful(ask);
  if (view !== null) return view;
  await pause();
  return ask();
}
