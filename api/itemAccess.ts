import type { Need, Refused, Viewer } from '../domain/exchange/viewer.js';
import { secretContext } from '../domain/ids.js';
import type { AskingCredentials } from '../domain/ports/items.js';
import type { ItemView } from '../domain/ports/reads.js';
import type { ApiDeps } from './deps.js';
import { Problem } from './errors.js';

/** Why the application may not read: its connection says so. */
export const problemOfRefusal = ({ refusal, connectionId, scope }: Refused): Problem =>
  new Problem(refusal, { members: { connection_id: connectionId, ...(scope === null ? {} : { scope }) } });

/** What a store found; what is absent, or was never connected with the viewer, is 404, and what is refused 403. */
export function granted<Found extends object>(found: Found | Refused | null): Found {
  if (found === null) throw new Problem('not_found');
  if ('refusal' in found) throw problemOfRefusal(found);
  return found;
}

/** The item that a path names, and the way to Plaid for it. */
export function itemAccess({ reads, secrets }: Pick<ApiDeps, 'reads' | 'secrets'>) {
  const itemOf = async (viewer: Viewer, itemId: string, need: Need): Promise<ItemView> =>
    granted(await reads.item(viewer, itemId, need));

  /** The token, and what the row said before Plaid is asked with it. */
  async function askingOf(
    viewer: Viewer,
    { item_id }: ItemView,
    need: Need,
  ): Promise<Pick<AskingCredentials, 'seen' | 'episodeBy' | 'cursor'> & { token: string }> {
    const credentials = await reads.asking(viewer, item_id, need);
    // Asked for and not yet done counts as removed: Plaid may be asked to remove it at any moment.
    if (credentials === null) throw new Problem('item_removed');
    const { accessToken, seen, episodeBy, cursor } = granted(credentials);
    const token = await secrets.open(accessToken, secretContext.accessToken(item_id));
    return { token, seen, episodeBy, cursor };
  }

  const tokenOf = async (viewer: Viewer, item: ItemView, need: Need): Promise<string> =>
    (await askingOf(viewer, item, need)).token;

  return { itemOf, tokenOf, askingOf };
}
