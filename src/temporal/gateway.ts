import {
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { Failure } from '../domain/failures.js';
import {
  historyWorkflowId,
  itemWorkflowId,
  linkWorkflowId,
  loginRequestWorkflowId,
  loginWorkflowId,
  remineWorkflowId,
  taskQueues,
} from '../domain/ids.js';
import type { Gateway, ItemCheck, ItemSignal, ItemStatus, LinkOutcome } from '../domain/ports.js';
import {
  foundDue,
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
import type { CheckUserInput, ItemInput, LinkItemInput } from '../../workflows/contract.js';

const answerWithinMs = 2_000;
const signalWithinMs = 5_000;
const joinPauseMs = 500;
/** Of the time in which a caller wants a check's answer, the part that is not Plaid's. */
const checkOverheadMs = 5_000;

const down = (what: string): Failure => new Failure('ORCHESTRATOR_DOWN', `Temporal did not take ${what}`);

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
    typedSearchAttributes: [{ key: keys.user, value: userId }],
  });

  const checkOptions = (input: CheckUserInput) => ({
    taskQueue: taskQueues.core,
    args: [input] as [CheckUserInput],
    priority: { priorityKey: priorities.waitingUser, fairnessKey: input.userId.slice(0, 64) },
    staticSummary: 'a login: are the Items fresh?',
    typedSearchAttributes: [{ key: keys.user, value: input.userId }],
  });

  async function describeRunning(workflowId: string): Promise<boolean> {
    try {
      const description = await within(answerWithinMs, () =>
        client.workflow.getHandle(workflowId).describe(),
      );
      return description.status.name === 'RUNNING';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw down('a question about a workflow');
    }
  }

  async function ping(): Promise<void> {
    try {
      await within(answerWithinMs, () => client.connection.workflowService.getSystemInfo({}));
    } catch {
      throw down('a ping');
    }
  }

  return {
    ping,

    async link(tokenHash, userId, timeoutMs): Promise<LinkOutcome | null> {
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const operation = new WithStartWorkflowOperation('linkItem', linkOptions(tokenHash, userId));
        // The SDK tells of a failed start through this promise too; the update's own rejection is the one that is read.
        operation.workflowHandle().catch(() => undefined);
        try {
          return await within(deadline - Date.now(), () =>
            client.workflow.executeUpdateWithStart(linkOutcome, { startWorkflowOperation: operation }),
          );
        } catch (error) {
          if (error instanceof WorkflowUpdateFailedError) return null;
          // Slow work and an unreachable server end alike here: only the second answers no ping.
          await ping();
          // A server that answers refuses for a moment only (a worker that is just leaving, say): joining again is safe, and
          // what did not start at all is started by the sweep.
          if (Date.now() + joinPauseMs >= deadline) return null;
          await new Promise((resolve) => setTimeout(resolve, joinPauseMs));
        }
      }
    },

    async startLink(tokenHash, userId): Promise<void> {
      try {
        await within(signalWithinMs, () => client.workflow.start('linkItem', linkOptions(tokenHash, userId)));
      } catch {
        throw down('the link');
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
            priority: { priorityKey: priorities.webhook, fairnessKey: userId.slice(0, 64) },
            staticSummary: `item ${itemId}`,
            typedSearchAttributes: [
              { key: keys.item, value: itemId },
              { key: keys.user, value: userId },
            ],
          }),
        );
      } catch {
        throw down(`the signal ${signal.kind}`);
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
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw down('the check of a login');
      }
    },

    async checkUser(userId, timeoutMs, requestId): Promise<ItemCheck[] | null> {
      const deadline = Date.now() + timeoutMs;
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
      } catch {
        throw down('the check of a login');
      }
      try {
        return await within(deadline - Date.now(), () => check.result());
      } catch (error) {
        if (error instanceof WorkflowFailedError) throw down('the check of a login');
        // Slow work and an unreachable server end alike here: only the second answers no ping.
        await ping();
        return null;
      }
    },

    async itemStatus(itemId): Promise<ItemStatus | null> {
      try {
        const item = client.workflow.getHandle(itemWorkflowId(itemId));
        const answer = await within(answerWithinMs, () => item.query(status));
        if (answer === null || answer.phase !== 'updating' || answer.progress !== null) return answer;
        const pagingId = answer.remine?.running ? answer.remine.workflow_id : historyWorkflowId(itemId);
        const paging = client.workflow.getHandle(pagingId);
        const run = await within(answerWithinMs, () => paging.query(progress)).catch(() => null);
        return run === null
          ? answer
          : { ...answer, progress: { pages: run.page, rows: run.rows, restarts: run.restarts } };
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return null;
        throw down('a question about the Item');
      }
    },

    isHistoryRunning: (itemId) => describeRunning(historyWorkflowId(itemId)),
    isRemineRunning: (itemId, number) => describeRunning(remineWorkflowId(itemId, number)),
  };
}
