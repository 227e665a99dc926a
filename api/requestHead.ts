import type { IncomingMessage } from 'node:http';
import type { FieldError } from './errors.js';
import { Problem } from './errors.js';

/** RFC 3986: a name, an IPv4 or a bracketed IPv6 address, and a port. Empty where the client knows no name. */
const hostField = /^(?:(?:[a-z0-9._~!$&'()*+=;%-]+|\[[0-9a-f:.]+\])(?::\d*)?)?$/i;
const wholeTarget = /^https?:\/\/([^/?#@]+)(?:[/?]|$)/i;

/** What a request asks for, from its path on: as a proxy is asked, the server's address stands before it, and routes take no notice. */
export function targetOf(url: string): string {
  const rest = url.replace(/^https?:\/\/[^/?]+/i, '');
  return rest === '' || rest.startsWith('?') ? `/${rest}` : rest;
}

/** The connection is not used again: who sent this may count its requests in another way than we do. */
const refused = (where: FieldError): Problem =>
  new Problem('invalid_request', { errors: [where], headers: { connection: 'close' } });

/** Which server is asked (RFC 9112, 3.2). A proxy that chose by another of two names would ask us for what it forbids. */
function refuseHost({ headers, rawHeaders, httpVersion, url = '' }: IncomingMessage): void {
  const wrong = (detail: string): Problem => refused({ in: 'headers', pointer: '/host', detail });
  const name = headers.host;
  if (name === undefined) {
    if (httpVersion === '1.1') throw wrong('is missing');
    return;
  }
  // Node keeps the first.
  if (rawHeaders.filter((field, at) => at % 2 === 0 && /^host$/i.test(field)).length > 1)
    throw wrong('must stand once');
  if (!hostField.test(name)) throw wrong('must be a host and a port');
  const whole = wholeTarget.exec(url)?.[1];
  if (whole !== undefined && whole.toLowerCase() !== name.toLowerCase()) {
    throw wrong('must be the host of the request target');
  }
}

/** A path, `*`, or the whole of an address of ours. A fragment is none of it: what cuts at `#` sees another path. */
function refuseTarget({ url = '' }: IncomingMessage): void {
  const isClear = (/^\//.test(url) || url === '*' || wholeTarget.test(url)) && !url.includes('#');
  if (!isClear) throw refused({ in: 'path', pointer: '', detail: 'must be a path' });
}

/** Node finds the end of `gzip, chunked` as well, and hands on bytes that nobody here can read. */
function refuseCoding({ headers }: IncomingMessage): void {
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw refused({ in: 'headers', pointer: '/transfer-encoding', detail: 'must be chunked' });
  }
}

/** Throws `invalid_request` for a head that Node takes and that a proxy may read in another way. */
export function refuseUnclearHead(request: IncomingMessage): void {
  refuseTarget(request);
  refuseHost(request);
  refuseCoding(request);
}
