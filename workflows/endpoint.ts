import { condition, continueAsNew, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import { backoff } from '../domain/item/policy.js';
import { deliveriesDue, priorities } from './contract.js';
import type { EndpointInput } from './contract.js';
import { onlyWaited } from './onlyWaited.js';
import { deliverer } from './proxies.js';
import { stepFailure } from './stepFailure.js';

const longestHistory = 500;
/** Without anything to do for so long it ends; whoever wakes the endpoint starts it once more. */
const idleMs = 600_000;
/** What is due and still not to be had (another attempt has taken it, say) is asked for after a pause. */
const shortestPauseMs = 1_000;
const retryFirstMs = 1_000;
const retryLongestMs = 300_000;

/** Sends an endpoint's deliveries when they are due: woken by a signal, or by the time that the last activity named. */
export async function endpoint(input: EndpointInput): Promise<void> {
  const { endpointId } = input;
  let due = true;
  let failures = 0;
  setHandler(deliveriesDue, () => {
    due = true;
  });
  for (;;) {
    due = false;
    let pauseMs: number | null = null;
    try {
      setCurrentDetails('- sending');
      const { nextAt, attempts } = await deliverer({
        priority: { priorityKey: priorities.webhook },
      }).drainEndpoint({ endpointId });
      failures = 0;
      if (nextAt !== null) {
        const left = Date.parse(nextAt) - Date.now();
        pauseMs = attempts > 0 ? Math.max(left, 0) : Math.max(left, shortestPauseMs);
      }
      setCurrentDetails(nextAt === null ? '- nothing waits' : `- next: ${nextAt}`);
    } catch (error) {
      if (!onlyWaited(error)) {
        failures += 1;
        pauseMs = backoff(failures, retryFirstMs, retryLongestMs);
        const { type, at } = stepFailure('drainEndpoint', error, Date.now());
        setCurrentDetails(`- failed: ${type} at ${at}`);
      } else pauseMs = 0;
    }
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      await continueAsNew<typeof endpoint>(input);
    }
    if (pauseMs === 0) continue;
    const woken = await condition(() => due, pauseMs ?? idleMs);
    if (!woken && pauseMs === null) return;
  }
}
