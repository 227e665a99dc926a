import { createWorld, down } from './world.js';

const world = createWorld();
const { app, keys, behave } = world;
afterAll(() => app.close());

const url = '/v1/users/user-1/floats/float-1';
const put = (path: string, body: unknown, headers = keys.write) =>
  app.inject({ method: 'PUT', url: path, headers, payload: body as object });
const get = (path: string, headers = keys.read) => app.inject({ url: path, headers });

describe('a float over REST', () => {
  it.each([{}, { status: 'open' }, { status: null }, { status: 'active', occurred_at: 'x' }])(
    'is refused as %j',
    async (body) => {
      const answer = await put(url, body);
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request']);
      expect(world.floats.size).toBe(0);
    },
  );

  it('is refused under an id that is too long or holds a control character', async () => {
    for (const id of ['f'.repeat(129), 'a%00b', 'a%0ab']) {
      expect((await put(`/v1/users/user-1/floats/${id}`, { status: 'active' })).statusCode).toBe(400);
    }
  });

  it('needs the scope write, and read to be seen', async () => {
    expect((await put(url, { status: 'active' }, keys.read)).statusCode).toBe(403);
    expect((await get(url, keys.write)).statusCode).toBe(403);
    expect((await put(url, { status: 'active' }, keys.unknown)).statusCode).toBe(401);
  });

  it('is 404 for a user who does not exist, even when an event told of it', async () => {
    expect((await put('/v1/users/nobody/floats/float-1', { status: 'active' })).statusCode).toBe(404);
    world.floats.set('nobody/float-1', {
      user_id: 'nobody',
      float_id: 'float-1',
      status: 'active',
      occurred_at: '2026-11-21T07:00:00.000Z',
    });
    expect((await get('/v1/users/nobody/floats/float-1')).statusCode).toBe(404);
    expect((await get('/v1/users/user-1/floats/absent')).statusCode).toBe(404);
  });

  it('is what was said last', async () => {
    behave.now = () => Date.parse('2026-11-21T07:00:00Z');
    const float = {
      user_id: 'user-1',
      float_id: 'float-1',
      status: 'active',
      occurred_at: '2026-11-21T07:00:00.000Z',
    };
    const answer = await put(url, { status: 'active' });
    expect([answer.statusCode, answer.json()]).toEqual([200, float]);
    await put(url, { status: 'closed' });
    expect((await get(url)).json()).toEqual({ ...float, status: 'closed' });
  });

  it('is 503 while the database is down', async () => {
    behave.store = down;
    expect((await put(url, { status: 'active' })).statusCode).toBe(503);
  });
});
