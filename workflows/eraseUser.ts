import { continueAsNew, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import { backoff } from '../domain/item/policy.js';
import { priorities } from './contract.js';
import type { EraseUserInput } from './contract.js';
import { db } from './proxies.js';
import { untilRead } from './untilRead.js';

const longestHistory = 500;

const work = (summary: string) => db({ summary, priority: { priorityKey: priorities.backfill } });

/**
 * Erases everything of a user: waits until the Items are removed at Plaid, deletes rows and workflows, waits until no late attempt can
 * write any more, deletes what such left, tells the streams, and ends. Each step tries at the database first, so that a run may begin
 * anew at any time; none gives up. Knows counts only.
 */
export async function eraseUser(input: EraseUserInput): Promise<void> {
  const { erasureId } = input;
  const policy = await untilRead('the pace', () => work('the pace').loadPolicy());

  async function goOn(): Promise<void> {
    const info = workflowInfo();
    if (info.continueAsNewSuggested || info.historyLength >= longestHistory) {
      await continueAsNew<typeof eraseUser>(input);
    }
  }

  /** Repeats a step until it says that nothing is left; `pause` is how long it waits behind each try. */
  async function untilDone(
    what: string,
    step: () => Promise<{ done: boolean }>,
    pause: (tries: number) => number,
  ): Promise<void> {
    setCurrentDetails(`- ${what}`);
    for (let tries = 1; !(await untilRead(what, step)).done; tries += 1) {
      await sleep(pause(tries));
      await goOn();
    }
  }

  async function deleteAll(): Promise<void> {
    const { erasureFirst, erasureLongest } = policy;
    await untilDone(
      'rows',
      () => work('delete rows').deleteUserRows({ erasureId }),
      () => erasureFirst,
    );
    await untilDone(
      'workflows',
      () => work('delete workflows').deleteUserWorkflows({ erasureId }),
      // Temporal takes half a minute to delete a workflow, and each request meanwhile is one more task that waits there.
      (tries) => backoff(tries, erasureFirst, erasureLongest),
    );
  }

  for (let tries = 1; ; tries += 1) {
    const left = await untilRead('what is left', () => work('what is left?').stopUser({ erasureId }));
    if (left === null) return;
    if (left.items + left.links === 0) break;
    setCurrentDetails(`- ${left.items} Items to be removed at Plaid\n- ${left.links} links to end`);
    await sleep(backoff(tries, policy.erasureFirst, policy.erasureLongest));
    await goOn();
  }
  await deleteAll();
  setCurrentDetails('- waiting for late attempts to end');
  await sleep(policy.lateWriters);
  await deleteAll();
  await untilRead('the streams', () => work('tell the streams').publishUserErased({ erasureId }));
  const { ended } = await untilRead('the end', () => work('the end').finishErasure({ erasureId }));
  if (!ended) await continueAsNew<typeof eraseUser>(input);
  setCurrentDetails('- done');
}
