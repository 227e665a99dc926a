import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { byId, Rig, until } from './rig.js';

/** Seeded transactions are not stored: what a client sees must not tell. */
describe('seeded transactions', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start({ transactionsPerItem: 40 });
  });
  afterAll(() => rig.close());

  const advance = (itemId: string, to: 'initial' | 'historical') =>
    rig.control('POST', `/_sim/items/${itemId}/advance`, { to });

  it('refuses ids that only look like one of theirs', async () => {
    const one = await rig.link();
    const two = await rig.link();
    for (const { itemId } of [one, two]) await advance(itemId, 'historical');
    const id = (await rig.truth(one.itemId)).transactions[0]?.transaction_id ?? '';
    // The first six characters are read back to the number, the rest must fit it.
    const other = `${id.slice(0, 6)}${id[6] === '0' ? '1' : '0'}${id.slice(7)}`;
    const swapped = id.slice(1, 2) + id.slice(0, 1) + id.slice(2);
    for (const strange of [
      other,
      swapped,
      id.toLowerCase(),
      `${id}x`,
      id.slice(1),
      `!!!!!!${id.slice(6)}`,
      '',
    ]) {
      await expect(rig.change(one.itemId, { remove: [strange] })).rejects.toMatchObject({ status: 400 });
    }
    await expect(rig.change(two.itemId, { remove: [id] })).rejects.toMatchObject({ status: 400 });
    expect((await rig.truth(one.itemId)).transactions).toHaveLength(40);
  });

  it('differ between Items of the same user in ids alone, and all ids differ', async () => {
    const truths = [];
    for (let n = 0; n < 2; n += 1) {
      const { itemId } = await rig.link();
      await advance(itemId, 'historical');
      truths.push((await rig.truth(itemId)).transactions);
    }
    const [one = [], two = []] = truths;
    const content = (rows: typeof one) => rows.map((row) => ({ ...row, transaction_id: '', account_id: '' }));
    expect(content(one)).toEqual(content(two));
    expect(byId([...one, ...two]).size).toBe(80);
  });

  it('can be changed and removed before a pull reads them, and are told in the order of their dates', async () => {
    const other = await rig.link();
    await advance(other.itemId, 'historical');
    const content = (await rig.truth(other.itemId)).transactions;
    const { itemId, accessToken } = await rig.link();
    await advance(itemId, 'initial');
    const first = await rig.run(accessToken);
    const known = byId(first.added);
    // What the historical pull will read is known from the Item of the same user: its dates, in this order.
    const later = content.slice(0, content.length - first.added.length);
    const middle = later[later.length >> 1]?.date ?? '';
    await rig.change(itemId, {
      add: [{ amount: 7, name: 'Old, added late', date: middle }],
      modify: [{ transaction_id: first.added[1]?.transaction_id, amount: 1234.5 }],
      remove: [first.added[0]?.transaction_id],
    });
    await advance(itemId, 'historical');
    const second = await rig.run(accessToken, first.cursor);
    expect(second.removed.map(({ transaction_id }) => transaction_id)).toEqual([
      first.added[0]?.transaction_id,
    ]);
    expect(second.modified.map(({ amount }) => amount)).toEqual([1234.5]);
    const dates = second.added.map(({ date }) => date);
    expect(dates).toEqual([...dates].sort());
    expect(second.added.filter(({ name }) => name === 'Old, added late')).toHaveLength(1);
    expect(second.added).toHaveLength(later.length + 1);
    expect(second.added.some(({ transaction_id }) => known.has(transaction_id))).toBe(false);
    // A day's added row comes behind the seeded ones of that day.
    const at = second.added.findIndex(({ name }) => name === 'Old, added late');
    expect(second.added.slice(at + 1).every(({ date }) => date > middle)).toBe(true);
  });

  it('are the same by pages of any size, by dates, by account and in both taxonomies (property)', async () => {
    const { itemId, accessToken } = await rig.link();
    await advance(itemId, 'historical');
    const { transactions } = await rig.truth(itemId);
    await rig.change(itemId, {
      modify: [{ transaction_id: transactions[20]?.transaction_id, name: 'Ünïcode ✓' }],
    });
    const now = (await rig.truth(itemId)).transactions;
    expect(now.at(-1)?.name).toBe('Ünïcode ✓');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 50 }), fc.boolean(), async (count, older) => {
        const page = await rig.api.transactionsGet({
          access_token: accessToken,
          start_date: '2000-01-01',
          end_date: '2100-01-01',
          options: {
            count,
            include_original_description: true,
            personal_finance_category_version: (older ? 'v1' : 'v2') as never,
          },
        });
        const truth = byId(now);
        expect(page.data.transactions).toHaveLength(Math.min(count, 40));
        for (const row of page.data.transactions) {
          const { personal_finance_category: category, ...rest } = row;
          const { personal_finance_category: expected, ...others } = truth.get(row.transaction_id) ?? {};
          expect(rest).toEqual(others);
          expect(category?.primary).toBe(expected?.primary);
          expect(category?.version).toBe(older ? 'v1' : 'v2');
        }
        expect((await rig.run(accessToken, undefined, count)).added).toEqual(now);
      }),
      { numRuns: 10 },
    );
  });

  it('reach a reader who takes his time unharmed, whatever others read meanwhile', async () => {
    const large = await Rig.start({ transactionsPerItem: 500 });
    const items: { accessToken: string; rows: unknown[] }[] = [];
    for (let n = 0; n < 12; n += 1) {
      const { itemId, accessToken } = await large.link({ username: `reader_${n}` });
      await large.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
      items.push({ accessToken, rows: (await large.truth(itemId)).transactions });
    }
    // More than the system's own buffers hold: what it has not taken yet waits in the simulator.
    const { hostname, port } = new URL(large.url);
    const slow = connect(Number(port), hostname);
    slow.pause();
    for (const { accessToken } of items) {
      const body = JSON.stringify({
        access_token: accessToken,
        count: 500,
        options: { include_original_description: true },
      });
      slow.write(
        `POST /transactions/sync HTTP/1.1\r\nhost: s\r\nplaid-client-id: c\r\nplaid-secret: s\r\n` +
          `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    }
    for (const { accessToken, rows } of [...items].reverse()) {
      expect((await large.run(accessToken)).added).toEqual(rows);
    }
    const chunks: Buffer[] = [];
    slow.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
    const answers = () =>
      Buffer.concat(chunks)
        .toString()
        .split(/HTTP\/1\.1 200 OK\r\n[^{]*\r\n\r\n/);
    await until(
      () =>
        (
          Buffer.concat(chunks)
            .toString()
            .match(/"request_id":"/g) ?? []
        ).length === items.length,
    );
    const pages = answers()
      .slice(1)
      .map((text) => JSON.parse(text) as { added: unknown[] });
    expect(pages.map(({ added }) => added)).toEqual(items.map(({ rows }) => rows));
    slow.destroy();
    await large.close();
  });

  it('take a line of the state file, not a line each; what was changed is kept', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    const state = join(folder, 'state');
    let kept = await Rig.start({ state, transactionsPerItem: 5_000 });
    const { itemId, accessToken } = await kept.link();
    await kept.control('POST', `/_sim/items/${itemId}/advance`, { to: 'historical' });
    const { cursor, added } = await kept.run(accessToken);
    expect(added).toHaveLength(5_000);
    await kept.close();
    expect(statSync(state).size).toBeLessThan(20_000);
    kept = await Rig.start({ state });
    const ids = added.map(({ transaction_id }) => transaction_id);
    await kept.change(itemId, {
      modify: [{ transaction_id: ids[10], amount: 0.125 }],
      remove: [ids[11]],
      add: [{ amount: 2, name: 'Added' }],
    });
    const truth = await kept.truth(itemId);
    const delta = await kept.run(accessToken, cursor);
    expect(delta).toMatchObject({ added: [{ name: 'Added' }], modified: [{ amount: 0.125 }] });
    await kept.close();
    expect(statSync(state).size).toBeLessThan(30_000);
    kept = await Rig.start({ state });
    expect(await kept.truth(itemId)).toEqual(truth);
    expect(await kept.run(accessToken, cursor)).toEqual(delta);
    await kept.close();
    writeFileSync(
      state,
      '{"kind":"world","world":{"version":1,"seed":"s"}}\n{"kind":"rows","itemId":"x","events":[]}\n',
    );
    await expect(Rig.start({ state })).rejects.toThrow(
      'is of version 1, this simulator reads version 3: delete it',
    );
    rmSync(folder, { recursive: true });
  });
});
