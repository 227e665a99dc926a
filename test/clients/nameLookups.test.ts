import { createNameLookups } from '../../src/clients/nameLookups.js';

/** An operating system that is asked for names, and answers when it is told to. */
function system() {
  let now = 0;
  const patient: (() => void)[] = [];
  const asked: { host: string; answer: (addresses: string[]) => void; refuse: (error: Error) => void }[] = [];
  const lookUp = createNameLookups(
    (host) => new Promise((answer, refuse) => asked.push({ host, answer, refuse })),
    () => now,
    () => new Promise<void>((over) => patient.push(over)),
  );
  /** Whoever waits has waited for a second. */
  const tire = (): void => patient.splice(0).forEach((over) => over());
  /** Ends the question that is on its way, after so many milliseconds. */
  const end = async (ms: number, addresses: string[] | null): Promise<void> => {
    now += ms;
    const last = asked.at(-1);
    if (addresses === null) last?.refuse(new Error('ETIMEOUT'));
    else last?.answer(addresses);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { lookUp, end, tire, hosts: () => asked.map(({ host }) => host) };
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

it('one that was silent once is asked for, however many others are asked for all the time', async () => {
  const { lookUp, end, hosts } = system();
  const waiting: Promise<unknown>[] = [ended(lookUp('once silent'))];
  await end(10_000, null);
  const ask = (n: number): void => void waiting.push(ended(lookUp(`busy ${n % 5}`)));
  ask(0);
  ask(1);
  waiting.push(ended(lookUp('once silent')));
  for (let n = 2; n < 400; n += 1) {
    ask(n);
    await end(50, []);
  }
  expect(hosts().filter((host) => host === 'once silent')).toHaveLength(2);
  for (let n = 0; n < 3; n += 1) await end(50, []);
  await Promise.all(waiting);
});

it('one that answers, and one that is new, wait for one of those that are silent, however many of these are asked for all the time', async () => {
  const { lookUp, end, hosts } = system();
  const waiting: Promise<unknown>[] = [];
  const ask = (...names: string[]): void => void waiting.push(...names.map((name) => ended(lookUp(name))));
  const silent = Array.from({ length: 10 }, (_, n) => `silent ${n}`);
  ask('quick', ...silent);
  await end(20, []);
  for (let round = 0; round < 60; round += 1) {
    const names = round >= silent.length && round % 3 === 2 ? ['quick', `new ${round}`] : [];
    ask(...names);
    const last = hosts().at(-1) ?? '';
    expect(silent).toContain(last);
    await end(last === 'silent 0' ? 2_000 : 10_000, null);
    const answered = hosts().length;
    for (let n = 0; n < names.length; n += 1) await end(20, []);
    expect(hosts().slice(answered - 1, -1)).toEqual(names);
    ask(last);
  }
  const times = silent.map((name) => hosts().filter((host) => host === name).length);
  expect(new Set(times)).toEqual(new Set([6, 7]));
  for (let n = 0; n < silent.length; n += 1) await end(20, []);
  await Promise.all(waiting);
});

it('one that was silent once is asked for, however many new ones turn out to be silent, and one that answers waits for one of them', async () => {
  const { lookUp, end, hosts } = system();
  const waiting: Promise<unknown>[] = [];
  const ask = (...names: string[]): void => void waiting.push(...names.map((name) => ended(lookUp(name))));
  ask('once silent');
  await end(2_000, null);
  ask('quick', 'once silent');
  for (let n = 0; n < 20; n += 1) {
    ask(`new ${n}`);
    await end(20, []);
    ask('quick');
    await end(10_000, null);
    expect(hosts().at(-1)).toBe('quick');
  }
  expect(hosts().filter((host) => host === 'once silent')).toHaveLength(2);
  for (let n = 0; n < 40; n += 1) await end(20, []);
  await Promise.all(waiting);
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

it('while the servers of one name are silent others are where they were, for an hour', async () => {
  const { lookUp, end, tire, hosts } = system();
  const first = lookUp('quick');
  await end(20, ['10.0.0.1']);
  expect(await first).toEqual(['10.0.0.1']);
  const silent = ended(lookUp('silent'));
  const unknown = lookUp('unknown');
  const late = lookUp('quick');
  tire();
  expect(await late).toEqual(['10.0.0.1']);
  await end(10_000, null);
  // It is asked for all the same, and what it has come to counts.
  expect([await silent, hosts()]).toEqual(['ETIMEOUT', ['quick', 'silent', 'quick']]);
  await end(20, ['10.0.0.2']);
  await end(20, ['10.0.0.9']);
  expect(await unknown).toEqual(['10.0.0.9']);
  const mute = ended(lookUp('silent'));
  const moved = lookUp('quick');
  tire();
  expect(await moved).toEqual(['10.0.0.2']);
  await end(10_000, null);
  await end(3_600_001, []);
  const old = lookUp('quick');
  await end(20, ['10.0.0.3']);
  expect([await mute, await old]).toEqual(['ETIMEOUT', ['10.0.0.3']]);
  // What was refused leads nowhere any more.
  const gone = ended(lookUp('quick'));
  await end(20, null);
  expect(await gone).toBe('ETIMEOUT');
  const anew = lookUp('quick');
  tire();
  await end(20, ['10.0.0.4']);
  expect(await anew).toEqual(['10.0.0.4']);
});
