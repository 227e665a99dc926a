import type { World } from './world.js';
import { linkedItem, lockWaiters, openWorld, prompt } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };

/** An event is told while a sender, who has read that nothing is left, writes so. */
async function toldBeside(itemId: string, send: () => Promise<unknown>): Promise<void> {
  let sending: Promise<unknown> = Promise.resolve();
  await world.sql.begin(async (tx) => {
    await tx`UPDATE items SET error_since = NULL WHERE item_id = ${itemId}`;
    sending = send();
    await lockWaiters(world, 1);
    await tx`
      INSERT INTO segment_events (message_id, item_id, user_id, event, properties)
      VALUES (${`${itemId}:repaired:1`}, ${itemId}, 'u', 'item repaired', '{}')`;
    await tx`UPDATE items SET segment_due_at = coalesce(segment_due_at, now()) WHERE item_id = ${itemId}`;
  });
  await sending;
}

it.each(['recordSent', 'unsent'] as const)('%s hides no event that is told at that moment', async (by) => {
  const { itemId } = await linkedItem(world);
  const { items, segment } = world.stores;
  await prompt(world).setBroken(itemId, loginRequired, '2030-01-01T00:00:00.000Z');
  const [first] = await segment.unsent(itemId, 10);
  const sent = [first?.messageId ?? ''];
  if (by === 'unsent') {
    // Sent, and the sender died before it noted that nothing is left.
    await world.sql`UPDATE segment_events SET sent_at = now() WHERE item_id = ${itemId}`;
  }
  await toldBeside(itemId, () =>
    by === 'recordSent' ? segment.recordSent(itemId, sent) : segment.unsent(itemId, 10),
  );
  expect(await items.snapshot(itemId)).toMatchObject({ due: expect.arrayContaining(['segment']) as unknown });
  expect((await segment.unsent(itemId, 10)).map(({ event }) => event)).toEqual(['item repaired']);
  await segment.recordSent(itemId, [`${itemId}:repaired:1`]);
  expect(await items.snapshot(itemId)).toMatchObject({
    due: expect.not.arrayContaining(['segment']) as unknown,
  });
});

it('what was dropped while nobody had a write key is not told when somebody has one', async () => {
  const { itemId } = await linkedItem(world);
  const { segment } = world.stores;
  const { setBroken, setHealthy } = prompt(world);
  await setBroken(itemId, loginRequired, '2030-01-01T00:00:00.000Z');
  await setHealthy(itemId);
  await segment.discard(itemId);
  await setBroken(itemId, loginRequired, '2030-01-01T00:00:00.000Z');
  await setHealthy(itemId);
  expect((await segment.unsent(itemId, 10)).map(({ messageId }) => messageId)).toEqual([
    `${itemId}:errored:2`,
    `${itemId}:repaired:2`,
  ]);
});
