import { createHash } from 'node:crypto';
import protobuf from 'protobufjs/minimal.js';

/**
 * The Kinesis Producer Library packs small records into one: four magic bytes, a protobuf message `AggregatedRecord`, and the MD5
 * of the message. Nothing else begins with these bytes: they are no UTF-8.
 */
const magic = Buffer.from('f3899ac2', 'hex');
const digestBytes = 16;

/** Fields of the messages, as protobuf writes them: number and "length-delimited". */
const recordsOfAggregate = (3 << 3) | 2;
const dataOfRecord = (3 << 3) | 2;

function dataIn(record: Uint8Array): Uint8Array {
  const reader = protobuf.Reader.create(record);
  let data: Uint8Array | null = null;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === dataOfRecord) data = reader.bytes();
    else reader.skipType(tag & 7);
  }
  if (data === null) throw new RangeError('a record without data');
  return data;
}

function recordsIn(message: Uint8Array): Uint8Array[] {
  const reader = protobuf.Reader.create(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === recordsOfAggregate) found.push(dataIn(reader.bytes()));
    else reader.skipType(tag & 7);
  }
  return found;
}

/** The user records in the bytes of a Kinesis record, in their order; the bytes themselves where nothing was packed. Null: packed, and broken. */
export function takenApart(bytes: Uint8Array): Uint8Array[] | null {
  if (magic.compare(bytes.subarray(0, magic.length)) !== 0) return [bytes];
  const end = bytes.length - digestBytes;
  if (end < magic.length) return null;
  const message = bytes.subarray(magic.length, end);
  if (createHash('md5').update(message).digest().compare(bytes.subarray(end)) !== 0) return null;
  try {
    return recordsIn(message);
  } catch {
    return null;
  }
}
