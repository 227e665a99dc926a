import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Problem } from './errors.js';
import type { ProblemCode } from './problems.js';
import { refuseUnclearHead } from './requestHead.js';
import { securityHeaders } from './securityHeaders.js';

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

export interface BrokenRequests {
  /** Notes the newest request of its connection. Throws where its head is unclear, and for all that come behind such a one. */
  began(request: IncomingMessage, response: ServerResponse): void;
  /** Node's `clientError`: answers what is no HTTP, too slow or too large in its head. Fastify never sees it. */
  answer: (error: NodeJS.ErrnoException, socket: Socket) => void;
}

const codeOf = ({ code }: NodeJS.ErrnoException): ProblemCode =>
  code === 'HPE_HEADER_OVERFLOW'
    ? 'headers_too_large'
    : code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? 'request_timeout'
      : 'invalid_request';

/**
 * Whether an answer that is written now would be taken for the one of the broken request. It would not be while the one before is
 * worked on, nor where the broken one has its answer already, and only its body came later.
 */
function isNext(exchange: Exchange | undefined): boolean {
  if (exchange === undefined) return true;
  const { request, response } = exchange;
  return request.complete ? response.writableEnded : !response.headersSent;
}

export function createBrokenRequests(): BrokenRequests {
  const newest = new WeakMap<Socket, Exchange>();
  /** Connections that end with the answer to come. Node has read on in what came together: it would be done, and never answered. */
  const ending = new WeakSet<Socket>();
  return {
    began(request, response) {
      const { socket } = request;
      if (ending.has(socket)) throw new Problem('invalid_request');
      newest.set(socket, { request, response });
      try {
        refuseUnclearHead(request);
      } catch (error) {
        ending.add(socket);
        throw error;
      }
    },

    answer(error, socket) {
      if (error.code === 'ECONNRESET' || !socket.writable || !isNext(newest.get(socket))) {
        return void socket.destroy();
      }
      const code = codeOf(error);
      const problem = new Problem(
        code,
        code === 'invalid_request' ? { detail: 'The request is not HTTP/1.1.' } : {},
      );
      const requestId = randomUUID();
      const body = problem.body('/', requestId);
      const { statusCode } = problem;
      const fields = {
        connection: 'close',
        'x-request-id': requestId,
        ...securityHeaders,
        'content-type': 'application/problem+json; charset=utf-8',
        'content-length': String(Buffer.byteLength(body)),
      };
      const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.end(`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\n${head.join('')}\r\n${body}`);
    },
  };
}
