import { advance } from './bank.js';
import { endFaults, untilCalm } from './calm.js';
import { mulberry32 } from './chance.js';
import type { LivingItem } from './happenings.js';
import { live } from './happenings.js';
import { judgeInstitutions } from './institutions.js';
import { judgeErased, judgeLiving, judgeRemoved } from './itemOracle.js';
import { linkPatiently, linkWithHistory } from './linking.js';
import type { Scene } from './perform.js';
import { emptyScene, Performer } from './perform.js';
import type { RoundPlan } from './schedule.js';
import type { FaultId } from './strikes.js';
import { judgeUserEvents } from './userEvents.js';
import type { Verdict } from './verdict.js';
import { addTo, emptyVerdict } from './verdict.js';
import type { World } from './world.js';
import type { WorldFacts } from './worldOracle.js';
import { judgeWorld } from './worldOracle.js';

export interface RoundResult {
  seed: number;
  faults: FaultId[];
  /** Deeds done, by fault. */
  deeds: Partial<Record<FaultId, number>>;
  /** What they came to, in webhooks, calls, records or ends of processes, by fault. */
  strokes: Partial<Record<FaultId, number>>;
  /** How often a process has ended itself at a named point. */
  crashes: Record<string, number>;
  /** From the end of the last deed until nothing was on its way, in seconds. */
  secondsToQuiet: number;
  /** What was on its way longest, and until when, in seconds of the same: says where a long way to quiet comes from. */
  lastToEnd: string[];
  verdict: Verdict;
}

/** What the world has been through in all rounds so far. */
export class Trial implements WorldFacts {
  terminated = 0;
  poison = 0;
  readonly erased: { userId: string; itemId: string }[] = [];
  private readonly removed: string[] = [];

  constructor(
    private readonly world: World,
    /** How long a world may take to come to its end of work, in milliseconds. */
    private readonly patienceMs: number,
  ) {}

  /** Items of its own live through the faults of the plan; then all that is known is compared with the truth. */
  async round(plan: RoundPlan, durationMs: number): Promise<RoundResult> {
    this.world.crashes.clear();
    const scene = await this.begin(plan);
    const endsAt = Date.now() + durationMs;
    const name = `r${plan.seed}`;
    await Promise.all([
      new Performer(this.world, scene, name).play(plan.strikes, durationMs),
      ...scene.items.map(async (item, n) => {
        try {
          await live(this.world, item, mulberry32(plan.seed * 100 + n), endsAt);
        } catch (error) {
          scene.wrong.push(`item ${item.itemId}: ${(error as Error).message}`);
        }
      }),
    ]);
    this.terminated += scene.terminated;
    this.poison += scene.said.poison;
    this.erased.push(...scene.erased);
    const ended = Date.now();
    await endFaults(this.world, scene);
    const { restless, lastToEnd } = await untilCalm(this.world, scene, this.patienceMs);
    const secondsToQuiet = (Date.now() - ended) / 1_000;
    const verdict = await this.judge(scene);
    verdict.other.push(...restless.map((line) => `did not come to its end: ${line}`));
    await this.leave(scene);
    const deeds = Object.fromEntries(scene.done) as RoundResult['deeds'];
    const strokes = Object.fromEntries(scene.strokes) as RoundResult['strokes'];
    const crashes = Object.fromEntries(this.world.crashes);
    const { seed, faults } = plan;
    return { seed, faults, deeds, strokes, crashes, secondsToQuiet, lastToEnd, verdict };
  }

  /** Two Items of two pages, so that pages can move while they are read; small ones; one that is still to be read. */
  private async begin({ seed, items: count }: RoundPlan): Promise<Scene> {
    const { world } = this;
    const userOf = (n: number): string => `r${seed}-user-${n}`;
    const small = Array<number>(count - 3).fill(10);
    const ids = await Promise.all([
      ...[520, 520, ...small].map((more, n) => linkWithHistory(world, userOf(n), more)),
      linkPatiently(world, userOf(count - 1)),
    ]);
    const items: LivingItem[] = ids.map((itemId, n) => ({ itemId, userId: userOf(n), isBroken: false }));
    const scene = emptyScene(items);
    for (const { itemId } of items.slice(-1)) await advance(world.system, itemId, 'historical');
    return scene;
  }

  async judge(scene: Scene): Promise<Verdict> {
    const { system } = this.world;
    const verdict = emptyVerdict();
    for (const { itemId } of scene.items) addTo(verdict, await judgeLiving(system, itemId), `item ${itemId}`);
    for (const itemId of scene.removed)
      addTo(verdict, await judgeRemoved(system, itemId), `removed item ${itemId}`);
    for (const one of scene.erased)
      addTo(verdict, await judgeErased(system, one), `erased user ${one.userId}`);
    addTo(verdict, await judgeUserEvents(system, scene.said), 'user events');
    if (scene.institutions.isWalked) addTo(verdict, await judgeInstitutions(system), 'Plaid');
    addTo(verdict, await judgeWorld(this.world, this), 'all');
    verdict.other.push(...scene.wrong);
    return verdict;
  }

  /** The Items of a round go with it, else the last round would have those of all. */
  private async leave({ items }: Scene): Promise<void> {
    for (const { itemId } of items) {
      await this.world.client.ask('DELETE', `/v1/items/${itemId}`);
      this.removed.push(itemId);
    }
    this.world.kinesis.calls.length = 0;
  }
}
