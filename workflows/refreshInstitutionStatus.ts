import { continueAsNew, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import type { StatusRound } from '../activities/institutions.js';
import { backoff } from '../domain/item/policy.js';
import { priorities } from './contract.js';
import type { RefreshInstitutionStatusInput } from './contract.js';
import { onlyWaited } from './onlyWaited.js';
import { plaidRead } from './proxies.js';
import { stepFailure } from './stepFailure.js';

/** Institutions that one activity asks for. */
const batch = 25;
const longestHistory = 500;
const pauseFirstMs = 5_000;
const pauseLongestMs = 1_800_000;

/**
 * Reads the connection status of the institutions in use, at our share of Plaid's rate; run by a Schedule, which bounds its time.
 * What fails costs a pause, and never the others their turn.
 */
export async function refreshInstitutionStatus(
  input: RefreshInstitutionStatusInput,
): Promise<{ checked: number; failed: number }> {
  const since = input.round?.since ?? workflowInfo().startTime.toISOString();
  let place: StatusRound | null = input.round?.place ?? null;
  let checked = 0;
  let failed = 0;
  /** Series of tries in a row by which nothing was read. */
  let vain = 0;
  for (;;) {
    const spaced = (batch / input.callsPerMinute) * 60_000;
    let pause = spaced;
    try {
      const result = await plaidRead({
        summary: place?.after == null ? 'connection status' : `connection status after ${place.after}`,
        priority: { priorityKey: priorities.backfill },
      }).saveInstitutionStatuses({ since, limit: batch, ...(place === null ? {} : { round: place }) });
      checked += result.checked;
      failed += result.failed;
      if (result.next === null) return { checked, failed };
      place = result.next;
      vain = result.checked === 0 && result.failed > 0 ? vain + 1 : 0;
    } catch (error) {
      if (onlyWaited(error)) continue;
      // Plaid as a whole: the same ones again.
      stepFailure('status', error, Date.now());
      vain += 1;
    }
    if (vain > 0) pause = Math.max(spaced, backoff(vain, pauseFirstMs, pauseLongestMs));
    setCurrentDetails(`- ${checked} institutions checked, ${failed} failed${vain > 0 ? ', waiting' : ''}`);
    await sleep(pause);
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      const round = place === null ? {} : { round: { since, place } };
      await continueAsNew<typeof refreshInstitutionStatus>({ ...input, ...round });
    }
  }
}
