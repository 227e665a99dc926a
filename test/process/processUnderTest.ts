import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { programArguments } from '../stack/program.js';

const preload = new URL('throwOnSignal.mjs', import.meta.url).href;

export interface ProcessUnderTest {
  child: ChildProcessWithoutNullStreams;
  /** Everything that it has written, on both streams. */
  said: () => string;
  /** Waits until it has written `text`; rejects when it ends before. */
  says: (text: string) => Promise<void>;
  /** Its exit code; the signal's name when one has killed it. */
  ended: Promise<number | string>;
}

/** An entry of the program as the global setup has compiled it; other files as they are. */
function programOf(path: string): string[] {
  const compiled = programArguments(path);
  if (existsSync(String(compiled.at(-1)))) return compiled;
  return ['--import', 'tsx', fileURLToPath(new URL(`../../${path}`, import.meta.url))];
}

/** Starts a file of the project as a process of its own; `path` is relative to the project's folder. */
export function startProcess(
  path: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): ProcessUnderTest {
  const child = spawn(process.execPath, ['--import', preload, ...programOf(path), ...args], {
    // jest's own flags are not the child's business.
    env: { PATH: process.env['PATH'], ...env },
  });
  child.stdin.end();
  let text = '';
  const changed = new Set<() => void>();
  const hear = (chunk: Buffer): void => {
    text += chunk.toString();
    for (const tell of [...changed]) tell();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  return {
    child,
    said: () => text,
    says: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!text.includes(wanted)) return;
          changed.delete(look);
          resolve();
        };
        changed.add(look);
        look();
        void ended.then((code) => reject(new Error(`it ended with ${code} and said: ${text}`)));
      }),
    ended,
  };
}
