import type { Refused } from '../domain/exchange/viewer.js';
import { secretContext } from '../domain/ids.js';
import type { AskingCredentials } from '../domain/ports/items.js';
import type { ItemView } from '../domain/ports/reads.js';
import type { ApiDeps } from './deps.js';
import { Problem } from './errors.js';

/** Why the application may not read: its connection says so. */
const problemOfRefusal = ({ refusal, connectionId, scope }: Refused): Problem =>
  new Problem(refusal, { members: { connection_id: connectionId, ...(scope === null ? {} : { scope }) } });

/** What a store found; what is absent, or was never connected with the viewer, is 404, and what is refused 403. */
export function granted<Found extends object>(found: Found | Refused | null): Found {
  if (found === null) throw new Problem('not_found');
  if ('refusal' in found) throw problemOfRefusal(found);
  return found;
}

/** The item that a path names, and the way to Plaid for it. */
export function itemAccess({ reads, items, secrets }: Pick<ApiDeps, 'reads' | 'items' | 'secrets'>) {
  async function itemOf(itemId: string): Promise<ItemView> {
    const item = await reads.item(itemId);
    if (item === null) throw new Problem('not_found');
    return item;
  }

  /** The token, and what the row said before Plaid is asked with it. */
  async function askingOf({
    item_id,
  }: ItemView): Promise<Pick<AskingCredentials, 'seen' | 'episodeBy' | 'cursor'> & { token: string }> {
    const credentials = await items.credentials(item_id, { forRemoval: false });
    // Asked for and not yet done counts as removed: Plaid may be asked to remove it at any moment.
    if (credentials === null) throw new Problem('item_removed');
    const { accessToken, seen, episodeBy, cursor } = credentials;
    const token = await secrets.open(accessToken, secretContext.accessToken(item_id));
    return { token, seen, episodeBy, cursor };
  }

  const tokenOf = async (item: ItemView): Promise<string> => (await askingOf(item)).token;

  return { itemOf, tokenOf, askingOf };
}
