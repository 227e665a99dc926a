import type { Distortion } from './distortion.js';
import type { BankChanges } from './item/bankChanges.js';
import { Random } from './random.js';

export interface FaultMatch {
  path?: string | undefined;
  item_id?: string | undefined;
  /** Only the n-th matching call since the fault was set, counted from 1. */
  call?: number | undefined;
}

export type Fault =
  | { kind: 'error'; code: string; type?: string | undefined; status?: number | undefined }
  | { kind: 'status'; status: number }
  | { kind: 'latency'; ms: number }
  | { kind: 'reset'; when: 'before' | 'after' }
  | { kind: 'truncate'; bytes: number }
  | { kind: 'short'; rows: number }
  | { kind: 'distort'; distortion: Distortion }
  | { kind: 'mutate'; afterPage: number; changes: BankChanges };

/** Endpoints that answer in pages, between which a fault can change the data. */
type PagedPath = '/transactions/sync' | '/transactions/get';
const USUALLY_PAGED: PagedPath = '/transactions/sync';

interface Active {
  id: string;
  match: FaultMatch;
  fault: Fault;
  /** How often it may still strike; infinite for a probability without a number. */
  left: number;
  probability: number;
  /** Matching calls so far, and how many of them were struck. */
  seen: number;
  struck: number;
  random: Random;
}

/** A fault that still stands, as `GET /_sim/faults` shows it. */
interface FaultView {
  fault_id: string;
  match: FaultMatch;
  kind: Fault['kind'];
  /** `null`: to no end. */
  left: number | null;
  seen: number;
  struck: number;
}

/**
 * Faults that were asked for. Which of its calls a probability strikes follows from the seed and the fault's number alone,
 * whatever other faults and other calls there are.
 */
export class Faults {
  private active: Active[] = [];
  private counter = 0;

  constructor(private seed: string) {}

  add(match: FaultMatch, fault: Fault, times: number | undefined, probability: number | undefined): string {
    const id = `fault_${(this.counter += 1)}`;
    this.active.push({
      id,
      match,
      fault,
      left: times ?? (probability === undefined ? 1 : Infinity),
      probability: probability ?? 1,
      seen: 0,
      struck: 0,
      random: new Random(this.seed, 'fault', this.counter),
    });
    return id;
  }

  /** The faults that strike this call. */
  strike(path: string, itemId: string | null): Fault[] {
    if (this.active.length === 0) return [];
    const struck: Fault[] = [];
    for (const active of this.active) {
      const { match } = active;
      if (active.fault.kind === 'mutate') continue;
      if (match.path !== undefined && match.path !== path) continue;
      if (match.item_id !== undefined && match.item_id !== itemId) continue;
      if (hits(active)) struck.push(active.fault);
    }
    this.active = this.active.filter(({ left }) => left > 0);
    return struck;
  }

  /**
   * The changes to make now that the n-th page (from 1) of a run of `/transactions/sync` was answered, or the page of
   * `/transactions/get` that starts at n - 1 times its count; the latter only for a fault that names the path.
   */
  afterPage(path: PagedPath, itemId: string, page: number): BankChanges[] {
    const changes: BankChanges[] = [];
    for (const active of this.active) {
      if (active.fault.kind !== 'mutate' || active.fault.afterPage !== page) continue;
      if ((active.match.path ?? USUALLY_PAGED) !== path) continue;
      if (active.match.item_id !== undefined && active.match.item_id !== itemId) continue;
      if (hits(active)) changes.push(active.fault.changes);
    }
    this.active = this.active.filter(({ left }) => left > 0);
    return changes;
  }

  /** Faults that may still strike; `left: null` is without end. */
  list(): FaultView[] {
    return this.active.map(({ id, match, fault, left, seen, struck }) => ({
      fault_id: id,
      match,
      kind: fault.kind,
      left: left === Infinity ? null : left,
      seen,
      struck,
    }));
  }

  /** Forgets one fault; `false` when there is none of this id. */
  remove(id: string): boolean {
    const before = this.active.length;
    this.active = this.active.filter((active) => active.id !== id);
    return this.active.length < before;
  }

  /** Forgets all faults; a new world numbers its faults anew. */
  clear(seed?: string): void {
    this.active = [];
    if (seed === undefined) return;
    this.seed = seed;
    this.counter = 0;
  }
}

/** Counts a matching call; `true` when the fault strikes it. */
function hits(active: Active): boolean {
  active.seen += 1;
  if (active.match.call !== undefined && active.seen < active.match.call) return false;
  if (active.probability < 1 && !active.random.chance(active.probability)) return false;
  active.left -= 1;
  active.struck += 1;
  return true;
}
