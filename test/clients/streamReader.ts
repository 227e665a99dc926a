import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { KinesisConnection } from '../../src/clients/kinesisClient.js';

/** Everything on a stream, shard after shard, each from its beginning to its tip. */
export async function readStream(
  connection: KinesisConnection,
  stream: string,
): Promise<{ key: string; data: string }[]> {
  const client = new KinesisClient({
    region: connection.region,
    endpoint: connection.endpoint ?? '',
    credentials: connection.credentials ?? { accessKeyId: '', secretAccessKey: '' },
    requestHandler: new NodeHttpHandler(),
  });
  const found: { key: string; data: string }[] = [];
  try {
    const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName: stream }));
    for (const { ShardId } of Shards) {
      const first = await client.send(
        new GetShardIteratorCommand({ StreamName: stream, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
      );
      let iterator = first.ShardIterator;
      while (iterator) {
        const answer = await client.send(new GetRecordsCommand({ ShardIterator: iterator, Limit: 10_000 }));
        for (const record of answer.Records ?? []) {
          found.push({
            key: record.PartitionKey ?? '',
            data: Buffer.from(record.Data ?? []).toString('utf8'),
          });
        }
        iterator =
          answer.MillisBehindLatest === 0 && answer.Records?.length === 0
            ? undefined
            : answer.NextShardIterator;
      }
    }
  } finally {
    client.destroy();
  }
  return found;
}
