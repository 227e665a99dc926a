import { isGrpcServiceError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { keyword } from '../../domain/operatorTexts.js';
import { searchAttributes } from '../../domain/searchAttributes.js';

/** gRPC's code. */
const notFound = 5;
const atOnce = 8;
const callWithinMs = 5_000;

/**
 * Temporal's queries find no value with a double quote in it, however it is written (server 1.29), and not every store reads a backslash
 * alike. Of such an id the beginning is asked for, and what is found is looked at.
 */
function queryOf(user: string): string {
  const plain = /^[^"'\\]*/.exec(user)?.[0] ?? '';
  if (plain === user) return `${searchAttributes.user} = '${user}'`;
  return plain === ''
    ? `${searchAttributes.user} IS NOT NULL`
    : `${searchAttributes.user} STARTS_WITH '${plain}'`;
}

type Execution = { workflowId: string; runId?: string };

/** Workflows of the user, `limit` at most. A server whose index is down may take a question and never answer. */
async function ownedBy(client: Client, user: string, limit: number): Promise<Execution[]> {
  const listed = client.workflow.list({ query: queryOf(user) })[Symbol.asyncIterator]();
  const next = () => client.withDeadline(Date.now() + callWithinMs, () => listed.next());
  const found: Execution[] = [];
  for (let one = await next(); one.done !== true && found.length < limit; one = await next()) {
    const { workflowId, runId, searchAttributes: said } = one.value;
    if (said[searchAttributes.user]?.[0] === user) found.push({ workflowId, runId });
  }
  return found;
}

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
  const found: Execution[] = [
    ...workflowIds.map((workflowId) => ({ workflowId })),
    ...(await ownedBy(client, keyword(userId), limit)),
  ];
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
    if (isGrpcServiceError(error) && Number(error.code) === notFound) return false;
    throw error;
  }
}
