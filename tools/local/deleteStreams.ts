import { DeleteStreamCommand, KinesisClient, paginateListStreams } from '@aws-sdk/client-kinesis';
import { NodeHttpHandler } from '@smithy/node-http-handler';

/**
 * Deletes the streams of an emulator whose names begin with `prefix`. It keeps all that it was ever given, and gets slower with it: after
 * a dozen rounds of faults no put was answered in time any more.
 */
export async function deleteStreams(endpoint: string, prefix: string): Promise<void> {
  const client = new KinesisClient({
    region: 'us-east-1',
    endpoint,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    requestHandler: new NodeHttpHandler({ connectionTimeout: 2_000, requestTimeout: 30_000 }),
  });
  try {
    const names: string[] = [];
    for await (const { StreamNames = [] } of paginateListStreams({ client }, {})) names.push(...StreamNames);
    for (const StreamName of names.filter((name) => name.startsWith(prefix)))
      await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  } finally {
    client.destroy();
  }
}
