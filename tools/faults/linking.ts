import { advance, change, rows } from './bank.js';
import { isAnswered } from './patientClient.js';
import type { World } from './world.js';

type LinkAnswer = { item_id?: string; code?: string };

/**
 * Links as a client does that tries the same public token until it is answered, and sends the user through Link anew when nobody knows what
 * became of it.
 */
export async function linkPatiently({ system, client, count }: World, user: string): Promise<string> {
  for (;;) {
    const { public_token } = await system.sim<{ public_token: string }>('/sandbox/public_token/create', {
      institution_id: 'ins_109508',
      initial_products: ['transactions', 'auth'],
      options: {
        webhook: `${system.urls.api}/webhooks/plaid`,
        override_username: `fault_${user}`,
        transactions: { days_requested: 730 },
      },
    });
    const { status, body } = await client.send<LinkAnswer>(
      'POST',
      `/v1/users/${user}/items`,
      { public_token },
      (answer) => isUnknown(answer.body) || (answer.status !== 202 && isAnswered(answer)),
    );
    if (isUnknown(body)) {
      count('link whose outcome nobody knows');
      continue;
    }
    // 200: an attempt that nobody heard the answer of had linked it.
    if ((status === 201 || status === 200) && body.item_id !== undefined) return body.item_id;
    throw new Error(`link: ${status} ${JSON.stringify(body)}`);
  }
}

const isUnknown = (body: LinkAnswer): boolean => body.code === 'link_outcome_unknown';

/** An Item whose whole history Plaid has just read: `more` rows beyond those that every Item has. */
export async function linkWithHistory(world: World, user: string, more: number): Promise<string> {
  const itemId = await linkPatiently(world, user);
  await change(world.system, itemId, { add: rows(more) });
  await advance(world.system, itemId, 'historical');
  return itemId;
}
