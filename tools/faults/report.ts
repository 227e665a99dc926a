import { readFileSync, writeFileSync } from 'node:fs';
import { format } from 'oxfmt';
import type { RoundRecord, RunRecord } from './records.js';
import type { FaultId } from './strikes.js';
import { crashPoints, faultIds, faults, longCounts, longSimulations } from './strikes.js';
import { verdictParts } from './verdict.js';

const percentile = (values: readonly number[], part: number): string => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]?.toFixed(1) ?? '-';
};
const sum = (values: readonly number[]): number => values.reduce((all, n) => all + n, 0);
const isFailed = ({ found }: RoundRecord): boolean => verdictParts.some((part) => found[part] > 0);
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const head = (...cells: string[]): string[] => [row(cells), `|${' --- |'.repeat(cells.length)}`];
const roundsOf = (runs: readonly RunRecord[]): RoundRecord[] => runs.flatMap(({ rounds }) => rounds);

/** How often a fault has struck in all, in the unit of its long count. */
export const strokesOf = (runs: readonly RunRecord[], fault: FaultId): number =>
  sum(roundsOf(runs).map(({ strokes }) => strokes[fault] ?? 0));

/** Distinct seeds of the simulation, and which of them failed. */
export function simulationOf(runs: readonly RunRecord[]): {
  seeds: number;
  failed: number[];
  seconds: number;
} {
  const chunks = runs.flatMap(({ simulation }) => simulation?.chunks ?? []);
  let seeds = 0;
  let upTo = -Infinity;
  for (const { first, count } of [...chunks].sort((a, b) => a.first - b.first)) {
    seeds += Math.max(0, first + count - Math.max(first, upTo));
    upTo = Math.max(upTo, first + count);
  }
  const failed = new Set(chunks.flatMap((chunk) => chunk.failed.map(({ seed }) => seed)));
  return { seeds, failed: [...failed], seconds: sum(runs.map(({ simulation }) => simulation?.seconds ?? 0)) };
}

/** Named points at which no process has ended yet. */
export const neverReached = (runs: readonly RunRecord[]): string[] =>
  crashPoints.filter((point) => roundsOf(runs).every(({ crashes }) => (crashes[point] ?? 0) === 0));

/** One line a fault. Whatever a round finds counts for each of its faults: which of them it was, nobody knows. */
export function faultTable(runs: readonly RunRecord[]): string {
  const lines = head(
    ...['fault', 'what is done', 'deeds', 'strokes', 'long count', 'rounds', 'alone'],
    ...['LOST', 'PHANTOM', 'STALE', 'DUP', 'other', 'seconds to quiet p50', 'p99'],
  );
  const { seeds, failed } = simulationOf(runs);
  if (seeds > 0) {
    const found = failed.length === 0 ? [0, 0, 0, 0, 0] : [`${failed.length} seeds failed`, '', '', '', ''];
    const what = 'simulation of the pure core: every step of it may be killed, repeated or come late';
    lines.push(row(['F1', what, seeds, seeds, longSimulations, '-', '-', ...found, '-', '-']));
  }
  for (const fault of faultIds) {
    const rounds = roundsOf(runs).filter((round) => round.faults.includes(fault));
    if (rounds.length > 0) lines.push(lineOf(fault, rounds));
  }
  return lines.join('\n');
}

function lineOf(fault: FaultId, rounds: readonly RoundRecord[]): string {
  const quiet = rounds.map(({ secondsToQuiet }) => secondsToQuiet);
  return row([
    ...[fault, faults[fault]],
    sum(rounds.map(({ deeds }) => deeds[fault] ?? 0)),
    sum(rounds.map(({ strokes }) => strokes[fault] ?? 0)),
    longCounts[fault],
    rounds.length,
    rounds.filter((round) => round.faults.length === 1).length,
    ...verdictParts.map((part) => sum(rounds.map(({ found }) => found[part]))),
    ...[percentile(quiet, 0.5), percentile(quiet, 0.99)],
  ]);
}

/** How often a process has ended itself at each of the named points. */
export function crashTable(runs: readonly RunRecord[]): string {
  const rounds = roundsOf(runs);
  return [
    ...head('point', 'ends of a process there'),
    ...crashPoints.map((point) =>
      row([`\`${point}\``, sum(rounds.map(({ crashes }) => crashes[point] ?? 0))]),
    ),
  ].join('\n');
}

function runTable(runs: readonly RunRecord[]): string {
  return [
    ...head('begun (UTC)', 'command', 'rounds', 'seeds', 'simulated', 'failed', 'minutes', 'versions'),
    ...runs.map((run) => {
      const seeds = run.rounds.map(({ seed }) => seed);
      const simulated = simulationOf([run]);
      return row([
        run.begunAt.slice(0, 16).replace('T', ' '),
        `\`${run.command}\``,
        run.rounds.length,
        seeds.length === 0 ? '-' : `${Math.min(...seeds)}–${Math.max(...seeds)}`,
        simulated.seeds,
        run.rounds.filter(isFailed).length + simulated.failed.length,
        Math.round(run.seconds / 60),
        Object.entries(run.versions)
          .map(([name, version]) => `${name} ${version}`)
          .join(', '),
      ]);
    }),
  ].join('\n');
}

/** Rounds and seeds that found something, with what they found first. */
function failures(runs: readonly RunRecord[]): string[] {
  const rounds = roundsOf(runs).filter(isFailed);
  const lines = rounds.map(
    ({ seed, faults: ofRound, lines: [first = ''] }) =>
      `- seed ${seed} (${ofRound.join(', ')}): \`${first.replaceAll('`', "'").slice(0, 300)}\``,
  );
  const { failed } = simulationOf(runs);
  if (failed.length > 0) lines.push(`- F1: seeds ${failed.slice(0, 50).join(', ')}`);
  return lines.length === 0 ? [] : ['What was found:', '', ...lines, ''];
}

const begin = '<!-- written by `npm run faults -- --report` -->';
const end = '<!-- end -->';

/** Writes the figures of all runs between the two comments of the document. */
export async function writeReport(file: string, runs: readonly RunRecord[]): Promise<void> {
  const text = readFileSync(file, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${file} has no place for the figures`);
  const rounds = roundsOf(runs);
  const deeds = sum(rounds.map((round) => sum(Object.values(round.deeds))));
  const crashes = sum(rounds.map((round) => sum(Object.values(round.crashes))));
  const { seeds, seconds } = simulationOf(runs);
  const missed = neverReached(runs);
  const lines = [
    `${rounds.length} rounds, ${rounds.filter(isFailed).length} of which found something; ${deeds} deeds; ` +
      `${crashes} ends of a process at a named point; ${Math.round(sum(runs.map((run) => run.seconds)) / 60)} minutes.`,
    ...(seeds === 0 ? [] : [`F1: ${seeds} seeds in ${seconds.toFixed(0)} s, each played twice.`]),
    '',
    ...failures(runs),
    faultTable(runs),
    '',
    ...(rounds.length === 0 ? [] : [crashTable(runs), '']),
    ...(rounds.length === 0 || missed.length === 0 ? [] : [`Never reached yet: ${missed.join(', ')}.`, '']),
    runTable(runs),
  ];
  const written = `${text.slice(0, from)}${begin}\n\n${lines.join('\n')}\n\n${text.slice(to)}`;
  writeFileSync(file, (await format(file, written)).code);
}
