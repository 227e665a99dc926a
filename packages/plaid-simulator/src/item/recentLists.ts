/**
 * Lists that are cheap to make again, for whoever is being read just now: the least recently used ones go when there are too many
 * entries in all. Thousands of Items would fill the memory with lists that each of them kept for itself.
 */
export class RecentLists<T> {
  private readonly lists = new Map<string, readonly T[]>();
  private entries = 0;

  constructor(private readonly mostEntries: number) {}

  get(key: string, make: () => readonly T[]): readonly T[] {
    const known = this.lists.get(key);
    if (known) {
      this.lists.delete(key);
      this.lists.set(key, known);
      return known;
    }
    const list = make();
    this.lists.set(key, list);
    this.entries += list.length;
    for (const [oldest, { length }] of this.lists) {
      if (this.entries <= this.mostEntries || oldest === key) break;
      this.lists.delete(oldest);
      this.entries -= length;
    }
    return list;
  }
}
