import fc from 'fast-check';
import { listBody, readCursor, writeCursor } from '../../api/lists.js';
import { Failure } from '../../domain/failures.js';
import { createWorld, down, itemView } from './world.js';

const query = (filters: Record<string, unknown> = {}, list = 'transactions') => ({ list, filters });

describe('a cursor', () => {
  const key = ['2026-11-21', 'transaction-1'];

  it('of other filters, of another list, or of nobody is refused', () => {
    const cursor = writeCursor(query({ userId: 'a', from: '2026-01-01' }), key)!;
    for (const other of [
      query({ userId: 'b', from: '2026-01-01' }),
      query({ userId: 'a' }),
      query({ userId: 'a', from: '2026-01-01', to: '2026-02-01' }),
      query({ userId: 'a', from: '2026-01-01' }, 'accounts'),
    ]) {
      expect(() => readCursor(other, cursor)).toThrow(expect.objectContaining({ code: 'invalid_cursor' }));
    }
    const none = Buffer.from('[]').toString('base64url');
    const object = Buffer.from('{"0":"x"}').toString('base64url');
    const numbers = Buffer.from('[1,2]').toString('base64url');
    for (const bad of [
      '',
      'x',
      'null',
      none,
      object,
      numbers,
      'a'.repeat(5_000),
      `${cursor}=`,
      ` ${cursor}`,
    ]) {
      expect(() => readCursor(query(), bad)).toThrow(expect.objectContaining({ code: 'invalid_cursor' }));
    }
  });

  it('is one text: base64 that Node reads alike is another', () => {
    const cursor = writeCursor(query(), key)!;
    expect(readCursor(query(), cursor)).toEqual(key);
    for (const other of [
      `${cursor}=`,
      ` ${cursor}`,
      `${cursor}\n`,
      `${cursor.slice(0, 4)}!${cursor.slice(4)}`,
    ]) {
      expect(() => readCursor(query(), other)).toThrow(expect.objectContaining({ code: 'invalid_cursor' }));
    }
  });

  it('with one character changed is refused', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        fc.base64String(),
        (parts, at, chars) => {
          const cursor = writeCursor(query(), parts)!;
          const place = at % cursor.length;
          const changed = cursor.slice(0, place) + (chars[0] ?? 'A') + cursor.slice(place + 1);
          if (changed === cursor) return;
          expect(() => readCursor(query(), changed)).toThrow(
            expect.objectContaining({ code: 'invalid_cursor' }),
          );
        },
      ),
    );
  });

  it('comes back as it was, whatever the order of the filters', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 4 }), (parts) => {
        const cursor = writeCursor(query({ a: '1', b: undefined, c: ['x'] }), parts)!;
        expect(readCursor(query({ c: ['x'], a: '1' }), cursor)).toEqual(parts);
      }),
    );
    expect(writeCursor(query(), null)).toBeNull();
    expect(readCursor(query(), undefined)).toBeNull();
  });
});

describe('the body of a list', () => {
  it('is JSON, with the rows as they were', () => {
    const rows = ['{"amount":"0.10","n":1.0}', '{"name":"\\u0041"}'];
    const body = listBody(Buffer.from(rows.join()), 'c', { items: [] }).toString();
    expect(JSON.parse(body)).toEqual({
      data: rows.map((row) => JSON.parse(row)),
      next_cursor: 'c',
      has_more: true,
      meta: { items: [] },
    });
    // Numbers keep the digits that Plaid sent.
    expect(body).toContain('"n":1.0');
    expect(JSON.parse(listBody(Buffer.alloc(0), null, {}).toString())).toEqual({
      data: [],
      next_cursor: null,
      has_more: false,
      meta: {},
    });
  });
});

describe('lists over REST', () => {
  const world = createWorld();
  const { app, keys } = world;
  afterAll(() => app.close());
  const get = (url: string) => app.inject({ url, headers: keys.all });

  world.rows.transactions = Array.from({ length: 7 }, (_, n) => `{"id":"t${n}"}`);
  world.rows.accounts = Array.from({ length: 3 }, (_, n) => `{"id":"a${n}"}`);
  world.rows.balances = Array.from({ length: 5 }, (_, n) => `{"id":"b${n}"}`);
  for (let n = 0; n < 4; n += 1) world.items.set(`more-${n}`, itemView(`more-${n}`, 'user-2'));

  for (const [url, rows] of [
    ['/v1/users/user-1/transactions?status=posted', 7],
    ['/v1/items/item-1/transactions?from=2026-01-01', 7],
    ['/v1/users/user-1/accounts?include_removed=true', 3],
    ['/v1/items/item-1/accounts?format=raw', 3],
    ['/v1/items/item-1/balances?from=2026-01-01&account_id=a', 5],
    ['/v1/users/user-2/items?status=ACTIVE', 5],
  ] as const) {
    it(`${url} is read to its end, whatever the limit`, async () => {
      const seen: unknown[] = [];
      let cursor: string | null = null;
      let limit = 1;
      do {
        const answer = await get(`${url}&limit=${limit}${cursor === null ? '' : `&cursor=${cursor}`}`);
        expect(answer.statusCode).toBe(200);
        const page = answer.json();
        expect(page.has_more).toBe(page.next_cursor !== null);
        expect(page.meta.items.length).toBeGreaterThan(0);
        seen.push(...page.data.map((row: { id?: string; item_id?: string }) => row.id ?? row.item_id));
        cursor = page.next_cursor;
        limit += 1;
      } while (cursor !== null);
      expect(seen.length).toBe(rows);
      expect(new Set(seen).size).toBe(rows);
    });

    it(`${url} does not take the cursor of other filters`, async () => {
      const cursor = (await get(`${url}&limit=1`)).json().next_cursor;
      const others = [
        url.replace(/\?.*/, '?'),
        '/v1/users/user-2/transactions?',
        '/v1/items/item-2/accounts?',
        '/v1/webhooks?',
      ];
      for (const other of others) {
        const answer = await get(`${other}&cursor=${cursor}`.replace('?&', '?'));
        expect([other, answer.statusCode, answer.json().code]).toEqual([other, 400, 'invalid_cursor']);
      }
    });
  }

  it('whose cursor the database cannot read answer 400, not 5xx', async () => {
    const forged = writeCursor({ list: 'webhooks', filters: {} }, ['no date at all']);
    world.behave.page = (after) => {
      if (after !== null) throw new Failure('BAD_REQUEST', 'invalid input syntax');
    };
    expect((await get(`/v1/webhooks?cursor=${forged}`)).statusCode).toBe(400);
    world.behave.page = () => undefined;
  });

  it('tell an absent user and item from empty ones', async () => {
    for (const list of ['items', 'accounts', 'transactions']) {
      expect((await get(`/v1/users/absent/${list}`)).statusCode).toBe(404);
      const empty = await get(`/v1/users/user-without-items/${list}`);
      expect(empty.json()).toEqual({ data: [], next_cursor: null, has_more: false, meta: { items: [] } });
    }
    expect((await get('/v1/items/absent/accounts')).statusCode).toBe(404);
    expect((await get('/v1/items/absent/transactions')).statusCode).toBe(404);
    expect((await get('/v1/items/absent/balances')).statusCode).toBe(404);
  });

  it('say how complete each item is, and leave removed ones out until asked', async () => {
    const idsOf = async (url: string): Promise<string[]> =>
      (await get(url)).json().meta.items.map((item: { item_id: string }) => item.item_id);
    expect(await idsOf('/v1/users/user-1/transactions')).toEqual(['item-1']);
    expect(await idsOf('/v1/users/user-1/transactions?include_removed=true')).toEqual([
      'item-1',
      'item-gone',
    ]);
    expect(await idsOf('/v1/items/item-gone/transactions')).toEqual(['item-gone']);
    expect((await get('/v1/users/user-1/accounts')).json().meta).toEqual({
      items: [{ item_id: 'item-1', phase: 'idle', history: 'complete', as_of: '2026-11-21T07:00:00.000Z' }],
    });
    expect(await idsOf('/v1/users/user-1/items')).toEqual(['item-1', 'item-gone']);
    expect(await idsOf('/v1/users/user-1/items?status=REMOVED,ERROR')).toEqual(['item-gone']);
  });

  it('answer 503 while the database is down', async () => {
    world.behave.reads = down;
    for (const url of [
      '/v1/users/user-1/items',
      '/v1/users/user-1/transactions',
      '/v1/items/item-1/accounts',
      '/v1/webhooks',
    ]) {
      const answer = await get(url);
      expect([url, answer.statusCode, answer.json().code]).toEqual([url, 503, 'unavailable']);
    }
  });
});
