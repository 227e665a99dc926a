import type { Client } from '@temporalio/client';
import { isGrpcServiceError } from '@temporalio/client';
import { Failure } from '../../domain/failures.js';
import { temporalFailure } from './temporalFailures.js';

/** gRPC's code of what there is not. */
const notFound = 5;
const answerWithinMs = 2_000;

/**
 * Throws MISCONFIGURED, with the command that mends it, while no version of the deployment is current: what is started then
 * waits for a worker that nobody has named. Which version it is, is the operator's business: another one than `mine` is good.
 */
export async function assertCurrentVersion(
  client: Client,
  mine: { deploymentName: string; buildId: string },
): Promise<void> {
  const { deploymentName, buildId } = mine;
  const current = await currentBuild(client, deploymentName);
  if (current !== null) return;
  throw new Failure(
    'MISCONFIGURED',
    `no version of the deployment ${deploymentName} is current, so new workflows wait: ` +
      `temporal worker deployment set-current-version --deployment-name ${deploymentName} --build-id ${buildId}`,
  );
}

/** The build that new workflows are sent to; null = none, also where no worker of the deployment has been seen yet. */
async function currentBuild(client: Client, deploymentName: string): Promise<string | null> {
  try {
    const { workerDeploymentInfo } = await client.withDeadline(Date.now() + answerWithinMs, () =>
      client.workflowService.describeWorkerDeployment({
        namespace: client.options.namespace,
        deploymentName,
      }),
    );
    return workerDeploymentInfo?.routingConfig?.currentDeploymentVersion?.buildId ?? null;
  } catch (error) {
    if (isGrpcServiceError(error) && Number(error.code) === notFound) return null;
    throw temporalFailure('a question about the deployment', error);
  }
}
