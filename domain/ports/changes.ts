import type { Refused, Viewer } from '../exchange/viewer.js';
import type { RecordKind } from '../mining/events.js';
import type { PageKey } from './pages.js';

/**
 * Changes of an Item's records, JSON texts, in the order of their sequence. `next`: the sequence up to which everything was looked at;
 * more may stand behind it, also behind a page without rows (`hasMore`).
 */
export interface ChangePage {
  rows: string[];
  next: number;
  hasMore: boolean;
}

/** A page of the live records, JSON texts as those of a `ChangePage`, and the sequence at which it stands. */
export interface SnapshotPage {
  rows: string[];
  sequence: number;
  /** null at the end. */
  next: PageKey | null;
}

/**
 * What follows an Item's records. Both show what the viewer may see at that moment: null for an Item that it was never connected with,
 * refused also where one of the kinds of records is not granted.
 */
export interface ChangeStore {
  /** `expired`: what follows `after` is not there whole, since it was deleted, or has never been. */
  changes(
    viewer: Viewer,
    itemId: string,
    records: readonly RecordKind[],
    after: number,
    limit: number,
  ): Promise<ChangePage | 'expired' | Refused | null>;
  /** Order: accounts, then transactions, by id. */
  snapshot(
    viewer: Viewer,
    itemId: string,
    records: readonly RecordKind[],
    limit: number,
    after: PageKey | null,
  ): Promise<SnapshotPage | Refused | null>;
}
