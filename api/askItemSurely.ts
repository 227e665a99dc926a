import { setTimeout as sleep } from 'node:timers/promises';
import { askSurely } from '../domain/item/askSurely.js';
import type { PlaidItemView } from '../domain/plaid.js';
import { askItem } from '../domain/webhookAddress.js';

/** A client waits meanwhile. */
const doubtPauseMs = 500;

/** `/item/get`, asked for twice before anything is taken away by its word. */
export const askItemSurely = (
  deps: Parameters<typeof askItem>[0],
  itemId: string,
  token: string,
): Promise<PlaidItemView> =>
  askSurely(
    () => askItem(deps, itemId, token),
    () => sleep(doubtPauseMs),
  );
