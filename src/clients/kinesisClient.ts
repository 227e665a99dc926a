import { KinesisClient } from '@aws-sdk/client-kinesis';
import { NodeHttpHandler } from '@smithy/node-http-handler';

export interface KinesisConnection {
  region: string;
  /** Only where Kinesis is not AWS's own of the region: an emulator, a VPC endpoint. */
  endpoint?: string | undefined;
  /** Default: the AWS SDK's own chain (role, environment, profile). */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
}

/**
 * HTTP/1.1 for AWS and emulators alike: the client's default is HTTP/2, which no plain-HTTP endpoint speaks. The SDK's own
 * retries are off; who calls bounds and repeats.
 */
export function openKinesisClient(connection: KinesisConnection): KinesisClient {
  return new KinesisClient({
    region: connection.region,
    ...(connection.endpoint === undefined ? {} : { endpoint: connection.endpoint }),
    ...(connection.credentials === undefined ? {} : { credentials: connection.credentials }),
    requestHandler: new NodeHttpHandler({ connectionTimeout: 2_000 }),
    maxAttempts: 1,
  });
}
