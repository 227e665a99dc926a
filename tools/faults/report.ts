import { readFileSync, writeFileSync } from 'node:fs';
import type { RoundResult } from './round.js';
import type { FaultId } from './strikes.js';
import { faultIds, faults } from './strikes.js';
import { verdictParts } from './verdict.js';

/** What a run of the simulation has come to; null: it was not run. */
export interface SimulationFigures {
  seeds: number;
  seconds: number;
  failed: number;
}

export interface RunFigures {
  command: string;
  /** ISO 8601. */
  date: string;
  versions: Record<string, string>;
  seconds: number;
  rounds: readonly RoundResult[];
  simulation: SimulationFigures | null;
}

const percentile = (values: readonly number[], part: number): string => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]?.toFixed(1) ?? '-';
};

/** One line a fault. Whatever a round finds counts for each of its faults: which of them it was, nobody knows. */
export function faultTable({ rounds, simulation }: RunFigures): string {
  const head =
    '| fault | what is done | deeds | rounds | alone | LOST | PHANTOM | STALE | DUP | other | seconds to quiet p50 | p99 |';
  const lines = [head, `|${' --- |'.repeat(12)}`];
  if (simulation !== null) {
    const { seeds, failed } = simulation;
    const sum = failed === 0 ? '0 | 0 | 0 | 0 | 0' : `${failed} seeds failed | | | | `;
    lines.push(
      `| F1 | simulation of the pure core, every step of it | ${seeds} | ${seeds} | | ${sum} | - | - |`,
    );
  }
  for (const fault of faultIds) {
    const with_ = rounds.filter((round) => round.faults.includes(fault));
    if (with_.length > 0) lines.push(lineOf(fault, with_));
  }
  return lines.join('\n');
}

function lineOf(fault: FaultId, rounds: readonly RoundResult[]): string {
  const deeds = rounds.reduce((sum, round) => sum + (round.deeds[fault] ?? 0), 0);
  const alone = rounds.filter((round) => round.faults.length === 1).length;
  const counts = verdictParts.map((part) =>
    rounds.reduce((sum, { verdict }) => sum + verdict[part].length, 0),
  );
  const quiet = rounds.map(({ secondsToQuiet }) => secondsToQuiet);
  const cells = [
    ...[fault, faults[fault], deeds, rounds.length, alone, ...counts],
    ...[percentile(quiet, 0.5), percentile(quiet, 0.99)],
  ];
  return `| ${cells.join(' | ')} |`;
}

const begin = '<!-- written by `npm run faults -- --report` -->';
const end = '<!-- end -->';

/** Writes the figures between the two comments of the document. */
export function writeReport(file: string, figures: RunFigures): void {
  const text = readFileSync(file, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${file} has no place for the figures`);
  const deeds = figures.rounds.reduce(
    (sum, round) => sum + Object.values(round.deeds).reduce((all, n) => all + n, 0),
    0,
  );
  const seeds = figures.rounds.map(({ seed }) => seed);
  const versions = Object.entries(figures.versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    `\`${figures.command}\`, ${figures.date}: ${figures.rounds.length} rounds${seeds.length === 0 ? '' : ` (seeds ${Math.min(...seeds)} to ${Math.max(...seeds)})`}, ` +
      `${deeds} deeds, ${Math.round(figures.seconds / 60)} minutes. ${versions.join(', ')}.`,
    ...(figures.simulation === null
      ? []
      : [
          `F1: ${figures.simulation.seeds} seeds in ${figures.simulation.seconds.toFixed(0)} s, each played twice.`,
        ]),
  ];
  const written = `${begin}\n\n${lines.join('\n')}\n\n${faultTable(figures)}\n\n`;
  writeFileSync(file, text.slice(0, from) + written + text.slice(to));
}
