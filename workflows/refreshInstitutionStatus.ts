import { continueAsNew, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import { priorities } from './contract.js';
import type { RefreshInstitutionStatusInput } from './contract.js';
import { plaidRead } from './proxies.js';

/** Institutions that one activity asks for. */
const batch = 25;
const longestHistory = 500;

/** Reads the connection status of the institutions in use, at our share of Plaid's rate; run by a Schedule. */
export async function refreshInstitutionStatus(
  input: RefreshInstitutionStatusInput,
): Promise<{ checked: number; failed: number }> {
  const since = input.round?.since ?? workflowInfo().startTime.toISOString();
  let after = input.round?.after ?? null;
  let checked = 0;
  let failed = 0;
  for (;;) {
    const result = await plaidRead({
      summary: after === null ? 'connection status' : `connection status after ${after}`,
      priority: { priorityKey: priorities.backfill },
    }).saveInstitutionStatuses({ since, after, limit: batch });
    checked += result.checked;
    failed += result.failed;
    if (result.next === null) return { checked, failed };
    after = result.next;
    setCurrentDetails(`- ${checked} institutions checked, ${failed} failed`);
    await sleep((batch / input.callsPerMinute) * 60_000);
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      await continueAsNew<typeof refreshInstitutionStatus>({ ...input, round: { since, after } });
    }
  }
}
