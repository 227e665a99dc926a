import { continueAsNew } from '@temporalio/workflow';
import type { RunEnd } from '../src/domain/mining.js';
import type { RemineItemInput } from './contract.js';
import { pageToTheEnd } from './pageToTheEnd.js';

/** Reads everything of an Item again from the empty cursor and marks what Plaid does not list any more. */
export async function remineItem(input: RemineItemInput): Promise<RunEnd> {
  return pageToTheEnd(input, { remine: true }, (next) => continueAsNew<typeof remineItem>(next));
}
