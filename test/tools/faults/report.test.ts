import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RunRecord } from '../../../tools/faults/records.js';
import { keepRecord, readRecords, recordOf } from '../../../tools/faults/records.js';
import { neverReached, simulationOf, strokesOf, writeReport } from '../../../tools/faults/report.js';
import { chunksOf } from '../../../tools/faults/simulations.js';
import { crashPoints } from '../../../tools/faults/strikes.js';
import { emptyVerdict } from '../../../tools/faults/verdict.js';

const dir = mkdtempSync(path.join(tmpdir(), 'sluice-report-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const [firstPoint = '', ...otherPoints] = crashPoints;
const clean = recordOf({
  ...{ seed: 1, faults: ['F2'], deeds: { F2: 3 }, strokes: { F2: 3 }, crashes: { [firstPoint]: 2 } },
  ...{ secondsToQuiet: 4, lastToEnd: [], verdict: emptyVerdict() },
});
const dirty = recordOf({
  ...{ seed: 2, faults: ['F2', 'F9'], deeds: { F2: 1, F9: 2 }, strokes: { F2: 1, F9: 110 }, crashes: {} },
  ...{
    secondsToQuiet: 9,
    lastToEnd: [],
    verdict: { ...emptyVerdict(), lost: ['feed: transaction t1 is missing'] },
  },
});
const run = (begunAt: string, more: Partial<RunRecord>): RunRecord => ({
  ...{ command: 'npm run faults -- --long', begunAt, seconds: 120, versions: { Node: '24.0.0' } },
  ...{ rounds: [], simulation: null },
  ...more,
});
const chunk = (first: number, count: number, failed: number[] = []) => ({
  ...{ first, count },
  failed: failed.map((seed) => ({ seed, wrong: ['LOST t1'] })),
});

it('runs add up, one that is kept twice counts once, and the document tells of all of them', async () => {
  keepRecord(dir, run('2026-11-27T22:00:00.000Z', { rounds: [clean] }));
  keepRecord(dir, run('2026-11-27T22:00:00.000Z', { rounds: [clean, dirty] }));
  const simulation = { seconds: 9, chunks: [chunk(0, 500), chunk(500, 500, [777])] };
  keepRecord(dir, run('2026-11-27T23:00:00.000Z', { rounds: [clean], simulation }));
  const runs = readRecords(dir);
  expect(runs.map(({ rounds }) => rounds.length)).toEqual([2, 1]);
  expect([strokesOf(runs, 'F2'), strokesOf(runs, 'F9')]).toEqual([7, 110]);
  expect(neverReached(runs)).toEqual(otherPoints);

  const file = path.join(dir, 'page.md');
  const begin = '<!-- written by `npm run faults -- --report` -->';
  writeFileSync(file, `# Page\n\n${begin}\n\nold\n\n<!-- end -->\n\nKept.\n`);
  await writeReport(file, runs);
  await writeReport(file, runs);
  const text = readFileSync(file, 'utf8');
  expect(text).not.toContain('old');
  expect(text.endsWith('<!-- end -->\n\nKept.\n')).toBe(true);
  const cells = (start: string) =>
    text
      .split('\n')
      .find((line) => line.startsWith(`| ${start} `))
      ?.split('|')
      .map((cell) => cell.trim())
      .slice(3, -1);
  expect(cells('F2')).toEqual(['7', '7', '2000', '3', '2', '1', '0', '0', '0', '0', '4.0', '9.0']);
  expect(cells('F1')?.slice(0, 2)).toEqual(['1000', '1000']);
  for (const told of [
    '`LOST feed: transaction t1 is missing`',
    'F1: seeds 777',
    `Never reached yet: ${otherPoints[0]}`,
  ])
    expect(text).toContain(told);
});

it('seeds of the simulation that are known count once, and are not played again', () => {
  const runs = [
    run('a', { simulation: { seconds: 1, chunks: [chunk(0, 500), chunk(1_000, 500, [1_200])] } }),
    run('b', { simulation: { seconds: 1, chunks: [chunk(1_000, 500, [1_200]), chunk(1_250, 500)] } }),
  ];
  expect(simulationOf(runs)).toEqual({ seeds: 1_250, failed: [1_200], seconds: 2 });
  const known = runs.flatMap(({ simulation }) => simulation?.chunks ?? []);
  expect(chunksOf(0, 2_000, known, 500)).toEqual([
    { first: 500, count: 500 },
    { first: 1_500, count: 500 },
  ]);
});
