import type { Socket } from 'node:net';
import { Failure } from '../../domain/failures.js';

/** What gRPC's client asks its credentials for: who makes of a connection the one that HTTP/2 is spoken on. */
interface GrpcCredentials {
  _createSecureConnector?: (...given: unknown[]) => { connect(socket: Socket): Promise<{ socket: Socket }> };
}

/**
 * Ends connections on which the other end has said nothing for `silentMs` from the beginning: it was there to take them, or what stands before
 * it, and no more. gRPC's client waits for the first word without end, and opens no other one meanwhile (grpc/grpc-node#2785): the
 * process would reach Temporal nevermore. Its own pings come behind that word only.
 */
export function endSilent(credentials: object, silentMs: number): void {
  const inside: GrpcCredentials = credentials;
  const create = inside._createSecureConnector?.bind(inside);
  if (create === undefined) {
    const detail = "gRPC's client is another one: nothing would end its silent connections";
    throw new Failure('MISCONFIGURED', detail);
  }
  inside._createSecureConnector = (...given) => {
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
