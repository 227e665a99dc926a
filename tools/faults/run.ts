import { parseArgs } from 'node:util';
import { runCommand } from '../local/command.js';
import { say } from '../local/progress.mjs';
import { startOwnServices } from './ownServices.js';
import type { RunFigures } from './report.js';
import { faultTable, writeReport } from './report.js';
import type { RoundResult } from './round.js';
import { Trial } from './round.js';
import { planRound } from './schedule.js';
import type { Sabotage } from './sabotage.js';
import { sabotage } from './sabotage.js';
import type { FaultId } from './strikes.js';
import { faultIds } from './strikes.js';
import { isClean, verdictParts } from './verdict.js';
import { startWorld } from './world.js';

/**
 * `npm run faults -- [--seed N] [--seconds S] [--only F2,F6] [--plan] [--sabotage] [--report FILE]`: real processes on loopback through seeded faults, then the
 * oracle. Round `k` of seed `N` is round 0 of seed `N + k`: so each failure has a seed of its own.
 */
const roundMs = 20_000;
/** A world that is not at its end of work by then never will be. */
const patienceMs = 300_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '60' },
    only: { type: 'string' },
    plan: { type: 'boolean', default: false },
    sabotage: { type: 'boolean', default: false },
    report: { type: 'string' },
  },
});
const first = Number(values.seed);
const count = Math.ceil((Number(values.seconds) * 1_000) / roundMs);
const only = values.only?.split(',') as FaultId[] | undefined;
const unknown = only?.filter((fault) => !faultIds.includes(fault)) ?? [];
if (!Number.isSafeInteger(first) || !(count >= 1) || unknown.length > 0) {
  console.error(
    unknown.length > 0
      ? `There is no fault ${unknown.join(', ')}: choose of ${faultIds.join(', ')}.`
      : '--seed and --seconds take a number.',
  );
  process.exit(2);
}
const plans = Array.from({ length: count }, (_, n) =>
  planRound(first + n, { durationMs: roundMs, ownServices: true, ...(only === undefined ? {} : { only }) }),
);
if (values.plan) {
  for (const plan of plans) console.log(JSON.stringify(plan));
  process.exit(0);
}

await runCommand(run);

async function run(signal: AbortSignal): Promise<boolean> {
  const begun = Date.now();
  const own = await startOwnServices();
  const rounds: RoundResult[] = [];
  try {
    const world = await startWorld({ ...own, seed: first });
    try {
      const trial = new Trial(world, patienceMs);
      if (values.sabotage) return (await sabotage(world, trial)).map(isNamed).every(Boolean);
      for (const plan of plans) {
        if (signal.aborted) break;
        const result = await trial.round(plan, roundMs);
        rounds.push(result);
        show(result);
        if (!isClean(result.verdict)) {
          say(`happened: ${JSON.stringify(Object.fromEntries(world.happened))}`);
          break;
        }
      }
    } finally {
      await world.stop();
    }
  } finally {
    await own.stop();
  }
  const figures: RunFigures = {
    command: `npm run faults -- --seed ${first} --seconds ${values.seconds}${values.only === undefined ? '' : ` --only ${values.only}`}`,
    date: new Date().toISOString().slice(0, 10),
    versions: { Node: process.versions.node },
    seconds: (Date.now() - begun) / 1_000,
    rounds,
    simulation: null,
  };
  console.log(faultTable(figures));
  if (values.report !== undefined && !signal.aborted) writeReport(values.report, figures);
  return rounds.length > 0 && rounds.every(({ verdict }) => isClean(verdict));
}

function isNamed({ what, part, names, verdict }: Sabotage): boolean {
  const line = verdict[part].find((found) => found.includes(names));
  say(`${what}: ${line === undefined ? 'NOT NOTICED' : `${part.toUpperCase()} ${line}`}`);
  return line !== undefined;
}

function show({ seed, faults, deeds, secondsToQuiet, verdict }: RoundResult): void {
  const done = Object.entries(deeds).map(([fault, n]) => `${fault}×${n}`);
  const sums = verdictParts.map((part) => `${part.toUpperCase()} ${verdict[part].length}`);
  say(`seed ${seed}: ${done.join(' ')}; quiet after ${secondsToQuiet.toFixed(1)} s; ${sums.join(', ')}`);
  if (isClean(verdict)) return;
  for (const part of verdictParts)
    for (const line of verdict[part].slice(0, 20)) say(`  ${part.toUpperCase()} ${line}`);
  const recipe = `npm run faults -- --seed ${seed} --seconds ${roundMs / 1_000}`;
  say(`  once more: ${recipe}${values.only === undefined ? '' : ` --only ${faults.join(',')}`}`);
}
