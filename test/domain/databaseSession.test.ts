import { sessionsAreOwn } from '../../domain/databaseSession.js';
import { mulberry32 } from '../../tools/faults/chance.js';

/** A pooler by transactions with `size` sessions: each question is given what `next` says. */
const shared = (next: () => number) => {
  const ask = () => Promise.resolve(next());
  return sessionsAreOwn(ask, ask);
};

describe('whether two connections have sessions of their own', () => {
  it('they have, where each is answered by one process', async () => {
    expect(
      await sessionsAreOwn(
        () => Promise.resolve(11),
        () => Promise.resolve(12),
      ),
    ).toBe(true);
  });

  it('not where both are given the same', async () => {
    expect(await shared(() => 11)).toBe(false);
  });

  it.each([2, 3, 4, 5, 6, 7, 8, 20, 64])('not where %i sessions are given in turn', async (size) => {
    for (let start = 0; start < size; start += 1) {
      let asked = start;
      expect(await shared(() => asked++ % size)).toBe(false);
    }
  });

  it.each([2, 3, 5])('not where one of %i that others keep busy is given by chance', async (size) => {
    for (let seed = 0; seed < 3_000; seed += 1) {
      const random = mulberry32(seed);
      const own = await shared(() => Math.floor(random() * size));
      expect({ seed, own }).toEqual({ seed, own: false });
    }
  });
});
