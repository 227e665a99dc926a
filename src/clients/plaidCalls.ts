import type { CountryCode, PlaidApi } from 'plaid';
import { isObject } from '../../domain/mining/oddValues.js';
import type { JsonObject } from '../../domain/mining/oddValues.js';
import { failureOfAnswer, failureOfShape, failureOfSilence, isErrorObject } from './plaidFailures.js';

interface HttpAnswer {
  status: number;
  data: unknown;
  headers: unknown;
}

/** What the parts of this adapter share. */
export interface PlaidCalls {
  api: PlaidApi;
  ask: typeof ask;
  countryCodes: CountryCode[];
  /** Milliseconds: for what Plaid answers from its own store, and for what it may ask the bank for. */
  usual: number;
  slow: number;
}

function parsed(data: unknown): unknown {
  if (typeof data !== 'string') return undefined;
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function header(headers: unknown, name: string): string | undefined {
  const value = isObject(headers) ? headers[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}

/** One call within `timeoutMs`, from start to last byte; the parsed body of a 200 that is no error object, else a Failure. */
export async function ask(
  path: string,
  timeoutMs: number,
  call: (requestOptions: object) => Promise<HttpAnswer>,
  requestOptions: object = {},
): Promise<JsonObject> {
  // axios' own time-out is one of silence: an answer that drips in would never meet it.
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  let answer: HttpAnswer;
  try {
    answer = await call({ ...requestOptions, signal: deadline.signal });
  } catch (error) {
    throw failureOfSilence(path, error, deadline.signal.aborted ? timeoutMs : null);
  } finally {
    clearTimeout(timer);
  }
  const body = parsed(answer.data);
  if (answer.status !== 200 || isErrorObject(body)) {
    const retryAfter = header(answer.headers, 'retry-after');
    throw failureOfAnswer(path, { status: answer.status, body, retryAfter }, Date.now());
  }
  if (!isObject(body)) throw failureOfShape(path, 'no JSON object');
  return body;
}
