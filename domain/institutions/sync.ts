import { recordCalls } from '../item/policy.js';
import type { Patches } from '../patches.js';

/**
 * One walk through Plaid's list of institutions, page by page. The list has no snapshot: when its total changes on the way,
 * rows may have shifted past the offset. Then the walk is gone to its end for what it brings, and repeated.
 */
export interface InstitutionSync {
  /** Of this walk; each has its own, so that what a former one has seen proves nothing. */
  syncId: string;
  walk: number;
  offset: number;
  /** Plaid's count with the first page; null before it. */
  total: number | null;
  /** Entries without id or name. */
  skipped: number;
  /** The total changed on the way, or a page was passed over: the walk proves nothing. */
  moved: boolean;
  /** Times (ms) at which the calls of the last window had ended. */
  calls: number[];
  /** Failures in a row. */
  failures: number;
}

/** What the list said with one page: counts only. */
export interface InstitutionPage {
  listed: number;
  kept: number;
  total: number;
}

/** The most that Plaid lists with one page. */
export const institutionsAtOnce = 500;
/** Failures in a row after which a page is passed over, and operators are told. */
export const triesOfPage = 4;

export const callWindowMs = 60_000;
/** Walks of one sync, before the next day has another try. */
const mostWalks = 3;

export const startWalk = (syncId: string, before: InstitutionSync | null = null): InstitutionSync => ({
  syncId,
  walk: (before?.walk ?? 0) + 1,
  offset: 0,
  total: null,
  skipped: 0,
  moved: false,
  calls: before?.calls ?? [],
  failures: 0,
});

/** By what a walk decides, besides how far it is. */
export interface WalkRules {
  /** Plaid's limit on calls of the list. */
  pagesPerMinute: number;
  /** Which changes of the code this run knows. */
  patches: Patches;
}

/** `ended`: the list has no more pages. */
export function afterInstitutionPage(
  sync: InstitutionSync,
  page: InstitutionPage,
  { pagesPerMinute }: WalkRules,
  now: number,
): { sync: InstitutionSync; ended: boolean } {
  const offset = sync.offset + page.listed;
  return {
    sync: {
      ...sync,
      offset,
      total: page.total,
      skipped: sync.skipped + page.listed - page.kept,
      moved: sync.moved || (sync.total !== null && sync.total !== page.total),
      calls: recordCalls(sync.calls, 1, pagesPerMinute, callWindowMs, now),
      failures: 0,
    },
    // An empty page ends it too: asked for the same offset again, the same page would come for ever.
    ended: page.listed === 0 || offset >= page.total,
  };
}

/** After a page that was not had. What fails again and again, or is `refused`, hides nothing that comes behind it. */
export function afterFailedPage(
  sync: InstitutionSync,
  refused: boolean,
): { sync: InstitutionSync; ended: boolean } {
  const failures = sync.failures + 1;
  if (!refused && failures % triesOfPage !== 0) return { sync: { ...sync, failures }, ended: false };
  const offset = sync.offset + institutionsAtOnce;
  return {
    sync: { ...sync, offset, moved: true, failures },
    ended: sync.total !== null && offset >= sync.total,
  };
}

/** How many institutions a walk must have seen to prove that the others are gone; null = this one proves nothing. */
export const provenBy = (sync: InstitutionSync): number | null =>
  sync.moved || sync.total === null ? null : sync.total - sync.skipped;

export const mayRepeatWalk = (sync: InstitutionSync): boolean => sync.walk < mostWalks;
