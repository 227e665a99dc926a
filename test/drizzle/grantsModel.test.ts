import fc from 'fast-check';
import { identityOf } from '../../domain/mining/accounts.js';
import type { PlaidAccount } from '../../domain/plaid.js';
import { broken, grant, metadataOf, nobody, received, world } from './connectionLife.js';
import { account, admission, newApplication, newId, rowsOf, runUpdate, sealed, seenNow } from './world.js';

const names = ['one', 'two', 'three'];
const some = fc.subarray(names, { minLength: 1 });
const app = fc.nat(2);

/** What happens to the Items of one user at one bank, where three applications are. */
const deed = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('links' as const),
      app,
      chosen: some,
      byMetadata: fc.boolean(),
      /** Its first list of accounts comes later. */
      waits: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant('breaks' as const), item: fc.nat() }),
  fc.record({ kind: fc.constant('mends' as const), item: fc.nat() }),
  /** The bank gives its accounts other ids. */
  fc.record({ kind: fc.constant('moves' as const), item: fc.nat() }),
  /** From here on the user shares these with it. */
  fc.record({ kind: fc.constant('shares' as const), item: fc.nat(), chosen: some }),
  fc.record({ kind: fc.constant('takesAway' as const), app, name: fc.constantFrom(...names) }),
);
type Deed = typeof deed extends fc.Arbitrary<infer Value> ? Value : never;
type Link = Extract<Deed, { kind: 'links' }>;

interface Item {
  itemId: string;
  userId: string;
  accounts: PlaidAccount[];
  broken: boolean;
}

/** An application, and the accounts that its user has chosen for it and not taken away since, by name. */
interface App {
  id: string;
  chosen: Set<string>;
}

const named = (name: string): PlaidAccount => account(newId(name), { name, mask: name });
const namesOf = (accounts: readonly { name?: unknown }[]): Set<string> =>
  new Set(accounts.map(({ name }) => String(name)));

async function list(item: Item): Promise<void> {
  const accountsAsOf = new Date().toISOString();
  await runUpdate(world, item, [{}], { accounts: item.accounts, accountsAsOf });
}

async function mend(item: Item): Promise<void> {
  await world.stores.items.setHealthy(item.itemId, await seenNow(world, item.itemId));
  item.broken = false;
}

/** Those of the Items that are not to be removed. */
async function livingOf(items: readonly Item[]): Promise<Item[]> {
  const rows = await world.sql<{ id: string }[]>`
    SELECT item_id AS id FROM items WHERE removal_requested_at IS NULL AND item_id = ANY(${items.map(({ itemId }) => itemId)})`;
  return items.filter(({ itemId }) => rows.some(({ id }) => id === itemId));
}

const connections = (applicationId: string, userId: string) => world.sql<
  { id: string; item_id: string; ids: string[] }[]
>`
  SELECT connection_id AS id, item_id, granted_accounts AS ids FROM connections
  WHERE application_id = ${applicationId} AND user_id = ${userId} AND revoked_at IS NULL`;

async function readBy({ id }: App, userId: string): Promise<Set<string>> {
  const viewer = { applicationId: id, access: 'connected' } as const;
  const of = { userId, includeRemoved: true, format: 'refined' as const };
  return namesOf(rowsOf<{ name: string }>(await world.stores.reads.accounts(viewer, of, 100, null)));
}

/** The Item that a link has made (null: it has joined one), and the accounts of it that are not shared. */
interface Linked {
  item: Item | null;
  lost: Set<string>;
}

/** A link that is taken as `guardLink` and `admitItem` do; null: its application sees the Item already. */
async function link(
  { id }: App,
  { chosen, byMetadata }: Link,
  userId: string,
  items: readonly Item[],
): Promise<Linked | null> {
  const { links } = world.stores;
  const accounts = chosen.map(named);
  const metadata = accounts.map(metadataOf);
  const tokenHash = await received(userId, id, { connection: grant({ new_accounts: false }), metadata });
  for (const { itemId, broken: givesWay } of byMetadata ? items : [])
    if (!givesWay && (await links.join(tokenHash, itemId)) === 'joined')
      return { item: null, lost: new Set() };
  const itemId = newId('item');
  await links.beginExchange(tokenHash);
  await links.storeExchanged(tokenHash, { itemId, accessToken: sealed(itemId) });
  const replaceable = [];
  for (const old of items)
    if (old.broken) replaceable.push({ itemId: old.itemId, seen: await seenNow(world, old.itemId) });
  const offered = accounts.map((raw) => ({ ...identityOf(raw), account_id: raw.account_id }));
  const linking = { accounts: offered, replaceable, mainAccountId: null };
  const end = await links.admit(admission({ itemId, userId, tokenHash }, linking));
  if (end.kind === 'duplicate') await links.finish(tokenHash, { kind: 'duplicate', item_id: end.itemId });
  if (end.kind !== 'admitted' && end.kind !== 'joined') return null;
  const item_id = end.kind === 'joined' ? end.itemId : itemId;
  await links.finish(tokenHash, { kind: 'linked', item_id, replaces: null, warnings: [] });
  const dropped = end.kind === 'joined' ? (end.dropped ?? []) : [];
  const lost = namesOf(accounts.filter(({ account_id: one }) => dropped.includes(one)));
  return { item: end.kind === 'joined' ? null : { itemId, userId, accounts, broken: false }, lost };
}

async function takeAway({ id }: App, userId: string, name: string): Promise<void> {
  const actor = { mayWiden: false, actor: nobody };
  for (const { id: connectionId, item_id, ids } of await connections(id, userId)) {
    const own = await world.sql<{ id: string }[]>`
      SELECT account_id AS id FROM accounts WHERE item_id = ${item_id} AND raw->>'name' = ${name}`;
    const account_ids = ids.filter((one) => !own.some((other) => other.id === one));
    await world.stores.connections.change({ ofUser: userId }, connectionId, { account_ids }, actor);
  }
}

async function play(deeds: readonly Deed[]): Promise<void> {
  const userId = newId('user');
  const apps: App[] = [];
  for (let n = 0; n < 3; n += 1) apps.push({ id: await newApplication(world), chosen: new Set() });
  let items: Item[] = [];
  for (const done of deeds) {
    const one = 'app' in done ? (apps[done.app] as App) : null;
    const item = 'item' in done ? items[done.item % Math.max(1, items.length)] : undefined;
    if (done.kind === 'links' && one !== null) {
      const linked = await link(one, done, userId, items);
      if (linked?.item) items.push(linked.item);
      if (!done.waits) for (const each of await livingOf(items)) if (!each.broken) await list(each);
      if (linked !== null) done.chosen.forEach((name) => one.chosen.add(name));
      const seen = await readBy(one, userId);
      const lacking = done.chosen.filter((name) => !seen.has(name) && linked?.lost.has(name) === false);
      if (!done.waits) expect(lacking).toEqual([]);
    }
    if (done.kind === 'takesAway' && one !== null) {
      for (const each of items) if (!each.broken) await list(each);
      await takeAway(one, userId, done.name);
      one.chosen.delete(done.name);
    }
    if (item !== undefined && done.kind === 'breaks' && !item.broken) {
      await broken(item.itemId);
      item.broken = true;
    }
    if (item?.broken === true && done.kind === 'mends') await mend(item);
    if (item?.broken === false && (done.kind === 'moves' || done.kind === 'shares')) {
      await list(item);
      const now = done.kind === 'moves' ? [...namesOf(item.accounts)] : done.chosen;
      const stay = done.kind === 'moves' ? [] : item.accounts;
      item.accounts = now.map((name) => stay.find((raw) => raw.name === name) ?? named(name));
      await list(item);
    }
    items = await livingOf(items);
    for (const each of apps)
      expect([...(await readBy(each, userId))].filter((name) => !each.chosen.has(name))).toEqual([]);
  }
}

it('no application reads an account that its user has not chosen for it, whatever else happens', async () => {
  await fc.assert(fc.asyncProperty(fc.array(deed, { minLength: 3, maxLength: 9 }), play), { numRuns: 60 });
});
