import { isGrpcServiceError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { keyword } from '../../domain/operatorTexts.js';
import { searchAttributes } from '../../domain/searchAttributes.js';

/** gRPC's code. */
const notFound = 5;
const atOnce = 8;
const callWithinMs = 5_000;

/** A text of Temporal's queries. */
const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

type Execution = { workflowId: string; runId?: string };

/**
 * Deletes workflows of a user with their histories; the server ends those that run first. Found by the user's id, at most `limit` of
 * them, and by the ids given, for what Temporal's index does not show yet. Resolves to how many were there.
 */
export async function deleteWorkflowsOf(
  client: Client,
  userId: string,
  workflowIds: readonly string[],
  limit: number,
): Promise<number> {
  const found: Execution[] = workflowIds.map((workflowId) => ({ workflowId }));
  const query = `${searchAttributes.user} = ${quoted(keyword(userId))}`;
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    if (found.length >= limit + workflowIds.length) break;
    found.push({ workflowId, runId });
  }
  let deleted = 0;
  const lane = async (): Promise<void> => {
    for (let next = found.shift(); next !== undefined; next = found.shift()) {
      if (await deleteOne(client, next)) deleted += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return deleted;
}

/** False when there is none. */
async function deleteOne(client: Client, execution: Execution): Promise<boolean> {
  try {
    await client.withDeadline(Date.now() + callWithinMs, () =>
      client.workflowService.deleteWorkflowExecution({
        namespace: client.options.namespace,
        workflowExecution: execution,
      }),
    );
    return true;
  } catch (error) {
    if (isGrpcServiceError(error) && error.code === notFound) return false;
    throw error;
  }
}
