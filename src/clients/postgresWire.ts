import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { BackendKey } from './postgresFrames.js';
import type { Host } from '../../domain/databaseSession.js';

/** How a server is reached, as postgres.js has read it from the URL. */
export interface Endpoints {
  /** Tried in turn until one takes the connection. */
  hosts: readonly Host[];
  /** A Unix socket, instead of hosts. */
  path: string | false;
  /** `sslmode` of the URL, or options of Node's TLS. */
  ssl: unknown;
  /** `direct`: TLS from the first byte on. */
  sslNegotiation: unknown;
}

/** A host that takes no connection must not hold up the others: the next one is tried beside it. */
const nextHostAfterMs = 1_000;
/** A host that has vanished is noticed although nothing is asked: after this long, and ten seconds of probes. */
const keepAliveAfterMs = 10_000;

const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** An abort's reason is an Error of ours. */
const reasonOf = (signal: AbortSignal): Error => signal.reason as Error;

function dial(
  target: { host: string; port: number } | { path: string },
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal));
    const socket = connectTcp({
      ...target,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveAfterMs,
    });
    const end = (): void => {
      socket.destroy();
      reject(reasonOf(signal));
    };
    signal.addEventListener('abort', end, { once: true });
    // It stays: a socket without a listener would end the process with its error.
    socket.on('error', (error) => {
      signal.removeEventListener('abort', end);
      reject(error);
    });
    socket.once('connect', () => {
      signal.removeEventListener('abort', end);
      resolve(socket);
    });
  });
}

/** The first of the hosts that takes a connection, from the `start`-th on, and its place among them. */
async function dialAny(
  hosts: Endpoints['hosts'],
  start: number,
  signal: AbortSignal,
): Promise<{ socket: Socket; host: string; place: number }> {
  const others = new AbortController();
  const either = AbortSignal.any([signal, others.signal]);
  let won = false;
  const tries: Promise<{ socket: Socket; host: string; place: number }>[] = [];
  let next: Promise<unknown> = Promise.resolve();
  for (const [index] of hosts.entries()) {
    const place = (start + index) % hosts.length;
    const target = hosts[place] as (typeof hosts)[number];
    const tried = next.then(async () => {
      const socket = await dial(target, either);
      // The loser of a race that was over at the same moment.
      if (won) socket.destroy();
      won = true;
      return { socket, host: target.host, place };
    });
    tries.push(tried);
    let timer: NodeJS.Timeout;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, nextHostAfterMs * (index + 1));
    });
    next = Promise.race([tried.catch(() => undefined), patience]).finally(() => clearTimeout(timer));
  }
  try {
    return await Promise.any(tries);
  } catch (error) {
    throw (error as AggregateError).errors.at(-1);
  } finally {
    others.abort(new Error('another host was faster'));
  }
}

/** The one byte with which a server says whether it speaks TLS. More than one would be somebody's who is in between. */
function answerToSslRequest(socket: Socket, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      signal.removeEventListener('abort', aborted);
      socket.removeListener('data', answered);
      socket.removeListener('error', reject);
      socket.removeListener('close', closed);
      settle();
    };
    const aborted = (): void => done(() => reject(reasonOf(signal)));
    const closed = (): void => done(() => reject(coded('ECONNRESET', 'closed before TLS')));
    const answered = (bytes: Buffer): void =>
      done(() => {
        socket.pause();
        resolve(bytes.length === 1 ? bytes.toString('latin1') : '');
      });
    signal.addEventListener('abort', aborted, { once: true });
    socket.once('data', answered);
    socket.once('error', reject);
    socket.once('close', closed);
    socket.write(sslRequest);
  });
}

export const coded = (code: string, message: string): Error => Object.assign(new Error(message), { code });

function tlsOptions(ssl: unknown, direct: boolean): ConnectionOptions {
  return {
    ...(direct ? { ALPNProtocols: ['postgresql'] } : {}),
    // As libpq: these modes encrypt and trust whoever answers.
    ...(ssl === 'require' || ssl === 'allow' || ssl === 'prefer' ? { rejectUnauthorized: false } : {}),
    ...(typeof ssl === 'object' ? (ssl as ConnectionOptions) : {}),
  };
}

async function secured(
  socket: Socket,
  host: string,
  endpoints: Endpoints,
  signal: AbortSignal,
): Promise<Socket> {
  const direct = endpoints.sslNegotiation === 'direct';
  if (!direct) {
    const answer = await answerToSslRequest(socket, signal);
    if (answer === 'N' && endpoints.ssl === 'prefer') return socket;
    if (answer !== 'S') throw coded('TLS_REFUSED', 'the server does not speak TLS');
  }
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(reasonOf(signal));
    signal.addEventListener('abort', aborted, { once: true });
    const tls = connectTls({
      socket,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...tlsOptions(endpoints.ssl, direct),
    });
    tls.on('error', reject);
    tls.once('close', () => reject(coded('ECONNRESET', 'closed during the TLS handshake')));
    tls.once('secureConnect', () => {
      signal.removeEventListener('abort', aborted);
      resolve(tls);
    });
  });
}

/**
 * A stream to the server, encrypted where that is asked for, ready for the first message. Rejects with the last host's error,
 * or with the signal's reason. `onTaken` hears, before a word is said, which host has taken the connection.
 */
export async function openWire(
  endpoints: Endpoints,
  start: number,
  signal: AbortSignal,
  onTaken: (place: number) => void = () => undefined,
): Promise<Socket> {
  const { socket, host, place } =
    endpoints.path === false
      ? await dialAny(endpoints.hosts, start, signal)
      : { socket: await dial({ path: endpoints.path }, signal), host: '', place: 0 };
  onTaken(place);
  if (!endpoints.ssl) return socket;
  try {
    return await secured(socket, host, endpoints, signal);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** For a request to cancel, which nobody waits for. */
const cancelWithinMs = 3_000;

/** Asks the server to end what one of its processes does. Best effort: never rejects. */
export async function requestCancel(
  endpoints: Endpoints,
  start: number,
  { processId, secret }: BackendKey,
): Promise<void> {
  const message = Buffer.alloc(12);
  message.writeInt32BE(12 + secret.length, 0);
  message.writeInt32BE(80_877_102, 4);
  message.writeUInt32BE(processId, 8);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(coded('ETIMEDOUT', 'late')), cancelWithinMs);
  try {
    const wire = await openWire(endpoints, start, late.signal);
    wire.end(Buffer.concat([message, secret]));
    wire.setTimeout(cancelWithinMs, () => wire.destroy());
    // The server answers nothing and closes.
    wire.resume();
  } catch {
    // Its statement time limit ends it then.
  } finally {
    clearTimeout(timer);
  }
}
