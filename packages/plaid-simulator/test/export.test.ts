import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Receiver, Rig } from './rig.js';

interface WorldDocument {
  format: string;
  version: number;
  records: { kind: string; world?: { keys: { privatePem: string }[] } }[];
}

/** A world goes from one simulator to another and continues there. */
describe('export and import of a world', () => {
  const rigs: Rig[] = [];
  const start = async (options: Parameters<typeof Rig.start>[0] = {}) => {
    const rig = await Rig.start(options);
    rigs.push(rig);
    return rig;
  };
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-'));
  });
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close();
    rmSync(folder, { recursive: true });
  });
  const exported = (rig: Rig) => rig.control<WorldDocument>('GET', '/_sim/world');

  it('refuses what is no world, says why, and changes nothing', async () => {
    const rig = await start();
    const { itemId } = await rig.link();
    const truth = await rig.truth(itemId);
    const good = await exported(rig);
    const world = good.records[0];
    for (const [bad, why] of [
      [{}, 'format'],
      [{ ...good, version: 1 }, 'version'],
      [{ ...good, records: 'none' }, 'records'],
      [{ ...good, records: good.records.slice(1) }, 'no record of the world'],
      [{ ...good, records: [...good.records, { kind: 'item', facts: null }] }, 'damaged'],
      [
        { ...good, records: [{ ...world, world: { ...world?.world, keys: [{ privatePem: 'no key' }] } }] },
        'damaged',
      ],
    ] as [object, string][]) {
      await expect(rig.control('POST', '/_sim/world', bad)).rejects.toMatchObject({
        status: 400,
        message: expect.stringContaining(why) as string,
      });
    }
    expect(await rig.truth(itemId)).toEqual(truth);
    const file = join(folder, 'world.json');
    writeFileSync(file, '{');
    await expect(Rig.start({ import: file })).rejects.toThrow('world.json');
    await expect(Rig.start({ import: join(folder, 'none') })).rejects.toThrow('ENOENT');
  });

  it('carries data, cursors, tokens, time, keys and webhooks under way into another simulator', async () => {
    const receiver = new Receiver();
    const webhook = await receiver.start();
    const one = await start({ now: Date.parse('2026-03-01T00:00:00Z') });
    const { itemId, accessToken } = await one.link({ webhook });
    await one.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
    const half = await one.sync(accessToken, '', 25);
    const whole = await one.run(accessToken);
    await one.change(itemId, {
      add: [{ amount: 9.875, name: 'Kept' }],
      modify: [{ transaction_id: whole.added[0]?.transaction_id, amount: 1 }],
      remove: [whole.added[1]?.transaction_id],
    });
    const broken = await one.link();
    await one.api.sandboxItemResetLogin({ access_token: broken.accessToken });
    const { data: unused } = await one.api.sandboxPublicTokenCreate({
      institution_id: 'ins_109508',
      initial_products: ['transactions' as never],
    });
    const { data: link } = await one.api.linkTokenCreate({
      client_name: 'App',
      language: 'en',
      country_codes: ['US' as never],
      user: { client_user_id: 'u' },
      products: ['transactions' as never],
    });
    await one.control('POST', `/_sim/items/${itemId}/webhooks`, {
      webhook_type: 'TRANSACTIONS',
      webhook_code: 'DEFAULT_UPDATE',
      delay_ms: 3_600_000,
    });
    const document = await exported(one);
    const truth = await one.truth(itemId);
    const delta = await one.run(accessToken, whole.cursor);

    const state = join(folder, 'state');
    const two = await start({ seed: 'another', state });
    const foreign = await two.link();
    expect(await two.control('POST', '/_sim/world', document)).toMatchObject({ items: 3 });
    await expect(two.truth(foreign.itemId)).rejects.toMatchObject({ status: 404 });
    expect(await two.truth(itemId)).toEqual(truth);
    expect(await two.run(accessToken, whole.cursor)).toEqual(delta);
    await expect(two.sync(accessToken, half.next_cursor, 25)).rejects.toThrow('400');
    expect((await two.api.itemGet({ access_token: broken.accessToken })).data.item.error?.error_code).toBe(
      'ITEM_LOGIN_REQUIRED',
    );
    expect((await two.api.linkTokenGet({ link_token: link.link_token })).data.metadata.client_name).toBe(
      'App',
    );
    expect((await two.control<{ now: string }>('GET', '/_sim/clock')).now).toBe('2026-03-01T00:00:00.000Z');
    const { data: exchanged } = await two.api.itemPublicTokenExchange({ public_token: unused.public_token });
    // Signed in the first world, verified with the key that the second one shows.
    for (const received of receiver.received.slice(0, 1)) await two.verify(received);
    const before = receiver.received.length;
    await two.advance('PT1H');
    expect(receiver.received.length).toBeGreaterThan(before);
    for (const received of receiver.received.slice(before)) await two.verify(received);
    const made = await two.link();
    expect([itemId, broken.itemId, exchanged.item_id]).not.toContain(made.itemId);

    // What was imported is in the state file too, and what was there before it is not.
    const after = await two.truth(itemId);
    await two.close();
    const again = await start({ state });
    expect(await again.truth(itemId)).toEqual(after);
    await expect(again.truth(foreign.itemId)).rejects.toMatchObject({ status: 404 });

    const file = join(folder, 'world.json');
    writeFileSync(file, JSON.stringify(document));
    const three = await start({ import: file });
    expect(await three.truth(itemId)).toEqual(truth);
    expect(await three.run(accessToken, whole.cursor)).toEqual(delta);
    const copy = await exported(three);
    expect(copy.records.filter(({ kind }) => kind === 'rows')).toEqual(
      document.records.filter(({ kind }) => kind === 'rows'),
    );
    await receiver.stop();
  });
});
