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
  | { kind: 'mutate'; afterPage: number; changes: BankChanges };

interface Active {
  id: string;
  match: FaultMatch;
  fault: Fault;
  /** How often it may still strike; infinite for a probability without a number. */
  left: number;
  probability: number;
  seen: number;
}

/** Faults that were asked for. Which calls a probability strikes follows from the seed. */
export class Faults {
  private active: Active[] = [];
  private counter = 0;
  private random: Random;

  constructor(seed: string) {
    this.random = new Random(seed, 'faults');
  }

  add(match: FaultMatch, fault: Fault, times: number | undefined, probability: number | undefined): string {
    const id = `fault_${(this.counter += 1)}`;
    this.active.push({
      id,
      match,
      fault,
      left: times ?? (probability === undefined ? 1 : Infinity),
      probability: probability ?? 1,
      seen: 0,
    });
    return id;
  }

  /** Faults that may still strike; `left: null` is without end. */
  list() {
    return this.active.map(({ id, match, fault, left }) => ({
      fault_id: id,
      match,
      kind: fault.kind,
      left: left === Infinity ? null : left,
    }));
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
      active.seen += 1;
      if (match.call !== undefined && active.seen < match.call) continue;
      if (active.probability < 1 && !this.random.chance(active.probability)) continue;
      active.left -= 1;
      struck.push(active.fault);
    }
    this.active = this.active.filter(({ left }) => left > 0);
    return struck;
  }

  /** The changes to make now that the n-th page (from 1) of a run of `/transactions/sync` was answered. */
  afterPage(itemId: string, page: number): BankChanges[] {
    const changes: BankChanges[] = [];
    for (const active of this.active) {
      if (active.fault.kind !== 'mutate' || active.fault.afterPage !== page) continue;
      if (active.match.item_id !== undefined && active.match.item_id !== itemId) continue;
      active.seen += 1;
      if (active.match.call !== undefined && active.seen < active.match.call) continue;
      if (active.probability < 1 && !this.random.chance(active.probability)) continue;
      active.left -= 1;
      changes.push(active.fault.changes);
    }
    this.active = this.active.filter(({ left }) => left > 0);
    return changes;
  }

  clear(seed?: string): void {
    this.active = [];
    if (seed !== undefined) this.random = new Random(seed, 'faults');
  }
}
