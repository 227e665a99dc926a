export interface CallCount {
  path: string;
  item_id: string | null;
  count: number;
}

/** How often each endpoint was called, by Item. */
export class CallCounts {
  private readonly counts = new Map<string, CallCount>();

  note(path: string, itemId: string | null): void {
    const key = `${path}|${itemId ?? ''}`;
    const known = this.counts.get(key);
    if (known) known.count += 1;
    else this.counts.set(key, { path, item_id: itemId, count: 1 });
  }

  list(): CallCount[] {
    return [...this.counts.values()];
  }

  clear(): void {
    this.counts.clear();
  }
}
