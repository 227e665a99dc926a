import { readFile } from 'node:fs/promises';
import type { StateRecord } from './records.js';
import { restoreRecords, UnreadableState, type Saved } from './restoreRecords.js';

const NEWLINE = 0x0a;

/** Reads a state file; one that is not there is an empty world. Half a line at the end was being written when a process died. */
export async function readState(path: string): Promise<Saved> {
  let bytes: Buffer = Buffer.alloc(0);
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return restoreRecords(path, recordsOf(path, bytes));
}

/** Line by line: a whole file may be longer than the longest string of the engine. */
function* recordsOf(path: string, bytes: Buffer): Generator<StateRecord> {
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    yield parse(path, bytes.toString('utf8', start, end));
    start = end + 1;
  }
}

function parse(path: string, line: string): StateRecord {
  try {
    return JSON.parse(line) as StateRecord;
  } catch {
    throw new UnreadableState(`${path} is damaged: it has a line that is no JSON`);
  }
}
