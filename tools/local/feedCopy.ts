/** A change as `GET /v1/items/{itemId}/changes` gives it. */
interface Change {
  sequence: number;
  record: 'transaction' | 'account';
  change: 'added' | 'modified' | 'removed';
  subject: string;
  version: number;
  object: Record<string, unknown> | null;
}

/** An answer of the feed. */
export interface FeedPage {
  data: Change[];
  next: number;
  has_more: boolean;
  next_cursor: string | null;
}

/** How the feed is asked: for a page of the snapshot, and for what follows a sequence. */
interface Feed {
  snapshot(cursor: string | null): Promise<FeedPage>;
  changes(after: number): Promise<FeedPage | 'expired'>;
}

/** A client that holds a copy of an Item's records by nothing but the change feed, as docs/exchange.md tells it to. */
export class FeedCopy {
  private readonly records = new Map<string, { record: string; object: Record<string, unknown> }>();
  private place: number | null;
  private hasJustBegun = false;

  /** `fromStart`: by the changes alone, without a snapshot. */
  constructor(
    private readonly feed: Feed,
    { fromStart }: { fromStart: boolean },
  ) {
    this.place = fromStart ? 0 : null;
  }

  /** Goes on by `pages` answers, or to the end. */
  async follow(pages = Number.POSITIVE_INFINITY): Promise<void> {
    this.hasJustBegun = false;
    for (let n = 0; n < pages; n += 1) {
      if (this.place === null) {
        await this.begin();
        continue;
      }
      const page = await this.feed.changes(this.place);
      if (page === 'expired') {
        if (this.hasJustBegun) throw new Error('the feed does not go on from its own snapshot');
        this.place = null;
        continue;
      }
      this.hasJustBegun = false;
      page.data.forEach((change) => this.apply(change));
      this.place = page.next;
      if (!page.has_more) return;
    }
  }

  private async begin(): Promise<void> {
    this.records.clear();
    let cursor: string | null = null;
    do {
      const page = await this.feed.snapshot(cursor);
      page.data.forEach((change) => this.apply(change));
      cursor = page.next_cursor;
      this.place = page.next;
    } while (cursor !== null);
    this.hasJustBegun = true;
  }

  private apply({ record, change, subject, object }: Change): void {
    const key = `${record}/${subject}`;
    if (change === 'removed' || object === null) this.records.delete(key);
    else this.records.set(key, { record, object });
  }

  /** The records of a kind by id. */
  held(record: 'transaction' | 'account'): Map<string, Record<string, unknown>> {
    return new Map(
      [...this.records.values()]
        .filter((one) => one.record === record)
        .map(({ object }) => [String(object['id']), object]),
    );
  }
}
