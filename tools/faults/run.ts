import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runCommand } from '../local/command.js';
import { say } from '../local/progress.mjs';
import { closeOracle } from './oracle.js';
import { startOwnServices } from './ownServices.js';
import type { RunRecord } from './records.js';
import { keepRecord, readRecords, recordOf } from './records.js';
import { crashTable, faultTable, neverReached, simulationOf, strokesOf, writeReport } from './report.js';
import type { RoundResult } from './round.js';
import { Trial } from './round.js';
import type { RoundPlan } from './schedule.js';
import { fewestItems, longestOfAllMs, planRound, usualLongestMs } from './schedule.js';
import { simulate } from './simulations.js';
import type { Sabotage } from './sabotage.js';
import { sabotage } from './sabotage.js';
import type { FaultId } from './strikes.js';
import { faultIds, longCounts, longSimulations } from './strikes.js';
import { emptyVerdict, isClean, verdictParts } from './verdict.js';
import type { World } from './world.js';
import { startWorld } from './world.js';

/**
 * `npm run faults -- [--seed N] [--seconds S] [--round S] [--pace N] [--longest S] [--items N] [--endpoints N] [--only F2,F6] [--simulations N] [--long] [--plan] [--sabotage] [--report FILE]`: the pure core
 * through N simulated lives (F1), then real processes on loopback through seeded faults, then the oracle. Round `k` of seed `N` is round 0 of seed
 * `N + k`: so each failure has a seed of its own. `--round`: seconds of faults in each round, 20 unless said. `--pace`: pauses between deeds are N times as short. `--longest`: seconds
 * that a deed lasts at most, 20 unless said, never more than 90. `--items`: how many live through a round, 4 unless said. `--endpoints`: how many hear of events, 1 unless said. `--long`: until every fault has struck as often as the long run wants, but no
 * longer than S seconds. `--report`: what the run comes to is kept, and the document tells of all runs that are.
 */
/** A world that is not at its end of work by then never will be: a server of one shard deletes the workflows of a hundred erasures in minutes. */
const patienceMs = 600_000;
/** A round that does not end at all, longer than its faults by this. */
const longestWayToCalmMs = 900_000;
const longestStopMs = 180_000;
/** A world's logs and histories grow, and its emulator keeps every record in memory: after so much time of faults there is a new one. */
const longestWorldMs = 400_000;
/** Worlds in a row that cannot be started, after which the run ends. */
const mostFailedStarts = 3;
const results = fileURLToPath(new URL('results', import.meta.url));

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string' },
    round: { type: 'string', default: '20' },
    pace: { type: 'string', default: '1' },
    longest: { type: 'string', default: String(usualLongestMs / 1_000) },
    items: { type: 'string', default: String(fewestItems) },
    endpoints: { type: 'string', default: '1' },
    only: { type: 'string' },
    plan: { type: 'boolean', default: false },
    sabotage: { type: 'boolean', default: false },
    simulations: { type: 'string' },
    long: { type: 'boolean', default: false },
    report: { type: 'string' },
  },
});
const first = Number(values.seed);
const seconds = Number(values.seconds ?? (values.long ? '86400' : '60'));
const roundMs = Number(values.round) * 1_000;
/** Beyond it deeds would lie closer than the plan's milliseconds. */
const densest = 100;
const pace = Number(values.pace);
const longestMs = Number(values.longest) * 1_000;
const items = Number(values.items);
const endpoints = Number(values.endpoints);
const asked = values.only?.split(',');
const only = asked?.filter((fault) => fault !== 'F1') as FaultId[] | undefined;
const unknown = only?.filter((fault) => !faultIds.includes(fault)) ?? [];
const wanted = Number(values.simulations ?? (values.long ? longSimulations : 2_000));
const simulations = (asked === undefined || asked.includes('F1')) && !values.sabotage ? wanted : 0;
if (
  !Number.isSafeInteger(first) ||
  !Number.isSafeInteger(simulations) ||
  !(seconds >= 0) ||
  !(roundMs >= 1_000) ||
  !(pace > 0 && pace <= densest) ||
  !(longestMs > 0 && longestMs <= longestOfAllMs) ||
  !(Number.isSafeInteger(items) && items >= fewestItems) ||
  !(Number.isSafeInteger(endpoints) && endpoints >= 1) ||
  unknown.length > 0
) {
  console.error(
    unknown.length > 0
      ? `There is no fault ${unknown.join(', ')}: choose of F1, ${faultIds.join(', ')}.`
      : `--seed, --seconds, --simulations, --round, --pace, --longest, --items and --endpoints take a number, --round and --endpoints one of at least 1, --pace one above 0 and at most ${densest}, --longest one above 0 and at most ${longestOfAllMs / 1_000}, --items one of at least ${fewestItems}.`,
  );
  process.exit(2);
}
const withRounds = only?.length !== 0 && (seconds > 0 || values.sabotage);
const planOf = (n: number): RoundPlan =>
  planRound(first + n, {
    ...{ durationMs: roundMs, ownServices: true, pace, longestMs, items },
    ...(only === undefined ? {} : { only }),
  });
if (values.plan) {
  for (let n = 0; withRounds && n * roundMs < seconds * 1_000; n += 1) console.log(JSON.stringify(planOf(n)));
  process.exit(0);
}

await runCommand(run);

/** The command that plays the same once more; which file on this machine tells of it is nobody else's business. */
function asSaid(args: readonly string[]): string {
  return `npm run faults -- ${args.join(' ')}`.replace(/ --report[ =]\S+/, '');
}

async function run(signal: AbortSignal): Promise<boolean> {
  const begun = Date.now();
  const before = values.report === undefined ? [] : readRecords(results);
  const record: RunRecord = {
    command: asSaid(process.argv.slice(2)),
    begunAt: new Date(begun).toISOString(),
    seconds: 0,
    versions: { Node: process.versions.node, ...commit() },
    rounds: [],
    simulation: null,
  };
  const keep = (): void => {
    record.seconds = (Date.now() - begun) / 1_000;
    const { rounds, simulation } = record;
    const isEmpty = rounds.length === 0 && simulation === null;
    if (values.report !== undefined && !isEmpty) keepRecord(results, record);
  };
  if (simulations > 0) await playSimulations(record, before, keep, signal);
  if (values.sabotage) return sabotageWorld();
  if (withRounds) await playRounds(record, before, keep, signal);
  keep();
  // Another run may have ended meanwhile.
  const runs = values.report === undefined ? [record] : readRecords(results);
  console.log(faultTable([record]));
  if (record.rounds.length > 0) console.log(crashTable([record]));
  if (values.report !== undefined) await writeReport(values.report, runs);
  return isGood(record, runs);
}

function isGood(record: RunRecord, runs: readonly RunRecord[]): boolean {
  const missed = record.rounds.length === 0 ? [] : neverReached(runs);
  if (missed.length > 0) say(`never reached: ${missed.join(', ')}`);
  const found = record.rounds.flatMap((round) => verdictParts.map((part) => round.found[part]));
  const ofPoints = only === undefined || (only.includes('F2') && only.includes('F24'));
  return (
    simulationOf([record]).failed.length === 0 &&
    found.every((n) => n === 0) &&
    (!values.long || !ofPoints || missed.length === 0)
  );
}

/** Which state of the code it is; nothing where there is no git. */
function commit(): Record<string, string> {
  try {
    const options = { encoding: 'utf8', cwd: results.slice(0, results.indexOf('tools')) } as const;
    return { Sluice: execFileSync('git', ['rev-parse', '--short', 'HEAD'], options).trim() };
  } catch {
    return {};
  }
}

/** With a report those seeds that a run before has played are not played again. */
async function playSimulations(
  record: RunRecord,
  before: readonly RunRecord[],
  keep: () => void,
  signal: AbortSignal,
): Promise<void> {
  const begun = performance.now();
  const known = before.flatMap(({ simulation }) => simulation?.chunks ?? []);
  const simulation: NonNullable<RunRecord['simulation']> = { seconds: 0, chunks: [] };
  record.simulation = simulation;
  await simulate({
    ...{ first, count: simulations, known, signal },
    onPlayed(played) {
      simulation.chunks.push(played);
      simulation.seconds = (performance.now() - begun) / 1_000;
      keep();
    },
  });
}

/** Whether every fault of this run has struck as often as the long run wants. */
function isEnough(runs: readonly RunRecord[]): boolean {
  return (only ?? faultIds).every((fault) => strokesOf(runs, fault) >= longCounts[fault]);
}

interface Stage {
  world: World;
  trial: Trial;
  rounds: number;
  versions: Record<string, string>;
  stop(): Promise<void>;
}

async function openStage(seed: number): Promise<Stage> {
  const own = await startOwnServices();
  try {
    const world = await startWorld({ ...own, seed, endpoints });
    return {
      ...{ world, trial: new Trial(world, patienceMs), rounds: 0, versions: await world.versions() },
      async stop() {
        closeOracle(world.system);
        try {
          await within(longestStopMs, world.stop());
        } finally {
          await within(longestStopMs, own.stop());
        }
      },
    };
  } catch (error) {
    await own.stop();
    throw error;
  }
}

/** Rejects after `ms`; what still goes on then is nobody's any more. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end in ${ms / 1_000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}

/** Rounds until the time is over, whatever they find: a world in which something was found is given up for a new one. */
async function playRounds(
  record: RunRecord,
  before: readonly RunRecord[],
  keep: () => void,
  signal: AbortSignal,
): Promise<void> {
  let stage: Stage | null = null;
  let failedStarts = 0;
  const deadline = Date.now() + seconds * 1_000;
  const close = async (): Promise<void> => {
    const closing = stage;
    stage = null;
    await closing?.stop().catch((error: unknown) => say(`not stopped: ${String(error)}`));
  };
  try {
    for (let n = 0; Date.now() < deadline && !signal.aborted; n += 1) {
      if (values.long && isEnough([...before, record])) break;
      const plan = planOf(n);
      try {
        stage ??= await openStage(first + n);
        failedStarts = 0;
        Object.assign(record.versions, stage.versions);
      } catch (error) {
        say(`no world: ${String(error)}`);
        failedStarts += 1;
        if (failedStarts === mostFailedStarts) throw error;
        n -= 1;
        continue;
      }
      const result = await playRound(stage, plan);
      if (signal.aborted) break;
      record.rounds.push(recordOf(result));
      show(result);
      keep();
      stage.rounds += 1;
      if (!isClean(result.verdict)) keepTraces(stage.world, result.seed);
      if (!isClean(result.verdict) || stage.rounds * roundMs >= longestWorldMs) await close();
    }
  } finally {
    await close();
  }
}

/** A round that breaks off is one that found something. */
async function playRound({ trial }: Stage, plan: RoundPlan): Promise<RoundResult> {
  try {
    return await within(roundMs + longestWayToCalmMs, trial.round(plan, roundMs));
  } catch (error) {
    const verdict = {
      ...emptyVerdict(),
      other: [`the round broke off: ${(error as Error).stack ?? String(error)}`],
    };
    const { seed, faults } = plan;
    return { seed, faults, deeds: {}, strokes: {}, crashes: {}, secondsToQuiet: 0, lastToEnd: [], verdict };
  }
}

function keepTraces({ system, happened }: World, seed: number): void {
  const file = path.join(tmpdir(), `sluice-faults-${seed}.log`);
  writeFileSync(file, system.logs());
  say(`happened: ${JSON.stringify(Object.fromEntries(happened))}; logs: ${file}`);
}

/** False: something was done to the world in secret, and was not noticed. */
async function sabotageWorld(): Promise<boolean> {
  const stage = await openStage(first);
  try {
    return (await sabotage(stage.world, stage.trial)).map(isNamed).every(Boolean);
  } finally {
    await stage.stop();
  }
}

function isNamed({ what, part, names, verdict }: Sabotage): boolean {
  const line = verdict[part].find((found) => found.includes(names));
  say(`${what}: ${line === undefined ? 'NOT NOTICED' : `${part.toUpperCase()} ${line}`}`);
  return line !== undefined;
}

function show({ seed, faults, deeds, crashes, secondsToQuiet, lastToEnd, verdict }: RoundResult): void {
  const done = Object.entries({ ...deeds, ...crashes }).map(([name, n]) => `${name}×${n}`);
  const sums = verdictParts.map((part) => `${part.toUpperCase()} ${verdict[part].length}`);
  say(`seed ${seed}: ${done.join(' ')}; quiet after ${secondsToQuiet.toFixed(1)} s; ${sums.join(', ')}`);
  say(`  last to end: ${lastToEnd.join('; ') || '-'}`);
  if (isClean(verdict)) return;
  for (const part of verdictParts)
    for (const line of verdict[part].slice(0, 20)) say(`  ${part.toUpperCase()} ${line}`);
  const recipe = `npm run faults -- --seed ${seed} --seconds ${roundMs / 1_000} --round ${roundMs / 1_000} --simulations 0`;
  const asAsked = [
    ...(pace === 1 ? [] : [` --pace ${pace}`]),
    ...(longestMs === usualLongestMs ? [] : [` --longest ${values.longest}`]),
    ...(items === fewestItems ? [] : [` --items ${items}`]),
    ...(endpoints === 1 ? [] : [` --endpoints ${endpoints}`]),
    ...(values.only === undefined ? [] : [` --only ${faults.join(',')}`]),
  ];
  say(`  once more: ${recipe}${asAsked.join('')}`);
}
