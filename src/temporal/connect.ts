import { readFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { endSilent } from './silentConnections.js';

/** Text of a certificate or key, or the file that has it. */
export type Pem = { path: string } | { data: string };

export interface TemporalOptions {
  address: string;
  namespace: string;
  apiKey?: string | undefined;
  /** Undefined: when an API key or anything else of TLS is given. */
  tls?: boolean | undefined;
  tlsServerName?: string | undefined;
  serverCa?: Pem | undefined;
  clientCert?: Pem | undefined;
  clientKey?: Pem | undefined;
}

const contentOf = (pem: Pem): Buffer => ('path' in pem ? readFileSync(pem.path) : Buffer.from(pem.data));

/** As `@temporalio/envconfig` reads the same variables. */
export function connectionOptions(options: TemporalOptions) {
  const { serverCa, clientCert, clientKey, tlsServerName, apiKey } = options;
  const given = {
    ...(tlsServerName ? { serverNameOverride: tlsServerName } : {}),
    ...(serverCa ? { serverRootCACertificate: contentOf(serverCa) } : {}),
    ...(clientCert && clientKey
      ? { clientCertPair: { crt: contentOf(clientCert), key: contentOf(clientKey) } }
      : {}),
  };
  const some = Object.keys(given).length > 0;
  const tls = (options.tls ?? (some || apiKey !== undefined)) && (some ? given : true);
  return { address: options.address, tls, ...(apiKey ? { apiKey } : {}) };
}

/**
 * A connection whose other end has vanished is given up after 17 s (the SDK's own bounds make 45 s of it): until then every
 * call on it ends by its own deadline. Temporal's front end takes pings that come closer than ten seconds for an attack.
 */
const channelArgs = {
  'grpc.keepalive_time_ms': 12_000,
  'grpc.keepalive_timeout_ms': 5_000,
  // gRPC's own bound is two minutes: after a long outage each call would be refused for so long although Temporal is back.
  'grpc.max_reconnect_backoff_ms': 5_000,
};

/** In the same time the other end has to say its first word. */
const longestSilenceMs = channelArgs['grpc.keepalive_time_ms'] + channelArgs['grpc.keepalive_timeout_ms'];

/** A client that connects when it is first used, so that the API starts and answers webhooks with Temporal down. */
export function openClient(
  options: TemporalOptions,
  { silentMs = longestSilenceMs } = {},
): { client: Client; connection: Connection } {
  const connection = Connection.lazy({ ...connectionOptions(options), channelArgs });
  endSilent(connection.options.credentials, silentMs);
  return { client: new Client({ connection, namespace: options.namespace }), connection };
}
