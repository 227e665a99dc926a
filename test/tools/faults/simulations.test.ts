import type { PlayedChunk } from '../../../tools/faults/core/simulationWorker.js';
import { simulate } from '../../../tools/faults/simulations.js';

it('every seed is played, however many pieces fall to a thread, but those that are known', async () => {
  const heard: PlayedChunk[] = [];
  await simulate({
    first: 0,
    count: 1_600,
    known: [{ first: 500, count: 500 }],
    signal: AbortSignal.timeout(240_000),
    onPlayed: (played) => heard.push(played),
  });
  expect(heard.flatMap(({ failed }) => failed)).toEqual([]);
  expect(heard.map(({ first, count }) => [first, count]).sort(([a = 0], [b = 0]) => a - b)).toEqual([
    [0, 500],
    [1_000, 500],
    [1_500, 100],
  ]);
});
