import type { PlayedChunk } from '../../../tools/faults/core/simulationWorker.js';
import { simulate } from '../../../tools/faults/simulations.js';

it('every seed is played, however many pieces fall to a thread, but those that are known', async () => {
  const heard: PlayedChunk[] = [];
  await simulate({
    first: 0,
    count: 64,
    known: [{ first: 20, count: 20 }],
    chunkSize: 20,
    signal: AbortSignal.timeout(240_000),
    onPlayed: (played) => heard.push(played),
  });
  expect(heard.flatMap(({ failed }) => failed)).toEqual([]);
  expect(heard.map(({ first, count }) => [first, count]).sort(([a = 0], [b = 0]) => a - b)).toEqual([
    [0, 20],
    [40, 20],
    [60, 4],
  ]);
});
