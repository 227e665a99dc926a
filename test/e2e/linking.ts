import type { System } from './system.js';

/** A JSON object whose fields the tests look into. */

export type Json = Record<string, any>;

/** An Item that a user has made in Link and that nobody has exchanged yet. */
export interface FreshItem {
  publicToken: string;
  itemId: string;
}

/** The user goes through Link with a link token of ours: two-year history, our webhook address. */
export async function goThroughLink(
  system: Pick<System, 'api' | 'sim'>,
  userId: string,
  login: { institution_id?: string; username?: string; password?: string } = {},
): Promise<FreshItem> {
  const { status, body } = await system.api('POST', `/v1/users/${userId}/link-token`, { mode: 'create' });
  if (status !== 200) throw new Error(`no link token: ${status} ${JSON.stringify(body)}`);
  const made = await system.sim('/_sim/link', { link_token: body['link_token'], ...login });
  return { publicToken: made['public_token'], itemId: made['item_id'] };
}

/** How often Plaid was called on one path since the simulator started. */
export async function callsOf(system: Pick<System, 'sim'>, path: string): Promise<number> {
  const { calls } = await system.sim<{ calls: { path: string; count: number }[] }>('/_sim/calls');
  return calls.filter((call) => call.path === path).reduce((sum, call) => sum + call.count, 0);
}

/** The Items that live at Plaid: exchanged and not removed. */
export async function itemsAtPlaid(system: Pick<System, 'sim'>): Promise<string[]> {
  const { items } = await system.sim<{ items: { item_id: string; removed: boolean }[] }>('/_sim/items');
  return items.filter(({ removed }) => !removed).map(({ item_id }) => item_id);
}

/**
 * Books at the bank without telling anybody, and returns the transaction's id, once the Item is at rest: a run that was
 * asked for while another ran would bring the booking in by itself, and then a later effect would prove nothing.
 */
export async function bookUntold(system: Pick<System, 'sim' | 'sql'>, itemId: string): Promise<string> {
  for (;;) {
    const { added } = await system.sim<{ added: [string] }>(`/_sim/items/${itemId}/transactions`, {
      add: [{ amount: 12.34, name: 'Untold' }],
    });
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const [row] = await system.sql`SELECT 1 FROM transactions WHERE transaction_id = ${added[0]}`;
    if (row === undefined) return added[0];
  }
}
