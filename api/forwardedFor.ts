import type { IncomingHttpHeaders } from 'node:http';

/** As a URL writes one, which some proxies do: with a port, that is another for each connection, and in brackets. */
const inUrl = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/;

function bare(given: string): string {
  const [, bracketed, named] = inUrl.exec(given.trim()) ?? [];
  return bracketed ?? named ?? given;
}

/**
 * Leaves addresses in `X-Forwarded-For`, and nothing else: else each connection of a client would count as another one, and a
 * trusted proxy that another names with its port would be none, so that all behind it would count as one.
 */
export function bareForwardedFor(headers: IncomingHttpHeaders): void {
  const given = headers['x-forwarded-for'];
  if (typeof given === 'string') headers['x-forwarded-for'] = given.split(',').map(bare).join();
}
