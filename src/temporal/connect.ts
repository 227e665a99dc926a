import { readFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';

export interface TemporalOptions {
  address: string;
  namespace: string;
  apiKey?: string | undefined;
  tls: boolean;
  tlsServerName?: string | undefined;
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

function connectionOptions(options: TemporalOptions) {
  const { caFile, certFile, keyFile, tlsServerName, apiKey } = options;
  const tls =
    caFile || certFile || tlsServerName
      ? {
          ...(tlsServerName ? { serverNameOverride: tlsServerName } : {}),
          ...(caFile ? { serverRootCACertificate: readFileSync(caFile) } : {}),
          ...(certFile && keyFile
            ? { clientCertPair: { crt: readFileSync(certFile), key: readFileSync(keyFile) } }
            : {}),
        }
      : options.tls || apiKey !== undefined;
  return { address: options.address, tls, ...(apiKey ? { apiKey } : {}) };
}

/**
 * A connection whose other end has vanished is given up after 17 s (the SDK's own bounds make 45 s of it): until then every
 * call on it ends by its own deadline. Temporal's front end takes pings that come closer than ten seconds for an attack.
 */
const channelArgs = { 'grpc.keepalive_time_ms': 12_000, 'grpc.keepalive_timeout_ms': 5_000 };

/** A client that connects when it is first used, so that the API starts and answers webhooks with Temporal down. */
export function openClient(options: TemporalOptions): { client: Client; connection: Connection } {
  const connection = Connection.lazy({ ...connectionOptions(options), channelArgs });
  return { client: new Client({ connection, namespace: options.namespace }), connection };
}

/** The worker's own connection; rejects when Temporal cannot be reached. */
export function connectWorker(options: TemporalOptions): Promise<NativeConnection> {
  return NativeConnection.connect(connectionOptions(options));
}
