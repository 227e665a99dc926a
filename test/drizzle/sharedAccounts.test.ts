import { ourselves } from '../../domain/exchange/viewer.js';
import { identityOf } from '../../domain/mining/accounts.js';
import { account, linkedItem, openWorld, runUpdate, shownItem } from './world.js';
import type { TestItem, World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const checking = (id: string) => account(id, { name: 'Checking', mask: '1111' });
const savings = (id: string) => account(id, { name: 'Savings', mask: '2222', subtype: 'savings' });

async function minedItem(): Promise<TestItem> {
  const item = await linkedItem(world);
  await runUpdate(world, item, [{}], { accounts: [checking('a')] });
  return item;
}
const tellOfNewAccounts = ({ itemId }: TestItem) =>
  world.sql`UPDATE items SET new_accounts_available = true WHERE item_id = ${itemId}`;
const asksForNew = async ({ itemId }: TestItem) => (await shownItem(world, itemId))?.new_accounts_available;
const picked = ({ itemId, userId }: TestItem) =>
  world.stores.reads.pickForUpdateMode(ourselves, userId, itemId);

describe('new accounts that Plaid has told of', () => {
  it('are no more to be shared once an update brings one, whether or not the client says so', async () => {
    const item = await minedItem();
    await tellOfNewAccounts(item);
    await runUpdate(world, item, [{}], { accounts: [checking('a')] });
    expect(await asksForNew(item)).toBe(true);
    await runUpdate(world, item, [{}], { accounts: [checking('a'), savings('b')] });
    expect(await asksForNew(item)).toBe(false);
  });

  it('are others than those that the item was linked with, which the first lists bring', async () => {
    const item = await linkedItem(world);
    await tellOfNewAccounts(item);
    // The list is refused: an account of the first ones comes later than the others.
    await runUpdate(world, item, [{}], { accounts: [checking('a')], accountsRefused: true });
    expect(await asksForNew(item)).toBe(true);
    await runUpdate(world, item, [{}], { accounts: [checking('a'), savings('b')] });
    expect(await asksForNew(item)).toBe(true);
    await runUpdate(world, item, [{}], { accounts: [checking('a'), savings('b'), savings('c')] });
    expect(await asksForNew(item)).toBe(false);
  });

  it('may be shared before the first list: it brings more than the item was linked with', async () => {
    const accounts = [checking('a'), savings('b')].map((raw) => identityOf(raw));
    for (const [linked, isAsked] of [[accounts.slice(0, 1), false] as const, [accounts, true] as const]) {
      const item = await linkedItem(world, { accounts: linked });
      await tellOfNewAccounts(item);
      await runUpdate(world, item, [{}], { accounts: [checking('a'), savings('b')] });
      expect(await asksForNew(item)).toBe(isAsked);
    }
  });

  it('are others than the one that takes the place of a closed one', async () => {
    const item = await minedItem();
    await tellOfNewAccounts(item);
    await runUpdate(world, item, [{}], { accounts: [checking('a2')] });
    expect(await asksForNew(item)).toBe(true);
  });
});

describe('an Item that has lost accounts', () => {
  it('is known by one that is closed or revoked, and not by one whose place was taken', async () => {
    const item = await minedItem();
    expect((await picked(item))?.lostAccounts).toBe(false);
    await runUpdate(world, item, [{}], { accounts: [checking('a2')] });
    expect((await picked(item))?.lostAccounts).toBe(false);
    await runUpdate(world, item, [{}], { accounts: [savings('b')] });
    expect((await picked(item))?.lostAccounts).toBe(true);

    const other = await minedItem();
    await world.sql`UPDATE accounts SET revoked_at = now() WHERE item_id = ${other.itemId}`;
    expect((await picked(other))?.lostAccounts).toBe(true);
  });
});
