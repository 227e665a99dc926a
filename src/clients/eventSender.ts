import { lookup } from 'node:dns/promises';
import * as http from 'node:http';
import * as https from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { SendFailure } from '../../domain/exchange/endpoint.js';
import { endpointUrlFault, hostOf, isAddress, mayReach } from '../../domain/exchange/peerAddress.js';
import type { EndpointRules } from '../../domain/exchange/peerAddress.js';
import type { EventSender, SendResult } from '../../domain/ports/eventSender.js';
import { signedHeaders } from './eventSignature.js';
import { createNameLookups } from './nameLookups.js';
import type { Resolve } from './nameLookups.js';

export interface EventSenderOptions extends EndpointRules {
  /** For one attempt, the look-up of its name included; default 15 s. */
  timeoutMs?: number;
  /** All addresses of a name; the operating system's by default. */
  resolve?: Resolve;
  /** Certificates that are trusted besides Node's own, PEM. */
  ca?: string;
}

/** What is kept of an answer. */
const keptBytes = 1_024;
/** What is read of an answer, so that its connection can be used once more; one that says more is cut off. */
const readBytes = 64 * 1_024;
/** For the body after the head, which alone decides. */
const bodyMs = 1_000;
/** Connections to one host that wait for the next event, and for how long. */
const idleConnections = 16;
const idleMs = 4_000;

/** Ends an attempt before anything was sent. */
class Unsent extends Error {
  constructor(readonly failure: SendFailure) {
    super(failure);
  }
}

const resolveBySystem = async (host: string): Promise<string[]> =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/** Ends an attempt by a connection that was given up: it says nothing of the endpoint. */
class GivenUp extends Error {}

const tlsCodes =
  /^(CERT_|ERR_TLS|ERR_SSL|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH|INVALID_CA)/;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';

/** Whether a kept connection has ended while it was taken, without an answer: its other end has given it up, as it may. */
const isGivenUp = (error: unknown, { reusedSocket }: ClientRequest): boolean =>
  reusedSocket && /^(ECONNRESET|EPIPE)$/.test(codeOf(error));

function failureOf(error: unknown): SendFailure {
  if (error instanceof Unsent) return error.failure;
  const code = codeOf(error);
  if (tlsCodes.test(code)) return 'tls_failed';
  return code.startsWith('HPE_') ? 'answer_broken' : 'connection_failed';
}

/** Milliseconds of a Retry-After, in seconds or as a date; null when there is none, or none that can be read. */
function retryAfterOf(header: string | undefined, now: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** Bytes as text that PostgreSQL takes. */
const asText = (bytes: Buffer): string => bytes.toString('utf8').replaceAll('\0', '\u{fffd}');

type Connecting = (error: Error | null, socket?: Socket) => void;

/**
 * Sends signed events. A connection is made to an address that was checked, and to nothing else: a name is looked up once for each
 * connection, so what it leads to cannot change between the check and the connection; an address in the URL is checked
 * alike. Redirects are not followed. Certificates are verified.
 */
export function createEventSender(options: EventSenderOptions): EventSender & { close(): void } {
  const { allowed, timeoutMs = 15_000 } = options;
  const resolve = createNameLookups(options.resolve ?? resolveBySystem);

  async function addressOf(host: string): Promise<string> {
    if (isAddress(host)) {
      if (!mayReach(host, allowed)) throw new Unsent('address_refused');
      return host;
    }
    let addresses: readonly string[];
    try {
      addresses = await resolve(host);
    } catch {
      throw new Unsent('name_not_found');
    }
    if (addresses.length === 0) throw new Unsent('name_not_found');
    const address = addresses.find((one) => mayReach(one, allowed));
    if (address === undefined) throw new Unsent('address_refused');
    return address;
  }

  async function openSocket(host: string, port: number, secure: boolean): Promise<Socket> {
    const address = await addressOf(host);
    const socket = secure
      ? connectTls({
          host: address,
          port,
          ALPNProtocols: ['http/1.1'],
          rejectUnauthorized: true,
          // A certificate for an address names the address.
          ...(isAddress(host) ? {} : { servername: host }),
          ...(options.ca === undefined ? {} : { ca: options.ca }),
        })
      : connect({ host: address, port });
    socket.once('connect', () => {
      // What was checked is what we are connected with, whatever lay between.
      if (!mayReach(socket.remoteAddress ?? '', allowed)) socket.destroy(new Unsent('address_refused'));
    });
    return socket;
  }

  /** Connections by the host of the URL: kept for the next event, or of one event each. */
  function agentOf(secure: boolean, keepAlive: boolean): http.Agent {
    const agentOptions = { keepAlive, maxFreeSockets: idleConnections, timeout: idleMs };
    const agent = secure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
    const connecting = (given: { host?: string; port?: number | string }, done: Connecting): void => {
      openSocket(String(given.host), Number(given.port), secure).then(
        (socket) => done(null, socket),
        (error: unknown) => done(error instanceof Error ? error : new Error('no connection')),
      );
    };
    return Object.assign(agent, { createConnection: connecting });
  }
  const agentsOf = (keepAlive: boolean) => ({
    'http:': agentOf(false, keepAlive),
    'https:': agentOf(true, keepAlive),
  });
  const agents = { kept: agentsOf(true), single: agentsOf(false) };

  /** Begins the request; resolves with the head of its answer. */
  function ask(
    connections: keyof typeof agents,
    url: URL,
    headers: http.OutgoingHttpHeaders,
    body: string,
    signal: AbortSignal,
  ) {
    const secure = url.protocol === 'https:';
    return new Promise<IncomingMessage>((answered, failed) => {
      const request = (secure ? https : http).request(
        {
          protocol: url.protocol,
          host: hostOf(url),
          port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
          path: `${url.pathname}${url.search}`,
          method: 'POST',
          headers: { host: url.host, ...headers },
          agent: agents[connections][secure ? 'https:' : 'http:'],
          signal,
        },
        answered,
      );
      request.once('error', (error) => failed(isGivenUp(error, request) ? new GivenUp() : error));
      // A request that has no connection yet hears of nothing.
      signal.addEventListener('abort', () => failed(new Unsent('timed_out')), { once: true });
      // No protocol is changed for an event.
      request.once('upgrade', (_response, socket) => {
        socket.destroy();
        failed(new Unsent('answer_broken'));
      });
      request.end(body);
    });
  }

  /** The first KiB. One that goes on for long, or says more than anybody reads, is cut off: its head has said what counts. */
  function readAnswer(response: IncomingMessage): Promise<Buffer> {
    return new Promise((done) => {
      const kept: Buffer[] = [];
      let bytes = 0;
      const end = (): void => {
        clearTimeout(timer);
        if (!response.complete) response.destroy();
        done(Buffer.concat(kept).subarray(0, keptBytes));
      };
      const timer = setTimeout(end, bodyMs);
      response.on('data', (chunk: Buffer) => {
        if (bytes < keptBytes) kept.push(chunk.subarray(0, keptBytes));
        bytes += chunk.length;
        if (bytes > readBytes) end();
      });
      for (const event of ['end', 'error', 'close'] as const) response.once(event, end);
    });
  }

  return {
    async send({ url: text, id, body, secrets }, signal) {
      const begun = Date.now();
      const clock = performance.now();
      const at = new Date(begun).toISOString();
      const over = AbortSignal.timeout(timeoutMs);
      const result = (more: Partial<SendResult>): SendResult => ({
        at,
        durationMs: Math.round(performance.now() - clock),
        status: null,
        failure: null,
        retryAfterMs: null,
        answer: null,
        ...more,
      });
      if (signal.aborted) return null;
      // The rules may have changed since the endpoint was made.
      if (endpointUrlFault(text, options) !== null) return result({ failure: 'address_refused' });
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'Sluice',
        ...signedHeaders(id, Math.floor(begun / 1_000), body, secrets),
      };
      try {
        const asked = [new URL(text), headers, body, AbortSignal.any([signal, over])] as const;
        const response = await ask('kept', ...asked).catch((error: unknown) => {
          if (error instanceof GivenUp) return ask('single', ...asked);
          throw error;
        });
        const answer = asText(await readAnswer(response));
        return result({
          status: response.statusCode ?? 0,
          retryAfterMs: retryAfterOf(response.headers['retry-after'], begun),
          answer: answer === '' ? null : answer,
        });
      } catch (error) {
        if (signal.aborted) return null;
        return result({ failure: over.aborted ? 'timed_out' : failureOf(error) });
      }
    },

    close() {
      for (const agent of Object.values(agents).flatMap((both) => Object.values(both))) agent.destroy();
    },
  };
}
