/**
 * What may be shown of an error that is not ours. Its message and its fields may quote a secret (an axios error holds the
 * Plaid secret, the access token and the answer), so all of it is by allow-list.
 */
export interface ForeignErrorReport {
  class: string;
  code?: string | number;
  /** Class and code of what caused it, the nearest first. */
  causes?: string[];
  /** The lines of ours that it came through, the innermost first: `function (src/file.ts:1:2)`. */
  frames: string[];
}

const framesShown = 12;
const causesShown = 3;
const className = /^[A-Za-z][\w$]{0,60}$/;
const codeName = /^[A-Z0-9_]{1,40}$/;
/** A line of a stack that names a file in one of our rooms. */
const ownFrame =
  /^\s*at (?:async )?(?:new )?(?:([\w$.<>]+) (?:\[as [\w$]+\] )?\()?(?:file:\/\/)?\/[^()\s]*?\/((?:src|api|activities|workflows|drizzle|domain|tools|test|packages)\/[\w./-]+\.[cm]?[jt]s:\d+:\d+)\)?$/;

export function describeForeignError(error: unknown): ForeignErrorReport {
  if (!(error instanceof Error)) return { class: typeof error, frames: [] };
  const code = codeOf(error);
  const causes = causesOf(error);
  return {
    class: classOf(error),
    ...(code === undefined ? {} : { code }),
    ...(causes.length === 0 ? {} : { causes }),
    frames: ownFrames(error),
  };
}

/** The same as text: class and code, a line for each cause, a line for each frame. */
export function foreignErrorText(error: unknown): string {
  const { class: name, code, causes = [], frames } = describeForeignError(error);
  return [
    named(name, code),
    ...causes.map((cause) => `  caused by ${cause}`),
    ...frames.map((frame) => `    at ${frame}`),
  ].join('\n');
}

/** The frames of ours in an error's stack, shortened to paths in the project. */
export function ownFrames(error: Error): string[] {
  const stack = typeof error.stack === 'string' ? error.stack : '';
  const { message } = error;
  // The stack begins with the message, which may have lines that look like frames.
  const head = typeof message === 'string' && message !== '' ? stack.indexOf(message) : -1;
  const lines = (head < 0 ? stack : stack.slice(head + message.length)).split('\n');
  return lines
    .filter((line) => !line.includes('/node_modules/'))
    .flatMap((line) => {
      const [, caller, place] = ownFrame.exec(line) ?? [];
      if (place === undefined) return [];
      return [caller === undefined ? place : `${caller} (${place})`];
    })
    .slice(0, framesShown);
}

/** A library may take a name from an answer: only what looks like a class is one. */
function classOf(error: Error): string {
  const own: unknown = error.constructor.name;
  for (const name of [error.name as unknown, own]) {
    if (typeof name === 'string' && className.test(name)) return name;
  }
  return 'Error';
}

function codeOf(error: Error): string | number | undefined {
  const code: unknown = 'code' in error ? error.code : undefined;
  if (typeof code === 'number') return code;
  return typeof code === 'string' && codeName.test(code) ? code : undefined;
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause: unknown = error.cause;
  while (cause instanceof Error && causes.length < causesShown) {
    causes.push(named(classOf(cause), codeOf(cause)));
    cause = cause.cause;
  }
  return causes;
}

const named = (name: string, code: string | number | undefined): string =>
  code === undefined ? name : `${name} ${code}`;
