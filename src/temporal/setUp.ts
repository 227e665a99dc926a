import { isGrpcServiceError } from '@temporalio/client';
import type { Connection } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { Failure } from '../../domain/failures.js';
import { searchAttributes } from '../../domain/searchAttributes.js';
import { temporalFailure } from './temporalFailures.js';

const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const PERMISSION_DENIED = 7;
const UNIMPLEMENTED = 12;
/** `IndexedValueType` KEYWORD of Temporal's API. */
const KEYWORD = 2;

/** The client wraps some refusals. */
const said = (thrown: unknown, ...codes: number[]): boolean => {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (isGrpcServiceError(error)) return codes.includes(error.code);
  }
  return false;
};

/** How long the histories of ended workflows stay: as long as `docker-compose.yml` keeps them. */
const historiesStaySeconds = 7 * 86_400;

const lacks = (what: string): Failure =>
  new Failure('MISCONFIGURED', `Temporal lacks ${what}: \`npm run provision\``);

async function isNamespaceThere(connection: Connection, namespace: string): Promise<boolean> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    if (said(error, NOT_FOUND)) return false;
    throw error;
  }
}

async function missingAttributes(connection: Connection, namespace: string): Promise<string[]> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  return Object.values(searchAttributes).filter((name) => !customAttributes[name]);
}

/**
 * Resolves when Temporal answers and has what we need: the namespace and our search attributes. Rejects with MISCONFIGURED, which
 * names what is missing, and else as a call of the gateway would.
 */
export async function checkTemporal(
  connection: Connection,
  namespace: string,
  withinMs = 2_000,
): Promise<void> {
  const missing = await connection
    .withDeadline(Date.now() + withinMs, async () => {
      if (!(await isNamespaceThere(connection, namespace))) return `the namespace "${namespace}"`;
      // Who may not ask, as with keys of Temporal Cloud, is told by the first workflow that lacks one.
      const attributes = await missingAttributes(connection, namespace).catch((error: unknown) => {
        if (said(error, PERMISSION_DENIED, UNIMPLEMENTED)) return [];
        throw error;
      });
      return attributes.length === 0 ? null : `the search attributes ${attributes.join(', ')}`;
    })
    .catch((error: unknown) => {
      throw temporalFailure('a question for its set-up', error);
    });
  if (missing !== null) throw lacks(missing);
}

/** Rejects with MISCONFIGURED when Temporal says that it has no such namespace; no other answer does, nor none. */
export async function assertNamespace(
  connection: Connection,
  namespace: string,
  withinMs = 2_000,
): Promise<void> {
  const there = await connection
    .withDeadline(Date.now() + withinMs, () => isNamespaceThere(connection, namespace))
    .catch(() => true);
  if (!there) throw lacks(`the namespace "${namespace}"`);
}

/** Makes the namespace if it is not there. Idempotent. A server may need seconds until all of its parts know a new one. */
export async function ensureNamespace(connection: Connection, namespace: string): Promise<void> {
  if (await isNamespaceThere(connection, namespace)) return;
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: historiesStaySeconds as never },
    });
  } catch (error) {
    if (!said(error, ALREADY_EXISTS)) throw error;
  }
}

/** Registers our search attributes in the namespace. Idempotent. */
export async function ensureSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const missing = await missingAttributes(connection, namespace);
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
    });
  } catch (error) {
    if (!said(error, ALREADY_EXISTS)) throw error;
  }
}

/** Whether it says that it does not know the namespace. */
export const isUnknownNamespace = (error: unknown): boolean =>
  error instanceof NamespaceNotFoundError || said(error, NOT_FOUND);
