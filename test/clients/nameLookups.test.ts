import { createNameLookups } from '../../src/clients/nameLookups.js';

/** An operating system that is asked for names, and answers when it is told to. */
function system() {
  let now = 0;
  const asked: { host: string; answer: (addresses: string[]) => void; refuse: (error: Error) => void }[] = [];
  const lookUp = createNameLookups(
    (host) => new Promise((answer, refuse) => asked.push({ host, answer, refuse })),
    () => now,
  );
  /** Ends the question that is on its way, after so many milliseconds. */
  const end = async (ms: number, addresses: string[] | null): Promise<void> => {
    now += ms;
    const last = asked.at(-1);
    if (addresses === null) last?.refuse(new Error('ETIMEOUT'));
    else last?.answer(addresses);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { lookUp, end, hosts: () => asked.map(({ host }) => host) };
}

const ended = (lookUp: Promise<unknown>): Promise<unknown> =>
  lookUp.catch((error: unknown) => (error as Error).message);

it('names that others have chosen are asked for one at a time, and once for all who ask', async () => {
  const { lookUp, end, hosts } = system();
  const silent = ['a', 'b', 'c', 'a', 'b', 'c'].map((host) => ended(lookUp(host)));
  expect(hosts()).toEqual(['a']);
  await end(1, ['10.0.0.1']);
  expect(hosts()).toEqual(['a', 'b']);
  await end(1, null);
  await end(1, []);
  expect(await Promise.all(silent)).toEqual([['10.0.0.1'], 'ETIMEOUT', [], ['10.0.0.1'], 'ETIMEOUT', []]);
  const later = lookUp('a');
  expect(hosts()).toEqual(['a', 'b', 'c', 'a']);
  await end(1, ['10.0.0.2']);
  expect(await later).toEqual(['10.0.0.2']);
});

it('those that answer go before those that nobody has asked for, and these before those that were silent', async () => {
  const { lookUp, end, hosts } = system();
  const waiting: Promise<unknown>[] = [];
  const ask = (...names: string[]): void => void waiting.push(...names.map((name) => ended(lookUp(name))));
  ask('silent', 'mute', 'quick');
  await end(10_000, null);
  await end(20_000, null);
  await end(20, []);
  ask('first', 'silent', 'mute', 'second', 'quick');
  for (let n = 0; n < 5; n += 1) await end(20, []);
  expect(hosts().slice(3)).toEqual(['first', 'quick', 'second', 'silent', 'mute']);
  // Both have answered since.
  ask('third', 'fourth', 'mute', 'silent');
  for (let n = 0; n < 4; n += 1) await end(20, []);
  expect(hosts().slice(8)).toEqual(['third', 'mute', 'silent', 'fourth']);
  await Promise.all(waiting);
});
