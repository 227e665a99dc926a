import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventSchema, exampleEvent } from '../../api/schemas/events.js';
import { eventTypes } from '../../domain/exchange/event.js';
import { eventBody } from '../../domain/exchange/eventBody.js';
import type { EventPage } from '../../domain/ports/events.js';
import { eventErrors } from '../drizzle/eventSchemas.js';
import type { World } from './world.js';
import { createWorld, until } from './world.js';

let world: World;
beforeEach(() => {
  world = createWorld({ eventWaits: 1, eventPollMs: 5 });
});
afterEach(() => world.app.close());

const one = eventBody(
  {
    eventId: 'evt_1',
    type: 'item.linked',
    time: '2026-11-21T07:02:09.000Z',
    itemId: 'item-1',
    userId: 'user-1',
    connectionId: null,
    endpointId: null,
    data: { item_id: 'item-1', user_id: 'user-1' },
  },
  { counted: true },
);
const empty: EventPage = { events: [], next: { xid: '7', position: '0' }, hasMore: false, newest: 'old' };
const full: EventPage = { events: [one], next: { xid: '8', position: '0' }, hasMore: false, newest: 'new' };
const get = (query: string, headers = world.keys.read) =>
  world.app.inject({ url: `/v1/events${query}`, headers });

describe('GET /v1/events', () => {
  it('tells nothing any more to a key that was revoked while it waited', async () => {
    let asked = 0;
    world.behave.events = async () => ((asked += 1), empty);
    world.behave.newest = () => 'old';
    const waiting = get('?wait=25');
    // A request runs as soon as somebody waits for it.
    void waiting.then(() => undefined);
    await until(async () => asked > 0, 'the request waits');
    world.deps.applications.findKey = async () => null;
    world.behave.events = async () => full;
    world.behave.newest = () => 'new';
    expect([(await waiting).statusCode, (await waiting).body.includes('evt_1')]).toEqual([401, false]);
  });

  it('says where to go on, and asks the store for no more than the key may be told', async () => {
    const asked: unknown[] = [];
    world.behave.now = () => 1_000_000;
    world.behave.events = async (viewer, after, types, limit) => {
      asked.push([viewer, after, types, limit]);
      return after === null ? full : empty;
    };
    const first = (await get('?types=item.linked,item.ready&limit=5')).json();
    expect(first).toMatchObject({ data: [one], has_more: false });
    const second = (await get(`?after=${first.next}`, world.keys.admin)).json();
    expect(second.data).toEqual([]);
    const viewer = { applicationId: 'app-1', access: 'all' };
    expect(asked).toEqual([
      [{ ...viewer, consent: false }, null, ['item.linked', 'item.ready'], 5],
      // Also when the place was given: a restore of the database since then makes it none.
      [{ ...viewer, consent: true }, { ...full.next, at: 1_000_000 }, null, 100],
    ]);
  });

  it('refuses cursors that are forged, of another application, or too old, and types that are none', async () => {
    const now = Date.now();
    world.behave.now = () => now;
    const { next } = (await get('')).json();
    expect((await get(`?after=${next}`)).statusCode).toBe(200);
    for (const forged of [`${next.slice(0, -1)}${next.endsWith('A') ? 'B' : 'A'}`, 'x', 'W10']) {
      const answer = await get(`?after=${forged}`);
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_cursor']);
      expect(answer.json().errors).toMatchObject([{ in: 'query', pointer: '/after' }]);
    }
    world.deps.applications.findKey = async () => ({
      key_id: 'k',
      application_id: 'app-2',
      access: 'all',
      scopes: ['read'],
    });
    expect((await get(`?after=${next}`)).json().code).toBe('invalid_cursor');
    expect((await get('?types=item.linked,item.stolen')).statusCode).toBe(400);
    expect((await get('?wait=26')).statusCode).toBe(400);
  });

  it('says that a place is no longer kept: by its age, or by the word of the database', async () => {
    let now = Date.now();
    world.behave.now = () => now;
    const { next } = (await get('')).json();
    now += 29 * 86_400_000;
    expect((await get(`?after=${next}`)).statusCode).toBe(200);
    now += 2 * 86_400_000;
    const old = await get(`?after=${next}`);
    expect([old.statusCode, old.json().code]).toEqual([410, 'feed_expired']);
    world.behave.events = async () => 'lost';
    expect((await get('')).json().code).toBe('feed_expired');
  });
});

describe('waiting for events', () => {
  /** How often the store was asked whether anything is new: somebody waits. */
  let asked: number;
  beforeEach(() => {
    asked = 0;
  });
  /** The store has an event as soon as it is there. */
  function comesWhen(isThere: () => boolean) {
    world.behave.newest = () => {
      asked += 1;
      return isThere() ? 'new' : 'old';
    };
    world.behave.events = async () => (isThere() ? full : empty);
  }

  it('ends with the first event', async () => {
    comesWhen(() => asked > 3);
    expect((await get('?wait=25')).json()).toMatchObject({ data: [one] });
  });

  it('goes on through pages that hold nothing for the reader', async () => {
    let pages = 0;
    world.behave.events = async () => ((pages += 1) < 4 ? { ...empty, hasMore: true } : full);
    expect((await get('?wait=25')).json()).toMatchObject({ data: [one] });
    expect(pages).toBe(4);
  });

  it('ends empty when the time is over, with a place to go on from', async () => {
    comesWhen(() => false);
    const answer = (await get('?wait=1')).json();
    expect(answer).toMatchObject({ data: [], has_more: false });
    expect((await get(`?after=${answer.next}`)).statusCode).toBe(200);
  });

  it('is for so many at once, and a client that goes gives up its place', async () => {
    comesWhen(() => false);
    await world.app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = world.app.server.address() as AddressInfo;
    const waiting = httpRequest({ port, path: '/v1/events?wait=25', headers: world.keys.read });
    waiting.on('error', () => undefined);
    waiting.end();
    await until(() => asked > 0, 'it waits');
    const refused = await get('?wait=1');
    expect([refused.statusCode, refused.json().code]).toEqual([503, 'event_waits_busy']);
    expect((await get('')).statusCode).toBe(200);
    waiting.destroy();
    await until(async () => (await get('?wait=1')).statusCode === 200, 'the place is free');
  });

  it('ends when the process does', async () => {
    comesWhen(() => false);
    const answer = get('?wait=25').then((response) => response.json());
    await until(() => asked > 0, 'it waits');
    await world.app.close();
    expect(await answer).toMatchObject({ data: [], has_more: false });
  });

  it('outlives a database that does not answer for a moment', async () => {
    comesWhen(() => asked > 3);
    const { newest } = world.behave;
    world.behave.newest = () => {
      const said = newest();
      if (asked < 3) throw new Error('away');
      return said;
    };
    expect((await get('?wait=25')).json()).toMatchObject({ data: [one] });
  });
});

describe('GET /v1/event-types', () => {
  it('names every type with its schema, which the repository holds as well, and which its example fits', async () => {
    const { data } = (await world.app.inject({ url: '/v1/event-types', headers: world.keys.read })).json();
    expect(data.map(({ type }: { type: string }) => type)).toEqual([...eventTypes]);
    const folder = new URL('../../schemas/exchange/', import.meta.url);
    const files = Object.fromEntries(
      readdirSync(folder).map((file) => [
        file.replace(/\.json$/, ''),
        JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as unknown,
      ]),
    );
    // `npm run openapi` writes them.
    expect(files).toEqual(Object.fromEntries(eventTypes.map((type) => [type, eventSchema(type)])));
    for (const { type, schema } of data) {
      expect(schema).toEqual(eventSchema(type));
      expect(eventErrors(exampleEvent(type) as never)).toEqual([]);
    }
    expect(eventErrors({ ...one, data: { ...one.data, name: 'Coffee' } })).not.toEqual([]);
  });
});
