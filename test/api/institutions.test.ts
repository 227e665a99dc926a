import { Failure } from '../../domain/failures.js';
import { createWorld, down, itemView, never, until } from './world.js';

let world: ReturnType<typeof createWorld>;
let asked: string[];
const get = (url: string) => world.app.inject({ url, headers: world.keys.read });
const items = '/v1/users/user-1/items?status=ACTIVE';

beforeEach(() => {
  world = createWorld({ logoMs: 60_000, liveReads: 1 });
  asked = [];
  world.behave.live = async (path, id) => void asked.push(`${path} ${id}`);
});
afterEach(() => world.app.close());

describe('a logo', () => {
  const logosOf = async (): Promise<unknown[]> => {
    const answer = await get(`${items}&include=logo`);
    expect(answer.statusCode).toBe(200);
    return (answer.json().data as { logo: unknown }[]).map(({ logo }) => logo);
  };

  it('is asked of nobody and answered nowhere unless it is wanted', async () => {
    const [item] = (await get(items)).json().data;
    expect([Object.hasOwn(item, 'logo'), Object.hasOwn(item, 'accounts'), asked]).toEqual([false, false, []]);
  });

  it('that is missing is fetched once for all who ask at a time, and kept', async () => {
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    world.behave.live = async (path, id) => {
      asked.push(`${path} ${id}`);
      await gate;
    };
    world.items.set('item-3', itemView('item-3', 'user-1'));
    const lists = Promise.all([logosOf(), logosOf()]);
    await until(() => asked.length === 1, 'it is being fetched');
    release();
    const both = ['bG9nbw==', 'bG9nbw=='];
    expect(await lists).toEqual([both, both]);
    expect(await logosOf()).toEqual(both);
    expect(asked).toEqual(['directory ins_1']);
  });

  it('that another list has just fetched is not fetched again by one that read the cache before', async () => {
    const { logos } = world.deps.institutions;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let read = 0;
    world.deps.institutions.logos = async (ids) => {
      const answer = await logos(ids);
      if ((read += 1) === 1) await gate;
      return answer;
    };
    const late = logosOf();
    await until(() => read === 1, 'the late list has read the cache');
    expect(await logosOf()).toEqual(['bG9nbw==']);
    release();
    expect(await late).toEqual(['bG9nbw==']);
    expect(asked).toEqual(['directory ins_1']);
  });

  it('that Plaid does not give is null, and not asked for with every list', async () => {
    world.behave.logo = null;
    for (let n = 0; n < 3; n += 1) expect(await logosOf()).toEqual([null]);
    expect(asked).toEqual(['directory ins_1']);
  });

  it('that cannot be had never fails the list', async () => {
    world.behave.live = async () => {
      asked.push('');
      throw new Failure('RATE_LIMITED', 'slow down');
    };
    for (let n = 0; n < 3; n += 1) expect(await logosOf()).toEqual([null]);
    expect(asked.length).toBe(1);
    world.behave.elapsed = () => performance.now() + 61_000;
    world.behave.live = async () => undefined;
    expect(await logosOf()).toEqual(['bG9nbw==']);
  });

  it('that takes long is left to a later list', async () => {
    await world.app.close();
    world = createWorld({ logoMs: 50, liveReads: 1 });
    let release: () => void = () => undefined;
    world.behave.live = () => new Promise((resolve) => (release = resolve));
    expect(await logosOf()).toEqual([null]);
    release();
    await until(() => world.logos.size === 1, 'it is kept');
    expect(await logosOf()).toEqual(['bG9nbw==']);
  });

  it('of an item without an institution, and of one whose cache cannot be read, is null', async () => {
    world.items.set('item-1', itemView('item-1', 'user-1', { institution_id: null }));
    expect(await logosOf()).toEqual([null]);
    world.items.set('item-1', itemView('item-1', 'user-1'));
    world.deps.institutions.logos = down;
    expect(await logosOf()).toEqual([null]);
    expect(asked).toEqual([]);
  });
});

describe('accounts in the list of items', () => {
  it('stand with the item that they are of, all of them', async () => {
    world.items.set('item-3', itemView('item-3', 'user-1'));
    const account = (id: string, item_id: string) => ({
      id,
      item_id,
      user_id: 'user-1',
      institution_id: null,
      name: id,
      official_name: null,
      mask: null,
      type: 'depository',
      subtype: null,
      status: 'open',
      is_main: false,
      balances: {
        available: null,
        current: '1.5',
        limit: null,
        currency: 'USD',
        as_of: '2026-11-21T07:00:00.000Z',
      },
      persistent_id: null,
      holder_category: null,
      replaces: null,
      replaced_by: null,
      version: 1,
    });
    const all = Array.from({ length: 501 }, (_, n) => account(`a${n}`, 'item-1'));
    world.rows.accounts = all.map((row) => JSON.stringify(row));
    const answer = await get(`${items}&include=logo,accounts`);
    expect(answer.json().data.map((item: any) => [item.item_id, item.accounts, item.logo])).toEqual([
      ['item-1', all, 'bG9nbw=='],
      ['item-3', [], 'bG9nbw=='],
    ]);
  });

  it('are refused by another name', async () => {
    for (const include of ['', 'account', 'logo,', 'LOGO']) {
      expect((await get(`${items}&include=${include}`)).statusCode).toBe(400);
    }
  });
});

describe('institutions', () => {
  it('say when the cache was written, and where to ask for what it lacks', async () => {
    const list = (await get('/v1/institutions?query=platypus&country=US')).json();
    expect([list.data.length, list.meta]).toEqual([1, { as_of: '2026-11-21T07:00:00.000Z' }]);
    expect((await get('/v1/institutions/ins_1')).json()).toEqual(list.data[0]);
    const absent = await get('/v1/institutions/INS_1');
    expect([absent.statusCode, absent.json().code]).toEqual([404, 'not_found']);
    expect(absent.json().detail).toContain('/v1/institutions/{institutionId}/live');
    expect(asked).toEqual([]);
  });

  for (const query of ['country=us', 'country=USA', 'country=', 'query=', 'query=%00', 'name=a', 'limit=0']) {
    it(`refuse ${query}`, async () => {
      const answer = await get(`/v1/institutions?${query}`);
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request']);
    });
  }

  it('are read live within the same bound as items, with the same errors', async () => {
    expect((await get('/v1/institutions/ins_1/live')).json()).toEqual({
      institution: { institution_id: 'ins_1', name: 'A bank' },
      request_id: 'r1',
    });
    const upstream = { error_type: 'INVALID_INPUT', error_code: 'INVALID_INSTITUTION', request_id: 'r2' };
    world.behave.live = () => Promise.reject(new Failure('UNKNOWN_INSTITUTION', 'none', { upstream }));
    const unknown = await get('/v1/institutions/ins_0/live');
    expect([unknown.statusCode, unknown.json().code, unknown.json().plaid]).toEqual([
      404,
      'unknown_institution',
      upstream,
    ]);
    let busy = 0;
    world.behave.live = () => {
      busy += 1;
      return never();
    };
    void get('/v1/items/item-1/balances/live').catch(() => undefined);
    await until(() => busy === 1, 'the place is taken');
    expect((await get('/v1/institutions/ins_1/live')).json().code).toBe('live_reads_busy');
  });
});
