import type { Joined, LinkOutcome } from './ports/links.js';

/** How a link ends that has joined an Item which was there: the answer to each repeat of its public token. */
export function joinedOutcome({ itemId, connection_id, dropped = [] }: Joined): LinkOutcome {
  const lost = dropped.length > 0;
  return {
    kind: 'linked',
    item_id: itemId,
    replaces: null,
    warnings: lost ? ['accounts_dropped'] : [],
    ...(lost ? { dropped_accounts: dropped } : {}),
    connection_id,
    joined: true,
  };
}
