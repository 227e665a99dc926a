import { secretContext } from '../src/domain/ids.js';
import type { ItemView } from '../src/domain/ports.js';
import type { ApiDeps } from './deps.js';
import { Problem } from './errors.js';

/** The item that a path names, and the way to Plaid for it. */
export function itemAccess({ reads, items, secrets }: Pick<ApiDeps, 'reads' | 'items' | 'secrets'>) {
  async function itemOf(itemId: string): Promise<ItemView> {
    const item = await reads.item(itemId);
    if (item === null) throw new Problem('not_found');
    return item;
  }

  async function tokenOf({ item_id }: ItemView): Promise<string> {
    const credentials = await items.credentials(item_id, { forRemoval: false });
    // Asked for and not yet done counts as removed: Plaid may be told at any moment.
    if (credentials === null) throw new Problem('item_removed');
    return secrets.open(credentials.accessToken, secretContext.accessToken(item_id));
  }

  return { itemOf, tokenOf };
}
