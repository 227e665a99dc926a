import type { Activities } from '../../activities/index.js';
import type { Seen } from '../../domain/ports/items.js';
import type { NewWebhook } from '../../domain/ports/webhooks.js';
import type { WebhookKind } from '../../domain/webhooks/webhookKind.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';

/** Activities on a database of the test file that imports this. */
export let world: ActivityWorld;

beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());
afterEach(() => {
  expect(world.unexpected).toEqual([]);
  world.plaid.calls.length = 0;
});

/** Runs an activity again, as Temporal does when its first answer is lost: nothing may be different. */
export async function twice<Name extends keyof Activities>(
  name: Name,
  input: Parameters<Activities[Name]>[0],
): Promise<Awaited<ReturnType<Activities[Name]>>[]> {
  type Result = Awaited<ReturnType<Activities[Name]>>;
  const activity = world.run[name] as (given: typeof input) => Promise<Result>;
  const first = await activity(input);
  const before = await world.dump();
  const second = await activity(input);
  expect(await world.dump()).toEqual(before);
  return [first, second];
}

export function webhook(itemId: string, kind: WebhookKind, removed_ids: string[] = []): NewWebhook {
  return {
    source: 'plaid',
    verdict: 'accepted',
    body: Buffer.from('{}'),
    headers: {},
    webhook_type: 'TRANSACTIONS',
    webhook_code: kind,
    item_id: itemId,
    kind,
    removed_ids,
    reason: null,
  };
}

/** What the row says to somebody who is about to ask Plaid. */
export async function seenOf({ itemId }: FakeItem): Promise<Seen> {
  const credentials = await world.stores.items.credentials(itemId, { forRemoval: true });
  if (credentials === null) throw new Error('the Item is gone');
  return credentials.seen;
}
export const stateOf = async (tokenHash: string) => (await world.stores.links.get(tokenHash))?.state;
export const typeOf = (error: unknown): unknown => (error as { type?: unknown }).type;
const dueAt = { complete: '2026-11-22T00:00:00.000Z', incomplete: '2026-11-21T00:00:00.000Z' };
export const mine = (item: FakeItem, updateId: string, page = 0) => ({
  itemId: item.itemId,
  updateId,
  page,
  dueAt,
});
