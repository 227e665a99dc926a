import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { Failure } from '../../domain/failures.js';

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
const channelArgs = { 'grpc.keepalive_time_ms': 12_000, 'grpc.keepalive_timeout_ms': 5_000 };

/** In the same time the other end has to say its first word. */
const longestSilenceMs = channelArgs['grpc.keepalive_time_ms'] + channelArgs['grpc.keepalive_timeout_ms'];

/** What gRPC's client asks its credentials for: who makes of a connection the one that HTTP/2 is spoken on. */
interface GrpcCredentials {
  _createSecureConnector?: (...given: unknown[]) => { connect(socket: Socket): Promise<{ socket: Socket }> };
}

/**
 * Ends connections on which the other end has said nothing for `silentMs` from the beginning: it was there to take them, or what stands before
 * it, and no more. gRPC's client waits for the first word without end, and opens no other one meanwhile (grpc/grpc-node#2785): the
 * process would reach Temporal nevermore. Its own pings come behind that word only.
 */
function endSilent(credentials: GrpcCredentials, silentMs: number): void {
  const create = credentials._createSecureConnector?.bind(credentials);
  if (create === undefined)
    throw new Failure(
      'MISCONFIGURED',
      "gRPC's client is another one: nothing would end its silent connections",
    );
  credentials._createSecureConnector = (...given) => {
    const connector = create(...given);
    const connect = connector.connect.bind(connector);
    connector.connect = (socket) =>
      new Promise((resolve, reject) => {
        // What a proxy before it has said.
        const { bytesRead } = socket;
        let spoken: Socket | null = null;
        const timer = setTimeout(() => {
          if (spoken !== null && spoken.bytesRead > (spoken === socket ? bytesRead : 0)) return;
          spoken?.destroy();
          socket.destroy();
        }, silentMs).unref();
        socket.once('close', () => {
          clearTimeout(timer);
          // Where TLS waits for its first word nobody else hears of that.
          reject(new Error('the connection to Temporal ended before anything was said on it'));
        });
        connect(socket).then((secured) => {
          spoken = secured.socket;
          resolve(secured);
        }, reject);
      });
    return connector;
  };
}

/** A client that connects when it is first used, so that the API starts and answers webhooks with Temporal down. */
export function openClient(
  options: TemporalOptions,
  { silentMs = longestSilenceMs } = {},
): { client: Client; connection: Connection } {
  const connection = Connection.lazy({ ...connectionOptions(options), channelArgs });
  endSilent(connection.options.credentials as unknown as GrpcCredentials, silentMs);
  return { client: new Client({ connection, namespace: options.namespace }), connection };
}
