import { createWorld } from './world.js';

const world = createWorld({ eventLoopDelayMs: 50 });
const { app, keys } = world;
afterAll(() => app.close());

/** Holds up the event loop, as work does that is too much for the process. */
function toil(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const read = () => app.inject({ url: '/v1/users/user-1/items', headers: keys.all });

/** Until a sample is over in which there was nothing but toil. */
async function untilBusy(): Promise<Awaited<ReturnType<typeof read>>> {
  for (;;) {
    toil(400);
    await rest(0);
    const answer = await read();
    if (answer.statusCode === 503) return answer;
  }
}

it('a process that cannot keep up refuses clients with 503, and takes them again when it can', async () => {
  world.users.add('user-1');
  expect((await read()).statusCode).toBe(200);
  const refused = await untilBusy();
  expect(refused.json()).toMatchObject({ code: 'unavailable', status: 503 });
  expect(refused.headers['content-type']).toContain('application/problem+json');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  while ((await read()).statusCode !== 200) await rest(100);
});

it('answers its probes and takes webhooks meanwhile', async () => {
  const ask = () =>
    Promise.all([
      app.inject({ url: '/livez' }),
      app.inject({ url: '/readyz' }),
      app.inject({
        method: 'POST',
        url: '/webhooks/plaid',
        headers: { 'plaid-verification': 'good' },
        payload: { webhook_type: 'TRANSACTIONS', webhook_code: 'SYNC_UPDATES_AVAILABLE', item_id: 'item-1' },
      }),
      read(),
    ]);
  let statuses: number[];
  do {
    await untilBusy();
    statuses = (await ask()).map(({ statusCode }) => statusCode);
    // A machine that was away in between has measured a quiet second.
  } while (statuses[3] !== 503);
  expect(statuses).toEqual([200, 200, 200, 503]);
});
