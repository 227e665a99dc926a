import { createHash } from 'node:crypto';
import protobuf from 'protobufjs';

/** The message as the Kinesis Producer Library describes it. */
const { root } = protobuf.parse(`
  syntax = "proto2";
  message AggregatedRecord {
    repeated string partition_key_table = 1;
    repeated string explicit_hash_key_table = 2;
    repeated Record records = 3;
  }
  message Tag { required string key = 1; optional string value = 2; }
  message Record {
    required uint64 partition_key_index = 1;
    optional uint64 explicit_hash_key_index = 2;
    required bytes data = 3;
    repeated Tag tags = 4;
  }`);
const AggregatedRecord = root.lookupType('AggregatedRecord');

const packed = (message: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('f3899ac2', 'hex'), message, createHash('md5').update(message).digest()]);

/** One Kinesis record with this message in it. */
export const aggregateOf = (message: object): Buffer =>
  packed(AggregatedRecord.encode(AggregatedRecord.fromObject(message)).finish());

/** One Kinesis record as the library packs these; `rest` follows them in the message, under the same digest. */
export function aggregated(
  records: readonly (string | Buffer)[],
  rest: Uint8Array = Buffer.alloc(0),
): Buffer {
  const message = AggregatedRecord.fromObject({
    partitionKeyTable: ['key'],
    records: records.map((data) => ({ partitionKeyIndex: 0, data: Buffer.from(data) })),
  });
  return packed(Buffer.concat([AggregatedRecord.encode(message).finish(), rest]));
}
