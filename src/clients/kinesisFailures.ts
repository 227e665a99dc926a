import type { FailureType } from '../../domain/failures.js';
import { Failure } from '../../domain/failures.js';

const throttled: ReadonlySet<string> = new Set([
  'ProvisionedThroughputExceededException',
  'LimitExceededException',
  'KMSThrottlingException',
  'ThrottlingException',
  'RequestLimitExceeded',
]);

const invalid: ReadonlySet<string> = new Set(['ValidationException', 'InvalidArgumentException']);

/** Kinesis's name of an error, or one from Node's closed alphabet of system errors. */
function nameOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'unknown';
  const { name, code } = error as { name?: unknown; code?: unknown };
  const shown = typeof name === 'string' && name !== 'Error' ? name : code;
  return typeof shown === 'string' && /^[A-Za-z0-9_.]{1,80}$/.test(shown) ? shown : 'unknown';
}

/** What an error code of one record in a PutRecords answer means. */
export const recordFailureType = (errorCode: string): FailureType =>
  throttled.has(errorCode) ? 'RATE_LIMITED' : 'UPSTREAM_DOWN';

/**
 * Whether a whole PutRecords call was refused because of what is in one of its records. Only a refusal that names a part of a
 * record is: any other, in whatever words, is no record's fault, and a record that is parked for it is lost to the streams.
 */
export function isAboutRecords(error: unknown): boolean {
  if (!invalid.has(nameOf(error))) return false;
  const message = error instanceof Error ? error.message : '';
  return /\b(records?\.|partition ?key|explicit ?hash ?key|record (data|size))/i.test(message);
}

/** Refusals for how we are set up; `UnrecognizedClientException` is a key that AWS does not know. */
const aboutSetUp: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'InvalidClientTokenId',
]);

/**
 * Any error of the Kinesis client as a Failure. Its message is not kept: it may quote data. MISCONFIGURED, and tried again all the
 * same, where a stream or a right is missing.
 * @param what the stream's name, or what else was asked for
 */
export function failureOfKinesis(what: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const name = nameOf(error);
  const options = { outcomeUnknown: true, retryable: true };
  if (name === 'ResourceNotFoundException')
    return new Failure('MISCONFIGURED', `Kinesis has no stream ${what}: \`npm run provision\``, options);
  if (aboutSetUp.has(name))
    return new Failure('MISCONFIGURED', `Kinesis refuses us (${what}): ${name}`, options);
  const type = throttled.has(name) ? 'RATE_LIMITED' : 'UPSTREAM_DOWN';
  return new Failure(type, `Kinesis refused or did not answer (${what}): ${name}`, { outcomeUnknown: true });
}
