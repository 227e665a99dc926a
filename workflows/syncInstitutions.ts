import { continueAsNew, setCurrentDetails, sleep, uuid4, workflowInfo } from '@temporalio/workflow';
import type { InstitutionSync, WalkRules } from '../domain/institutions/sync.js';
import {
  afterFailedPage,
  afterInstitutionPage,
  callWindowMs,
  mayRepeatWalk,
  provenBy,
  startWalk,
} from '../domain/institutions/sync.js';
import { isRetryable } from '../domain/failures.js';
import { backoff, nextCallAt } from '../domain/item/policy.js';
import { priorities } from './contract.js';
import type { SyncInstitutionsInput } from './contract.js';
import { onlyWaited } from './onlyWaited.js';
import { db, plaidRead } from './proxies.js';
import { stepFailure } from './stepFailure.js';
import { patchesOfThisRun } from './versions.js';

/** A page is six events at least: above what Plaid's list needs (24 pages), far below what Temporal allows. */
const longestHistory = 500;
const retryFirstMs = 60_000;
const retryLongestMs = 3_600_000;
/** About half a day; then the next run by the Schedule begins anew. */
const mostFailures = 16;

export interface InstitutionsSynced {
  complete: boolean;
  vanished: number;
  walks: number;
}

/** Reads Plaid's list of institutions page by page into the cache, at Plaid's rate; run by a Schedule. */
export async function syncInstitutions(input: SyncInstitutionsInput): Promise<InstitutionsSynced> {
  const { pagesPerMinute } = input;
  const rules: WalkRules = { pagesPerMinute, patches: patchesOfThisRun() };
  let sync: InstitutionSync = input.sync ?? startWalk(uuid4());
  for (;;) {
    setCurrentDetails(`- walk ${sync.walk}, ${sync.offset} of ${sync.total ?? '?'} institutions`);
    const at = nextCallAt(sync.calls, pagesPerMinute, callWindowMs, Date.now());
    if (at > Date.now()) await sleep(at - Date.now());
    let ended = false;
    try {
      const page = await plaidRead({
        summary: `institutions from ${sync.offset}`,
        priority: { priorityKey: priorities.backfill },
      }).saveInstitutionPage({ syncId: sync.syncId, offset: sync.offset, failures: sync.failures });
      ({ sync, ended } = afterInstitutionPage(sync, page, rules, Date.now()));
    } catch (error) {
      if (onlyWaited(error)) continue;
      const { type } = stepFailure('institutions', error, Date.now());
      const refused = type !== 'TIMED_OUT' && type !== 'UNEXPECTED' && !isRetryable(type);
      // Where not one page was had, the whole list is refused.
      if ((refused && sync.total === null) || sync.failures >= mostFailures) throw error;
      ({ sync, ended } = afterFailedPage(sync, refused));
      if (!refused) await sleep(backoff(sync.failures, retryFirstMs, retryLongestMs));
    }
    if (ended) {
      const expected = provenBy(sync);
      const last = !mayRepeatWalk(sync);
      const end =
        expected === null
          ? { complete: false, vanished: 0 }
          : await db().finishInstitutionSync({ syncId: sync.syncId, expected, last });
      if (end.complete || last) return { ...end, walks: sync.walk };
      sync = startWalk(uuid4(), sync);
    }
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      await continueAsNew<typeof syncInstitutions>({ ...input, sync });
    }
  }
}
