import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { ourselves } from '../../domain/exchange/viewer.js';
import type { Activities } from '../../activities/index.js';
import type { PlaidPort } from '../../domain/ports/plaid.js';
import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import { defaultPolicy } from '../../domain/item/policy.js';
import { streamNames } from '../../domain/mining/events.js';
import type { Seen } from '../../domain/ports/items.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { StreamPort } from '../../domain/ports/outbox.js';
import type { NewWebhook } from '../../domain/ports/webhooks.js';
import type { WebhookKind } from '../../domain/webhooks/webhookKind.js';
import { readWebhook } from '../../domain/webhooks/webhook.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import type { ActivityWorld } from './activityWorld.js';
import { createActivityWorld } from './activityWorld.js';
import { institution } from './fakeDirectory.js';
import type { PlaidAccount, PlaidTransaction } from '../../domain/plaid.js';
import type { FakeItem } from './fakePlaid.js';
import { account, transaction } from './fakePlaid.js';
import { holdAnswer } from './heldPlaid.js';

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
formats.default(ajv);
const schemas = new URL('../../schemas/', import.meta.url);
for (const file of readdirSync(schemas).filter((name) => name.endsWith('.json'))) {
  ajv.addSchema(JSON.parse(readFileSync(new URL(file, schemas), 'utf8')) as object);
}

/** What is wrong with an event by the schema of the streams. */
function streamErrors(event: unknown): string[] {
  const validate = ajv.getSchema('urn:sluice:schema:event');
  if (validate === undefined) throw new Error('no schema of events');
  return validate(event)
    ? []
    : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
}

let world: ActivityWorld;
const proven = new Set<string>();

beforeAll(async () => {
  world = await createActivityWorld();
});
afterAll(() => world?.close());
afterEach(() => {
  expect(world.unexpected).toEqual([]);
  world.plaid.calls.length = 0;
});

/** Runs an activity again, as Temporal does when its first answer is lost: nothing may be different. */
async function twice<Name extends keyof Activities>(
  name: Name,
  input: Parameters<Activities[Name]>[0],
): Promise<Awaited<ReturnType<Activities[Name]>>[]> {
  type Result = Awaited<ReturnType<Activities[Name]>>;
  const activity = world.run[name] as (given: typeof input) => Promise<Result>;
  const first = await activity(input);
  const before = await world.dump();
  const second = await activity(input);
  expect(await world.dump()).toEqual(before);
  proven.add(name);
  return [first, second];
}

function webhook(itemId: string, kind: WebhookKind, removed_ids: string[] = []): NewWebhook {
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
async function seenOf({ itemId }: FakeItem): Promise<Seen> {
  const credentials = await world.stores.items.credentials(itemId, { forRemoval: true });
  if (credentials === null) throw new Error('the Item is gone');
  return credentials.seen;
}
const stateOf = async (tokenHash: string) => (await world.stores.links.get(tokenHash))?.state;
const typeOf = (error: unknown): unknown => (error as { type?: unknown }).type;
const dueAt = { complete: '2026-11-22T00:00:00.000Z', incomplete: '2026-11-21T00:00:00.000Z' };
const mine = (item: FakeItem, updateId: string, page = 0) => ({ itemId: item.itemId, updateId, page, dueAt });

describe('exchanging a public token', () => {
  it('happens once, also when the activity runs again or twice at the same moment', async () => {
    const { tokenHash, item } = await world.receive();
    expect(await twice('exchangePublicToken', { tokenHash })).toEqual([
      { kind: 'exchanged', itemId: item.itemId },
      { kind: 'settled' },
    ]);
    expect(world.plaid.count('exchangePublicToken')).toBe(1);

    const other = await world.receive();
    const both = await Promise.all(
      [1, 2].map(() => world.run.exchangePublicToken({ tokenHash: other.tokenHash })),
    );
    expect(both.map(({ kind }) => kind).sort()).toEqual(['exchanged', 'settled']);
    expect(world.plaid.count('exchangePublicToken')).toBe(2);
  });

  it('is not begun by who cannot seal the access token, and can be begun later', async () => {
    const { tokenHash, item } = await world.receive();
    const secrets = { ...world.secrets };
    const before = world.plaid.count('exchangePublicToken');
    world.secrets.seal = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'no key service'));
    await expect(world.run.exchangePublicToken({ tokenHash })).rejects.toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
    Object.assign(world.secrets, secrets);
    expect([await stateOf(tokenHash), world.plaid.count('exchangePublicToken')]).toEqual([
      'received',
      before,
    ]);
    expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({
      kind: 'exchanged',
      itemId: item.itemId,
    });
  });

  it('is never repeated when the answer is lost, and reported once', async () => {
    const { tokenHash } = await world.receive('lost');
    // It had failed for long before: that is told no more when it has ended.
    await world.sql`
      UPDATE links SET created_at = created_at - interval '11 minutes' WHERE token_hash = ${tokenHash}`;
    const lost = new Failure('UPSTREAM_DOWN', 'cut', { outcomeUnknown: true });
    world.plaid.failNext('exchangePublicToken', lost);
    await expect(world.run.exchangePublicToken({ tokenHash })).rejects.toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
    expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({ kind: 'settled' });
    expect([await stateOf(tokenHash), world.plaid.count('exchangePublicToken')]).toEqual(['exchanging', 1]);
    const outcome = { kind: 'outcome_unknown' };
    expect(await twice('reportLostExchange', { tokenHash })).toEqual([outcome, outcome]);
    expect(await world.sql`SELECT kind FROM alerts WHERE key = ${tokenHash}`).toEqual([
      { kind: 'link_outcome_unknown' },
    ]);
  });

  it('may be repeated when Plaid has certainly done nothing', async () => {
    const { tokenHash, item } = await world.receive();
    world.plaid.failNext('exchangePublicToken', 'RATE_LIMITED');
    const refused = await world.run.exchangePublicToken({ tokenHash }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ type: 'RATE_LIMITED', nonRetryable: false });
    expect(await stateOf(tokenHash)).toBe('received');
    expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({
      kind: 'exchanged',
      itemId: item.itemId,
    });
  });

  it('ends as refused when Plaid does not take the token', async () => {
    const { tokenHash } = await world.receive();
    const upstream = {
      error_type: 'INVALID_INPUT',
      error_code: 'INVALID_PUBLIC_TOKEN',
      request_id: 'request-1',
    };
    world.plaid.failNext('exchangePublicToken', new Failure('INVALID_PUBLIC_TOKEN', 'no', { upstream }));
    expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({
      kind: 'refused',
      outcome: { kind: 'invalid_public_token', plaid: upstream },
    });
  });

  it('removes the Item at Plaid when its access token cannot be stored', async () => {
    const { tokenHash, item } = await world.receive();
    const links = {
      ...world.stores.links,
      storeExchanged: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'the database is away')),
    };
    const run = world.runWith({ links });
    expect(typeOf(await run.exchangePublicToken({ tokenHash }).catch((error: unknown) => error))).toBe(
      'UPSTREAM_DOWN',
    );
    expect([item.removed, await stateOf(tokenHash)]).toEqual([true, 'exchanging']);
    expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({ kind: 'settled' });
  });

  it('never removes an Item that lives here already, or may live here for all that can be seen', async () => {
    const away = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'the database is away'));
    const links = { ...world.stores.links, storeExchanged: away };
    const blind = { items: { ...world.stores.items, credentials: away } };
    // Link's update mode: the public token is of the Item that the user has.
    const updateMode = async (user: string) => {
      const lives = await world.linkedItem(user);
      const updated = await world.receive(user);
      for (const [token, item] of world.plaid.linkable) {
        if (item === updated.item) world.plaid.linkable.set(token, lives);
      }
      return { lives, tokenHash: updated.tokenHash };
    };
    const [seen, unseen] = [await updateMode('update-mode'), await updateMode('update-mode-unseen')];
    // The commit went through, and this worker never hears of it: another one goes on.
    const stored = await world.receive('stored');
    const unheard: typeof world.stores.links.storeExchanged = async (...given) => {
      await world.stores.links.storeExchanged(...given).catch(() => undefined);
      return away();
    };
    const ends = await Promise.allSettled([
      world.runWith({ links }).exchangePublicToken({ tokenHash: seen.tokenHash }),
      world.runWith({ links, ...blind }).exchangePublicToken({ tokenHash: unseen.tokenHash }),
      world
        .runWith({ links: { ...links, storeExchanged: unheard }, ...blind })
        .exchangePublicToken({ tokenHash: stored.tokenHash }),
    ]);
    expect(ends.map((end) => end.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect([seen.lives.removed, unseen.lives.removed, stored.item.removed]).toEqual([false, false, false]);
    expect(await world.run.admitItem({ tokenHash: stored.tokenHash })).toMatchObject({ kind: 'admitted' });
    // Told, never hidden.
    expect(await world.run.reportLostExchange({ tokenHash: unseen.tokenHash })).toEqual({
      kind: 'outcome_unknown',
    });
  });

  it("of another user's Item ends as one that is none, and the Item is left alone", async () => {
    const theirs = await world.linkedItem('owner');
    const { tokenHash, item } = await world.receive('stranger');
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      exchangePublicToken: async () => ({ accessToken: item.accessToken, itemId: theirs.itemId }),
    });
    expect(await world.runWith({ plaid }).exchangePublicToken({ tokenHash })).toEqual({
      kind: 'refused',
      outcome: { kind: 'invalid_public_token', plaid: null },
    });
    const outcome = { kind: 'invalid_public_token' as const, plaid: null };
    expect(await world.run.finishLink({ tokenHash, outcome })).toEqual(outcome);
    expect(theirs.removed).toBe(false);
    expect(await world.sql`SELECT 1 FROM alerts WHERE key = ${tokenHash}`).toHaveLength(0);
  });

  it('that cannot begin, since the public token does not open, may begin later', async () => {
    const { tokenHash } = await world.receive();
    const secrets = {
      ...world.secrets,
      open: () => Promise.reject(new Failure('SECRET_UNREADABLE', 'no key')),
    };
    await expect(world.runWith({ secrets }).exchangePublicToken({ tokenHash })).rejects.toMatchObject({
      type: 'SECRET_UNREADABLE',
    });
    expect([await stateOf(tokenHash), world.plaid.count('exchangePublicToken')]).toEqual(['received', 0]);
    expect(await world.run.exchangePublicToken({ tokenHash })).toMatchObject({ kind: 'exchanged' });
  });

  it('killed around the call or after the store leaves a state that tells which', async () => {
    for (const [point, state, calls] of [
      ['link.beforeExchange', 'exchanging', 0],
      ['link.afterExchange', 'exchanging', 1],
      ['link.afterStore', 'exchanged', 1],
    ] as const) {
      const { tokenHash } = await world.receive();
      world.plaid.calls.length = 0;
      world.crashAt = point;
      await expect(world.run.exchangePublicToken({ tokenHash })).rejects.toThrow();
      expect(await world.run.exchangePublicToken({ tokenHash })).toEqual({ kind: 'settled' });
      const seen = [point, await stateOf(tokenHash), world.plaid.count('exchangePublicToken')];
      expect(seen).toEqual([point, state, calls]);
    }
  });
});

describe('the other steps of a link', () => {
  it('loadLink, guardLink and admitItem answer alike when they run again', async () => {
    const first = await world.linkedItem('guarded');
    const metadata = {
      institution_id: 'ins_1',
      accounts: [{ mask: '0000', name: 'Checking', type: 'depository', subtype: 'checking' }],
    };
    const { tokenHash } = await world.receive('guarded', metadata);
    const row = { state: 'received', userId: 'guarded', itemId: null, outcome: null };
    expect(await twice('loadLink', { tokenHash })).toEqual([row, row]);
    const found = { duplicateOf: first.itemId };
    expect(await twice('guardLink', { tokenHash })).toEqual([found, found]);

    const fresh = await world.receive('newcomer', { main_account_id: 'none of its' });
    await world.run.exchangePublicToken({ tokenHash: fresh.tokenHash });
    const admitted = { kind: 'admitted', replaced: [], dropped: [], warnings: ['main_account_unknown'] };
    expect(await twice('admitItem', { tokenHash: fresh.tokenHash })).toEqual([admitted, admitted]);
    const [item] = await world.sql`SELECT main_account_id FROM items WHERE item_id = ${fresh.item.itemId}`;
    expect(item?.['main_account_id']).toBe('account-1');
  });

  it('admitItem names the replaced Item again when its first answer was lost', async () => {
    const old = await world.linkedItem('replacing');
    old.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    const { tokenHash, item } = await world.receive('replacing');
    await world.run.exchangePublicToken({ tokenHash });
    const admitted = { kind: 'admitted', replaced: [old.itemId], dropped: [], warnings: [] };
    expect(await twice('admitItem', { tokenHash })).toEqual([admitted, admitted]);
    const input = { tokenHash, itemId: item.itemId, userId: 'replacing', replaced: [old.itemId] };
    world.signals.length = 0;
    await twice('startItem', input);
    const once = [
      { itemId: item.itemId, signal: 'linked' },
      { itemId: old.itemId, signal: 'removalRequested' },
    ];
    expect(world.signals).toEqual([...once, ...once]);
  });

  it('admitItem takes an Item whose products do not answer yet, and none that Plaid no longer knows', async () => {
    for (const failure of ['NOT_READY', 'LOGIN_REQUIRED', 'PRODUCT_UNAVAILABLE'] as const) {
      const { tokenHash } = await world.receive(`early-${failure}`);
      await world.run.exchangePublicToken({ tokenHash });
      world.plaid.failNext('getAccounts', failure);
      expect(await world.run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted' });
    }
    const { tokenHash } = await world.receive('gone');
    await world.run.exchangePublicToken({ tokenHash });
    world.plaid.failNext('getAccounts', 'UPSTREAM_DOWN');
    await expect(world.run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    world.plaid.failNext('getItem', 'ITEM_GONE');
    world.plaid.failNext('getItem', 'ITEM_GONE');
    expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'gone', plaid: null });
  });

  it('admitItem replaces an Item whose permission was taken back, and waits when Plaid does not say', async () => {
    const old = await world.linkedItem('revoked');
    const { tokenHash } = await world.receive('revoked');
    await world.run.exchangePublicToken({ tokenHash });
    let answer = new Failure('UPSTREAM_DOWN', 'not now');
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getItem: (token: string) =>
        token === old.accessToken ? Promise.reject(answer) : world.plaid.getItem(token),
      getAccounts: (token: string) =>
        token === old.accessToken ? Promise.reject(answer) : world.plaid.getAccounts(token),
    });
    const run = world.runWith({ plaid });
    await expect(run.admitItem({ tokenHash })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    answer = new Failure('PERMISSION_REVOKED', 'no');
    expect(await run.admitItem({ tokenHash })).toMatchObject({ kind: 'admitted', replaced: [old.itemId] });
  });

  it('discardItem removes a duplicate at Plaid once, and it never was an Item of the user', async () => {
    const first = await world.linkedItem('twice');
    const { tokenHash, item } = await world.receive('twice');
    await world.run.exchangePublicToken({ tokenHash });
    const duplicate = { kind: 'duplicate', itemId: first.itemId };
    expect(await world.run.admitItem({ tokenHash })).toEqual(duplicate);
    world.plaid.calls.length = 0;
    await twice('discardItem', { tokenHash });
    expect([item.removed, world.plaid.count('removeItem')]).toEqual([true, 1]);
    expect(await world.stores.items.snapshot(item.itemId)).toBe(null);
    expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'gone', plaid: null });
  });

  it('finishLink keeps the first outcome and erases the token', async () => {
    const { tokenHash } = await world.receive();
    const first: LinkOutcome = { kind: 'duplicate', item_id: 'a' };
    expect(await twice('finishLink', { tokenHash, outcome: first })).toEqual([first, first]);
    const other: LinkOutcome = { kind: 'outcome_unknown' };
    expect(await world.run.finishLink({ tokenHash, outcome: other })).toEqual(first);
    const [row] = await world.sql`
      SELECT public_token_ciphertext AS token FROM links WHERE token_hash = ${tokenHash}`;
    expect(row).toEqual({ token: null });
  });

  it('a link that is not stored is refused for good', async () => {
    for (const name of ['loadLink', 'guardLink', 'admitItem', 'discardItem', 'reportLostExchange'] as const) {
      const error = await world.run[name]({ tokenHash: 'unknown' }).catch((thrown: unknown) => thrown);
      expect([name, error]).toEqual([
        name,
        expect.objectContaining({ type: 'BAD_REQUEST', nonRetryable: true }),
      ]);
    }
  });
});

describe('an Item', () => {
  it('loadItem and lookAtHistory read, and end what waits for a removed Item', async () => {
    const item = await world.linkedItem();
    const [first, second] = await twice('loadItem', { itemId: item.itemId });
    expect(second).toEqual(first);
    expect(first?.snapshot).toMatchObject({ itemId: item.itemId, removed: false, due: ['numbers'] });
    expect(await twice('loadItem', { itemId: 'nobody' })).toEqual([null, null]);
    expect(await twice('loadPolicy', undefined)).toEqual([first?.policy, first?.policy]);
    const idle = { running: false };
    expect(await twice('lookAtHistory', { itemId: item.itemId })).toEqual([idle, idle]);
    await world.stores.webhooks.store(webhook(item.itemId, 'update'));
    expect((await world.run.loadItem({ itemId: item.itemId }))?.snapshot).toMatchObject({
      webhooksWaiting: 1,
    });
    expect((await world.run.loadItem({ itemId: item.itemId }))?.snapshot).toMatchObject({
      webhooksWaiting: 1,
    });
    await world.sql`DELETE FROM webhooks WHERE item_id = ${item.itemId}`;
    await world.run.removeItem({ itemId: item.itemId });
    await world.stores.webhooks.store(webhook(item.itemId, 'update'));
    await twice('loadItem', { itemId: item.itemId });
    const late = await world.sql`SELECT outcome, reason FROM webhooks WHERE item_id = ${item.itemId}`;
    expect(late).toEqual([{ outcome: 'ignored', reason: 'item_removed' }]);
  });

  it('checkItem asks Plaid and counts an episode once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    expect(await twice('checkItem', { itemId })).toEqual([{ result: 'broken' }, { result: 'broken' }]);
    const episode = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    expect(await episode()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    item.error = null;
    expect(await twice('checkItem', { itemId })).toEqual([{ result: 'healthy' }, { result: 'healthy' }]);
    expect(await episode()).toEqual({ error_code: null, error_episode: 1 });
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_NOT_FOUND', request_id: null };
    // Each of the two asks twice.
    for (let time = 0; time < 4; time += 1)
      world.plaid.failNext('getItem', new Failure('ITEM_GONE', 'no', { upstream }));
    expect(await twice('checkItem', { itemId })).toEqual([{ result: 'gone' }, { result: 'gone' }]);
    expect(await episode()).toEqual({ error_code: 'ITEM_NOT_FOUND', error_episode: 2 });
  });

  it('checkItem ends no episode on the word of /item/get alone while transactions are refused', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', 'c2', {});
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: null };
    const refuse = () =>
      world.plaid.failNext('syncTransactions', new Failure('LOGIN_REQUIRED', 'x', { upstream }));
    refuse();
    await world.run.minePage({ ...mine(item, 'u2'), believe: true });
    const row = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    for (let time = 0; time < 2; time += 1) {
      refuse();
      expect(await world.run.checkItem({ itemId })).toEqual({ result: 'unsure' });
    }
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    // An outage says nothing of what a product call had met.
    world.plaid.failNext('syncTransactions', 'UPSTREAM_DOWN');
    await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    // Anything else but a want of the user is left to the next update.
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    expect(await world.run.checkItem({ itemId })).toEqual({ result: 'healthy' });
    expect(await row()).toEqual({ error_code: null, error_episode: 1 });
  });

  it('checkItem learns nothing of an Item from an outage, and says that the user took it back when Plaid does', async () => {
    const { itemId } = await world.linkedItem();
    const broken = async () =>
      (await world.sql`SELECT error_code FROM items WHERE item_id = ${itemId}`)[0]?.['error_code'];
    for (const failure of ['UPSTREAM_DOWN', 'RATE_LIMITED', 'MISCONFIGURED'] as const) {
      world.plaid.failNext('getItem', failure);
      await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({ type: failure });
      expect(await broken()).toBeNull();
    }
    for (let time = 0; time < 2; time += 1) world.plaid.failNext('getItem', 'PERMISSION_REVOKED');
    expect(await world.run.checkItem({ itemId })).toEqual({ result: 'gone' });
    expect(await broken()).toBe('PERMISSION_REVOKED');
  });

  it('saveNumbers stores each account sealed under its own row, once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.numbers = ['account-1', 'account-2'].map((account_id) => ({
      account_id,
      ach: [{ account: `number of ${account_id}`, routing: '011401533' }],
      eft: [],
      international: [],
      bacs: [],
    }));
    // Each seal is of its own: only what opens can be compared.
    const opened = async (): Promise<string[]> => {
      const rows = await world.sql<
        { account_id: string; keyId: string; dataKey: Uint8Array; ciphertext: Uint8Array }[]
      >`
        SELECT account_id, numbers_key_id AS "keyId", numbers_data_key AS "dataKey",
          numbers_ciphertext AS ciphertext FROM account_numbers WHERE item_id = ${itemId} ORDER BY 1`;
      return Promise.all(
        rows.map(({ account_id, ...sealed }) =>
          world.secrets.open(sealed, secretContext.accountNumbers(itemId, account_id)),
        ),
      );
    };
    const expected = item.numbers.map(({ ach, eft, international, bacs }) =>
      JSON.stringify({ ach, eft, international, bacs }),
    );
    for (let time = 0; time < 2; time += 1) {
      expect(await world.run.saveNumbers({ itemId })).toEqual({ accounts: 2 });
      expect(await opened()).toEqual(expected);
    }
    world.plaid.failNext('getNumbers', 'UPSTREAM_DOWN');
    await expect(world.run.saveNumbers({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await opened()).toEqual(expected);
    world.plaid.failNext('getNumbers', 'PRODUCT_UNAVAILABLE');
    world.plaid.failNext('getNumbers', 'PRODUCT_UNAVAILABLE');
    expect(await twice('saveNumbers', { itemId })).toEqual([{ accounts: 0 }, { accounts: 0 }]);
    expect(await opened()).toEqual(expected);
  });

  it('removeItem asks Plaid until it agrees, then once more changes nothing', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction(`t-${itemId}`)] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.itemCommands.requestRemoval(itemId, { force: false });
    world.plaid.calls.length = 0;
    world.plaid.failNext('removeItem', 'UPSTREAM_DOWN');
    await expect(world.run.removeItem({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    const [kept] = await world.sql`
      SELECT removed_at, access_token_ciphertext IS NULL AS erased FROM items WHERE item_id = ${itemId}`;
    expect(kept).toEqual({ removed_at: null, erased: false });
    await twice('removeItem', { itemId });
    expect([item.removed, world.plaid.count('removeItem')]).toEqual([true, 2]);
    const [gone] = await world.sql`
      SELECT removed_at IS NOT NULL AS removed, access_token_ciphertext IS NULL AS erased
      FROM items WHERE item_id = ${itemId}`;
    expect(gone).toEqual({ removed: true, erased: true });
    const closed = await world.sql`
      SELECT 1 FROM outbox WHERE item_id = ${itemId} AND record = 'account' AND removed`;
    expect(closed).toHaveLength(1);
  });
});

describe('webhooks about the Item itself', () => {
  const told = async (itemId: string, body: Record<string, unknown>): Promise<string> => {
    const text = JSON.stringify({ item_id: itemId, ...body });
    const read = readWebhook(text);
    const stored = await world.stores.webhooks.store({
      ...webhook(itemId, 'item'),
      ...read,
      body: Buffer.from(text),
      reason: read.ignored,
    });
    return stored.webhookId;
  };
  const outcomes = async (ids: string[]) =>
    Promise.all(ids.map(async (id) => (await world.stores.webhooks.get(ourselves, id))?.outcome));
  const errored = {
    webhook_type: 'ITEM',
    webhook_code: 'ERROR',
    error: { error_code: 'ITEM_LOGIN_REQUIRED' },
  };
  const repaired = { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' };
  const loginRequired = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  const rowOf = async (itemId: string) => {
    const [row] = await world.sql`
      SELECT error_code, error_episode AS episode, revoked_at IS NOT NULL AS revoked, new_accounts_available AS fresh,
        consent_expires_at::text AS consent, numbers_due_at IS NOT NULL AS numbers, segment_due_at IS NOT NULL AS segment
      FROM items WHERE item_id = ${itemId}`;
    return row;
  };

  it('settleItemWebhooks believes /item/get, and an episode is told of once', async () => {
    const item = await world.linkedItem();
    // A late ERROR: Plaid says that the Item is well.
    const late = await told(item.itemId, errored);
    const [first] = await twice('settleItemWebhooks', { itemId: item.itemId });
    expect(first).toEqual({ health: 'healthy', numbersDue: false, more: false });
    expect(await outcomes([late])).toEqual([{ state: 'ignored', reason: 'item_is_healthy' }]);
    expect(await rowOf(item.itemId)).toMatchObject({ error_code: null, episode: 0, segment: false });

    item.error = loginRequired;
    const [again, early] = [await told(item.itemId, errored), await told(item.itemId, repaired)];
    const [second] = await twice('settleItemWebhooks', { itemId: item.itemId });
    expect(second).toEqual({ health: 'broken', numbersDue: false, repairSaid: true, more: false });
    expect(await outcomes([again, early])).toEqual([
      { state: 'done', reason: null },
      { state: 'ignored', reason: 'item_is_broken' },
    ]);
    // A new code within the episode updates the Item and tells nobody.
    item.error = { ...loginRequired, error_code: 'ITEM_LOCKED' };
    await told(item.itemId, errored);
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect(await rowOf(item.itemId)).toMatchObject({ error_code: 'ITEM_LOCKED', episode: 1, segment: true });

    item.error = null;
    const mended = await told(item.itemId, { ...repaired, webhook_code: 'ITEM_REPAIRED' });
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toEqual({
      health: 'healthy',
      numbersDue: true,
      more: false,
    });
    const outside = await told(item.itemId, repaired);
    await world.run.settleItemWebhooks({ itemId: item.itemId });
    expect(await outcomes([mended, outside])).toEqual([
      { state: 'done', reason: null },
      { state: 'ignored', reason: 'item_was_healthy' },
    ]);

    world.tracked.length = 0;
    const sent = { done: true };
    expect(await twice('sendSegmentEvents', { itemId: item.itemId })).toEqual([sent, sent]);
    expect(
      world.tracked.map(({ messageId, event, properties }) => [messageId, event, properties.error_code]),
    ).toEqual([
      [`${item.itemId}:errored:1`, 'item errored', 'ITEM_LOGIN_REQUIRED'],
      [`${item.itemId}:repaired:1`, 'item repaired', 'ITEM_LOCKED'],
    ]);
    expect(await rowOf(item.itemId)).toMatchObject({ segment: false });
  });

  it('settleItemWebhooks sees one that came while it asked Plaid, of which nobody was told', async () => {
    const { itemId } = await world.linkedItem();
    const about = async (): Promise<string> => {
      const body = Buffer.from(
        JSON.stringify({ webhook_type: 'ITEM', webhook_code: 'ERROR', item_id: itemId }),
      );
      const read = readWebhook(body.toString());
      const { webhookId } = await world.stores.webhooks.store({
        source: 'plaid',
        verdict: 'accepted',
        body,
        headers: {},
        webhook_type: read.webhook_type,
        webhook_code: read.webhook_code,
        item_id: itemId,
        kind: read.kind,
        removed_ids: [],
        reason: read.ignored,
      });
      return webhookId;
    };
    const first = await about();
    expect(await world.stores.webhooks.acquireSignal(first)).not.toBeNull();
    const held = holdAnswer(world.plaid, ['getItem']);
    const settling = world.runWith({ plaid: held.plaid }).settleItemWebhooks({ itemId });
    await held.answered;
    const second = await about();
    // The first is on its way: the second rides along with it.
    expect(await world.stores.webhooks.acquireSignal(second)).toBeNull();
    held.release();
    expect(await settling).toMatchObject({ more: true });
    expect((await world.stores.webhooks.get(ourselves, second))?.outcome.state).toBe('pending');
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ more: false });
    expect((await world.stores.webhooks.get(ourselves, second))?.outcome.state).not.toBe('pending');
  });

  it('settleItemWebhooks takes a thousand of them a part after the other, and says when more wait', async () => {
    const item = await world.linkedItem();
    await world.sql`
      INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, headers, body)
      SELECT 'plaid', 'accepted', 'ITEM', 'NEW_ACCOUNTS_AVAILABLE', ${item.itemId}, 'item', '{}', 'pending', '{}',
        convert_to('{"webhook_type":"ITEM","webhook_code":"NEW_ACCOUNTS_AVAILABLE","item_id":"x"}', 'UTF8')
      FROM generate_series(1, 1000)`;
    const more: boolean[] = [];
    for (let last = true; last; more.push(last)) {
      last = (await world.run.settleItemWebhooks({ itemId: item.itemId })).more;
    }
    expect(more).toEqual([true, true, true, true, false]);
    const [left] = await world.sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM webhooks WHERE item_id = ${item.itemId} AND outcome <> 'done'`;
    expect(left.n).toBe(0);
  });

  it('loadItem of a removed Item ends every webhook that has come since, also those about the Item', async () => {
    const item = await world.linkedItem();
    await world.stores.itemCommands.requestRemoval(item.itemId, { force: false });
    await world.run.removeItem({ itemId: item.itemId });
    const late = await told(item.itemId, errored);
    await world.run.loadItem({ itemId: item.itemId });
    expect(await outcomes([late])).toEqual([{ state: 'ignored', reason: 'item_removed' }]);
    const both = [
      await told(item.itemId, repaired),
      (await world.stores.webhooks.store(webhook(item.itemId, 'update'))).webhookId,
    ];
    await twice('loadItem', { itemId: item.itemId });
    for (const outcome of await outcomes(both)) expect(outcome).toMatchObject({ reason: 'item_removed' });
    expect(
      (await world.stores.sweep.findDue(500, 0)).find(({ itemId }) => itemId === item.itemId)?.kinds ?? [],
    ).not.toContain('itemWebhooks');
  });

  it('settleItemWebhooks ends no episode on the word of /item/get alone while transactions are refused', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const dueAt = new Date(Date.now() + 3_600_000).toISOString();
    const error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await world.stores.items.setBroken(itemId, await seenOf(item), error, dueAt);
    const refuse = () =>
      world.plaid.failNext(
        'syncTransactions',
        new Failure('LOGIN_REQUIRED', 'x', { upstream: { ...error, request_id: null } }),
      );
    refuse();
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'ERROR' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'unsure' });
    const row = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
    // That it was repaired is said by Plaid itself.
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'LOGIN_REPAIRED' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'healthy' });
    expect(await row()).toEqual({ error_code: null, error_episode: 1 });
  });

  it('settleItemWebhooks asks Plaid for nothing when none of them speaks of health', async () => {
    const item = await world.linkedItem();
    await told(item.itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    world.plaid.calls.length = 0;
    expect(await world.run.settleItemWebhooks({ itemId: item.itemId })).toMatchObject({ health: null });
    expect(world.plaid.calls).toEqual([]);
  });

  it('settleItemWebhooks withholds at a revocation at once, keeps what else is said, and asks Plaid before it tells', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const revoked = { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null };
    world.plaid.calls.length = 0;
    const ids = [
      await told(itemId, {
        webhook_type: 'ITEM',
        webhook_code: 'PENDING_EXPIRATION',
        consent_expiration_time: '2027-01-02T03:04:05Z',
      }),
      await told(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' }),
      await told(itemId, {
        webhook_type: 'AUTH',
        webhook_code: 'DEFAULT_UPDATE',
        account_ids_with_new_auth: ['account-1'],
      }),
      await told(itemId, revoked),
      await told(itemId, { webhook_type: 'ITEM', webhook_code: 'USER_ACCOUNT_REVOKED' }),
    ];
    expect(await world.run.settleItemWebhooks({ itemId })).toEqual({
      health: null,
      numbersDue: true,
      updateDue: true,
      more: true,
    });
    expect(world.plaid.calls).toEqual([]);
    const states = async () => (await outcomes(ids)).map((outcome) => outcome?.state);
    expect(await states()).toEqual(['done', 'done', 'done', 'pending', 'done']);
    expect(await rowOf(itemId)).toMatchObject({
      error_code: null,
      revoked: true,
      fresh: true,
      numbers: true,
      consent: '2027-01-02 03:04:05+00',
    });
    // Nobody knows as long as Plaid does not answer.
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(world.run.settleItemWebhooks({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: true });
    item.error = { error_type: 'ITEM_ERROR', error_code: 'USER_PERMISSION_REVOKED' };
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'broken', more: false });
    expect(await states()).toEqual(['done', 'done', 'done', 'done', 'done']);
    expect(await rowOf(itemId)).toMatchObject({ error_code: 'USER_PERMISSION_REVOKED', revoked: true });
    item.error = null;
    item.page('', 'c1', {});
    expect(await world.run.checkItem({ itemId })).toEqual({ result: 'healthy' });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: false });

    // Replayed by an operator it tells of the past: Plaid is asked.
    const again = await world.stores.webhooks.replay(ourselves, ids[3] as string, crypto.randomUUID());
    expect(again).toEqual({ webhookId: expect.any(String), itemId, kind: 'item' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'healthy' });
    const { webhookId } = again as { webhookId: string };
    expect(await outcomes([webhookId])).toEqual([{ state: 'ignored', reason: 'item_is_healthy' }]);
    // A late copy withholds until Plaid disowns it, and tells nobody anything.
    const copy = await told(itemId, revoked);
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: null, more: true });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: true });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ health: 'healthy', more: false });
    expect(await rowOf(itemId)).toMatchObject({ error_code: null, revoked: false });
    expect(await outcomes([copy])).toEqual([{ state: 'ignored', reason: 'item_is_healthy' }]);
    const told2 = await world.sql<{ event: string }[]>`
      SELECT event FROM segment_events WHERE item_id = ${itemId} ORDER BY created_at`;
    expect(told2.map(({ event }) => event)).toEqual(['item errored', 'item repaired']);
    const [suspended] = await world.sql<[{ n: number }]>`
      SELECT count(*)::int AS n FROM events WHERE item_id = ${itemId} AND type = 'connection.suspended'`;
    expect(suspended.n).toBeLessThanOrEqual(1);
  });

  it('settleItemWebhooks believes a revocation of which /item/get knows nothing where the products are refused for it', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const settle = () => world.run.settleItemWebhooks({ itemId });
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    await settle();
    world.plaid.refuse('syncTransactions', 'USER_PERMISSION_REVOKED', 'INVALID_INPUT');
    expect(await settle()).toMatchObject({ health: 'broken' });
    world.plaid.refuse('syncTransactions', null);
    expect(await rowOf(itemId)).toMatchObject({ error_code: 'USER_PERMISSION_REVOKED', revoked: true });
    // The user is known to be away from the bank for another reason: the permission stands.
    const other = await world.linkedItem();
    other.numbers = [{ account_id: 'account-1', ach: [], eft: [], international: [], bacs: [] }];
    await world.run.saveNumbers({ itemId: other.itemId });
    await told(other.itemId, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    other.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
    await world.run.settleItemWebhooks({ itemId: other.itemId });
    await world.run.settleItemWebhooks({ itemId: other.itemId });
    expect(await rowOf(other.itemId)).toMatchObject({ error_code: 'ITEM_LOGIN_REQUIRED', revoked: false });
    // Its numbers are another matter: nobody can ask for them till the user was there.
    expect(
      await world.sql`SELECT doubted_at IS NOT NULL AS doubted FROM account_numbers WHERE item_id = ${other.itemId}`,
    ).toEqual([{ doubted: true }]);
  });

  it('settleItemWebhooks withholds behind any number of others, and whatever Plaid answers', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    await world.sql`
      INSERT INTO webhooks (source, verdict, webhook_type, webhook_code, item_id, kind, removed_ids, outcome, headers, body)
      SELECT 'plaid', 'accepted', 'ITEM', 'ERROR', ${itemId}, 'item', '{}', 'pending', '{}',
        convert_to('{"webhook_type":"ITEM","webhook_code":"ERROR","item_id":"x"}', 'UTF8')
      FROM generate_series(1, 450)`;
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'USER_PERMISSION_REVOKED', error: null });
    world.plaid.refuse('getItem', 'INVALID_ACCESS_TOKEN', 'INVALID_INPUT');
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ more: true });
    expect(await rowOf(itemId)).toMatchObject({ revoked: true });
    await expect(world.run.settleItemWebhooks({ itemId })).rejects.toMatchObject({ type: 'TOKEN_REFUSED' });
    // What comes behind it is acted on at once, too.
    const late = await told(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    expect(await world.run.settleItemWebhooks({ itemId })).toMatchObject({ more: true });
    expect(await outcomes([late])).toEqual([{ state: 'done', reason: null }]);
    world.plaid.refuse('getItem', null);
  });

  it('settleItemWebhooks takes an end of the connection that was announced after a repair for the last word', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const at = '2030-01-02T03:04:05.000Z';
    const disconnects = { webhook_type: 'ITEM', webhook_code: 'PENDING_DISCONNECT' };
    await told(itemId, repaired);
    await told(itemId, { ...disconnects, disconnect_time: at });
    await told(itemId, { webhook_type: 'ITEM', webhook_code: 'NEW_ACCOUNTS_AVAILABLE' });
    for (let more = true; more;) ({ more } = await world.run.settleItemWebhooks({ itemId }));
    const [row] = await world.sql`SELECT disconnects_at FROM items WHERE item_id = ${itemId}`;
    expect(row).toEqual({ disconnects_at: new Date(at) });
    // One that says no time changes nothing of that; alone it means a week, once, however often it comes.
    await told(itemId, { ...disconnects, disconnect_time: null });
    await world.run.settleItemWebhooks({ itemId });
    const announced = async (id: string) =>
      world.sql<{ at: string }[]>`
        SELECT data->>'expires_at' AS at FROM events WHERE item_id = ${id} AND type = 'item.consent_expiring'`;
    expect(await announced(itemId)).toEqual([{ at }]);
    const other = await world.linkedItem();
    for (const time of [1, 2]) {
      await told(other.itemId, { ...disconnects, reason: 'INSTITUTION_MIGRATION', time });
      await world.run.settleItemWebhooks({ itemId: other.itemId });
    }
    const [guess, ...rest] = await announced(other.itemId);
    expect(rest).toEqual([]);
    const inDays = (Date.parse(guess?.at ?? '') - Date.now()) / 86_400_000;
    expect(inDays > 6 && inDays <= 7).toBe(true);
  });

  it('sendSegmentEvents leaves an outage to a later try, and loses nothing', async () => {
    const item = await world.linkedItem();
    await world.stores.items.setBroken(
      item.itemId,
      await seenOf(item),
      loginRequired,
      '2026-11-22T00:00:00Z',
    );
    const segment = { track: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'away')) };
    await expect(world.runWith({ segment }).sendSegmentEvents({ itemId: item.itemId })).rejects.toMatchObject(
      {
        type: 'UPSTREAM_DOWN',
      },
    );
    expect(await rowOf(item.itemId)).toMatchObject({ segment: true });
    world.tracked.length = 0;
    expect(await world.run.sendSegmentEvents({ itemId: item.itemId })).toEqual({ done: true });
    expect(world.tracked).toHaveLength(1);
    // Without Segment nobody waits for it.
    const other = await world.linkedItem();
    await world.stores.items.setBroken(
      other.itemId,
      await seenOf(other),
      loginRequired,
      '2026-11-22T00:00:00Z',
    );
    expect(await world.runWith({ segment: null }).sendSegmentEvents({ itemId: other.itemId })).toEqual({
      done: true,
    });
    expect(await rowOf(other.itemId)).toMatchObject({ segment: false });
  });
});

describe('mining', () => {
  it('minePage fetches a page once and applies an update once', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('p1'), transaction('p2')], has_more: true });
    item.page('c1', 'c2', { added: [transaction('p3')], modified: [transaction('p1', { amount: 9 })] });
    world.plaid.calls.length = 0;
    const staged = { kind: 'staged', rows: 2, calls: 1 };
    expect(await twice('minePage', mine(item, 'u1', 0))).toEqual([staged, staged]);
    expect(world.plaid.count('syncTransactions')).toBe(1);
    const [first, second] = await twice('minePage', mine(item, 'u1', 1));
    expect(first).toMatchObject({ kind: 'applied', outcome: { added: 3, changes: 4, history: 'complete' } });
    expect(second).toEqual(first);
    expect([world.plaid.count('syncTransactions'), world.plaid.count('getAccounts')]).toEqual([2, 1]);
    const rows = await world.sql`
      SELECT transaction_id AS id, amount::float8 AS amount, version FROM transactions
      WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(rows).toEqual([
      { id: 'p1', amount: 9, version: 1 },
      { id: 'p2', amount: 4.33, version: 1 },
      { id: 'p3', amount: 4.33, version: 1 },
    ]);
  });

  it('minePage killed at any point is done again with at most one more call', async () => {
    for (const point of [
      'page.beforeCall',
      'page.afterAnswer',
      'page.afterStaging',
      'apply.before',
      'apply.afterCommit',
    ] as const) {
      const item = await world.linkedItem();
      item.page('', 'c1', { added: [transaction('k1')], has_more: true });
      item.page('c1', 'c2', { added: [transaction('k2')] });
      world.plaid.calls.length = 0;
      world.crashAt = point;
      for (const page of [0, 1]) {
        await world.run.minePage(mine(item, 'u1', page)).catch(() => undefined);
        const result = await world.run.minePage(mine(item, 'u1', page));
        expect([point, result.kind]).toEqual([point, page === 0 ? 'staged' : 'applied']);
      }
      expect(world.crashAt).toBe(null);
      expect([point, world.plaid.count('syncTransactions') <= 3]).toEqual([point, true]);
      const [told] = await world.sql<{ sequences: number[] }[]>`
        SELECT array_agg(sequence::int ORDER BY sequence) AS sequences FROM outbox WHERE item_id = ${item.itemId}`;
      expect([point, told?.sequences]).toEqual([point, [1, 2, 3]]);
    }
  });

  it('minePage answers a page fetched twice with other content by what was staged first', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('z1')], has_more: true });
    const both = await Promise.all([1, 2].map(() => world.run.minePage(mine(item, 'u1', 0))));
    expect(both.map(({ kind }) => kind)).toEqual(['staged', 'staged']);
    item.page('', 'elsewhere', { added: [transaction('z9')], has_more: true });
    item.page('c1', 'c2', { added: [transaction('z2')] });
    await world.run.minePage(mine(item, 'u1', 0));
    expect((await world.run.minePage(mine(item, 'u1', 1))).kind).toBe('applied');
    const rows = await world.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions WHERE item_id = ${item.itemId} ORDER BY 1`;
    expect(rows.map(({ id }) => id)).toEqual(['z1', 'z2']);
  });

  it('minePage turns what Plaid says into a result, and drops what it had staged', async () => {
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: 'request-1' };
    for (const [failure, result] of [
      [new Failure('PAGES_MOVED', 'moved'), { kind: 'moved', atDurableCursor: false, calls: 1 }],
      [new Failure('NOT_READY', 'not yet'), { kind: 'notReady', calls: 1 }],
      [
        new Failure('BAD_REQUEST', 'no', { upstream: { ...upstream, error_code: 'INVALID_FIELD' } }),
        { kind: 'refused', error: { error_type: 'ITEM_ERROR', error_code: 'INVALID_FIELD' }, calls: 1 },
      ],
      [
        new Failure('LOGIN_REQUIRED', 'log in', { upstream }),
        {
          kind: 'needsUser',
          error: { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
          calls: 1,
        },
      ],
    ] as const) {
      const item = await world.linkedItem();
      if (result.kind === 'needsUser') item.error = result.error;
      world.plaid.failNext('syncTransactions', failure);
      world.plaid.failNext('syncTransactions', failure);
      expect(await twice('minePage', mine(item, 'u1'))).toEqual([result, result]);
      expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${item.itemId}`).toHaveLength(0);
    }
    const ending = await world.linkedItem();
    ending.page('', 'c1', { added: [transaction('n1')], has_more: true });
    await world.run.minePage(mine(ending, 'u1'));
    world.plaid.failNext('syncTransactions', 'NOT_READY');
    expect(await world.run.minePage(mine(ending, 'u1', 1))).toEqual({ kind: 'notReady', calls: 1 });
    expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${ending.itemId}`).toHaveLength(0);
    const item = await world.linkedItem();
    item.page('', '', { transactions_update_status: 'NOT_READY' });
    const waiting = { kind: 'notReady', calls: 1 };
    expect(await twice('minePage', mine(item, 'u1'))).toEqual([waiting, waiting]);
    const missing = { kind: 'moved', atDurableCursor: false, calls: 1 };
    expect(await twice('minePage', mine(item, 'u1', 3))).toEqual([missing, missing]);
    const gone = { kind: 'gone', calls: 1 };
    expect(await twice('minePage', { ...mine(item, 'u1'), itemId: 'nobody' })).toEqual([gone, gone]);
  });

  it('minePage answers no webhook that came after Plaid was asked, and takes the later word on an account', async () => {
    const item = await world.linkedItem();
    item.accounts = [account('account-1', { name: 'Now' })];
    item.page('', 'c1', { accounts: [account('account-1', { name: 'Before' })] });
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getAccounts: async (token: string) => {
        await world.stores.webhooks.store(webhook(item.itemId, 'update'));
        // The clock of the database goes by microseconds, the one of the activity by milliseconds.
        await new Promise((resolve) => setTimeout(resolve, 5));
        return world.plaid.getAccounts(token);
      },
    });
    expect(await world.runWith({ plaid }).minePage(mine(item, 'u1'))).toMatchObject({
      kind: 'applied',
      webhooksWaiting: 1,
    });
    const [row] = await world.sql`SELECT raw ->> 'name' AS name FROM accounts WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ name: 'Now' });
  });

  it('minePage takes a permission that was taken back for an end of reading', async () => {
    const item = await world.linkedItem();
    world.plaid.failNext('syncTransactions', 'PERMISSION_REVOKED');
    for (let time = 0; time < 2; time += 1) world.plaid.failNext('getItem', 'PERMISSION_REVOKED');
    expect(await world.run.minePage(mine(item, 'u1'))).toMatchObject({
      kind: 'needsUser',
      error: { error_code: 'PERMISSION_REVOKED' },
    });
  });

  it('minePage says that Plaid moved the data, or refuses the request, under the first page of a durable cursor', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', {});
    item.page('c1', 'c2', { has_more: true });
    await world.run.minePage(mine(item, 'u1'));
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    const moved = { kind: 'moved', atDurableCursor: true, calls: 1 };
    expect(await world.run.minePage(mine(item, 'u2'))).toEqual(moved);
    world.plaid.failNext('syncTransactions', 'BAD_REQUEST');
    expect(await world.run.minePage(mine(item, 'u2'))).toEqual({ kind: 'refused', error: null, calls: 1 });
    await world.run.minePage(mine(item, 'u2'));
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    expect(await world.run.minePage(mine(item, 'u2', 1))).toEqual({ ...moved, atDurableCursor: false });
    world.plaid.failNext('syncTransactions', 'PAGES_MOVED');
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    const again = { ...mine(item, 'u3'), remine: true };
    expect(await world.run.minePage(again)).toEqual({ ...moved, atDurableCursor: false });
    // A code of tomorrow that names the cursor means it, and is told to operators.
    world.plaid.refuse('syncTransactions', 'TRANSACTIONS_SYNC_CURSOR_EXPIRED', 'TRANSACTIONS_ERROR');
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({
      kind: 'refused',
      error: { error_code: 'TRANSACTIONS_SYNC_CURSOR_EXPIRED' },
    });
    world.plaid.refuse('syncTransactions', null);
    expect(
      await world.sql`SELECT 1 FROM alerts WHERE kind = 'plaid_code_unknown' AND key LIKE '%CURSOR%'`,
    ).toHaveLength(1);
    // A request that another endpoint, or the database, calls wrong says nothing of the cursor.
    item.page('c1', 'c2', {});
    world.plaid.failNext('getAccounts', 'BAD_REQUEST');
    expect(await world.run.minePage(mine(item, 'u4'))).toMatchObject({
      kind: 'applied',
      accountsFailure: { type: 'BAD_REQUEST' },
    });
  });

  it('minePage keeps the place of an Item where the end of a remine names none', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('e1')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    item.page('', '', { added: [transaction('e1')] });
    const reading = { ...mine(item, 'r1.start'), remine: true };
    expect(await world.run.minePage(reading)).toMatchObject({ kind: 'applied' });
    const [row] = await world.sql`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ cursor: 'c1' });
  });

  describe('minePage of a remine that has gone to the end of the cursor', () => {
    const rowsOf = async ({ itemId }: FakeItem) =>
      (
        await world.sql<{ row: string }[]>`
          SELECT transaction_id || ' ' || status AS row FROM transactions WHERE item_id = ${itemId} ORDER BY 1`
      ).map(({ row }) => row);
    const isAsked = async ({ itemId }: FakeItem) =>
      (await world.sql`SELECT FROM items WHERE item_id = ${itemId} AND remine_requested_at IS NOT NULL`)
        .length === 1;
    /** Mined to `c1`, with a row that is older than all that a reading may list. */
    const mined = async (): Promise<FakeItem> => {
      const item = await world.linkedItem();
      const added = [transaction('e1'), transaction('old', { date: '2024-01-01' })];
      item.page('', 'c1', { added });
      item.page('c1', 'c1', {});
      await world.run.minePage(mine(item, 'u1'));
      await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
      await world.run.minePage(mine(item, 'r1'));
      return item;
    };
    const reading = (item: FakeItem, updateId: string) =>
      world.run.minePage({ ...mine(item, updateId), remine: true, keepsCursor: true });

    it('loses nothing that came or went between the two, and stands in no reading', async () => {
      const item = await mined();
      item.page('', 'c2', { added: [transaction('e1')] });
      const { webhookId } = await world.stores.webhooks.store(webhook(item.itemId, 'update'));
      const outcome = async () =>
        (await world.stores.webhooks.get({ applicationId: 'any', access: 'all' }, webhookId))?.outcome.state;
      const read = await reading(item, 'r1.start');
      expect(read).toMatchObject({ kind: 'applied', outcome: { changes: 0 }, webhooksWaiting: 1 });
      expect([await isAsked(item), await outcome()]).toEqual([false, 'pending']);
      const gone = { transaction_id: 'old', account_id: 'account-1' };
      item.page('c1', 'c3', { added: [transaction('e2')], removed: [gone] });
      item.page('c2', 'c3', {});
      await world.run.minePage(mine(item, 'u2'));
      expect(await rowsOf(item)).toEqual(['e1 posted', 'e2 posted', 'old removed']);
      expect(await outcome()).toBe('done');
    });

    it.each([
      ['that nobody knew', 'e2', {}],
      ['that was gone', 'e1', { removed: [{ transaction_id: 'e1', account_id: 'account-1' }] }],
    ])(
      'reads once more what it brings, since the cursor tells not of its end: a row %s',
      async (_what, id, before) => {
        const item = await mined();
        item.page('c1', 'c1', before);
        await world.run.minePage(mine(item, 'r1.1'));
        const others = [transaction('old', { date: '2024-01-01' })];
        item.page('', 'c2', { added: [...others, transaction(id)] });
        expect(await reading(item, 'r1.start.1')).toMatchObject({
          outcome: { changes: 1, missed: id === 'e1' ? 1 : 2 },
        });
        // It has come and gone since the cursor, so that this does not tell of it.
        item.page('c1', 'c3', {});
        item.page('', 'c3', { added: others });
        for (const n of [2, 3]) {
          expect(await isAsked(item)).toBe(true);
          await world.run.minePage(mine(item, `r1.${n}`));
          await reading(item, `r1.start.${n}`);
        }
        expect(await rowsOf(item)).toEqual([
          'e1 removed',
          ...(id === 'e1' ? [] : ['e2 removed']),
          'old posted',
        ]);
        expect(await isAsked(item)).toBe(false);
      },
    );

    it('ends though Plaid lists for good what an account has taken over under another id', async () => {
      const item = await world.linkedItem();
      const of = (id: string, account_id: string) => transaction(id, { account_id });
      item.page('', 'c1', { added: [transaction('e1'), transaction('e2')] });
      await world.run.minePage(mine(item, 'u1'));
      item.accounts = [account('account-2')];
      item.page('c1', 'c2', { added: [of('f1', 'account-2'), of('f2', 'account-2')] });
      item.page('c2', 'c2', {});
      await world.run.minePage(mine(item, 'u2'));
      const known = ['e1 removed', 'e2 removed', 'f1 posted', 'f2 posted'];
      expect(await rowsOf(item)).toEqual(known);
      await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
      await world.run.minePage(mine(item, 'r1'));
      const listed = ['f1', 'f2'].map((id) => of(id, 'account-2'));
      item.page('', 'c2', { added: [transaction('e1'), transaction('e2'), ...listed] });
      const read = await reading(item, 'r1.start');
      expect(read).toMatchObject({ kind: 'applied' });
      expect(read).not.toHaveProperty('outcome.missed');
      expect([await isAsked(item), await rowsOf(item)]).toEqual([false, known]);
    });
  });

  const accountsOf = async ({ itemId }: FakeItem) =>
    (
      await world.sql<{ id: string; status: string }[]>`
        SELECT account_id AS id, status FROM accounts WHERE item_id = ${itemId} ORDER BY 1`
    ).map(({ id, status }) => `${id} ${status}`);
  /** `/accounts/get` answers so, one call after the other, the last of them for ever. */
  const answering = (...answers: unknown[][]) => {
    let call = 0;
    const getAccounts = async (token: string) => {
      await world.plaid.getAccounts(token);
      call += 1;
      return answers[Math.min(call, answers.length) - 1] as PlaidAccount[];
    };
    return world.runWith({
      plaid: Object.assign(Object.create(world.plaid) as typeof world.plaid, { getAccounts }),
    });
  };

  it('minePage closes an account that two answers lack, and none that one answer lacks', async () => {
    const item = await world.linkedItem();
    const all = [account('account-1'), account('account-2', { name: 'Savings' })];
    item.accounts = all;
    item.page('', 'c1', {});
    item.page('c1', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    world.plaid.calls.length = 0;
    await world.run.minePage(mine(item, 'u2'));
    expect(world.plaid.count('getAccounts')).toBe(1);
    const [one] = all;
    await answering([one], all).minePage(mine(item, 'u3'));
    expect([await accountsOf(item), world.plaid.count('getAccounts')]).toEqual([
      ['account-1 open', 'account-2 open'],
      3,
    ]);
    // What is short for a moment is so twice, too, when it is asked twice in that moment.
    let answer: unknown[] = [one];
    const getAccounts = async () => {
      setTimeout(() => (answer = all), 50);
      return answer as PlaidAccount[];
    };
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, { getAccounts });
    const policy = { ...defaultPolicy, doubtPause: 500 };
    await world.runWith({ plaid, policy }).minePage(mine(item, 'u4'));
    expect(await accountsOf(item)).toEqual(['account-1 open', 'account-2 open']);
    await answering([one], [one]).minePage(mine(item, 'u5'));
    expect(await accountsOf(item)).toEqual(['account-1 open', 'account-2 closed']);
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['without id', { name: 'Nobody' }],
  ])('minePage takes an entry that nobody can read (%s) for one account at most', async (_name, entry) => {
    const item = await world.linkedItem();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => account(id, { name: id }));
    item.accounts = [a, b, c] as PlaidAccount[];
    item.page('', 'c1', {});
    item.page('c1', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    await answering([entry, b, c]).minePage(mine(item, 'u2'));
    expect(await accountsOf(item)).toEqual(['a open', 'b open', 'c open']);
    // Now another one is missing: the entry stands for the one that it stood for before.
    await answering([entry, c]).minePage(mine(item, 'u3'));
    expect(await accountsOf(item)).toEqual(['a open', 'b closed', 'c open']);
    // What sync has named is what cannot be read here.
    item.page('c1', 'c1', { accounts: [a as PlaidAccount] });
    await answering([entry]).minePage(mine(item, 'u4'));
    expect(await accountsOf(item)).toEqual(['a open', 'b closed', 'c open']);
    await answering([entry, account('d')]).minePage(mine(item, 'u5'));
    expect(await accountsOf(item)).toEqual(['a open', 'b closed', 'c closed', 'd open']);
  });

  it.each(['PRODUCTS_NOT_SUPPORTED', 'PRODUCT_NOT_READY', 'INVALID_FIELD', 'NO_SUCH_CODE'])(
    'minePage keeps no transactions back for accounts that are refused (%s), and shows it',
    async (code) => {
      const item = await world.linkedItem();
      item.page('', 'c1', { added: [transaction('t1')], accounts: [account('account-1')] });
      world.plaid.refuse('getAccounts', code);
      // What may be an outage is asked for some times.
      if (code === 'NO_SUCH_CODE') {
        await expect(world.run.minePage(mine(item, 'u1'))).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
        world.attempt = 3;
      }
      const answer = await world.run.minePage(mine(item, 'u1'));
      world.plaid.refuse('getAccounts', null);
      world.attempt = 1;
      expect(answer).toMatchObject({
        kind: 'applied',
        outcome: { added: 1 },
        accountsFailure: { error: { error_code: code } },
      });
      expect(await accountsOf(item)).toEqual(['account-1 open']);
      const [row] = await world.sql<[{ due: Date }]>`
        SELECT next_due_at AS due FROM items WHERE item_id = ${item.itemId}`;
      expect(row.due.toISOString()).toBe(mine(item, 'u1').dueAt.incomplete);
    },
  );

  it.each<[string, Failure]>([
    ['a bank that is down', new Failure('INSTITUTION_DOWN', 'x')],
    ['maintenance', new Failure('MAINTENANCE', 'x')],
    ['a long Retry-After', new Failure('RATE_LIMITED', 'x', { retryAfterMs: 600_000 })],
  ])(
    'minePage keeps no transactions back for accounts that each try of the workflow is refused for %s',
    async (_name, refusal) => {
      const item = await world.linkedItem();
      item.page('', 'c1', { added: [transaction('t1')], accounts: [account('account-1')] });
      for (const failures of [0, 1]) {
        world.plaid.failNext('getAccounts', refusal);
        // Each of these is the workflow's to repeat: no attempt of an activity is a second one.
        await expect(world.run.minePage({ ...mine(item, 'u1'), failures })).rejects.toMatchObject({
          type: refusal.type,
          nonRetryable: true,
        });
      }
      world.plaid.failNext('getAccounts', refusal);
      const answer = await world.run.minePage({ ...mine(item, 'u1'), failures: 2 });
      expect(answer).toMatchObject({ kind: 'applied', accountsFailure: { type: refusal.type } });
      await world.sql`DELETE FROM bank_pauses`;
    },
  );

  it('minePage keeps the place of an Item where Plaid names none to go on from', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('e1')] });
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', '', { added: [transaction('e2')] });
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({
      kind: 'applied',
      outcome: { added: 1 },
    });
    const [row] = await world.sql`SELECT cursor FROM items WHERE item_id = ${item.itemId}`;
    expect(row).toEqual({ cursor: 'c1' });
  });

  it('minePage tells operators of an Item that Plaid has nothing of for more than a day, once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    world.plaid.refuse('syncTransactions', 'PRODUCT_NOT_READY');
    const alerts = () => world.sql`SELECT kind, key FROM alerts WHERE item_id = ${itemId}`;
    await world.run.minePage(mine(item, 'u1'));
    expect(await alerts()).toEqual([]);
    await world.sql`UPDATE items SET admitted_at = admitted_at - interval '25 hours' WHERE item_id = ${itemId}`;
    const waiting = { kind: 'notReady', calls: 1 };
    expect(await twice('minePage', mine(item, 'u1'))).toEqual([waiting, waiting]);
    world.plaid.refuse('syncTransactions', null);
    expect(await alerts()).toEqual([{ kind: 'update_stuck', key: `${itemId}/PRODUCT_NOT_READY` }]);
  });

  it.each([
    ['an update', false],
    ['a remine', true],
  ])(
    'minePage tells operators of %s that Plaid has not been ready for since a day, of an Item that was mined before',
    async (_what, remine) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      item.page('', 'c1', { added: [transaction('n1')] });
      await world.run.minePage(mine(item, 'u1'));
      await world.sql`UPDATE items SET next_due_at = now() - interval '1 hour' WHERE item_id = ${itemId}`;
      if (remine) await world.stores.itemCommands.requestRemine(ourselves, itemId);
      world.plaid.refuse('syncTransactions', 'PRODUCT_NOT_READY');
      const alerts = () => world.sql`SELECT kind, key FROM alerts WHERE item_id = ${itemId}`;
      const asked = () => world.run.minePage({ ...mine(item, 'u2'), remine });
      expect(await asked()).toEqual({ kind: 'notReady', calls: 1 });
      expect(await alerts()).toEqual([]);
      await (remine
        ? world.sql`
            UPDATE items SET remine_requested_at = remine_requested_at - interval '25 hours' WHERE item_id = ${itemId}`
        : world.sql`UPDATE items SET next_due_at = now() - interval '25 hours' WHERE item_id = ${itemId}`);
      expect(await asked()).toEqual({ kind: 'notReady', calls: 1 });
      world.plaid.refuse('syncTransactions', null);
      expect(await alerts()).toEqual([{ kind: 'update_stuck', key: `${itemId}/PRODUCT_NOT_READY` }]);
    },
  );

  it('minePage says when the cursors of an update go in a circle, and keeps nothing of it', async () => {
    const item = await world.linkedItem();
    item.page('', 'c1', {});
    await world.run.minePage(mine(item, 'u1'));
    item.page('c1', 'c2', { added: [transaction('o1')], has_more: true });
    item.page('c2', 'c3', { added: [transaction('o2')], has_more: true });
    item.page('c3', 'c2', { added: [transaction('o3')], has_more: true });
    const staged = { kind: 'staged', rows: 1, calls: 1 };
    expect(await world.run.minePage(mine(item, 'u2'))).toEqual(staged);
    expect(await world.run.minePage(mine(item, 'u2', 1))).toEqual(staged);
    // Asked for once more it is the same page, and no circle.
    expect(await world.run.minePage(mine(item, 'u2', 1))).toEqual(staged);
    expect(await world.run.minePage(mine(item, 'u2', 2))).toEqual({ kind: 'circling', calls: 1 });
    expect(await world.sql`SELECT 1 FROM staged_pages WHERE item_id = ${item.itemId}`).toHaveLength(0);
  });

  it('minePage begins no episode that /item/get knows nothing of, until it is told to believe', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const upstream = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED', request_id: null };
    const refuse = () =>
      world.plaid.failNext('syncTransactions', new Failure('LOGIN_REQUIRED', 'x', { upstream }));
    const row = async () =>
      (await world.sql`SELECT error_code, error_episode FROM items WHERE item_id = ${itemId}`)[0];
    refuse();
    const { error_type, error_code } = upstream;
    const error = { error_type, error_code };
    const doubted = { kind: 'doubted', failure: 'LOGIN_REQUIRED', error, calls: 1 };
    expect(await world.run.minePage(mine(item, 'u1'))).toEqual(doubted);
    expect(await row()).toEqual({ error_code: null, error_episode: 0 });
    refuse();
    world.plaid.failNext('getItem', 'UPSTREAM_DOWN');
    await expect(world.run.minePage(mine(item, 'u1'))).rejects.toMatchObject({ type: 'LOGIN_REQUIRED' });
    expect(await row()).toEqual({ error_code: null, error_episode: 0 });
    refuse();
    const needsUser = { kind: 'needsUser', error, calls: 1 };
    expect(await world.run.minePage({ ...mine(item, 'u1'), believe: true })).toEqual(needsUser);
    expect(await row()).toEqual({ error_code: 'ITEM_LOGIN_REQUIRED', error_episode: 1 });
  });

  it('minePage tells that the Item was found broken while the update ran, and it is looked at again at once', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', {});
    const soon = new Date(Date.now() + 60_000).toISOString();
    const error = { error_type: 'ITEM_ERROR', error_code: 'X' };
    await world.stores.items.setBroken(itemId, await seenOf(item), error, soon);
    const later = new Date(Date.now() + 36 * 3_600_000).toISOString();
    const ended = await world.run.minePage({
      ...mine(item, 'u1'),
      dueAt: { complete: later, incomplete: later },
    });
    expect(ended).toMatchObject({ kind: 'applied', broken: true });
    const [row] = await world.sql`
      SELECT next_due_at <= clock_timestamp() AS due, error_code FROM items WHERE item_id = ${itemId}`;
    expect(row).toEqual({ due: true, error_code: 'X' });
    await world.stores.items.setHealthy(itemId, await seenOf(item));
    const repeated = await world.run.minePage(mine(item, 'u1'));
    expect(repeated).toMatchObject({ kind: 'applied', broken: false });
    // Healthy again, it is due, and the next update ends that.
    item.page('c1', 'c2', {});
    expect(await world.run.minePage(mine(item, 'u2'))).toMatchObject({ kind: 'applied' });
  });

  it('reportDeadEnd tells operators once, drops what was staged, and asks for a remine where there is a cursor', async () => {
    const deadEnd = {
      updateId: 'u2',
      failure: { step: 'page', type: 'BAD_REQUEST' as const, at: '2026-11-21T07:00:00.000Z' },
      error: { error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD' },
      cursorLost: true,
    };
    const item = await world.linkedItem();
    const { itemId } = item;
    const alerts = () =>
      world.sql`SELECT kind, key, detail FROM alerts WHERE item_id = ${itemId} ORDER BY kind`;
    const detail = { type: 'BAD_REQUEST', error_type: 'INVALID_REQUEST', error_code: 'INVALID_FIELD' };
    const young = { remines: null };
    expect(await twice('reportDeadEnd', { itemId, deadEnd })).toEqual([young, young]);
    const key = `${itemId}/INVALID_FIELD`;
    expect(await alerts()).toEqual([{ kind: 'update_stuck', key, detail }]);

    item.page('', 'c1', {});
    item.page('c1', 'c2', { has_more: true });
    await world.run.minePage(mine(item, 'u1'));
    await world.run.minePage(mine(item, 'u2'));
    const first = { remines: 1 };
    expect(await twice('reportDeadEnd', { itemId, deadEnd })).toEqual([first, first]);
    expect((await alerts()).map(({ kind }) => kind as string)).toEqual(['cursor_lost', 'update_stuck']);
    const [row] = await world.sql`
      SELECT remine_requested_at IS NOT NULL AS asked, update_started_at,
        (SELECT count(*)::int FROM staged_pages s WHERE s.item_id = i.item_id) AS staged
      FROM items i WHERE item_id = ${itemId}`;
    expect(row).toEqual({ asked: true, update_started_at: null, staged: 0 });
    await world.stores.itemCommands.requestRemoval(itemId, { force: true });
    expect(await world.run.reportDeadEnd({ itemId, deadEnd })).toEqual({ remines: null });
    await world.run.removeItem({ itemId });
  });

  it('settleRemovals reads all pages of some days around what was named', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction('named', { date: '2026-11-10' })] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
    item.listed = [...Array.from({ length: 500 }, (_, n) => transaction(`t${n}`)), transaction('named')];
    const asked: { from: string; to: string; offset: number }[] = [];
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getTransactions: async (token: string, query: (typeof asked)[number] & { count: number }) => {
        asked.push({ from: query.from, to: query.to, offset: query.offset });
        return world.plaid.getTransactions(token, query);
      },
    });
    expect(await world.runWith({ plaid }).settleRemovals({ itemId })).toEqual({ changes: 0, more: false });
    const days = { from: '2026-11-07', to: '2026-11-13' };
    expect(asked).toEqual([
      { ...days, offset: 0 },
      { ...days, offset: 499 },
    ]);
  });

  describe('settleRemovals of a window that is read in many pages', () => {
    const others = Array.from({ length: 1_200 }, (_, n) => transaction(`o${n}`));
    /** An Item whose row `named` Plaid lists, and is said to be removed; `between` changes the list when a page was read. */
    async function named(listed: PlaidTransaction[], between: (item: FakeItem, calls: number) => void) {
      const item = await world.linkedItem();
      const { itemId } = item;
      item.page('', 'c1', { added: [transaction('named')] });
      await world.run.minePage(mine(item, 'u1'));
      await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
      item.listed = listed;
      let calls = 0;
      const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
        getTransactions: async (token: string, query: Parameters<PlaidPort['getTransactions']>[1]) => {
          const answer = await world.plaid.getTransactions(token, query);
          between(item, (calls += 1));
          return answer;
        },
      });
      const settle = () => world.runWith({ plaid }).settleRemovals({ itemId });
      const state = async () =>
        (
          await world.sql`
            SELECT t.status <> 'removed' AS lives, w.outcome, i.remine_requested_at IS NOT NULL AS remine
            FROM items i JOIN transactions t USING (item_id) JOIN webhooks w USING (item_id) WHERE i.item_id = ${itemId}`
        )[0];
      return { settle, state, calls: () => calls };
    }

    it.each<[string, (item: FakeItem) => void]>([
      ['a row leaves it', (item) => void item.listed.shift()],
      [
        'one leaves it and another comes to the end, so that the count stays',
        (item) => {
          item.listed.shift();
          item.listed.push(transaction('posted'));
        },
      ],
    ])('takes nothing for gone that was skipped because %s', async (_name, change) => {
      // The first row of the second page is pulled up to the first one, which was read already.
      const listed = [...others.slice(0, 500), transaction('named'), ...others.slice(500)];
      const { settle, state } = await named(listed, (item, calls) => {
        if (calls === 1) change(item);
      });
      await expect(settle()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      expect(await state()).toEqual({ lives: true, outcome: 'pending', remine: false });
      expect(await settle()).toMatchObject({ changes: 0, more: false });
      expect(await state()).toEqual({ lives: true, outcome: 'done', remine: false });
    });

    it('asks for a remine where the list moves whenever it is read', async () => {
      const { settle, state } = await named([...others, transaction('named')], (item) => {
        item.listed.shift();
      });
      await expect(settle()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      world.attempt = 3;
      const answer = await settle();
      world.attempt = 1;
      expect(answer).toEqual({ changes: 0, more: false, remineAsked: 1 });
      expect(await state()).toEqual({ lives: true, outcome: 'done', remine: true });
    });

    it.each<[string, unknown[]]>([
      ['has more rows than it may ask for', Array.from({ length: 20_000 }, (_, n) => transaction(`l${n}`))],
      ['has an entry that nobody can read', [...others, null]],
      ['lists a row twice, and so another one not', [...others, others[0]]],
    ])('asks for a remine where it %s, and nothing is taken for gone', async (_name, listed) => {
      const { settle, state, calls } = await named(listed as PlaidTransaction[], () => undefined);
      expect(await settle()).toEqual({ changes: 0, more: false, remineAsked: 1 });
      expect(calls()).toBeLessThanOrEqual(3);
      expect(await state()).toEqual({ lives: true, outcome: 'done', remine: true });
    });
  });

  it('settleRemovals asks for few days around each date, whatever lies between them, and odd dates are no matter of the others', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const dates = ['2024-11-28', '0001-01-01', '2026-11-20', '9999-12-31', '2026-11-27', '2026-11-28'];
    item.page('', 'c1', { added: dates.map((date) => transaction(`on ${date}`, { date })) });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(
      webhook(
        itemId,
        'removals',
        dates.map((date) => `on ${date}`),
      ),
    );
    item.listed = [transaction('on 2026-11-20'), transaction('on 2024-11-28')];
    const asked: string[] = [];
    let refusing = '9999-12-28';
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getTransactions: async (token: string, query: Parameters<PlaidPort['getTransactions']>[1]) => {
        asked.push(`${query.from} ${query.to}`);
        if (query.from === refusing) throw new Failure('BAD_REQUEST', 'no such dates');
        return world.plaid.getTransactions(token, query);
      },
    });
    const settle = () => world.runWith({ plaid }).settleRemovals({ itemId });
    expect(await settle()).toEqual({ changes: 3, more: true });
    expect(asked).toEqual([
      '0001-01-01 0001-01-04',
      '2024-11-25 2024-12-01',
      '2026-11-17 2026-11-30',
      '2026-11-25 2026-12-01',
      '9999-12-28 9999-12-31',
    ]);
    // One that Plaid does not take is shown, and asked for alone.
    asked.length = 0;
    await expect(settle()).rejects.toMatchObject({ type: 'BAD_REQUEST' });
    expect(asked).toEqual(['9999-12-28 9999-12-31']);
    refusing = '';
    expect(await settle()).toEqual({ changes: 1, more: false });
    const rows = await world.sql<{ id: string }[]>`
      SELECT transaction_id AS id FROM transactions WHERE item_id = ${itemId} AND status <> 'removed' ORDER BY 1`;
    expect(rows.map(({ id }) => id)).toEqual(['on 2024-11-28', 'on 2026-11-20']);
  });

  describe('settleRemovals of several windows', () => {
    async function named() {
      const item = await world.linkedItem();
      const { itemId } = item;
      const added = [transaction('old', { date: '2024-11-10' }), transaction('new', { date: '2026-11-10' })];
      item.page('', 'c1', { added });
      await world.run.minePage(mine(item, 'u1'));
      await world.stores.webhooks.store(webhook(itemId, 'removals', ['old', 'new']));
      const rows = async () => {
        const statuses = await world.sql<{ id: string; status: string }[]>`
          SELECT transaction_id AS id, status FROM transactions WHERE item_id = ${itemId} ORDER BY 1`;
        return statuses.map(({ id, status }) => `${id} ${status}`);
      };
      return { item, itemId, rows };
    }
    const answeredBy = (getTransactions: PlaidPort['getTransactions']) =>
      world.runWith({
        plaid: Object.assign(Object.create(world.plaid) as typeof world.plaid, { getTransactions }),
      });

    it('is held up by none that Plaid breaks down over, and fails with it at the end', async () => {
      const { itemId, rows } = await named();
      const run = answeredBy(async (_token, { from }) => {
        if (from < '2025') throw new Failure('UPSTREAM_DOWN', 'Plaid broke down');
        return { transactions: [], total: 0 };
      });
      expect(await run.settleRemovals({ itemId })).toMatchObject({ changes: 1, more: true });
      expect(await rows()).toEqual(['new removed', 'old posted']);
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    });

    it('comes to an end of its doubts about one also where Plaid refuses another', async () => {
      const { itemId, rows } = await named();
      const run = answeredBy(async (_token, { from, offset }) => {
        if (from > '2025') throw new Failure('BAD_REQUEST', 'no such dates');
        return { transactions: [transaction('x1'), transaction('x2')].slice(offset), total: 3 };
      });
      // Temporal asks no more once an attempt ends with what is not to be asked again.
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      world.attempt = 3;
      const answer = await run.settleRemovals({ itemId });
      world.attempt = 1;
      expect(answer).toMatchObject({ remineAsked: 1 });
      expect(await rows()).toEqual(['new posted', 'old posted']);
    });

    it.each(['breaks down', 'lists none of the days'])(
      'makes twenty calls at most in all its attempts where Plaid %s',
      async (how) => {
        const item = await world.linkedItem();
        const { itemId } = item;
        const days = Array.from({ length: 12 }, (_, n) =>
          new Date(Date.UTC(2025, 0, 1 + n * 20)).toISOString().slice(0, 10),
        );
        const added = days.flatMap((date, n) =>
          [`named${n}`, `beside${n}`].map((id) => transaction(id, { date })),
        );
        item.page('', 'c1', { added });
        await world.run.minePage(mine(item, 'u1'));
        await world.stores.webhooks.store(
          webhook(
            itemId,
            'removals',
            days.map((_, n) => `named${n}`),
          ),
        );
        let calls = 0;
        const run = answeredBy(async () => {
          calls += 1;
          if (how === 'breaks down') throw new Failure('UPSTREAM_DOWN', 'Plaid broke down');
          return { transactions: [], total: 0 };
        });
        try {
          for (world.attempt = 1; world.attempt <= 6; world.attempt += 1) {
            const ended = await run.settleRemovals({ itemId }).then(
              () => true,
              () => false,
            );
            if (ended) break;
          }
        } finally {
          world.attempt = 1;
        }
        expect(calls).toBeGreaterThan(9);
        expect(calls).toBeLessThanOrEqual(20);
      },
    );

    it.each([
      ['a dozen windows', 12, 1],
      ['more rows than it looks up at once', 1, 120],
    ])('comes to the others behind %s that Plaid takes at no time', async (_name, days, rowsOfDay) => {
      const item = await world.linkedItem();
      const { itemId } = item;
      const refused = Array.from({ length: days }, (_, n) =>
        Array.from({ length: rowsOfDay }, (__, row) =>
          transaction(`no${n}.${row}`, {
            date: new Date(Date.UTC(2025, 0, 1 + n * 20)).toISOString().slice(0, 10),
          }),
        ),
      ).flat();
      const good = transaction('good', { date: '2026-11-10' });
      item.page('', 'c1', { added: [...refused, good] });
      await world.run.minePage(mine(item, 'u1'));
      const ids = [...refused, good].map(({ transaction_id }) => transaction_id);
      await world.stores.webhooks.store(webhook(itemId, 'removals', ids));
      const run = answeredBy(async (_token, { from }) => {
        if (from < '2026-10') throw new Failure('BAD_REQUEST', 'no such dates');
        return { transactions: [], total: 0 };
      });
      let failures = 0;
      for (let ended = false; !ended && failures < 1_000; failures += 1)
        ended = await run.settleRemovals({ itemId, failures }).then(
          () => true,
          (error: unknown) => {
            expect(typeOf(error)).toBe('BAD_REQUEST');
            return false;
          },
        );
      expect(failures).toBeLessThan(1_000);
      const removed = await world.sql`
        SELECT transaction_id AS id FROM transactions WHERE item_id = ${itemId} AND status = 'removed'`;
      expect(removed).toEqual([{ id: 'good' }]);
    });

    it('ends with a remine, whatever Plaid breaks down over: what that lists lives, and what came after it began waits', async () => {
      const { item, itemId, rows } = await named();
      const run = answeredBy(async () => {
        throw new Failure('UPSTREAM_DOWN', 'Plaid broke down');
      });
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      await world.stores.itemCommands.requestRemine(ourselves, itemId);
      const added = [transaction('old', { date: '2024-11-10' }), transaction('new', { date: '2026-11-10' })];
      item.page('', 'c2', { added });
      const asking = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
        syncTransactions: async (...args: Parameters<PlaidPort['syncTransactions']>) => {
          await world.stores.webhooks.store(webhook(itemId, 'removals', ['new']));
          return world.plaid.syncTransactions(...args);
        },
      });
      const end = await world
        .runWith({ plaid: asking })
        .minePage({ ...mine(item, 'remine-1'), remine: true });
      expect(end).toMatchObject({ kind: 'applied', removalsWaiting: 1 });
      const webhooks = await world.sql`
        SELECT outcome, removed_ids FROM webhooks WHERE item_id = ${itemId} ORDER BY received_at`;
      expect(webhooks).toEqual([
        { outcome: 'done', removed_ids: [] },
        { outcome: 'pending', removed_ids: ['new'] },
      ]);
      expect(await rows()).toEqual(['new posted', 'old posted']);
    });

    it('leaves one of which Plaid always counts more than it lists to a remine', async () => {
      const { itemId, rows } = await named();
      const run = answeredBy(async (_token, { from, offset }) =>
        from < '2025'
          ? { transactions: [transaction('x1'), transaction('x2')].slice(offset), total: 3 }
          : { transactions: [], total: 0 },
      );
      expect(await run.settleRemovals({ itemId })).toMatchObject({ changes: 1, more: true });
      await expect(run.settleRemovals({ itemId })).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
      world.attempt = 3;
      const answer = await run.settleRemovals({ itemId });
      world.attempt = 1;
      expect(answer).toEqual({ changes: 0, more: false, remineAsked: 1 });
      expect(await rows()).toEqual(['new removed', 'old posted']);
    });
  });

  it('settleRemovals takes nothing for gone because one answer lists none of the days, but when three agree', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction('a'), transaction('b'), transaction('named')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
    const status = async () =>
      (
        await world.sql`SELECT status FROM transactions WHERE item_id = ${itemId} AND transaction_id = 'named'`
      )[0];
    const whole = [transaction('a'), transaction('b'), transaction('named')];
    let short = 1;
    const settleShort = () =>
      world
        .runWith({
          plaid: Object.assign(Object.create(world.plaid) as typeof world.plaid, {
            getTransactions: async () => {
              item.listed = short > 0 ? [] : whole;
              short -= 1;
              return { transactions: item.listed, total: item.listed.length };
            },
          }),
        })
        .settleRemovals({ itemId });
    // However often something else has failed before.
    world.attempt = 3;
    expect(await settleShort()).toMatchObject({ changes: 0, more: false });
    world.attempt = 1;
    expect(await status()).toEqual({ status: 'posted' });
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['named']));
    short = Infinity;
    expect(await settleShort()).toMatchObject({ changes: 1, more: false });
    expect(await status()).toEqual({ status: 'removed' });
  });

  it.each<[string, unknown[], Record<string, string>]>([
    ['null', [null], {}],
    ['a row without its id', [{ ...transaction('e2'), transaction_id: null }], {}],
    [
      'an older row, and one without a real date',
      [transaction('odd', { date: '0001-01-01' })],
      { date: '2024-12-01' },
    ],
    [
      'an older row, and one of the epoch',
      [transaction('odd', { date: '1970-01-01' })],
      { date: '2024-12-01' },
    ],
  ])('minePage of a remine takes no row for gone that may be there: %s', async (_name, besides, more) => {
    const item = await world.linkedItem();
    item.page('', 'c1', { added: [transaction('e1'), transaction('e2', more)] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.itemCommands.requestRemine(ourselves, item.itemId);
    item.page('', 'c1', { added: [transaction('e1'), ...(besides as PlaidTransaction[])] });
    for (const reading of ['r1', 'r2']) await world.run.minePage({ ...mine(item, reading), remine: true });
    const rows = await world.sql`
      SELECT transaction_id AS id, status FROM transactions
      WHERE item_id = ${item.itemId} AND transaction_id <> 'odd' ORDER BY 1`;
    expect(rows).toEqual([
      { id: 'e1', status: 'posted' },
      { id: 'e2', status: 'posted' },
    ]);
  });

  it('settleRemovals keeps what it has found when a later question fails, and leaves calls to others', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const ids = Array.from({ length: 25 }, (_, n) => `m${n}`);
    const dateOf = (n: number) => new Date(Date.UTC(2024, n, 15)).toISOString().slice(0, 10);
    item.page('', 'c1', { added: ids.map((id, n) => transaction(id, { date: dateOf(n) })) });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ids));
    item.listed = [];
    let calls = 0;
    const plaid = Object.assign(Object.create(world.plaid) as typeof world.plaid, {
      getTransactions: async (token: string, query: Parameters<PlaidPort['getTransactions']>[1]) => {
        calls += 1;
        if (calls === 4) throw new Failure('RATE_LIMITED', 'slowly');
        return world.plaid.getTransactions(token, query);
      },
    });
    const settle = () => world.runWith({ plaid }).settleRemovals({ itemId });
    await expect(settle()).rejects.toMatchObject({ type: 'RATE_LIMITED' });
    const later = await settle();
    expect(later).toMatchObject({ changes: 10, more: true });
    expect(later.nextDueAt ?? 0).toBeGreaterThan(Date.now());
    expect(await settle()).toMatchObject({ changes: 10, more: true });
    expect(await settle()).toEqual({ changes: 2, more: false });
    expect(calls).toBe(4 + 10 + 10 + 2);
  });

  it('settleRemovals of more than it looks up at once says that more wait, until all are told', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    const ids = Array.from({ length: 250 }, (_, n) => `r${n}`);
    item.page('', 'c1', { added: ids.map((id) => transaction(id)) });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ids));
    item.listed = [];
    const results = [];
    for (let n = 0; n < 3; n += 1) results.push(await world.run.settleRemovals({ itemId }));
    expect(results).toEqual([
      { changes: 100, more: true },
      { changes: 100, more: true },
      { changes: 50, more: false },
    ]);
    expect(await world.sql`SELECT outcome FROM webhooks WHERE item_id = ${itemId}`).toEqual([
      { outcome: 'done' },
    ]);
  });

  it('settleRemovals marks what Plaid no longer lists, once, and ends the webhook', async () => {
    const item = await world.linkedItem();
    const { itemId } = item;
    item.page('', 'c1', { added: [transaction('r1'), transaction('r2')] });
    await world.run.minePage(mine(item, 'u1'));
    await world.stores.webhooks.store(webhook(itemId, 'removals', ['r1', 'r2', 'never-seen']));
    // No update ends it, however often the sweep has the row looked at while Plaid refuses the look-up.
    const waiting = await world.run.loadItem({ itemId });
    expect(waiting?.snapshot).toMatchObject({
      webhooksWaiting: 0,
      due: expect.arrayContaining(['removals']),
    });
    item.listed = [transaction('r2')];
    expect(await twice('settleRemovals', { itemId })).toEqual([
      { changes: 1, more: false },
      { changes: 0, more: false },
    ]);
    const rows = await world.sql`
      SELECT transaction_id AS id, status FROM transactions WHERE item_id = ${itemId} ORDER BY 1`;
    expect(rows).toEqual([
      { id: 'r1', status: 'removed' },
      { id: 'r2', status: 'posted' },
    ]);
    const ended = await world.sql`SELECT outcome FROM webhooks WHERE item_id = ${itemId}`;
    expect(ended).toEqual([{ outcome: 'done' }]);
    expect(await world.run.settleRemovals({ itemId: 'nobody' })).toEqual({
      changes: 0,
      more: false,
    });
  });
});

describe('publishing', () => {
  async function minedItem(): Promise<FakeItem> {
    const item = await world.linkedItem();
    item.accounts = [account('account-1'), account('account-2', { mask: '1111', name: 'Savings' })];
    item.page('', 'c1', { added: [transaction('s1'), transaction('s2')] });
    await world.run.minePage(mine(item, 'u1'));
    world.records.length = 0;
    return item;
  }
  const sequencesOn = (stream: string, key: string): number[] =>
    world.records
      .filter((record) => record.stream === stream && record.key === key)
      .flatMap(({ events }) => events.map(({ sequence }) => sequence));

  it('publish sends every change once to each form, in order, and nothing when it runs again', async () => {
    const { itemId } = await minedItem();
    expect(await twice('publish', { itemId })).toEqual([{ done: true }, { done: true }]);
    for (const form of ['raw', 'refined']) {
      expect(sequencesOn(`${form}-accounts`, itemId)).toEqual([1, 2]);
      expect(sequencesOn(`${form}-transactions`, itemId)).toEqual([3, 4]);
    }
    const [item] = await world.sql`SELECT unsent_since FROM items WHERE item_id = ${itemId}`;
    expect(item).toEqual({ unsent_since: null });
  });

  it('publish reads on while it sends, and neither skips nor repeats where two reads meet', async () => {
    const item = await world.linkedItem();
    const many = Array.from({ length: 2_300 }, (_, n) => transaction(`many-${n}`));
    item.page('', 'c1', { added: many });
    await world.run.minePage(mine(item, 'u1'));
    // Refined records are ahead: another publisher has sent some of them.
    await world.sql`
      INSERT INTO outbox_marks (item_id, record, form, sent) VALUES (${item.itemId}, 'transaction', 'refined', 1200)`;
    expect(await world.run.publish({ itemId: item.itemId })).toEqual({ done: true });
    const [first, last] = [sequencesOn('raw-accounts', item.itemId).length + 1, 2_300];
    const raw = sequencesOn('raw-transactions', item.itemId);
    expect([raw.length, raw[0]]).toEqual([last, first]);
    expect(raw).toEqual(raw.map((_, n) => first + n));
    const refined = sequencesOn('refined-transactions', item.itemId);
    expect(refined).toEqual(refined.map((_, n) => 1201 + n));
    expect(refined.at(-1)).toBe(raw.at(-1));
  });

  it('publish killed around the put sends again what it cannot know of, never less', async () => {
    for (const point of ['publish.beforePut', 'publish.afterPut', 'publish.afterMark'] as const) {
      const { itemId } = await minedItem();
      world.crashAt = point;
      await expect(world.run.publish({ itemId })).rejects.toThrow();
      expect(await world.run.publish({ itemId })).toEqual({ done: true });
      for (const form of ['raw', 'refined']) {
        const accounts = sequencesOn(`${form}-accounts`, itemId);
        const transactions = sequencesOn(`${form}-transactions`, itemId);
        expect([point, [...new Set(accounts)], [...new Set(transactions)]]).toEqual([point, [1, 2], [3, 4]]);
      }
      const ids = world.records.flatMap(({ events }) => events.map(({ id }) => id));
      const repeats = ids.length - new Set(ids).size;
      expect([point, repeats]).toEqual([point, point === 'publish.afterPut' ? 2 : 0]);
    }
  });

  it('publish parks a record that the stream refuses, tells of it once, and goes on', async () => {
    const { itemId } = await minedItem();
    const streams: StreamPort = {
      put: () => Promise.reject(new Failure('RECORD_REFUSED', 'too large')),
    };
    const run = world.runWith({ streams });
    expect(await run.publish({ itemId })).toEqual({ done: true });
    expect(await run.publish({ itemId })).toEqual({ done: true });
    const alerts = await world.sql`SELECT kind FROM alerts WHERE item_id = ${itemId}`;
    expect(alerts).toEqual(Array(4).fill({ kind: 'record_parked' }));
  });

  it('publish leaves an outage to a later try', async () => {
    const { itemId } = await minedItem();
    const streams: StreamPort = { put: () => Promise.reject(new Failure('UPSTREAM_DOWN', 'away')) };
    await expect(world.runWith({ streams }).publish({ itemId })).rejects.toMatchObject({
      type: 'UPSTREAM_DOWN',
      nonRetryable: false,
    });
    const [item] =
      await world.sql`SELECT unsent_since IS NOT NULL AS unsent FROM items WHERE item_id = ${itemId}`;
    expect(item).toEqual({ unsent: true });
    expect(await world.run.publish({ itemId })).toEqual({ done: true });
  });
});

describe('retention', () => {
  it('deletes what is old, once', async () => {
    await world.sql`
      INSERT INTO parked_rows (item_id, transaction_id, update_id, row, reason, parked_at)
      SELECT 'item', n::text, 'u', '{}', 'no_date', now() - n * interval '1 day' FROM generate_series(1, 3) n`;
    const input = { what: 'parkedRows', keepMs: 1.5 * 86_400_000, after: null } as const;
    expect(await twice('deleteExpired', input)).toEqual([
      { deleted: 2, next: null },
      { deleted: 0, next: null },
    ]);
  });
});

describe('the sweep', () => {
  it('tells again of the same, changes nothing, and is not held up by one that takes no signal', async () => {
    const forgotten = await world.linkedItem();
    await world.sql`
      UPDATE items SET next_due_at = NULL, numbers_due_at = NULL, unsent_since = NULL, segment_due_at = NULL,
        remine_requested_at = NULL`;
    await world.sql`UPDATE webhooks SET outcome = 'done' WHERE outcome = 'pending'`;
    await world.sql`UPDATE links SET state = 'finished'`;
    await world.sql`UPDATE items SET removal_requested_at = NULL WHERE removed_at IS NULL`;
    const { tokenHash } = await world.receive();
    await world.stores.webhooks.store(webhook(forgotten.itemId, 'update'));
    world.signals.length = 0;
    world.startedLinks.length = 0;
    const found = { items: 1, links: 1, unknown: 0, failed: 0, left: 0 };
    expect(await twice('sweep', { graceMs: 0 })).toEqual([found, found]);
    const told = { itemId: forgotten.itemId, signal: 'foundDue' };
    expect([world.signals, world.startedLinks]).toEqual([
      [told, told],
      [tokenHash, tokenHash],
    ]);
    const deaf = world.runWith({
      gateway: {
        signalItem: () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'history is full')),
        startLink: () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'away')),
        startErasure: async () => undefined,
        deleteWorkflowsOf: async () => 0,
        isHistoryRunning: async () => false,
        wakeEndpoint: async () => undefined,
        isRemineRunning: () => Promise.resolve(false),
      },
    });
    expect(await deaf.sweep({ graceMs: 0 })).toEqual({ ...found, failed: 2 });
    expect(await world.run.sweep({ graceMs: 3_600_000 })).toEqual({ ...found, items: 0, links: 0 });
  });

  it('has an operator told of each whose signal Temporal will refuse for ever, once, and logs the first', async () => {
    const { tokenHash } = await world.receive();
    const { itemId } = await world.linkedItem();
    const refuse = () => Promise.reject(new Failure('ORCHESTRATOR_REFUSED', 'INVALID_ARGUMENT'));
    const run = world.runWith({
      gateway: {
        signalItem: refuse,
        startLink: refuse,
        startErasure: refuse,
        deleteWorkflowsOf: refuse,
        isHistoryRunning: async () => false,
        wakeEndpoint: async () => undefined,
        isRemineRunning: async () => false,
      },
    });
    await run.sweep({ graceMs: 0 });
    await run.sweep({ graceMs: 0 });
    expect(world.unexpected.splice(0)).toHaveLength(2);
    const alerts = await world.sql<{ key: string; item_id: string | null }[]>`
      SELECT key, item_id FROM alerts WHERE kind = 'signal_refused' AND key IN (${tokenHash}, ${itemId})`;
    expect([...alerts].sort((a, b) => (a.item_id === null ? -1 : b.item_id === null ? 1 : 0))).toEqual([
      { key: tokenHash, item_id: null },
      { key: itemId, item_id: itemId },
    ]);
  });
});

describe('the directory of institutions', () => {
  it('keeps a bank whose name cannot be read for a time under the name that it had, and lists it', async () => {
    const { directory, sql, run } = world;
    const names = async () => {
      const rows = await sql<{ name: string }[]>`
        SELECT institution_id || ': ' || name AS name FROM institutions
        WHERE vanished_at IS NULL AND institution_id LIKE 'odd%' ORDER BY 1`;
      return rows.map(({ name }) => name);
    };
    const walk = async (syncId: string) => {
      let [offset, kept] = [0, 0];
      for (;;) {
        const page = await run.saveInstitutionPage({ syncId, offset });
        offset += page.listed;
        kept += page.kept;
        if (page.listed === 0 || offset >= page.total) break;
      }
      return run.finishInstitutionSync({ syncId, expected: kept });
    };
    directory.pageSize = 2;
    directory.all = ['odd1', 'odd2', 'odd3', 'odd4'].map((id) => institution(id));
    expect(await walk('odd-1')).toMatchObject({ complete: true });
    directory.all = [
      institution('odd1', { name: null as unknown as string }),
      institution('odd2', { name: 'x'.repeat(5_000) }),
      institution('odd3'),
      // Nobody has known it before.
      institution('odd5', { name: '' }),
    ];
    expect(await walk('odd-2')).toEqual({ complete: true, vanished: 1 });
    expect(await names()).toEqual(['odd1: Bank odd1', 'odd2: Bank odd2', 'odd3: Bank odd3']);
    await sql`DELETE FROM institutions WHERE institution_id LIKE 'odd%'`;
  });

  it('is saved page by page, and what a complete walk no longer shows is marked', async () => {
    const { directory, sql } = world;
    directory.all = ['ins_1', 'ins_2', 'ins_3'].map((id) => institution(id));
    directory.pageSize = 2;
    const page = (offset: number, syncId = 'sync-1') => ({ syncId, offset });
    const first = { listed: 2, kept: 2, total: 3 };
    expect(await twice('saveInstitutionPage', page(0))).toEqual([first, first]);
    const early = { syncId: 'sync-1', expected: 3 };
    expect(await world.run.finishInstitutionSync(early)).toEqual({ complete: false, vanished: 0 });
    expect(await world.run.saveInstitutionPage(page(2))).toEqual({ listed: 1, kept: 1, total: 3 });
    directory.all = ['ins_1', 'ins_3'].map((id) => institution(id));
    await world.run.saveInstitutionPage(page(0, 'sync-2'));
    expect(await twice('finishInstitutionSync', { syncId: 'sync-2', expected: 2 })).toEqual([
      { complete: true, vanished: 1 },
      { complete: true, vanished: 0 },
    ]);
    expect(await sql`SELECT institution_id FROM institutions WHERE vanished_at IS NOT NULL`).toEqual([
      { institution_id: 'ins_2' },
    ]);
  });

  it('tells the status of institutions in use, each once a round, whatever one of them fails with', async () => {
    const { directory, sql } = world;
    await sql`UPDATE items SET removed_at = now() WHERE removed_at IS NULL`;
    for (const id of ['ins_1', 'ins_2', 'ins_5', 'ins_6']) {
      const { itemId } = await world.linkedItem();
      await sql`UPDATE items SET institution_id = ${id} WHERE item_id = ${itemId}`;
    }
    directory.all = ['ins_1', 'ins_3', 'ins_5', 'ins_6'].map((id) => institution(id));
    directory.failing.set('ins_5', new Failure('UPSTREAM_DOWN', 'this one only'));
    directory.asked.length = 0;
    const since = new Date().toISOString();
    const input = { since, limit: 3 };
    const round = { start: null, after: 'ins_5', wrapped: false };
    const result = { checked: 2, failed: 1, next: round };
    expect(await world.run.saveInstitutionStatuses(input)).toEqual(result);
    expect(directory.asked).toEqual(['ins_1', 'ins_2', 'ins_5']);
    expect(await world.run.saveInstitutionStatuses({ ...input, round })).toEqual({
      checked: 1,
      failed: 0,
      next: null,
    });
    const rows =
      await sql`SELECT institution_id, status, status_at IS NULL AS never FROM institutions ORDER BY 1`;
    const healthy = { item_logins: { status: 'HEALTHY' } };
    expect(rows).toEqual([
      { institution_id: 'ins_1', status: healthy, never: false },
      { institution_id: 'ins_2', status: null, never: false },
      { institution_id: 'ins_3', status: null, never: true },
      { institution_id: 'ins_6', status: healthy, never: false },
    ]);

    // A round that runs again asks only for what it has not got.
    directory.failing.clear();
    const again = { ...input, round: { start: null, after: null, wrapped: false } };
    expect(await twice('saveInstitutionStatuses', again)).toEqual([
      { checked: 1, failed: 0, next: null },
      { checked: 0, failed: 0, next: null },
    ]);
    expect(directory.asked.slice(4)).toEqual(['ins_5']);
  });

  it('leaves a status round to a later try when Plaid as a whole does not answer', async () => {
    const { directory } = world;
    const round = { start: null, after: null, wrapped: false };
    const input = { since: '2999-01-01T00:00:00Z', round, limit: 9 };
    directory.failing.set('ins_1', new Failure('RATE_LIMITED', 'slow down'));
    await expect(world.run.saveInstitutionStatuses(input)).rejects.toMatchObject({ type: 'RATE_LIMITED' });
    for (const id of ['ins_1', 'ins_2', 'ins_5', 'ins_6']) {
      directory.failing.set(id, new Failure('UPSTREAM_DOWN', 'away'));
    }
    expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 0, failed: 4 });
  });

  it('passes over a bank that this client may not use, and operators are told', async () => {
    const { directory, sql } = world;
    directory.failing.clear();
    const round = { start: null, after: null, wrapped: false };
    const input = { since: '2999-01-01T00:00:00Z', round, limit: 9 };
    const refuse = (error_type: string, error_code: string) => {
      const body = { error_type, error_code, request_id: 'r1' };
      const answer = { status: 400, body, retryAfter: undefined };
      directory.failing.set('ins_1', failureOfAnswer('/institutions/get_by_id', answer, 0));
    };
    const alerts = async () => {
      const rows = await sql`SELECT key FROM alerts WHERE kind = 'plaid_misconfigured'`;
      await sql`DELETE FROM alerts WHERE kind = 'plaid_misconfigured'`;
      return rows.map((row) => row['key']);
    };
    await alerts();
    const codes = [
      'INSTITUTION_REGISTRATION_REQUIRED',
      'UNAUTHORIZED_INSTITUTION',
      'INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT',
    ];
    for (const code of codes) {
      refuse('INSTITUTION_ERROR', code);
      expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 3, failed: 1 });
      expect(await alerts()).toEqual([code]);
    }
    refuse('RATE_LIMIT_EXCEEDED', 'INSTITUTION_RATE_LIMIT');
    expect(await world.run.saveInstitutionStatuses(input)).toMatchObject({ checked: 3, failed: 1 });
    // Wrong keys, and a limit of all, are of all.
    for (const [type, code] of [
      ['INVALID_INPUT', 'INVALID_API_KEYS'],
      ['RATE_LIMIT_EXCEEDED', 'INSTITUTIONS_GET_BY_ID_LIMIT'],
    ] as const) {
      refuse(type, code);
      await expect(world.run.saveInstitutionStatuses(input)).rejects.toThrow();
    }
    expect(await alerts()).toEqual(['INVALID_API_KEYS']);
  });

  it('begins a round of statuses behind where the last one has come to, and comes to all', async () => {
    const { directory } = world;
    directory.failing.clear();
    /** One round, in which Plaid answers so often and then asks to wait: whom it has told of. */
    const round = async (answers: number): Promise<string[]> => {
      directory.asked.length = 0;
      const limited = Object.assign(Object.create(directory) as typeof directory, {
        get: (id: string) =>
          directory.asked.length < answers
            ? directory.get(id)
            : Promise.reject(new Failure('RATE_LIMITED', 'slow down')),
      });
      const run = world.runWith({ directory: limited });
      // The database counts in microseconds.
      const since = new Date(Date.now() + 1).toISOString();
      for (let place: Awaited<ReturnType<Activities['saveInstitutionStatuses']>>['next'] | undefined; ;) {
        const input = { since, limit: 1, ...(place == null ? {} : { round: place }) };
        const result = await run.saveInstitutionStatuses(input).catch(() => null);
        // Cut off: the next round is another one.
        if (result === null || result.next === null) return [...directory.asked];
        place = result.next;
      }
    };
    const all = ['ins_1', 'ins_2', 'ins_5', 'ins_6'];
    directory.all = all.map((id) => institution(id));
    const told = new Set<string>();
    for (let n = 0; n < 2; n += 1) for (const id of await round(2)) told.add(id);
    expect([...told].sort()).toEqual(all);
    expect((await round(9)).sort()).toEqual(all);
    await world.sql`UPDATE institutions SET status_at = clock_timestamp() WHERE institution_id = 'ins_5'`;
    expect(await round(9)).toEqual(['ins_6', 'ins_1', 'ins_2', 'ins_5']);
  });
});

describe('a login', () => {
  it('finds its user’s Items, and calls a stale one so with one webhook, also when it runs again', async () => {
    const { itemId } = await world.linkedItem('login-user');
    const found = { itemIds: [itemId] };
    expect(await twice('listItemsToCheck', { userId: 'login-user' })).toEqual([found, found]);
    await world.sql`UPDATE items SET admitted_at = admitted_at - interval '2 days' WHERE item_id = ${itemId}`;
    const [first, second] = await twice('checkStaleness', { itemId });
    expect(first).toMatchObject({ stale: true, reason: 'last_update_old' });
    expect(second).toEqual({ ...first, reason: 'update_waiting' });
  });
});

describe('the erasure of a user', () => {
  it('ends Items and links, then rows and workflows, tells the streams, and leaves a tombstone', async () => {
    const item = await world.linkedItem('erased');
    const waiting = await world.receive('erased');
    const erasure = await world.stores.erasures.request('erased', {
      erasureId: 'era_1',
      force: false,
      applicationId: 'default',
      keyId: 'key-1',
    });
    expect(erasure).toMatchObject({ erasure_id: 'era_1', state: 'removing' });
    const input = { erasureId: 'era_1' };
    world.signals.length = 0;
    world.startedErasures.length = 0;
    // The link that Plaid was not asked for has ended with the request.
    expect(await twice('stopUser', input)).toEqual([
      { items: 1, links: 0 },
      { items: 1, links: 0 },
    ]);
    expect(await stateOf(waiting.tokenHash)).toBe('finished');
    expect(world.signals[0]).toEqual({ itemId: item.itemId, signal: 'removalRequested' });
    expect(await twice('sweepErasures', { graceMs: 0 })).toEqual([{ open: 1 }, { open: 1 }]);
    expect(world.startedErasures).toEqual(['era_1', 'era_1']);
    await world.run.removeItem({ itemId: item.itemId });

    // Killed after each batch: what is done is done, and the rest goes on.
    world.crashAt = 'erase.afterRows';
    await expect(world.run.deleteUserRows(input)).rejects.toThrow();
    const [rows] = await twice('deleteUserRows', input);
    expect(rows?.done).toBe(true);
    world.workflowsLeft = 3;
    expect(await twice('deleteUserWorkflows', input)).toEqual([
      { deleted: 3, done: false },
      { deleted: 0, done: true },
    ]);
    expect(world.erasedOf).toEqual(['erased', 'erased']);

    world.records.length = 0;
    world.crashAt = 'erase.afterPut';
    await expect(world.run.publishUserErased(input)).rejects.toThrow();
    expect(await twice('publishUserErased', input)).toEqual([{ records: 4 }, { records: 4 }]);
    expect(world.records.slice(1).map(({ stream }) => stream)).toEqual([...streamNames, ...streamNames]);
    const [again, first] = world.records;
    expect(again).toEqual(first);
    const ids = new Set(world.records.flatMap(({ events }) => events.map(({ id }) => id)));
    expect(ids.size).toBe(4);
    for (const { key, events } of world.records) {
      expect(key).toBe(item.itemId);
      expect(events.flatMap((event) => streamErrors(event))).toEqual([]);
    }

    world.crashAt = 'erase.afterEnd';
    await expect(world.run.finishErasure(input)).rejects.toThrow();
    expect(await twice('finishErasure', input)).toEqual([{ ended: true }, { ended: true }]);
    expect(await world.stores.erasures.get('era_1')).toMatchObject({
      state: 'done',
      deleted: { items: 1, users: 1, links: 2 },
    });
    // A run that begins anew finds nothing to do.
    expect(await world.run.stopUser(input)).toBeNull();
    expect(await world.run.publishUserErased(input)).toEqual({ records: 0 });
    expect(
      (await world.dump()).filter((row) => /"erased"|Item/.test(row) && row.includes(item.itemId)),
    ).toEqual([]);
  });

  it('does not wait for Temporal, and has an operator told of one that takes a day', async () => {
    await world.linkedItem('erased-later');
    await world.stores.erasures.request('erased-later', {
      erasureId: 'era_2',
      force: false,
      applicationId: 'default',
      keyId: 'key-1',
    });
    const down = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    const deaf = world.runWith({
      gateway: {
        signalItem: down,
        startLink: down,
        startErasure: async () => undefined,
        deleteWorkflowsOf: down,
        wakeEndpoint: async () => undefined,
        isHistoryRunning: async () => false,
        isRemineRunning: async () => false,
      },
    });
    expect(await deaf.stopUser({ erasureId: 'era_2' })).toEqual({ items: 1, links: 0 });
    await world.sql`UPDATE erasures SET requested_at = now() - interval '2 days' WHERE erasure_id = 'era_2'`;
    await world.run.sweepErasures({ graceMs: 0 });
    expect(await world.sql`SELECT key, item_id, detail FROM alerts WHERE kind = 'erasure_late'`).toEqual([
      { key: 'era_2', item_id: null, detail: { erasure_id: 'era_2' } },
    ]);
  });

  it('admits no Item that was exchanged meanwhile', async () => {
    const { tokenHash, item } = await world.receive('erased-linking');
    await world.run.exchangePublicToken({ tokenHash });
    await world.stores.erasures.request('erased-linking', {
      erasureId: 'era_3',
      force: false,
      applicationId: 'default',
      keyId: 'key-1',
    });
    world.startedLinks.length = 0;
    expect(await world.run.stopUser({ erasureId: 'era_3' })).toEqual({ items: 1, links: 1 });
    expect(world.startedLinks).toEqual([tokenHash]);
    expect(await world.run.admitItem({ tokenHash })).toEqual({ kind: 'user_being_erased' });
    await world.run.discardItem({ tokenHash });
    expect(item.removed).toBe(true);
    await world.run.finishLink({ tokenHash, outcome: { kind: 'user_being_erased' } });
    expect(await world.run.stopUser({ erasureId: 'era_3' })).toEqual({ items: 0, links: 0 });
  });
});

describe('at the edge', () => {
  it('nothing of a foreign error reaches Temporal but its class', async () => {
    const { tokenHash } = await world.receive();
    const links = {
      ...world.stores.links,
      get: () => Promise.reject(new TypeError('canary access-sandbox-1')),
    };
    const error = await world
      .runWith({ links })
      .loadLink({ tokenHash })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type: 'UNEXPECTED', message: 'unexpected TypeError', nonRetryable: false });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('canary');
    // Reported to the log, whose serializer leaves messages of foreign errors out.
    expect(world.unexpected.splice(0)).toEqual(['loadLink: TypeError: canary access-sandbox-1']);
  });

  it('the pause that the other side asked for is kept; a long one by the workflow, which has other things to do meanwhile', async () => {
    const { itemId } = await world.linkedItem();
    world.plaid.failNext('getItem', new Failure('RATE_LIMITED', 'busy', { retryAfterMs: 12_345 }));
    await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({
      type: 'RATE_LIMITED',
      nonRetryable: false,
      nextRetryDelay: 12_345,
    });
    world.plaid.failNext('getItem', new Failure('RATE_LIMITED', 'busy', { retryAfterMs: 123_456 }));
    await expect(world.run.checkItem({ itemId })).rejects.toMatchObject({
      type: 'RATE_LIMITED',
      nonRetryable: true,
      details: [null, { retryAfterMs: 123_456 }],
    });
  });

  it('every activity was run twice above', () => {
    // Those by endpoints.test.ts, and by test/drizzle/connectionLife.test.ts.
    const elsewhere = ['drainEndpoint', 'endConnections', 'wakeEndpoints'];
    expect([...proven, ...elsewhere].sort()).toEqual(Object.keys(world.run).sort());
  });
});
