import { isGrpcServiceError } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { Failure } from '../../domain/failures.js';

/**
 * gRPC's codes of refusals that no waiting mends, by whose matter they are. All others are outages. INTERNAL, UNKNOWN and
 * CANCELLED are so, since a broken stream or a proxy on the way answers with them. FAILED_PRECONDITION is so, since Temporal
 * says it of a workflow whose worker is just failing and of a namespace that is just moving to another cluster.
 */
const refusals: ReadonlyMap<number, { name: string; type: 'ORCHESTRATOR_REFUSED' | 'MISCONFIGURED' }> =
  new Map([
    [3, { name: 'INVALID_ARGUMENT', type: 'ORCHESTRATOR_REFUSED' }],
    [5, { name: 'NOT_FOUND', type: 'MISCONFIGURED' }],
    [6, { name: 'ALREADY_EXISTS', type: 'ORCHESTRATOR_REFUSED' }],
    [7, { name: 'PERMISSION_DENIED', type: 'MISCONFIGURED' }],
    [11, { name: 'OUT_OF_RANGE', type: 'ORCHESTRATOR_REFUSED' }],
    [12, { name: 'UNIMPLEMENTED', type: 'MISCONFIGURED' }],
    [16, { name: 'UNAUTHENTICATED', type: 'MISCONFIGURED' }],
  ]);

/** Search attributes that the namespace lacks are reported as an invalid argument, and are not the call's fault. */
const aboutSetUp = /search attribute/i;

/**
 * What Temporal's client has thrown, as a Failure: ORCHESTRATOR_DOWN where the same call may succeed later, MISCONFIGURED
 * where an operator has to act (credentials, namespace, search attributes), ORCHESTRATOR_REFUSED where this call never will.
 * Nothing of the foreign message is kept: it may quote what was sent.
 */
export function temporalFailure(what: string, thrown: unknown): Failure {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof NamespaceNotFoundError) {
      return new Failure('MISCONFIGURED', `Temporal has no such namespace: it did not take ${what}`);
    }
    const refusal = isGrpcServiceError(error) ? refusals.get(error.code) : undefined;
    if (refusal === undefined || !isGrpcServiceError(error)) continue;
    const type = aboutSetUp.test(error.details) ? 'MISCONFIGURED' : refusal.type;
    return new Failure(type, `Temporal refused ${what}: ${refusal.name}`);
  }
  return new Failure('ORCHESTRATOR_DOWN', `Temporal did not take ${what}`);
}
