import { DeleteStreamCommand, paginateListStreams } from '@aws-sdk/client-kinesis';
import { localKinesis } from './localKinesis.js';

/**
 * Deletes the streams of an emulator whose names begin with `prefix`. It keeps all that it was ever given, and gets slower with it: after
 * a dozen rounds of faults no put was answered in time any more.
 */
export async function deleteStreams(endpoint: string, prefix: string): Promise<void> {
  const client = localKinesis(endpoint);
  try {
    const names: string[] = [];
    for await (const { StreamNames = [] } of paginateListStreams({ client }, {})) names.push(...StreamNames);
    for (const StreamName of names.filter((name) => name.startsWith(prefix)))
      await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  } finally {
    client.destroy();
  }
}
