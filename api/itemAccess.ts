import { secretContext } from '../domain/ids.js';
import type { Seen } from '../domain/ports/items.js';
import type { ItemView } from '../domain/ports/reads.js';
import type { ApiDeps } from './deps.js';
import { Problem } from './errors.js';

/** The item that a path names, and the way to Plaid for it. */
export function itemAccess({ reads, items, secrets }: Pick<ApiDeps, 'reads' | 'items' | 'secrets'>) {
  async function itemOf(itemId: string): Promise<ItemView> {
    const item = await reads.item(itemId);
    if (item === null) throw new Problem('not_found');
    return item;
  }

  /** The token, and what the row said before Plaid is asked with it. */
  async function askingOf({ item_id }: ItemView): Promise<{ token: string; seen: Seen }> {
    const credentials = await items.credentials(item_id, { forRemoval: false });
    // Asked for and not yet done counts as removed: Plaid may be asked to remove it at any moment.
    if (credentials === null) throw new Problem('item_removed');
    const { accessToken, seen } = credentials;
    return { token: await secrets.open(accessToken, secretContext.accessToken(item_id)), seen };
  }

  const tokenOf = async (item: ItemView): Promise<string> => (await askingOf(item)).token;

  return { itemOf, tokenOf, askingOf };
}
