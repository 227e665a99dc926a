import { Failure } from '../../domain/failures.js';
import { foreignErrorText } from '../../domain/foreignError.js';
import { HttpProblem } from './httpJson.js';
import { SetupFailure } from './setupFailure.mjs';

/** What is printed of an error: the message of our own ones; of a foreign one its class, its code and the lines of ours. */
export function failureText(error: unknown): string {
  const ours = error instanceof SetupFailure || error instanceof HttpProblem || error instanceof Failure;
  return ours ? error.message : foreignErrorText(error);
}
