import { BadOptions } from './options.js';
import { UnreadableState } from './persistence/restoreRecords.js';

const className = /^[A-Za-z][\w$]{0,60}$/;
const codeName = /^[A-Z0-9_]{1,40}$/;
const word = /^[a-z]{1,20}$/i;
const ownFrame =
  /^\s*at (?:async )?(?:new )?(?:([\w$.<>]+) (?:\[as [\w$]+\] )?\()?(?:file:\/\/)?\/[^()\s]*?\/((?:src|dist|test)\/[\w./-]+\.[cm]?[jt]s:\d+:\d+)\)?$/;

/**
 * What is printed of an error. What we say ourselves is for the user. Of any other error it is the class, the code, the system
 * call with its port, and the lines of ours: message and fields may quote a secret that an app under test was given.
 */
export function errorReport(error: unknown): string {
  if (error instanceof BadOptions || error instanceof UnreadableState) return error.message;
  if (!(error instanceof Error)) return typeof error;
  const { code, syscall, port } = error as { code?: unknown; syscall?: unknown; port?: unknown };
  const head = [error.name, error.constructor.name].find((name) => className.test(name)) ?? 'Error';
  const call = typeof syscall === 'string' && word.test(syscall) ? [syscall] : [];
  if (typeof port === 'number') call.push(`port ${port}`);
  return [
    [
      head,
      ...(typeof code === 'string' && codeName.test(code) ? [code] : []),
      ...(call.length === 0 ? [] : [`(${call.join(' ')})`]),
    ].join(' '),
    ...frames(error),
  ].join('\n');
}

function frames({ stack = '', message }: Error): string[] {
  // The stack begins with the message, which may have lines that look like frames.
  const head = message === '' ? -1 : stack.indexOf(message);
  const lines = (head < 0 ? stack : stack.slice(head + message.length)).split('\n');
  return lines.flatMap((line) => {
    const [, caller, place] = ownFrame.exec(line) ?? [];
    if (place === undefined || isForeign(line)) return [];
    return [`    at ${caller === undefined ? place : `${caller} (${place})`}`];
  });
}

/** An installed simulator stands under node_modules itself; the packages that it uses beside it or below. */
function isForeign(line: string): boolean {
  const [, last] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(line) ?? [];
  return last !== undefined && last !== 'plaid-simulator';
}
