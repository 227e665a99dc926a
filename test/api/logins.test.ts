import { Failure } from '../../domain/failures.js';
import { askHastily, createWorld, never } from './world.js';

const world = createWorld();
const { app, keys, behave } = world;
afterAll(() => app.close());
const post = (user: string, headers = keys.write, payload?: object) =>
  app.inject({
    method: 'POST',
    url: `/v1/users/${user}/logins`,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });

describe('a login over REST', () => {
  it('is 404 for a user who does not exist, and asks nothing', async () => {
    behave.check = () => Promise.reject(new Error('asked'));
    expect((await post('nobody')).statusCode).toBe(404);
    expect((await post('user-1', keys.read)).statusCode).toBe(403);
    expect((await post('user-1', keys.write, { item_id: 'item-1' })).statusCode).toBe(400);
  });

  it('is 503 when Temporal is down', async () => {
    behave.check = () => Promise.reject(new Failure('ORCHESTRATOR_DOWN', 'down'));
    const answer = await post('user-1');
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'orchestrator_down']);
  });

  it.each([
    ['that takes too long', async () => null],
    ['that hangs', never],
  ])('is 504 for a check %s', async (_name, check) => {
    const answer = await askHastily({ check }, ({ write }) => ({
      method: 'POST',
      url: '/v1/users/user-1/logins',
      headers: write,
    }));
    expect([answer.statusCode, answer.json().code]).toEqual([504, 'login_check_pending']);
  });

  it('says of each item whether it is stale', async () => {
    behave.check = async (userId) => {
      expect(userId).toBe('user-1');
      return [
        { item_id: 'a', stale: true, webhook_id: 'w', reason: 'plaid_newer' },
        { item_id: 'b', stale: false, webhook_id: null, reason: null },
        { item_id: 'c', stale: false, webhook_id: null, reason: 'UPSTREAM_DOWN' },
      ];
    };
    for (const answer of [await post('user-1'), await post('user-1', keys.write, {})]) {
      expect([answer.statusCode, answer.json()]).toEqual([
        202,
        {
          items: [
            { item_id: 'a', stale: true, webhook_id: 'w', reason: 'plaid_newer' },
            { item_id: 'b', stale: false },
            { item_id: 'c', stale: false, reason: 'UPSTREAM_DOWN' },
          ],
        },
      ]);
    }
  });
});
