import { createWorld, down } from './world.js';

const world = createWorld();
const { app, keys, behave } = world;
afterAll(() => {
  // The client would keep its connections open for a while.
  app.server.closeAllConnections();
  return app.close();
});

const erase = (path: string, headers = keys.admin) => app.inject({ method: 'DELETE', url: path, headers });
const exported = (path: string, headers = keys.admin) => app.inject({ url: path, headers });

describe('the erasure of a user over REST', () => {
  it('is answered when it is recorded, also when Temporal is away: the sweep starts it', async () => {
    behave.signal = down;
    const answer = await erase('/v1/users/user-1');
    behave.signal = async () => undefined;
    expect([answer.statusCode, answer.json()]).toMatchObject([
      202,
      { state: 'removing', left: { items: 1 } },
    ]);
    expect(answer.headers['location']).toBe(`/v1/erasures/${answer.json().erasure_id}`);
    expect(answer.json().erasure_id).toMatch(/^era_[0-9a-f-]{36}$/);
    expect(world.logged.join('')).toContain('left to the sweep');
    expect(world.logged.join('')).not.toContain('user-1');
  });

  it('needs the scope admin and a user, and asks for floats unless it is forced', async () => {
    for (const held of [keys.read, keys.write, keys.numbers]) {
      expect((await erase('/v1/users/user-1', held)).statusCode).toBe(403);
      expect((await exported('/v1/users/user-1/export', held)).statusCode).toBe(403);
    }
    expect((await erase('/v1/users/nobody')).statusCode).toBe(404);
    expect((await exported('/v1/users/nobody/export')).statusCode).toBe(404);
    await world.deps.floats.record({
      userId: 'user-2',
      floatId: 'f',
      status: 'active',
      occurredAt: null,
      by: null,
    });
    const refused = await erase('/v1/users/user-2');
    expect([refused.statusCode, refused.json().code]).toEqual([409, 'active_float']);
    expect((await erase('/v1/users/user-2?force=true')).statusCode).toBe(202);
    expect((await erase('/v1/users/user-2?force=yes')).statusCode).toBe(400);
  });

  it('is not for an application that only sees what it is connected with', async () => {
    const find = world.deps.applications.findKey.bind(world.deps.applications);
    world.deps.applications.findKey = async (hash) => {
      const key = await find(hash);
      return key && { ...key, access: 'connected' };
    };
    const answers = await Promise.all([
      erase('/v1/users/user-1?force=true'),
      exported('/v1/users/user-1/export'),
      app.inject({ url: '/v1/erasures/era_1', headers: keys.admin }),
    ]);
    world.deps.applications.findKey = find;
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([404, 404, 404]);
  });

  it('that is not known is 404', async () => {
    expect((await app.inject({ url: '/v1/erasures/era_none', headers: keys.admin })).statusCode).toBe(404);
  });
});

describe('the export of a user', () => {
  it('is lines of JSON with a head and an end', async () => {
    const answer = await exported('/v1/users/user-1/export');
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/x-ndjson']);
    const lines = answer.body
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string });
    expect(lines.map(({ type }) => type)).toEqual(['export', 'user', 'end']);
    expect(lines[0]).toMatchObject({ user_id: 'user-1' });
  });

  it('that is cut off has no end, and makes way for the next ones', async () => {
    const write = world.deps.exports.write.bind(world.deps.exports);
    for (let n = 0; n < 3; n += 1) {
      world.deps.exports.write = async (_userId, emit) => {
        await emit('{"type":"user"}\n');
        throw new Error('canary of the database');
      };
      const cut = await exported('/v1/users/user-1/export').catch((error: unknown) => error);
      expect(String((cut as { body?: string }).body ?? '')).not.toContain('"end"');
    }
    world.deps.exports.write = write;
    expect((await exported('/v1/users/user-1/export')).body).toContain('"end"');
    expect(world.logged.join('')).toContain('export cut off');
    expect(world.logged.join('')).not.toContain('canary of the database');
  });

  it('refuses a third at a time, and ends the reading when its client goes away', async () => {
    const ended: string[] = [];
    let pieces = 0;
    world.deps.exports.write = async (_userId, emit) => {
      try {
        for (;;) {
          pieces += 1;
          await emit(`${'x'.repeat(60_000)}\n`);
        }
      } finally {
        ended.push('ended');
      }
    };
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.server.address() as { port: number };
    const ask = (signal?: AbortSignal) =>
      fetch(`http://127.0.0.1:${port}/v1/users/user-1/export`, {
        headers: keys.admin,
        ...(signal ? { signal } : {}),
      });
    const leaving = new AbortController();
    const both = await Promise.all([ask(leaving.signal), ask(leaving.signal)]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    const third = await ask();
    expect([third.status, third.headers.get('retry-after')]).toEqual([503, '10']);
    // Nobody reads: what waits for the client holds up the reading of more.
    const settled = async (): Promise<number> => {
      for (let last = -1; ;) {
        if (last === pieces) return pieces;
        last = pieces;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    };
    expect(await settled()).toBeLessThan(10_000);
    leaving.abort();
    while (ended.length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
    world.deps.exports.write = async (_userId, emit) => emit('{"type":"end","lines":0}\n');
    expect(await (await ask()).text()).toContain('"end"');
  });
});
