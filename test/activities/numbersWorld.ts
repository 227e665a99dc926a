import { ourselves } from '../../domain/exchange/viewer.js';
import { secretContext } from '../../domain/ids.js';
import { unrefused, webhook } from '../drizzle/world.js';
import type { ActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';

export const reader = { key_id: 'key', request_id: 'request' };

/** What `/auth/get` says of these accounts. */
export const numbersOf = (accountIds: readonly string[], number = 'good') =>
  accountIds.map((account_id) => ({
    account_id,
    ach: [{ account: `${number} ${account_id}`, routing: '011401533' }],
    eft: [],
    international: [],
    bacs: [],
  }));

/** A webhook (`AUTH/DEFAULT_UPDATE`) that was received, and not acted on yet. */
export async function heardOf(
  { stores }: ActivityWorld,
  { itemId }: FakeItem,
  name: string,
  more: Record<string, unknown>,
): Promise<string> {
  const [webhook_type, code = ''] = name.split('/');
  return (await stores.webhooks.store(webhook(itemId, code, { webhook_type, ...more }))).webhookId;
}

/** What the one door gives of an Item: account → its number, or why it is withheld or missing. */
export async function givenOf(
  { stores, secrets }: ActivityWorld,
  { itemId }: FakeItem,
): Promise<Record<string, string>> {
  const read = unrefused(await stores.numbers.read(ourselves, itemId, reader));
  if (read === null) throw new Error('no such Item');
  const opened = await Promise.all(
    read.numbers.map(async ({ accountId, sealed }) => {
      const text = await secrets.open(sealed, secretContext.accountNumbers(itemId, accountId));
      return [accountId, (JSON.parse(text) as { ach: { account: string }[] }).ach[0]?.account ?? ''];
    }),
  );
  const others = [...read.withheld, ...read.missing].map(({ accountId, reason }) => [accountId, reason]);
  return Object.fromEntries([...opened, ...others]) as Record<string, string>;
}
