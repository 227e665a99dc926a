import type { Row } from '../bank/row.js';
import type { SeededRows } from '../bank/seededRows.js';

/**
 * The bank's own transactions of an Item: seeded ones, of which only what was changed is stored, and others. Seeded ones come
 * first, in the order of their numbers; a changed one keeps its place.
 */
export class BankRows {
  /** Seeded ones that are not what they were, by number; `null`: the bank has it no more. */
  private readonly altered = new Map<number, Row | null>();
  private readonly others = new Map<string, Row>();

  constructor(private readonly seeded: SeededRows | null) {}

  get size(): number {
    let size = (this.seeded?.count ?? 0) + this.others.size;
    for (const row of this.altered.values()) if (!row) size -= 1;
    return size;
  }

  get(id: string): Row | undefined {
    const n = this.seeded?.number(id) ?? -1;
    if (!this.seeded || n < 0) return this.others.get(id);
    const altered = this.altered.get(n);
    return altered === undefined ? this.seeded.row(n) : (altered ?? undefined);
  }

  has(id: string): boolean {
    return this.get(id) !== undefined;
  }

  set(row: Row): void {
    const n = this.seeded?.number(row.id) ?? -1;
    if (n < 0) this.others.set(row.id, row);
    else this.altered.set(n, row);
  }

  /** `false`: it had none of this id. */
  delete(id: string): boolean {
    const n = this.seeded?.number(id) ?? -1;
    if (n < 0) return this.others.delete(id);
    if (this.altered.get(n) === null) return false;
    this.altered.set(n, null);
    return true;
  }

  *values(): Generator<Row> {
    for (let n = 0; this.seeded && n < this.seeded.count; n += 1) {
      const altered = this.altered.get(n);
      if (altered !== null) yield altered ?? this.seeded.row(n);
    }
    yield* this.others.values();
  }

  /** Rows that are stored, each with the place it has among all: a seeded one's number, or behind all of these. */
  *stored(): Generator<{ row: Row; place: number }> {
    for (const [place, row] of this.altered) if (row) yield { row, place };
    for (const row of this.others.values()) yield { row, place: Infinity };
  }

  /** Numbers of seeded transactions that are changed or gone, in ascending order. */
  alteredNumbers(): number[] {
    return [...this.altered.keys()].sort((a, b) => a - b);
  }
}
