import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { publishActivities } from '../../../activities/publish.js';
import { Failure } from '../../../domain/failures.js';
import type { StreamName } from '../../../domain/mining/events.js';
import type { ItemEvent, ItemState } from '../../../domain/item/state.js';
import { goOnFrom } from '../../../domain/item/reduce.js';
import type { Chance } from '../chance.js';
import { between, mulberry32, pick, weighted } from '../chance.js';
import type { Ports } from './life.js';
import { Life, rules } from './life.js';
import type { Call, MoodyPlaid } from './memoryItem.js';
import { itemId } from './memoryItem.js';
import { transaction } from './plaidObjects.js';
import { SimItem } from './simItem.js';
import { oldest, SimPlaid } from './simPlaid.js';

const t0 = Date.UTC(2026, 0, 1);
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** An attempt at an activity that stops at its n-th step: for ever, as one whose process was killed, or until it is let go, as a zombie. */
interface Attempt {
  stopAt: number;
  steps: number;
  reach: () => void;
  gate: Promise<void>;
}

const attempts = new AsyncLocalStorage<Attempt | null>();

/** Where an attempt may stop. */
export async function step(): Promise<void> {
  const attempt = attempts.getStore();
  if (attempt === undefined || attempt === null) return;
  attempt.steps += 1;
  if (attempt.steps !== attempt.stopAt) return;
  attempt.reach();
  await attempt.gate;
}

/** Every method can be stopped before and after it has done its work. */
function stoppable<T extends object>(port: T): T {
  return new Proxy(port, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        await step();
        const answer: unknown = await Reflect.apply(value, target, args);
        await step();
        return answer;
      };
    },
  });
}

export interface Played {
  seed: number;
  /** Of everything that happened, step by step. */
  hash: string;
  steps: number;
  /** What differs from the truth in the end; empty = nothing. */
  wrong: string[];
  /** How often what was done, by name. */
  done: Record<string, number>;
}

/** The core broken on purpose: what a simulation that is worth anything finds. */
export interface Mutant {
  /** In the place of what the activities reach Plaid and the row by. */
  ports?: (ports: Ports, item: SimItem) => Partial<Ports>;
  /** Whether the workflow hears the event. */
  hears?: (event: ItemEvent, state: ItemState) => boolean;
  /** A record that a stream has refused counts as told. */
  forgetsRefusedRecords?: boolean;
}

class SimLife extends Life {
  private readonly zombies: { letGo: () => void; work: Promise<unknown> }[] = [];
  private readonly streams = new Map<StreamName, { id: string; sequence: number }[]>();
  private readonly hash = createHash('sha256');
  private readonly publisher: ReturnType<typeof publishActivities>;
  readonly done: Record<string, number> = {};
  /** No attempt is stopped any more. */
  isCalm = false;
  /** An activity has ended, and the workflow has not heard of it yet. */
  afterAnswer: () => void = () => undefined;

  constructor(
    clock: { now: number },
    private readonly sim: SimPlaid,
    private readonly item: SimItem,
    private readonly chance: Chance,
    private readonly mutant: Mutant,
  ) {
    const usual: Ports = {
      plaid: sim.port,
      items: item.items,
      mining: item.mining,
      crashPoint: () => undefined,
    };
    const { plaid, items, mining, crashPoint } = { ...usual, ...mutant.ports?.(usual, item) };
    super(clock, sim, item, {
      plaid: stoppable<MoodyPlaid['port']>(plaid),
      items: stoppable(items),
      mining: stoppable(mining),
      crashPoint,
    });
    this.publisher = publishActivities(
      {
        outbox: stoppable(item.outbox),
        streams: stoppable({
          put: async (stream: StreamName, _key: string, data: Uint8Array) => {
            if (!this.isCalm && chance() < 0.1) {
              if (mutant.forgetsRefusedRecords === true) return;
              throw new Failure('UPSTREAM_DOWN', 'the stream is away');
            }
            const events = JSON.parse(Buffer.from(data).toString()) as { id: string; sequence: number }[];
            const taken = this.streams.get(stream) ?? [];
            this.streams.set(stream, [...taken, ...events.map(({ id, sequence }) => ({ id, sequence }))]);
          },
        }),
        alerts: this.deps.alerts,
        crashPoint: () => undefined,
      },
      (work) => work(new AbortController().signal),
    );
  }

  note(what: string): void {
    this.done[what] = (this.done[what] ?? 0) + 1;
  }

  override hear(event: ItemEvent): void {
    if (this.mutant.hears?.(event, this.state) === false) return;
    super.hear(event);
    const { phase, run, child, due, nextDueAt } = this.state;
    this.hash.update(
      JSON.stringify([
        this.clock.now,
        event,
        phase,
        run,
        child,
        due,
        nextDueAt,
        this.item.model.outbox.length,
      ]),
    );
  }

  digest(): string {
    return this.hash.digest('hex');
  }

  /** As Temporal has it: an attempt that is not heard of any more is made once more, on another worker. */
  protected override async call<T>(activity: () => Promise<T>): Promise<T> {
    for (;;) {
      const stops = !this.isCalm && this.chance() < 0.15;
      if (!stops) {
        const answer = await super.call(() => attempts.run(null, activity));
        this.afterAnswer();
        return answer;
      }
      const isZombie = this.chance() < 0.5;
      let reach = (): void => undefined;
      let letGo = (): void => undefined;
      const reached = new Promise<'stopped'>((resolve) => (reach = () => resolve('stopped')));
      const gate = new Promise<void>((resolve) => (letGo = resolve));
      const attempt: Attempt = { stopAt: between(1, 12, this.chance), steps: 0, reach, gate };
      const work = attempts.run(attempt, () => super.call(activity));
      const first = await Promise.race([reached, work.then(() => 'ended' as const)]);
      if (first === 'ended') return work;
      this.note(isZombie ? 'attempt that comes late' : 'attempt killed');
      work.catch(() => undefined);
      if (isZombie) this.zombies.push({ letGo, work });
      this.clock.now += between(1, 60, this.chance) * 1_000;
    }
  }

  protected override async publish(): Promise<boolean> {
    const { done } = await this.call(() => this.publisher.publish({ itemId }));
    if (!this.item.hasUnsent()) this.item.due.delete('publish');
    return !done;
  }

  /** An attempt that was given up comes to its end after all, whenever that is. */
  async comeLate(): Promise<void> {
    const [zombie] = this.zombies.splice(Math.floor(this.chance() * this.zombies.length), 1);
    zombie?.letGo();
    await zombie?.work.catch(() => undefined);
  }

  async allComeLate(): Promise<void> {
    while (this.zombies.length > 0) await this.comeLate();
  }

  /** The run continues as new: it carries its state and reads the row. */
  continueAsNew(): void {
    const snapshot = { ...this.row.snapshot(), historyRunning: false, remineRunning: false };
    this.state = goOnFrom(this.state, snapshot, rules, this.clock.now);
  }

  /** Nothing is under way or due any more. */
  isAtItsEnd(removed: boolean): boolean {
    const { phase, run, child, wanted, due, remineRequested, reloadAt } = this.state;
    return (
      phase === (removed ? 'removed' : 'idle') &&
      [run, child, wanted, reloadAt].every((one) => one === null) &&
      !(remineRequested || this.row.remineRequested) &&
      Object.keys(due).length + this.row.due.size + this.row.webhooks.length === 0
    );
  }

  /** Everything that differs between the truth, the row, the outbox and the streams. */
  wrong(): string[] {
    const wrong: string[] = [];
    const truth = this.sim.truth();
    const { model } = this.item;
    for (const [id, { raw, status }] of model.transactions) {
      const expected = truth.get(id);
      if (status !== 'removed' && expected === undefined) wrong.push(`PHANTOM ${id}`);
      else if (status === 'removed' && expected !== undefined) wrong.push(`LOST ${id}`);
      else if (expected !== undefined && raw?.amount !== expected.amount) wrong.push(`STALE ${id}`);
    }
    for (const id of truth.keys()) if (!model.transactions.has(id)) wrong.push(`LOST ${id}`);
    const name = model.accounts.get('account-1')?.raw.name;
    if (name !== this.sim.accountName) wrong.push(`STALE account: ${String(name)}`);
    for (const { record, removed, subject, sequence } of model.outbox)
      if (record === 'account' && removed) wrong.push(`PHANTOM ${subject}: told to be closed by ${sequence}`);
    model.outbox.forEach(({ sequence }, at) => {
      if (sequence !== at + 1) wrong.push(`OTHER outbox: number ${sequence} at place ${at + 1}`);
    });
    for (const form of ['raw', 'refined'] as const)
      for (const record of ['transaction', 'account'] as const) {
        const seen = new Set<string>();
        let highest = 0;
        for (const { id, sequence } of this.streams.get(`${form}-${record}s`) ?? []) {
          if (!seen.has(id) && sequence < highest)
            wrong.push(`OTHER ${form} ${record}: ${sequence} after ${highest}`);
          if (!seen.has(id)) highest = Math.max(highest, sequence);
          seen.add(id);
        }
        for (const change of model.outbox)
          if (change.record === record && !seen.has(`e${change.sequence}.${form}`))
            wrong.push(`LOST ${form} ${record} ${change.sequence}`);
      }
    return wrong;
  }
}

const ids = ['t1', 't2', 't3', 't4', 't5', 't6', 't7', 't8'];
const codes = [
  ['ITEM_ERROR', 'ITEM_LOGIN_REQUIRED'],
  ['API_ERROR', 'INTERNAL_SERVER_ERROR'],
  ['INSTITUTION_ERROR', 'INSTITUTION_DOWN'],
  ['RATE_LIMIT_EXCEEDED', 'TRANSACTIONS_LIMIT'],
  ['ITEM_ERROR', 'PRODUCT_NOT_READY'],
] as const;
const calls: readonly Call[] = ['item', 'getItem', 'sync', 'accounts', 'auth', 'transactions'];

type Deed = { name: string; weight: number; do: (life: SimLife, world: SimWorld) => unknown };

interface SimWorld {
  plaid: SimPlaid;
  item: SimItem;
  chance: Chance;
  amounts: number;
  accountWasShort: boolean;
  /** The row that came or changed last. */
  newest: string;
  /** Rows that a reading of everything has left out: each one once, since two readings in a row remove it. */
  leftOut: Set<string>;
  /** Rows that have come while a remine reads, and whether they have gone since. */
  cameMeanwhile: Map<string, 'lives' | 'gone'>;
}

/**
 * A row that came and went while a remine reads does not come back meanwhile: where a reading shows it each time that it is there, and the cursor
 * comes by each time that it is not, nothing that Plaid answers tells in the end that it has gone.
 */
function putRow(world: SimWorld): string {
  const { cameMeanwhile, item, plaid } = world;
  if (!item.remineRequested) cameMeanwhile.clear();
  const mayCome = ids.filter((id) => cameMeanwhile.get(id) !== 'gone');
  const id = pick(mayCome, world.chance) ?? 't1';
  if (item.remineRequested && !plaid.truth().has(id)) cameMeanwhile.set(id, 'lives');
  world.plaid.put(transaction(id, { amount: (world.amounts += 1), date: '2026-01-01' }));
  world.newest = id;
  return id;
}

function rowGoes({ plaid, cameMeanwhile }: SimWorld, id: string): void {
  if (cameMeanwhile.has(id)) cameMeanwhile.set(id, 'gone');
  plaid.remove(id);
}

/** The next reading of everything does not list a row that lives, known or not. */
function leaveOut({ plaid, item, chance, leftOut }: SimWorld, id = pick(ids, chance) ?? 't1'): void {
  const living = plaid.truth().get(id);
  // What the very first answer leaves out nothing tells of.
  if (living === undefined || item.cursor === '' || leftOut.has(id)) return;
  leftOut.add(id);
  plaid.unlisted = living;
}

/** Plaid's webhook: heard, heard again and again, or lost with its signal. */
function webhook(
  life: SimLife,
  { chance }: SimWorld,
  kind: 'update' | 'item' | 'removals',
  body?: object,
): void {
  const times = pick([0, 1, 1, 1, 3], chance) ?? 1;
  if (times === 0) return life.lose(kind, body);
  for (let n = 0; n < times; n += 1) life.webhook(kind, body);
}

const deeds: [Deed, ...Deed[]] = [
  {
    name: 'rows come or change',
    weight: 8,
    do: (_life, world) => Array.from({ length: between(1, 6, world.chance) }, () => putRow(world)),
  },
  {
    name: 'a row goes',
    weight: 4,
    do: (_life, world) =>
      rowGoes(world, pick(world.chance() < 0.5 ? ids : [world.newest], world.chance) ?? 't1'),
  },
  {
    name: 'the account is named anew',
    weight: 1,
    do: (_life, world) => (world.plaid.accountName = `Name ${(world.amounts += 1)}`),
  },
  {
    name: 'an answer lacks an account',
    weight: 1,
    do(_life, world) {
      // Two answers that lack it close it, and with attempts that come late two deeds may be two answers of one update.
      if (!world.accountWasShort) world.plaid.shortAccounts = true;
      world.accountWasShort = true;
    },
  },
  { name: 'a reading lacks a row', weight: 3, do: (_life, world) => leaveOut(world) },
  { name: 'webhook', weight: 8, do: (life, world) => webhook(life, world, 'update') },
  {
    name: 'removals named',
    weight: 2,
    do(life, world) {
      const living = world.plaid.truth();
      world.item.named = ids.filter((id) => !living.has(id));
      webhook(life, world, 'removals');
    },
  },
  {
    name: 'item webhook',
    weight: 2,
    do: (life, world) =>
      webhook(life, world, 'item', { webhook_type: 'ITEM', webhook_code: 'ERROR', item_id: itemId }),
  },
  { name: 'remine', weight: 2, do: (life) => life.remine() },
  { name: 'relinked', weight: 1, do: (life) => life.relinked() },
  { name: 'run terminated', weight: 2, do: (life) => life.terminate() },
  { name: 'child terminated', weight: 1, do: (life) => life.endChild() },
  { name: 'continued as new', weight: 3, do: (life) => life.continueAsNew() },
  { name: 'staged pages lost', weight: 2, do: (_life, { item }) => item.loseStaged() },
  { name: 'late attempt', weight: 6, do: (life) => life.comeLate() },
  {
    name: 'Plaid refuses',
    weight: 3,
    do(_life, { plaid, chance }) {
      const [error_type, error_code] = pick(codes, chance) ?? codes[0];
      plaid.mood.set(pick(calls, chance) ?? 'sync', { error_type, error_code });
    },
  },
  { name: 'Plaid is well again', weight: 4, do: (_life, { plaid }) => plaid.mood.clear() },
];

/** One life under one seed: the same seed gives the same life, to the last bit. `Date.now` answers its clock meanwhile. */
export async function play(seed: number, mutant: Mutant = {}): Promise<Played> {
  const realNow = Date.now;
  const clock = { now: t0 };
  Date.now = () => clock.now;
  try {
    return await live(seed, clock, mutant);
  } finally {
    Date.now = realNow;
  }
}

async function live(seed: number, clock: { now: number }, mutant: Mutant): Promise<Played> {
  const chance = mulberry32(seed);
  const plaid = new SimPlaid();
  const item = new SimItem(() => clock.now);
  const world: SimWorld = {
    plaid,
    item,
    chance,
    amounts: 1,
    accountWasShort: false,
    newest: 't1',
    leftOut: new Set(),
    cameMeanwhile: new Map(),
  };
  const life = new SimLife(clock, plaid, item, chance, mutant);
  plaid.afterSync = () => {
    if (life.isCalm || chance() >= 0.1) return;
    life.note('pages move');
    // The oldest row, or one that came so before.
    if (chance() < 0.5) rowGoes(world, pick([oldest, world.newest], chance) ?? oldest);
    const id = putRow(world);
    // Of all rows the one that nobody knows.
    if (chance() < 0.5) leaveOut(world, id);
  };
  life.hear({ kind: 'linked' });
  const removed = chance() < 0.1;
  for (let left = between(5, 25, chance); left > 0; left -= 1) {
    const deed = weighted(deeds, chance);
    life.note(deed.name);
    await deed.do(life, world);
    await life.until(clock.now + (pick([1_000, 10_000, minute, hour], chance) ?? minute));
  }
  life.isCalm = true;
  plaid.mood.clear();
  plaid.unlisted = null;
  if (removed) life.remove();
  await life.until(clock.now + minute);
  await life.allComeLate();
  // What moved after the last page, or came with a lost webhook, is found at the time-out at the latest.
  if (!removed) life.webhook('update');
  // Pauses that failures have earned grow to hours.
  for (const end = clock.now + 3 * day; clock.now < end && !life.isAtItsEnd(removed);)
    await life.until(clock.now + 20 * minute);
  const wrong = removed ? [] : life.wrong();
  if (!life.isAtItsEnd(removed)) {
    const { phase, run, child, due } = life.state;
    wrong.push(
      `OTHER not at its end: ${phase} ${JSON.stringify({ run, child, due, webhooks: item.webhooks.length })}`,
    );
  }
  if (item.hasUnsent()) wrong.push('OTHER outbox unsent');
  if (item.announced.some((what, at) => what !== (at % 2 === 0 ? 'errored' : 'repaired')))
    wrong.push(`DUP Segment: ${item.announced.join()}`);
  if (!removed && wrong.length === 0) wrong.push(...(await late(life, world)));
  return { seed, hash: life.digest(), steps: life.steps, wrong, done: life.done };
}

/** What comes while an update runs is mined by the next one, at once: nothing has to find it overdue. */
async function late(life: SimLife, world: SimWorld): Promise<string[]> {
  const { clock, row } = life;
  life.sweeps = false;
  let isAnnounced = false;
  const first = putRow(world);
  const { amount } = world.plaid.truth().get(first) ?? {};
  let second = first;
  life.afterAnswer = () => {
    const isApplied = world.item.model.transactions.get(first)?.raw?.amount === amount;
    if (isAnnounced || !isApplied || life.state.run === null) return;
    isAnnounced = true;
    // Between the answer of the last page, which knows of no webhook that waits, and the workflow that hears of it.
    second = putRow(world);
    life.webhook('update');
  };
  life.webhook('update');
  await life.until(clock.now + 5 * minute);
  life.afterAnswer = () => undefined;
  life.sweeps = true;
  if (!isAnnounced) return ['OTHER a webhook was answered by nothing'];
  const wanted = world.plaid.truth().get(second)?.amount;
  const mined = world.item.model.transactions.get(second)?.raw?.amount;
  return mined === wanted ? [] : [`LATE ${second}: ${row.webhooks.length} webhooks wait`];
}
