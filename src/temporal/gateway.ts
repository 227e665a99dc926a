import {
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { Failure } from '../../domain/failures.js';
import { fairnessKey } from '../../domain/fairness.js';
import {
  endpointWorkflowId,
  erasureWorkflowId,
  historyWorkflowId,
  itemWorkflowId,
  linkWorkflowId,
  loginRequestWorkflowId,
  loginWorkflowId,
  remineWorkflowId,
  taskQueues,
} from '../../domain/ids.js';
import type { StepFailure } from '../../domain/mining/run.js';
import { keyword, summary } from '../../domain/operatorTexts.js';
import type { Gateway, ItemSignal, ItemStatus } from '../../domain/ports/gateway.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { ItemCheck } from '../../domain/ports/logins.js';
import { temporalFailure } from './temporalFailures.js';
import {
  deliveriesDue,
  foundDue,
  itemAttributes,
  keys,
  linked,
  linkOutcome,
  priorities,
  progress,
  relinked,
  remineRequested,
  removalRequested,
  status,
  webhookReceived,
} from '../../workflows/contract.js';
import type {
  CheckUserInput,
  EndpointInput,
  EraseUserInput,
  ItemInput,
  LinkItemInput,
} from '../../workflows/contract.js';
import { deleteWorkflowsOf } from './deleteWorkflows.js';
import { pendingFailure } from './pendingFailure.js';

const answerWithinMs = 2_000;
const signalWithinMs = 5_000;
const joinPauseMs = 500;
/** Of the time in which a caller wants a check's answer, the part that is not Plaid's. */
const checkOverheadMs = 5_000;

function signalOf(signal: ItemSignal) {
  switch (signal.kind) {
    case 'linked':
      return { signal: linked, signalArgs: [] as [] };
    case 'foundDue':
      return { signal: foundDue, signalArgs: [] as [] };
    case 'removalRequested':
      return { signal: removalRequested, signalArgs: [] as [] };
    case 'relinked':
      return { signal: relinked, signalArgs: [] as [] };
    case 'remineRequested':
      return {
        signal: remineRequested,
        signalArgs: [{ number: signal.number }] as [{ number: number }],
      };
    case 'webhookReceived':
      return {
        signal: webhookReceived,
        signalArgs: [{ webhook: signal.webhook }] as [{ webhook: typeof signal.webhook }],
      };
  }
}

/** Every start, signal, query and update that the program sends to Temporal. */
export function createGateway(client: Client): Gateway {
  const within = <T>(ms: number, run: () => Promise<T>): Promise<T> =>
    client.withDeadline(Date.now() + ms, run);

  const linkOptions = (tokenHash: string, userId: string) => ({
    workflowId: linkWorkflowId(tokenHash),
    taskQueue: taskQueues.core,
    args: [{ tokenHash }] as [LinkItemInput],
    workflowIdConflictPolicy: 'USE_EXISTING' as const,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE' as const,
    priority: { priorityKey: priorities.waitingUser },
    staticSummary: 'link an Item',
    typedSearchAttributes: [{ key: keys.user, value: keyword(userId) }],
  });

  const checkOptions = (input: CheckUserInput) => ({
    taskQueue: taskQueues.core,
    args: [input] as [CheckUserInput],
    priority: { priorityKey: priorities.waitingUser, fairnessKey: fairnessKey(input.userId) },
    staticSummary: 'a login: are the Items fresh?',
    typedSearchAttributes: [{ key: keys.user, value: keyword(input.userId) }],
  });

  async function describeRunning(workflowId: string): Promise<boolean> {
    try {
      const description = await within(answerWithinMs, () =>
        client.workflow.getHandle(workflowId).describe(),
      );
      return description.status.name === 'RUNNING';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw temporalFailure('a question about a workflow', error);
    }
  }

  /**
   * Whether the workflow runs, and what it will hear of an activity only when Temporal has ceased to repeat it. One that has ended
   * answers queries all the same, with what it was doing then.
   */
  async function currently(
    workflow: WorkflowHandle,
  ): Promise<{ running: boolean; failure: StepFailure | null }> {
    const description = await within(answerWithinMs, () => workflow.describe());
    return { running: description.status.name === 'RUNNING', failure: pendingFailure(description) };
  }

  async function ping(): Promise<void> {
    try {
      await within(answerWithinMs, () => client.connection.workflowService.getSystemInfo({}));
    } catch (error) {
      throw temporalFailure('a ping', error);
    }
  }

  return {
    ping,

    async link(tokenHash, userId, timeoutMs): Promise<LinkOutcome | null> {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const operation = new WithStartWorkflowOperation('linkItem', linkOptions(tokenHash, userId));
        // The SDK reports a failed start through this promise too; the update's own rejection is the one that is read.
        operation.workflowHandle().catch(() => undefined);
        try {
          return await within(deadline - performance.now(), () =>
            client.workflow.executeUpdateWithStart(linkOutcome, { startWorkflowOperation: operation }),
          );
        } catch (error) {
          if (error instanceof WorkflowUpdateFailedError) return null;
          const failure = temporalFailure('the link', error);
          if (failure.type !== 'ORCHESTRATOR_DOWN') throw failure;
          // Slow work and an unreachable server end alike here: only the second answers no ping.
          await ping();
          // A server that answers refuses for a moment only (a worker that is just leaving, say): joining again is safe, and
          // what did not start at all is started by the sweep.
          if (performance.now() + joinPauseMs >= deadline) return null;
          await new Promise((resolve) => setTimeout(resolve, joinPauseMs));
        }
      }
    },

    async startLink(tokenHash, userId): Promise<void> {
      try {
        await within(signalWithinMs, () => client.workflow.start('linkItem', linkOptions(tokenHash, userId)));
      } catch (error) {
        throw temporalFailure('the link', error);
      }
    },

    async signalItem(itemId, userId, signal, deadlineMs = signalWithinMs): Promise<void> {
      try {
        await within(deadlineMs, () =>
          client.workflow.signalWithStart<
            (input: ItemInput) => Promise<void>,
            [{ webhook: string }] | [{ number: number }] | []
          >('item', {
            workflowId: itemWorkflowId(itemId),
            taskQueue: taskQueues.core,
            args: [{ itemId }],
            ...(signalOf(signal) as never as { signal: string; signalArgs: [] }),
            priority: { priorityKey: priorities.webhook, fairnessKey: fairnessKey(userId) },
            staticSummary: summary(`item ${itemId}`),
            typedSearchAttributes: itemAttributes(itemId, userId),
          }),
        );
      } catch (error) {
        throw temporalFailure(`the signal ${signal.kind}`, error);
      }
    },

    async wakeEndpoint(endpointId): Promise<void> {
      try {
        await within(signalWithinMs, () =>
          client.workflow.signalWithStart<(input: EndpointInput) => Promise<void>, []>('endpoint', {
            workflowId: endpointWorkflowId(endpointId),
            taskQueue: taskQueues.core,
            args: [{ endpointId }],
            signal: deliveriesDue,
            signalArgs: [],
            priority: { priorityKey: priorities.webhook },
            staticSummary: summary(`endpoint ${endpointId}`),
          }),
        );
      } catch (error) {
        throw temporalFailure('the signal deliveriesDue', error);
      }
    },

    async startCheck(eventId, userId): Promise<void> {
      try {
        await within(signalWithinMs, () =>
          client.workflow.start('checkUser', {
            workflowId: loginWorkflowId(eventId),
            workflowIdReusePolicy: 'REJECT_DUPLICATE',
            ...checkOptions({ userId, answerWithinMs: null }),
          }),
        );
      } catch (error) {
        if (error instanceof WorkflowExecutionAlreadyStartedError) return;
        throw temporalFailure('the check of a login', error);
      }
    },

    async checkUser(userId, timeoutMs, requestId): Promise<ItemCheck[] | null> {
      const deadline = performance.now() + timeoutMs;
      const answerWithinMs = Math.max(timeoutMs - checkOverheadMs, 1_000);
      const workflowId = loginRequestWorkflowId(requestId);
      type Check = (input: CheckUserInput) => Promise<ItemCheck[]>;
      const start = async (): Promise<{ result(): Promise<ItemCheck[]> }> => {
        try {
          return await client.workflow.start<Check>('checkUser', {
            workflowId,
            workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
            ...checkOptions({ userId, answerWithinMs }),
          });
        } catch (error) {
          if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
          return client.workflow.getHandle<Check>(workflowId);
        }
      };
      let check: Awaited<ReturnType<typeof start>>;
      try {
        check = await within(Math.min(signalWithinMs, timeoutMs), start);
      } catch (error) {
        throw temporalFailure('the check of a login', error);
      }
      try {
        return await within(deadline - performance.now(), () => check.result());
      } catch (error) {
        // Its activities have failed: they say why where they ran.
        if (error instanceof WorkflowFailedError) {
          throw new Failure('ORCHESTRATOR_DOWN', 'the check of a login has failed');
        }
        const failure = temporalFailure('the check of a login', error);
        if (failure.type !== 'ORCHESTRATOR_DOWN') throw failure;
        // Slow work and an unreachable server end alike here: only the second answers no ping.
        await ping();
        return null;
      }
    },

    async startErasure(erasureId): Promise<void> {
      try {
        await within(signalWithinMs, () =>
          client.workflow.start<(input: EraseUserInput) => Promise<void>>('eraseUser', {
            workflowId: erasureWorkflowId(erasureId),
            taskQueue: taskQueues.core,
            args: [{ erasureId }],
            workflowIdConflictPolicy: 'USE_EXISTING',
            workflowIdReusePolicy: 'ALLOW_DUPLICATE',
            priority: { priorityKey: priorities.webhook },
            // Not whose: this history is not deleted.
            staticSummary: 'erase a user',
          }),
        );
      } catch (error) {
        throw temporalFailure('an erasure', error);
      }
    },

    deleteWorkflowsOf: (userId, workflowIds, limit) =>
      deleteWorkflowsOf(client, userId, workflowIds, limit).catch((error: unknown) => {
        throw temporalFailure('the end of workflows', error);
      }),

    async itemStatus(itemId): Promise<ItemStatus | null> {
      try {
        const item = client.workflow.getHandle(itemWorkflowId(itemId));
        const asked = within(answerWithinMs, () => item.query(status));
        // Of one that does not run nobody waits for the answer.
        asked.catch(() => undefined);
        const itself = await currently(item);
        const answer = itself.running ? await asked : null;
        if (answer === null) return null;
        if (answer.phase !== 'updating' || answer.progress !== null) {
          return { ...answer, last_failure: itself.failure ?? answer.last_failure };
        }
        const pagingId = answer.remine?.running ? answer.remine.workflow_id : historyWorkflowId(itemId);
        const paging = client.workflow.getHandle(pagingId);
        const [run, child] = await Promise.all([
          within(answerWithinMs, () => paging.query(progress)).catch(() => null),
          // Nothing can be told of one that does not answer: the Item's own word stands.
          currently(paging).catch((error: unknown) => ({
            running: !(error instanceof WorkflowNotFoundError),
            failure: null,
          })),
        ]);
        return {
          ...answer,
          // The Item hears of a child's end by its signal, or when it looks after it.
          remine: answer.remine && { ...answer.remine, running: answer.remine.running && child.running },
          progress: child.running && run ? { pages: run.page, rows: run.rows, restarts: run.restarts } : null,
          last_failure: child.failure ?? answer.last_failure,
        };
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return null;
        throw temporalFailure('a question about the Item', error);
      }
    },

    isHistoryRunning: (itemId) => describeRunning(historyWorkflowId(itemId)),
    isRemineRunning: (itemId, number) => describeRunning(remineWorkflowId(itemId, number)),
  };
}
