import type { World } from './world.js';
import { admission, linkedItem, newId, openWorld, runUpdate, sealed, transaction } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** A second link whose public token Plaid exchanges for an Item that is stored already. */
async function exchangeAgain(userId: string, itemId: string): Promise<string> {
  const tokenHash = newId('hash');
  const { links } = world.stores;
  await links.receive({
    token_hash: tokenHash,
    user_id: userId,
    application_id: 'default',
    publicToken: sealed('public'),
    institution_id: null,
    accounts: [],
    main_account_id: null,
  });
  await links.beginExchange(tokenHash);
  await links.storeExchanged(tokenHash, { itemId, accessToken: sealed('another token') });
  return tokenHash;
}

describe("a public token of Link's update mode", () => {
  it('links the Item that the user has, which keeps everything: a refusal would have it removed at Plaid', async () => {
    const item = await linkedItem(world);
    await runUpdate(world, item, [{ added: [transaction('t1')] }]);
    const look = () => world.sql`SELECT * FROM items WHERE item_id = ${item.itemId}`;
    const before = [...(await look())];
    const tokenHash = await exchangeAgain(item.userId, item.itemId);
    expect(await world.stores.links.get(tokenHash)).toMatchObject({
      state: 'exchanged',
      item_id: item.itemId,
    });
    expect(await world.stores.links.admit(admission({ ...item, tokenHash }))).toEqual({
      kind: 'admitted',
      replaced: [],
      dropped: [],
      updated: true,
    });
    expect([...(await look())]).toEqual(before);
  });

  it("is refused for another user's Item and for one that was removed", async () => {
    const item = await linkedItem(world);
    const refused = { name: 'Failure', type: 'INVALID_PUBLIC_TOKEN' };
    await expect(exchangeAgain(newId('user'), item.itemId)).rejects.toMatchObject(refused);
    await world.stores.items.finishRemoval(item.itemId);
    await expect(exchangeAgain(item.userId, item.itemId)).rejects.toMatchObject(refused);
    const [row] = await world.sql`
      SELECT count(*)::int AS n FROM links WHERE item_id = ${item.itemId} AND token_hash <> ${item.tokenHash}`;
    expect(row).toEqual({ n: 0 });
  });
});
