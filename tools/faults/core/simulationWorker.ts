import { parentPort } from 'node:worker_threads';
import { play } from './simulation.js';

/** Seeds that are played in one go. */
export interface Chunk {
  first: number;
  count: number;
}

export interface PlayedChunk extends Chunk {
  failed: { seed: number; wrong: string[] }[];
}

/** Each seed twice, to the same bit. */
async function playChunk({ first, count }: Chunk): Promise<PlayedChunk> {
  const failed: PlayedChunk['failed'] = [];
  for (let seed = first; seed < first + count; seed += 1) {
    const wrong = await playTwice(seed).catch((error: unknown) => [`OTHER ${String(error)}`]);
    if (wrong.length > 0) failed.push({ seed, wrong });
  }
  return { first, count, failed };
}

async function playTwice(seed: number): Promise<string[]> {
  const [played, repeated] = [await play(seed), await play(seed)];
  return played.hash === repeated.hash ? played.wrong : [...played.wrong, 'OTHER another life'];
}

parentPort?.on('message', (chunk: Chunk) => {
  void playChunk(chunk).then((played) => parentPort?.postMessage(played));
});
