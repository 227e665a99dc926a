import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { PlayedChunk } from './core/simulationWorker.js';
import type { RoundResult } from './round.js';
import type { Verdict } from './verdict.js';
import { isClean, verdictParts } from './verdict.js';

/** A round as it is kept: what was found in counts, and the first lines of it. */
export interface RoundRecord extends Omit<RoundResult, 'verdict' | 'lastToEnd'> {
  found: Record<keyof Verdict, number>;
  lines: string[];
}

/** What one run of the command has come to; runs add up. */
export interface RunRecord {
  command: string;
  /** ISO 8601. */
  begunAt: string;
  seconds: number;
  versions: Record<string, string>;
  rounds: RoundRecord[];
  simulation: { seconds: number; chunks: PlayedChunk[] } | null;
}

const mostLines = 20;

export function recordOf(result: RoundResult): RoundRecord {
  const { seed, faults, deeds, strokes, crashes, secondsToQuiet, verdict } = result;
  const found = Object.fromEntries(verdictParts.map((part) => [part, verdict[part].length])) as Record<
    keyof Verdict,
    number
  >;
  const lines = verdictParts.flatMap((part) => verdict[part].map((line) => `${part.toUpperCase()} ${line}`));
  const round = { seed, faults, deeds, strokes, crashes, secondsToQuiet };
  return { ...round, found, lines: isClean(verdict) ? [] : lines.slice(0, mostLines) };
}

/** The records of all runs that are kept in a folder, the oldest one first. */
export function readRecords(folder: string): RunRecord[] {
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as RunRecord);
}

/** Keeps a record, in the place of what was kept of the same run: one that is killed has told of all but its last round. */
export function keepRecord(folder: string, record: RunRecord): void {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${record.begunAt.replaceAll(/[:.]/g, '')}.json`);
  writeFileSync(`${file}.part`, `${JSON.stringify(record, null, 1)}\n`);
  renameSync(`${file}.part`, file);
}
