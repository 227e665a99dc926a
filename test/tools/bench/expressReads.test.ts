import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ourselves } from '../../../domain/exchange/viewer.js';
import type { Form } from '../../../domain/mining/events.js';
import type { World } from '../../drizzle/world.js';
import { linkedItem, openWorld, rowsOf, runUpdate, transaction } from '../../drizzle/world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** The other side of the benchmark of reads (W6) listens to our statements, so it has to know how they answer. */
it('Express reads what our API reads, by the same statements', async () => {
  const item = await linkedItem(world);
  const { itemId } = item;
  await runUpdate(world, item, [{ added: ['a', 'b', 'c'].map((id) => transaction(id)) }]);
  const child = fork(fileURLToPath(new URL('../../../tools/bench/expressReads.ts', import.meta.url)), {
    execArgv: ['--import', import.meta.resolve('tsx')],
    env: { PATH: process.env['PATH'], DATABASE_URL: world.url, DATABASE_CONNECTIONS: '1' },
  });
  const ended = once(child, 'exit');
  try {
    const [{ url }] = (await Promise.race([
      once(child, 'message'),
      ended.then(([code]) => Promise.reject(new Error(`it ended with ${code}`))),
    ])) as [{ url: string }];
    const theirs = async (page: string): Promise<unknown[]> => {
      const answer = await fetch(`${url}/items/${itemId}/${page}`);
      return ((await answer.json()) as { data: unknown[] }).data;
    };
    const ours = async (format: Form): Promise<unknown[]> => {
      const filter = { itemId, statuses: ['pending' as const, 'posted' as const], format };
      return rowsOf(await world.stores.reads.transactions(ourselves, filter, 100, null));
    };
    const [refined, raw] = [await ours('refined'), await ours('raw')];
    expect(refined).toHaveLength(3);
    expect(await theirs('first')).toEqual(refined);
    expect(await theirs('raw')).toEqual(raw);
    expect(await theirs('offset?offset=1')).toEqual(refined.slice(1));
    const [at] = refined as { date: string; id: string }[];
    expect(await theirs(`next?date=${at?.date}&id=${at?.id}`)).toEqual(refined.slice(1));
  } finally {
    if (child.connected) child.disconnect();
    await ended;
  }
});
