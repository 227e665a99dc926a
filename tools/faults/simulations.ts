import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { compileProgram } from '../local/compileProgram.mjs';
import { say } from '../local/progress.mjs';
import type { Chunk, PlayedChunk } from './core/simulationWorker.js';

const entry = 'tools/faults/core/simulationWorker.ts';
const threads = 2;
/** Seeds between two lines of progress. */
const sayEvery = 10_000;

export interface Simulations {
  /** Ranges of seeds, each of which a run before has played or not. */
  first: number;
  count: number;
  /** Played already: they are left out. */
  known: readonly Chunk[];
  /** Seeds that a thread plays before it tells of them. */
  chunkSize?: number;
  signal: AbortSignal;
  /** Hears of each range of seeds that has been played. */
  onPlayed: (played: PlayedChunk) => void;
}

/** F1: `count` lives of the pure core from seed `first` on, each played twice, to the same bit; by threads, since a life waits for nothing. */
export async function simulate(simulations: Simulations): Promise<void> {
  const { first, count, known, chunkSize = 500, signal, onPlayed } = simulations;
  const left = chunksOf(first, count, known, chunkSize);
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-simulation-'));
  let seeds = 0;
  let failed = 0;
  const heard = (played: PlayedChunk): void => {
    onPlayed(played);
    for (const { seed, wrong } of played.failed) {
      say(`F1 seed ${seed}: ${wrong.slice(0, 5).join('; ')}`);
      say(`  once more: npm run faults -- --only F1 --seed ${seed} --simulations 1`);
    }
    const before = Math.floor(seeds / sayEvery);
    seeds += played.count;
    failed += played.failed.length;
    if (Math.floor(seeds / sayEvery) > before) say(`F1: ${seeds} seeds, ${failed} failed`);
  };
  try {
    await compileProgram(dir, [entry]);
    const program = path.join(dir, entry.replace(/\.ts$/, '.js'));
    const workers = Math.min(threads, left.length);
    await Promise.all(Array.from({ length: workers }, () => work(program, left, signal, heard)));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The seeds from `first` on, in pieces, without those that are known. */
export function chunksOf(first: number, count: number, known: readonly Chunk[], chunkSize: number): Chunk[] {
  const isKnown = (from: number, size: number): boolean =>
    known.some((chunk) => chunk.first <= from && from + size <= chunk.first + chunk.count);
  const chunks: Chunk[] = [];
  for (let from = first; from < first + count; from += chunkSize) {
    const size = Math.min(chunkSize, first + count - from);
    if (!isKnown(from, size)) chunks.push({ first: from, count: size });
  }
  return chunks;
}

/** One thread, until no piece is left. */
async function work(
  program: string,
  left: Chunk[],
  signal: AbortSignal,
  heard: (played: PlayedChunk) => void,
): Promise<void> {
  const worker = new Worker(program);
  try {
    for (let chunk = left.shift(); chunk !== undefined && !signal.aborted; chunk = left.shift()) {
      const answer = answerOf(worker, signal);
      worker.postMessage(chunk);
      const played = await answer;
      if (played !== null) heard(played);
    }
  } finally {
    await worker.terminate();
  }
}

/** Null: the run was ended meanwhile. */
async function answerOf(worker: Worker, signal: AbortSignal): Promise<PlayedChunk | null> {
  try {
    const [played] = (await once(worker, 'message', { signal })) as [PlayedChunk];
    return played;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}
