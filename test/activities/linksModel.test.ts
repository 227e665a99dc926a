import fc from 'fast-check';
import { grantByDefault } from '../../domain/exchange/connection.js';
import { joinedOutcome } from '../../domain/joinedOutcome.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import type { FakeItem } from './fakePlaid.js';
import { account } from './fakePlaid.js';

const applications = ['sees-all', 'is-connected'] as const;

let world: ActivityWorld;
beforeAll(async () => {
  world = await createActivityWorld();
  const [all, connected] = applications;
  await world.sql`
    INSERT INTO applications (application_id, name, access)
    VALUES (${all}, ${all}, 'all'), (${connected}, ${connected}, 'connected')`;
});
afterAll(() => world?.close());

/** Logins of a user at one bank: their accounts by mask. Some are in more than one of them. */
const logins = { whole: ['1', '2', '5'], two: ['1', '2'], joint: ['2', '3'], other: ['4'] } as const;
type Login = keyof typeof logins;

const code = fc.constantFrom(
  ...['PRODUCTS_NOT_SUPPORTED', 'PRODUCT_NOT_READY', 'ITEM_LOGIN_REQUIRED', 'ITEM_NOT_FOUND'],
  ...[
    'USER_PERMISSION_REVOKED',
    'INTERNAL_SERVER_ERROR',
    'INVALID_ACCESS_TOKEN',
    'NO_ACCOUNTS',
    'NO_SUCH_CODE',
  ],
  ...['ACCESS_NOT_GRANTED', 'UNAUTHORIZED_INSTITUTION', 'INVALID_FIELD'],
);
/** One answer of Plaid's that is wrong. */
const odd = fc.oneof(
  fc.record({ kind: fc.constantFrom('getItem', 'getAccounts', 'removeItem'), code }),
  fc.record({ kind: fc.constantFrom('nullList', 'emptyList', 'partOfList', 'noBank'), code }),
  fc.constant(null),
);
type Odd = typeof odd extends fc.Arbitrary<infer One> ? One : never;

const deed = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('links' as const),
      who: fc.nat(1),
      login: fc.constantFrom(...(Object.keys(logins) as Login[])),
      application: fc.constantFrom(...applications),
      /** Its client sends Link's metadata. */
      isTold: fc.boolean(),
      crash: fc.option(fc.constantFrom('link.afterExchange' as const, 'link.afterStore' as const), {
        freq: 3,
      }),
      odd,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('breaks' as const, 'heals' as const, 'isRemoved' as const, 'isUpdated' as const),
      who: fc.nat(9),
      odd,
    }),
  },
);
type Deed = typeof deed extends fc.Arbitrary<infer One> ? One : never;
type Linking = Extract<Deed, { kind: 'links' }>;

const dueAt = { complete: '2030-01-02T00:00:00.000Z', incomplete: '2030-01-01T00:00:00.000Z' };
const methods = ['getItem', 'getAccounts', 'removeItem'] as const;
/** Tries of a link after which it counts as one that hangs. */
const mostTries = 20;
let places = 0;

/** What the property `name` is for the first question; for every later one it is as it was. */
function onceBe(item: FakeItem, name: 'accounts' | 'institution_id', first: unknown): void {
  const right = item[name];
  let isFirst = true;
  Object.defineProperty(item, name, {
    get: () => {
      if (!isFirst) return right;
      isFirst = false;
      return first;
    },
  });
}

/** Two users who link, and Plaid, which answers wrongly now and then. */
class Life {
  private readonly links: { tokenHash: string; item: FakeItem; login: Login; user: string }[] = [];
  private readonly place = (places += 1);

  private say(wrong: Odd, item: FakeItem): void {
    if (wrong === null) return;
    const method = methods.find((name) => name === wrong.kind);
    const body = { error_type: 'ITEM_ERROR', error_code: wrong.code };
    const answer = { status: 400, body, retryAfter: undefined };
    if (method !== undefined) world.plaid.failNext(method, failureOfAnswer(`/${method}`, answer, 0));
    if (wrong.kind === 'nullList') onceBe(item, 'accounts', [null]);
    if (wrong.kind === 'emptyList') onceBe(item, 'accounts', []);
    if (wrong.kind === 'partOfList') onceBe(item, 'accounts', [null, ...item.accounts.slice(1)]);
    if (wrong.kind === 'noBank') onceBe(item, 'institution_id', null);
  }

  private async link({ who, login, application, isTold, crash, odd: wrong }: Linking): Promise<void> {
    const user = `linker-${this.place}-${who}`;
    const accounts = logins[login].map((mask) =>
      account(`${this.place}-${this.links.length}-${mask}`, { name: `Account ${mask}`, mask }),
    );
    const { tokenHash, item } = await world.receive(user, {
      application_id: application,
      connection: grantByDefault(['transactions']),
      ...(isTold
        ? {
            institution_id: 'ins_1',
            accounts: accounts.map(({ account_id: id, ...one }) => ({ ...one, id })),
          }
        : {}),
    });
    item.accounts = accounts;
    this.say(wrong, item);
    world.crashAt = crash;
    this.links.push({ tokenHash, item, login, user });
    await this.toTheEnd(tokenHash);
    world.crashAt = null;
  }

  /** As the workflow `linkItem` goes through it. */
  private async toTheEnd(tokenHash: string): Promise<void> {
    let outcome: LinkOutcome | null = null;
    for (let tries = 1; outcome === null; tries += 1) {
      if (tries > mostTries) throw new Error('the link hangs');
      outcome = await this.advance(tokenHash).catch(() => null);
      await world.sql`
        UPDATE links SET updated_at = updated_at - interval '1 second' WHERE token_hash = ${tokenHash}`;
    }
    const { itemId } = await world.run.loadLink({ tokenHash });
    if (itemId === null || (outcome.kind === 'linked' && outcome.item_id === itemId)) return;
    await world.run.discardItem({ tokenHash }).catch(() => world.run.discardItem({ tokenHash }));
  }

  private async advance(tokenHash: string): Promise<LinkOutcome | null> {
    const { state, itemId, outcome } = await world.run.loadLink({ tokenHash });
    const finish = (end: LinkOutcome) => world.run.finishLink({ tokenHash, outcome: end });
    if (outcome !== null) return outcome;
    if (state === 'exchanging') return world.run.reportLostExchange({ tokenHash });
    if (state === 'received') {
      const { duplicateOf, ended } = await world.run.guardLink({ tokenHash });
      if (ended) return null;
      if (duplicateOf !== null) return finish({ kind: 'duplicate', item_id: duplicateOf });
      const exchange = await world.run.exchangePublicToken({ tokenHash });
      return exchange.kind === 'refused' ? finish(exchange.outcome) : null;
    }
    const end = await world.run.admitItem({ tokenHash });
    switch (end.kind) {
      case 'admitted':
        return finish({
          kind: 'linked',
          item_id: itemId ?? '',
          replaces: end.replaced[0] ?? null,
          warnings: [],
        });
      case 'joined':
        return finish(joinedOutcome(end));
      case 'duplicate':
        return finish({ kind: 'duplicate', item_id: end.itemId });
      case 'user_being_erased':
        return finish({ kind: 'user_being_erased' });
      case 'gone':
        return finish({ kind: 'refused', plaid: end.plaid });
    }
  }

  private async rowOf({ itemId }: FakeItem) {
    const [row] = await world.sql<[{ lives: boolean; leaves: boolean; token: boolean; cursor: string }?]>`
      SELECT admitted_at IS NOT NULL AND removed_at IS NULL AS lives, removal_requested_at IS NOT NULL AS leaves,
        access_token_ciphertext IS NOT NULL AS token, cursor
      FROM items WHERE item_id = ${itemId}`;
    return row;
  }

  private async remove({ itemId }: FakeItem): Promise<void> {
    await world.stores.itemCommands.requestRemoval(itemId, { force: false });
    await world.run.removeItem({ itemId });
  }

  async do(one: Deed): Promise<void> {
    world.plaid.forgetFailures();
    if (one.kind === 'links') return this.link(one);
    const item = this.links[one.who % this.links.length]?.item;
    const row = item && (await this.rowOf(item));
    if (item === undefined || row?.lives !== true) return;
    this.say(one.odd, item);
    const updateId = `u-${item.itemId}-${row.cursor}`;
    switch (one.kind) {
      case 'breaks':
        item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
        return;
      case 'heals':
        item.error = null;
        return;
      case 'isRemoved':
        return this.remove(item).catch(() => undefined);
      case 'isUpdated':
        item.page(row.cursor, `c-${updateId}`, {});
        await world.run.minePage({ itemId: item.itemId, updateId, page: 0, dueAt }).catch(() => undefined);
    }
  }

  /** Plaid answers as it should, and what was to be removed is. */
  async comeToAnEnd(): Promise<void> {
    world.plaid.forgetFailures();
    for (const { item } of this.links) {
      item.error = null;
      const row = await this.rowOf(item);
      if (row?.lives === true && row.leaves) await this.remove(item).catch(() => this.remove(item));
    }
  }

  async faults(): Promise<string[]> {
    const faults: string[] = [];
    const held = new Set<string>();
    for (const { tokenHash, item, login, user } of this.links) {
      const row = await this.rowOf(item);
      const lost = await world.sql`
        SELECT FROM alerts WHERE kind = 'link_outcome_unknown' AND key = ${tokenHash}`;
      const lives = row?.lives === true;
      const isExchanged = row !== undefined;
      if (isExchanged && lost.length === 0 && item.removed === (lives && row.token))
        faults.push(
          `${item.itemId} ${item.removed ? 'is no more' : 'lives'} at Plaid, and here it is not so`,
        );
      for (const mask of lives ? logins[login] : []) {
        if (held.has(`${user} ${mask}`)) faults.push(`${user} has account ${mask} twice`);
        held.add(`${user} ${mask}`);
      }
    }
    return faults;
  }
}

it('no account stands twice, and none lives at Plaid alone, whatever was linked, removed and answered wrongly once', async () => {
  const lives = fc.asyncProperty(fc.array(deed, { minLength: 2, maxLength: 7 }), async (deeds) => {
    const life = new Life();
    for (const one of deeds) await life.do(one);
    await life.comeToAnEnd();
    expect(await life.faults()).toEqual([]);
  });
  await fc.assert(lives, { numRuns: 40 });
});
