import { Failure } from '../../domain/failures.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import { stateOf, twice, typeOf, world } from './sharedWorld.js';

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

  it('whose public token does not open ends as refused once Plaid would not take it any more', async () => {
    const { tokenHash } = await world.receive();
    const before = world.plaid.count('exchangePublicToken');
    await world.sql`
      UPDATE links SET public_token_ciphertext = '\\x00', created_at = created_at - interval '29 minutes'
      WHERE token_hash = ${tokenHash}`;
    const exchange = () => world.run.exchangePublicToken({ tokenHash });
    await expect(exchange()).rejects.toMatchObject({ type: 'SECRET_UNREADABLE' });
    await world.sql`
      UPDATE links SET created_at = created_at - interval '2 minutes' WHERE token_hash = ${tokenHash}`;
    const outcome = { kind: 'invalid_public_token' as const, plaid: null };
    expect(await exchange()).toEqual({ kind: 'refused', outcome });
    expect([await stateOf(tokenHash), world.plaid.count('exchangePublicToken')]).toEqual([
      'received',
      before,
    ]);
    expect(await world.run.finishLink({ tokenHash, outcome })).toEqual(outcome);
    expect(await world.sql`SELECT 1 FROM alerts WHERE key = ${tokenHash}`).toHaveLength(0);
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
