import { parseArgs } from 'node:util';
import { runCommand } from '../local/command.js';
import { say } from '../local/progress.mjs';
import { startOwnServices } from './ownServices.js';
import type { RunFigures } from './report.js';
import { faultTable, writeReport } from './report.js';
import type { RoundResult } from './round.js';
import { Trial } from './round.js';
import { planRound } from './schedule.js';
import { simulate } from './simulations.js';
import type { Sabotage } from './sabotage.js';
import { sabotage } from './sabotage.js';
import type { FaultId } from './strikes.js';
import { faultIds } from './strikes.js';
import { isClean, verdictParts } from './verdict.js';
import { startWorld } from './world.js';

/**
 * `npm run faults -- [--seed N] [--seconds S] [--only F2,F6] [--simulations N] [--plan] [--sabotage] [--report FILE]`: the pure core
 * through N simulated lives (F1), then real processes on loopback through seeded faults, then the oracle. Round `k` of seed `N` is round 0 of seed `N + k`: so each failure has a seed of its own.
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
    simulations: { type: 'string', default: '2000' },
    report: { type: 'string' },
  },
});
const first = Number(values.seed);
const count = Math.ceil((Number(values.seconds) * 1_000) / roundMs);
const asked = values.only?.split(',');
const only = asked?.filter((fault) => fault !== 'F1') as FaultId[] | undefined;
const unknown = only?.filter((fault) => !faultIds.includes(fault)) ?? [];
const simulations = asked === undefined || asked.includes('F1') ? Number(values.simulations) : 0;
if (
  !Number.isSafeInteger(first) ||
  !Number.isSafeInteger(simulations) ||
  !(count >= 1) ||
  unknown.length > 0
) {
  console.error(
    unknown.length > 0
      ? `There is no fault ${unknown.join(', ')}: choose of F1, ${faultIds.join(', ')}.`
      : '--seed, --seconds and --simulations take a number.',
  );
  process.exit(2);
}
const plans = Array.from({ length: only?.length === 0 ? 0 : count }, (_, n) =>
  planRound(first + n, { durationMs: roundMs, ownServices: true, ...(only === undefined ? {} : { only }) }),
);
if (values.plan) {
  for (const plan of plans) console.log(JSON.stringify(plan));
  process.exit(0);
}

await runCommand(run);

async function run(signal: AbortSignal): Promise<boolean> {
  const begun = Date.now();
  const simulation = simulations > 0 && !values.sabotage ? await simulate(first, simulations, signal) : null;
  const rounds: RoundResult[] = [];
  if (plans.length > 0 && !(await playRounds(rounds, signal))) return false;
  const figures: RunFigures = {
    command: `npm run faults -- --seed ${first} --seconds ${values.seconds}${values.only === undefined ? '' : ` --only ${values.only}`}`,
    date: new Date().toISOString().slice(0, 10),
    versions: { Node: process.versions.node },
    seconds: (Date.now() - begun) / 1_000,
    rounds,
    simulation,
  };
  console.log(faultTable(figures));
  if (values.report !== undefined && !signal.aborted) writeReport(values.report, figures);
  return (simulation?.failed ?? 0) === 0 && rounds.every(({ verdict }) => isClean(verdict));
}

/** False: nothing is to be reported, since the world was sabotaged and it was not noticed. */
async function playRounds(rounds: RoundResult[], signal: AbortSignal): Promise<boolean> {
  const own = await startOwnServices();
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
  return true;
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
