import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import type { Sealed } from '../../domain/ports/secrets.js';
import { createWorld, down } from './world.js';

const world = createWorld();
const { app, keys, deps } = world;
afterAll(() => app.close());

const ach = [{ account: '9876543210', routing: '110000000', wire_routing: null }];
const kinds = { ach, eft: [], international: [], bacs: [] };
const asOf = '2026-11-20T10:00:00.000Z';
const seal = (accountId: string, item = 'item-1'): Promise<Sealed> =>
  deps.secrets.seal(JSON.stringify(kinds), secretContext.accountNumbers(item, accountId));

const ask = () => app.inject({ url: '/v1/items/item-1/numbers', headers: keys.numbers });

beforeEach(async () => {
  world.alerts.length = 0;
  world.behave.store = async () => undefined;
  world.behave.keys = async () => undefined;
  const stored = [
    { accountId: 'a-1', asOf, sealed: await seal('a-1') },
    // Of another row: its bytes are not what was written.
    { accountId: 'a-2', asOf, sealed: await seal('a-2', 'item-2') },
  ];
  const withheld = [{ accountId: 'a-3', reason: 'account_closed' as const }];
  deps.numbers.read = async () => ({ numbers: stored, withheld, missing: [], nextReadAt: null });
});

describe('account numbers of which one account has some that do not open', () => {
  it('are given of the others; operators are told', async () => {
    const answer = await ask();
    expect([answer.statusCode, answer.json()]).toEqual([
      200,
      {
        item_id: 'item-1',
        numbers: [{ account_id: 'a-1', as_of: asOf, ...kinds }],
        withheld: [
          { account_id: 'a-3', reason: 'account_closed' },
          { account_id: 'a-2', reason: 'unreadable' },
        ],
        missing: [],
        next_read_at: null,
      },
    ]);
    expect(world.alerts).toEqual([
      { kind: 'numbers_unreadable', key: 'item-1/stored', detail: { account_ids: ['a-2'] } },
    ]);
  });

  it('are given also where no alert can be raised', async () => {
    world.behave.store = down;
    const answer = await ask();
    expect([answer.statusCode, answer.json().numbers.length]).toEqual([200, 1]);
  });

  it('are not given while the service of the keys does not answer: nobody knows what they are', async () => {
    world.behave.keys = () => Promise.reject(new Failure('UPSTREAM_DOWN', 'KMS is down'));
    const answer = await ask();
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'unavailable']);
    expect(world.alerts).toEqual([]);
  });
});
